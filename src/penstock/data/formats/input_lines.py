"""Lines of text from a plain or compressed file or from standard input, in bounded memory.

Only `\\n` and `\\r\\n` end a line. NEL, U+2028, vertical tab and form feed are ordinary characters,
so nothing here calls `str.splitlines`. Text is strict UTF-8; a byte order mark is dropped.
"""

from __future__ import annotations

import gzip
import io
import lzma
import os
import sys
import zlib
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import IO, NamedTuple, cast

from penstock.errors import DataError, train_extra

STDIN = "-"
COMPRESSIONS = (".gz", ".xz", ".zst")
MAX_LINE_BYTES = 16 * 2**20  # bounds the memory for a "text" without line ends

_BUFFER_BYTES = 2**18
_DAMAGE = (EOFError, lzma.LZMAError, zlib.error, OSError)
UNREAD = {".bz2": "bzip2", ".zip": "zip", ".7z": "7-Zip", ".tar": "tar", ".tgz": "tar"}
_BOM = b"\xef\xbb\xbf"
_FOREIGN_STARTS = {
    b"\xff\xfe": "UTF-16 text; convert it: iconv -f UTF-16 -t UTF-8",
    b"\xfe\xff": "UTF-16 text; convert it: iconv -f UTF-16 -t UTF-8",
    b"\x1f\x8b": "gzip data; unpack it, or give the file the suffix .gz",
    b"\xfd7zXZ": "xz data; unpack it, or give the file the suffix .xz",
    b"\x28\xb5\x2f\xfd": "zstandard data; unpack it, or give the file the suffix .zst",
    b"PK\x03\x04": "a zip archive; unpack it first",
}


class Line(NamedTuple):
    """A 1-based line number and the text without the line end."""

    number: int
    text: str


class BadLineError(DataError):
    """One line is unusable; the reader may skip it and continue."""


def open_bytes(path: str | Path) -> AbstractContextManager[IO[bytes]]:
    """Open a file for reading bytes, decompressed by its suffix; `-` is standard input.

    Raises:
        DataError: no such file, a directory, no permission, an unsupported archive.
    """
    if str(path) == STDIN:
        return nullcontext(sys.stdin.buffer)
    suffix = Path(path).suffix.lower()
    if suffix in UNREAD:
        raise DataError(
            f"{UNREAD[suffix]} is not read; unpack it, or compress with gzip, xz or zstd",
            path=path,
        )
    try:
        plain = Path(path).open("rb", buffering=_BUFFER_BYTES)  # noqa: SIM115 (the caller closes)
    except OSError as error:
        raise _unreadable(error, path) from None
    if suffix not in COMPRESSIONS:
        return plain
    if not os.fstat(plain.fileno()).st_size:
        plain.close()
        raise DataError("the file has 0 bytes, cut short; fetch or make it again", path=path)
    if suffix == ".zst":
        plain.close()  # Arrow opens by name; Python has reported a missing file
        return _open_zstd(path)
    return _decompressed(plain, suffix)


@contextmanager
def reading(path: str | Path) -> Generator[IO[bytes]]:
    """`open_bytes` for a block, which also reports damage found while reading.

    Raises:
        DataError: as `open_bytes`, or the compressed data are damaged or cut short.
    """
    try:
        with open_bytes(path) as stream:
            yield stream
    except _DAMAGE as error:
        raise _broken(error, path, 0) from None


def scan_lines(path: str | Path) -> Iterator[Line | BadLineError]:
    """Iterate over the lines of a text; an unusable line is yielded as an error *value*.

    Raises:
        DataError: the file cannot be opened, is damaged or cut short, or has no line ends.
    """
    number = 0
    try:
        with open_bytes(path) as stream:
            while raw := stream.readline(MAX_LINE_BYTES):
                number += 1
                if len(raw) == MAX_LINE_BYTES and not raw.endswith(b"\n"):
                    raise DataError(
                        f"longer than {MAX_LINE_BYTES // 2**20} MiB; is it a text with one "
                        "example a line?",
                        path=path,
                        line=number,
                    )
                yield _decode(raw, path, number)
    except _DAMAGE as error:
        raise _broken(error, path, number) from None


def read_lines(path: str | Path) -> Iterator[Line]:
    """Iterate over the lines of a text.

    Raises:
        DataError: as `scan_lines`, and for undecodable bytes or a NUL byte.
    """
    for line in scan_lines(path):
        if isinstance(line, BadLineError):
            raise line
        yield line


def _decode(raw: bytes, path: str | Path, number: int) -> Line | BadLineError:
    if number == 1:
        for start, what in _FOREIGN_STARTS.items():
            if raw.startswith(start):
                raise DataError(f"this is {what}", path=path, line=1)
        raw = raw.removeprefix(_BOM)
    if raw.endswith(b"\n"):
        raw = raw[:-2] if raw.endswith(b"\r\n") else raw[:-1]
    if 0 in raw:
        what = f"a NUL byte at byte {raw.index(0) + 1}; remove it, or check that this is text"
        return BadLineError(what, path=path, line=number)
    try:
        return Line(number, raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        what = (
            f"byte 0x{raw[error.start]:02x} at byte {error.start + 1} is not UTF-8; "
            "convert the file, for example: iconv -f LATIN1 -t UTF-8"
        )
        return BadLineError(what, path=path, line=number)


def _decompressed(plain: IO[bytes], suffix: str) -> AbstractContextManager[IO[bytes]]:
    unpacked = gzip.GzipFile(fileobj=plain) if suffix == ".gz" else lzma.LZMAFile(plain)  # noqa: SIM115
    return _closing(io.BufferedReader(cast(io.RawIOBase, unpacked), _BUFFER_BYTES), plain)


def _open_zstd(path: str | Path) -> AbstractContextManager[IO[bytes]]:
    with train_extra(f"{path}: zstandard"):
        import pyarrow

    unpacked = cast(io.RawIOBase, pyarrow.input_stream(str(path), compression="zstd"))
    return _closing(io.BufferedReader(unpacked, _BUFFER_BYTES))


@contextmanager
def _closing(stream: IO[bytes], *underlying: IO[bytes]) -> Generator[IO[bytes]]:
    """Close the buffer and the underlying file, which gzip and lzma leave open."""
    with ExitStack() as stack:
        for file in (*underlying, stream):
            stack.enter_context(file)
        yield stream


def _unreadable(error: OSError, path: str | Path) -> DataError:
    if isinstance(error, FileNotFoundError):
        return DataError("no such file; check the path", path=path)
    if isinstance(error, IsADirectoryError):
        return DataError("this is a directory; name a file", path=path)
    return DataError(f"cannot be read: {error.strerror or error}", path=path)


def _broken(error: Exception, path: str | Path, number: int) -> DataError:
    compressed = Path(path).suffix.lower() in COMPRESSIONS
    if not compressed:
        assert isinstance(error, OSError), error
        return _unreadable(error, path)
    cut = isinstance(error, EOFError) or "truncated" in str(error).lower()
    what = "the compressed data are cut short" if cut else "the compressed data are damaged"
    where = f" after line {number}" if number else ""
    return DataError(f"{what}{where}; fetch or make the file again", path=path)
