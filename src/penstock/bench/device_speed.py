"""Decoding speed of a search on the model's device, and the share of time that kernels are busy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

import torch
from torch.profiler import ProfilerActivity, profile

from penstock.bench.matrix_limit import seconds_now
from penstock.nn import Seq2Seq
from penstock.runtime.torch_translation import TorchTranslation
from penstock.search import Limits, Ranking
from penstock.special_tokens import BOS_ID, EOS_ID, PAD_ID, UNK_ID


@dataclass(frozen=True, slots=True)
class DeviceSpeed:
    """The speed of one search.

    Attributes:
        sentences_per_second: median over rounds, encoding and reading the results included, the
            text not.
        milliseconds: of a batch.
        busy: share of the time in which a GPU's kernels run; None on a CPU.
    """

    search: Literal["beam", "greedy"]
    precision: Literal["fp32", "bf16"]
    device: str
    batch: int
    sentences_per_second: float
    milliseconds: float
    busy: float | None


def measure_on_device(
    model: Seq2Seq,
    sources: Sequence[Sequence[int]],
    device: torch.device,
    *,
    search: Literal["beam", "greedy"] = "beam",
    precision: Literal["fp32", "bf16"] = "bf16",
    batch: int = 512,
    beam_size: int = 5,
    rounds: int = 3,
) -> DeviceSpeed:
    """Decode sources in batches of similar length.

    Args:
        model: without gradients; it is moved to the device.
        sources: ids, EOS last.
        device: where to search.
        search, precision, batch, beam_size: what to measure.
        rounds: number of measurements, after the warm-up.
    """
    engine = TorchTranslation(model.to(device), precision=precision, searches=True)
    ordered = sorted(sources, key=len)
    batches = [ordered[i : i + batch] for i in range(0, len(ordered), batch)]

    def decode() -> None:
        for rows in batches:
            limits = Limits(
                BOS_ID, EOS_ID, (PAD_ID, UNK_ID, BOS_ID), [2 * len(ids) + 10 for ids in rows]
            )
            engine.search(
                engine.start(rows), limits, beam_size=beam_size if search == "beam" else 1,
                n_best=1, ranking=Ranking(),
            )  # fmt: skip

    spent: list[float] = []
    for number in range(rounds + 2):  # a shape is recorded when it is met again
        begun = seconds_now(device)
        decode()
        if number > 1:
            spent.append(seconds_now(device) - begun)
    seconds, busy = median(spent), None
    if device.type == "cuda":
        with profile(activities=[ProfilerActivity.CUDA]) as trace:
            decode()
            torch.cuda.synchronize()
        kernels = sum(event.self_device_time_total for event in trace.key_averages()) * 1e-6
        busy = kernels / seconds
    return DeviceSpeed(
        search=search,
        precision=precision,
        device=str(device),
        batch=batch,
        sentences_per_second=len(ordered) / seconds,
        milliseconds=1e3 * seconds / len(batches),
        busy=busy,
    )
