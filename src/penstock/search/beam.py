# pyright: reportUnknownVariableType=false
# (torch gives `tolist` no type: what comes of it is declared)
"""Beam search: the best K beginnings kept at every step.

A beginning that ends keeps its place in the beam, so that a beam of 1 is greedy search and a
beam that prunes nothing is exhaustive. A sentence is done when no beginning is left alive, or
when none alive can still beat the hypotheses asked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from penstock.search.hypothesis import Hypothesis
from penstock.search.limits import Limits, normalized
from penstock.search.step import S, Step


@dataclass(frozen=True, slots=True)
class _Path:
    """A beginning as a linked list: its last token and the path before."""

    before: _Path | None
    token: int
    log_prob: float
    total: float
    weights: Tensor | None


@dataclass(slots=True)
class _Sentence:
    """The search for one sentence: its places in the beam, what lives, what has ended."""

    max_length: int
    places: int
    alive: list[_Path | None] = field(default_factory=lambda: [None])
    ended: list[Hypothesis] = field(default_factory=list[Hypothesis])


@torch.no_grad()
def beam_search(
    step: Step[S],
    state: S,
    limits: Limits,
    *,
    beam_size: int,
    n_best: int = 1,
    length_penalty: float = 1.0,
    align: bool = False,
) -> list[list[Hypothesis]]:
    """Search all sentences together.

    Args:
        step: the model's step.
        state: of B rows, before BOS.
        limits: special ids and B maximum lengths.
        beam_size: K, beginnings kept a sentence.
        n_best: hypotheses returned a sentence, at most K.
        length_penalty: α of log p / L^α, L counting EOS.
        align: keep the attention of each step.

    Returns:
        For each of the B sentences up to `n_best` distinct hypotheses, best first.
    """
    sentences = [_Sentence(limit, beam_size) for limit in limits.max_lengths]
    active = list(sentences)
    last = torch.full((len(active),), limits.bos_id)
    length = 0  # tokens of every living beginning
    while active:
        output = step(last, state)
        ranked = _rank(limits.allowed(output.logits), active, limits, beam_size, length)
        weights = output.weights if align else None
        parents: list[int] = []
        first = 0  # the sentence's first row in the step's batch
        for sentence, candidates in zip(active, ranked, strict=True):
            count = len(sentence.alive)
            origins = _advance(sentence, candidates, first, limits.eos_id, weights, length_penalty)
            if _is_done(sentence, n_best, length_penalty):
                sentence.alive = []
            else:
                parents += origins
            first += count
        active = [sentence for sentence in active if sentence.alive]
        tokens = [path.token for s in active for path in s.alive if path is not None]
        device = output.logits.device
        state = output.state.select(torch.tensor(parents, dtype=torch.long, device=device))
        last = torch.tensor(tokens, dtype=torch.long, device=device)
        length += 1
    return [sorted(s.ended, key=lambda h: -h.score)[:n_best] for s in sentences]


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A beginning with one more token."""

    place: int  # of the beginning among the sentence's living ones
    token: int
    log_prob: float
    total: float
    free: bool  # EOS here is the model's choice, not the length limit's


def _rank(
    log_probs: Tensor, active: list[_Sentence], limits: Limits, beam_size: int, length: int
) -> list[list[_Candidate]]:
    """The best K candidates of each sentence, best first; `log_probs` is (N, V)."""
    likeliest: list[int] = log_probs.argmax(-1).tolist()
    counts = [len(sentence.alive) for sentence in active]
    at_limit = [length == s.max_length for s in active for _ in s.alive]
    limits.end_at_limit(log_probs, at_limit)  # after the likeliest is known
    width = min(beam_size, log_probs.shape[1])
    values, tokens = log_probs.topk(width, -1)  # (N, K) each
    totals = [0.0 if path is None else path.total for s in active for path in s.alive]
    sums = values.double() + torch.tensor(totals, dtype=torch.double, device=values.device)[:, None]
    # gather each sentence's rows, padded to the largest beam, and rank them together
    most = max(counts)
    places = [(i, j) for i, count in enumerate(counts) for j in range(count)]
    table = sums.new_full((len(active), most, width), -math.inf)
    where = torch.tensor(places, device=sums.device)
    table[where[:, 0], where[:, 1]] = sums
    best, index = table.flatten(1).topk(min(beam_size, most * width), -1)  # (B, K)
    ranked: list[list[_Candidate]] = []
    first = 0
    token_rows: list[list[int]] = tokens.tolist()
    value_rows: list[list[float]] = values.tolist()
    best_rows: list[list[float]] = best.tolist()
    index_rows: list[list[int]] = index.tolist()
    for count, bests, indices in zip(counts, best_rows, index_rows, strict=True):
        candidates: list[_Candidate] = []
        for total, flat in zip(bests, indices, strict=True):
            if total == -math.inf:
                break
            place, choice = divmod(flat, width)
            token = token_rows[first + place][choice]
            candidates.append(
                _Candidate(
                    place,
                    token,
                    value_rows[first + place][choice],
                    total,
                    not at_limit[first + place] or likeliest[first + place] == token,
                )
            )
        ranked.append(candidates)
        first += count
    return ranked


def _advance(
    sentence: _Sentence,
    candidates: list[_Candidate],
    first: int,
    eos_id: int,
    weights: Tensor | None,
    length_penalty: float,
) -> list[int]:
    """Fill the sentence's places with its best candidates; the batch rows they grew from."""
    paths: list[_Path | None] = []
    origins: list[int] = []
    for candidate in candidates[: sentence.places]:
        before = sentence.alive[candidate.place]
        if candidate.token == eos_id:
            sentence.ended.append(_hypothesis(before, candidate, length_penalty))
            sentence.places -= 1
            continue
        row = first + candidate.place
        attention = None if weights is None else weights[row]
        paths.append(_Path(before, candidate.token, candidate.log_prob, candidate.total, attention))
        origins.append(row)
    sentence.alive = paths
    return origins


def _hypothesis(path: _Path | None, end: _Candidate, length_penalty: float) -> Hypothesis:
    tokens: list[int] = []
    log_probs = [end.log_prob]
    weights: list[Tensor] = []
    while path is not None:
        tokens.append(path.token)
        log_probs.append(path.log_prob)
        if path.weights is not None:
            weights.append(path.weights)
        path = path.before
    return Hypothesis(
        tokens=tokens[::-1],
        score=normalized(end.total, len(log_probs), length_penalty),
        log_probability=end.total,
        token_log_probabilities=log_probs[::-1],
        finished=end.free,
        alignment=torch.stack(weights[::-1]) if weights else None,
    )


def _is_done(sentence: _Sentence, n_best: int, length_penalty: float) -> bool:
    """Whether nothing alive can enter the best `n_best`.

    A beginning's log-probability only falls, and its normalised score is highest at the length
    limit: that bounds what it can still become.
    """
    if not sentence.alive:
        return True
    if len(sentence.ended) < n_best:
        return False
    bound = max(
        normalized(path.total, sentence.max_length + 1, length_penalty)
        for path in sentence.alive
        if path is not None
    )
    kept = sorted((h.score for h in sentence.ended), reverse=True)[:n_best]
    return kept[-1] >= bound
