"""Safe extraction of one member from an untrusted zip archive.

The archive decides neither the output path nor how much of the disk is filled.
"""

from __future__ import annotations

import copy
import itertools
import re
import stat
import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO

from penstock.data.corpora.atomic_replacement import place, temporary_path, writing
from penstock.errors import DownloadError

SIZE_LIMIT = 256 * 2**20  # bytes of the unpacked member
ENTRY_LIMIT = 1000
RATIO_LIMIT = 100  # plain text deflates 3 to 10 times
_RATIO_FREE = 2**20  # no ratio limit for small files
_CHUNK = 2**16
_DIRECTORY_BYTES = 512  # upper bound of an entry's record in the central directory
_BAD_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    RuntimeError,  # and NotImplementedError, for features that zipfile lacks
)


def unpack_member(
    archive: Path, member: str, destination: Path, *, size_limit: int = SIZE_LIMIT
) -> Path:
    """Extract `member` of the zip file `archive` to `destination` atomically.

    Args:
        archive: the zip file.
        member: exact name of the entry.
        destination: output path; an existing file is replaced at the end.
        size_limit: maximum number of bytes extracted.

    Raises:
        DownloadError: not a zip file, damaged, encrypted, hostile, no such member, disk full.
    """
    try:
        with archive.open("rb") as file:
            _check_directory(archive, file)
            with zipfile.ZipFile(file) as contents:
                entry = _wanted(archive, contents, member)
                _copy_out(archive, contents, entry, destination, size_limit)
    except _BAD_ZIP as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise _archive_error(
            archive, f"cannot be unpacked: {reason or type(error).__name__}"
        ) from None
    return destination


def _archive_error(archive: Path, what: str) -> DownloadError:
    return DownloadError(
        f"{archive}: {what}; fetch the archive again (--force) or give a sound one by --from FILE"
    )


def _check_directory(archive: Path, file: IO[bytes]) -> None:
    """Reject a huge central directory before zipfile reads it into memory."""
    size = file.seek(0, 2)
    file.seek(max(0, size - 22 - 0xFFFF))
    tail = file.read()
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) - at < 22:
        what = "is empty" if not size else "is not a zip archive, or its end is cut off"
        raise _archive_error(archive, what)
    if tail[max(0, at - 20) : at].startswith(b"PK\6\7"):
        raise _archive_error(archive, "is a zip64 archive, which no corpus of this size needs")
    (length,) = struct.unpack_from("<I", tail, at + 12)
    if length > ENTRY_LIMIT * _DIRECTORY_BYTES:
        raise _archive_error(archive, f"holds too many entries (at most {ENTRY_LIMIT})")


def _wanted(archive: Path, contents: zipfile.ZipFile, member: str) -> zipfile.ZipInfo:
    """Find the entry called `member`, after checking all entries."""
    entries = contents.infolist()
    if len(entries) > ENTRY_LIMIT:
        raise _archive_error(
            archive, f"holds too many entries ({len(entries)}, at most {ENTRY_LIMIT})"
        )
    for entry in entries:
        _check_entry(archive, entry)
    _check_overlap(archive, contents, entries)
    found = [entry for entry in entries if entry.orig_filename == member]
    if len(found) != 1:
        what = "does not hold" if not found else f"holds {len(found)} entries called"
        raise _archive_error(archive, f"{what} {member!r}")
    return found[0]


def _check_entry(archive: Path, entry: zipfile.ZipInfo) -> None:
    name = entry.orig_filename
    parts = re.split(r"[/\\]", name)
    if parts[0] == "" or ".." in parts or re.match(r"[A-Za-z]:", name) or "\0" in name:
        raise _archive_error(archive, f"holds {name!r}, a path that leads out of the archive")
    if entry.create_system == 3 and stat.S_ISLNK(entry.external_attr >> 16):
        raise _archive_error(archive, f"holds {name!r}, a symbolic link")
    if entry.flag_bits & 0x1:
        raise _archive_error(archive, f"holds {name!r}, which is encrypted")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _archive_error(
            archive, f"holds {name!r}, packed by method {entry.compress_type}, not deflate"
        )


def _check_overlap(
    archive: Path, contents: zipfile.ZipFile, entries: list[zipfile.ZipInfo]
) -> None:
    """Reject overlapping entries, a trick of zip bombs."""
    spans = sorted(
        (entry.header_offset, entry.header_offset + 30 + entry.compress_size) for entry in entries
    )
    spans.append((contents.start_dir, contents.start_dir))
    for (_, end), (begin, _) in itertools.pairwise(spans):
        if end > begin:
            raise _archive_error(archive, "holds entries that overlap")


def _copy_out(
    archive: Path,
    contents: zipfile.ZipFile,
    entry: zipfile.ZipInfo,
    destination: Path,
    size_limit: int,
) -> None:
    name, declared = entry.orig_filename, entry.file_size
    ratio_limit = max(_RATIO_FREE, RATIO_LIMIT * entry.compress_size)
    limit = min(size_limit, ratio_limit)
    if declared > limit:
        raise _too_large(archive, name, declared, size_limit)
    # zipfile stops at the declared size; reading past it exposes a false header
    entry = copy.copy(entry)
    entry.file_size = limit + 2 * _CHUNK
    done = 0
    with contents.open(entry) as source, temporary_path(destination) as path:
        with writing(path) as write:
            while chunk := source.read(_CHUNK):
                done += len(chunk)
                if done > limit:
                    raise _too_large(archive, name, done, size_limit)
                write(chunk)
        if done != declared:
            raise _archive_error(
                archive, f"declares {declared} bytes for {name!r} but holds {done}"
            )
        place(path, destination)


def _too_large(archive: Path, name: str, size: int, size_limit: int) -> DownloadError:
    if size > size_limit:
        return _archive_error(
            archive, f"unpacks {name!r} to {size} bytes or more (at most {size_limit})"
        )
    return _archive_error(
        archive, f"packs {name!r} more than {RATIO_LIMIT} times: a bomb, not text"
    )
