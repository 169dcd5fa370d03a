"""Cells whose gates read the input alone: over a whole sequence their state is a scan.

Every parallel cell's state is a moving average, c_t = f_t ⊙ c_{t-1} + (1 - f_t) ⊙ z_t. Neither f
nor z depends on the state, so products, gates and outputs are computed for all positions at once,
and what remains in order is one multiplication per element. docs/chapter/parallel.md explains it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from penstock.nn.cells.cell_spec import PackedForm, Slices


class _MovingAverage(torch.autograd.Function):
    """All c_t (N, H) from logits of f and z (N, H) and the state before (B, H)."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, logit: Tensor, z: Tensor, before: Tensor, slices: Slices
    ) -> Tensor:
        f = logit.sigmoid()
        states = _empty_but_padding(f, slices)
        c = before[: slices[0][1]]
        for start, n in slices:
            at = slice(start, start + n)
            if n > len(c):  # backward in time, rows join at their last token
                c = torch.cat([c, before[len(c) : n]])
            c = torch.lerp(z[at], c[:n], f[at], out=states[at])
        ctx.save_for_backward(f, z, states)
        ctx.slices, ctx.batch = slices, len(before)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor):  # type: ignore[override]
        f, z, states = ctx.saved_tensors
        d_c, kept = d_states.clone(), _empty_but_padding(f, ctx.slices)
        d_before = f.new_zeros(ctx.batch, f.shape[1])
        after = d_before[:0]  # gradient by way of the step after
        for start, n in reversed(ctx.slices):
            at = slice(start, start + n)
            if n < len(after):  # these rows began at the step after
                d_before[n : len(after)] = after[n:]
            both = min(n, len(after))
            d_c[start : start + both].add_(after[:both])
            after = torch.mul(d_c[at], f[at], out=kept[at])
        d_before[: len(after)] = after
        d_z = d_c.sub_(kept)  # d_c ⊙ (1 - f)
        # f's slope is f (1 - f), and f ⊙ (c_{t-1} - z) = c_t - z
        return (states - z).mul_(d_z), d_z, d_before, None


def _empty_but_padding(like: Tensor, slices: Slices) -> Tensor:
    """(N, H), zero behind the last packed position."""
    x = torch.empty_like(like)
    x[sum(n for _, n in slices) :] = 0
    return x


class Scan(NamedTuple):
    """The fast forms of a cell whose state is c_t = f_t ⊙ c_{t-1} + (1 - f_t) ⊙ z_t.

    Gates and state are computed in float32 at least: bfloat16 has no number between 0.996 and 1,
    so that a forget gate could not keep anything for longer than 250 steps but for ever.

    Attributes:
        terms: from the products (…, G·H) to f's logit, z and what `output` takes, (…, H) each.
        output: from the state and the other terms to the output; None: the state itself.
    """

    terms: Callable[[Tensor], Sequence[Tensor]]
    output: Callable[..., Tensor] | None = None

    def fused(
        self, products: Tensor, h: Tensor, c: Any, weight_hh: None, bias_hh: None, slices: Slices
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Run a whole sequence; see `Fused`. The final state is in float32 at least."""
        outputs, states = self._run(products, h if c is None else c, slices)
        last = torch.tensor(_last_positions(slices), device=outputs.device)
        final_h = outputs.index_select(0, last)
        final_c = None if c is None else states.index_select(0, last)
        return outputs.to(products.dtype), final_h, final_c

    def padded(self, products: Tensor, h: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Run over padded rows; see `Padded`."""
        batch, steps, _ = products.shape
        packed = products.transpose(0, 1).flatten(0, 1)  # (S·B, G·H)
        slices = [(t * batch, batch) for t in range(steps)]
        outputs, states = self._run(packed, h if c is None else c, slices)
        outputs, states = (x.view(steps, batch, -1).transpose(0, 1) for x in (outputs, states))
        return outputs, None if c is None else states

    def _run(self, products: Tensor, before: Tensor, slices: Slices) -> tuple[Tensor, Tensor]:
        """Outputs and states (N, H) from products (N, G·H) and the state before (B, H)."""
        x = products.to(torch.promote_types(products.dtype, torch.float32))
        logit, z, *others = self.terms(x)
        states: Any = _MovingAverage.apply(logit, z, before.to(x.dtype), slices)
        return states if self.output is None else self.output(states, *others), states

    def step(
        self, products: Tensor, _: None, h: Tensor, c: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Run one step without gradients; see `PackedForm`."""
        logit, z, *others = self.terms(products)
        state = torch.lerp(z, (h if c is None else c).to(z.dtype), logit.sigmoid())
        output = state if self.output is None else self.output(state, *others)
        return output, None if c is None else state

    @property
    def packed(self) -> PackedForm:
        """The inference step."""
        return PackedForm(self.step)


def _last_positions(slices: Slices) -> list[int]:
    """The packed position of each row's last step."""
    last: list[int] = []
    for start, n in reversed(slices):
        last += range(start + len(last), start + n)
    return last
