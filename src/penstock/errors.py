"""The exception hierarchy. Every message gives the place, the value found and the remedy.

The command line turns a `PenstockError` into one line on stderr and its `exit_code`;
anything else that reaches the top is a bug of ours.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


# a terminal would obey them, and a reader would be misled by marks that reverse a line
_UNSEEN = (*range(0x20), *range(0x7F, 0xA0), *range(0x2028, 0x202F), *range(0x2066, 0x206A))
_ESCAPES = {code: ascii(chr(code))[1:-1] for code in _UNSEEN if chr(code) not in "\t\n"}


def visible(text: str) -> str:
    """A message with control characters, such as those of a file name, written as escapes."""
    return text.translate(_ESCAPES)


def is_out_of_memory(error: Exception) -> bool:
    """Whether Python or torch, which has an exception for GPUs only, lacks memory."""
    messages = ("can't allocate memory", "not enough memory", "out of memory")
    return isinstance(error, MemoryError) or any(text in str(error) for text in messages)


class PenstockError(Exception):
    """Base of all errors that a user can cause and fix."""

    exit_code = 1


class UsageError(PenstockError):
    """A command or function was called wrongly (exit code 2)."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration has an unknown key or an impossible value."""


class DataError(PenstockError):
    """A data file is unusable.

    Args:
        message: what was found and what to do.
        path: the file (or `-` for standard input).
        line: 1-based line number within it.
    """

    def __init__(
        self, message: str, *, path: str | Path | None = None, line: int | None = None
    ) -> None:
        self.path = path
        self.line = line
        place = [] if path is None else [str(path).replace("\n", "\\n")]
        if line is not None:
            place.append(f"line {line}")
        super().__init__(f"{', '.join(place)}: {message}" if place else message)


class DownloadError(PenstockError):
    """A corpus could not be fetched, verified or unpacked."""


class HubError(PenstockError):
    """The Hugging Face hub has not what was asked for, rejects it, or cannot be reached."""


class BundleWarning(UserWarning):
    """A bundle is read otherwise than it was written; a command prints it in one line."""


class BundleError(PenstockError):
    """A model directory is incomplete, altered, too new or of the wrong kind."""


class TrainingError(PenstockError):
    """Training cannot go on (loss not finite, nothing to train on)."""


class PeerError(PenstockError):
    """This process ends because of another, which shows why; the command line is silent."""


class MissingExtraError(PenstockError):
    """An optional package is absent; the message names the extra that brings it.

    Args:
        feature: what needs it.
        extra: of penstock's.
        package: which it is.
        instead: what else would do, after a semicolon.
    """

    def __init__(
        self, feature: str, extra: str, package: str = "an optional package", instead: str = ""
    ) -> None:
        remedy = f"pip install 'penstock[{extra}]'"
        super().__init__(f"{feature} needs {package}: {remedy}{instead and '; ' + instead}")


@contextmanager
def train_extra(feature: str) -> Generator[None]:
    """A block that imports what only the extra `train` brings, for `feature`.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in ("torch", "safetensors", "pyarrow", "onnx"):
            raise
        raise MissingExtraError(feature, "train", package) from None


def nearest(name: str, known: Iterable[str]) -> str:
    """Suggest the nearest known name, or list them all."""
    names = list(known)
    close = _closest(name, names)
    return f"did you mean {close!r}?" if close else f"known: {', '.join(names)}"


def look_up(table: Mapping[str, T], what: str, name: str) -> T:
    """The entry of a table by its name.

    Raises:
        ValueError: there is none; with the nearest name.
    """
    if name not in table:
        raise ValueError(unknown_name(what, name, table))
    return table[name]


def unknown_name(what: str, name: str, known: Iterable[str]) -> str:
    """The message about an unknown name, with the nearest known one."""
    names = list(known)
    close = _closest(name, names)
    guess = f"did you mean {close!r}? " if close else ""
    return f"unknown {what} {name!r}; {guess}known: {', '.join(map(repr, names))}"


def _closest(name: str, known: list[str]) -> str | None:
    return next(iter(get_close_matches(name, known, n=1, cutoff=0.5)), None)
