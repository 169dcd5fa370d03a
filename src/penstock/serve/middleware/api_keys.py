"""API keys: a file of names and hashes.

A line of the file is `name sha256:…`; blank lines and lines that begin with `#` are ignored. A key
has 256 random bits, so a plain SHA-256, which takes microseconds, protects it as well as a slow
password hash would. Never use a key that a person made up.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.types import Scope

from penstock.errors import DataError, UsageError

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HASH = re.compile(r"sha256:[0-9a-f]{64}")
_PREFIX = "penstock-"
_REMEDY = "write 'name sha256:…' as 'penstock serve --new-key NAME' prints it"


@dataclass(frozen=True, slots=True)
class ApiKeys:
    """The known keys: for each name, the SHA-256 hash of its key."""

    hashes: Mapping[str, bytes]

    def holder(self, key: str) -> str | None:
        """The name of a key's holder, or None for an unknown key.

        All hashes are compared, each in constant time, so the time reveals nothing about a key.
        """
        digest = _digest(key)
        found: str | None = None
        for name, known in self.hashes.items():
            if hmac.compare_digest(digest, known):
                found = name
        return found


def read_keys(path: Path) -> ApiKeys:
    """Read a key file.

    Raises:
        DataError: an unreadable file, a malformed line, a repeated name or key, or no key at all.
            The message never repeats what may be a key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise DataError(f"cannot be read: {reason}; {_REMEDY}", path=path) from None
    hashes: dict[str, bytes] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        name, digest = _entry(words, path, number)
        if name in hashes:
            raise DataError(f"the name {name!r} is repeated; drop one", path=path, line=number)
        if digest in hashes.values():
            raise DataError("the key is repeated; drop one", path=path, line=number)
        hashes[name] = digest
    if not hashes:
        raise DataError(f"has no key, so nobody could use the service; {_REMEDY}", path=path)
    return ApiKeys(hashes)


def new_key(name: str) -> tuple[str, str]:
    """Create a key, and the line that adds it to a key file.

    Raises:
        UsageError: the name has characters other than letters, digits, `.`, `_` and `-`.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"--new-key {name!r}: a name has 1 to 64 letters, digits, '.', '_' or '-'")
    key = _PREFIX + secrets.token_urlsafe(32)
    return key, f"{name} sha256:{_digest(key).hex()}"


def key_in_header(scope: Scope) -> str | None:
    """The API key of `Authorization: Bearer …` or DeepL's `DeepL-Auth-Key …`, or None."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, key = value.decode("latin-1").partition(" ")
            if scheme.lower() in ("bearer", "deepl-auth-key"):
                return key.strip()
    return None


def _entry(words: list[str], path: Path, number: int) -> tuple[str, bytes]:
    if len(words) != 2 or not _NAME.fullmatch(words[0]):
        raise DataError(f"not a name and a hash; {_REMEDY}", path=path, line=number)
    if not _HASH.fullmatch(words[1]):
        raise DataError(
            f"the key of {words[0]!r} is not hashed: the file must not contain plain keys; "
            f"{_REMEDY}",
            path=path,
            line=number,
        )
    return words[0], bytes.fromhex(words[1].removeprefix("sha256:"))


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
