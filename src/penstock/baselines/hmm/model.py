"""A hidden Markov model as a value, with its inference, decoding, sampling and fitting.

Over 350 lines, because all of it is one class: methods over the same three tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from penstock.baselines.hmm.hmm_checks import (
    TOLERANCE,
    Inputs,
    as_float,
    real_positions,
    require_shapes,
    require_sums,
)
from penstock.baselines.hmm.log_products import INF, LogProduct
from penstock.baselines.hmm.messages import (
    backtrace,
    finite_max,
    log_sum,
    normalize,
    run_messages,
)
from penstock.errors import DataError, UsageError

Probabilities = Tensor | Sequence[float] | Sequence[Sequence[float]]


class Forward(NamedTuple):
    """Result of `HiddenMarkov.forward`: log α (B, T, K) and log P(x) (B,)."""

    log_alpha: Tensor
    log_likelihood: Tensor


class Decoded(NamedTuple):
    """Result of `HiddenMarkov.viterbi`: states (B, T), -1 after the end, and log P(x, h) (B,)."""

    states: Tensor
    log_prob: Tensor


class Sampled(NamedTuple):
    """Result of `HiddenMarkov.sample`: states and observations, (B, T) each."""

    states: Tensor
    observations: Tensor


class Fitted(NamedTuple):
    """Result of `HiddenMarkov.fit`: the model, and the mean log P(x) before each iteration."""

    model: HiddenMarkov
    log_likelihoods: list[float]


@dataclass(frozen=True, init=False, eq=False)
class HiddenMarkov:
    """A hidden Markov model as a value; made from probabilities, kept as logarithms.

    The methods take `log_likelihoods` (B, T, K), log P(x_t | h_t): those of categorical emissions
    come from `log_likelihoods(observations)`, any other emission can make its own. `lengths` (B,)
    are the sequences' lengths, by default all T. Derivatives of the first order pass through all
    but `sample` and the choice of Viterbi's path, also where probabilities are zero.

    Attributes:
        log_initial: (K,) log P(h_1).
        log_transition: (K, K) log P(h_t+1 | h_t), one row per h_t.
        log_emission: (K, V) log P(x_t | h_t); None where observations are not ids.
    """

    log_initial: Tensor
    log_transition: Tensor
    log_emission: Tensor | None

    def __init__(
        self,
        initial: Probabilities,
        transition: Probabilities,
        emission: Probabilities | None = None,
    ) -> None:
        """Check and keep probabilities, as tensors in float32 or float64 or as lists.

        Raises:
            UsageError: shapes that do not fit, a number that is no probability, or a row that
                does not sum to one.
        """
        inputs = {"initial": initial, "transition": transition, "emission": emission}
        tensors = {
            name: torch.as_tensor(value) for name, value in inputs.items() if value is not None
        }
        for name, tensor in tensors.items():
            wrong = ~((tensor >= 0) & (tensor <= 1 + TOLERANCE))
            if wrong.any():
                place = [int(i) for i in wrong.nonzero()[0]]
                raise UsageError(
                    f"{name}{place}: {tensor[tuple(place)].item():g} is no probability; "
                    "give numbers from 0 to 1, or logarithms to HiddenMarkov.from_log"
                )
        self._keep({name: as_float(tensor).log() for name, tensor in tensors.items()})

    @classmethod
    def from_log(
        cls, log_initial: Tensor, log_transition: Tensor, log_emission: Tensor | None = None
    ) -> HiddenMarkov:
        """Make a model from log-probabilities, which may be too small for `exp` to represent.

        Raises:
            UsageError: shapes that do not fit, or a row whose probabilities do not sum to one.
        """
        model = object.__new__(cls)
        inputs = {"initial": log_initial, "transition": log_transition, "emission": log_emission}
        model._keep({name: as_float(x) for name, x in inputs.items() if x is not None})
        return model

    def _keep(self, logs: dict[str, Tensor]) -> None:
        require_shapes(logs)
        dtype = torch.float32
        for name, log_probs in logs.items():
            require_sums(name, log_probs)
            dtype = torch.promote_types(dtype, log_probs.dtype)
        for name in ("initial", "transition", "emission"):
            kept = logs[name].to(dtype) if name in logs else None
            object.__setattr__(self, f"log_{name}", kept)

    @property
    def num_states(self) -> int:
        """K."""
        return len(self.log_initial)

    def log_likelihoods(self, observations: Tensor, lengths: Tensor | None = None) -> Tensor:
        """log P(x_t | h_t) of categorical observations.

        Args:
            observations: (B, T) ids below V; positions after a sequence's end are ignored.
            lengths: (B,), by default all T.

        Returns:
            (B, T, K), zero after the end.

        Raises:
            UsageError: a model without emissions, or observations of a wrong shape.
            DataError: an id outside the emissions.
        """
        emission = self._require_emission()
        if observations.ndim != 2 or observations.is_floating_point():
            raise UsageError(
                f"observations of shape {tuple(observations.shape)} and type {observations.dtype}; "
                "give ids as (B, T)"
            )
        real = real_positions(
            observations.shape[0], observations.shape[1], lengths, observations.device
        )
        outside = (real & ((observations < 0) | (observations >= emission.shape[1]))).nonzero()
        if len(outside):
            b, t = map(int, outside[0])
            raise DataError(
                f"observations[{b}, {t}] is {int(observations[b, t])}, but the model emits ids "
                f"0 to {emission.shape[1] - 1}"
            )
        found = emission.t()[torch.where(real, observations, 0)]
        return torch.where(real[..., None], found, 0.0)

    def forward(self, log_likelihoods: Tensor, lengths: Tensor | None = None) -> Forward:
        """log α_t = log P(x_1 … x_t, h_t), and the log-likelihood log P(x_1 … x_T)."""
        inputs = self._inputs(log_likelihoods, lengths)
        before, shift = self._before(inputs)
        log_alpha = before.add_(inputs.scores)  # but for the shift
        rows = torch.arange(len(inputs.lengths), device=shift.device)
        ends = inputs.lengths - 1
        total = log_sum(log_alpha[ends, rows]).double() + shift[ends, rows]  # (B, 1)
        absolute = log_alpha + shift.to(log_alpha.dtype)
        return Forward(inputs.finish(absolute), total.squeeze(1).to(log_alpha.dtype))

    def backward(self, log_likelihoods: Tensor, lengths: Tensor | None = None) -> Tensor:
        """log β_t = log ρ_t = log P(x_t+1 … x_T | h_t), (B, T, K); zero at each sequence's end."""
        inputs = self._inputs(log_likelihoods, lengths)
        after, shift = self._after(inputs)
        return inputs.finish(after.add_(shift.to(after.dtype)))

    def log_posterior(self, log_likelihoods: Tensor, lengths: Tensor | None = None) -> Tensor:
        """log P(h_t | x_1 … x_T), (B, T, K); all -inf where the sequence is impossible."""
        inputs = self._inputs(log_likelihoods, lengths)
        before, after = self._before(inputs)[0], self._after(inputs)[0]
        return inputs.finish(normalize(before.add_(inputs.scores).add_(after)))

    def log_pairwise(self, log_likelihoods: Tensor, lengths: Tensor | None = None) -> Tensor:
        """log P(h_t, h_t+1 | x_1 … x_T), (B, T - 1, K, K); all -inf where impossible.

        `fit` has the sum over t without making this, which may be large.
        """
        inputs = self._inputs(log_likelihoods, lengths)
        left = self._before(inputs)[0] + inputs.scores
        right = self._after(inputs)[0] + inputs.scores
        joint = left[:-1, :, :, None] + self.log_transition.to(left.dtype) + right[1:, :, None, :]
        joint = normalize(joint.flatten(2)).view_as(joint).transpose(0, 1)
        return torch.where(inputs.mask[:, 1:, None, None], joint, -INF)

    def log_state_given_others(
        self, log_likelihoods: Tensor, lengths: Tensor | None = None
    ) -> Tensor:
        """log P(h_t | all observations but the t-th) ∝ π_t ρ_t, (B, T, K).

        The observation at t is ignored and may be unknown. All -inf where the others are
        impossible.
        """
        inputs = self._inputs(log_likelihoods, lengths)
        before, after = self._before(inputs)[0], self._after(inputs)[0]
        return inputs.finish(normalize(before.add_(after)))

    def log_observation_given_others(
        self, log_likelihoods: Tensor, lengths: Tensor | None = None
    ) -> Tensor:
        """log P(x_t | all other observations) ∝ Σ_h π_t(h) ρ_t(h) P(x_t | h), (B, T, V).

        Raises:
            UsageError: as the others, or a model without emissions.
        """
        emission = self._require_emission()
        states = self.log_state_given_others(log_likelihoods, lengths)
        rows = states.flatten(0, 1)
        found, shift = LogProduct(emission.to(rows.dtype))(rows)
        return (found + shift).view(*states.shape[:2], -1)

    def log_joint(
        self, states: Tensor, log_likelihoods: Tensor, lengths: Tensor | None = None
    ) -> Tensor:
        """log P(x, h) of the hidden states (B, T), one value per sequence: (B,)."""
        inputs = self._inputs(log_likelihoods, lengths)
        real = inputs.mask.t()  # (T, B)
        path = torch.where(real, states.t(), 0)
        seen = inputs.scores.gather(2, path[..., None]).squeeze(2)
        moves = torch.where(real[1:], self.log_transition[path[:-1], path[1:]], 0.0)
        total = self.log_initial[path[0]].double() + seen.double().sum(0) + moves.double().sum(0)
        return total.to(seen.dtype)

    def viterbi(self, log_likelihoods: Tensor, lengths: Tensor | None = None) -> Decoded:
        """The most likely state path of each sequence and its log P(x, h).

        Ties are broken towards the lowest last state, then the lowest state before it, and so
        on. The path of an impossible sequence is meaningless.
        """
        inputs = self._inputs(log_likelihoods, lengths)
        with torch.no_grad():
            into = (
                self.log_transition.t().to(inputs.scores.dtype).contiguous()
            )  # one row per next state
            bests = [self.log_initial + inputs.scores[0]]
            for scores in inputs.scores[1:].unbind(0):
                best = bests[-1] - finite_max(bests[-1])  # near zero, where floats are finest
                bests.append((best[:, None, :] + into).amax(2) + scores)  # (B, K), over before
            states = backtrace(bests, into, inputs.lengths)
        log_prob = self.log_joint(states, log_likelihoods, lengths)
        return Decoded(torch.where(inputs.mask, states, -1), log_prob)

    @torch.no_grad()
    def sample(self, count: int, length: int, *, generator: torch.Generator) -> Sampled:
        """Draw sequences from the model.

        Args:
            count: B.
            length: T of each.
            generator: its seed decides the draw.

        Raises:
            UsageError: a count or a length below 1, or a model without emissions.
        """
        emission = self._require_emission().exp()
        for name, number in (("count", count), ("length", length)):
            if number < 1:
                raise UsageError(f"{name} {number}: give 1 or more")
        following, row = self.log_transition.exp(), self.log_initial.exp().expand(count, -1)
        states: list[Tensor] = []
        observations: list[Tensor] = []
        for _ in range(length):
            state = torch.multinomial(row, 1, generator=generator).squeeze(1)
            seen = torch.multinomial(emission[state], 1, generator=generator).squeeze(1)
            states.append(state)
            observations.append(seen)
            row = following[state]
        return Sampled(torch.stack(states, 1), torch.stack(observations, 1))

    def fit(
        self,
        observations: Tensor,
        lengths: Tensor | None = None,
        *,
        iterations: int = 100,
        tolerance: float = 1e-5,
    ) -> Fitted:
        """Fit by Baum-Welch, starting from this model's parameters.

        The expected numbers of starts, moves and emissions are the derivatives of log P(x) by the
        log-probabilities (Eisner 2016, https://aclanthology.org/W16-5901). A state that is never
        reached keeps its rows. The result depends on the initialization; symmetry is kept.

        Args:
            observations: (B, T) ids.
            lengths: (B,), by default all T.
            iterations: the maximum.
            tolerance: stop when an iteration gains less log P(x) per sequence than this.

        Raises:
            UsageError: as the others, or a model without emissions.
            DataError: an id outside the emissions, or a sequence of probability zero.
        """
        if iterations < 1:
            raise UsageError(f"iterations {iterations}: give 1 or more")
        model, history = self, list[float]()
        for _ in range(iterations):
            likelihood, counts = model._count(observations, lengths)
            history.append(likelihood)
            if len(history) > 1 and history[-1] - history[-2] < tolerance:
                break
            model = model._reestimate(counts)
        return Fitted(model, history)

    def _count(self, observations: Tensor, lengths: Tensor | None) -> tuple[float, list[Tensor]]:
        """Mean log P(x), and the expected number of each start, move and emission."""
        logs = [log.detach().requires_grad_() for log in self._logs()]
        model = HiddenMarkov.from_log(*logs)
        scores = model.log_likelihoods(observations, lengths)
        found = model.forward(scores, lengths).log_likelihood
        impossible = (~found.isfinite()).nonzero()
        if len(impossible):
            raise DataError(
                f"sequence {int(impossible[0])} is impossible in the model; "
                "begin with probabilities above zero, or leave it out"
            )
        counts = torch.autograd.grad(found.sum(), logs)
        return float(found.detach().double().mean()), list(counts)

    def _reestimate(self, counts: list[Tensor]) -> HiddenMarkov:
        """The maximum-likelihood model of the counts; rows without counts are kept."""
        logs: list[Tensor] = []
        for log, count in zip(self._logs(), counts, strict=True):
            total = count.sum(-1, keepdim=True)
            logs.append(torch.where(total > 0, (count / total).log(), log.detach()))
        return HiddenMarkov.from_log(*logs)

    def _logs(self) -> list[Tensor]:
        return [self.log_initial, self.log_transition, self._require_emission()]

    def _require_emission(self) -> Tensor:
        if self.log_emission is None:
            raise UsageError(
                "this model has no emissions; give them to HiddenMarkov as its third argument"
            )
        return self.log_emission

    def _inputs(self, log_likelihoods: Tensor, lengths: Tensor | None) -> Inputs:
        return Inputs.check(
            log_likelihoods, lengths, states=self.num_states, dtype=self.log_initial.dtype
        )

    def _before(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """log π (T, B, K), but for a shift (T, B, 1)."""
        start = self.log_initial.to(inputs.scores.dtype).expand(inputs.scores.shape[1], -1)
        return run_messages(start, inputs.scores, self.log_transition.to(inputs.scores.dtype))

    def _after(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """log ρ (T, B, K), but for a shift (T, B, 1)."""
        start = torch.zeros_like(inputs.scores[0])
        backwards = self.log_transition.to(inputs.scores.dtype).t()
        return run_messages(start, inputs.scores, backwards, reverse=True, waiting=inputs.waiting())
