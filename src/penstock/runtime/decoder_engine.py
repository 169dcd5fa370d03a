"""What runs a translation model, in numpy arrays: what uses one needs no torch above this."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from penstock.bundle import Bundle
from penstock.config import Precision
from penstock.errors import UsageError
from penstock.runtime.engine_choice import EngineName, choose_engine
from penstock.runtime.network_trace import NetworkTrace
from penstock.search import Hypothesis, Limits, Ranking, ShouldStop
from penstock.search.step import Singles, Step


class TranslationEngine(Protocol):
    """Encodes sources, steps, and scores given targets."""

    @property
    def step(self) -> Step[Any]:
        """Advance every row of a state by its last token."""
        ...

    def start(self, sources: Sequence[Sequence[int]], /) -> Any:
        """Encode sources (ids, EOS last); the state of a row per source, before BOS."""
        ...

    def score(
        self, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]], /
    ) -> Singles:
        """Log-probability (B, T) of each target's tokens, EOS among them; what follows is noise."""
        ...

    def trace(self, source: Sequence[int], output: Sequence[int], /) -> NetworkTrace:
        """What the model computes for a source and a given output, ids with EOS last."""
        ...

    def warm_up(self, rows: int, /) -> None:
        """Get ready for batches of at most `rows` hypotheses."""
        ...


@runtime_checkable
class SearchingEngine(TranslationEngine, Protocol):
    """An engine that can search by itself, where its device is far from the host.

    Attributes:
        searches: whether it should.
    """

    searches: bool

    def search(
        self,
        state: Any,
        limits: Limits,
        *,
        beam_size: int,
        n_best: int,
        ranking: Ranking,
        should_stop: ShouldStop | None = None,
    ) -> list[list[Hypothesis]]:
        """What `penstock.search.beam_search` finds, for plain limits and rankings."""
        ...


def load_translation_engine(
    bundle: Bundle,
    *,
    device: str = "cpu",
    precision: Precision = "fp32",
    engine: EngineName = "auto",
    threads: int | None = None,
) -> TranslationEngine:
    """The engine that runs a translation model.

    Args:
        bundle: with its files.
        device: where torch runs.
        precision: of torch's products; an export has its own.
        engine: see `choose_engine`, also for errors.
        threads: on the CPU; default: all cores for torch, one for ONNX Runtime.

    Raises:
        BundleError: damaged files, or files of another model.
    """
    if engine == "auto" and precision == "bf16" and "weights" in bundle.files:
        engine = "torch"
    if choose_engine(bundle, engine, device, threads) == "onnx":
        if precision == "bf16":
            raise UsageError(
                "precision bf16: ONNX graphs compute as they were exported; use --engine torch"
            )
        from penstock.runtime.onnx.translation_engine import OnnxTranslator

        return OnnxTranslator(
            bundle.config.model,
            bundle.files,
            vocab_size=bundle.target_tokenizer.vocab_size,
            place=str(bundle.place),
            threads=threads or 1,
        )
    from penstock.runtime.device import prepare_torch
    from penstock.runtime.torch_network import load_network
    from penstock.runtime.torch_translation import TorchTranslation

    network = load_network(bundle, prepare_torch(device, threads))
    return TorchTranslation(network, precision=precision)
