"""Argument checks: probabilities, log-likelihoods, lengths."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from penstock.baselines.hmm.log_products import INF
from penstock.errors import DataError, UsageError

TOLERANCE = 1e-5  # of a row's sum; a softmax in float32 over 50,000 ids keeps to a third of it


@dataclass(frozen=True, slots=True)
class Inputs:
    """Validated arguments of a method, time-major.

    Attributes:
        scores: (T, B, K) log-likelihoods, zero after a sequence's end.
        mask: (B, T), True = within the sequence.
        lengths: (B,).
        whole: whether all lengths are T.
    """

    scores: Tensor
    mask: Tensor
    lengths: Tensor
    whole: bool

    def waiting(self) -> Tensor | None:
        """(T, B, 1), True from each sequence's last position on; None where all end together."""
        if self.whole:
            return None
        steps = torch.arange(len(self.scores), device=self.lengths.device)
        return (steps[:, None] >= self.lengths - 1)[..., None]

    def finish(self, found: Tensor) -> Tensor:
        """(T, B, ·) to (B, T, ·), -inf after each sequence's end."""
        found = found.transpose(0, 1)
        return found if self.whole else found.masked_fill(~self.mask[..., None], -INF)

    @classmethod
    def check(
        cls, log_likelihoods: Tensor, lengths: Tensor | None, *, states: int, dtype: torch.dtype
    ) -> Inputs:
        """Validate the arguments and transpose them to time-major.

        Args:
            log_likelihoods: (B, T, K).
            lengths: (B,), or None where all are T.
            states: K.
            dtype: the least precision of the result.

        Raises:
            UsageError: a wrong shape or type.
            DataError: NaN or infinity before a sequence's end.
        """
        shape = tuple(log_likelihoods.shape)
        if len(shape) != 3 or shape[2] != states or 0 in shape:
            raise UsageError(
                f"log_likelihoods of shape {shape}; give (B, T, {states}): "
                "sequences, positions, hidden states"
            )
        require_float("log_likelihoods", log_likelihoods)
        mask = real_positions(shape[0], shape[1], lengths, log_likelihoods.device)
        dtype = torch.promote_types(dtype, log_likelihoods.dtype)
        scores = (
            log_likelihoods.to(dtype).transpose(0, 1).clone(memory_format=torch.contiguous_format)
        )
        if lengths is not None:  # positions after the end are never read
            scores = scores.masked_fill_(~mask.t()[..., None], 0.0)
        if not scores.detach().max() < INF:
            t, b, k = map(int, (~(scores < INF)).nonzero()[0])
            raise DataError(
                f"log_likelihoods[{b}, {t}, {k}] is {scores[t, b, k].item()}; "
                "give a number, or -inf for zero probability"
            )
        return cls(scores, mask, mask.sum(1), whole=lengths is None)


def real_positions(rows: int, steps: int, lengths: Tensor | None, device: torch.device) -> Tensor:
    """(B, T), True = within the sequence."""
    if lengths is None:
        return torch.ones(rows, steps, dtype=torch.bool, device=device)
    if tuple(lengths.shape) != (rows,) or lengths.is_floating_point():
        raise UsageError(
            f"lengths of shape {tuple(lengths.shape)} and type {lengths.dtype}; "
            f"give an integer for each of the {rows} sequences"
        )
    wrong = ((lengths < 1) | (lengths > steps)).nonzero()
    if len(wrong):
        place = int(wrong[0])
        raise UsageError(
            f"lengths[{place}] is {int(lengths[place])}; a sequence has 1 to {steps} positions here"
        )
    return torch.arange(steps, device=device) < lengths.to(device)[:, None]


def as_float(x: Tensor) -> Tensor:
    """Convert integers to torch's default dtype; floats pass unchanged."""
    return x if x.is_floating_point() else x.to(torch.get_default_dtype())


def require_float(name: str, x: Tensor) -> None:
    """Raise a UsageError unless the dtype is float32 or float64."""
    if x.dtype not in (torch.float32, torch.float64):
        raise UsageError(f"{name} of type {x.dtype}; give float32 or float64")


def require_shapes(logs: dict[str, Tensor]) -> None:
    """Raise a UsageError if the parameters' shapes do not fit together."""
    shapes = {name: tuple(log_probs.shape) for name, log_probs in logs.items()}
    states = shapes["initial"][0] if len(shapes["initial"]) == 1 else 0
    emission = shapes.get("emission", (states, 1))
    fits = len(emission) == 2 and emission[0] == states and emission[1] > 0
    if not states or shapes["transition"] != (states, states) or not fits:
        found = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise UsageError(
            f"shapes do not fit: {found}; "
            "give initial (K,), transition (K, K) and emission (K, V) for K hidden states"
        )


def require_sums(name: str, log_probs: Tensor) -> None:
    """Raise a UsageError unless each row's probabilities sum to one."""
    require_float(name, log_probs)
    sums = log_probs.detach().double().exp().sum(-1).reshape(-1)
    wrong = (~((sums - 1).abs() <= TOLERANCE)).nonzero()
    if len(wrong):
        row = int(wrong[0])
        place = name if log_probs.ndim == 1 else f"{name}, row {row}"
        raise UsageError(
            f"{place}: sums to {sums[row].item():.6g}, and must sum to 1; "
            "divide each row by its sum"
        )
