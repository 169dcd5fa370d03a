from __future__ import annotations

import errno
import io
import random
import stat
import struct
import tracemalloc
import warnings
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.data.corpora import archive as module
from penstock.data.corpora import atomic_replacement
from penstock.data.corpora.archive import unpack_member
from penstock.errors import DownloadError

TEXT = "".join(f"Go {n}.\tVa {n} !\n" for n in range(20_000)).encode()
MEMBER = "fra-eng/fra.txt"


def packed(
    *entries: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED
) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of duplicate names, which are meant
        with zipfile.ZipFile(buffer, "w", method) as contents:
            for name, body in entries:
                contents.writestr(name, body, compress_type=method)
    return buffer.getvalue()


GOOD = packed(("fra-eng/_about.txt", b"about"), (MEMBER, TEXT))


def unpack(tmp_path: Path, data: bytes, **more: int) -> Path:
    source = tmp_path / "a.zip"
    source.write_bytes(data)
    return unpack_member(source, MEMBER, tmp_path / "out" / "fra.txt", **more)


def refused(tmp_path: Path, data: bytes, message: str, **more: int) -> None:
    with pytest.raises(DownloadError, match=rf"a\.zip: {message}.*--force.*--from FILE"):
        unpack(tmp_path, data, **more)
    if (tmp_path / "out").exists():
        assert list((tmp_path / "out").iterdir()) == []
    assert {path.name for path in tmp_path.iterdir()} <= {"a.zip", "out"}


def directory_at(data: bytes, name: str) -> int:
    """Where the central directory's record of `name` begins."""
    return data.rindex(name.encode()) - 46


def patched(data: bytes, at: int, form: str, value: int) -> bytes:
    out = bytearray(data)
    struct.pack_into(form, out, at, value)
    return bytes(out)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_one_member_only(tmp_path: Path, method: int) -> None:
    data = packed(("other.txt", b"other"), (MEMBER, TEXT), method=method)
    out = unpack(tmp_path, data)
    assert out.read_bytes() == TEXT
    assert [path.name for path in out.parent.iterdir()] == ["fra.txt"]


def test_replaces_an_older_file_only_when_whole(tmp_path: Path) -> None:
    out = unpack(tmp_path, packed((MEMBER, b"old")))
    with pytest.raises(DownloadError):
        unpack(tmp_path, GOOD[:1000])
    assert out.read_bytes() == b"old"
    unpack(tmp_path, GOOD)
    assert out.read_bytes() == TEXT


@pytest.mark.parametrize(
    "name",
    ["../evil", "a/../../evil", "/etc/evil", "C:\\evil", "c:evil", "..\\evil", "\\\\host\\evil"],
)
def test_paths_that_lead_out(tmp_path: Path, name: str) -> None:
    refused(tmp_path, packed((name, b"x"), (MEMBER, TEXT)), "holds .* leads out of the archive")


def test_symbolic_link(tmp_path: Path) -> None:
    link = zipfile.ZipInfo(MEMBER)
    link.create_system = 3
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    refused(tmp_path, packed((link, b"/etc/passwd")), "holds 'fra-eng/fra.txt', a symbolic link")


def test_declared_bomb(tmp_path: Path) -> None:
    refused(
        tmp_path, GOOD, f"unpacks .* to {len(TEXT)} bytes or more .at most 1000.", size_limit=1000
    )


def test_bomb_by_ratio(tmp_path: Path) -> None:
    refused(tmp_path, packed((MEMBER, bytes(5_000_000))), "packs .* more than 100 times: a bomb")


def test_small_repetitive_file_is_no_bomb(tmp_path: Path) -> None:
    assert unpack(tmp_path, packed((MEMBER, bytes(1_000_000)))).stat().st_size == 1_000_000


def test_bomb_by_lying_header(tmp_path: Path) -> None:
    data = packed((MEMBER, bytes(50_000_000)))
    lying = patched(data, directory_at(data, MEMBER) + 24, "<I", 10)
    tracemalloc.start()
    refused(tmp_path, lying, "packs .* more than 100 times: a bomb")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


@pytest.mark.parametrize("declared", [10, len(TEXT) + 1])
def test_header_that_lies_about_the_size(tmp_path: Path, declared: int) -> None:
    lying = patched(GOOD, directory_at(GOOD, MEMBER) + 24, "<I", declared)
    refused(tmp_path, lying, f"declares {declared} bytes for .* but holds {len(TEXT)}")


def test_too_many_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ENTRY_LIMIT", 10)
    many = packed(*((f"{n}", b"") for n in range(11)), (MEMBER, TEXT))
    refused(tmp_path, many, "holds too many entries .12, at most 10.")


def test_huge_directory_is_not_even_read(tmp_path: Path) -> None:
    huge = patched(GOOD, len(GOOD) - 10, "<I", 2**31)
    refused(tmp_path, huge, "holds too many entries .at most 1000.")


def test_zip64(tmp_path: Path) -> None:
    end = len(GOOD) - 22
    refused(tmp_path, GOOD[:end] + b"PK\6\7" + bytes(16) + GOOD[end:], "is a zip64 archive")


def test_encrypted(tmp_path: Path) -> None:
    flagged = patched(GOOD, directory_at(GOOD, MEMBER) + 8, "<H", 1)
    refused(tmp_path, flagged, "holds .* which is encrypted")


def test_unknown_method(tmp_path: Path) -> None:
    refused(
        tmp_path, packed((MEMBER, TEXT), method=zipfile.ZIP_LZMA), "holds .* packed by method 14"
    )


def test_overlapping(tmp_path: Path) -> None:
    data = packed(("a", b"x" * 1000), (MEMBER, TEXT))
    # both records point at the same bytes
    shared = patched(data, directory_at(data, MEMBER) + 42, "<I", 0)
    refused(tmp_path, shared, "holds entries that overlap")


def test_entry_that_runs_into_the_directory(tmp_path: Path) -> None:
    long = patched(GOOD, directory_at(GOOD, MEMBER) + 20, "<I", len(GOOD))
    refused(tmp_path, long, "holds entries that overlap")


def test_twice_the_same_name(tmp_path: Path) -> None:
    refused(tmp_path, packed((MEMBER, b"a"), (MEMBER, b"b")), "holds 2 entries called")


def test_without_the_member(tmp_path: Path) -> None:
    refused(tmp_path, packed(("fra.txt", TEXT)), "does not hold 'fra-eng/fra.txt'")


@pytest.mark.parametrize("size", [1, 30, len(GOOD) // 2, len(GOOD) - 1])
def test_truncated(tmp_path: Path, size: int) -> None:
    refused(tmp_path, GOOD[:size], "is not a zip archive, or its end is cut off")


def test_empty_and_other_files(tmp_path: Path) -> None:
    refused(tmp_path, b"", "is empty")
    refused(tmp_path, b"<html>sorry</html>" * 100, "is not a zip archive")


def test_damaged_bytes(tmp_path: Path) -> None:
    at = GOOD.index(MEMBER.encode()) + 5000
    refused(tmp_path, GOOD[:at] + bytes(100) + GOOD[at + 100 :], "cannot be unpacked: ")


def test_missing_archive(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"none\.zip: cannot be unpacked: No such file"):
        unpack_member(tmp_path / "none.zip", MEMBER, tmp_path / "fra.txt")


def test_disk_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic_replacement, "_write_some", full)
    with pytest.raises(DownloadError, match=r"cannot write: No space left.*PENSTOCK_CACHE"):
        unpack(tmp_path, GOOD)
    assert list((tmp_path / "out").iterdir()) == []


SMALL = packed(("a.txt", b"abc"), (MEMBER, TEXT[:3000]))


@settings(max_examples=300, deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.integers(0, 255)), max_size=4),
    end=st.integers(len(SMALL) - 40, len(SMALL)) | st.just(len(SMALL)),
)
def test_any_damage_is_an_error_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]], end: int
) -> None:
    data = bytearray(SMALL)
    for at, value in changes:
        data[at] = value
    folder = tmp_path_factory.getbasetemp() / "damage"
    folder.mkdir(exist_ok=True)
    try:
        out = unpack(folder, bytes(data[:end]))
    except DownloadError:
        return
    assert out.read_bytes() == TEXT[:3000]


def test_random_bytes_with_an_end_record(tmp_path: Path) -> None:
    source = random.Random(3)
    for _ in range(200):
        noise = source.randbytes(200)
        end = b"PK\5\6" + bytes(8) + source.randbytes(8) + bytes(2)
        with pytest.raises(DownloadError):
            unpack(tmp_path, noise + end)
