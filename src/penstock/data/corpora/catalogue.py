"""The catalogue of corpora: their URLs, checksums and local paths."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from penstock.data.corpora.archive import unpack_member
from penstock.data.corpora.atomic_replacement import place, temporary_path, writing
from penstock.data.corpora.download import SIZE_LIMIT, Checksum, Limits, Progress, download
from penstock.data.sealed_file import seal, verified
from penstock.errors import DownloadError, UsageError, nearest


@dataclass(frozen=True, slots=True)
class Remote:
    """The download of a corpus.

    Attributes:
        url: of the file, or of the archive that contains it.
        checksum: of the download.
        file: local name.
        member: entry of the archive; None if `url` is the file itself.
    """

    url: str
    checksum: Checksum
    file: str
    member: str | None = None


@dataclass(frozen=True, slots=True)
class Corpus:
    """One entry of the catalogue; `remote` is None for a generated corpus."""

    name: str
    what: str
    licence: str
    size: str
    remote: Remote | None


CATALOGUE = (
    Corpus(
        name="builtin",
        what="English-French sentences of penstock's own grammar, made by seed",
        licence="Apache-2.0",
        size="over 100,000 pairs",
        remote=None,
    ),
    Corpus(
        name="fra-eng",
        what="English-French sentences of Tatoeba, the chapter's corpus, shortest first",
        licence="CC-BY 2.0",
        size="about 167,000 pairs",
        remote=Remote(
            "http://d2l-data.s3-accelerate.amazonaws.com/fra-eng.zip",
            Checksum("sha1", "94646ad1522d915e7b0f9296181140edcf86a4f5"),
            file="fra.txt",
            member="fra-eng/fra.txt",
        ),
    ),
    Corpus(
        name="timemachine",
        what="The Time Machine by H. G. Wells, the chapter's text for language models",
        licence="public domain",
        size="3,221 lines",
        remote=Remote(
            "http://d2l-data.s3-accelerate.amazonaws.com/timemachine.txt",
            Checksum("sha1", "090b5e7e70c295757f55df93cb0a180b9691891a"),
            file="timemachine.txt",
        ),
    ),
)


def find_corpus(name: str) -> Corpus:
    """Look up a corpus by name.

    Raises:
        UsageError: unknown name; the nearest is suggested.
    """
    known = {corpus.name: corpus for corpus in CATALOGUE}
    if name in known:
        return known[name]
    raise UsageError(f"unknown corpus {name!r}; {nearest(name.lower(), known)}")


def cache_folder() -> Path:
    """The user's cache folder, overridden by the environment variable `PENSTOCK_CACHE`."""
    override = os.environ.get("PENSTOCK_CACHE")
    return Path(override).expanduser() if override else platformdirs.user_cache_path("penstock")


def corpus_path(name: str) -> Path:
    """The local path of a corpus.

    Raises:
        UsageError: unknown name, or a corpus without a download.
    """
    return cache_folder() / "corpora" / name / _remote(name).file


def get_corpus(
    name: str,
    *,
    url: str | None = None,
    force: bool = False,
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> Path:
    """Download and verify a corpus, unless it is there already, undamaged; return its path.

    Args:
        name: an entry of the catalogue.
        url: a mirror to use instead, with the same checksum.
        force: download even if it is there.
        limits: timeouts, attempts and maximum size.
        progress: called with the bytes so far and the total, if known.

    Raises:
        UsageError: unknown name, nothing to fetch, or an address that is not http or https.
        DownloadError: the download, its verification or its extraction failed.
    """
    remote = _remote(name)
    path = corpus_path(name)
    if is_placed(name) and not force:
        return path
    download(
        url or remote.url,
        path,
        checksum=remote.checksum,
        limits=limits,
        progress=progress,
        install=lambda source, destination: _install(remote, source, destination),
    )
    seal(path)
    return path


def is_placed(name: str) -> bool:
    """Whether a corpus is there, as it was placed; what it was is read once, to compare."""
    return verified(corpus_path(name)) is not None


def place_local(name: str, file: Path) -> Path:
    """Install a corpus from a local `file`, verified like a download.

    Raises:
        UsageError: unknown name, or a corpus without a download.
        DownloadError: the file cannot be read, or has another checksum.
    """
    remote = _remote(name)
    path = corpus_path(name)
    with temporary_path(path) as copied:
        # verify the copy: the original may change meanwhile
        _copy(file, copied)
        found = remote.checksum.of(copied)
        if found != remote.checksum:
            raise DownloadError(
                f"{file}: wrong checksum: expected {remote.checksum}, found {found}; give the "
                f"file as it comes from {remote.url}, neither unpacked nor edited"
            )
        _install(remote, copied, path)
    seal(path)
    return path


def _remote(name: str) -> Remote:
    remote = find_corpus(name).remote
    if remote is None:
        raise UsageError(
            f"corpus {name!r}: nothing to fetch, penstock makes it; train on it with "
            f"`train = {name!r}` under [data], or run `penstock demo`"
        )
    return remote


def _install(remote: Remote, source: Path, destination: Path) -> None:
    if remote.member is None:
        place(source, destination)
    else:
        unpack_member(source, remote.member, destination)


def _copy(file: Path, destination: Path) -> None:
    done = 0
    with writing(destination) as write:
        try:
            with file.open("rb") as source:
                while chunk := source.read(2**16):
                    done += len(chunk)
                    if done > SIZE_LIMIT:
                        break
                    write(chunk)
        except OSError as error:
            raise DownloadError(
                f"{file}: cannot read: {error.strerror or error}; give the fetched file by "
                "--from FILE"
            ) from None
    if done > SIZE_LIMIT:
        raise DownloadError(
            f"{file}: more than {SIZE_LIMIT} bytes, larger than any corpus here; give the "
            "fetched file by --from FILE"
        )
