"""One training run from data to model: all sections, and what they must agree on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, cast

from pydantic import BaseModel, Field, model_validator

from penstock.config.data_config import DataConfig
from penstock.config.model_config import ModelConfig
from penstock.config.search_config import SearchConfig
from penstock.config.section import Section, is_table
from penstock.config.text_config import TextConfig
from penstock.config.training_config import TrainingConfig
from penstock.tasks import (
    DEFAULTS,
    METRICS,
    UNUSED,
    UNUSED_WITH_TRANSFORMER,
    Task,
    wrong_directions,
)


class RunConfig(Section):
    """One training run from data to model.

    Each section may be a section object or a mapping of its keys; what neither sets has the
    task's default.

        RunConfig(data={"train": "pairs.tsv"}, model=ModelConfig(cell="gru"))
    """

    task: Task = "translation"
    seed: int = Field(default=1, ge=0, lt=2**63)
    threads: int | None = Field(default=None, ge=1)
    device: str = "auto"
    data: DataConfig = DataConfig()
    text: TextConfig = TextConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    search: SearchConfig = SearchConfig()

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            task: Task = ...,
            seed: int = ...,
            threads: int | None = ...,
            device: str = ...,
            data: DataConfig | Mapping[str, Any] = ...,
            text: TextConfig | Mapping[str, Any] = ...,
            model: ModelConfig | Mapping[str, Any] = ...,
            training: TrainingConfig | Mapping[str, Any] = ...,
            search: SearchConfig | Mapping[str, Any] = ...,
        ) -> None: ...

    @classmethod
    def resolve(cls, values: Mapping[str, Any], place: str) -> dict[str, Any]:
        """The values as plain data over the task's defaults, their keys checked."""
        plain = super().resolve(values, place)
        task = plain.get("task", "translation")
        usual = DEFAULTS.get(cast(Task, task if isinstance(task, str) else ""), {})
        return _laid_over(usual, plain)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.model.tie_embeddings == "all" and not self.text.shared:
            raise ValueError(
                "model.tie_embeddings = 'all' needs text.shared = true: both sides use one "
                "vocabulary"
            )
        if self.task != "translation" and self.data.train == "builtin":
            raise ValueError(
                "data.train = 'builtin': the built-in corpus has sentence pairs, for task = "
                f"'translation'; give a file for task = {self.task!r}"
            )
        if self.task == "cloze" and self.text.source.kind in ("bpe", "unigram"):
            raise ValueError(
                f"text.source.kind = {self.text.source.kind!r}: a blank of a cloze is one token, "
                "and a piece of a word is no blank; choose word, char or separator"
            )
        if self.training.metric not in METRICS[self.task]:
            raise ValueError(
                f"training.metric = {self.training.metric!r}: task = {self.task!r} has "
                f"{', '.join(METRICS[self.task])}"
            )
        wrong = wrong_directions(self.task, bidirectional=self.model.bidirectional)
        if wrong:
            raise ValueError(wrong)
        if self.model.transformer is not None and self.text.shared:
            raise ValueError(
                "text.shared = true: the source has the transformer's own vocabulary; leave it out"
            )
        self._refuse_unused()
        return self

    def _refuse_unused(self) -> None:
        """What the task has no use for must not be set: it would be ignored in silence."""
        unused = dict(UNUSED[self.task])
        if self.model.transformer is not None:
            unused |= UNUSED_WITH_TRANSFORMER[self.task]
        for path, reason in unused.items():
            section, _, key = path.partition(".")
            usual = SECTIONS[section].model_validate(DEFAULTS[self.task].get(section, {}))
            value = getattr(getattr(self, section), key)
            if value != getattr(usual, key):
                shown = "" if isinstance(value, BaseModel) else f" = {value!r}"
                raise ValueError(f"{path}{shown}: {reason}; leave it out")


SECTIONS: dict[str, type[Section]] = {
    "data": DataConfig,
    "text": TextConfig,
    "model": ModelConfig,
    "training": TrainingConfig,
    "search": SearchConfig,
}


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings as one, `above` before `below`."""
    joined = dict(below)
    for key, value in above.items():
        under = joined.get(key)
        if is_table(value) and is_table(under):
            value = _laid_over(under, value)
        joined[key] = value
    return joined
