"""The figures that compute in the page: their numbers are Python's, and a browser shows them."""

from __future__ import annotations

import json
import math
import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from playwright.sync_api import Browser, Page, expect

from browsing import in_browser
from penstock.metrics.bleu import bleu, ngram_precisions

ROOT = Path(__file__).parents[2]
LIVE = ROOT / "docs/assets/live"
PAGES = sorted(ROOT.glob("docs/chapter/**/*.md"))

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")


def in_node(script: str, value: object) -> Any:
    """What an expression of `figure` and `value` gives, `figure` being a script of the page."""
    program = (
        f"const figure = require({json.dumps(str(LIVE / script))});"
        "const value = JSON.parse(require('fs').readFileSync(0, 'utf8'));"
    )
    body = {
        "bleu.js": "value.map(([p, l, k]) => figure.bleu(p, l, k))",
        "cell.js": "[figure, value.map(([c, g, x]) => figure.STEPS[c](g, x))]",
    }[script]
    ran = subprocess.run(
        ["node", "-e", f"{program}console.log(JSON.stringify({body}))"],
        input=json.dumps(value), capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return json.loads(ran.stdout)


@needs_node
def test_bleu_is_that_of_python() -> None:
    draw = random.Random(1)
    cases = [("", "A", 2), ("A", "A", 4), ("", "", 1), ("A B B C D", "A B C D E F", 3)]
    for _ in range(100):
        prediction, label = (" ".join(draw.choices("ABC", k=draw.randrange(7))) for _ in range(2))
        cases.append((prediction, label, draw.randrange(1, 5)))
    for (prediction, label, k), found in zip(cases, in_node("bleu.js", cases), strict=True):
        assert found["score"] == pytest.approx(bleu(prediction, label, k), abs=1e-12)
        precisions = [order["precision"] for order in found["orders"]]
        assert precisions == ngram_precisions(prediction, label, k)


@needs_node
def test_cells_are_those_of_torch() -> None:
    """With gates saturated, held to 0 or 1, torch's LSTM is the figure's; GRUs have both forms."""
    draw = random.Random(2)
    inputs = [draw.uniform(-1, 1) for _ in range(8)]
    held = [[float(draw.random() < 0.5) for _ in range(3)] for _ in range(5)]
    asked = [("lstm", gates, inputs) for gates in held]
    asked += [("gru", gates[:2], inputs) for gates in held]
    figure, found = in_node("cell.js", asked)
    weight, recurrent, start = (figure[k] for k in ("INPUT_WEIGHT", "STATE_WEIGHT", "START"))
    for (kind, gates, _), steps in zip(asked, found, strict=True):
        cell = torch.nn.LSTMCell(1, 1) if kind == "lstm" else torch.nn.GRUCell(1, 1)
        shut = [60.0 * (2 * gate - 1) for gate in gates]  # a sigmoid of this is the gate
        rows = {
            "lstm": ([0, 0, weight, 0], [0, 0, recurrent, 0], [*shut[:2], 0, *shut[2:]]),
            "gru": ([0, 0, weight], [0, 0, recurrent], [*shut, 0]),
        }[kind]
        with torch.no_grad():
            cell.weight_ih[:, 0], cell.weight_hh[:, 0] = map(torch.tensor, rows[:2])
            cell.bias_ih[:] = torch.tensor(rows[2])
            cell.bias_hh.zero_()
            state = torch.full((1, 1), start)
            memory = state
            for value, step in zip(inputs, steps, strict=True):
                if isinstance(cell, torch.nn.LSTMCell):
                    state, memory = cell(torch.tensor([[value]]), (state, memory))
                else:
                    state = cell(torch.tensor([[value]]), state)
                assert step["state"] == pytest.approx(state.item(), abs=1e-6)


def test_every_figure_stands_on_both_pages_and_says_what_it_needs() -> None:
    def figures(page: Path) -> list[tuple[str, str]]:
        text = page.read_text(encoding="utf-8")
        found = re.findall(r"<(live-[a-z]+)([^>]*)>(.*?)</\1>", text)
        assert all("JavaScript" in inside for *_, inside in found)
        return [(name, attributes.replace(' lang="zh"', "")) for name, attributes, _ in found]

    names = {name for page in PAGES for name, _ in figures(page)}
    assert names == {"live-bleu", "live-cell"}
    for page in ROOT.glob("docs/chapter/*.md"):
        assert figures(page) == figures(page.parent / "zh" / page.name)


@pytest.fixture(scope="module")
def page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """All figures on one page, opened from a folder."""
    file = tmp_path_factory.mktemp("live") / "page.html"
    scripts = "".join(
        f"<script>{path.read_text(encoding='utf-8')}</script>" for path in sorted(LIVE.glob("*.js"))
    )
    style = (LIVE / "live.css").read_text(encoding="utf-8")
    file.write_text(
        f"<!doctype html><meta charset=utf-8><title>live</title><style>{style}</style>"
        "<live-bleu></live-bleu><live-bleu lang=zh></live-bleu><live-cell cell=gru></live-cell>"
        f"<live-cell cell=lstm lang=zh></live-cell>{scripts}",
        encoding="utf-8",
    )
    opened = browser.new_page(viewport={"width": 320, "height": 700})
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.goto(file.as_uri())
    yield opened
    assert not errors
    opened.close()


@in_browser
def test_bleu_follows_what_is_typed(page: Page) -> None:
    figure = page.locator("live-bleu:not([lang])")
    expect(figure.locator(".live-score")).to_have_text("BLEU 0.000")
    figure.locator("input[type=range]").fill("3")
    score = math.exp(1 - 6 / 5) * 0.8**0.5 * 0.75**0.25 * (1 / 3) ** 0.125
    expect(figure.locator(".live-score")).to_have_text(f"BLEU {score:.3f}")
    assert figure.locator("li.matched").count() == 4 + 3 + 1
    figure.locator("input[type=text]").nth(1).fill("A B C D E F")
    expect(figure.locator(".live-score")).to_have_text("BLEU 1.000")
    page.locator("live-bleu[lang=zh]").get_by_role("button", name="太短").click()
    expect(page.locator("live-bleu[lang=zh] .live-score")).to_have_text("BLEU 0.000")


@in_browser
def test_a_gate_changes_the_state(page: Page) -> None:
    figure = page.locator("live-cell[cell=gru]")
    before = figure.locator("svg").get_attribute("aria-label")
    figure.get_by_role("button", name="keeps its state").click()
    kept = figure.locator("svg").get_attribute("aria-label")
    assert kept != before
    assert kept is not None
    assert kept.count("0.70") == 10
    figure.get_by_label("update Z").fill("0.5")
    assert figure.locator("svg").get_attribute("aria-label") not in (kept, before)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
