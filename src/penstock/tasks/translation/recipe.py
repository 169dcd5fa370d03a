"""What a student is distilled from: teachers, sources, search."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from penstock.bundle import find_bundle
from penstock.data.formats.column_choice import as_columns
from penstock.data.formats.input_lines import STDIN
from penstock.data.formats.readers import ReadOptions
from penstock.errors import DataError
from penstock.runtime.engine_choice import EngineName

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.data.formats.column_choice import Columns, Header


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What is translated, by whom and how.

    Attributes:
        teachers: run directories or bundles; several translate as an ensemble.
        sources: a text or a file of pairs, or two line-parallel files.
        weights: of the teachers.
        columns, header, on_error: see `ReadOptions`.
        valid: held-out pairs, one file or two; None: what the first teacher's run held out.
        learn_references: the student learns the references beside the translations.
        beam_size, length_penalty: of the teachers' search; None: as the first one is configured.
        device, engine: see `Translator`.
    """

    teachers: Sequence[str]
    sources: Sequence[str]
    weights: Sequence[float] | None = None
    columns: Columns | None = None
    header: Header = "auto"
    on_error: Literal["stop", "skip"] = "stop"
    valid: Sequence[str] | None = None
    learn_references: bool = True
    beam_size: int | None = None
    length_penalty: float | None = None
    device: str = "auto"
    engine: EngineName = "auto"

    def read_options(self, report: Callable[[str], None]) -> ReadOptions:
        """How sources and held-out pairs are read."""
        return ReadOptions(
            columns=self.columns, header=self.header, on_error=self.on_error, report=report
        )

    def to_plain(self) -> dict[str, Any]:
        """As JSON has it, with absolute paths.

        Raises:
            BundleError: a teacher is not there.
        """
        paths = {
            "teachers": [str(find_bundle(path).absolute()) for path in self.teachers],
            "sources": [_absolute(path) for path in self.sources],
            "valid": self.valid and [_absolute(path) for path in self.valid],
        }
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self) | paths))
        return plain

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Recipe:
        """The recipe of `to_plain`, which may stand among further keys."""
        names = [field.name for field in fields(cls)]
        # one of an earlier version lacks what was always auto
        values: dict[str, Any] = {"header": "auto"} | {n: plain[n] for n in names if n in plain}
        if values["columns"] is not None:
            values["columns"] = as_columns(values["columns"])
        return cls(**values)


def read_recipe(path: Path) -> dict[str, Any]:
    """A recipe as a run keeps it, with what is known of its making.

    Raises:
        DataError: the file is damaged.
    """
    try:
        plain: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        Recipe.from_plain(plain)
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = f"damaged ({error!r}); distil again with another --out"
        raise DataError(what, path=path) from None
    return plain


def _absolute(path: str) -> str:
    return path if path == STDIN else str(Path(path).absolute())
