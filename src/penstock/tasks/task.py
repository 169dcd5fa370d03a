"""What a task is: one value, which imports nothing of what it names until it is used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from penstock.config import RunConfig

Metric = Literal["loss", "bleu", "chrf", "exact_match", "accuracy", "f1"]


def _anything_is_possible(config: RunConfig) -> str:
    return ""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a model can be trained for.

    Attributes:
        name: as configurations have it.
        verb: the command that uses a model of the task.
        trial: an example of that command, without the model.
        target: what a source is paired with: a text, one of some labels, or nothing. Where there is
            nothing, data are plain text and the source's tokenizer is the only one.
        metrics: what a model may be selected by, on held-out data.
        defaults: by section, what the task wants otherwise than the configuration's defaults.
        unused: keys that would do nothing, and why: setting one is an error.
        unused_with_transformer: the same with `model.transformer`.
        problem: why a configuration is impossible; empty when it is possible.
    """

    name: str
    verb: str
    trial: str
    target: Literal["text", "label", "none"]
    metrics: tuple[Metric, ...]
    defaults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Any])
    unused: Mapping[str, str] = field(default_factory=dict[str, str])
    unused_with_transformer: Mapping[str, str] = field(default_factory=dict[str, str])
    problem: Callable[[RunConfig], str] = _anything_is_possible

    @property
    def has_one_text(self) -> bool:
        """Whether the data are plain text rather than pairs."""
        return self.target == "none"
