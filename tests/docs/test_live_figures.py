"""The figures that compute in the page: their numbers are Python's."""

from __future__ import annotations

import random
import re
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from live_figures import LIVE, ROOT, example, in_node, needs_node
from penstock.config import TokenizerConfig
from penstock.metrics.bleu import bleu, ngram_precisions
from penstock.search import Limits, Ranking, beam_search, exhaustive_search
from penstock.text import EOS_ID, Tokenizer, preprocess
from penstock.training.batches import collate

PAGES = sorted(ROOT.glob("docs/chapter/**/*.md"))

pytestmark = needs_node


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


def test_rounds_of_a_scan_are_those_of_the_example() -> None:
    draw = random.Random(3)
    cases = [[[draw.random() for _ in range(n)] for _ in "fc"] for n in (1, 2, 7, 8, 16)]
    expression = (
        "value.map(([f, c]) => { const steps = figure.stepsOf(f, c);"
        "return [steps, figure.loop(steps), figure.doubling(steps)]; })"
    )
    drawn = in_node("scan.js", expression, cases)
    script = example("parallel_recurrence.py")
    for (gates, candidates), found in zip(cases, drawn, strict=True):
        steps, states, rounds = found
        f, c = (torch.tensor(each, dtype=torch.float64)[:, None] for each in (gates, candidates))
        a, b = f, (1 - f) * c
        torch.testing.assert_close(torch.tensor(steps, dtype=torch.float64), torch.cat([a, b], 1))
        expected, count = script["doubling"](a, b)
        assert len(rounds) - 1 == count
        last = torch.tensor(rounds[-1], dtype=torch.float64)[:, 1:]
        torch.testing.assert_close(last, expected)
        loop = torch.tensor(states, dtype=torch.float64)[:, None]
        torch.testing.assert_close(loop, script["loop"](a, b))


def test_pairs_become_the_ids_of_the_tokenizer() -> None:
    odd = ["U.S.A. ’s 1,000\u2009€!", "a,b ...\u200b x", "Cafe\u0301 été², 3.14.", "É.T. 1.a"]
    odd.append("ǅ Ⅷ.².")
    pairs = [line.split("\t") for line in example("translation_data.py")["TEXT"].splitlines()]
    pairs += [[text, text[::-1]] for text in odd]
    expression = (
        "[value[0].map(figure.preprocess),"
        "figure.batch(value[0].map((s, i) => [s, value[1][i]]), value[2])]"
    )
    sides = [list(side) for side in zip(*pairs, strict=True)]
    for frequency, limit in ((1, 20), (2, 6)):
        options = {"minFrequency": frequency, "limit": limit}
        texts, found = in_node("pipeline.js", expression, [*sides, options])
        assert texts == [preprocess(text) for text in sides[0]]
        config = TokenizerConfig(kind="word", min_frequency=frequency)
        tokenizers = [Tokenizer.train(side, config) for side in sides]
        rows = [
            [[*tokenizer.encode(text)[: limit - 1], EOS_ID] for text in side]
            for tokenizer, side in zip(tokenizers, sides, strict=True)
        ]
        for name, tokenizer in zip(("source", "target"), tokenizers, strict=True):
            assert found[name]["words"] == list(tokenizer.vocabulary())
        batch = collate(*rows)
        assert found["source"]["rows"] == batch.src.tolist()
        assert found["source"]["lengths"] == batch.src_lengths.tolist()
        assert found["target"]["rows"] == batch.tgt_out.tolist()
        assert found["target"]["lengths"] == batch.tgt_lengths.tolist()
        assert found["decoderIn"] == batch.tgt_in.tolist()


def test_vectors_are_those_that_numpy_finds() -> None:
    """Their information by hand; by numpy cosines, which no choice of eigenvectors changes."""
    expression = """(() => {
        const text = figure.sentences(60), { words, information } = figure.count(text, 3);
        const all = figure.vectors(figure.eigen(information), 6);
        const cosines = all.map((a) => all.map((b) => figure.cosine(a, b)));
        return { text, words, information: information.map((row) => Array.from(row)), cosines };
    })()"""
    found = in_node("neighbours.js", expression)
    words, sentences = found["words"], [line.split() for line in found["text"].splitlines()]
    counts = Counter(word for sentence in sentences for word in sentence)
    assert words == sorted((w for w, n in counts.items() if n > 1), key=lambda w: (-counts[w], w))
    together = np.zeros((len(words), len(words)))
    for sentence in sentences:
        for (i, one), (j, other) in combinations(enumerate(sentence), 2):
            if j - i <= 3 and {one, other} <= set(words):
                together[words.index(one), words.index(other)] += 1
                together[words.index(other), words.index(one)] += 1
    margins = together.sum(1, keepdims=True)
    with np.errstate(divide="ignore"):
        information = np.log(together * together.sum() / (margins * margins.T)).clip(min=0)
    np.testing.assert_allclose(found["information"], information, atol=1e-12)
    u, values, _ = np.linalg.svd(information, hermitian=True)
    vectors = u[:, :6] * np.sqrt(values[:6])
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(found["cosines"], unit @ unit.T, atol=1e-8)


def test_every_figure_stands_on_both_pages_and_says_what_it_needs() -> None:
    def figures(page: Path) -> list[tuple[str, str]]:
        text = page.read_text(encoding="utf-8")
        found = re.findall(r"<(live-[a-z]+)([^>]*)>(.*?)</\1>", text)
        assert all("JavaScript" in inside for *_, inside in found)
        return [(name, attributes.replace(' lang="zh"', "")) for name, attributes, _ in found]

    names = {name for page in PAGES for name, _ in figures(page)}
    scripts = {f"live-{path.stem}" for path in LIVE.glob("*.js") if "_" not in path.name}
    assert names == scripts - {"live-live", "live-question"}  # tests/learn/test_exercises.py
    for page in ROOT.glob("docs/chapter/*.md"):
        assert figures(page) == figures(page.parent / "zh" / page.name)
