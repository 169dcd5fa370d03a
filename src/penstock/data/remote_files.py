"""Corpora elsewhere: buckets and servers by fsspec, data sets of the Hugging Face hub.

A remote file is copied once into the user's cache, with a hash, and read there.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

from penstock.data.corpora.catalogue import cache_folder
from penstock.data.formats.format_table import FORMATS, PARQUET
from penstock.data.sealed_file import break_seal, seal, verified
from penstock.errors import DataError, MissingExtraError, UsageError
from penstock.files import content_key, replacing
from penstock.hub import fetch_files, is_hub_address, parse_hub_address

_URL = re.compile(r"[a-z][a-z0-9+.-]*://")
_SECRETS = re.compile(r"(?<=://)[^/@]*@|\?.*")  # a password, and a query that may be signed


def is_remote(name: str) -> bool:
    """Whether a name is the address of something elsewhere."""
    return _URL.match(name) is not None


def public_name(name: str) -> str:
    """An address without what must not be shown."""
    return _SECRETS.sub("", name) if is_remote(name) else name


@cache
def fetch(name: str) -> Sequence[str]:
    """The local copies of the files at an address, sorted by name.

    Raises:
        DataError: nothing is there, or it is not open to this user.
        HubError: likewise, on the hub.
        MissingExtraError: no package for such addresses is installed.
        UsageError: an address of a data set without split or path.
    """
    found = _fetch_hub(name) if is_hub_address(name) else list(_fetch_url(name))
    if not found:
        raise DataError("no file of pairs or of text is there; check it", path=public_name(name))
    return found


def _fetch_hub(name: str) -> list[str]:
    """Files of a data set: `hf://datasets/owner/name[@revision]`, and `/path` or `#split`."""
    place, _, split = name.partition("#")
    address = parse_hub_address(place)
    if address.kind != "dataset" or not (address.path or split):
        raise UsageError(
            f"{name}: name a data set and a split or a path in it, as in "
            "hf://datasets/owner/name#train or hf://datasets/owner/name/data/*.parquet"
        )
    if address.path and not split:
        patterns = [address.path, f"{address.path}/*"]
    else:
        begin = f"{address.path}/*" if address.path else "*"
        patterns = [f"{begin}{split}*{suffix}*" for suffix in (*FORMATS, ".txt")]
    folder = fetch_files(address, patterns)
    # as the library `datasets` recognises a split: a word of the path
    word = re.compile(rf"(?:^|[/._-]){re.escape(split)}(?:[/._-]|$)" if split else "")
    inside = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return [
        str(folder / file)
        for file in inside
        if any(fnmatch(file, pattern) for pattern in patterns) and word.search(file)
    ]


def _fetch_url(name: str) -> Iterator[str]:
    try:
        import fsspec
    except ModuleNotFoundError:
        raise MissingExtraError(public_name(name), "remote", "fsspec") from None
    folder = cache_folder() / "remote"
    try:
        core: Any = fsspec.core
        system, path = core.url_to_fs(name)
        for file in _remote_files(system, path):
            yield _copied(system, file, folder)
    except ImportError as error:
        raise MissingExtraError(public_name(name), "remote", error.name or "a package") from None
    except FileNotFoundError:
        raise DataError("no such file; check the address", path=public_name(name)) from None
    except DataError:
        raise
    except Exception as error:  # noqa: BLE001 (each kind of storage raises its own)
        raise _problem(error, name) from None


def _remote_files(system: Any, path: str) -> list[str]:
    is_http = "http" in _protocols(system)
    if not is_http and glob.has_magic(path):
        return sorted(file for file in system.glob(path) if system.isfile(file))
    if not is_http and system.isdir(path):
        inside = (str(file) for file in system.find(path))
        return sorted(file for file in inside if file.endswith(PARQUET))
    return [path]


def _protocols(system: Any) -> tuple[str, ...]:
    return (system.protocol,) if isinstance(system.protocol, str) else tuple(system.protocol)


def _copied(system: Any, file: str, folder: Path) -> str:
    """The local copy of a file, made unless there is a whole one of this state."""
    key = content_key(_protocols(system)[0], file)
    copy = folder / key / (Path(file.partition("?")[0]).name or "data")
    # a web server's key is its address alone
    about = system.info(file)
    state = f"{system.ukey(file)} {about.get('size')} {about.get('ETag')}"
    facts = verified(copy)
    if facts is None or facts.get("state") != state:
        with replacing(copy) as partial:
            system.get_file(file, str(partial))
            break_seal(copy)
        seal(copy, {"state": state})
    return str(copy)


def _problem(error: Exception, name: str) -> DataError:
    """One line about an error, without what it says: that may have credentials in it."""
    kind = type(error).__name__
    refused = ("permission", "credential", "forbidden", "unauthorized", "accessdenied")
    status = getattr(error, "status", None)
    if status in (401, 403) or any(word in kind.lower() for word in refused):
        what = (
            f"not open to this user ({kind}); give credentials as this storage's own tools read "
            "them, from the environment or their files"
        )
    elif status is not None:
        what = f"the server answered {status}; check the address"
    elif isinstance(error, OSError) and error.errno is not None:
        what = f"{os.strerror(error.errno)}; check the address, the network and the disk"
    else:
        what = f"cannot be read ({kind}); check the address and the network"
    return DataError(what, path=public_name(name))
