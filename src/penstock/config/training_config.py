"""`[training]`: batches, optimizer, schedule, evaluation, stopping."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from penstock.config.section import Section
from penstock.tasks import Metric

Precision = Literal["auto", "fp32", "bf16"]


class TrainingConfig(Section):
    """The loop: batches, optimizer, schedule, evaluation, stopping.

    The defaults are what learned best in equal time on Multi30k (docs/benchmarks.md): small
    batches, a high rate, and the moving average of the weights instead of the last ones.
    """

    max_updates: int = Field(default=20_000, ge=1)
    max_epochs: int | None = Field(default=None, ge=1)
    max_minutes: float | None = Field(default=None, gt=0)
    batch_tokens: int = Field(
        default=400,
        ge=1,
        description="target tokens a batch, padding included; source tokens "
        "where there is no target",
    )
    batch_sentences: int | None = Field(
        default=None, ge=1, description="a fixed number instead of tokens"
    )
    window: int = Field(
        default=64, ge=1, description="language model: tokens that the gradient flows back"
    )
    sampling: Literal["sequential", "random"] = Field(
        default="sequential",
        description="language model: windows follow each other and the state is carried, "
        "detached; or they come in random order and begin at zero",
    )
    accumulate: int = Field(default=1, ge=1)
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    learning_rate: float = Field(default=2e-3, gt=0)
    schedule: Literal["constant", "cosine", "inverse-sqrt", "plateau"] = "cosine"
    warmup_updates: int = Field(default=200, ge=0)
    weight_decay: float = Field(default=0.0, ge=0)
    beta2: float = Field(default=0.98, gt=0, lt=1)
    clip_norm: float = Field(default=1.0, gt=0)
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    average_decay: float | None = Field(
        default=0.998,
        gt=0,
        lt=1,
        description="of the moving average of the weights that is evaluated and "
        "kept; none: the weights themselves",
    )
    precision: Precision = "auto"
    metric: Metric = "bleu"
    keep: Literal["best", "last"] = Field(
        default="best", description="which weights `model/` holds"
    )
    evaluate_every: int | None = Field(
        default=500, ge=1, description="updates; none: once an epoch"
    )
    evaluate_sentences: int = Field(default=500, ge=1)
    evaluate_tokens: int = Field(
        default=50_000, ge=1, description="language model: of the held-out text, from its beginning"
    )
    patience: int | None = Field(default=10, ge=1, description="evaluations without a better score")
    plateau_factor: float = Field(default=0.5, gt=0, lt=1)
    plateau_patience: int = Field(default=2, ge=1)
    checkpoint_minutes: float = Field(default=10.0, gt=0)
