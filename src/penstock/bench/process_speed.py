"""Training speed of several processes beside one, and the cost of their communication."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import torch

from penstock.bench.matrix_limit import seconds_now
from penstock.bench.training_speed import random_batches, trained_network
from penstock.config import ModelConfig, Precision
from penstock.training.allocator import keep_freed_memory
from penstock.training.batches import Batch
from penstock.training.precision import choose_precision
from penstock.training.processes import Processes


@dataclass(frozen=True)
class ProcessSpeed:
    """Speeds of the same updates, by one process and by several.

    Attributes:
        threads: per process; the one process has as many as all of them together.
        alone, together: target tokens per second, medians over the rounds.
        speed_up: the median of the ratios per round.
        communication_seconds: of summing the gradients once, when all are ready.
        communication_share: of the time of an update together.
    """

    processes: int
    threads: int
    device: str
    precision: Precision
    parameters: int
    batch_tokens: int
    alone: float
    together: float
    speed_up: float
    communication_seconds: float
    communication_share: float


def measure_processes(
    config: ModelConfig,
    processes: Processes,
    *,
    vocab_size: int = 8000,
    batch_tokens: int = 1000,
    precision: Precision = "auto",
    device: torch.device | None = None,
    rounds: int = 5,
    updates: int = 6,
) -> ProcessSpeed:
    """Alternate between the first process alone and all together, on the same batches.

    An update has a batch per process. Alone, the first process computes them one after the other,
    with the threads of all on a CPU, with its own GPU otherwise.
    """
    keep_freed_memory()
    device = processes.own_device(device or torch.device("cpu"))
    precision = choose_precision(precision, device)
    threads = torch.get_num_threads()
    model, update, gradients = trained_network(config, vocab_size, precision, device)
    batches = random_batches(vocab_size, batch_tokens, count=updates)

    def train(own: Sequence[Batch], *, copies: int) -> float:
        """Seconds per update; the batch of an update is computed `copies` times."""
        if copies == 1:
            processes.wait()
        start = seconds_now(device)
        for batch in own:
            tokens = sum(gradients.add(batch) for _ in range(copies))
            gradients.finish()
            if copies == 1:
                tokens *= processes.count
                processes.sum_gradients(update.parameters, update.loss)
            update.step(tokens, 1e-3)
            if update.must_read:
                update.read()
        return (seconds_now(device) - start) / len(own)

    def communicate() -> float:
        gradients.add(batches[0])
        gradients.finish()
        processes.wait()
        start = seconds_now(device)
        processes.sum_gradients(update.parameters, update.loss)
        spent = seconds_now(device) - start
        update.clear()
        return spent

    alone: list[float] = []
    together: list[float] = []
    communication: list[float] = []
    warm_ups = 3 if device.type == "cuda" else 1
    for number in range(rounds + warm_ups):
        processes.wait()
        first = 0.0
        if processes.is_first:
            torch.set_num_threads(threads * processes.count)
            first = train(batches, copies=processes.count)
            torch.set_num_threads(threads)
        second, third = train(batches, copies=1), communicate()
        if number >= warm_ups:
            alone.append(first)
            together.append(second)
            communication.append(third)
    tokens = processes.count * sum(int(b.tgt_lengths.sum()) for b in batches) / len(batches)
    return ProcessSpeed(
        processes=processes.count,
        threads=threads,
        device=str(device),
        precision=precision,
        parameters=sum(p.numel() for p in model.parameters()),
        batch_tokens=batch_tokens,
        alone=tokens / max(median(alone), 1e-9),
        together=tokens / median(together),
        speed_up=median(a / t for a, t in zip(alone, together, strict=True)),
        communication_seconds=median(communication),
        communication_share=median(communication) / median(together),
    )
