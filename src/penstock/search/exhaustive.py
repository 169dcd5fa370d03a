# pyright: reportUnknownVariableType=false
# (torch gives `tolist` no type: what comes of it is declared)
"""Exhaustive search: every output there is, for small vocabularies and lengths.

It is what other searches are tested against, and the definition of what they look for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from penstock.errors import UsageError
from penstock.search.hypothesis import Hypothesis
from penstock.search.limits import Limits, normalized
from penstock.search.step import S, Step

_ROWS = 4096  # stepped together: bounds the memory that logits take


@dataclass(frozen=True, slots=True)
class _Beginnings:
    """N beginnings of T tokens each.

    Attributes:
        sentences: (N,) which sentence each belongs to.
        tokens, log_probs: (N, T).
        weights: (N, T, S) attention of the steps, or None.
    """

    sentences: Tensor
    tokens: Tensor
    log_probs: Tensor
    weights: Tensor | None

    def grow(self, rows: Tensor, tokens: Tensor, log_probs: Tensor, weights: Tensor | None):
        """The given rows, each with one more token."""
        more = None
        if weights is not None:
            before = weights.new_zeros(len(rows), 0, weights.shape[1])
            before = before if self.weights is None else self.weights[rows]
            more = torch.cat([before, weights[rows, None]], 1)
        return _Beginnings(
            self.sentences[rows],
            torch.cat([self.tokens[rows], tokens[:, None]], 1),
            torch.cat([self.log_probs[rows], log_probs[:, None]], 1),
            more,
        )

    def part(self, start: int) -> _Beginnings:
        """At most `_ROWS` of them."""
        rows = slice(start, start + _ROWS)
        weights = None if self.weights is None else self.weights[rows]
        return _Beginnings(self.sentences[rows], self.tokens[rows], self.log_probs[rows], weights)


@torch.no_grad()
def exhaustive_search(
    step: Step[S],
    state: S,
    limits: Limits,
    *,
    n_best: int = 1,
    length_penalty: float = 1.0,
    align: bool = False,
    most: int = 1_000_000,
) -> list[list[Hypothesis]]:
    """Score every output of every sentence.

    Args:
        step: the model's step.
        state: of B rows, before BOS.
        limits: special ids and B maximum lengths.
        n_best: hypotheses returned a sentence.
        length_penalty: α of log p / L^α, L counting EOS.
        align: keep the attention of each step.
        most: refuse a sentence that has more outputs than this.

    Returns:
        For each of the B sentences up to `n_best` distinct hypotheses, best first; of equal
        scores the one of lower ids first.

    Raises:
        UsageError: there are too many outputs to score.
    """
    count = len(limits.max_lengths)
    kept: list[list[Hypothesis]] = [[] for _ in range(count)]
    if not count:
        return kept
    rows = torch.arange(count)
    first = _Beginnings(rows, rows.new_zeros(count, 0), torch.zeros(count, 0), None)
    # blocks to grow, each with the state of the step before and the rows of it to go on from
    blocks = [(first, state, rows, torch.full((count,), limits.bos_id))]
    while blocks:
        begun, before, parents, last = blocks.pop()
        output = step(last, before.select(parents.to(last.device)))
        log_probs = limits.allowed(output.logits).cpu()
        weights = None if not align or output.weights is None else output.weights.cpu()
        length = begun.tokens.shape[1]
        if length == 0:
            _require_few(log_probs, limits, most)
        _keep_ended(kept, begun, log_probs, limits, n_best, length_penalty)
        log_probs[:, limits.eos_id] = -math.inf
        lengths = torch.tensor(limits.max_lengths)[begun.sentences]
        log_probs[length >= lengths] = -math.inf
        grown, tokens = (log_probs > -math.inf).nonzero(as_tuple=True)
        longer = begun.grow(grown, tokens, log_probs[grown, tokens], weights)
        for start in range(0, len(tokens), _ROWS):
            part = slice(start, start + _ROWS)
            blocks.append((longer.part(start), output.state, grown[part], tokens[part]))
    return [sorted(found, key=_rank)[:n_best] for found in kept]


def _require_few(log_probs: Tensor, limits: Limits, most: int) -> None:
    possible: list[int] = (log_probs > -math.inf).sum(1).tolist()
    for sentence, (tokens, length) in enumerate(zip(possible, limits.max_lengths, strict=True)):
        choices = tokens - 1  # EOS
        outputs = sum(choices**n for n in range(length + 1))
        if outputs > most:
            raise UsageError(
                f"exhaustive search: sentence {sentence + 1} has {outputs:.2g} possible outputs "
                f"({choices} tokens, at most {length} long), more than {most:,}; lower the length "
                "limit, or use exact search"
            )


def _keep_ended(
    kept: list[list[Hypothesis]],
    begun: _Beginnings,
    log_probs: Tensor,
    limits: Limits,
    n_best: int,
    length_penalty: float,
) -> None:
    """End every beginning here; of each sentence's hypotheses keep the best."""
    length = begun.tokens.shape[1] + 1
    ends = log_probs[:, limits.eos_id]
    totals: list[float] = (begun.log_probs.double().sum(1) + ends.double()).tolist()
    wanted: list[bool] = (log_probs.argmax(-1) == limits.eos_id).tolist()
    sentences: list[int] = begun.sentences.tolist()
    touched: set[int] = set()
    for row, (sentence, total) in enumerate(zip(sentences, totals, strict=True)):
        if total == -math.inf:
            continue
        tokens: list[int] = begun.tokens[row].tolist()
        each: list[float] = [*begun.log_probs[row].tolist(), float(ends[row])]
        kept[sentence].append(
            Hypothesis(
                tokens=tokens,
                score=normalized(total, length, length_penalty),
                log_probability=total,
                token_log_probabilities=each,
                finished=length <= limits.max_lengths[sentence] or wanted[row],
                alignment=None if begun.weights is None else begun.weights[row],
            )
        )
        touched.add(sentence)
    for sentence in touched:
        kept[sentence] = sorted(kept[sentence], key=_rank)[:n_best]


def _rank(hypothesis: Hypothesis) -> tuple[float, list[int]]:
    return -hypothesis.score, hypothesis.tokens
