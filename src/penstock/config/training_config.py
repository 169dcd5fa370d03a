"""`[training]`: batches, optimizer, schedule, evaluation, stopping."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from penstock.config.metric_table import check_selection_metric
from penstock.config.section import Auto, Section

MOST_UPDATES = 10**9

Precision = Literal["auto", "fp32", "bf16"]
ExportPrecision = Literal["int8", "fp32"]


class TrainingConfig(Section):
    """The loop: batches, optimizer, schedule, evaluation, stopping.

    The defaults are what learned best in equal time on Multi30k (docs/benchmarks.md): small
    batches, a high rate, and the moving average of the weights instead of the last ones.
    """

    max_updates: Auto[int] = Field(default=20_000, ge=1, le=MOST_UPDATES)
    """Stop after this many updates of the weights."""
    max_epochs: int | None = Field(default=None, ge=1, le=10**9)
    """Stop after this many passes over the data; default: no limit."""
    max_minutes: float | None = Field(default=None, gt=0, le=10**9)
    """Train for this time: schedule `cosine` reaches its end then, whatever the machine's speed;
    default: no limit."""
    batch_tokens: Auto[int] = Field(default=400, ge=1, le=10**7)
    """Target tokens per batch, padding included; source tokens where there is no target."""
    batch_sentences: int | None = Field(default=None, ge=1, le=10**6)
    """Sentences per batch, instead of `batch_tokens`; default: `batch_tokens` applies."""
    window: int = Field(default=64, ge=1, le=10**6)
    """Tokens per window: how far back the gradient flows."""
    sampling: Literal["sequential", "random"] = "sequential"
    """`sequential` windows follow each other and carry the state, detached; `random` ones are
    shuffled and start from a zero state."""
    accumulate: int = Field(default=1, ge=1, le=10**6)
    """Batches per update."""
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    """The optimizer."""
    learning_rate: Auto[float] = Field(default=2e-3, gt=0, le=1000)
    """The rate after warm-up."""
    schedule: Auto[Literal["constant", "cosine", "inverse-sqrt", "plateau"]] = "cosine"
    """After warm-up: `cosine` falls to 1 % of the rate at `max_updates` or `max_minutes`,
    `inverse-sqrt` falls with the square root of the update, `plateau` falls when the score stops
    improving, `constant` stays."""
    warmup_updates: Auto[int] = Field(default=200, ge=0, le=10**9)
    """Updates over which the rate rises linearly from zero."""
    weight_decay: float = Field(default=0.0, ge=0, le=1000)
    """Weight decay; decoupled for `adamw`."""
    beta2: Auto[float] = Field(default=0.98, gt=0, lt=1)
    """Adam's decay of the squared gradients."""
    clip_norm: float = Field(default=1.0, gt=0, le=10**9)
    """Largest norm of the gradient, per token; a larger one is scaled down."""
    label_smoothing: Auto[float] = Field(default=0.1, ge=0, lt=1)
    """Probability spread over the whole vocabulary in the training target."""
    average_decay: Auto[float | None] = Field(default=0.998, gt=0, lt=1)
    """Decay of the moving average of the weights, which is what is evaluated and saved; `none`:
    save the weights themselves."""
    precision: Precision = "auto"
    """`bf16` computes matrix products in bfloat16, `fp32` in single precision; `auto` takes bf16
    where the hardware has instructions for it."""
    metric: Auto[str] = "bleu"
    """Held-out score that selects the best model; each task has its own."""
    keep: Literal["best", "last"] = "best"
    """Which weights `model/` holds: those with the `best` score or the `last`."""
    evaluate_every: Auto[int | None] = Field(default=500, ge=1, le=10**9)
    """Updates between evaluations; `none`: one at the end of each epoch."""
    evaluate_growth: Auto[float] = Field(default=0.0, ge=0, le=1000)
    """Growth of the interval between evaluations: it is at least this share of the updates made, so
    that evaluations are frequent in the beginning."""
    evaluate_sentences: int = Field(default=500, ge=1, le=10**9)
    """Held-out sentences to evaluate on, from the first."""
    evaluate_tokens: int = Field(default=50_000, ge=1, le=10**9)
    """Held-out tokens to evaluate on, from the first."""
    patience: Auto[int | None] = Field(default=10, ge=1, le=10**9)
    """Stop after this many evaluations without a better score; `none`: never."""
    plateau_factor: float = Field(default=0.5, gt=0, lt=1)
    """What schedule `plateau` multiplies the rate by."""
    plateau_patience: int = Field(default=2, ge=1, le=10**9)
    """Evaluations without a better score before it does."""
    checkpoint_minutes: float = Field(default=10.0, gt=0, le=10**9)
    """Time between checkpoints."""
    export: Literal[ExportPrecision, "none"] = "int8"
    """Graphs put beside the best model's weights when training has ended, so that it runs without
    torch: `int8` is small and fast, `fp32` exact, `none` leaves them out."""

    @field_validator("metric")
    @classmethod
    def _known_metric(cls, name: str) -> str:
        check_selection_metric(name)
        return name
