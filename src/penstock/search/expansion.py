"""Expanded hypotheses: partial hypotheses with one more token, chosen per beam."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock.search.step import Floats, Ints, Singles


class Expansions(NamedTuple):
    """Partial hypotheses with one more token, (n,) each; beam after beam, best first.

    Attributes:
        beams: which beam each belongs to.
        rows: the rows that were extended.
        tokens, log_probs: what was added.
        totals: log-probabilities of the whole.
    """

    beams: Ints
    rows: Ints
    tokens: Ints
    log_probs: Singles
    totals: Floats

    def select(self, chosen: NDArray[np.bool_] | Ints) -> Expansions:
        """Some of them."""
        beams, rows, tokens, log_probs, totals = self
        return Expansions(
            beams[chosen], rows[chosen], tokens[chosen], log_probs[chosen], totals[chosen]
        )

    @classmethod
    def concatenate(cls, several: Sequence[Expansions]) -> Expansions:
        """All of them, in the order given."""
        return cls(*map(np.concatenate, zip(*several, strict=True)))


class Layout(NamedTuple):
    """Where the N rows of a step are when each beam has the same number of cells, side by side.

    Attributes:
        beams: (A,) beams that have rows, ascending.
        firsts: (A,) the first row of each; a beam's rows are consecutive.
        width: R, the most rows of a beam.
        cells: (N,) the cell of each row among A·R; None: row n is cell n.
        rows: (A·R,) the row of each cell; any row where there is none. None: cell n is row n.
    """

    beams: Ints
    firsts: Ints
    width: int
    cells: Ints | None
    rows: Ints | None


def layout_of(beams: Ints) -> Layout:
    """Lay out rows by their beams (N,), which ascend."""
    count = len(beams)
    if not count or beams[0] == beams[-1]:
        return Layout(beams[:1], np.zeros(min(count, 1), np.int64), count, None, None)
    firsts = np.concatenate(([0], (beams[1:] != beams[:-1]).nonzero()[0] + 1))
    sizes = np.diff(firsts, append=count)
    width = int(sizes.max())
    if width * len(firsts) == count:
        return Layout(beams[firsts], firsts, width, None, None)
    cells = np.arange(count) + np.repeat(np.arange(len(firsts)) * width - firsts, sizes)
    rows = np.zeros(len(firsts) * width, dtype=np.int64)
    rows[cells] = np.arange(count)
    return Layout(beams[firsts], firsts, width, cells, rows)


def best_of_beams(
    layout: Layout,
    totals: Floats,
    log_probs: Singles,
    ids: Ints,
    slots: Ints,
    *,
    most: int,
    ranked_by: Singles | None = None,
) -> Expansions:
    """Choose for every beam its best expansions; of equal totals the earlier row's first.

    Args:
        layout: of the N rows.
        totals: (N,) log-probabilities of the rows so far.
        log_probs: (N, K) of each row's candidates, greatest first.
        ids: (N, K) their tokens.
        slots: (A,) how many each beam may have.
        most: of `slots`, at most.
        ranked_by: (N, K) what the choice, and only it, uses in place of `log_probs`.
    """
    width = log_probs.shape[1]
    costs: Floats = -totals[:, None] - (log_probs if ranked_by is None else ranked_by)  # (N, K)
    if len(layout.beams) == 1:  # one sentence waits for each of these lines
        flat = costs.ravel()
        picked = flat.argsort(kind="stable")[: min(most, slots[0])]
        if len(picked) and not flat[picked[-1]] < np.inf:
            picked = picked[flat[picked] < np.inf]
        rows, chosen = picked // width, log_probs.ravel()[picked]
        beams = layout.beams.repeat(len(picked))
        return Expansions(beams, rows, ids.ravel()[picked], chosen, totals[rows] + chosen)
    per_beam = layout.width * width
    if layout.cells is not None:
        table = np.full((len(layout.beams) * layout.width, width), np.inf)
        table[layout.cells] = costs
        costs = table
    costs = costs.reshape(len(layout.beams), per_beam)  # (A, R·K)
    order: Ints = costs.argsort(1, "stable")[:, :most]
    order = order + per_beam * np.arange(len(order))[:, None]
    possible = (costs.ravel()[order] < np.inf) & (np.arange(min(most, per_beam)) < slots[:, None])
    picked = order[possible]
    cells = picked // width
    rows = cells if layout.rows is None else layout.rows[cells]
    at = picked if layout.rows is None else rows * width + picked % width
    chosen = log_probs.ravel()[at]
    beams = np.repeat(layout.beams, possible.sum(1))
    return Expansions(beams, rows, ids.ravel()[at], chosen, totals[rows] + chosen)
