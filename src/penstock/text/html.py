"""Inline HTML: which of it is text, and its elements put back around the text's translation.

A document is cut at block elements (`p`, `li`, `td`, …), comments and what is not for translation
into runs of text with inline elements. A run's elements are moved to where the alignment says that
their text went. Every tag comes out once, as it was written; elements nest as they nested.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from penstock.text.lines import is_blank

Span = tuple[int, int]

# elements that text does not go on across; all others are inline
_BLOCK = frozenset(re.findall(r"\w+", """
    address article aside audio blockquote body br canvas caption center col colgroup dd details
    dialog dir div dl dt embed fieldset figcaption figure footer form frame frameset h1 h2 h3 h4 h5
    h6 head header hgroup hr html iframe legend li link main menu meta nav noscript object ol
    optgroup option p param pre script section select source style summary table tbody td template
    textarea tfoot th thead title tr track ul video
    """))  # fmt: skip
_VOID = frozenset(re.findall(r"\w+", """
    area base br col embed hr img input link meta param source track wbr
    """))  # fmt: skip
_RAW = frozenset(("script", "style", "textarea", "template", "svg", "math"))  # stay as they are
_LONGEST_TAG = 10_000
_TAG = re.compile(r"""<(/?)([a-zA-Z][^\s/>]*+)(?:[^'">]++|"[^"]*+"|'[^']*+')*+>""")
_MARKUP = re.compile(r"<[a-zA-Z/!?]")
_WORD = re.compile(r"[ \t\n\r\f]+|[^ \t\n\r\f]+")  # other spaces, such as `&nbsp;`, are text
_UNTRANSLATED = re.compile(
    r"""\stranslate\s*=\s*["']?no\b|\sclass\s*=\s*(?:["'][^"']*\bnotranslate\b|notranslate\b)""",
    re.IGNORECASE,
)


@dataclass(slots=True)
class Element:
    """An inline element of a run; without `close` a tag, or another mark, between characters.

    Attributes:
        start, end: of its text in the run's text.
        open, close: its tags as written.
        children: within it, in order.
        spaced: whether white space surrounds a mark.
    """

    start: int
    end: int
    open: str
    close: str = ""
    children: list[Element] = field(default_factory=list["Element"])
    spaced: bool = False

    @property
    def is_mark(self) -> bool:
        """Whether it has no text."""
        return self.start == self.end

    def written(self) -> str:
        """All its markup, without text."""
        return self.open + "".join(child.written() for child in self.children) + self.close


@dataclass(frozen=True, slots=True)
class Run:
    """Text between block elements.

    Attributes:
        text: characters, white space unified; blank where there is only markup.
        elements: inline elements of it, in order.
        before, behind: white space around it.
    """

    text: str
    elements: list[Element]
    before: str = ""
    behind: str = ""


def parse(document: str) -> list[str | Run]:
    """Cut a document into markup that stays and runs to translate."""
    found: list[str | Run] = []
    inline: list[str] = []

    def close() -> None:
        if inline:
            run = _run(inline)
            found.append("".join(inline) if is_blank(run.text) else run)
            inline.clear()

    for token in _Scanner(document).tokens():
        if token.startswith("<") and _MARKUP.match(token) and not _is_inline(token):
            close()
            found.append(token)
        else:
            inline.append(token)
    close()
    return found


def visible_text(document: str) -> str:
    """What a document says."""
    return " ".join(part.text for part in parse(document) if isinstance(part, Run))


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


class _Scanner:
    """Cuts a document into markup and text, in time that grows with its length."""

    def __init__(self, document: str) -> None:
        self._document = document
        self._missing: set[str] = set()  # what was looked for and is not there any more

    def tokens(self) -> Iterator[str]:
        """Tags, comments, elements that are not for translation, and the text between them."""
        document, start, at = self._document, 0, 0
        while (at := document.find("<", at)) >= 0:
            end = self._markup_end(at)
            if end is None:
                at += 1  # a mere `<`
                continue
            if start < at:
                yield document[start:at]
            yield document[at:end]
            at = start = end
        if start < len(document):
            yield document[start:]

    def _markup_end(self, at: int) -> int | None:
        if self._document.startswith("<!--", at):
            return self._behind("-->", at)
        if self._document.startswith(("<!", "<?"), at):
            return self._behind(">", at)
        tag = _TAG.match(self._document, at, at + _LONGEST_TAG)
        if tag is None or tag[1] or tag[0].endswith("/>") or tag[2].lower() in _VOID:
            return tag and tag.end()
        if tag[2].lower() in _RAW or _UNTRANSLATED.search(tag[0]):
            return self._element_end(tag[2].lower(), tag.end()) or tag.end()
        return tag.end()

    def _behind(self, mark: str, at: int) -> int | None:
        if mark not in self._missing:
            found = self._document.find(mark, at)
            if found >= 0:
                return found + len(mark)
            self._missing.add(mark)
        return None

    def _element_end(self, name: str, at: int) -> int | None:
        """Behind the end tag of an element whose start tag ends at `at`."""
        if name not in self._missing:
            depth = 1
            for tag in re.finditer(rf"<(/?){re.escape(name)}\b[^<>]*>", self._document[at:], re.I):
                depth += -1 if tag[1] else 0 if name in _RAW or tag[0].endswith("/>") else 1
                if not depth:
                    return at + tag.end()
            self._missing.add(name)
        return None


def _is_inline(token: str) -> bool:
    """Whether text goes on across this markup."""
    name = _TAG.match(token)
    return name is not None and name[2].lower() not in _BLOCK


def _run(tokens: Sequence[str]) -> Run:
    """Text and elements of a run; a tag without its counterpart is a mark."""
    text, size = list[str](), 0
    space = True  # the text so far ends with white space, or is empty
    root: list[Element] = []
    stack: list[tuple[str, Element]] = []
    for token in tokens:
        siblings = stack[-1][1].children if stack else root
        if not token.startswith("<") or not _is_inline(token):
            for part in _WORD.findall(html.unescape(token)):
                if part.isspace():
                    part = "" if space else " "
                text.append(part)
                size += len(part)
                space = part.isspace() if part else space
            continue
        tag = _TAG.match(token)
        assert tag is not None
        name = tag[2].lower()
        if tag[1]:
            _close(name, token, size, stack, root)
            continue
        element = Element(size, size, token, spaced=space)
        siblings.append(element)
        if tag.end() == len(token) and name not in _VOID and not token.endswith("/>"):
            stack.append((name, element))
    for _ in range(len(stack)):
        _dissolve(stack, root)
    joined = "".join(text)
    _trim(root, len(joined.rstrip()))
    first, last = tokens[0], tokens[-1]
    return Run(
        joined.rstrip(),
        root,
        before=first[: len(first) - len(first.lstrip())],
        behind=last[len(last.rstrip()) :] if last.strip() or len(tokens) > 1 else "",
    )


def _close(
    name: str, token: str, size: int, stack: list[tuple[str, Element]], root: list[Element]
) -> None:
    """An end tag: of an open element, or a mark."""
    if name in (each for each, _ in stack):
        while stack[-1][0] != name:
            _dissolve(stack, root)
        _, element = stack.pop()
        element.close, element.end = token, size
        return
    (stack[-1][1].children if stack else root).append(Element(size, size, token))


def _dissolve(stack: list[tuple[str, Element]], root: list[Element]) -> None:
    """The innermost open element has no end: its start tag is a mark before what it contained."""
    _, element = stack.pop()
    (stack[-1][1].children if stack else root).extend(element.children)
    element.children = []


def _trim(elements: Sequence[Element], end: int) -> None:
    for element in elements:
        element.start, element.end = min(element.start, end), min(element.end, end)
        _trim(element.children, end)
