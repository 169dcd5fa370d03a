"""A file to write, compressed by its suffix; the same content gives the same bytes."""

from __future__ import annotations

import gzip
import lzma
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import IO, cast

from penstock.data.formats.input_lines import COMPRESSIONS, UNREAD
from penstock.errors import UsageError, train_extra


def require_writable_suffix(path: str | Path) -> None:
    """Check that a file of this name can be read and written.

    Raises:
        UsageError: an archive or another compression.
    """
    suffix = Path(path).suffix.lower()
    if suffix in UNREAD:
        raise UsageError(
            f"{path}: {UNREAD[suffix]} is not read; unpack it, or compress with gzip, xz or zstd"
        )


@contextmanager
def writing(path: Path, suffix: str) -> Generator[IO[bytes]]:
    """Open a file for writing bytes, compressed as the suffix of its final name says.

    Raises:
        OSError: it cannot be written.
        MissingExtraError: the suffix is `.zst` and pyarrow is not installed.
    """
    with path.open("wb") as plain, _packed(plain, suffix.lower()) as stream:
        yield stream


def _packed(plain: IO[bytes], suffix: str) -> AbstractContextManager[IO[bytes]]:
    if suffix not in COMPRESSIONS:
        return nullcontext(plain)
    if suffix == ".gz":  # its header would have a name and a time
        return cast(IO[bytes], gzip.GzipFile("", "wb", fileobj=plain, mtime=0))
    if suffix == ".xz":
        return cast(IO[bytes], lzma.LZMAFile(plain, "wb"))
    with train_extra("zstandard"):
        import pyarrow

    return cast(IO[bytes], pyarrow.CompressedOutputStream(plain, "zstd"))
