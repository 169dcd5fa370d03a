"""The process: it tells when it is ready, ends in order, and changes its models while it works."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from penstock.bundle import save_bundle
from penstock.cli.app import run as penstock
from penstock.serve.models.model_paths import ModelPath
from penstock.serve.models.model_set import Models
from penstock.serve.server import run_server
from penstock.serve.settings import Settings
from serving import ENGLISH, GERMAN, random_translator, until

TEXT = GERMAN[0]


class Process:
    """A `penstock serve` of its own on a free port; ready once made."""

    def __init__(self, *arguments: str) -> None:
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "penstock", "serve", "--port", "0", *arguments],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        until(lambda: any("serving" in line for line in self.lines), seconds=200)
        said = next(line for line in self.lines if "serving" in line)
        self.said, _, self.url = said.strip().rpartition(" on ")

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.lines.append(line)

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self) -> int:
        code = self._process.wait(60)
        self._reader.join(5)
        return code

    def events(self, name: str) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in list(self.lines) if line.startswith("{")]
        return [event for event in found if event["event"] == name]

    def kill(self) -> None:
        self._process.kill()
        self.wait()
        assert self._process.stderr is not None
        self._process.stderr.close()

    def translate(self, texts: str | Sequence[str] = TEXT) -> httpx.Response:
        body = {"texts": texts, "source": "de", "target": "en"}
        return httpx.post(f"{self.url}/v1/translate", json=body, timeout=60)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    save_bundle(random_translator(GERMAN, ENGLISH, seed=1).bundle, tmp_path / "run" / "model")
    return tmp_path / "run"


@pytest.fixture
def process(run: Path) -> Iterator[Process]:
    # few texts at once, so that a request of several lasts; and time for slow machines
    made = Process("-m", f"de-en={run}", "--batch-tokens", "60", "--deadline", "60")
    yield made
    made.kill()


def scores(seed: int) -> float:
    return random_translator(GERMAN, ENGLISH, seed=seed).translate([TEXT])[0].score


# --- its life -----------------------------------------------------------------------------------


def test_it_says_where_it_serves_logs_without_texts_and_ends_in_order(process: Process) -> None:
    assert process.said == "penstock: serving de-en"
    assert process.url.startswith("http://127.0.0.1:")
    found = process.translate().json()["translations"]
    assert [each["score"] for each in found] == [pytest.approx(scores(1), abs=1e-4)]
    assert httpx.get(f"{process.url}/ready").json() == {"status": "ready"}
    assert httpx.get(f"{process.url}/{TEXT}?q={TEXT}").status_code == 404
    part = f'Content-Disposition: form-data; name="q"\r\nContent-Transfer-Encoding: {TEXT}'
    form = f"--b\r\n{part}\r\n\r\nx\r\n--b--\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    assert httpx.post(f"{process.url}/translate", content=form, headers=kind).status_code == 400
    counts = httpx.get(f"{process.url}/metrics").text
    assert 'penstock_requests_total{route="/v1/translate",status="200"} 1.0' in counts
    assert 'penstock_requests_total{route="none",status="404"} 1.0' in counts
    process.send(signal.SIGINT)
    assert process.wait() == 0
    (request, missing, _) = process.events("request")
    assert (request["route"], request["status"], request["texts"]) == ("/v1/translate", 200, 1)
    assert 0 < request["seconds"] < 20
    assert (missing["route"], missing["status"]) == ("none", 404)
    told = "".join(process.lines) + counts
    assert "Hund" not in told
    assert told.count("127.0.0.1") == 1, "only its own address"
    assert [line for line in process.lines if not line.startswith("{")] == [
        f"{process.said} on {process.url}\n"
    ]


def test_a_signal_lets_it_finish_what_is_in_flight(process: Process) -> None:
    answers: list[httpx.Response] = []
    many = [" ".join([TEXT] * 10)] * 10
    asking = threading.Thread(target=lambda: answers.append(process.translate(many)))
    asking.start()

    def begun() -> bool:
        page = httpx.get(f"{process.url}/metrics").text
        return "penstock_queue_texts 0.0" not in page

    until(begun)
    process.send(signal.SIGTERM)
    until(lambda: bool(process.events("draining")))
    assert not answers, "it is still in flight"
    ready = httpx.get(f"{process.url}/ready")
    assert (ready.status_code, ready.json()) == (503, {"status": "draining"})
    late = process.translate()
    assert (late.status_code, late.headers["Retry-After"]) == (503, "1")
    assert late.headers["Connection"] == "close"
    assert process.wait() == 0
    asking.join(5)
    assert answers[0].status_code == 200
    assert len(answers[0].json()["translations"]) == 10


def test_a_reload_under_load_fails_no_request(process: Process, run: Path) -> None:
    found: list[float] = []
    failures: list[object] = []
    ends = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=process.url, timeout=60) as client:
            while not ends.is_set():
                body = {"texts": TEXT, "source": "de", "target": "en"}
                try:
                    answer = client.post("/v1/translate", json=body)
                    found.append(answer.raise_for_status().json()["translations"][0]["score"])
                except (httpx.HTTPError, KeyError) as error:
                    failures.append(error)

    clients = [threading.Thread(target=ask) for _ in range(6)]
    for client in clients:
        client.start()
    for seed, count in ((2, 1), (3, 2)):
        before = len(found)
        until(lambda before=before: len(found) > before + 20)
        save_bundle(random_translator(GERMAN, ENGLISH, seed=seed).bundle, run / "model")
        process.send(signal.SIGHUP)
        until(lambda count=count: len(process.events("reloaded")) == count)
    # a broken bundle changes nothing
    (run / "model" / "bundle.json").write_text("{}")
    process.send(signal.SIGHUP)
    until(lambda: bool(process.events("reload_failed")))
    after = len(found)
    until(lambda: len(found) > after + 20)
    ends.set()
    for client in clients:
        client.join(10)
    assert not failures
    wanted = {seed: pytest.approx(scores(seed), abs=1e-4) for seed in (1, 2, 3)}
    for seed, score in wanted.items():
        assert score in found, f"the model of seed {seed} never answered"
    assert all(any(score == each for each in wanted.values()) for score in found)
    body = {"texts": TEXT, "source": "de", "target": "en"}
    answer = httpx.post(f"{process.url}/v1/translate", json=body, timeout=60).json()
    assert answer["translations"][0]["score"] == wanted[3]
    assert "not a penstock bundle" in process.events("reload_failed")[0]["why"]
    counts = httpx.get(f"{process.url}/metrics").text
    assert 'penstock_reloads_total{outcome="done"} 2.0' in counts
    assert 'penstock_reloads_total{outcome="failed"} 1.0' in counts


def test_health_lives_while_the_models_are_loaded(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = Models([ModelPath(run, ("de", "en"))])
    may_load = threading.Event()
    load = models.load
    monkeypatch.setattr(models, "load", lambda: (may_load.wait(10), load()))
    seen: list[tuple[int, int, int]] = []
    said: list[str] = []

    def statuses(url: str) -> tuple[int, int, int]:
        body = {"texts": TEXT, "source": "de", "target": "en"}
        return (
            httpx.get(f"{url}/health").status_code,
            httpx.get(f"{url}/ready").status_code,
            httpx.post(f"{url}/v1/translate", json=body).status_code,
        )

    port = free_port()

    def watch() -> None:
        url = f"http://127.0.0.1:{port}"
        until(lambda: answers(url))
        seen.append(statuses(url))
        may_load.set()
        until(lambda: bool(said))
        seen.append(statuses(url))
        os.kill(os.getpid(), signal.SIGTERM)

    watcher = threading.Thread(target=watch)
    watcher.start()
    run_server(models, Settings(), port=port, announce=said.append)
    watcher.join(10)
    assert seen == [(200, 503, 503), (200, 200, 200)]
    assert said == [f"serving de-en on http://127.0.0.1:{port}"]


def test_a_signal_during_the_load_ends_it(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = Models([ModelPath(run, ("de", "en"))])
    begun = threading.Event()
    monkeypatch.setattr(models, "load", lambda: (begun.set(), time.sleep(0.3)))

    def end() -> None:
        begun.wait(10)
        os.kill(os.getpid(), signal.SIGTERM)

    ender = threading.Thread(target=end)
    ender.start()
    said: list[str] = []
    run_server(models, Settings(), port=0, announce=said.append)
    ender.join(5)
    assert not said


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.TransportError:
        return False


# --- what keeps it from beginning ---------------------------------------------------------------


def test_a_port_in_use(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code = penstock(["serve", "-m", f"de-en={run}", "--port", str(port)])
    assert code == 1
    assert f"127.0.0.1: port {port} is in use; give another --port" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--host", "no-such-host.invalid"], 2, "--host no-such-host.invalid: "),
        (["--host", "192.0.2.1"], 1, "192.0.2.1: not an address of this machine; give one that"),
        (["--queue", "3"], 2, "queue 3: must hold a request of max_texts 50"),
        (["--trusted-proxy", "proxy"], 2, "trusted_proxy 'proxy': not an address or network"),
        (
            ["--trusted-proxy", "10.0.0.1/8"],
            2,
            "trusted_proxy '10.0.0.1/8': not an address or network",
        ),
        (
            ["--cors-origin", "example.org"],
            2,
            "cors_origin 'example.org': not an origin; give one such as",
        ),
        (
            ["--cors-origin", "http://a/"],
            2,
            "cors_origin 'http://a/': not an origin; give one such as",
        ),
        (["--run", "nowhere"], 2, "run nowhere: no such directory"),
        (["-m", "nowhere"], 1, "nowhere: no such directory; give a run directory or a bundle"),
    ],
)
def test_what_keeps_it_from_beginning(
    run: Path, arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert penstock(["serve", "--port", "0", "-m", f"de-en={run}", *arguments]) == code
    assert message in capsys.readouterr().err


def test_nothing_to_serve(capsys: pytest.CaptureFixture[str]) -> None:
    assert penstock(["serve"]) == 2
    assert "give a model with -m RUN, or --run RUN" in capsys.readouterr().err


def test_a_key_is_made_and_its_hash_kept(capsys: pytest.CaptureFixture[str]) -> None:
    assert penstock(["serve", "--new-key", "reader"]) == 0
    shown = capsys.readouterr()
    name, digest = shown.out.split()
    assert name == "reader"
    assert digest.startswith("sha256:")
    assert shown.err.split()[-1] not in shown.out


def test_a_missing_package_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "uvicorn" else find(name)
    )
    assert penstock(["serve", "-m", "x"]) == 1
    assert "pip install 'penstock[serve]'" in capsys.readouterr().err


def test_help_imports_neither_torch_nor_the_server() -> None:
    code = (
        "import sys; from penstock.cli.app import run; run(['serve', '--help']); "
        "sys.exit(sorted({'torch', 'fastapi', 'uvicorn'} & sys.modules.keys()) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "--api-keys" in done.stdout
