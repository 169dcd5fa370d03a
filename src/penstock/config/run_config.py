"""One training run from data to model: all sections and their consistency."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, Field, field_validator, model_validator

from penstock.config.data_config import DataConfig
from penstock.config.metric_table import corpus_selection_metrics
from penstock.config.model_config import ModelConfig
from penstock.config.option_model import MOST_THREADS
from penstock.config.search_config import SearchConfig
from penstock.config.section import Section, merge_tables, sections_of
from penstock.config.start_config import StartConfig
from penstock.config.text_config import TextConfig
from penstock.config.training_config import TrainingConfig
from penstock.errors import unknown_name
from penstock.tasks import TASKS, TRANSLATION


class RunConfig(Section):
    """One training run from data to model.

    Each section is a section object or a mapping of its keys. Missing keys get the task's default;
    those whose default is `auto` are chosen from the data when training starts.

        RunConfig(data={"train": "pairs.tsv"}, model=ModelConfig(cell="gru"))
    """

    task: str = TRANSLATION.name
    """What the model learns: `translation`, `language-model`, `classification` or `cloze`."""
    seed: int = Field(default=1, ge=0, lt=2**63)
    """Seed of every random choice: initial weights, order of the data, dropout."""
    threads: int | None = Field(default=None, ge=1, le=MOST_THREADS)
    """CPU threads; default: as many as torch chooses."""
    device: str = "auto"
    """Where to train: `cpu`, `cuda`, `cuda:1`; `auto` takes a GPU if there is one."""
    data: DataConfig = DataConfig()
    start: StartConfig = StartConfig()
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
            start: StartConfig | Mapping[str, Any] = ...,
            text: TextConfig | Mapping[str, Any] = ...,
            model: ModelConfig | Mapping[str, Any] = ...,
            training: TrainingConfig | Mapping[str, Any] = ...,
            search: SearchConfig | Mapping[str, Any] = ...,
        ) -> None: ...

    @classmethod
    def resolve(cls, values: Mapping[str, Any], place: str) -> dict[str, Any]:
        """Validate keys and merge the values over the task's defaults."""
        plain = super().resolve(values, place)
        name = plain.get("task", TRANSLATION.name)
        task = TASKS.get(name) if isinstance(name, str) else None
        return merge_tables(task.defaults if task else {}, plain)

    @field_validator("task", mode="before")
    @classmethod
    def _known_task(cls, name: Any) -> Any:
        if isinstance(name, str) and name in TASKS:
            return name
        # the place already shows the name
        message = unknown_name("task", str(name), TASKS)
        raise ValueError(message.replace(f" {str(name)!r}", "", 1))

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
        metrics = (*task.metrics, *(corpus_selection_metrics() if task.corpus_metrics else ()))
        if self.training.metric not in metrics:
            raise ValueError(
                f"training.metric = {self.training.metric!r}: task = {self.task!r} has "
                f"{', '.join(metrics)}"
            )
        problem = task.problem(self)
        if problem:
            raise ValueError(problem)
        if self.model.transformer is not None and self.text.shared:
            raise ValueError(
                "text.shared = true: the source has the transformer's own vocabulary; leave it out"
            )
        self._check_columns()
        self._reject_unused()
        return self

    def _check_columns(self) -> None:
        """Check features against the source's columns."""
        features, columns = self.text.source.features, self.data.source_columns
        if isinstance(features, list) and max(features) > len(columns):
            raise ValueError(
                f"text.source.features = {features}: data.columns gives the source "
                f"{len(columns) or 1} column{'s'[: len(columns) > 1]}; list several, as in "
                "[[1, 3], 2]"
            )
        if isinstance(features, list) and self.data.language_column is not None:
            raise ValueError(
                "text.source.features: with data.language_column the language is the only feature; "
                "leave one of them out"
            )
        if columns and self.model.transformer is not None:
            raise ValueError("data.columns: model.transformer reads one column; name one")

    def _reject_unused(self) -> None:
        """Reject keys that the task does not use, rather than ignoring them silently."""
        task = TASKS[self.task]
        unused = dict(task.unused)
        if self.model.transformer is not None:
            unused |= task.unused_with_transformer
        defaults = {
            name: section.model_validate(task.defaults.get(name, {}))
            for name, section in sections_of(type(self)).items()
        }
        for path, reason in unused.items():
            section, _, key = path.partition(".")
            value = attrgetter(key)(getattr(self, section))
            if value != attrgetter(key)(defaults[section]):
                shown = "" if isinstance(value, BaseModel) else f" = {value!r}"
                raise ValueError(f"{path}{shown}: {reason}; leave it out")
