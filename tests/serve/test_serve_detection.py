"""Detection among what is served, and the names of languages."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from penstock.serve.api.model_router import served_code
from penstock.text.language_detection import Detector
from penstock.text.language_names import language_name

TEXTS = {
    "de": "Ein Mann mit einem orangefarbenen Hut starrt etwas an.",
    "en": "A man in an orange hat is staring at something.",
    "fr": "Un homme avec un chapeau orange regarde quelque chose.",
    "zh": "一个戴橙色帽子的男人正盯着什么看。",
}


def test_it_finds_the_language_of_texts() -> None:
    detector = Detector(TEXTS)
    for language, text in TEXTS.items():
        ranked = detector.rank(text)
        assert ranked[0].language == language
        assert ranked[0].confidence > 0.9
        assert [x.confidence for x in ranked] == sorted(x.confidence for x in ranked)[::-1]
        assert {x.language for x in ranked} == set(TEXTS)


def test_only_what_is_served_is_found() -> None:
    assert {x.language for x in Detector(["fr", "en"]).rank(TEXTS["de"])} == {"en", "fr"}


def test_a_single_language_is_the_one_and_loads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("py3langid")]:
        monkeypatch.delitem(sys.modules, name)
    assert [x.language for x in Detector(["ipa"]).rank("x")] == ["ipa"]
    assert "py3langid" not in sys.modules


def test_what_the_library_does_not_know_is_left_out() -> None:
    assert {x.language for x in Detector(["de", "fr", "ipa"]).rank(TEXTS["fr"])} == {"de", "fr"}
    assert Detector(["ipa", "tokipona"]).rank(TEXTS["fr"]) == []


def test_of_a_regional_code_the_base_decides() -> None:
    ranked = Detector(["pt-br", "de", "zh-hant"]).rank("O homem de chapéu não está olhando.")
    assert ranked[0].language == "pt-br"


@pytest.mark.parametrize("text", ["", " ", "123", "\x00", "🙂", "a" * 100_000])
def test_any_text_has_a_ranking(text: str) -> None:
    ranked = Detector(["de", "en"]).rank(text)
    assert sum(x.confidence for x in ranked) == pytest.approx(1)


def test_one_value_serves_all_threads() -> None:
    detector = Detector(TEXTS)  # also loads it in all of them at once
    texts = list(TEXTS.items()) * 50
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda pair: detector.rank(pair[1])[0].language, texts))
    assert found == [language for language, _ in texts]


@pytest.mark.parametrize(
    ("code", "served", "meant"),
    [
        ("DE", {"de"}, "de"),
        ("en_US", {"en"}, "en"),
        ("en-us", {"en", "en-us"}, "en-us"),
        ("en", {"en-gb"}, "en-gb"),
        ("en", {"en-gb", "en-us"}, "en"),
        ("xx", {"en"}, "xx"),
    ],
)
def test_which_served_language_is_meant(code: str, served: set[str], meant: str) -> None:
    assert served_code(code, served) == meant


def test_names() -> None:
    assert language_name("de") == "German"
    assert language_name("PT-BR") == "Portuguese (Brazilian)"
    assert language_name("tokipona") == "tokipona"
