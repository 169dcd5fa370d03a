# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch gives some of its methods no types: what comes of them is declared)
"""Exhaustive search: every output there is, for small vocabularies and lengths.

It is what other searches are tested against, and the definition of what they look for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from penstock.errors import UsageError
from penstock.search.hypothesis import Hypothesis, require_found
from penstock.search.limits import Limits
from penstock.search.ranking import Ranking, covered
from penstock.search.rules import Rules, Track
from penstock.search.step import S, Step

_ROWS = 4096  # stepped together: bounds the memory that logits take


@dataclass(frozen=True, slots=True)
class _Beginnings:
    """N beginnings of T tokens each.

    Attributes:
        sentences: (N,) which sentence each belongs to.
        tokens, log_probs: (N, T).
        weights: (N, T, S) attention of the steps, or None.
        tracks: what the rules know of each; empty where the limits are plain.
    """

    sentences: Tensor
    tokens: Tensor
    log_probs: Tensor
    weights: Tensor | None
    tracks: list[Track]

    def grow(
        self,
        rows: Tensor,
        tokens: Tensor,
        log_probs: Tensor,
        weights: Tensor | None,
        tracks: list[Track],
    ) -> _Beginnings:
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
            tracks,
        )

    def part(self, start: int) -> _Beginnings:
        """At most `_ROWS` of them."""
        rows = slice(start, start + _ROWS)
        weights = None if self.weights is None else self.weights[rows]
        return _Beginnings(
            self.sentences[rows],
            self.tokens[rows],
            self.log_probs[rows],
            weights,
            self.tracks[rows],
        )


@torch.no_grad()
def exhaustive_search(
    step: Step[S],
    state: S,
    limits: Limits,
    *,
    n_best: int = 1,
    ranking: Ranking | None = None,
    align: bool = False,
    most: int = 1_000_000,
) -> list[list[Hypothesis]]:
    """Score every output of every sentence.

    Args:
        step: the model's step.
        state: of B rows, before BOS.
        limits: special ids, B maximum lengths and what else an output must be.
        n_best: hypotheses returned a sentence.
        ranking: of outputs; default: the book's, α = 1.
        align: keep the attention of each step.
        most: refuse a sentence that has more outputs than this.

    Returns:
        For each of the B sentences up to `n_best` distinct hypotheses, best first; of equal
        scores the one of lower ids first.

    Raises:
        UsageError: there are too many outputs to score.
    """
    ranking = ranking or Ranking()
    count = len(limits.max_lengths)
    kept: list[list[Hypothesis]] = [[] for _ in range(count)]
    if not count:
        return kept
    rows = torch.arange(count)
    first = _Beginnings(rows, rows.new_zeros(count, 0), torch.zeros(count, 0), None, [])
    # blocks to grow, each with the state of the step before and the rows of it to go on from
    blocks = [(first, state, rows, torch.full((count,), limits.bos_id))]
    rules: Rules | None = None
    watch = align or ranking.coverage_penalty > 0
    while blocks:
        begun, before, parents, last = blocks.pop()
        output = step(last, before.select(parents))
        log_probs = limits.allowed(output.logits).cpu()
        weights = None if not watch or output.weights is None else output.weights.cpu()
        if rules is None:
            _require_few(log_probs, limits, most)
            rules = Rules(limits, log_probs.shape[1])
            begun = replace(begun, tracks=rules.start())
        wanted: list[bool] = (log_probs.argmax(-1) == limits.eos_id).tolist()
        length = begun.tokens.shape[1]
        at_limit = [length == limits.max_lengths[i] for i in begun.sentences.tolist()]
        rules.restrict(log_probs, begun.tracks, at_limit)
        _keep_ended(kept, begun, log_probs, weights, wanted, limits, n_best, ranking, align=align)
        log_probs[:, limits.eos_id] = -math.inf
        grown, tokens = (log_probs > -math.inf).nonzero(as_tuple=True)
        tracks: list[Track] = []
        if begun.tracks:
            pairs = zip(grown.tolist(), tokens.tolist(), strict=True)
            tracks = [rules.grow(begun.tracks[row], token) for row, token in pairs]
        longer = begun.grow(grown, tokens, log_probs[grown, tokens], weights, tracks)
        for start in range(0, len(tokens), _ROWS):
            part = slice(start, start + _ROWS)
            blocks.append((longer.part(start), output.state, grown[part], tokens[part]))
    require_found(kept, "exhaustive")
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
    weights: Tensor | None,
    wanted: list[bool],
    limits: Limits,
    n_best: int,
    ranking: Ranking,
    *,
    align: bool,
) -> None:
    """End every beginning that may end here; of each sentence's hypotheses keep the best."""
    length = begun.tokens.shape[1] + 1
    ends = log_probs[:, limits.eos_id]
    totals: list[float] = (begun.log_probs.double().sum(1) + ends.double()).tolist()
    sentences: list[int] = begun.sentences.tolist()
    for row, (sentence, total) in enumerate(zip(sentences, totals, strict=True)):
        if total == -math.inf:
            continue
        tokens: list[int] = begun.tokens[row].tolist()
        each: list[float] = [*begun.log_probs[row].tolist(), float(ends[row])]
        attention = begun.weights[row] if begun.weights is not None else None
        coverage = 0.0
        if ranking.coverage_penalty > 0 and weights is not None:
            ending = weights[row, None]
            steps = ending if attention is None else torch.cat([attention, ending])
            coverage = covered(steps, limits.source_length(sentence))
        kept[sentence].append(
            Hypothesis(
                tokens=tokens,
                score=ranking.score(total, length, coverage),
                log_probability=total,
                token_log_probabilities=each,
                finished=length <= limits.max_lengths[sentence] or wanted[row],
                alignment=attention if align else None,
            )
        )
    for sentence in set(sentences):
        kept[sentence] = sorted(kept[sentence], key=_rank)[:n_best]


def _rank(hypothesis: Hypothesis) -> tuple[float, list[int]]:
    return -hypothesis.score, hypothesis.tokens
