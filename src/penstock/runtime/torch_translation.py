"""The torch engine of a translation model: encode, step, score given targets."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Literal

import torch

from penstock.config import Precision
from penstock.data.batches import collate, pad
from penstock.nn import Seq2Seq
from penstock.runtime.decoder_step import DecodingState, decoding_step, start_decoding, warm_up
from penstock.runtime.torch_engine import InferenceModel
from penstock.search.step import Ints, Singles, StepOutput


class TorchTranslation:
    """A translation network with packed weights (see `TranslationEngine`).

    Args:
        network: on its device. While it is trained its weights are packed again by every `start`.
        precision: `bf16` makes products in bfloat16.
    """

    def __init__(self, network: Seq2Seq, *, precision: Precision = "fp32") -> None:
        self.network = network
        self._precision: Literal["fp32", "bf16"] = "bf16" if precision == "bf16" else "fp32"
        self._is_frozen = not any(p.requires_grad for p in network.parameters())
        self._pack()

    def start(self, sources: Sequence[Sequence[int]], /) -> DecodingState:
        """Encode sources and stand before BOS."""
        if not self._is_frozen:
            self._pack()
        src, lengths = pad([list(row) for row in sources])
        with _evaluating(self.network):
            return start_decoding(self._packed, src.to(self._packed.device), lengths)

    def step(self, tokens: Ints, state: DecodingState, /, *, top: int) -> StepOutput[DecodingState]:
        """Advance every row; see `penstock.search.step.Step`."""
        if not self.network.training:
            return self._step(tokens, state, top=top)
        with _evaluating(self.network):
            return self._step(tokens, state, top=top)

    def score(
        self, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]], /
    ) -> Singles:
        """Log-probability (B, T) of each target's tokens, EOS among them; what follows is noise."""
        rows = [list(row) for row in targets]
        batch = collate([list(row) for row in sources], rows).to(self._packed.device)
        with _evaluating(self.network):
            logits = self.network(batch.src, batch.src_lengths, batch.tgt_in)
            log_probs = torch.log_softmax(logits.float(), -1)
            return log_probs.gather(2, batch.tgt_out[:, :, None])[:, :, 0].cpu().numpy()

    def warm_up(self, rows: int, /) -> None:
        """Compile the products of a CPU for batches of at most `rows` hypotheses."""
        if self._packed.device.type == "cpu":  # a GPU compiles nothing for a number of rows
            warm_up(self._packed, rows)

    def _pack(self) -> None:
        self._packed = InferenceModel(self.network, precision=self._precision)
        self._step = decoding_step(self._packed)


@contextmanager
def _evaluating(network: Seq2Seq) -> Generator[None]:
    """The network without dropout and gradients; afterwards as it was."""
    was_training = network.training
    network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        network.train(was_training)
