"""HTML as markup that stays and runs of text with inline elements.

A document is cut at block elements (`p`, `li`, `td`, …), comments and what is not for translation.
`penstock.text.html_placement` puts a run's elements around its translation.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from penstock.text.lines import is_blank

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
_LONGEST_TAG = 10_000  # characters
_LONGEST_RUN = 4_000  # characters; a longer one is cut, at a sentence's end where one is near
_DEEPEST = 100  # elements within each other; tags of deeper ones are marks
_TAG = re.compile(r"""<(/?)([a-zA-Z][^\s/>]*+)(?:[^'">]++|"[^"]*+"|'[^']*+')*+>""")
_MARKUP = re.compile(r"<[a-zA-Z/!?]")
_WORD = re.compile(r"[ \t\n\r\f]+|[^ \t\n\r\f]+")  # other spaces, such as `&nbsp;`, are text
_CUT = re.compile(
    rf"(?s:.{{1,{_LONGEST_RUN}}}[.!?…。！？](?=\s)|.{{1,{_LONGEST_RUN}}}\s|.{{1,{_LONGEST_RUN}}})"
)
_ENDED = re.compile(r"(?s:.*[.!?…。！？](?=\s))")
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
    size = 0

    def close() -> None:
        nonlocal size
        size = 0
        if inline:
            run = _run(inline)
            found.append("".join(inline) if is_blank(run.text) else run)
            inline.clear()

    for token in _Scanner(document).tokens():
        if token.startswith("<") and _MARKUP.match(token) and not _is_inline(token):
            close()
            found.append(token)
            continue
        is_long_text = len(token) > _LONGEST_RUN and not _MARKUP.match(token)
        for part in _CUT.findall(token) if is_long_text else [token]:
            ended = _ENDED.match(part) if 2 * (size + len(part)) > _LONGEST_RUN else None
            if ended and not _MARKUP.match(part):  # a good place to cut
                inline.append(ended[0])
                close()
                part = part[ended.end() :]
            elif size + len(part) > _LONGEST_RUN:
                close()
            if part:
                inline.append(part)
                size += len(part)
    close()
    return found


def visible_text(document: str) -> str:
    """What a document says."""
    return " ".join(part.text for part in parse(document) if isinstance(part, Run))


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
            same = re.compile(rf"<(/?){re.escape(name)}\b[^<>]*>", re.IGNORECASE)
            for tag in same.finditer(self._document, at):
                depth += -1 if tag[1] else 0 if name in _RAW or tag[0].endswith("/>") else 1
                if not depth:
                    return tag.end()
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
        is_whole = tag.end() < len(token) or name in _VOID or token.endswith("/>")
        if not is_whole and len(stack) < _DEEPEST:
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
