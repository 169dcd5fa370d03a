"""The figures that compute in the page: their numbers are Python's."""

from __future__ import annotations

import json
import random
import re
import runpy
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from penstock.metrics.bleu import bleu, ngram_precisions
from penstock.search import Limits, Ranking, beam_search, exhaustive_search

ROOT = Path(__file__).parents[2]
LIVE = ROOT / "docs/assets/live"
PAGES = sorted(ROOT.glob("docs/chapter/**/*.md"))

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")


def in_node(script: str, expression: str, value: object = None) -> Any:
    """What an expression of `figure`, a script of the page, and `value` gives."""
    program = (
        f"const figure = require({json.dumps(str(LIVE / script))});"
        "const value = JSON.parse(require('fs').readFileSync(0, 'utf8'));"
        f"console.log(JSON.stringify({expression}))"
    )
    ran = subprocess.run(
        ["node", "-e", program], input=json.dumps(value), capture_output=True, text=True,
        check=True, timeout=60,
    )  # fmt: skip
    return json.loads(ran.stdout)


@cache
def example(name: str) -> dict[str, Any]:
    """What a script of examples/ defines."""
    return runpy.run_path(str(ROOT / "examples" / name))


def test_bleu_is_that_of_python() -> None:
    draw = random.Random(1)
    cases = [("", "A", 2), ("A", "A", 4), ("", "", 1), ("A B B C D", "A B C D E F", 3)]
    for _ in range(100):
        prediction, label = (" ".join(draw.choices("ABC", k=draw.randrange(7))) for _ in range(2))
        cases.append((prediction, label, draw.randrange(1, 5)))
    found = in_node("bleu.js", "value.map(([p, l, k]) => figure.bleu(p, l, k))", cases)
    for (prediction, label, k), each in zip(cases, found, strict=True):
        assert each["score"] == pytest.approx(bleu(prediction, label, k), abs=1e-12)
        precisions = [order["precision"] for order in each["orders"]]
        assert precisions == ngram_precisions(prediction, label, k)


def test_cells_are_those_of_torch() -> None:
    """With gates saturated, held to 0 or 1, torch's LSTM is the figure's; GRUs have both forms."""
    draw = random.Random(2)
    inputs = [draw.uniform(-1, 1) for _ in range(8)]
    held = [[float(draw.random() < 0.5) for _ in range(3)] for _ in range(5)]
    asked = [("lstm", gates, inputs, 0.7) for gates in held]
    asked += [("gru", gates[:2], inputs, start) for gates in held for start in (0.7, -0.8)]
    expression = "[figure, value.map(([c, g, x, s]) => figure.STEPS[c](g, x, s))]"
    figure, found = in_node("cell.js", expression, asked)
    weight, recurrent = (figure[k] for k in ("INPUT_WEIGHT", "STATE_WEIGHT"))
    for (kind, gates, _, start), steps in zip(asked, found, strict=True):
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


@pytest.mark.parametrize("alpha", [0.0, 0.75])
def test_searches_are_those_of_python(alpha: float) -> None:
    """Outputs and the number of prefixes looked up, on the book's table and on random ones."""
    expression = (
        "[figure.BOOK, figure.SURE_END, figure.randomTable(1), figure.randomTable(2)].map((t) =>"
        "[t, [1, 2, 3, 5, 8, 40].map((k) => [k, figure.search(t, k, value)])])"
    )
    script = example("beam_search.py")
    tokens, start = script["TOKENS"], script["Prefixes"]([""])
    limits = Limits(bos_id=script["BOS"], eos_id=script["EOS"], blocked=(4,), max_lengths=[3])
    book = dict(script["TABLE"])
    for number, (table, searches) in enumerate(in_node("search.js", expression, alpha)):
        if not number:
            assert table == {prefix: list(row) for prefix, row in book.items()}
        script["TABLE"].clear()
        script["TABLE"].update(table)
        for k, found in searches:
            step, ranking = script["TableStep"](), Ranking(alpha=alpha)
            if k == 40:
                [[best]] = exhaustive_search(step, start, limits, ranking=ranking)
            else:
                [[best]] = beam_search(step, start, limits, beam_size=k, ranking=ranking)
            assert found["best"]["score"] == pytest.approx(best.score, abs=1e-6)
            if number > 1:  # the tables of the book have ties
                assert found["best"]["output"] == "".join(tokens[t] for t in best.tokens)
            assert len(found["asked"]) == step.asked
    script["TABLE"].clear()
    script["TABLE"].update(book)


def test_every_figure_stands_on_both_pages_and_says_what_it_needs() -> None:
    def figures(page: Path) -> list[tuple[str, str]]:
        text = page.read_text(encoding="utf-8")
        found = re.findall(r"<(live-[a-z]+)([^>]*)>(.*?)</\1>", text)
        assert all("JavaScript" in inside for *_, inside in found)
        return [(name, attributes.replace(' lang="zh"', "")) for name, attributes, _ in found]

    names = {name for page in PAGES for name, _ in figures(page)}
    scripts = {f"live-{path.stem}" for path in LIVE.glob("*.js")} - {"live-live"}
    assert names == scripts
    for page in ROOT.glob("docs/chapter/*.md"):
        assert figures(page) == figures(page.parent / "zh" / page.name)
