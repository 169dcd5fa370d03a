"""One training run from data to model: all sections, and what they must agree on."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, Field, field_validator, model_validator

from penstock.config.data_config import DataConfig
from penstock.config.model_config import ModelConfig
from penstock.config.search_config import SearchConfig
from penstock.config.section import Section, is_table
from penstock.config.text_config import TextConfig
from penstock.config.training_config import TrainingConfig
from penstock.tasks import TASKS, TRANSLATION


class RunConfig(Section):
    """One training run from data to model.

    Each section may be a section object or a mapping of its keys; what neither sets has the
    task's default.

        RunConfig(data={"train": "pairs.tsv"}, model=ModelConfig(cell="gru"))
    """

    task: str = TRANSLATION.name
    """What the model learns: `translation`, `language-model`, `classification` or `cloze`."""
    seed: int = Field(default=1, ge=0, lt=2**63)
    """Seed of every random choice: initial weights, order of the data, dropout."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads; default: as many as torch chooses."""
    device: str = "auto"
    """Where to train: `cpu`, `cuda`, `cuda:1`; `auto` takes a GPU if there is one."""
    data: DataConfig = DataConfig()
    text: TextConfig = TextConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    search: SearchConfig = SearchConfig()

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            task: str = ...,
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
        name = plain.get("task", TRANSLATION.name)
        task = TASKS.get(name) if isinstance(name, str) else None
        return _merged(task.defaults if task else {}, plain)

    @field_validator("task", mode="before")
    @classmethod
    def _known_task(cls, name: Any) -> Any:
        if isinstance(name, str) and name in TASKS:
            return name
        close = difflib.get_close_matches(str(name), TASKS, n=1, cutoff=0.5)
        guess = f"did you mean {close[0]!r}? " if close else ""
        raise ValueError(f"unknown task; {guess}known: {', '.join(map(repr, TASKS))}")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.model.tie_embeddings == "all" and not self.text.shared:
            raise ValueError(
                "model.tie_embeddings = 'all' needs text.shared = true: both sides use one "
                "vocabulary"
            )
        task = TASKS[self.task]
        if task.target != "text" and self.data.train == "builtin":
            raise ValueError(
                "data.train = 'builtin': the built-in corpus has sentence pairs, for task = "
                f"'translation'; give a file for task = {self.task!r}"
            )
        if self.training.metric not in task.metrics:
            raise ValueError(
                f"training.metric = {self.training.metric!r}: task = {self.task!r} has "
                f"{', '.join(task.metrics)}"
            )
        problem = task.problem(self)
        if problem:
            raise ValueError(problem)
        if self.model.transformer is not None and self.text.shared:
            raise ValueError(
                "text.shared = true: the source has the transformer's own vocabulary; leave it out"
            )
        self._reject_unused()
        return self

    def _reject_unused(self) -> None:
        """What the task has no use for must not be set: it would be ignored in silence."""
        task = TASKS[self.task]
        unused = dict(task.unused)
        if self.model.transformer is not None:
            unused |= task.unused_with_transformer
        for path, reason in unused.items():
            section, _, key = path.partition(".")
            usual = SECTIONS[section].model_validate(task.defaults.get(section, {}))
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


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings as one, `above` before `below`."""
    joined = dict(below)
    for key, value in above.items():
        under = joined.get(key)
        if is_table(value) and is_table(under):
            value = _merged(under, value)
        joined[key] = value
    return joined
