"""`-m RUN` and `-m de-en=RUN`: the path of a model and its languages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from penstock.errors import UsageError
from penstock.files import real_path
from penstock.hub import is_hub_address, parse_hub_address

Pair = tuple[str, str]  # the language codes of source and target
ANY = "any"  # a language that the configuration does not name

_CODE = r"[A-Za-z]{2,8}(?:[-_][A-Za-z0-9]{1,8})*"
_BY_HYPHEN = re.compile(r"([A-Za-z]{2,8})-([A-Za-z]{2,8})=(.+)", re.DOTALL)
_BY_COLON = re.compile(rf"({_CODE}):({_CODE})=(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ModelPath:
    """A model's run directory or bundle, and its languages; None for those of its configuration."""

    path: Path
    pair: Pair | None = None

    @property
    def name(self) -> str:
        """The model's name, which is that of its run directory."""
        if is_hub_address(self.path):
            return parse_hub_address(self.path).repository.partition("/")[2]
        path = real_path(self.path)
        return path.parent.name if path.name == "model" else path.name


def parse_model_path(text: str) -> ModelPath:
    """Parse `-m`.

    `RUN`, or `de-en=RUN` to set the languages; `en:pt-br=RUN` if a code has a hyphen. Write
    `./de-en=RUN` for a path that looks like this.

    Raises:
        UsageError: an empty path, or languages joined in another way.
    """
    match = _BY_HYPHEN.fullmatch(text) or _BY_COLON.fullmatch(text)
    if match is not None:
        source, target, path = match.groups()
        return ModelPath(Path(path), (language_code(source), language_code(target)))
    if not text.strip():
        raise UsageError("-m '': give a run directory or bundle")
    if re.match(r"[A-Za-z]{2,3}[_ />→]+[A-Za-z]{2,3}=.", text) and not Path(text).exists():
        raise UsageError(
            f"-m {text!r}: join the language codes by a hyphen, as in en-fr=RUN, or by a colon if "
            "one has a region, as in en:pt-br=RUN"
        )
    return ModelPath(Path(text))


def language_code(text: str) -> str:
    """Normalize a language code: `pt_BR` becomes `pt-br`.

    Raises:
        UsageError: not a language code.
    """
    if re.fullmatch(_CODE, text) is None:
        raise UsageError(
            f"language {text!r}: a code is letters and an optional region, such as de, ipa or pt-br"
        )
    return text.lower().replace("_", "-")


def shown_pair(pair: Pair) -> str:
    """Format a pair as in `-m`."""
    separator = ":" if any("-" in code for code in pair) else "-"
    return separator.join(pair)
