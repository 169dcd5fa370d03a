"""Training speed compared with the limit of the model's matrix products, in one run."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from statistics import median

import numpy as np
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from penstock.bench.matrix_limit import seconds_now, seconds_of, training_products
from penstock.config import ModelConfig, Precision, TrainingConfig
from penstock.nn import Seq2Seq, State
from penstock.runtime.torch_cuda_graphs import repeater_of
from penstock.text import EOS_ID
from penstock.training.allocator import keep_freed_memory
from penstock.training.batches import Batch, collate
from penstock.training.checkpoint import Progress
from penstock.training.gradient_sum import GradientSum
from penstock.training.precision import choose_precision, mixed
from penstock.training.update import Update


@dataclass(frozen=True)
class TrainingSpeed:
    """Training speed and its limits.

    Attributes:
        tokens_per_second: target tokens without padding, median over rounds.
        limit_fp32, limit_bf16: target tokens per second of the matrix products alone.
        ratio_bf16: speed over the bf16 limit, the median of the ratios per round.
        seconds_by_part: the parts of one update.
        busy: share of the time in which a GPU's kernels run; None on a CPU.
    """

    cell: str
    parameters: int
    precision: Precision
    device: str
    threads: int
    batch_tokens: int
    tokens_per_second: float
    limit_fp32: float
    limit_bf16: float
    ratio_bf16: float
    seconds_by_part: dict[str, float] = field(default_factory=dict)
    busy: float | None = None


def measure_training(
    config: ModelConfig,
    *,
    vocab_size: int = 8000,
    batch_tokens: int = 1000,
    precision: Precision = "auto",
    device: torch.device | None = None,
    rounds: int = 5,
    updates: int = 6,
) -> TrainingSpeed:
    """Train on random sentences as long as Multi30k's, alternating with the limits.

    Args:
        config: the model.
        vocab_size: V of both sides.
        batch_tokens: target positions per batch.
        precision: as in training.
        device: default: the CPU.
        rounds: number of measurements of speed and limits.
        updates: updates per round.
    """
    keep_freed_memory()
    device = device or torch.device("cpu")
    precision = choose_precision(precision, device)
    model, update, gradients = trained_network(config, vocab_size, precision, device)
    batches = random_batches(vocab_size, batch_tokens, count=updates)
    source_tokens = int(sum(int(b.src_lengths.sum()) for b in batches) / len(batches))
    target_tokens = int(sum(int(b.tgt_lengths.sum()) for b in batches) / len(batches))
    products = training_products(
        config, vocab_size=vocab_size, source_tokens=source_tokens, target_tokens=target_tokens
    )
    seconds, fp32, bf16 = [], [], []
    warm_ups = 3 if device.type == "cuda" else 1  # a shape is recorded when it is met again

    def train() -> None:
        for batch in batches:
            tokens = gradients.add(batch)
            gradients.finish()
            update.step(tokens, 1e-3)
            if update.must_read:
                update.read()

    for number in range(rounds + warm_ups):
        start = seconds_now(device)
        train()
        spent = (seconds_now(device) - start) / len(batches)
        if number < warm_ups:
            continue
        seconds.append(spent)
        limit = partial(seconds_of, products, device=device)
        fp32.append(target_tokens / limit(torch.float32, repeats=1))
        bf16.append(target_tokens / limit(torch.bfloat16, repeats=3))
    busy = None
    if device.type == "cuda":
        with profile(activities=[ProfilerActivity.CUDA]) as trace:
            train()
            torch.cuda.synchronize()
        kernels = sum(event.self_device_time_total for event in trace.key_averages()) * 1e-6
        busy = kernels / len(batches) / median(seconds)
    clock = _Clock(device)
    for batch in batches:
        _time_parts(model, update, batch.to(device), precision, device, clock)
    return TrainingSpeed(
        cell=config.cell,
        parameters=sum(p.numel() for p in model.parameters()),
        precision=precision,
        device=str(device),
        threads=torch.get_num_threads(),
        batch_tokens=batch_tokens,
        tokens_per_second=target_tokens / median(seconds),
        limit_fp32=median(fp32),
        limit_bf16=median(bf16),
        ratio_bf16=median(
            target_tokens / spent / limit for spent, limit in zip(seconds, bf16, strict=True)
        ),
        seconds_by_part={part: t / len(batches) for part, t in clock.seconds.items()},
        busy=busy,
    )


def trained_network(
    config: ModelConfig, vocab_size: int, precision: Precision, device: torch.device
) -> tuple[Seq2Seq, Update, GradientSum[Batch]]:
    """A network with random weights, and what trains it as the loop does."""
    torch.manual_seed(1)
    model = Seq2Seq(config, source_size=vocab_size, target_size=vocab_size).to(device)
    settings = TrainingConfig(precision=precision)
    repeat = repeater_of(device, warnings.warn)
    update = Update(model, settings, repeat=repeat)
    gradients = GradientSum(
        _Training(model, device), settings, update, Progress(), device,
        repeat=repeat, on_split=warnings.warn,
    )  # fmt: skip
    return model, update, gradients


class _Training:
    """The learner of batches that are given."""

    carried: State | None = None

    def __init__(self, network: Seq2Seq, device: torch.device) -> None:
        self.network, self._device = network, device

    def loss(self, batch: Batch, *, label_smoothing: float) -> Tensor:
        """See `penstock.training.learner.Learner`."""
        b = batch.to(self._device)
        return self.network.loss(
            b.src, b.src_lengths, b.tgt_in, b.tgt_out, b.tgt_lengths,
            label_smoothing=label_smoothing,
        )[0]  # fmt: skip

    def count(self, batch: Batch) -> int:
        """The real target tokens."""
        return int(batch.tgt_lengths.sum())


class _Clock:
    """Sums seconds by part."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        start = seconds_now(self._device)
        yield
        self.seconds[name] += seconds_now(self._device) - start


def _time_parts(
    model: Seq2Seq,
    update: Update,
    batch: Batch,
    precision: Precision,
    device: torch.device,
    clock: _Clock,
) -> None:
    """Run one update part by part, waiting for each: on a GPU that is slower than the whole."""
    with mixed(precision, device):
        with clock.part("encoder"):
            memory, state = model.encode(batch.src, batch.src_lengths)
        with clock.part("decoder"):
            features = model.decoder.features(batch.tgt_in, state, memory).values
        with clock.part("output and loss, with their gradient"):
            loss, tokens = model.output_loss(
                features, batch.tgt_out, batch.tgt_lengths, label_smoothing=0.1
            )
    with clock.part("backward of the rest"):
        loss.backward()
    with clock.part("clipping and optimizer"):
        update.step(tokens, 1e-3)
    update.read()


def random_batches(vocab_size: int, batch_tokens: int, *, count: int) -> list[Batch]:
    """Batches of similar target length, as from the sampler; lengths as in Multi30k."""
    random = np.random.default_rng(1)
    batches = []
    for tgt in np.linspace(9, 21, count).round().astype(int):
        rows = max(1, batch_tokens // int(tgt))
        src = np.clip(tgt + random.integers(-2, 3, rows), 2, None)
        batches.append(
            collate(
                [_sentence(random, int(n), vocab_size) for n in src],
                [_sentence(random, int(tgt), vocab_size) for _ in range(rows)],
            )
        )
    return batches


def _sentence(random: np.random.Generator, length: int, vocab_size: int) -> np.ndarray:
    return np.append(random.integers(EOS_ID + 1, vocab_size, length - 1), EOS_ID)
