"""What stands before the requests: sizes, rates, keys, proxies, headers; and clients that go."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.types import Message, Receive, Scope, Send

from penstock.errors import DataError, UsageError
from penstock.serve.middleware.api_keys import new_key, read_keys
from penstock.serve.middleware.body_limit import BodyLimit
from penstock.serve.middleware.rate_limit import TokenBuckets
from penstock.serve.middleware.security_headers import CONTENT_SECURITY_POLICY
from penstock.serve.page_files import load_page
from penstock.serve.settings import Settings
from serving import GERMAN, PlainWorker, client_of, plain_app, running, until

BODY = {"q": GERMAN[0], "source": "de", "target": "en"}


# --- bodies -------------------------------------------------------------------------------------


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers 200 with the length of the body that it read."""
    length, more = 0, True
    while more:
        message = await receive()
        length += len(message.get("body", b""))
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(length).encode()})


def through_limit(
    chunks: Iterable[bytes], *, headers: list[tuple[bytes, bytes]], most: int = 100
) -> tuple[int, bytes, int]:
    """Status and body of the answer, and how many chunks were read."""
    pending = list(chunks)
    sent: list[Message] = []
    read = 0

    async def receive() -> Message:
        nonlocal read
        read += 1
        body = pending.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(pending)}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "path": "/translate", "headers": headers, "method": "POST"}
    asyncio.run(BodyLimit(echo, most=most)(scope, receive, send))
    return sent[0]["status"], sent[1]["body"], read


@pytest.mark.parametrize("announced", [None, b"7", b"0", b"x", b"9" * 30])
def test_bytes_are_counted_as_they_come_whatever_is_announced(announced: bytes | None) -> None:
    headers = [] if announced is None else [(b"content-length", announced)]
    assert through_limit([b"x" * 50] * 2, headers=headers)[:2] == (200, b"100")
    status, body, _ = through_limit([b"x" * 50, b"x" * 50, b"x"], headers=headers)
    assert status == 413
    assert b"larger than 100 bytes" in body


def test_what_is_announced_as_too_large_is_refused_and_not_kept() -> None:
    status, _, _ = through_limit([b"x"] * 5, headers=[(b"content-length", b"101")])
    assert status == 413
    endless = (b"x" * 65_536 for _ in range(1000))
    _, _, read = through_limit(endless, headers=[(b"content-length", b"101")])
    assert read < 20  # it hears the refusal, but cannot go on for ever


@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_body_gets_its_413_on_a_real_socket(chunked: bool) -> None:
    with running(plain_app(Settings(max_body=1000))) as url:
        large = b"x" * 300_000
        head, body = "Content-Length: 300000", large
        if chunked:
            head, body = "Transfer-Encoding: chunked", b"493e0\r\n" + large + b"\r\n0\r\n\r\n"
        answer = talk(url, head, body)
    assert answer.startswith(b"HTTP/1.1 413")
    assert json.loads(answer.split(b"\r\n\r\n", 1)[1])["error"].startswith("the request's body")


def test_a_slow_body_ends() -> None:
    with running(BodyLimit(echo, most=1000, seconds=0.2)) as url:
        assert talk(url, "Content-Length: 3", b"abc").startswith(b"HTTP/1.1 200")
        assert talk(url, "Content-Length: 100", b"{").startswith(b"HTTP/1.1 408")


def talk(url: str, header: str, body: bytes) -> bytes:
    """Send a request by hand and read until the server closes."""
    with socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), timeout=5) as connection:
        head = f"POST /translate HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{header}\r\n"
        connection.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode() + body)
        answer = b""
        while block := connection.recv(65_536):
            answer += block
    return answer


# --- clients that go ----------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/translate", "/v1/classify"])
def test_work_is_dropped_when_its_client_goes(path: str) -> None:
    worker = PlainWorker()
    worker.hold = True
    body = json.dumps(BODY if path == "/translate" else {"texts": "the dog"}).encode()
    with running(plain_app(worker=worker)) as url:
        port = urlsplit(url).port or 0
        connection = socket.create_connection(("127.0.0.1", port), timeout=5)
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        connection.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode() + body)
        time.sleep(0.1)
        assert worker.dropped == 0
        connection.close()
        until(lambda: worker.dropped == 1, seconds=2)
        worker.hold = False
        assert b"HTTP/1.1 200" in talk(url, f"Content-Length: {len(_plain)}", _plain)


_plain = json.dumps(BODY).encode()


class EndlessWorker(PlainWorker):
    """Writes for ever, and notes when nobody reads any more."""

    is_closed = False

    async def stream(self, start: Callable[[], Iterator[str]], **_: object) -> AsyncIterator[str]:
        try:
            while True:
                yield "word "
                await asyncio.sleep(0.005)
        finally:
            self.is_closed = True


def test_a_stream_ends_when_its_client_goes() -> None:
    worker = EndlessWorker()
    with running(plain_app(worker=worker)) as url:
        port = urlsplit(url).port or 0
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            head = "POST /v1/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n"
            connection.sendall(f"{head}Content-Type: application/json\r\n\r\n{{}}".encode())
            received = b""
            while received.count(b"word") < 3:
                received += connection.recv(65_536)
            assert not worker.is_closed
        until(lambda: worker.is_closed, seconds=2)


# --- rates --------------------------------------------------------------------------------------


def test_a_bucket_empties_and_fills_steadily() -> None:
    now = [0.0]
    buckets = TokenBuckets(60, clock=lambda: now[0])
    assert [buckets.take("a") for _ in range(60)] == [0.0] * 60
    assert buckets.take("a") == pytest.approx(1.0)
    assert buckets.take("b") == 0.0
    now[0] = 0.5
    assert buckets.take("a") == pytest.approx(0.5)
    now[0] = 2.0
    assert [buckets.take("a") for _ in range(3)] == pytest.approx([0.0, 0.0, 1.0])
    now[0] = 1e6  # never more than a full bucket
    assert [buckets.take("a") for _ in range(61)] == pytest.approx([0.0] * 60 + [1.0])


def test_few_requests_a_minute_still_let_one_through() -> None:
    buckets = TokenBuckets(0.5, clock=lambda: 0.0)
    assert (buckets.take("a"), buckets.take("a")) == (0.0, pytest.approx(120.0))


def test_the_clients_remembered_are_bounded_and_the_busy_ones_stay() -> None:
    buckets = TokenBuckets(1, most=10, clock=lambda: 0.0)
    for number in range(1000):
        buckets.take("busy")
        buckets.take(str(number))
    assert len(buckets) == 10
    assert buckets.take("busy") > 0


def test_too_many_requests_are_429_in_each_form_and_probes_are_free() -> None:
    for path, body in [
        ("/translate", {"error"}),
        ("/v1/translate", {"error"}),
        ("/v2/translate", {"message"}),
    ]:
        client = client_of(plain_app(Settings(rate=2)))
        statuses = [client.post(path).status_code for _ in range(2)]
        assert statuses == [400, 400]
        refused = client.post(path)
        assert (refused.status_code, refused.json().keys()) == (429, body)
        assert 1 <= int(refused.headers["retry-after"]) <= 30
        assert client.get("/health").status_code == 200


# --- keys ---------------------------------------------------------------------------------------


def test_a_new_key_is_admitted_by_its_line_and_is_not_in_it(tmp_path: Path) -> None:
    made = [new_key("anna"), new_key("ben.2")]
    file = tmp_path / "keys"
    file.write_text("\n".join(["# ours", "", *(line for _, line in made)]))
    keys = read_keys(file)
    assert [keys.holder(key) for key, _ in made] == ["anna", "ben.2"]
    for wrong in ("", "x", made[0][0][:-1], made[0][0] + "x", "\ud800", made[0][1]):
        assert keys.holder(wrong) is None
    for key, line in made:
        assert key not in line
        assert hashlib.sha256(key.encode()).hexdigest() in line
        assert len(key) > 40


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("anna geheim-123", "line 1: the key of 'anna' is not hashed"),
        ("# x\ngeheim-123", "line 2: not a name and a hash"),
        ("an/na sha256:" + "0" * 64, "line 1: not a name and a hash"),
        ("anna sha256:" + "0" * 63, "line 1: the key of 'anna' is not hashed"),
        (f"a sha256:{'0' * 64}\na sha256:{'1' * 64}", "line 2: the name 'a' is repeated"),
        (f"a sha256:{'0' * 64}\nb sha256:{'0' * 64}", "line 2: the key is repeated"),
        ("# nobody\n", "has no key, so nobody could use the service"),
    ],
)
def test_a_wrong_file_of_keys_is_told_and_no_key_is_shown(
    tmp_path: Path, content: str, says: str
) -> None:
    file = tmp_path / "keys"
    file.write_text(content)
    with pytest.raises(DataError, match=says) as told:
        read_keys(file)
    assert "geheim" not in str(told.value)
    assert "--new-key NAME" in str(told.value) or "drop one" in str(told.value)


def test_an_unreadable_file_of_keys(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_keys(tmp_path / "none")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="cannot be read: not UTF-8"):
        read_keys(tmp_path / "bytes")
    with pytest.raises(UsageError, match="--new-key 'a b': a name has 1 to 64 letters"):
        new_key("a b")


def test_keys_are_wanted_where_there_are_some(tmp_path: Path) -> None:
    key, line = new_key("anna")
    (tmp_path / "keys").write_text(line)
    client = client_of(plain_app(Settings(api_keys=tmp_path / "keys")))
    for scheme in ("Bearer", "DeepL-Auth-Key", "bearer"):
        headers = {"Authorization": f"{scheme} {key}"}
        assert client.get("/v1/models", headers=headers).status_code == 200
        assert client.post("/translate", json=BODY, headers=headers).status_code == 200
    for headers in ({}, {"Authorization": f"Basic {key}"}, {"Authorization": "Bearer x"}):
        for path in ("/v1/models", "/v1/run", "/v2/usage", "/v2/languages"):
            assert client.get(path, headers=headers).status_code == 403
        for path in ("translate", "inspect", "classify", "fill", "generate"):
            assert client.post(f"/v1/{path}", headers=headers, json={}).status_code == 403
    for path in ("/health", "/ready", "/languages", "/frontend/settings"):
        assert client.get(path).status_code == 200


def test_the_rate_is_of_the_key_holder_and_else_of_the_address(tmp_path: Path) -> None:
    made = [new_key("anna"), new_key("ben")]
    (tmp_path / "keys").write_text("\n".join(line for _, line in made))
    client = client_of(plain_app(Settings(api_keys=tmp_path / "keys", rate=1)))

    def ask(key: str) -> int:
        return client.get("/v1/models", headers={"Authorization": f"Bearer {key}"}).status_code

    assert [ask(made[0][0]), ask(made[1][0]), ask(made[0][0])] == [200, 200, 429]
    assert [ask("guess1"), ask("guess2")] == [403, 429]  # guessing keys is slow


# --- addresses ----------------------------------------------------------------------------------


def asks(app: Any, peer: str, forwarded: Iterable[str]) -> Iterator[int]:
    """The statuses of requests of one peer for others."""
    for each in forwarded:
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message, sent: list[Message] = sent) -> None:
            sent.append(message)

        headers = [(b"x-forwarded-for", each.encode())] if each else []
        scope = {
            "type": "http", "path": "/languages", "raw_path": b"/languages", "method": "GET",
            "root_path": "", "query_string": b"", "headers": headers, "client": (peer, 1),
            "http_version": "1.1", "scheme": "http", "server": ("x", 80),
        }  # fmt: skip
        asyncio.run(app(scope, receive, send))
        yield sent[0]["status"]


def test_a_forwarded_address_is_believed_of_listed_proxies_only() -> None:
    def app(*proxies: str) -> Any:
        return plain_app(Settings(rate=1, trusted_proxies=proxies))

    assert list(asks(app(), "10.0.0.1", ["1.1.1.1", "2.2.2.2"])) == [200, 429]
    assert list(asks(app("10.0.0.0/8"), "10.0.0.1", ["1.1.1.1", "2.2.2.2", "1.1.1.1"])) == [
        200, 200, 429,
    ]  # fmt: skip
    assert list(asks(app("10.0.0.1"), "10.0.0.2", ["1.1.1.1", "2.2.2.2"])) == [200, 429]
    # what the client itself put before the proxy's word is not believed
    invented = ["9.9.9.9, 1.1.1.1", "8.8.8.8, 1.1.1.1"]
    assert list(asks(app("10.0.0.1"), "10.0.0.1", invented)) == [200, 429]


def test_one_client_has_64_bits_of_an_ipv6_address() -> None:
    app = plain_app(Settings(rate=1))
    assert list(asks(app, "2001:db8::1", [""])) == [200]
    assert list(asks(app, "2001:db8::2", [""])) == [429]
    assert list(asks(app, "2001:db8:0:1::2", [""])) == [200]


# --- headers ------------------------------------------------------------------------------------


def test_every_answer_has_the_security_headers() -> None:
    client = client_of(plain_app(Settings(max_body=10)))
    large = client.post("/translate", content=b"x" * 11)
    assert large.status_code == 413
    for response in (client.get("/"), client.get("/nothing"), client.get("/languages"), large):
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "no-referrer"
        assert response.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        assert "server" not in response.headers


def test_other_origins_are_let_in_only_when_listed() -> None:
    for origins, allowed in [((), None), (("https://a.example",), "https://a.example")]:
        client = client_of(plain_app(Settings(cors_origins=origins)))
        headers = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
        for response in (
            client.options("/v1/translate", headers=headers),
            client.get("/languages", headers=headers),
        ):
            assert response.headers.get("access-control-allow-origin") == allowed
        other = client.get("/languages", headers={"Origin": "https://b.example"})
        assert "access-control-allow-origin" not in other.headers


# --- the page's files ---------------------------------------------------------------------------


def test_the_page_is_served_from_memory_with_tags(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page"
    (page / "views").mkdir(parents=True)
    (page / "index.html").write_text("<!doctype html>")
    (page / "docs.html").write_text("<!doctype html><title>docs")
    (page / "views" / "tree.js").write_text("export {};")
    (page / "notes.secret").write_text("no")
    (tmp_path / "outside.html").write_text("no")
    monkeypatch.setattr("penstock.serve.application.load_page", lambda: load_page(page))
    client = client_of(plain_app())
    for path, kind in [
        ("/", "text/html; charset=utf-8"),
        ("/docs", "text/html; charset=utf-8"),
        ("/page/views/tree.js", "text/javascript; charset=utf-8"),
    ]:
        first = client.get(path)
        assert (first.status_code, first.headers["content-type"]) == (200, kind)
        assert first.headers["cache-control"] == "no-cache"
        again = client.get(path, headers={"If-None-Match": f'"x", {first.headers["etag"]}'})
        assert (again.status_code, again.content) == (304, b"")
        assert client.get(path, headers={"If-None-Match": '"x"'}).content == first.content
        assert client.head(path).headers["content-length"] == str(len(first.content))
    for path in ("/page/notes.secret", "/page/../outside.html", "/page/%2e%2e/outside.html"):
        assert client.get(path).status_code == 404
