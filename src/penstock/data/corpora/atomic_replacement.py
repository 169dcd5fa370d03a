"""Atomic replacement of downloaded files: partial files, resumption, locks."""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import FileIO
from pathlib import Path
from typing import Literal

from penstock import files
from penstock.errors import DownloadError

_HEADER_VALUE = r"[ -~]+"  # valid in If-Range


def make_folder(folder: Path) -> None:
    """Create `folder` and its parents."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(folder, error) from None


@contextmanager
def temporary_path(destination: Path) -> Generator[Path]:
    """Yield a unique path beside `destination`; delete it at the end unless placed."""
    make_folder(destination.parent)
    path = destination.with_name(f"{destination.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def writing(path: Path, mode: Literal["wb", "ab"] = "wb") -> Generator[Callable[[bytes], None]]:
    """Open `path` and yield its write function; disk errors become `DownloadError`s."""
    try:
        file = path.open(mode, buffering=0)  # unbuffered: no write can fail at close
    except OSError as error:
        raise disk_error(path, error) from None

    def write(chunk: bytes) -> None:
        rest = memoryview(chunk)
        try:
            while rest:
                rest = rest[_write_some(file, rest) :]
        except OSError as error:
            raise disk_error(path, error) from None

    with file:
        yield write


def place(path: Path, destination: Path) -> None:
    """`files.place`, with a remedy for a full disk."""
    try:
        files.place(path, destination)
    except OSError as error:
        raise disk_error(destination, error) from None


def _write_some(file: FileIO, chunk: memoryview) -> int:
    return file.write(chunk)


def disk_error(path: Path, error: OSError) -> DownloadError:
    """The error for a `path` that cannot be written."""
    return DownloadError(
        f"{path}: cannot write: {error.strerror or error}; free some space or set PENSTOCK_CACHE "
        "to a folder that can be written, then run again (with --from FILE if you have the file)"
    )


@dataclass(frozen=True, slots=True)
class Origin:
    """The origin of a partial file; `validator` is the server's ETag or date of this version."""

    url: str
    validator: str | None
    total: int | None


@dataclass(frozen=True, slots=True)
class PartialFile:
    """A partial file, and a note beside it about its origin."""

    path: Path

    @property
    def note(self) -> Path:
        """The file with the origin, as JSON."""
        return self.path.with_name(self.path.name + ".json")

    def resumable(self, url: str) -> tuple[int, Origin | None]:
        """The number of reusable bytes and their origin, or (0, None)."""
        try:
            size = self.path.stat().st_size
            origin = Origin(**json.loads(self.note.read_text(encoding="utf-8")))
            same = origin.url == url and re.fullmatch(_HEADER_VALUE, origin.validator or "")
            fits = origin.total is None or 0 < size <= origin.total
        except (OSError, ValueError, TypeError):
            return 0, None
        return (size, origin) if same and fits and size else (0, None)

    def start(self, origin: Origin) -> None:
        """Restart with an empty file from `origin`."""
        # old bytes go first: a note must never describe bytes of another version
        self.discard()
        with writing(self.note) as write:
            write(json.dumps(asdict(origin)).encode())

    def discard(self) -> None:
        """Remove the file and its note."""
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


@contextmanager
def lock_partial(destination: Path) -> Generator[PartialFile]:
    """Yield the shared partial file, or a private one if another process holds its lock."""
    lock = destination.with_name(destination.name + ".lock")
    try:
        file = lock.open("ab")
    except OSError as error:
        raise disk_error(lock, error) from None
    with file:
        if files.try_lock(file.fileno()):
            yield PartialFile(destination.with_name(destination.name + ".part"))
        else:
            with temporary_path(destination) as path:
                part = PartialFile(path)
                try:
                    yield part
                finally:
                    part.discard()
