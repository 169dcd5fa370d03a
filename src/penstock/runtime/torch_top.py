# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch gives some of its methods no types: what comes of them is declared)
"""The likeliest tokens of many rows, whatever other rows are in the batch.

Ties go to the lower id. `torch.topk` promises nothing about ties and is slow on thousands of
tokens: here blocks are ranked by their greatest value first, and only the best blocks are
searched. Where values are tied, value and id are ranked together as one integer, so that no two
candidates are equal.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_BLOCK = 64
_LOW = (1 << 32) - 1


def top_tokens(log_probs: Tensor, count: int, *, fixed: bool = False) -> tuple[Tensor, Tensor]:
    """The `count` greatest of each row, greatest first; of equal ones the lower id first.

    Args:
        log_probs: (N, V) in float32.
        count: K, at most V.
        fixed: never look whether there are ties: on a GPU the host would wait for the answer.

    Returns:
        Values and ids, (N, K) each.
    """
    vocab_size = log_probs.shape[1]
    if vocab_size <= _BLOCK * (count + 1):
        ids = torch.arange(vocab_size, device=log_probs.device)
        return _top(log_probs, ids.expand_as(log_probs), count, fixed=fixed)
    blocks = vocab_size // _BLOCK
    whole = log_probs[:, : blocks * _BLOCK].unflatten(1, (blocks, _BLOCK)).amax(-1)
    if vocab_size % _BLOCK:
        rest = log_probs[:, blocks * _BLOCK :].amax(-1, keepdim=True)
        whole = torch.cat([whole, rest], 1)
    numbers = torch.arange(whole.shape[1], device=log_probs.device).expand_as(whole)
    # A token among the K greatest lies in one of the K blocks whose greatest come first. One block
    # more, as `topk` takes a faster way where it looks for fewer than one value in 64.
    looked_into = count + 1 if count > 1 else 1
    best = _top(whole, numbers, looked_into, fixed=fixed)[1].sort(-1).values  # (N, K + 1)
    within = torch.arange(_BLOCK, device=log_probs.device)
    ids = (best[:, :, None] * _BLOCK + within).flatten(1)  # (N, (K + 1)·64)
    beyond = ids >= vocab_size
    values = log_probs.gather(1, ids.clamp(max=vocab_size - 1)).masked_fill_(beyond, -math.inf)
    found, ids = _top(values, ids, count, fixed=fixed)
    return found, ids.clamp_(max=vocab_size - 1)


def _top(values: Tensor, ids: Tensor, count: int, *, fixed: bool) -> tuple[Tensor, Tensor]:
    """The greatest by value, then by lower id; ids ascend along a row and are below 2^31."""
    if count == 1:  # argmax gives the first of equal ones
        first = values.argmax(-1, keepdim=True)
        return values.gather(1, first), ids.gather(1, first)
    if fixed:
        return _top_of_tied(values, ids, count)
    found = values.topk(min(count + 1, values.shape[1]), -1)
    best: Tensor = found.values
    # the one that comes after the last is looked at too: it must not be its equal
    apart = (best[:, :-1] > best[:, 1:]) | (best[:, 1:] == -math.inf)
    best, chosen = best[:, :count], ids.gather(1, found.indices[:, :count])
    tied = (~apart).any(1).nonzero()[:, 0]
    if len(tied):
        best = best.clone()
        best[tied], chosen[tied] = _top_of_tied(values[tied], ids[tied], count)
    return best, chosen


def _top_of_tied(values: Tensor, ids: Tensor, count: int) -> tuple[Tensor, Tensor]:
    bits = (values + 0.0).view(torch.int32).long()  # + 0.0: there is one zero only
    # floats in the order of integers: those below zero have their other bits turned round
    rank = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits)
    keys = (rank << 32) | (_LOW - ids)
    best = keys.topk(count, -1).values
    ids = _LOW - (best & _LOW)
    rank = best >> 32
    bits = torch.where(rank < 0, rank ^ 0x7FFFFFFF, rank).to(torch.int32)
    return bits.view(torch.float32), ids
