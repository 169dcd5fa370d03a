"""Resumable, verified download of one file by HTTP.

The bytes are collected in `NAME.part` beside the destination; `NAME.part.json` has their URL and
version (ETag). Only a file with the right checksum gets its final name.
"""

from __future__ import annotations

import hashlib
import http.client
import itertools
import re
import socket
import string
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Literal
from urllib.parse import quote, urljoin, urlsplit

from penstock.data.corpora.atomic_replacement import (
    Origin,
    PartialFile,
    lock_partial,
    make_folder,
    place,
    writing,
)
from penstock.errors import DownloadError, UsageError

Progress = Callable[[int, int | None], None]  # bytes so far, bytes in all where known
Install = Callable[[Path, Path], None]  # from a verified file to its destination

SIZE_LIMIT = 64 * 2**20
_CHUNK = 2**16
_REDIRECTS = 5
_SLOWEST = 64  # bytes per second: a slower server counts as silent
_ELSEWHERE = "fetch the file on another machine and give it by --from FILE"


@dataclass(frozen=True, slots=True)
class Checksum:
    """The expected hash of a file."""

    algorithm: Literal["sha1", "sha256"]
    digest: str

    def __str__(self) -> str:
        return f"{self.algorithm} {self.digest}"

    def of(self, path: Path) -> Checksum:
        """Compute the checksum of the file at `path` by the same algorithm."""
        state = hashlib.new(self.algorithm, usedforsecurity=False)
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                state.update(chunk)
        return Checksum(self.algorithm, state.hexdigest())


@dataclass(frozen=True, slots=True)
class Limits:
    """Timeouts in seconds, number of attempts, maximum size in bytes."""

    timeout: float = 30.0
    attempts: int = 5
    pause: float = 1.0
    size: int = SIZE_LIMIT


class _BrokenOffError(Exception):
    """The transfer failed in a way that a retry may fix."""


def download(
    url: str,
    destination: Path,
    *,
    checksum: Checksum,
    limits: Limits | None = None,
    progress: Progress | None = None,
    install: Install | None = None,
) -> Path:
    """Download `url` to `destination`, resuming from a partial file if the server allows it.

    Args:
        url: an http or https address.
        destination: final path; its folder is created.
        checksum: verified before the file gets its final name.
        limits: see `Limits`.
        progress: called with the bytes so far and the total, if known.
        install: makes `destination` from the verified file; by default moves it there.

    Raises:
        UsageError: the address is not http or https.
        DownloadError: no network, HTTP errors, too large, wrong checksum, disk full.
    """
    if not _is_web(url):
        raise UsageError(f"{url!r}: not an http or https address; a file goes by --from FILE")
    limits = limits or Limits()
    report = progress or _unseen
    make_folder(destination.parent)
    with lock_partial(destination) as part:
        stitched = _fetch(url, part, limits, report)
        found = checksum.of(part.path)
        if found != checksum and stitched:
            # the old part may be wrong: once more from the start
            part.discard()
            _fetch(url, part, limits, report)
            found = checksum.of(part.path)
        if found != checksum:
            part.discard()
            raise DownloadError(
                f"{url}: wrong checksum: expected {checksum}, found {found}; what came was "
                f"removed. Try again, try a mirror by --url URL, or {_ELSEWHERE}"
            )
        (install or place)(part.path, destination)
        part.discard()
    return destination


def _unseen(done: int, total: int | None) -> None:
    pass


def _is_web(url: str) -> bool:
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return sound and re.fullmatch(r"[!-~]+", url) is not None


def _fetch(url: str, part: PartialFile, limits: Limits, report: Progress) -> bool:
    """Download `url` into `part` with retries; True if some bytes are from an earlier request."""
    for attempt in itertools.count(1):
        try:
            return _transfer(url, part, limits, report)
        except _BrokenOffError as error:
            if attempt >= limits.attempts:
                raise DownloadError(
                    f"{url}: {error} ({attempt} attempts); run again to go on from what has "
                    f"come, or {_ELSEWHERE}"
                ) from None
        time.sleep(min(limits.pause * 2 ** (attempt - 1), 30.0))
    raise AssertionError("unreachable")


def _transfer(url: str, part: PartialFile, limits: Limits, report: Progress) -> bool:
    """One request, from where `part` ends."""
    offset, origin = part.resumable(url)
    if origin and origin.total == offset:
        return True
    headers = {"User-Agent": "penstock", "Accept": "*/*"}
    if origin and origin.validator:
        headers |= {"Range": f"bytes={offset}-", "If-Range": origin.validator}
    with _open(url, headers, part, limits) as response:
        resumed = response.status == http.client.PARTIAL_CONTENT
        if resumed and not (origin and _continues(response.headers, offset, origin)):
            part.discard()
            raise _BrokenOffError("the file changed on the server during the download")
        length = _length(response.headers)
        start = offset if resumed else 0
        total = None if length is None else start + length
        if total is not None and total > limits.size:
            part.discard()
            raise _too_big(url, total, limits)
        if not resumed:  # also where the server ignores ranges or has a new version
            part.start(Origin(url, _validator(response.headers), total))
        _receive(response, part, start, total, limits, report)
    return resumed


def _receive(
    response: http.client.HTTPResponse,
    part: PartialFile,
    start: int,
    total: int | None,
    limits: Limits,
    report: Progress,
) -> None:
    """Append the body to `part`."""
    done = mark = start
    since = time.monotonic()
    report(done, total)
    with writing(part.path, "ab") as write:
        while total is None or done < total:
            with _network(limits):
                # read1 returns what is there; read would wait for a whole chunk, drip by drip
                chunk = response.read1(_CHUNK)
            if not chunk:
                break
            write(chunk)
            done += len(chunk)
            if done > limits.size:
                break
            report(done, total)
            if time.monotonic() - since > limits.timeout:
                if done - mark < _SLOWEST * limits.timeout:
                    raise _BrokenOffError(f"the server sends less than {_SLOWEST} bytes a second")
                mark, since = done, time.monotonic()
    if done > limits.size:
        part.discard()
        raise _too_big(response.url, done, limits)
    if total is not None and done < total:
        raise _BrokenOffError(f"the connection was cut at byte {done} of {total}")


def _open(
    url: str, headers: dict[str, str], part: PartialFile, limits: Limits
) -> http.client.HTTPResponse:
    """The response to a GET, following redirects between web addresses."""
    target = url
    for _ in range(_REDIRECTS + 1):
        answer = _request(target, headers, limits)
        if not isinstance(answer, urllib.error.HTTPError):
            return answer
        answer.close()  # unread: its body may have no end
        location = answer.headers.get("Location")
        if answer.code in (301, 302, 303, 307, 308) and location:
            target = _redirected(target, location)
            if not _is_web(target):
                raise DownloadError(
                    f"{url}: redirects to {target!r}, which is not an http or https address; "
                    f"try a mirror by --url URL, or {_ELSEWHERE}"
                )
            continue
        if answer.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and "Range" in headers:
            part.discard()  # longer than the file is now: start over
            raise _BrokenOffError("the partial file does not fit the one on the server")
        message = f"the server answered {answer.code} {answer.reason}"
        if answer.code in (408, 425, 429) or answer.code >= 500:
            raise _BrokenOffError(message)
        raise DownloadError(f"{url}: {message}; try a mirror by --url URL, or {_ELSEWHERE}")
    raise DownloadError(
        f"{url}: more than {_REDIRECTS} redirects; try a mirror by --url URL, or {_ELSEWHERE}"
    )


def _redirected(url: str, location: str) -> str:
    try:
        # headers are decoded as Latin-1; non-ASCII is percent-encoded again
        return quote(urljoin(url, location), safe=string.punctuation, encoding="iso-8859-1")
    except ValueError:
        return location


def _request(
    url: str, headers: dict[str, str], limits: Limits
) -> http.client.HTTPResponse | urllib.error.HTTPError:
    try:
        with _network(limits):
            request = urllib.request.Request(url, headers=headers)
            return _opener().open(request, timeout=limits.timeout)
    except urllib.error.HTTPError as error:
        return error
    except urllib.error.URLError as error:
        raise DownloadError(
            f"{url}: cannot connect: {_connect_reason(url, error.reason, limits)}; check the "
            f"network and the address, or {_ELSEWHERE}"
        ) from None


@contextmanager
def _network(limits: Limits) -> Generator[None]:
    """Make failures of an established connection retryable."""
    try:
        yield
    except urllib.error.URLError:
        raise
    except TimeoutError:
        raise _BrokenOffError(f"no answer for {limits.timeout:g} s") from None
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenOffError(
            f"the connection broke ({str(error) or type(error).__name__})"
        ) from None


def _connect_reason(url: str, reason: object, limits: Limits) -> str:
    if isinstance(reason, socket.gaierror):
        return f"the host {urlsplit(url).hostname} is not known here ({reason.strerror})"
    if isinstance(reason, TimeoutError):
        return f"no answer for {limits.timeout:g} s"
    if isinstance(reason, ConnectionRefusedError):
        return "connection refused"
    return str(reason)


def _too_big(url: str, size: int, limits: Limits) -> DownloadError:
    return DownloadError(
        f"{url}: {size} bytes or more, but at most {limits.size} were expected; this is another "
        f"file. Try a mirror by --url URL, or {_ELSEWHERE}"
    )


def _length(headers: Message) -> int | None:
    value = headers.get("Content-Length", "")
    return int(value) if value.isascii() and value.isdigit() else None


def _validator(headers: Message) -> str | None:
    """The value for If-Range: a strong ETag, else the date, else None."""
    etag = headers.get("ETag")
    return etag if etag and not etag.startswith("W/") else headers.get("Last-Modified")


def _continues(headers: Message, offset: int, origin: Origin) -> bool:
    """Does this partial answer go on exactly where the partial file ends, in the same version?"""
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", headers.get("Content-Range", ""))
    if not found or int(found[1]) != offset:
        return False
    changed = _validator(headers) not in (None, origin.validator)
    total = None if found[3] == "*" else int(found[3])
    return not changed and (total is None or origin.total in (None, total))


def _opener() -> urllib.request.OpenerDirector:
    # by hand: build_opener would also bring file:, ftp:, data: and its own redirects
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener
