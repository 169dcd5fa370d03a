"""`[data]`: which examples a run reads."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from penstock.config.section import Section


class DataConfig(Section):
    """Where the examples come from.

    Translation: one file of pairs (TSV, CSV, JSONL), a list of two line-parallel files, or
    `builtin` for the built-in corpus. Classification: a file of texts with their labels, in the
    same formats. Language model and cloze: a file of text lines.

    `valid` may also be `rest`: what follows the first `max_pairs` pairs (without sources that
    occur in them), or the first `max_characters` of a text.
    """

    train: str | list[str] = "builtin"
    valid: str | list[str] | None = None
    valid_pairs: int = Field(
        default=1000,
        ge=1,
        description="held out by source (lines of a cloze by their text) when `valid` is absent",
    )
    valid_share: float = Field(
        default=0.05,
        gt=0,
        lt=1,
        description="language model: the last part of the text, held out when `valid` is absent",
    )
    max_characters: int | None = Field(
        default=None, ge=2, description="language model: only the first characters of the text"
    )
    normalize: Literal["none", "letters"] = Field(
        default="none",
        description="letters: only a-z in lower case, anything else a space, as the chapter reads "
        "The Time Machine",
    )
    join_lines: bool = Field(
        default=False, description="language model: running text, line ends are spaces"
    )
    columns: list[int | str] | None = Field(default=None, min_length=2, max_length=2)
    on_error: Literal["stop", "skip"] = "stop"
    max_pairs: int | None = Field(default=None, ge=1)
    max_source_tokens: int = Field(default=256, ge=2)
    max_target_tokens: int = Field(default=256, ge=2)
    source_language: str | None = None
    target_language: str | None = None
    cache: str | None = Field(
        default=None, description="folder for tokenised data; default: in the run"
    )
