"""`penstock inspect`: its page, its figures, its command."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_args
from xml.etree import ElementTree

import pytest

from penstock.cli.app import run
from penstock.errors import MissingExtraError, UsageError
from penstock.insight import Inspection, as_json, html_document, inspect_sentence
from penstock.insight.html_document import join_modules, make_document
from penstock.insight.inspection_figure import View, draw_inspection, shown
from penstock.tasks.translation.search_options import SearchOptions
from penstock.tasks.translation.translator import Translator

SENTENCE = "Do you speak French?"
HOSTILE = [
    "</script><script>alert(1)</script>", "<!--", "<img onerror=x>", "&amp;", "\u2028\u2029",
    "<!-- script -->", "$x^2$", "a$b", "\\$", "\x00\x1b", "שלום", "مرحبا", "日本語", "👩‍👩‍👧", "_{",
    "w" * 90,
]  # fmt: skip
VIEWS: tuple[View, ...] = get_args(View)
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def translator(tiny_run: Path) -> Translator:
    return Translator.load(tiny_run)


@pytest.fixture(scope="module")
def inspection(translator: Translator) -> Inspection:
    return inspect_sentence(translator, SENTENCE, SearchOptions(max_length=12), exact=True)


def renamed(inspection: Inspection, name: Callable[[int], str]) -> Inspection:
    """The same with other tokens everywhere."""
    nodes = [replace(node, token=name(node.id)) for node in inspection.tree.nodes]
    return replace(
        inspection,
        source=name(0),
        text=name(1),
        source_tokens=[name(i) for i in range(len(inspection.source_tokens))],
        target_tokens=[name(i + 5) for i in range(len(inspection.target_tokens))],
        tree=replace(inspection.tree, nodes=nodes),
        gates=[
            replace(own, tokens=[name(i + 9) for i in range(len(own.tokens))])
            for own in inspection.gates
        ],
    )


@pytest.fixture(scope="module")
def hostile(inspection: Inspection) -> Inspection:
    return renamed(inspection, lambda number: HOSTILE[number % len(HOSTILE)])


# --- the page -----------------------------------------------------------------------------------


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A page of a few files."""
    folder = tmp_path / "page"
    files = {
        "inspection.html": (
            "<!doctype html><html><head><title>x</title>\n<!-- styles -->\n</head>"
            "<body>\n<!-- data -->\n<p>&lt;</p><!-- script --></body></html>\n"
        ),
        "index.html": (
            '<link rel="stylesheet" href="/page/css/z.css">\n'
            '<link rel="stylesheet" href="/page/css/a.css">\n'
        ),
        "css/z.css": "body { color: red }\n",
        "css/a.css": "p { color: blue }\n",
        "css/other.css": "never\n",
        "js/inspection.js": (
            'import { one } from "./one.js";\nimport {\n  two,\n  three,\n} from "./two.js";\n'
            'import "./four.js";\nconst given = document.getElementById("inspection");\n'
            "one(two, three, given);\n"
        ),
        "js/one.js": 'import { two } from "./two.js";\n\nexport function one() {\n  two();\n}\n',
        "js/two.js": "export const two = () => 2;\nexport async function three() {}\n",
        "js/four.js": "export class Four {}\nlet five = 5;\n",
        "js/main.js": "never();\n",
    }
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return folder


class Elements(HTMLParser):
    """Scripts, styles, the policy, and all that a document would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.styles: list[str] = []
        self.policies: list[str] = []
        self.addresses: list[str] = []
        self._within = ""
        self._attributes: dict[str, str | None] = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._within, self._attributes = tag, dict(attrs)
        if tag == "script":
            self.scripts.append((self._attributes, ""))
        if tag == "meta" and self._attributes.get("http-equiv") == "Content-Security-Policy":
            self.policies.append(self._attributes["content"] or "")
        for name in ("src", "href"):
            if self._attributes.get(name):
                self.addresses.append(str(self._attributes[name]))

    def handle_data(self, data: str) -> None:
        if self._within == "script":
            attributes, before = self.scripts[-1]
            self.scripts[-1] = (attributes, before + data)
        if self._within == "style":
            self.styles.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._within = ""


def hash_of(content: str) -> str:
    return base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def check_document(text: str, inspection: Inspection) -> str:
    """The checks that hold for every page; returns its script."""
    found = Elements(text)
    (data, content), (kind, script) = found.scripts
    assert data == {"type": "application/json", "id": "inspection"}
    assert json.loads(content) == as_json(inspection)
    assert not re.search("[<>&\u2028\u2029]", content)
    assert kind == {"type": "module"}
    (policy,), (style,) = found.policies, found.styles
    assert policy == (
        f"default-src 'none'; script-src 'sha256-{hash_of(script)}'; "
        f"style-src 'sha256-{hash_of(style)}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    assert text.index("Content-Security-Policy") < text.index("<style>") < text.index("<script")
    assert all(address.startswith("#") for address in found.addresses)
    assert not re.search(r"^\s*(import|export)\b", script, re.MULTILINE)
    return script


def test_a_document_holds_its_data_its_styles_and_its_modules(
    hostile: Inspection, page: Path
) -> None:
    text = make_document(hostile, page)
    script = check_document(text, hostile)
    places = [script.index(x) for x in ("const two", "function one()", "class Four", "one(two")]
    assert places == sorted(places)
    assert script.count("const two") == 1
    assert "async function three() {}" in script
    assert "never" not in text
    assert text.index("color: red") < text.index("color: blue")
    assert text == make_document(hostile, page)


def test_our_own_page_becomes_a_document(hostile: Inspection) -> None:
    script = check_document(make_document(hostile), hostile)
    assert len(script) > 5_000


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("two.js", "export const two = 1;\nexport const one = 2;\n", "one stands in two.js and in"),
        ("two.js", 'import { one } from "./one.js";\n', "one.js imports itself by way of"),
        ("two.js", 'import { f as g } from "./four.js";\n', "two.js: .* renames"),
        ("two.js", "export default 5;\n", "two.js: 'export default 5;' cannot be joined"),
        ("two.js", 'import x from "https://example.org/x.js";\n', "cannot be joined"),
    ],
)
def test_modules_that_cannot_be_joined_are_told(
    page: Path, name: str, content: str, says: str
) -> None:
    (page / "js" / name).write_text(content, encoding="utf-8")
    with pytest.raises(AssertionError, match=says):
        join_modules(page / "js", "inspection.js")


# --- figures ------------------------------------------------------------------------------------


def texts_of(figure: Path) -> list[str]:
    root = ElementTree.parse(figure).getroot()
    return ["".join(x.itertext()) for x in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("view", VIEWS)
def test_a_figure_shows_the_tokens(inspection: Inspection, view: View, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "figure.svg"
    draw_inspection(inspection, out, view)
    said = texts_of(out)
    if view == "tree":
        said = [text.partition("  ")[0] for text in said]
    for token in inspection.target_tokens[:-1]:
        assert shown(token) in said
    if view != "tree":
        assert said.count("<eos>") == {"attention": 2, "alignment": 2, "gates": 2}[view]
    first = out.read_bytes()
    draw_inspection(inspection, out, view)
    assert out.read_bytes() == first


def test_the_trees_figure_says_scores_and_certificate(
    inspection: Inspection, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    draw_inspection(inspection, tmp_path / "figure.svg", "tree")
    said = texts_of(tmp_path / "figure.svg")
    assert inspection.exact is not None
    proven = "(certified)" if inspection.exact.certified else "(not certified)"
    assert any(proven in text for text in said)
    assert any(f"({inspection.score:.2f})" in text for text in said)


@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf"])
@pytest.mark.parametrize("view", VIEWS)
def test_any_token_can_be_drawn(
    hostile: Inspection, view: View, suffix: str, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / f"figure{suffix}"
    draw_inspection(hostile, out, view)
    assert out.stat().st_size > 3_000
    if suffix == ".svg":
        said = "\n".join(texts_of(out))
        wanted = {*hostile.source_tokens, *hostile.target_tokens}
        if view == "gates":
            wanted = {token for layer in hostile.gates for token in layer.tokens}
        elif view == "tree":
            wanted = {"$x^2$", "日本語", "שלום"}
        for token in wanted:
            assert shown(token) in said


def test_heads_are_drawn_one_by_one(inspection: Inspection, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert inspection.attention is not None
    heads = [inspection.attention.mean] * 4
    several = replace(inspection, attention=replace(inspection.attention, heads=heads))
    draw_inspection(several, tmp_path / "figure.svg", "attention")
    said = texts_of(tmp_path / "figure.svg")
    assert {"mean of the heads", "head 1", "head 2", "head 3", "head 4"} <= {*said}


def test_what_cannot_be_drawn_is_told(
    inspection: Inspection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = replace(inspection, attention=None)
    for view in ("attention", "alignment"):
        with pytest.raises(UsageError, match=f"view '{view}': this model has no attention; choose"):
            draw_inspection(without, tmp_path / "figure.svg", view)
    with pytest.raises(UsageError, match=r"x.doc: a figure ends in .svg"):
        draw_inspection(inspection, tmp_path / "x.doc", "gates")
    tokens = [f"t{i}" for i in range(1_000)]
    wide = replace(inspection, source_tokens=tokens, target_tokens=tokens)
    with pytest.raises(UsageError, match=r"[\d,]+ by [\d,]+ pixels are too many .* write .svg or"):
        draw_inspection(wide, tmp_path / "figure.png", "attention")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'penstock\[plot\]'"):
        draw_inspection(inspection, tmp_path / "figure.svg", "gates")
    assert list(tmp_path.iterdir()) == []


def test_a_token_is_shown_printable_and_short() -> None:
    assert shown("▁Mann") == "▁Mann"
    assert shown("\x00a\n") == "\\x00a\\n"
    assert shown("\u202ea") == "\\u202ea"
    assert shown("w" * 90) == "w" * 15 + "…"


# --- the command --------------------------------------------------------------------------------


def test_json_is_the_inspection(tiny_run: Path, translator: Translator, capfd: Capture) -> None:
    target = translator.bundle.target_tokenizer
    prefix = target.tokens(target.encode("Ils"))
    command = ["inspect", "-m", str(tiny_run), SENTENCE, "--beam-size", "3", "--exact", "--units"]
    flags = [flag for piece in prefix for flag in ("--prefix", piece)]
    assert run([*command, *flags, "--budget", "50", "--length-penalty", "0.5"]) == 0
    told = json.loads(capfd.readouterr().out)
    options = SearchOptions(beam_size=3, budget=50, length_penalty=0.5)
    expected = inspect_sentence(
        translator, SENTENCE, options, prefix=prefix, exact=True, units=True
    )
    assert told == as_json(expected)
    assert told["prefix"] == prefix
    assert told["exact"]["extended"] <= 50
    assert run(["inspect", "-m", str(tiny_run), SENTENCE, "--out", "-"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert told["exact"] is None
    assert all(v["units"] is None for own in told["gates"] for v in own["values"].values())


def test_a_page_is_written_whole(
    tiny_run: Path,
    translator: Translator,
    page: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: Capture,
) -> None:
    monkeypatch.setattr(html_document, "PAGE", page)
    out = tmp_path / "new" / "page.HTML"
    assert run(["inspect", "-m", str(tiny_run), SENTENCE, "--out", str(out)]) == 0
    assert capfd.readouterr().out == f"{out}\n"
    text = out.read_text(encoding="utf-8")
    check_document(text, inspect_sentence(translator, SENTENCE, units=True))


@pytest.mark.parametrize("flags", [[], ["--view", "tree"]], ids=["attention", "tree"])
def test_a_figure_is_drawn(
    tiny_run: Path, tmp_path: Path, flags: list[str], capfd: Capture
) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "figure.svg"
    assert run(["inspect", "-m", str(tiny_run), SENTENCE, "--out", str(out), *flags]) == 0
    assert capfd.readouterr().out == f"{out}\n"
    assert ("grey: pruned" in " ".join(texts_of(out))) == bool(flags)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["  "], "the text is blank; give a sentence"),
        ([SENTENCE, "--out", "x.doc"], r"x.doc: a page ends in .html, a figure in .svg.*for JSON"),
        ([SENTENCE, "--view", "tree"], "--view: a page and JSON hold every view; leave it out"),
        ([SENTENCE, "--out", "x.html", "--view", "tree"], "--view: a page and JSON hold"),
        ([SENTENCE, "--budget", "5"], "--budget is for exact search: add --exact, or leave it out"),
        ([SENTENCE, "--beam-size", "0"], "beam_size = 0: must be at least 1"),
        ([SENTENCE, "--prefix", "qqq"], "prefix, piece 1: 'qqq' is not in the target"),
        ([SENTENCE * 300], r"[\d,]+ source pieces, and the model reads 256 at once"),
        ([], "Missing argument"),
    ],
)
def test_bad_input_gets_a_message(
    tiny_run: Path,
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: Capture,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["inspect", "-m", str(tiny_run), *arguments]) == 2
    said = capfd.readouterr()
    assert re.search(message, said.err)
    assert said.out == ""
    assert list(tmp_path.iterdir()) == []


def test_another_task_is_refused(classifier_run: Path, capfd: Capture) -> None:
    arguments: list[Any] = ["inspect", "-m", str(classifier_run), SENTENCE]
    assert run(arguments) == 1
    assert "classification" in capfd.readouterr().err


def test_the_document_says_of_its_views_what_the_page_says() -> None:
    def sections(name: str) -> dict[str, str]:
        text = (html_document.PAGE / name).read_text(encoding="utf-8")
        section = r'<section class="figure" aria-labelledby="([\w-]+)">(.*?)</section>'
        return dict(re.findall(section, text, re.S))

    own, page = sections("inspection.html"), sections("index.html")
    assert {"attention", "tree", "gates"} <= own.keys()
    for view in ("attention", "tree", "gates"):
        assert own[view] == page[view]
