"""A hidden Markov model's forward-backward pass compared with its matrix products alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Literal

import torch

from penstock.baselines.hmm import HiddenMarkov


@dataclass(frozen=True)
class HmmSpeed:
    """Median times.

    Attributes:
        forward_backward_ms: both messages and the posterior of every position.
        viterbi_ms: the best path.
        products_ms: 2 (T - 1) products (B, K) · (K, K) one after another.
        ratio: forward-backward over products, the median of the ratios per round.
    """

    states: int
    steps: int
    batch: int
    precision: Literal["float32", "float64"]
    threads: int
    forward_backward_ms: float
    viterbi_ms: float
    products_ms: float
    ratio: float


def measure_hmm(
    states: int,
    steps: int,
    batch: int,
    *,
    precision: Literal["float32", "float64"] = "float32",
    rounds: int = 9,
) -> HmmSpeed:
    """Measure with random parameters and log-likelihoods; every round times all three."""
    dtype = torch.float32 if precision == "float32" else torch.float64
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn(states, states, generator=generator, dtype=dtype).log_softmax(1)
    model = HiddenMarkov.from_log(rows[0], rows)
    scores = torch.randn(batch, steps, states, generator=generator, dtype=dtype)
    left, right = scores[:, 0].exp(), rows.exp()

    def multiply() -> None:
        for _ in range(2 * (steps - 1)):
            torch.mm(left, right)

    works: list[Callable[[], object]] = [
        lambda: model.log_posterior(scores),
        lambda: model.viterbi(scores),
        multiply,
    ]
    times = [[_seconds(work) for work in works] for _ in range(rounds + 1)][1:]  # one to warm up
    posterior, viterbi, products = (1e3 * median(column) for column in zip(*times, strict=True))
    return HmmSpeed(
        states=states,
        steps=steps,
        batch=batch,
        precision=precision,
        threads=torch.get_num_threads(),
        forward_backward_ms=posterior,
        viterbi_ms=viterbi,
        products_ms=products,
        ratio=median(row[0] / row[2] for row in times),
    )


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
