"""Atomic replacement, checksums, locks: no half a file is left, no altered one taken for whole."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import stat
import sys
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from penstock.errors import PenstockError, UsageError


def real_path(path: str | Path) -> Path:
    """A path without links; one that leads to itself, at which `Path.resolve` fails, stays."""
    return Path(os.path.realpath(path))


def require_no_input(output: str | Path, inputs: Iterable[str | Path | None]) -> None:
    """Check that `output`, a file or `-` for standard output, is none of the inputs.

    Files are the same by inode, so a link is what it leads to.

    Raises:
        UsageError: it is one of them.
    """
    for path in inputs:
        with suppress(OSError, ValueError):  # an inaccessible file is not an input
            if path is not None and _is_same_file(output, path):
                shown = "standard output" if str(output) == "-" else output
                raise UsageError(
                    f"{shown}: the output would replace its own input; choose another output"
                )


def _is_same_file(output: str | Path, path: str | Path) -> bool:
    written, read = (
        os.fstat(stream.fileno()) if str(name) == "-" else Path(name).stat()
        for name, stream in ((output, sys.stdout), (path, sys.stdin))
    )
    return stat.S_ISREG(written.st_mode) and os.path.samestat(written, read)


@contextmanager
def replacing(path: str | Path) -> Generator[Path]:
    """Yield a temporary path that atomically replaces `path` when the block succeeds.

    Raises:
        PenstockError: the file cannot be written (disk full, no permission); `path` is untouched.
    """
    path = Path(path)
    if path.exists() and not path.is_file() and not path.is_dir():
        yield path  # devices and pipes (/dev/null, /dev/stdout) are never replaced
        return
    path = Path(os.path.realpath(path))  # replace the target of a link, not the link
    partial = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        place(partial, path)
    except OSError as error:
        raise PenstockError(
            f"{path}: cannot write: {error.strerror or error}; free some space or choose another "
            "folder (what stood there before is whole)"
        ) from None
    finally:
        remove(partial)


def place(partial: Path, path: Path) -> None:
    """Rename a finished file, once its content is synced to disk."""
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    partial.replace(path)
    if os.name == "posix":
        # best effort: some file systems cannot sync a folder
        with suppress(OSError):
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


def remove(path: Path) -> None:
    """Remove a file if possible."""
    with suppress(OSError):
        path.unlink(missing_ok=True)


def atomic_write(path: str | Path, content: str | bytes) -> None:
    """Write a small file atomically; text as UTF-8 with `\\n`.

    Raises:
        UsageError: the text names a file whose name is no UTF-8.
    """
    try:
        content = content.encode() if isinstance(content, str) else content
    except UnicodeEncodeError:
        what = "cannot be written: it would name a file or directory whose name is not UTF-8"
        raise UsageError(f"{path}: {what}; rename that") from None
    with replacing(path) as partial:
        partial.write_bytes(content)


def try_lock(descriptor: int) -> bool:
    """Try to take a lock, released when the file is closed or the process ends."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def content_key(*parts: str | bytes) -> str:
    """A short name for content: equal parts, equal key."""
    digest = hashlib.blake2b(digest_size=12)
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


def file_checksum(path: Path) -> str:
    """The SHA-256 of a file, read in chunks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def with_checksum(record: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON object with its own checksum, by which `checksum_holds` finds damage."""
    return {**record, "checksum": _record_checksum(record)}


def checksum_holds(record: Mapping[str, Any]) -> bool:
    """Whether a JSON object is as `with_checksum` made it, or has no checksum."""
    return "checksum" not in record or record["checksum"] == _record_checksum(record)


def _record_checksum(record: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in record.items() if key != "checksum"}
    return content_key(json.dumps(rest, sort_keys=True))
