"""What runs a translation model, behind numpy arrays: nothing above this needs torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from penstock.bundle import Bundle
from penstock.config import Precision
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

    def warm_up(self, rows: int, /) -> None:
        """Get ready for batches of at most `rows` hypotheses."""
        ...


def load_translation_engine(
    bundle: Bundle, *, device: str = "cpu", precision: Precision = "fp32"
) -> TranslationEngine:
    """The engine that runs a translation model.

    Raises:
        BundleError: weights that do not fit the configuration, or are not finite.
    """
    from penstock.runtime.torch_network import load_network
    from penstock.runtime.torch_translation import TorchTranslation

    return TorchTranslation(load_network(bundle, device), precision=precision)
