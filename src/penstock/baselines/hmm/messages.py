"""Message passing along the chain, and log-sums that may be -inf."""

from __future__ import annotations

import torch
from torch import Tensor

from penstock.baselines.hmm.log_products import INF, LogProduct


def run_messages(
    start: Tensor,
    scores: Tensor,
    log_matrix: Tensor,
    *,
    reverse: bool = False,
    waiting: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The messages m_0 = start, m_t+1(j) = log Σ_i exp(m_t(i) + scores_t(i) + log_matrix(i, j)).

    Args:
        start: (B, K).
        scores: (T, B, K); the last is not used.
        log_matrix: (K, K).
        reverse: from the last position to the first; the first of `scores` is then not used.
        waiting: (T, B, 1), where the message is zero instead.

    Returns:
        Messages (T, B, K), normalized to stay near zero at any length, and the shifts (T, B, 1),
        in float64, to add to them.
    """
    product = LogProduct(log_matrix)
    way = slice(None, None, -1 if reverse else 1)
    inputs = scores.unbind(0)[way][:-1]
    zeroed = [None] * len(inputs) if waiting is None else waiting.unbind(0)[way][1:]
    if torch.is_grad_enabled() and any(x.requires_grad for x in (start, scores, log_matrix)):
        message, messages, shifts = start, [start], [torch.zeros_like(start[:, :1])]
        for score, zero in zip(inputs, zeroed, strict=True):
            message, shift = product(message + score)
            message = message if zero is None else message.masked_fill(zero, 0.0)
            messages.append(message)
            shifts.append(shift)
        found, grown = torch.stack(messages[way]), torch.stack(shifts[way])
    else:  # the same in place
        found, grown = torch.empty_like(scores), torch.zeros_like(scores[..., :1])
        outputs, tops = found.unbind(0)[way], grown.unbind(0)[way]
        message = outputs[0].copy_(start)
        steps = zip(inputs, outputs[1:], tops[1:], zeroed, strict=True)
        for score, output, top, zero in steps:
            product.multiply(message + score, output, top)
            message = output if zero is None else output.masked_fill_(zero, 0.0)
    grown = grown.double()
    return found, grown.flip(0).cumsum(0).flip(0) if reverse else grown.cumsum(0)


def log_sum(x: Tensor) -> Tensor:
    """logsumexp over the last dimension, kept; -inf with zero derivatives where all is -inf."""
    possible = (x > -INF).any(-1, keepdim=True)
    total = torch.where(possible, x, 0.0).logsumexp(-1, keepdim=True)
    return torch.where(possible, total, -INF)


def normalize(x: Tensor) -> Tensor:
    """Log-probabilities over the last dimension; all -inf, no NaN, where all is -inf."""
    impossible = x.detach().amax(-1, keepdim=True) == -INF
    if not impossible.any():
        return x.log_softmax(-1)
    return x.masked_fill(impossible, 0.0).log_softmax(-1).masked_fill(impossible, -INF)


def backtrace(bests: list[Tensor], into: Tensor, lengths: Tensor) -> Tensor:
    """The states of the best paths, from each sequence's own end back; (B, T).

    Args:
        bests: of each position (B, K), the best paths that end in each state.
        into: (K, K) log-probability of the moves, one row per next state.
        lengths: (B,).
    """
    state = bests[-1].argmax(1)
    path = [state]
    for t in range(len(bests) - 2, -1, -1):
        best = bests[t] - finite_max(bests[t])
        state = (best + torch.where((lengths - 1 == t)[:, None], 0.0, into[state])).argmax(1)
        path.append(state)
    return torch.stack(path[::-1], 1)


def finite_max(x: Tensor) -> Tensor:
    """The maximum of each row, (…, 1), finite also where all is -inf: so that x - top is no NaN."""
    return x.amax(-1, keepdim=True).clamp_(min=torch.finfo(x.dtype).min)
