# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch gives some of its methods no types: what comes of them is declared)
"""Sampling: outputs drawn as often as the model finds them probable.

Every output has a random stream of its own, made from the seed, the sentence's key and the
number of the draw. So a draw does not depend on what shares its batch.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import torch
from torch import Tensor

from penstock.errors import UsageError
from penstock.search.hypothesis import Hypothesis
from penstock.search.limits import Limits
from penstock.search.ranking import PLAIN, Ranking
from penstock.search.row_decoder import decode_rows
from penstock.search.step import S, Step


def shape(
    log_probs: Tensor,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Tensor:
    """Sharpen, flatten or cut distributions; what is left sums to one again.

    Temperature acts first, then `top_k`, then `top_p` on what that left. Of equally probable
    tokens the lower id stays: the result is a function of the distribution alone.

    Args:
        log_probs: (N, V); -inf is impossible and stays so.
        temperature: below 1 sharpens, above 1 flattens.
        top_k: keep the k likeliest tokens.
        top_p: keep the fewest likeliest tokens whose probabilities reach p (Holtzman et al. 2020,
            https://arxiv.org/abs/1904.09751).

    Returns:
        Log-probabilities (N, V) in float32.

    Raises:
        UsageError: an impossible option.
    """
    if not 0 < temperature < math.inf:
        raise UsageError(
            f"temperature {temperature}: must be a number above 0; near 0 it is greedy search"
        )
    if top_k is not None and top_k < 1:
        raise UsageError(f"top_k {top_k}: must be at least 1")
    if top_p is not None and not 0 < top_p <= 1:
        raise UsageError(f"top_p {top_p}: must be above 0 and at most 1")
    shaped = torch.log_softmax(log_probs.float() / temperature, -1)
    cuts = (top_k is not None and top_k < shaped.shape[1]) or (top_p is not None and top_p < 1)
    if not cuts:
        return shaped
    order = torch.sort(shaped, dim=-1, descending=True, stable=True)  # stable: ties by id
    values, ids = order.values, order.indices
    if top_k is not None:
        values[:, top_k:] = -math.inf
    if top_p is not None:
        mass = torch.softmax(values.double(), -1).cumsum(-1)
        # kept as long as the tokens before it have not reached p
        reached = torch.nn.functional.pad(mass, (1, 0))[:, :-1] >= top_p
        values = values.masked_fill(reached, -math.inf)
    kept = torch.full_like(shaped, -math.inf).scatter(-1, ids, values)
    return torch.log_softmax(kept, -1)


@torch.no_grad()
def sample_search(
    step: Step[S],
    state: S,
    limits: Limits,
    *,
    samples: int = 1,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
    keys: Sequence[int | str] | None = None,
    ranking: Ranking = PLAIN,
    align: bool = False,
) -> list[list[Hypothesis]]:
    """Draw outputs token by token.

    Args:
        step: the model's step.
        state: of B rows, before BOS.
        limits: special ids, B maximum lengths and what else an output must be.
        samples: outputs drawn a sentence; the same one may come more than once.
        temperature, top_k, top_p: see `shape`; blocked tokens are out before them.
        seed: of the random streams.
        keys: what tells each sentence's stream from another's; default: its number.
        ranking: only enters the reported score.
        align: keep the attention of each step.

    Returns:
        For each of the B sentences its `samples` draws, in the order drawn. Log-probabilities are
        the model's own, before shaping.

    Raises:
        UsageError: an impossible option, or limits that no output meets.
    """
    count = len(limits.max_lengths)
    if samples < 1:
        raise UsageError(f"samples {samples}: must be at least 1")
    names = range(count) if keys is None else keys
    # sha512 of a string, the same on every machine and in every version of Python 3
    streams = [random.Random(f"{seed} {name} {i}") for name in names for i in range(samples)]
    sentences = [sentence for sentence in range(count) for _ in range(samples)]

    def choose(log_probs: Tensor, rows: Sequence[int]) -> Tensor:
        shaped = shape(log_probs, temperature=temperature, top_k=top_k, top_p=top_p)
        return _draw(shaped, [streams[row].random() for row in rows])

    if samples > 1:
        state = state.select(torch.tensor(sentences, dtype=torch.long))
    found = decode_rows(step, state, limits, sentences, choose, ranking=ranking, align=align)
    return [found[start : start + samples] for start in range(0, len(found), samples)]


def _draw(log_probs: Tensor, uniform: Sequence[float]) -> Tensor:
    """One id a row, where the row's distribution function passes its number in [0, 1)."""
    mass = log_probs.double().exp().cumsum(-1)
    number = torch.tensor(uniform, dtype=torch.double, device=mass.device)[:, None]
    # right: an id without probability is never where the function first exceeds the number
    return torch.searchsorted(mass, number * mass[:, -1:], right=True)[:, 0]
