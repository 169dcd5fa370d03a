# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch gives some of its methods no types: what comes of them is declared)
"""One output a row, a token at a time: what greedy search and sampling share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from penstock.errors import UsageError
from penstock.search.hypothesis import Hypothesis, Tell
from penstock.search.limits import Limits
from penstock.search.ranking import Ranking, covered
from penstock.search.rules import Rules, Track
from penstock.search.step import S, Step

# (log-probabilities (N, V), which outputs they belong to) -> an id a row, (N,)
Choose = Callable[[Tensor, Sequence[int]], Tensor]


@dataclass(slots=True)
class _Output:
    """An output as it grows; the attention of the step that emits EOS is the last."""

    sentence: int
    tokens: list[int] = field(default_factory=list[int])
    log_probs: list[float] = field(default_factory=list[float])
    weights: list[Tensor] = field(default_factory=list[Tensor])
    finished: bool = True


def decode_rows(
    step: Step[S],
    state: S,
    limits: Limits,
    sentences: Sequence[int],
    choose: Choose,
    *,
    ranking: Ranking,
    align: bool,
    tell: Tell | None = None,
) -> list[Hypothesis]:
    """Decode all rows together; a row that has ended leaves the batch.

    Args:
        step: the model's step.
        state: of N rows, before BOS.
        limits: of B sentences.
        sentences: (N,) which sentence each row's output is for.
        choose: the next tokens.
        ranking: only enters the reported score.
        align: keep the attention of each step.
        tell: called with each row's number and output as soon as it has ended.

    Raises:
        UsageError: limits that no output meets, or that this one led away from.
    """
    outputs = [_Output(sentence) for sentence in sentences]
    watch = align or ranking.coverage_penalty > 0
    rules: Rules | None = None
    tracks: list[Track] = []
    rows = list(range(len(outputs)))
    last = torch.full((len(rows),), limits.bos_id)
    length = 0
    while rows:
        output = step(last, state)
        log_probs = limits.allowed(output.logits)
        if rules is None:
            rules = Rules(limits, log_probs.shape[1])
            starts = rules.start()
            tracks = [starts[sentence] for sentence in sentences] if starts else []
        at_limit = [length == limits.max_lengths[outputs[row].sentence] for row in rows]
        wanted: list[int] = log_probs.argmax(-1).tolist() if any(at_limit) else []
        rules.restrict(log_probs, tracks, at_limit)
        choices = choose(log_probs, rows)
        chosen: list[int] = choices.tolist()
        values: list[float] = log_probs.gather(1, choices[:, None])[:, 0].tolist()
        alive: list[int] = []
        for i, (row, token, value) in enumerate(zip(rows, chosen, values, strict=True)):
            grown = outputs[row]
            if value == -math.inf:
                raise UsageError(
                    f"sentence {grown.sentence + 1}: its limits leave no token to go on with; use "
                    "beam or exact search, or ask for less"
                )
            grown.log_probs.append(value)
            if watch and output.weights is not None:
                grown.weights.append(output.weights[i])
            if token == limits.eos_id:
                grown.finished = not at_limit[i] or wanted[i] == token
                if tell is not None:
                    tell(row, [_hypothesis(grown, limits, ranking, align=align)])
                continue
            grown.tokens.append(token)
            alive.append(i)
        if tracks:
            tracks = [rules.grow(tracks[i], chosen[i]) for i in alive]
        state, last = output.state, choices
        if alive and len(alive) < len(rows):
            kept = torch.tensor(alive, dtype=torch.long, device=choices.device)
            state, last = state.select(kept), last.index_select(0, kept)
        rows = [rows[i] for i in alive]
        length += 1
    return [_hypothesis(output, limits, ranking, align=align) for output in outputs]


def _hypothesis(output: _Output, limits: Limits, ranking: Ranking, *, align: bool) -> Hypothesis:
    total = sum(output.log_probs)
    attention = torch.stack(output.weights) if output.weights else None
    coverage = 0.0
    if ranking.coverage_penalty > 0 and attention is not None:
        coverage = covered(attention, limits.source_length(output.sentence))
    return Hypothesis(
        tokens=output.tokens,
        score=ranking.score(total, len(output.log_probs), coverage),
        log_probability=total,
        token_log_probabilities=output.log_probs,
        finished=output.finished,
        alignment=attention[:-1] if align and output.tokens and attention is not None else None,
    )
