"""Exercises: the right answer passes, each typical wrong one is told apart with its reason."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
import torch

from penstock.learn.coding_table import CODING_TASKS
from penstock.learn.exercise import CodingTask
from penstock.learn.exercise_table import EXERCISES, exercises_of, section
from penstock.learn.question_table import QUESTIONS
from penstock.learn.verdict import TIME_LIMIT, Verdict, check_file, same

ROOT = Path(__file__).parents[2]
Ran = Callable[..., tuple[int, str, str]]
WITHOUT = {"index", "exercises", "book-defects"}  # pages that have none


def weights(module: torch.nn.Module) -> int:
    return sum(each.numel() for each in module.parameters())


def observed_twice() -> float:
    keep, emits = [[0.8, 0.2], [0.2, 0.8]], [0.9, 0.1]
    return sum(0.5 * emits[a] * keep[a][b] * emits[b] for a, b in product(range(2), repeat=2))


def doubling_rounds(positions: int) -> int:
    reach, rounds = 1, 0
    while reach < positions:
        reach, rounds = 2 * reach, rounds + 1
    return rounds


ANSWERS: dict[str, float] = {
    "gru-kept": 1 * 0.8 * 0.8 * 0.8,
    "gate-half": next(n for n in range(100) if 0.9**n < 0.5),
    "gate-forget": math.tanh(0 + 0 * 0.7),
    "lstm-counter": sum([0.5] * 4),
    "deep-weights": weights(torch.nn.GRU(32, 64, 2)) - weights(torch.nn.GRU(32, 64, 1)),
    "deep-depends": sum(1 for layer, t in product((1, 2), (1, 2, 3)) if (layer, t) != (2, 3)),
    "lag-gradient": math.exp(20 * math.log(0.9)),
    "scan-rounds": doubling_rounds(1024),
    "perplexity-text": math.exp(-sum(map(math.log, (0.5, 0.25, 0.125, 0.125))) / 4),
    "hmm-evidence": observed_twice(),
    "two-directions": torch.nn.LSTM(3, 128, bidirectional=True)(torch.zeros(1, 3))[0].shape[-1],
    "vocabulary": 4 + sum(count > 1 for count in Counter("abacba").values()),
    "decoder-steps": len(["bos", *"12345"]),
    "masked-mean": 12 / (3 + 5),
    "attention-weight": torch.tensor([0, math.log(3)]).softmax(0)[1].item(),
    "bleu-short": math.exp(1 - 6 / 5) * (4 / 5) ** 0.5 * (3 / 4) ** 0.25,
    "beam-work": len(list(product(range(3), range(10)))),
    "frozen-weights": weights(torch.nn.Linear(300, 256)),
    "frozen-steps": 0,
}

SOLUTIONS = {
    "gru-step": """
from math import exp, tanh
def gru_step(x, h, reset, update, candidate):
    gate = lambda w: 1 / (1 + exp(-w[0] * x - w[1] * h))
    r, z = gate(reset), gate(update)
    return z * h + (1 - z) * tanh(candidate[0] * x + candidate[1] * (r * h))
""",
    "lstm-step": """
import numpy as np
def lstm_step(x, h, c, i, f, o, g):
    i, f, o, g = np.array([i, f, o, g]) @ np.array([x, h])
    s = lambda v: 1 / (1 + np.exp(-v))
    c = s(f) * c + s(i) * np.tanh(g)
    return np.array([s(o) * np.tanh(c), c])
""",
    "clip-gradient": """
def clip_gradient(gradient, threshold):
    norm = sum(g * g for g in gradient) ** 0.5
    return [g * threshold / norm for g in gradient] if norm > threshold else gradient
""",
    "combine-steps": """
def combine(first, second):
    (f, b), (g, d) = first, second
    return [g * f, g * b + d]
""",
    "perplexity": """
from math import exp, log
def perplexity(probabilities):
    print("what is printed does not matter")
    return exp(-sum(map(log, probabilities)) / len(probabilities))
""",
    "viterbi": """
def viterbi(start, transition, emission, seen):
    states = range(len(start))
    best = [(start[s] * emission[s][seen[0]], [s]) for s in states]
    for o in seen[1:]:
        best = [max((p * transition[path[-1]][s] * emission[s][o], path + [s]) for p, path in best)
                for s in states]
    return max(best)[1]
""",
    "reverse-rows": """
def reverse_rows(rows, lengths):
    return [row[:n][::-1] + row[n:] for row, n in zip(rows, lengths)]
""",
    "truncate-or-pad": """
def truncate_or_pad(ids, length, pad):
    return (ids + [pad] * length)[:length]
""",
    "teacher-forcing": """
def teacher_forcing(target, bos, eos):
    return [bos] + target, target + [eos]
""",
    "masked-loss": """
def masked_loss(losses, lengths):
    kept = [loss for row, n in zip(losses, lengths) for loss in row[:n]]
    return sum(kept) / len(kept)
""",
    "attend": """
from math import exp
def attend(query, keys, values, mask):
    dot = lambda a, b: sum(x * y for x, y in zip(a, b))
    weights = [exp(dot(query, key)) if real else 0 for key, real in zip(keys, mask)]
    return [dot(weights, column) / sum(weights) for column in zip(*values)]
""",
    "bleu": """
from collections import Counter
from math import exp
def bleu(prediction, label, k):
    p, l = prediction.split(), label.split()
    score = exp(min(0, 1 - len(l) / len(p)))
    for n in range(1, k + 1):
        a, b = (Counter(zip(*(w[i:] for i in range(n)))) for w in (p, l))
        score *= ((a & b).total() / a.total()) ** 0.5 ** n
    return score
""",
    "best-pair": """
def best_pair(first, second):
    best = None
    for i, p in enumerate(first):
        for j, q in enumerate(second[i]):
            if best is None or p * q > best[0]:
                best = p * q, [i, j]
    return best[1]
""",
}  # fmt: skip


def test_each_page_has_two_or_three_in_both_languages() -> None:
    pages = {path.stem for path in (ROOT / "docs/chapter").glob("*.md")} - WITHOUT
    assert {each.page for each in EXERCISES.values()} == pages
    assert len(EXERCISES) == len(QUESTIONS) + len(CODING_TASKS)  # no name twice
    for page in pages:
        assert len(exercises_of(page)) in (2, 3), page
        for language in ("en", "zh"):
            assert section(page, language).count("**") == 2 * len(exercises_of(page))


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
def test_questions_tell_right_from_wrong() -> None:
    assert {question.name for question in QUESTIONS} == ANSWERS.keys()
    cases, expected = [], []
    for question in QUESTIONS:
        check = question.as_json("en")
        assert question.mistakes
        for typed, right, why in (
            (f"{ANSWERS[question.name]:.4f}", True, question.why.en),
            *((f"{number:.4f}", False, why.en) for number, why in question.mistakes),
            ("12345.6", False, "smaller numbers"),
            ("many", False, "Type a number"),
        ):
            cases.append([check, typed])
            expected.append((typed, right, why))
    cases += [[{**QUESTIONS[0].as_json("en"), "answer": -1024}, text] for text in
              ("−1,024", " -2048/2 ", "-1.024e3")]  # fmt: skip
    expected += [(text, True, "Right. ") for _, text in cases[-3:]]
    program = (
        f"const {{ judge }} = require({json.dumps(str(ROOT / 'docs/assets/live/question.js'))});"
        "const value = JSON.parse(require('fs').readFileSync(0, 'utf8'));"
        "console.log(JSON.stringify(value.map(([check, typed]) => judge(check, typed))))"
    )
    ran = subprocess.run(
        ["node", "-e", program], input=json.dumps(cases), capture_output=True, text=True, check=True
    )
    for found, (typed, right, why) in zip(json.loads(ran.stdout), expected, strict=True):
        assert (found["right"], why in found["said"]) == (right, True), (typed, found)


@pytest.mark.parametrize("task", CODING_TASKS, ids=lambda task: task.name)
def test_a_right_function_passes(task: CodingTask, tmp_path: Path) -> None:
    file = tmp_path / "answer.py"
    file.write_text(SOLUTIONS[task.name], encoding="utf-8")
    assert check_file(task, file) == Verdict(
        right=True, reason=f"all {len(task.cases)} cases are right"
    )


@pytest.mark.parametrize("task", CODING_TASKS, ids=lambda task: task.name)
def test_typical_mistakes_are_told_apart(task: CodingTask, tmp_path: Path) -> None:
    """In this process; that of the reader is tested below."""
    from penstock.learn import verdict

    for number, (mistake, why) in enumerate(task.mistakes):
        results = [mistake(*case) for case in task.cases]
        found = verdict._judge(task, tmp_path, {"results": results})
        assert not found.right
        assert found.reason.endswith(why.en), number
        assert f"{task.function}(" in found.reason
        assert " is right" in found.reason


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("def combine(first, second):\n    return 1 / 0", "answer.py, line 2: ZeroDivisionError: "),
        ("def combine(first, second):\n    return [1", "line 2: SyntaxError: "),
        ("combined = 1", "defines no function combine; begin with `def combine(first, second):`"),
        (
            "def combine(first, second):\n    return {1}",
            "TypeError: set is neither a number nor a list",
        ),
        ("def combine(first, second):\n    return [float('nan'), 'x']", "is [nan, 'x']; [0.125"),
        ("import os\nos._exit(3)", "Python ended with status 3 and no result"),
        ("def combine(first, second):\n    while True: pass", "longer than 1 s: is there an"),
    ],
)
def test_what_goes_wrong_in_a_file_is_said(text: str, told: str, tmp_path: Path) -> None:
    task = next(task for task in CODING_TASKS if task.name == "combine-steps")
    file = tmp_path / "answer.py"
    file.write_text(text, encoding="utf-8")
    verdict = check_file(task, file, time_limit=1 if "while" in text else TIME_LIMIT)
    assert not verdict.right
    assert told in verdict.reason


def test_the_command_says_right_or_wrong(penstock: Ran, tmp_path: Path) -> None:
    file = tmp_path / "answer.py"
    file.write_text("def perplexity(p): return sum(1 / x for x in p) / len(p)", encoding="utf-8")
    code, printed, _ = penstock("learn", "check", "perplexity", file)
    assert code == 1
    assert printed.startswith("wrong: perplexity([0.5, 0.25, 0.125, 0.125]) is 5.5; 4.75683 is")
    assert "Average −log p" in printed
    code, _, told = penstock("learn", "check", "perplexitty", file)
    assert (code, "did you mean 'perplexity'?" in told) == (2, True)
    code, _, told = penstock("learn", "check", "gru-kept", file)
    assert (code, "answer it on the page 'gru'" in told) == (2, True)
    code, _, told = penstock("learn", "check", "perplexity", tmp_path / "none.py")
    assert (code, "no such file" in told) == (2, True)


def test_all_are_listed(penstock: Ran) -> None:
    code, printed, _ = penstock("learn", "list")
    assert code == 0
    assert all(name in printed for name in EXERCISES)
    assert "def best_pair(first, second):" in printed
    _, chinese, _ = penstock("learn", "list", "--zh", "--json")
    rows = json.loads(chinese)
    assert [row["name"] for row in rows] == list(EXERCISES)
    assert "困惑度" in "".join(row["prompt"] for row in rows)


def test_results_are_compared_as_json_has_them() -> None:
    assert same([1, 2.0000001], [1.0, 2])
    assert not same(True, 1.0)
    assert not same([1.0], [1.0, 2.0])
    assert not same(math.nan, 1.0)
