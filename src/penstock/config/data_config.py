"""`[data]`: which examples a run reads."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from penstock.config.option_model import MOST_THREADS
from penstock.config.section import Auto, Section


def _possible_column(column: int | str | None) -> int | str | None:
    if isinstance(column, int) and not 1 <= column <= 10**6:
        raise ValueError("columns count from 1 to 1,000,000")
    return column


class DataConfig(Section):
    """Where the examples come from.

    Translation: files of pairs (TSV, CSV, JSONL, Parquet), a list of two line-parallel files, or
    `builtin` for the built-in corpus. Classification: files of texts with their labels, in the
    same formats. Language model and cloze: files of text lines.

    `valid` may also be `rest`: what follows the first `max_pairs` pairs (without sources that
    occur in them), or the first `max_characters` of a text.
    """

    train: str | list[str] = "builtin"
    """Training data: a file of pairs (TSV, CSV, JSONL, Parquet), several, a glob, a folder of
    Parquet files, an address such as `s3://…` or `hf://datasets/owner/name#train`, two
    line-parallel files, labelled texts or plain text, by task; `builtin` is the built-in
    English-French corpus."""
    valid: str | list[str] | None = None
    """Held-out data, in the same formats; `rest` takes what follows the first `max_pairs` pairs,
    without their sources, or the first `max_characters` of a text; default: hold some out."""
    valid_pairs: int = Field(default=1000, ge=1, le=10**9)
    """Without `valid`: the most pairs (lines of a cloze) to hold out, by source; at most one source
    in ten is."""
    valid_share: float = Field(default=0.05, gt=0, lt=1)
    """Without `valid`: the share of the text to hold out, from its end."""
    max_characters: int | None = Field(default=None, ge=2, le=10**15)
    """Read only the first characters of the text; default: all."""
    normalize: Literal["none", "letters"] = "none"
    """`letters` keeps a to z in lower case and turns all else into spaces, as the chapter reads The
    Time Machine."""
    join_lines: bool = False
    """Read running text: line ends become spaces."""
    columns: list[int | str | list[int | str]] | None = Field(
        default=None, min_length=2, max_length=2
    )
    """The source and target column, as numbers from 1 or as names in the header row or JSON keys;
    several columns of the source as a list, `[[1, 3], 2]`; default: the first two, or `source` and
    `target`."""
    language_column: Annotated[int | str | None, AfterValidator(_possible_column)] = None
    """The column with the language of each target, a number or a name as in `columns`: one model
    learns to translate into all of them. Its symbol stands before the source."""
    header: Literal["auto", "yes", "no"] = "auto"
    """Whether the first row of a table is a header; `auto` recognises one, and says so."""
    on_error: Literal["stop", "skip"] = "stop"
    """At an unusable line: `stop`, or `skip` it and report how many were skipped."""
    max_pairs: int | None = Field(default=None, ge=1, le=10**12)
    """Read only the first pairs (lines of a cloze); default: all."""
    hallucination: Auto[float] = Field(default=0, ge=0, le=100)
    """Invented training pairs for each real one: the letters that a source and its target share are
    exchanged for others, so that few examples teach how words change and not the words."""
    max_source_tokens: int = Field(default=256, ge=2, le=100_000)
    """Longest source, in tokens; longer training texts are cut, longer inputs are split when
    translating."""
    max_target_tokens: int = Field(default=256, ge=2, le=100_000)
    """Longest target, in tokens; longer training texts are cut."""
    source_language: str | None = None
    """Language code of the source, for the service."""
    target_language: str | None = None
    """Language code of the target, for the service."""
    cache: str | None = None
    """Folder for tokenized data, to share between runs; default: `data/` in the run directory."""

    weights: list[float] | None = Field(default=None, min_length=2)
    """A mixture: the share of each name in `train` among the pairs of an epoch, in proportion; what
    is short comes several times. Default: each pair comes once."""
    temperature: float | None = Field(default=None, ge=1, le=1000)
    """A mixture by size: shares in proportion to the pairs of each name in `train`, to the power of
    1/temperature: 1 leaves them, 5 favours the small; `weights` multiply them."""
    workers: int | None = Field(default=None, ge=1, le=MOST_THREADS)
    """Processes that read and tokenize a large corpus; the result is the same. Default: one per
    core."""

    @property
    def is_mixture(self) -> bool:
        """Whether the names in `train` are corpora with a share each."""
        return self.weights is not None or self.temperature is not None

    @model_validator(mode="after")
    def _mixture_has_parts(self) -> Self:
        if not self.is_mixture:
            return self
        names = len(self.train) if isinstance(self.train, list) else 1
        if names < 2 or len(self.weights or self.train) != names:
            given = "" if self.weights is None else f" and {len(self.weights)} weights"
            raise ValueError(
                f"a mixture has several names in data.train, and a weight for each: found {names}"
                f"{given}"
            )
        if any(not 0 < weight <= 1e6 for weight in self.weights or ()):
            raise ValueError(f"weights = {self.weights}: each must be above 0, at most 1,000,000")
        if self.hallucination:
            raise ValueError("a mixture has no invented pairs; set data.hallucination = 0")
        if self.max_pairs is not None or self.valid == "rest":
            raise ValueError("a mixture has no data.max_pairs and no data.valid = 'rest'")
        return self

    @property
    def read_columns(self) -> list[int | str | list[int | str]] | None:
        """`columns`, with the target's language as the first of the source's."""
        language = self.language_column
        if language is None:
            return self.columns
        named = isinstance(language, str)
        source, target = self.columns or (["source", "target"] if named else [1, 2])
        return [[language, *(source if isinstance(source, list) else [source])], target]

    @property
    def source_columns(self) -> list[str]:
        """Names of the source's columns, where it has several."""
        inputs = self.read_columns[0] if self.read_columns else None
        if not isinstance(inputs, list) or len(inputs) < 2:
            return []
        return [name if isinstance(name, str) else f"column {name}" for name in inputs]
