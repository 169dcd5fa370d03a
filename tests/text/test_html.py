"""HTML: no tag is lost or nested wrongly, whatever the alignment says."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.text.html import Run, parse, visible_text
from penstock.text.html_placement import Span, escape, render


class Tree(HTMLParser):
    """What a browser's parser sees: each element with its parents, and the text."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.path: list[str] = []
        self.elements: list[str] = []
        self.said = ""
        self.feed(document)
        self.close()
        assert not self.path, document

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        name = f"{tag}{dict(attrs).get('id', '')}"
        self.elements.append("/".join([*self.path, name]))
        if tag != "img":
            self.path.append(name)

    def handle_endtag(self, tag: str) -> None:
        assert re.fullmatch(rf"{tag}\d*", self.path.pop())

    def handle_data(self, data: str) -> None:
        self.said += data


numbers = st.integers(0, 10**6)
texts = st.text("ab &<é犬\u00a0", min_size=1, max_size=8).map(escape)


def element(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    made = st.tuples(st.sampled_from(["b", "i", "a", "my-tag"]), numbers, inner)
    return made.map(lambda e: f"<{e[0]} id={e[1]}>{e[2]}</{e[0]}>")


marks = numbers.map(lambda number: f'<img id={number} alt="a > b">')
inline = st.recursive(
    texts | marks, lambda inner: st.lists(element(inner) | inner, max_size=4).map("".join)
)
blocks = st.lists(inline.map(lambda text: f"<p>{text}</p>") | inline, max_size=3).map("".join)


@given(blocks, st.integers(0, 2**32))
def test_every_element_comes_out_once_where_it_belongs(document: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    written: list[str] = []
    wanted: list[str] = []
    for part in parse(document):
        if isinstance(part, str):
            written.append(part)
            continue
        words = [f"w{number}&" for number in range(rng.integers(0, 6))]
        text = " ".join(words)
        atoms: list[Span] = [match.span() for match in re.finditer(r"\S+", text)]
        mass = rng.random((len(atoms), len(part.text))) ** rng.integers(1, 9)
        written.append(render(part, text, atoms, mass))
        wanted += words
    made = Tree("".join(written))
    assert sorted(made.elements) == sorted(Tree(document).elements)
    assert "".join(made.said.split()) == "".join(wanted)


@given(st.text("<>/!-ab \"'=&;", max_size=40))
def test_any_text_is_cut_and_put_together(document: str) -> None:
    for part in parse(document):
        if isinstance(part, Run):
            identity = np.eye(len(part.text))
            atoms = [(i, i + 1) for i in range(len(part.text))]
            render(part, part.text, atoms, identity)
    pieces = [part for part in parse(document) if isinstance(part, str)]
    assert all(piece in document for piece in pieces)


def moved(document: str, text: str, *links: tuple[str, str]) -> str:
    """Render one run whose words come from the words that `links` name."""
    (run,) = parse(document)
    assert isinstance(run, Run)
    atoms = [match.span() for match in re.finditer(r"\S+", text)]
    mass = np.zeros((len(atoms), len(run.text)))
    origin = {target: source for source, target in links}
    for row, (first, last) in zip(mass, atoms, strict=True):
        source = origin[text[first:last]]
        begin = run.text.index(source)
        row[begin : begin + len(source)] = 1
    return render(run, text, atoms, mass)


def test_tags_follow_their_words() -> None:
    links = (("sah", "seen"), ("den", "the"), ("roten", "red"), ("Hund", "dog"))
    made = moved("den <i>roten <b>Hund</b></i> <u>sah</u>", "seen the red dog", *links)
    assert made == "<u>seen</u> the <i>red <b>dog</b></i>"


def test_a_tag_without_words_of_its_own_is_kept() -> None:
    links = (("Hund", "dog"), ("bellt", "barks"))
    made = moved("<b></b>Hund<img> bellt <i>ja</i>", "dog barks", *links)
    assert sorted(re.findall("<[^>]*>", made)) == ["</b>", "</i>", "<b>", "<i>", "<img>"]
    assert made.startswith("<b></b>dog")


def test_scattered_words_give_one_element() -> None:
    links = (("steht", "stands"), ("er", "he"), ("auf", "up"))
    made = moved("er <b>steht</b> auf", "stands he up", *links)
    assert made == "<b>stands</b> he up"


@pytest.mark.parametrize(
    ("document", "parts"),
    [
        ("a <b>c</b> d", ["a c d"]),
        ("<p>a</p><p>b</p>", ["<p>", "a", "</p>", "<p>", "b", "</p>"]),
        ("a<br>b", ["a", "<br>", "b"]),
        ("a<!-- x < y -->b", ["a", "<!-- x < y -->", "b"]),
        ("<script>1 < 2 <b></script>a", ["<script>1 < 2 <b></script>", "a"]),
        ("<p translate=no>a <b>c</b></p>d", ["<p translate=no>a <b>c</b></p>", "d"]),
        ("a &lt; b &amp;c;&nbsp;d", ["a < b &c;\u00a0d"]),
        ("1 < 2", ["1 < 2"]),
        ("<b> </b>", ["<b> </b>"]),
        ("", []),
        ('<a title="x > y">b</a>', ["b"]),
        ("<b", ["<b"]),
        ("a\n  b", ["a b"]),
    ],
)
def test_what_is_text(document: str, parts: list[str]) -> None:
    assert [part if isinstance(part, str) else part.text for part in parse(document)] == parts


def test_words_that_are_not_for_translation_stay_in_their_sentence() -> None:
    (run,) = parse("a <code class=notranslate>x = <b>1</b></code> b")
    assert isinstance(run, Run)
    assert run.text == "a b"
    assert run.elements[0].written() == "<code class=notranslate>x = <b>1</b></code>"


def test_what_a_document_says() -> None:
    assert visible_text("<p>a <b>b</b></p><style>x</style>c") == "a b c"


def test_deeply_nested_markup_is_kept() -> None:
    document = "<b>" * 3000 + "deep" + "</b>" * 3000
    (run,) = [part for part in parse(document) if isinstance(part, Run)]
    assert document.count(render(run, "tief", [(0, 4)], np.ones((1, 4))).replace("tief", "deep"))


def test_a_long_text_is_cut_at_the_ends_of_sentences() -> None:
    document = "<b>One sentence, and</b> another. " * 1000
    runs = [part for part in parse(document) if isinstance(part, Run)]
    assert max(len(run.text) for run in runs) <= 4_000
    assert all(run.text.endswith("another.") and run.elements for run in runs)
    (run, *others) = [part for part in parse("One sentence. " * 1000) if isinstance(part, Run)]
    assert len(others) >= 3
    assert run.text.endswith("One sentence.")


@pytest.mark.parametrize(
    "unit",
    ["<b>", "<!--", "<script>", "</b>", '<b a="', "<b translate=no>", "<b translate=no></b>"],
)
def test_hostile_markup_takes_time_in_proportion(unit: str) -> None:
    def seconds(count: int) -> float:
        begun = time.process_time()
        parse(unit * count)
        return time.process_time() - begun

    seconds(10)
    assert seconds(4000) < 1  # squared it would be minutes
