"""Sampling: outputs drawn as often as the model finds them probable.

Every output has a random stream of its own, made from the seed, the sentence's key and the number
of the draw. So a draw does not depend on what shares its batch.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np

from penstock.errors import UsageError
from penstock.search.cancellation import ShouldStop
from penstock.search.hypothesis import Hypothesis
from penstock.search.limits import Limits
from penstock.search.ranking import PLAIN, Ranking
from penstock.search.row_decoder import decode_rows
from penstock.search.step import Floats, Ints, S, Singles, Step


def shape(
    log_probs: Singles | Floats,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Floats:
    """Sharpen, flatten or truncate distributions, and renormalize them.

    Temperature acts first, then `top_k`, then `top_p` on what that left. Of equally probable
    tokens the lower id stays: the result is a function of the distribution alone.

    Args:
        log_probs: (N, V); -inf is impossible and stays so.
        temperature: below 1 sharpens, above 1 flattens.
        top_k: keep the k likeliest tokens.
        top_p: keep the fewest likeliest tokens whose probabilities reach p (Holtzman et al. 2020,
            https://arxiv.org/abs/1904.09751).

    Returns:
        Log-probabilities (N, V).

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
    shaped = _normalized(log_probs.astype(np.float64) / temperature)
    cuts = (top_k is not None and top_k < shaped.shape[1]) or (top_p is not None and top_p < 1)
    if not cuts:
        return shaped
    order = (-shaped).argsort(-1, kind="stable")  # stable: ties by id
    values = np.take_along_axis(shaped, order, -1)
    if top_k is not None:
        values[:, top_k:] = -np.inf
    if top_p is not None:
        mass = np.exp(_normalized(values)).cumsum(-1)
        # kept as long as the tokens before it have not reached p
        values[:, 1:][mass[:, :-1] >= top_p] = -np.inf
    np.put_along_axis(shaped, order, values, -1)
    return _normalized(shaped)


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
    should_stop: ShouldStop | None = None,
) -> list[list[Hypothesis]]:
    """Draw outputs token by token.

    Args:
        step: the model's step.
        state: of B rows, before BOS.
        limits: special ids, B maximum lengths and what else an output must be.
        samples: outputs drawn per sentence; the same one may come more than once.
        temperature, top_k, top_p: see `shape`; blocked tokens are removed first.
        seed: of the random streams.
        keys: distinguish the sentences' streams; default: their numbers.
        ranking: only used for the reported score.
        align: keep the attention of each step.
        should_stop: cancels the search when it returns True.

    Returns:
        For each of the B sentences its `samples` draws, in the order drawn. Log-probabilities are
        the model's own, before shaping.

    Raises:
        UsageError: an impossible option, or limits that no output meets.
        SearchStoppedError: cancelled by `should_stop`.
    """
    count = len(limits.max_lengths)
    if samples < 1:
        raise UsageError(f"samples {samples}: must be at least 1")
    names = range(count) if keys is None else keys
    # sha512 of a string, the same on every machine and in every version of Python 3
    streams = [random.Random(f"{seed} {name} {i}") for name in names for i in range(samples)]
    sentences = [sentence for sentence in range(count) for _ in range(samples)]

    def choose(log_probs: Singles, rows: Sequence[int]) -> Ints:
        shaped = shape(log_probs, temperature=temperature, top_k=top_k, top_p=top_p)
        return draw(shaped, [streams[row].random() for row in rows])

    if samples > 1:
        state = state.select(np.array(sentences, dtype=np.int64))
    found = decode_rows(
        step, state, limits, sentences, choose, ranking=ranking, align=align,
        should_stop=should_stop,
    )  # fmt: skip
    return [found[start : start + samples] for start in range(0, len(found), samples)]


def _normalized(log_probs: Floats) -> Floats:
    """Log-softmax of each row; a row of -inf stays one."""
    greatest = log_probs.max(-1, keepdims=True)
    shifted = log_probs - np.where(greatest > -np.inf, greatest, 0)
    with np.errstate(divide="ignore"):
        total = np.log(np.exp(shifted).sum(-1, keepdims=True))
    return shifted - np.where(total > -np.inf, total, 0)


def draw(log_probs: Floats, uniform: Sequence[float]) -> Ints:
    """One id per row, where the row's distribution function passes its number in [0, 1)."""
    mass = np.exp(log_probs).cumsum(-1)
    number = np.array(uniform)[:, None] * mass[:, -1:]
    # an id without probability is never where the function first exceeds the number
    return (mass <= number).sum(-1).clip(max=log_probs.shape[1] - 1)
