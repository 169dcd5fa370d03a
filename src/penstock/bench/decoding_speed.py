"""Decoding speed compared with the limit of its matrix products, in one run.

The limit is the time of the same matrix products and nothing else: per search step, one product per
layer with as many rows as the search had; for the encoder, one per layer over all positions.
Attention's small products are left out. Compare ratios of one run, not times of different runs on a
shared machine.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any, Literal

import torch
from torch import Tensor

from penstock.bundle import load_bundle
from penstock.config import ModelConfig, RunConfig, load_config
from penstock.data.formats.input_lines import read_lines
from penstock.errors import UsageError
from penstock.nn import Seq2Seq
from penstock.nn.cells import Cell
from penstock.nn.products import PackedLinear
from penstock.runtime.decoder_step import decoding_step, start_decoding
from penstock.runtime.torch_engine import InferenceModel
from penstock.runtime.torch_network import load_network
from penstock.search import Limits, beam_search, greedy_search
from penstock.search.step import Ints, StepOutput
from penstock.special_tokens import BOS_ID, EOS_ID, PAD_ID, UNK_ID
from penstock.tasks import TRANSLATION

Search = Literal["beam", "greedy"]
_Work = tuple[Tensor, PackedLinear]  # what to multiply, and by what

_VOCABULARY = 8000


@dataclass(frozen=True, slots=True)
class DecodingSpeed:
    """The speed of one search in one precision.

    Attributes:
        search, precision, batch: what was measured.
        sentences_per_second: median over rounds.
        milliseconds: median time of a batch.
        limit_fp32, limit_bf16: sentences per second of the matrix products alone.
        ratio_fp32, ratio_bf16: speed over the limits, medians of the ratios per round.
        weights_milliseconds: time to read the decoder's weights once per step, in this precision,
            measured with products of one row.
    """

    search: Search
    precision: str
    batch: int
    sentences_per_second: float
    milliseconds: float
    limit_fp32: float
    limit_bf16: float
    ratio_fp32: float
    ratio_bf16: float
    weights_milliseconds: float


def measure_decoding(
    model: Seq2Seq,
    sources: Sequence[Sequence[int]],
    *,
    search: Search = "beam",
    precision: Literal["fp32", "bf16"] = "fp32",
    batch: int = 64,
    beam_size: int = 5,
    rounds: int = 5,
) -> DecodingSpeed:
    """Decode sources in batches of similar length, alternating with the limits.

    Args:
        model: in evaluation mode.
        sources: ids, EOS last.
        search: `beam` or `greedy`.
        precision: of the products.
        batch: sentences per batch.
        beam_size: of `beam`.
        rounds: number of measurements, after one warm-up.
    """
    prepared = InferenceModel(model, precision=precision)
    ordered = sorted(sources, key=len)
    batches = [ordered[i : i + batch] for i in range(0, len(ordered), batch)]
    works = [Work(prepared, each, search, beam_size) for each in batches]
    for work in works:
        work.decode()  # warm-up, and the rows of each step
    shapes = [work.products(model) for work in works]
    speeds: list[float] = []
    limits: dict[str, list[float]] = {"fp32": [], "bf16": []}
    times: list[float] = []
    for number in range(rounds + 1):
        spent = 0.0
        alone = {"fp32": 0.0, "bf16": 0.0}
        for work, each in zip(works, shapes, strict=True):
            once = _seconds(work.decode)
            spent += once
            times.append(once)
            for kind, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
                alone[kind] += each.seconds(dtype)
        if number == 0:
            times.clear()
            continue
        speeds.append(len(ordered) / spent)
        for kind, seconds in alone.items():
            limits[kind].append(len(ordered) / seconds)
    reading = median(each.reading_seconds(prepared.kind) for each in shapes)
    return DecodingSpeed(
        search=search,
        precision=precision,
        batch=batch,
        sentences_per_second=median(speeds),
        milliseconds=1e3 * median(times),
        limit_fp32=median(limits["fp32"]),
        limit_bf16=median(limits["bf16"]),
        ratio_fp32=median(s / limit for s, limit in zip(speeds, limits["fp32"], strict=True)),
        ratio_bf16=median(s / limit for s, limit in zip(speeds, limits["bf16"], strict=True)),
        weights_milliseconds=1e3 * reading,
    )


class Work:
    """One batch to decode, and the number of rows in each step."""

    def __init__(
        self,
        model: InferenceModel,
        sources: Sequence[Sequence[int]],
        search: Search,
        beam_size: int,
    ) -> None:
        self._model, self._search, self._beam_size = model, search, beam_size
        width = max(map(len, sources))
        self._src = torch.full((len(sources), width), PAD_ID)
        for row, ids in enumerate(sources):
            self._src[row, : len(ids)] = torch.tensor(ids)
        self._lengths = torch.tensor([len(ids) for ids in sources])
        self._limits = Limits(
            BOS_ID, EOS_ID, (PAD_ID, UNK_ID, BOS_ID), [2 * len(ids) + 10 for ids in sources]
        )
        self.rows: list[int] = []

    def decode(self) -> None:
        """Encode and search."""
        step = decoding_step(self._model)
        self.rows = []

        def counted(tokens: Ints, before: Any, /, *, top: int) -> StepOutput[Any]:
            self.rows.append(len(tokens))
            return step(tokens, before, top=top)

        state = start_decoding(self._model, self._src, self._lengths)
        if self._search == "greedy":
            greedy_search(counted, state, self._limits)
        else:
            beam_search(counted, state, self._limits, beam_size=self._beam_size)

    def products(self, model: Seq2Seq) -> Products:
        """The products of this work."""
        return Products(model, int(self._lengths.sum()), self.rows)


class Products:
    """The matrix products of a batch: `(rows, inner, outer)`, in order."""

    def __init__(self, model: Seq2Seq, source_tokens: int, rows: Sequence[int]) -> None:
        decoder = model.decoder
        config_layers = [decoder.bottom, *([decoder.upper] if decoder.upper is not None else [])]
        sizes = [_joined(cell) for stack in config_layers for cell in stack.cells]
        layers = [*([decoder.readout] if decoder.readout is not None else []), decoder.output]
        sizes += [(layer.in_features, layer.out_features) for layer in layers]
        self._step_sizes = sizes
        self._rows = list(rows)
        self._encoder = [_joined(cell) for cell in model.encoder.recurrent.cells]
        if decoder.attention is not None and isinstance(
            decoder.attention.project_keys, torch.nn.Linear
        ):
            keys = decoder.attention.project_keys
            self._encoder.append((keys.in_features, keys.out_features))
        self._source_tokens = source_tokens
        self._tensors: dict[torch.dtype, tuple[list[_Work], list[_Work]]] = {}

    def seconds(self, dtype: torch.dtype) -> float:
        """Time of all products."""
        encoder, steps = self._operands(dtype)

        def make() -> None:
            for x, product in encoder:
                product(x)
            for n in self._rows:
                for x, product in steps:
                    product(x[:n])

        make()
        return _seconds(make)

    def reading_seconds(self, dtype: torch.dtype) -> float:
        """Time of products with one row per step, which is that of reading the weights."""
        _, steps = self._operands(dtype)

        def make() -> None:
            for _ in self._rows:
                for x, product in steps:
                    product(x[:1])

        make()
        return _seconds(make)

    def _operands(self, dtype: torch.dtype) -> tuple[list[_Work], list[_Work]]:
        if dtype not in self._tensors:
            most = max(self._rows)
            encoder = [
                (torch.randn(self._source_tokens, i, dtype=dtype), _product(i, o, dtype))
                for i, o in self._encoder
            ]
            steps = [
                (torch.randn(most, i, dtype=dtype), _product(i, o, dtype))
                for i, o in self._step_sizes
            ]
            self._tensors[dtype] = (encoder, steps)
        return self._tensors[dtype]


def profile_decoding(
    model: Seq2Seq,
    sources: Sequence[Sequence[int]],
    *,
    search: Search = "beam",
    precision: Literal["fp32", "bf16"] = "fp32",
    beam_size: int = 5,
) -> dict[str, float]:
    """Shares of a batch's decoding time by kind of operation; they sum to 1.

    `products` are the matrix products; `other` is outside all kernels: Python and numpy.
    """
    work = Work(InferenceModel(model, precision=precision), sources, search, beam_size)
    work.decode()
    # torch's profiler reads it at first use; otherwise it logs to stderr that it starts and stops
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        whole = _seconds(work.decode)
    seconds = dict.fromkeys(_KINDS, 0.0)
    for event in profile.key_averages():
        kind = next((k for k, names in _KINDS.items() if event.key in names), "small operations")
        seconds[kind] += event.self_cpu_time_total / 1e6
    seconds["other"] = max(0.0, whole - sum(seconds.values()))
    total = sum(seconds.values())
    return {kind: spent / total for kind, spent in seconds.items()}


_KINDS: dict[str, frozenset[str]] = {
    "products": frozenset(
        {
            "aten::addmm",
            "aten::mm",
            "aten::bmm",
            "aten::baddbmm",
            "mkldnn::_linear_pointwise",
            "mkldnn::_linear_pointwise.binary",
        }
    ),
    "gates": frozenset(
        {
            "aten::sigmoid_",
            "aten::tanh_",
            "aten::addcmul",
            "aten::mul",
            "aten::mul_",
            "aten::sub_",
            "aten::lerp",
        }
    ),
    "probabilities and choice": frozenset(
        {"aten::_log_softmax", "aten::amax", "aten::topk", "aten::gather", "aten::argmax"}
    ),
    "copies": frozenset({"aten::index_select", "aten::cat", "aten::copy_", "aten::index"}),
    "small operations": frozenset(),
}


def decoding_work(
    model: Path | None, lines: str | None, config: Path | None, count: int
) -> tuple[Seq2Seq, list[list[int]]]:
    """Load or make up a model and sources, EOS last.

    Raises:
        UsageError: lines without a model.
    """
    if model is None:
        if lines is not None:
            raise UsageError("--input needs --model: without one, sources are random ids")
        shape = (load_config(config) if config else RunConfig()).model
        return _random_model(shape), _random_sources(count)
    bundle = load_bundle(model, task=TRANSLATION)
    network = load_network(bundle)
    assert isinstance(network, Seq2Seq)
    if lines is None:
        return network, _random_sources(count, bundle.source_tokenizer.vocab_size)
    texts = [line.text for line in islice(read_lines(lines), count)]
    return network, [[*ids, EOS_ID] for ids in bundle.source_tokenizer.encode_batch(texts)]


def _random_sources(count: int, vocab_size: int = _VOCABULARY) -> list[list[int]]:
    """Random ids in sentences as long as Multi30k's."""
    random = torch.Generator().manual_seed(1)
    lengths: list[int] = torch.randint(8, 23, (count,), generator=random).tolist()
    every = torch.randint(EOS_ID + 1, vocab_size, (count, 23), generator=random)
    rows: list[list[int]] = every.tolist()
    return [[*row[: n - 1], EOS_ID] for row, n in zip(rows, lengths, strict=True)]


def _random_model(config: ModelConfig) -> Seq2Seq:
    """A model with random weights, whose outputs end about as soon as those of trained models."""
    torch.manual_seed(1)
    model = Seq2Seq(config, source_size=_VOCABULARY, target_size=_VOCABULARY).eval()
    with torch.no_grad():
        model.decoder.output.bias[EOS_ID] = 6.4  # against 8,000 others: one in fourteen
    return model.requires_grad_(requires_grad=False)


def _product(inner: int, outer: int, kind: torch.dtype) -> PackedLinear:
    return PackedLinear(torch.randn(outer, inner, dtype=kind), None)


def _joined(cell: torch.nn.Module) -> tuple[int, int]:
    """The width of a cell's input and state together, and of its gates."""
    assert isinstance(cell, Cell)
    recurrent = 0 if cell.weight_hh is None else cell.hidden_size
    return cell.input_size + recurrent, len(cell.weight_ih)


def _seconds(run: Callable[[], object]) -> float:
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun
