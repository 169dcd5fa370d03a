"""A run's markup around the translation of its text.

Elements are moved to where the alignment says that their text went. Every tag comes out once, as
it was written; elements nest as they nested.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from penstock.text.html import Element, Run

Span = tuple[int, int]


def render(run: Run, text: str, atoms: Sequence[Span], mass: np.ndarray) -> str:
    """A run's markup around the translation of its text.

    Args:
        run: as parsed.
        text: the translation.
        atoms: what no tag is put into, in order, such as words: spans of `text`.
        mass: (atoms, characters of the run's text) how much each atom comes from each character.
    """
    placement = _Placement(text, atoms, mass)
    content = placement.write(run.elements, (0, len(atoms)), (0, len(text)))
    return f"{run.before}{content}{run.behind}"


def escape(text: str) -> str:
    """Text as HTML."""
    return html.escape(text, quote=False)


class _Placement:
    """Where elements go in one translation.

    Args:
        text: the translation.
        atoms: spans of it.
        mass: (atoms, characters of the source) how much each atom comes from each character.
    """

    def __init__(self, text: str, atoms: Sequence[Span], mass: np.ndarray) -> None:
        self._text, self._atoms = text, atoms
        self._before = np.concatenate([np.zeros((len(atoms), 1)), mass.cumsum(axis=1)], axis=1)

    def write(self, elements: Sequence[Element], atoms: Span, characters: Span) -> str:
        """The text of a range of atoms with its elements in it."""
        ranges = self._ranges(elements, atoms)
        cursor, end = characters
        reached = atoms[0]
        placed: list[tuple[Span, Element]] = []
        for element in elements:
            where = ranges.get(id(element))
            if where is None:
                reached = max(reached, self._boundary(element.start, atoms, ranges))
                where = (reached, reached)
            placed.append((where, element))
        placed.sort(key=lambda each: each[0])
        pieces: list[str] = []
        for where, element in placed:
            first, last = self._characters(
                where, atoms, characters, is_end=element.open.startswith("</")
            )
            pieces.append(escape(self._text[cursor:first]))
            if first == last:
                after_space = first > 0 and self._text[first - 1].isspace()
                pieces += [element.written(), " " if element.spaced and after_space else ""]
            else:
                inner = self.write(element.children, where, (first, last))
                pieces += [element.open, inner, element.close]
            cursor = last
        pieces.append(escape(self._text[cursor:end]))
        return "".join(pieces)

    def _characters(self, where: Span, atoms: Span, characters: Span, *, is_end: bool) -> Span:
        """Where an element goes; an end tag without its start follows the text before it."""
        first, last = where
        if first < last:
            return self._atoms[first][0], self._atoms[last - 1][1]
        if first == atoms[0]:
            return characters[0], characters[0]
        if first == atoms[1]:
            return characters[1], characters[1]
        position = self._atoms[first - 1][1] if is_end else self._atoms[first][0]
        return position, position

    def _ranges(self, elements: Sequence[Element], atoms: Span) -> dict[int, Span]:
        """Disjoint ranges of atoms for the elements with text: for each the run of most mass."""
        texts = [element for element in elements if not element.is_mark]
        low, high = atoms
        if not texts or low == high:
            return {}
        before = self._before[low:high]
        inside = np.stack([before[:, e.end] - before[:, e.start] for e in texts], axis=1)
        outside = before[:, -1:] - inside.sum(axis=1, keepdims=True)
        owners = np.concatenate([inside, outside], axis=1).argmax(axis=1)
        for number in range(len(texts)):  # none comes mostly from it: what comes most
            if not (owners == number).any():
                free = np.where(owners == len(texts), inside[:, number], 0.0)
                if free.max() > 0:
                    owners[free.argmax()] = number
        best: dict[int, Span] = {}
        for number, element in enumerate(texts):
            runs = list(_runs(owners == number))
            if runs:
                first, last = max(runs, key=lambda run: inside[slice(*run), number].sum())
                best[id(element)] = (low + first, low + last)
        return best

    def _boundary(self, position: int, atoms: Span, ranges: Mapping[int, Span]) -> int:
        """The atom before which a mark goes: where fewest atoms stand on the wrong side of it."""
        low, high = atoms
        before = self._before[low:high]
        left = before[:, position]  # mass from before the mark
        right = before[:, -1] - left
        wrong = np.concatenate([[0.0], right.cumsum()]) + np.concatenate(
            [left[::-1].cumsum()[::-1], [0.0]]
        )
        found = low + int(wrong.argmin())
        for first, last in ranges.values():
            if first < found < last:
                return first if found - first < last - found else last
        return found


def _runs(flags: np.ndarray) -> Iterator[Span]:
    """The spans in which flags are set."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
