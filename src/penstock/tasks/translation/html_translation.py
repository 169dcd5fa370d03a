"""Translate the text of HTML and keep its markup, placed by the alignment."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from penstock.tasks.translation.result import Translation, of_parts
from penstock.tasks.translation.search_options import SearchOptions
from penstock.tasks.translation.translator import Translator
from penstock.text.html import Run, parse
from penstock.text.html_placement import Span, render
from penstock.text.lines import cut_to_fit

_SHARPNESS = 4  # power of the weights: what is attended to most counts, the rest decides ties
_WORD = re.compile(r"\S+")
_INSIDE_WORD = re.compile(r"[^\W_]['’]?[^\W_]|[^\W_]['’]")
# scripts without spaces between words, of which every character may begin a word
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]"
)


def translate_html(
    translator: Translator, documents: Sequence[str], options: SearchOptions | None = None
) -> list[Translation]:
    """Translate documents, one result each, in order.

    The `text` of a result is HTML; its status is the most severe of its texts. It has no
    alternatives. Every tag of a document comes out once, also one that is not closed; where the
    model has no attention, tags are placed in proportion.

    Args:
        translator: of the texts.
        documents: fragments of HTML.
        options: how to search.

    Raises:
        UsageError: an impossible option, or phrases that no translation can have.
    """
    parsed = [HtmlText(document, translator.fits) for document in documents]
    results = translator.translate(
        [line for text in parsed for line in text.written],
        (options or SearchOptions()).changed(alignments=True),
    )
    found = iter(results)
    return [text.join([next(found) for _ in text.written]) for text in parsed]


class HtmlText:
    """A document as lines to translate, and put together again.

    Args:
        document: a fragment of HTML.
        fits: whether the model reads a text at once.

    Attributes:
        written: the texts between block elements; long ones in sentences.
    """

    def __init__(self, document: str, fits: Callable[[str], bool]) -> None:
        self._document, self._parts = document, parse(document)
        self._lines = [
            [part.text] if fits(part.text) else list(cut_to_fit(part.text, fits))
            for part in self._parts
            if isinstance(part, Run)
        ]
        self.written = [line for lines in self._lines for line in lines]

    def join(self, found: Sequence[Translation]) -> Translation:
        """The document's translation.

        Args:
            found: the translations of `written`, with alignments.
        """
        results, lines = iter(found), iter(self._lines)
        written = [
            part if isinstance(part, str) else _rendered(part, [next(results) for _ in next(lines)])
            for part in self._parts
        ]
        return of_parts(self._document, "".join(written), found)


def _rendered(run: Run, results: Sequence[Translation]) -> str:
    """A run's translation, from those of its lines, with its markup."""
    text = " ".join(result.text for result in results)
    atoms, rows, at, start = list[Span](), list[np.ndarray](), 0, 0
    for result in results:
        at = max(run.text.find(result.source, at), at)
        for (first, last), mass in _origins(result):
            row = np.zeros(len(run.text), np.float32)
            row[at : at + len(mass)] = mass[: len(row) - at]
            atoms.append((start + first, start + last))
            rows.append(row)
        at += len(result.source)
        start += len(result.text) + 1
    return render(run, text, atoms, np.array(rows).reshape(len(rows), len(run.text)))


def _origins(result: Translation) -> list[tuple[Span, np.ndarray]]:
    """The words of a translation, and how much each comes from each character of its source."""
    text, size = result.text, len(result.source)
    best = result.alternatives[0] if result.alternatives else None
    if best is None or best.alignment is None:
        found: list[tuple[Span, np.ndarray]] = []
        for word in _WORD.finditer(text):
            mass = np.zeros(size)
            mass[min((word.start() + word.end()) * size // (2 * len(text)), size - 1)] = 1
            found.append((word.span(), mass))
        return found
    pieces = piece_spans(text, best.tokens)
    weights = np.array(best.alignment)[:, :-1] ** _SHARPNESS  # without the end of the sequence
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-30)
    spread = np.zeros((weights.shape[1], size))
    for row, (first, last) in zip(
        spread, piece_spans(result.source, result.source_tokens[:-1]), strict=True
    ):
        row[first:last] = 1 / max(last - first, 1)
    masses = weights @ spread
    found = []
    for (first, last), mass in zip(pieces, masses, strict=False):
        if first == last:
            continue
        if found and _is_inside_word(text, found[-1][0], first):
            (begin, _), sum_ = found[-1]
            found[-1] = ((begin, last), sum_ + mass)
        else:
            found.append(((first, last), mass))
    return found


def piece_spans(text: str, pieces: Sequence[str]) -> list[Span]:
    """Where a tokenizer's pieces, as shown by `tokens`, stand in a text, without outer space.

    What cannot be found, such as a part of a character, has the text up to the next one that can.
    """
    found: list[int | None] = []
    at = 0
    for piece in pieces:
        core = piece.replace("▁", " ").strip()
        where = text.find(core, at, at + len(core) + 8) if core else -1
        found.append(where if where >= 0 else None)
        at = where + len(core) if where >= 0 else at
    spans: list[Span] = []
    at = 0
    for number, (where, piece) in enumerate(zip(found, pieces, strict=True)):
        if where is None:
            later = next((each for each in found[number:] if each is not None), len(text))
            between = text[at:later]
            first = at + len(between) - len(between.lstrip())
            spans.append((first, first + len(between.strip())))
            at = spans[-1][1]
        else:
            at = where + len(piece.replace("▁", " ").strip())
            spans.append((where, at))
    return spans


def _is_inside_word(text: str, before: Span, start: int) -> bool:
    """Whether what begins at `start` goes on with the word before it."""
    end = before[1]
    if end != start or not 0 < start < len(text):
        return False
    around = text[start - 1 : start + 1]
    return _INSIDE_WORD.match(around) is not None and _UNSPACED.search(around) is None
