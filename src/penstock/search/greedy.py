# pyright: reportUnknownVariableType=false
# (torch gives `tolist` no type: what comes of it is declared)
"""Greedy search: the best token at every step."""

from __future__ import annotations

import torch
from torch import Tensor

from penstock.search.hypothesis import Hypothesis
from penstock.search.limits import Limits, normalized
from penstock.search.step import S, Step


@torch.no_grad()
def greedy_search(
    step: Step[S], state: S, limits: Limits, *, length_penalty: float = 0.0, align: bool = False
) -> list[Hypothesis]:
    """Decode all rows together; a row that has ended leaves the batch.

    Args:
        step: the model's step.
        state: of B rows, before BOS.
        limits: special ids and B maximum lengths.
        length_penalty: only enters the reported score.
        align: keep the attention of each step.

    Returns:
        B hypotheses in the rows' order.
    """
    count = len(limits.max_lengths)
    tokens: list[list[int]] = [[] for _ in range(count)]
    scores: list[list[float]] = [[] for _ in range(count)]
    weights: list[list[Tensor]] = [[] for _ in range(count)]
    finished = [True] * count
    rows = list(range(count))
    last = torch.full((count,), limits.bos_id)
    length = 0
    while rows:
        output = step(last, state)
        log_probs = limits.allowed(output.logits)
        at_limit = [length == limits.max_lengths[row] for row in rows]
        free = log_probs.argmax(-1)
        limits.end_at_limit(log_probs, at_limit)
        values, choices = log_probs.max(-1)
        chosen: list[int] = choices.tolist()
        log_probs_chosen: list[float] = values.tolist()
        alive: list[int] = []
        for i, (row, token, value) in enumerate(zip(rows, chosen, log_probs_chosen, strict=True)):
            scores[row].append(value)
            if token == limits.eos_id:
                finished[row] = int(free[i]) == token
                continue
            tokens[row].append(token)
            if align and output.weights is not None:
                weights[row].append(output.weights[i])
            alive.append(i)
        kept = torch.tensor(alive, dtype=torch.long, device=choices.device)
        state, last = output.state.select(kept), choices.index_select(0, kept)
        rows = [rows[i] for i in alive]
        length += 1
    return [
        Hypothesis(
            tokens=tokens[row],
            score=normalized(sum(scores[row]), len(scores[row]), length_penalty),
            log_probability=sum(scores[row]),
            token_log_probabilities=scores[row],
            finished=finished[row],
            alignment=torch.stack(weights[row]) if weights[row] else None,
        )
        for row in range(count)
    ]
