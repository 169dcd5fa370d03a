"""Pages of other sites: which hosts and origins are ours, and what others may not do."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.cli.app import run as penstock
from penstock.serve.settings import Settings
from serving import GERMAN, client_of, plain_app

BODY = {"q": GERMAN[0], "source": "de", "target": "en"}
NAMED = Settings(host_names=("Translate.example.org",), cors_origins=("https://app.example.org",))
ANY = Settings(host_names=("*",), cors_origins=("*",))


@pytest.mark.parametrize(
    ("host", "settings", "status"),
    [
        ("localhost", Settings(), 200),
        ("LOCALHOST:8000", Settings(), 200),
        ("penstock.localhost", Settings(), 200),
        ("127.0.0.1:8000", Settings(), 200),
        ("10.1.2.3", Settings(), 200),
        ("[::1]:8000", Settings(), 200),
        ("evil.example", Settings(), 421),
        ("localhost.evil.example", Settings(), 421),
        ("localhost@evil.example", Settings(), 421),
        ("127.0.0.1.evil.example:8000", Settings(), 421),
        ("localhost:port", Settings(), 421),
        ("", Settings(), 421),
        ("translate.example.org:443", NAMED, 200),
        ("other.example.org", NAMED, 421),
        ("other.example.org", ANY, 200),
    ],
)
def test_only_own_hosts_are_served(host: str, settings: Settings, status: int) -> None:
    client = client_of(plain_app(settings))
    for path in ("/v1/models", "/", "/metrics", "/openapi.json"):
        answer = client.get(path, headers={"Host": host})
        assert answer.status_code == status
    assert client.get("/health", headers={"Host": host}).status_code == 200
    answer = client.post("/translate", json=BODY, headers={"Host": host})
    assert answer.status_code == status
    if status == 421:
        assert answer.json()["error"].startswith(f"Host = {host!r}: not a name of this service;")


CROSS = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}


@pytest.mark.parametrize(
    ("headers", "settings", "status"),
    [
        ({}, Settings(), 200),  # a program
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}, Settings(), 200),
        ({"Sec-Fetch-Site": "none"}, Settings(), 200),
        ({"Origin": "http://localhost"}, Settings(), 200),  # an older browser
        (CROSS, Settings(), 403),
        ({"Sec-Fetch-Site": "cross-site"}, Settings(), 403),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:3000"}, Settings(), 403),
        ({"Origin": "https://evil.example"}, Settings(), 403),
        ({"Origin": "http://localhost:3000"}, Settings(), 403),
        ({"Origin": "null"}, Settings(), 403),
        (CROSS | {"Origin": "https://app.example.org"}, NAMED, 200),
        ({"Origin": "https://translate.example.org"}, NAMED, 200),  # a proxy has set Host
        (CROSS, NAMED, 403),
        (CROSS, ANY, 200),
    ],
)
def test_pages_of_other_sites_may_not_post(
    headers: dict[str, str], settings: Settings, status: int
) -> None:
    client = client_of(plain_app(settings))
    assert client.post("/translate", data=BODY, headers=headers).status_code == status
    answer = client.post("/v1/translate", json={"texts": GERMAN[0]}, headers=headers)
    assert answer.status_code == (400 if status == 200 else 403)  # 400: no target
    if status == 403:
        assert answer.json()["error"]["code"] == "cross_site"
        assert "--cors-origin" in answer.json()["error"]["message"]
    assert client.get("/v1/models", headers=headers).status_code == 200


def test_two_hosts_or_origins_must_both_be_ours() -> None:
    client = client_of(plain_app())
    twice = [("Host", "localhost"), ("Host", "evil.example")]
    assert client.get("/v1/models", headers=twice).status_code == 421
    twice = [("Origin", "http://localhost"), ("Origin", "https://evil.example")]
    assert client.post("/translate", json=BODY, headers=twice).status_code == 403


def test_a_host_name_is_a_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["serve", "--run", str(tmp_path), "--port", "0", "--host-name", "https://a.org"]
    assert penstock(command) == 2
    assert "host_name 'https://a.org': not a name; give one such as" in capsys.readouterr().err
