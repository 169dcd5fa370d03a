"""The bridge from the encoder's final state to the decoder's initial state."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from penstock.nn.products import rows_linear
from penstock.nn.state import State


class Bridge(nn.Module):
    """Pass the state unchanged if depths agree; otherwise through a learned layer with tanh.

    Args:
        encoder_layers, decoder_layers: depths; if unequal, all encoder layers feed the bridge.
        size: the width H of both.
        carries: the parts of the state that the decoder's cells read; the others become zeros.
    """

    def __init__(
        self, *, encoder_layers: int, decoder_layers: int, size: int, carries: Sequence[str]
    ) -> None:
        super().__init__()
        self.layers = decoder_layers
        same = encoder_layers == decoder_layers
        wide, out = encoder_layers * size, decoder_layers * size
        self.h, self.c = (
            nn.Linear(wide, out) if part in carries and not same else nn.Identity()
            for part in ("h", "c")
        )
        self.same = same

    def forward(self, state: State) -> State:
        """(L_encoder, B, H) to (L_decoder, B, H)."""
        if self.same:
            return state
        c = None if state.c is None else self._map(self.c, state.c)
        return State(torch.tanh(self._map(self.h, state.h)), c)

    def _map(self, layer: nn.Module, x: Tensor) -> Tensor:
        if not isinstance(layer, nn.Linear):
            return x.new_zeros(self.layers, *x.shape[1:])
        joined = x.transpose(0, 1).flatten(1)
        flat = rows_linear(joined, layer.weight, layer.bias)  # (B, L_decoder·H)
        return flat.unflatten(-1, (self.layers, -1)).transpose(0, 1).contiguous()
