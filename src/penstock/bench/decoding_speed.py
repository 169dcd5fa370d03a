"""Decoding speed of each engine compared with the limit of the matrix products, in one run.

Engines and limits take turns. Compare ratios of one run, not times of different runs on a shared
machine.
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

from penstock.bench.decoding_limit import Products
from penstock.bundle import load_bundle
from penstock.config import ModelConfig, RunConfig, load_config
from penstock.config.json_types import is_object
from penstock.data.formats.input_lines import read_lines
from penstock.errors import UsageError, train_extra
from penstock.nn import Seq2Seq
from penstock.runtime.decoder_engine import TranslationEngine, load_translation_engine
from penstock.runtime.engine_choice import EngineName, choose_engine
from penstock.runtime.onnx.translation_engine import OnnxTranslator
from penstock.runtime.torch_network import load_network
from penstock.runtime.torch_translation import TorchTranslation
from penstock.search import Limits, beam_search, greedy_search
from penstock.search.step import Ints, StepOutput
from penstock.special_tokens import BOS_ID, EOS_ID, PAD_ID, UNK_ID
from penstock.tasks import TRANSLATION

Search = Literal["beam", "greedy"]
Sources = list[list[int]]

_VOCABULARY = 8000
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True, slots=True)
class Contender:
    """An engine to measure.

    Attributes:
        name: of the engine.
        precision: of its products.
        engine: with the model.
    """

    name: Literal["onnx", "torch"]
    precision: str
    engine: TranslationEngine


@dataclass(frozen=True, slots=True)
class DecodingSpeed:
    """The speed of one search on one engine.

    Attributes:
        search, engine, precision, batch: what was measured.
        sentences_per_second: median over rounds.
        milliseconds: median time of a batch.
        limit_fp32, limit_bf16: sentences per second of the matrix products alone, in torch.
        ratio_fp32, ratio_bf16: speed over the limits, medians of the ratios per round.
        weights_milliseconds: time to read the decoder's weights once per step, in this precision,
            measured with products of one row; None for an export.
        shares: see `profile_decoding`; None for an export.
    """

    search: Search
    engine: str
    precision: str
    batch: int
    sentences_per_second: float
    milliseconds: float
    limit_fp32: float
    limit_bf16: float
    ratio_fp32: float
    ratio_bf16: float
    weights_milliseconds: float | None
    shares: dict[str, float] | None


def measure_decoding(
    contenders: Sequence[Contender],
    model: Seq2Seq,
    sources: Sequence[Sequence[int]],
    *,
    search: Search = "beam",
    batch: int = 64,
    beam_size: int = 5,
    rounds: int = 5,
) -> list[DecodingSpeed]:
    """Decode sources in batches of similar length, engines and limits in turn.

    Args:
        contenders: the engines.
        model: whose products are the limit.
        sources: ids, EOS last.
        search: `beam` or `greedy`.
        batch: sentences per batch.
        beam_size: of `beam`.
        rounds: number of measurements, after one warm-up.
    """
    products, ordered = Products(model), sorted(sources, key=len)
    batches = [ordered[i : i + batch] for i in range(0, len(ordered), batch)]
    measured = [
        _Measured(own, products, [Work(own.engine, each, search, beam_size) for each in batches])
        for own in contenders
    ]
    for _ in range(rounds):
        for own in measured:
            own.begin_round()
        for number in range(len(batches)):
            for own in measured:
                own.measure(number)
    return [own.speed(search, batch, len(ordered)) for own in measured]


class _Measured:
    """One engine's times, and those of its products alone, round by round."""

    def __init__(self, contender: Contender, products: Products, works: list[Work]) -> None:
        self._contender, self._products, self._works = contender, products, works
        for work in works:
            work.decode()  # warm-up, and the rows of each step
        self._batches: list[float] = []
        self._spent: list[float] = []
        self._alone: dict[str, list[float]] = {kind: [] for kind in _DTYPES}

    def begin_round(self) -> None:
        for seconds in (self._spent, *self._alone.values()):
            seconds.append(0.0)

    def measure(self, number: int) -> None:
        """Decode a batch, and make its products."""
        work = self._works[number]
        self._batches.append(_seconds(work.decode))
        self._spent[-1] += self._batches[-1]
        for kind, dtype in _DTYPES.items():
            seconds = self._products.seconds(work.source_tokens, work.rows, dtype)
            self._alone[kind][-1] += seconds

    def speed(self, search: Search, batch: int, sentences: int) -> DecodingSpeed:
        contender, reading, shares = self._contender, None, None
        if contender.name == "torch":
            dtype = _DTYPES[contender.precision]
            alone = (self._products.seconds(1, [1] * len(w.rows), dtype) for w in self._works)
            reading, shares = 1e3 * median(alone), profile_decoding(self._works[0])
        ratios = {
            kind: median(s / whole for s, whole in zip(alone, self._spent, strict=True))
            for kind, alone in self._alone.items()
        }
        return DecodingSpeed(
            search=search,
            engine=contender.name,
            precision=contender.precision,
            batch=batch,
            sentences_per_second=sentences / median(self._spent),
            milliseconds=1e3 * median(self._batches),
            limit_fp32=sentences / median(self._alone["fp32"]),
            limit_bf16=sentences / median(self._alone["bf16"]),
            ratio_fp32=ratios["fp32"],
            ratio_bf16=ratios["bf16"],
            weights_milliseconds=reading,
            shares=shares,
        )


class Work:
    """One batch to decode, and the number of rows in each step."""

    def __init__(
        self,
        engine: TranslationEngine,
        sources: Sequence[Sequence[int]],
        search: Search,
        beam_size: int,
    ) -> None:
        self._engine, self._search, self._beam_size = engine, search, beam_size
        self._sources = sources
        self.source_tokens = sum(map(len, sources))
        self._limits = Limits(
            BOS_ID, EOS_ID, (PAD_ID, UNK_ID, BOS_ID), [2 * len(ids) + 10 for ids in sources]
        )
        self.rows: list[int] = []

    def decode(self) -> None:
        """Encode and search."""
        self.rows = []

        def counted(tokens: Ints, before: Any, /, *, top: int) -> StepOutput[Any]:
            self.rows.append(len(tokens))
            return self._engine.step(tokens, before, top=top)

        state = self._engine.start(self._sources)
        if self._search == "greedy":
            greedy_search(counted, state, self._limits)
        else:
            beam_search(counted, state, self._limits, beam_size=self._beam_size)


def profile_decoding(work: Work) -> dict[str, float]:
    """Shares of a batch's decoding time by kind of operation, on torch; they sum to 1.

    `products` are the matrix products; `other` is outside all kernels: Python and numpy.
    """
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
    model: Path | None,
    lines: str | None,
    config: Path | None,
    count: int,
    *,
    engine: EngineName = "auto",
    threads: int = 1,
) -> tuple[list[Contender], Seq2Seq, Sources]:
    """Load or make up a model and sources, EOS last.

    Args:
        model: a bundle; None: random weights, exported too.
        lines: what to translate; None: random ids.
        config: of the random model.
        count: sources.
        engine: `auto` is every engine that can run the model.
        threads: of ONNX Runtime.

    Returns:
        The engines, a network of the model's sizes, and the sources.

    Raises:
        UsageError: lines without a model.
        BundleError: the model has no files for the engine.
    """
    if model is None:
        if lines is not None:
            raise UsageError("--input needs --model: without one, sources are random ids")
        run = load_config(config) if config else RunConfig()
        network, sources = _random_model(run.model), _random_sources(count)
        found = _on_torch(network) if engine != "onnx" else []
        if engine != "torch":
            found.insert(0, _exported(run, network, sources, threads))
        return found, network, sources
    bundle = load_bundle(model, task=TRANSLATION)
    chosen = choose_engine(bundle, engine, "cpu")
    found: list[Contender] = []
    if chosen == "onnx":
        graphs = load_translation_engine(bundle, engine="onnx", threads=threads)
        export = bundle.record.get("export")
        precision = str(export["precision"]) if is_object(export) else "unknown"
        found.append(Contender("onnx", precision, graphs))
    if "weights" in bundle.files:
        network = load_network(bundle)
        found += _on_torch(network) if engine != "onnx" else []
    else:
        network = Seq2Seq(
            bundle.config.model,
            source_size=bundle.source_tokenizer.vocab_size,
            target_size=bundle.target_tokenizer.vocab_size,
        )
    assert isinstance(network, Seq2Seq)
    if lines is None:
        return found, network, _random_sources(count, bundle.source_tokenizer.vocab_size)
    texts = [line.text for line in islice(read_lines(lines), count)]
    ids = bundle.source_tokenizer.encode_batch(texts)
    return found, network, [[*row, EOS_ID] for row in ids]


def _on_torch(network: torch.nn.Module) -> list[Contender]:
    return [
        Contender("torch", precision, TorchTranslation(network, precision=precision))
        for precision in ("fp32", "bf16")
    ]


def _exported(run: RunConfig, network: Seq2Seq, sources: Sources, threads: int) -> Contender:
    with train_extra("exporting a model"):
        from penstock.tasks.translation.graphs import make_graphs
    sample = [(source, [BOS_ID, *source[:-1]]) for source in sources[:20]]
    files = make_graphs(run, network, sample, "int8")
    graphs = OnnxTranslator(
        run.model, files, vocab_size=_VOCABULARY, place="random", threads=threads
    )
    return Contender("onnx", "int8", graphs)


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


def _seconds(run: Callable[[], object]) -> float:
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun
