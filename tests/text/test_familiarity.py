"""Text that is unlike the training text: found, and seldom where there is none."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from penstock.errors import BundleError
from penstock.text.character_ngrams import ORDER, CharacterCounts, CharacterNgrams
from penstock.text.familiarity import Familiarity

WORDS = [
    *("cat", "dog", "bird", "house", "tree", "river", "apple", "garden", "window", "kitchen"),
    *("mother", "father", "teacher", "reads", "sees", "eats", "likes", "wants", "paints", "opens"),
    *("closes", "sings", "slowly", "quickly", "today", "here"),
]


def sentences(count: int, seed: int) -> list[str]:
    """Sentences of the same few words, each other than the others."""
    random_words = random.Random(seed)
    return [
        f"The {' '.join(random_words.choices(WORDS, k=random_words.randint(3, 7)))}."
        for _ in range(count)
    ]


@pytest.fixture(scope="module")
def familiarity() -> Familiarity:
    fitted = Familiarity.fit(sentences(3000, 1), sentences(400, 2))
    assert fitted is not None
    return fitted


def share(familiarity: Familiarity, lines: list[str]) -> float:
    """Of the lines that are not `ok`."""
    return sum(like != "ok" for like in familiarity.judge(lines)) / len(lines)


def test_new_lines_are_familiar(familiarity: Familiarity) -> None:
    assert share(familiarity, sentences(1000, 3)) <= 0.01


def test_shuffled_and_shouted_lines_are_not(familiarity: Familiarity) -> None:
    lines = sentences(200, 4)
    order = random.Random(5)
    shuffled = ["".join(order.sample(line, len(line))) for line in lines]
    assert share(familiarity, shuffled) > 0.99
    assert share(familiarity, [line.upper() for line in lines]) == 1


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", "ok"),
        ("  \t", "ok"),
        ("The cat sees here.", "ok"),
        ("The cät sees here.", "unfamiliar"),
        ("xqzt vrrp", "unfamiliar"),
        ("日本語", "unknown-heavy"),
        ("日 本 語 is", "unknown-heavy"),  # spaces do not count
    ],
)
def test_single_lines(familiarity: Familiarity, line: str, expected: str) -> None:
    assert familiarity.judge([line, "The dog eats slowly."]) == [expected, "ok"]


def test_a_character_that_training_hardly_saw_is_unknown(familiarity: Familiarity) -> None:
    twice = Familiarity.fit([*sentences(3000, 1), "The cät sings.", "A cät reads."], [])
    assert twice is not None
    assert twice.judge(["The cät sees a dog."]) == ["unfamiliar"]


def test_where_every_line_has_a_rare_character_such_are_familiar() -> None:
    """As in a language with thousands of characters."""
    lines = [f"{line} {chr(0x4E00 + n)}" for n, line in enumerate(sentences(600, 6))]
    fitted = Familiarity.fit(lines[:500], lines[500:])
    assert fitted is not None
    assert fitted.thresholds.most_unknown == 1
    assert fitted.judge([f"{sentences(1, 7)[0]} 日"]) == ["ok"]


def test_too_little_text_says_nothing() -> None:
    assert Familiarity.fit(sentences(30, 1), sentences(5, 2)) is None


def surprisal(lines: list[str], line: str) -> float:
    """The same model, counted in a dictionary."""
    pad = "\n" * (ORDER - 1)
    text = f"{pad}{pad.join(lines)}{pad}"
    counts = Counter(text[i - n : i] for n in range(1, ORDER + 1) for i in range(n, len(text) + 1))
    total = sum(map(len, lines))
    counts["\n"] = total
    bits = 0.0
    for end in range(len(pad) + 1, len(pad) + len(line) + 1):
        share = (counts[line[end - len(pad) - 1]] + 0.004) / (total + 4)
        for n in range(2, ORDER + 1):
            run = (pad + line)[end - n : end]
            share = (counts[run] + 4 * share) / (max(counts[run[:-1]], counts[run]) + 4)
        bits += min(-math.log2(share), 15)
    return bits


def test_surprisal_is_that_of_plain_counts() -> None:
    lines = sentences(80, 8)
    ngrams = CharacterNgrams.of(CharacterCounts.of(lines), fewest=1)
    new = [*sentences(20, 9), "Xylophones are quite new here, aren't they?"]
    lengths, unknown, bits = ngrams.measure(new)
    expected = [surprisal(lines, line) for line in new]
    # counts are stored in steps of a quarter of a doubling, and share tables by hash
    assert (bits / lengths).tolist() == pytest.approx(
        [each / len(line) for each, line in zip(expected, new, strict=True)], abs=0.15, rel=0.15
    )
    assert unknown.tolist() == [0] * 20 + [len([c for c in new[-1] if c not in "".join(lines)])]


def test_it_survives_serialization(familiarity: Familiarity) -> None:
    read = Familiarity.from_json(familiarity.to_json())
    lines = [*sentences(100, 3), "xqzt vrrp", "The cät sees a dog.", "日本語"]
    assert read.judge(lines) == familiarity.judge(lines)
    assert read.to_json() == familiarity.to_json()
    assert len(read.to_json()) < 20_000


def test_what_an_earlier_model_knew_is_familiar(familiarity: Familiarity) -> None:
    capitals = [line.upper() for line in sentences(1000, 1)]
    newer = Familiarity.fit(capitals[:900], capitals[900:])
    assert newer is not None
    lines = ["THE CAT SEES HERE.", "The cat sees here.", "xqzt vrrp", "日本語"]
    odd = ["unfamiliar", "unknown-heavy"]
    assert newer.judge(lines) == ["ok", "unknown-heavy", "unknown-heavy", "unknown-heavy"]
    both = Familiarity.from_json(replace(newer, before=familiarity).to_json())
    assert both.judge(lines) == ["ok", "ok", *odd]


@pytest.mark.parametrize(
    "change",
    [
        {"bits": 30},
        {"bits": True},
        {"tables": ""},
        {"tables": "Qlpo"},
        {"characters": "ab"},
        {"within": 0},
        {"limit": math.inf},
        {"mean": "x"},
        {"counts": None},
        {"before": "{}"},
    ],
)
def test_damage_is_reported(familiarity: Familiarity, change: dict[str, Any]) -> None:
    value = json.loads(familiarity.to_json()) | change
    with pytest.raises(BundleError, match=r"^model/familiarity: damaged; restore it"):
        Familiarity.from_json(json.dumps(value), place="model/familiarity")
