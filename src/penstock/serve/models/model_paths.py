"""`-m RUN` and `-m de-en=RUN`: a model and the languages that it is served for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from penstock.errors import UsageError

Pair = tuple[str, str]  # the language codes of source and target
ANY = "any"  # stands for a language that the configuration does not name

_CODE = r"[A-Za-z]{2,8}(?:[-_][A-Za-z0-9]{1,8})*"
_BY_HYPHEN = re.compile(r"([A-Za-z]{2,8})-([A-Za-z]{2,8})=(.+)", re.DOTALL)
_BY_COLON = re.compile(rf"({_CODE}):({_CODE})=(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ModelPath:
    """Where a model is.

    Attributes:
        path: a run directory or bundle.
        pair: the languages given by hand; None: those of its configuration.
    """

    path: Path
    pair: Pair | None = None

    @property
    def name(self) -> str:
        """What the model is called: the name of its run directory."""
        path = self.path.resolve()
        return path.parent.name if path.name == "model" else path.name


def parse_model_path(text: str) -> ModelPath:
    """Read what `-m` says.

    `RUN`; `de-en=RUN` gives the languages by hand; a code with a hyphen of its own wants a colon
    between the two, `en:pt-br=RUN`. A path that begins like this is written `./de-en=RUN`.

    Raises:
        UsageError: no path, or languages joined in another way.
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
    """A language's code as it is compared: lower case, `pt_BR` as `pt-br`.

    Raises:
        UsageError: no language code.
    """
    if re.fullmatch(_CODE, text) is None:
        raise UsageError(
            f"language {text!r}: a code has letters, then maybe a region, as de, ipa or pt-br"
        )
    return text.lower().replace("_", "-")


def shown_pair(pair: Pair) -> str:
    """A pair as it is written in messages and by `-m`."""
    separator = ":" if any("-" in code for code in pair) else "-"
    return separator.join(pair)
