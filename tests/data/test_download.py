from __future__ import annotations

import errno
import hashlib
import json
import random
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import file_server as fs
from penstock.data.corpora import atomic_replacement
from penstock.data.corpora.download import Checksum, Limits, download
from penstock.errors import DownloadError, UsageError

BODY = random.Random(1).randbytes(300_000)
FAST = Limits(timeout=5, attempts=3, pause=0.01)


def sha1(body: bytes) -> Checksum:
    return Checksum("sha1", hashlib.sha1(body).hexdigest())


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def server() -> Iterator[fs.FileServer]:
    with fs.serving(BODY) as server:
        yield server


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "file.bin"


def fetch(url: str, place: Path, body: bytes = BODY, limits: Limits = FAST, **more) -> Path:
    return download(url, place, checksum=sha1(body), limits=limits, **more)


def leftovers(place: Path) -> list[str]:
    return sorted(path.name for path in place.parent.iterdir() if path.suffix != ".lock")


# --- whole, resumed, started over ---


def test_whole_file_with_progress(server: fs.FileServer, place: Path) -> None:
    calls: list[tuple[int, int | None]] = []
    assert fetch(server.url, place, progress=lambda *call: calls.append(call)) == place
    assert place.read_bytes() == BODY
    assert leftovers(place) == ["file.bin"]
    assert calls[0] == (0, len(BODY))
    assert calls[-1] == (len(BODY), len(BODY))
    assert calls == sorted(calls)


def test_sha256_and_no_length(server: fs.FileServer, place: Path) -> None:
    server.misdeeds = [fs.without_length]
    checksum = Checksum("sha256", hashlib.sha256(BODY).hexdigest())
    download(server.url, place, checksum=checksum, limits=FAST)
    assert place.read_bytes() == BODY


def test_cut_connection_goes_on_with_range(server: fs.FileServer, place: Path) -> None:
    server.misdeeds = [fs.cut_after(100_000), fs.cut_after(50_000)]
    fetch(server.url, place)
    assert server.ranges == [None, "bytes=100000-", "bytes=150000-"]
    assert server.seen[1][1]["If-Range"] == '"v1"'
    assert place.read_bytes() == BODY


def test_cut_too_often_then_resumed_by_another_run(server: fs.FileServer, place: Path) -> None:
    server.misdeeds = [fs.cut_after(1000)] * 3
    with pytest.raises(DownloadError, match=r"cut at byte 3000 of 300000 \(3 attempts\).*--from"):
        fetch(server.url, place)
    assert not place.exists()
    fetch(server.url, place)
    assert server.ranges[-1] == "bytes=3000-"
    assert place.read_bytes() == BODY
    assert leftovers(place) == ["file.bin"]


def test_server_that_ignores_ranges_starts_over(server: fs.FileServer, place: Path) -> None:
    server.misdeeds = [fs.cut_after(100_000), fs.ignoring_ranges]
    fetch(server.url, place)
    assert server.ranges == [None, "bytes=100000-"]
    assert place.read_bytes() == BODY


@pytest.mark.parametrize("answer", [fs.whole, fs.ignoring_if_range])
def test_changed_version_starts_over(
    server: fs.FileServer, place: Path, answer: fs.Misdeed
) -> None:
    server.misdeeds = [fs.cut_after(100_000)]
    with pytest.raises(DownloadError, match="cut at byte 100000"):
        fetch(server.url, place, limits=Limits(attempts=1))
    server.body, server.etag = BODY[::-1], '"v2"'
    server.misdeeds = [answer]
    fetch(server.url, place, BODY[::-1])
    assert place.read_bytes() == BODY[::-1]


def leave_part(place: Path, url: str, part: bytes, total: int | None) -> None:
    place.parent.mkdir()
    place.with_name("file.bin.part").write_bytes(part)
    note = {"url": url, "validator": '"v1"', "total": total}
    place.with_name("file.bin.part.json").write_text(json.dumps(note))


@pytest.mark.parametrize("total", [None, len(BODY)])
def test_part_longer_than_the_file_starts_over(
    server: fs.FileServer, place: Path, total: int | None
) -> None:
    leave_part(place, server.url, BODY + b"more", total)
    fetch(server.url, place)
    assert place.read_bytes() == BODY
    assert server.ranges[-1] is None


def test_part_of_another_address_starts_over(server: fs.FileServer, place: Path) -> None:
    leave_part(place, "http://elsewhere/file", BODY[:100], len(BODY))
    fetch(server.url, place)
    assert server.ranges == [None]


@pytest.mark.parametrize("note", ["", "[]", '{"url": 1}', '{"a"', "null"])
def test_damaged_note_starts_over(server: fs.FileServer, place: Path, note: str) -> None:
    leave_part(place, server.url, BODY[:100], len(BODY))
    place.with_name("file.bin.part.json").write_text(note)
    fetch(server.url, place)
    assert server.ranges == [None]


@pytest.mark.parametrize("size", [1000, len(BODY)])
def test_damaged_part_is_fetched_again(server: fs.FileServer, place: Path, size: int) -> None:
    # a power cut can leave zeros where bytes should be
    leave_part(place, server.url, bytes(size), len(BODY))
    fetch(server.url, place)
    assert server.ranges[-1] is None
    assert place.read_bytes() == BODY


# --- what goes wrong ---


def test_wrong_checksum(server: fs.FileServer, place: Path) -> None:
    server.body = b"an error page"
    expected = f"expected {sha1(BODY)}, found {sha1(server.body)}; .* removed.*--url.*--from FILE"
    with pytest.raises(DownloadError, match=expected):
        fetch(server.url, place)
    assert leftovers(place) == []


def test_wrong_checksum_leaves_the_placed_file(server: fs.FileServer, place: Path) -> None:
    fetch(server.url, place)
    server.body = b"an error page"
    with pytest.raises(DownloadError, match="wrong checksum"):
        fetch(server.url, place)
    assert place.read_bytes() == BODY


def test_not_found_is_told_at_once(server: fs.FileServer, place: Path) -> None:
    server.misdeeds = [fs.answering(404)] * 2
    with pytest.raises(DownloadError, match=r"/file: the server answered 404 Not Found.*--from"):
        fetch(server.url, place)
    assert len(server.seen) == 1


@pytest.mark.parametrize("misdeed", [fs.answering(500), fs.answering(429), fs.hanging_up])
def test_passing_failure_is_tried_again(
    server: fs.FileServer, place: Path, misdeed: fs.Misdeed
) -> None:
    server.misdeeds = [misdeed, misdeed]
    fetch(server.url, place)
    assert place.read_bytes() == BODY


def test_lasting_500_gives_up(server: fs.FileServer, place: Path) -> None:
    server.misdeeds = [fs.answering(503)] * 9
    with pytest.raises(DownloadError, match=r"answered 503 Service Unavailable \(3 attempts\)"):
        fetch(server.url, place)
    assert len(server.seen) == 3


@pytest.mark.parametrize("misdeed", [fs.silent, fs.stalling_after(1000)])
def test_silent_server_times_out(server: fs.FileServer, place: Path, misdeed: fs.Misdeed) -> None:
    server.misdeeds = [misdeed, misdeed]
    with pytest.raises(DownloadError, match=r"no answer for 0.2 s \(2 attempts\)"):
        fetch(server.url, place, limits=Limits(timeout=0.2, attempts=2, pause=0.01))


def test_dripping_server_times_out(server: fs.FileServer, place: Path) -> None:
    server.misdeeds = [fs.dripping]
    with pytest.raises(DownloadError, match="less than 64 bytes a second"):
        fetch(server.url, place, limits=Limits(timeout=0.3, attempts=1))


def test_refused_connection(place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(DownloadError, match=r"cannot connect: connection refused.*--from FILE"):
        fetch(f"http://127.0.0.1:{port}/file", place)


def test_unknown_host(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(DownloadError, match=r"the host nowhere\.invalid is not known here"):
        fetch("http://nowhere.invalid/file", place)


@pytest.mark.parametrize(
    "url",
    [
        *("file:///etc/passwd", "ftp://host/a", "data:,a", "/etc/passwd", "", "http://"),
        *("http:///a", "http://host:99999/", "http://host/a b", "http://host/é"),
        "http://host/\r\nX: 1",
    ],
)
def test_only_web_addresses(place: Path, url: str) -> None:
    with pytest.raises(UsageError, match=r"not an http or https address.*--from FILE"):
        fetch(url, place)
    assert not place.parent.exists()


def test_redirect_is_followed_with_range(server: fs.FileServer, place: Path) -> None:
    server.misdeeds = [fs.redirecting("/moved"), fs.cut_after(1000), fs.redirecting("/moved")]
    fetch(server.url, place)
    assert [path for path, _ in server.seen] == ["/file", "/moved"] * 2
    assert server.ranges[2:] == ["bytes=1000-"] * 2
    assert place.read_bytes() == BODY


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "ftp://host/a", "http://[", "http://h:99999/"]
)
def test_redirect_elsewhere_is_refused(server: fs.FileServer, place: Path, location: str) -> None:
    server.misdeeds = [fs.redirecting(location)]
    with pytest.raises(DownloadError, match=r"redirects to .* not an http or https address"):
        fetch(server.url, place)
    assert leftovers(place) == []


def test_redirect_with_raw_utf8_is_quoted(server: fs.FileServer, place: Path) -> None:
    server.misdeeds = [fs.redirecting("/caf\xc3\xa9 au lait")]
    fetch(server.url, place)
    assert server.seen[1][0] == "/caf%C3%A9%20au%20lait"


def test_endless_redirects(server: fs.FileServer, place: Path) -> None:
    server.misdeeds = [fs.redirecting("/file")] * 20
    with pytest.raises(DownloadError, match="more than 5 redirects"):
        fetch(server.url, place)


@pytest.mark.parametrize("misdeed", [fs.whole, fs.without_length])
def test_size_cap(server: fs.FileServer, place: Path, misdeed: fs.Misdeed) -> None:
    server.misdeeds = [misdeed]
    with pytest.raises(DownloadError, match="at most 100000 were expected"):
        fetch(server.url, place, limits=Limits(size=100_000))
    assert leftovers(place) == []


def test_disk_full(server: fs.FileServer, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = atomic_replacement._write_some

    def full(file, chunk: memoryview) -> int:
        if file.tell() >= 100_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, chunk[:30_000])  # a full disk takes less than it is given, first

    with monkeypatch.context() as patch:
        patch.setattr(atomic_replacement, "_write_some", full)
        with pytest.raises(
            DownloadError, match=r"file\.bin\.part: cannot write: No space left.*PENSTOCK_CACHE"
        ):
            fetch(server.url, place)
    assert not place.exists()
    fetch(server.url, place)  # and with space again it goes on
    assert server.ranges[0] is None
    assert server.ranges[1] not in (None, "bytes=0-")
    assert place.read_bytes() == BODY


def test_folder_that_cannot_be_made(server: fs.FileServer, tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    with pytest.raises(DownloadError, match=r"a file.*: cannot write: .*PENSTOCK_CACHE"):
        fetch(server.url, tmp_path / "a file" / "file.bin")


# --- several at once ---


def test_threads_at_once(server: fs.FileServer, place: Path) -> None:
    server.misdeeds = [fs.cut_after(100_000)] * 3
    failures: list[BaseException] = []

    def run() -> None:
        try:
            fetch(server.url, place, limits=Limits(attempts=9, pause=0.01))
        except BaseException as error:  # noqa: BLE001 (reported below)
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert place.read_bytes() == BODY
    assert leftovers(place) == ["file.bin"]


def test_second_process_does_not_touch_the_first_ones_part(
    server: fs.FileServer, place: Path
) -> None:
    program = (
        "import sys; from pathlib import Path; from penstock.data.corpora.download import *\n"
        "url, path, digest = sys.argv[1:]\n"
        "download(url, Path(path), checksum=Checksum('sha1', digest))"
    )
    place.parent.mkdir()
    with atomic_replacement.lock_partial(place) as claimed:
        part = claimed.path
        part.write_bytes(b"half of it")
        command = [sys.executable, "-c", program, server.url, str(place), sha1(BODY).digest]
        subprocess.run(command, check=True, timeout=60)
        assert part.read_bytes() == b"half of it"
        assert place.read_bytes() == BODY
    assert leftovers(place) == ["file.bin", "file.bin.part"]
