"""The figures that compute in the page: their numbers are Python's."""

from __future__ import annotations

import json
import random
import re
import runpy
import shutil
import subprocess
from collections.abc import Callable
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


def test_messages_are_those_of_the_hidden_markov_model() -> None:
    script = example("hidden_markov.py")
    tagged = [
        [tuple(pair.rsplit("/", 1)) for pair in line.split()]
        for line in script["TAGGED"].strip().splitlines()
    ]
    model, tags, words = script["estimate"](tagged)
    sentences = ["I am ___ hungry .", "they can fish .", "the can can light .", "___ light"]
    expression = """(() => {
        const model = figure.estimate(figure.TAGGED);
        return [figure.TAGGED, model, value.map((sentence) => {
            const seen = figure.observe(model, sentence.split(" "));
            const at = Math.max(seen.indexOf(null), 0);
            const { pi, rho, posterior, logLikelihood } = figure.messages(model, seen);
            const names = ["wordAt", "fromLeft", "fromRight"];
            const sides = names.map((name) => figure[name](model, seen, at));
            return { at, pi, rho, posterior, logLikelihood, sides, ...figure.viterbi(model, seen) };
        })];
    })()"""
    text, counted, found = in_node("hmm.js", expression, sentences)
    assert text == script["TAGGED"]
    assert (counted["tags"], counted["words"]) == (tags, words)

    def near(value: Any, expected: torch.Tensor) -> None:
        torch.testing.assert_close(torch.tensor(value), expected, atol=1e-5, rtol=1e-5)

    for sentence, own in zip(sentences, found, strict=True):
        tokens, at = sentence.split(), own["at"]
        known = torch.tensor([token != "___" for token in tokens])
        ids = torch.tensor([[words.index(t) if t in words else 0 for t in tokens]])
        scores = torch.where(known[None, :, None], model.log_likelihoods(ids), 0.0)
        forward = model.forward(scores)
        assert own["logLikelihood"] == pytest.approx(forward.log_likelihood.item(), abs=1e-5)
        near(own["pi"], (forward.log_alpha - scores).softmax(-1)[0])
        near(own["rho"], model.backward(scores).softmax(-1)[0])
        near(own["posterior"], model.log_posterior(scores).exp()[0])
        decoded = model.viterbi(scores)
        assert own["path"] == decoded.states[0].tolist()
        assert own["logProbability"] == pytest.approx(decoded.log_prob.item(), abs=1e-5)
        left, right = scores.clone(), scores.clone()
        left[:, at + 1 :], right[:, :at] = 0, 0
        for side, value in zip(own["sides"], (scores, left, right), strict=True):
            near(side, model.log_observation_given_others(value).exp()[0, at])


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_what_lights_up_is_what_gradients_reach(layers: int) -> None:
    """Inputs of the middle output: by the paths of the drawing, and where its gradient is not 0."""
    expression = """["deep", "both", "stacks", "mistake"].map((kind) =>
        figure.reach(figure.network(kind, value), `o${value + 1}.3`).filter((n) => n[0] === "x"))"""
    drawn = [{int(n[-1]) for n in names} for names in in_node("unrolled.js", expression, layers)]
    torch.manual_seed(layers)
    options: dict[str, Any] = {"num_layers": layers, "batch_first": True}
    one, other = torch.nn.GRU(2, 3, **options), torch.nn.GRU(2, 3, **options)
    both = torch.nn.GRU(2, 3, bidirectional=True, **options)

    def reached(output: Callable[[torch.Tensor], torch.Tensor]) -> set[int]:
        x = torch.randn(1, 5, 2, requires_grad=True)
        [gradient] = torch.autograd.grad(output(x).sum(), x)
        return {t + 1 for t in range(5) if gradient[0, t].abs().sum() > 0}

    assert drawn[0] == reached(lambda x: one(x)[0][:, 2])
    assert drawn[1] == reached(lambda x: both(x)[0][:, 2])
    assert drawn[2] == reached(lambda x: one(x)[0][:, 1] + other(x.flip(1))[0][:, 1])
    assert drawn[3] == reached(lambda x: both(x)[0][:, 1, :3] + both(x)[0][:, 3, 3:])
    assert (3 in drawn[3]) == (layers > 1)


@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("name", ["normal", "uniform", "xavier", "orthogonal"])
def test_gradients_over_lags_are_those_of_autograd(kind: str, name: str) -> None:
    expression = """(() => {
        const weights = figure.firstWeights(value[0], value[1], 1.5, 3);
        const [data, along] = [figure.inputs(12, 4), figure.direction(5)];
        const { input, hidden, bias } = weights;
        const plain = (m) => m.map((row) => Array.from(row));
        return { input: plain(input), hidden: plain(hidden), bias: Array.from(bias),
            data: plain(data), along: Array.from(along),
            found: figure.gradients(value[0], weights, data, along) };
    })()"""
    drawn = in_node("lag.js", expression, [kind, name])
    cells = {"rnn": torch.nn.RNNCell, "gru": torch.nn.GRUCell, "lstm": torch.nn.LSTMCell}
    data, along = (torch.tensor(drawn[key], dtype=torch.float64) for key in ("data", "along"))
    cell = cells[kind](data.shape[1], len(along)).double()
    with torch.no_grad():
        cell.weight_ih.copy_(torch.tensor(drawn["input"], dtype=torch.float64))
        cell.weight_hh.copy_(torch.tensor(drawn["hidden"], dtype=torch.float64))
        cell.bias_ih.copy_(torch.tensor(drawn["bias"], dtype=torch.float64))
        cell.bias_hh.zero_()
    state: Any = (torch.zeros(1, len(along)).double(),) * (2 if kind == "lstm" else 1)
    states = []
    for x in data:
        found = cell(x[None], state if kind == "lstm" else state[0])
        state = found if kind == "lstm" else (found,)
        states.append(state)
    wanted = [part for each in states for part in each]
    loss = state[0][0] @ along
    by_state = torch.autograd.grad(loss, wanted, retain_graph=True, materialize_grads=True)
    norms = torch.stack(by_state).view(len(data), -1).norm(dim=1).flip(0)
    torch.testing.assert_close(torch.tensor(drawn["found"]["norms"]), norms, check_dtype=False)
    weights = torch.autograd.grad(loss, list(cell.parameters()))
    whole = torch.cat([each.flatten() for each in weights]).norm()
    assert drawn["found"]["whole"] == pytest.approx(whole.item())


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
