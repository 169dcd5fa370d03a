"""The torch engine of a translation model: encode, step, score given targets."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from penstock.config import Precision
from penstock.data.padding import padded_ids
from penstock.nn import Seq2Seq
from penstock.runtime.decoder_step import DecodingState, decoding_step, start_decoding, warm_up
from penstock.runtime.network_trace import NetworkTrace
from penstock.runtime.torch_beam import DeviceSearch
from penstock.runtime.torch_cuda_graphs import repeater_of
from penstock.runtime.torch_engine import InferenceModel
from penstock.runtime.torch_network import evaluating
from penstock.runtime.torch_trace import trace_network
from penstock.search import Hypothesis, Limits, Ranking, ShouldStop
from penstock.search.step import Ints, Singles, StepOutput
from penstock.special_tokens import BOS_ID


class TorchTranslation:
    """A translation network with packed weights (see `TranslationEngine`).

    Args:
        network: on its device. While it is trained its weights are packed again by every `start`.
        precision: `bf16` makes products in bfloat16.
        searches: whether `search` chooses candidates on the device; default: on a GPU.
    """

    def __init__(
        self, network: nn.Module, *, precision: Precision = "fp32", searches: bool | None = None
    ) -> None:
        assert isinstance(network, Seq2Seq)
        self.network = network
        device = next(network.parameters()).device
        self.searches = device.type == "cuda" if searches is None else searches
        self._precision: Literal["fp32", "bf16"] = "bf16" if precision == "bf16" else "fp32"
        self._is_frozen = not any(p.requires_grad for p in network.parameters())
        self._pack()

    def start(self, sources: Sequence[Sequence[int]], /) -> DecodingState:
        """Encode sources; the state before BOS."""
        if not self._is_frozen:
            self._pack()
        src, lengths = _padded(sources)
        with evaluating(self.network):
            return start_decoding(self._packed, src.to(self._packed.device), lengths)

    def step(self, tokens: Ints, state: DecodingState, /, *, top: int) -> StepOutput[DecodingState]:
        """Advance every row; see `penstock.search.step.Step`."""
        if not self.network.training:
            return self._step(tokens, state, top=top)
        with evaluating(self.network):
            return self._step(tokens, state, top=top)

    def search(
        self,
        state: DecodingState,
        limits: Limits,
        *,
        beam_size: int,
        n_best: int,
        ranking: Ranking,
        should_stop: ShouldStop | None = None,
    ) -> list[list[Hypothesis]]:
        """Beam search on the device; see `penstock.runtime.torch_beam.DeviceSearch`."""
        with evaluating(self.network):
            return self._search(
                state, limits, beam_size=beam_size, n_best=n_best, ranking=ranking,
                should_stop=should_stop,
            )  # fmt: skip

    def score(
        self, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]], /
    ) -> Singles:
        """Log-probability (B, T) of each target's tokens, EOS among them; what follows is noise."""
        device = self._packed.device
        (src, src_lengths), (tgt_out, _) = _padded(sources), _padded(targets)
        tgt_in, _ = _padded([[BOS_ID, *row[:-1]] for row in targets])
        with evaluating(self.network):
            logits = self.network(src.to(device), src_lengths, tgt_in.to(device))
            log_probs = torch.log_softmax(logits.float(), -1)
            return log_probs.gather(2, tgt_out.to(device)[:, :, None])[:, :, 0].cpu().numpy()

    def trace(self, source: Sequence[int], output: Sequence[int], /) -> NetworkTrace:
        """What the network computes for a given output."""
        with evaluating(self.network):
            return trace_network(self.network, source, output)

    def warm_up(self, rows: int, /) -> None:
        """Compile the products of a CPU for batches of at most `rows` hypotheses."""
        if self._packed.device.type == "cpu":  # a GPU compiles nothing for a number of rows
            warm_up(self._packed, rows)

    def _pack(self) -> None:
        self._packed = InferenceModel(self.network, precision=self._precision)
        self._step = decoding_step(self._packed)
        # a graph would outlive its weights where they are packed again and again
        device = self._packed.device
        repeat = repeater_of(device, warnings.warn, alone=False) if self._is_frozen else None
        self._search = DeviceSearch(self._packed, repeat)


def _padded(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    ids, lengths = padded_ids([list(row) for row in rows])
    return torch.from_numpy(ids), torch.from_numpy(lengths)
