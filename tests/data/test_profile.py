"""What is measured of a file of pairs, on small files whose figures can be counted by hand."""

from __future__ import annotations

import pytest

from penstock.data import profile
from penstock.data.pair import Pair
from penstock.data.profile import Profile, profile_pairs


def profiled(pairs: list[tuple[str, str]]) -> Profile:
    found = profile_pairs(Pair(source, (target,)) for source, target in pairs)
    assert found is not None
    return found


def test_no_pairs_have_no_profile() -> None:
    assert profile_pairs([]) is None


def test_lengths_and_distinct_texts() -> None:
    found = profiled([("a cat", "un chat"), ("a dog", "un chien"), ("a cat", "un chat")])
    assert (found.pairs, found.sampled) == (3, 3)
    assert found.source.characters == 5
    assert (found.source.words, found.source.distinct, found.target.distinct) == (2, 2, 2)
    assert found.source.script == "Latin"
    assert found.source.spaced


def test_each_target_of_a_source_counts() -> None:
    assert profile_pairs([Pair("go", ("va", "allez"))]).pairs == 2  # pyright: ignore


@pytest.mark.parametrize(
    ("texts", "symbols"),
    [
        (["t ɑ̃ d i", "a b i"] * 50, 3.5),  # combining marks add no letter
        (["HH AH0 L OW1", "AH0 L"] * 50, 3.0),
        (["我 是 学 生", "你 好"] * 50, 3.0),
        (["I am a cat", "we go to a bar"] * 3, None),  # too many words for an inventory
        (["the cat sat on the mat"] * 50, None),
        (["12 10 1999", "13 10 1999"] * 50, None),
        (["word"] * 50, None),
    ],
)
def test_symbols_between_spaces(texts: list[str], symbols: float | None) -> None:
    assert profiled([("x", text) for text in texts]).target.symbols == symbols


@pytest.mark.parametrize(
    ("text", "script", "words"),
    [
        ("我喜欢看书和听音乐", "Chinese", 9 / 1.7),
        ("ฉันชอบอ่านหนังสือ", "Thai", None),
        ("אני אוהב לקרוא", "Hebrew", 3),
        ("나는 책을 읽는다", "Hangul", 3),
        ("123 !?", "", 2),
    ],
)
def test_scripts_with_and_without_spaces(text: str, script: str, words: float | None) -> None:
    side = profiled([(text, "x")]).source
    assert side.script == script
    assert side.spaced == (script not in ("Chinese", "Thai"))
    assert side.words == pytest.approx(words) if words else side.words > 1


def test_likeness_ignores_case_and_accents() -> None:
    assert profiled([("Ete a la plage", "été à la plage")]).likeness == 1
    assert profiled([("abc", "xyz")]).likeness == 0


def test_how_much_longer_targets_are() -> None:
    growth = profiled([("ab", "a b c d")] * 99 + [("ab", "a b")]).growth
    assert growth["characters", "words"] == 2
    assert growth["words", "characters"] == 7


def test_copied_words() -> None:
    assert profiled([("Paris is big", "paris est grand")]).copied == pytest.approx(1 / 3)


def test_a_large_file_is_sampled_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile, "SAMPLE", 10)
    found = profiled([(str(n), "a" if n < 500 else "bbb") for n in range(1000)])
    assert found.pairs == 1000
    assert 5 <= found.sampled <= 10
    assert found.target.characters == pytest.approx(2, abs=0.3)
