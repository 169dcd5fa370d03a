"""CONTRIBUTING's recipe for a tokenizer, followed from outside the package: a value and a line.

Character n-grams that do not overlap: 'Hello!' is 'Hel', 'lo!'.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import penstock as ps
from penstock.config import TOKENIZERS, TokenizerConfig, TokenizerEntry
from penstock.data.grammar import generate_pairs
from penstock.errors import BundleError
from penstock.metrics import metrics_for
from penstock.text import UNK_ID, Tokenizer
from penstock.text.tokenizer_types import tokenizer_type
from penstock.text.tokenizer_types.symbols import symbol_tokenizer


def split(text: str, separator: str) -> list[str]:
    return [text[i : i + 3] for i in range(0, len(text), 3)]


TOKENIZER = symbol_tokenizer(split)


@pytest.fixture(autouse=True)
def _table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "character_ngrams", sys.modules[__name__])
    entry = TokenizerEntry("character_ngrams", pieces=True, error_rates=("wer", "cer"))
    monkeypatch.setitem(TOKENIZERS, "ngram", entry)


def test_it_encodes_decodes_saves_and_loads(tmp_path: Path) -> None:
    texts = ["Hello you", "you  and me", "é 你好!"]
    trained = Tokenizer.train(texts, TokenizerConfig(kind="ngram", min_frequency=1))
    assert trained.surfaces("Hello!") == ["Hel", "lo!"]
    assert trained.tokens(trained.encode("Hello you")) == ["Hel", "lo▁", "you"]
    assert UNK_ID in trained.encode("Held")
    trained.save(tmp_path / "tokenizer.json")
    loaded = Tokenizer.load(tmp_path / "tokenizer.json")
    assert (loaded.kind, loaded.to_json()) == ("ngram", trained.to_json())
    for text in texts:
        assert loaded.decode(loaded.encode(text)) == text
        assert loaded.encode(text) == trained.encode(text)


def test_a_translation_trains_with_it(tmp_path: Path) -> None:
    data = tmp_path / "pairs.tsv"
    rows = "".join(f"{pair.source}\t{pair.target}\n" for pair in generate_pairs(120))
    data.write_text(rows, encoding="utf-8")
    side = {"kind": "ngram", "min_frequency": 1}
    written: Any = ps.RunConfig
    config = written(
        threads=1,
        device="cpu",
        data={"train": str(data)},
        text={"source": side, "target": side},
        model={"embedding_size": 8, "hidden_size": 8},
        training={"max_updates": 2, "evaluate_every": 2, "metric": "loss"},
    )
    assert ps.train(config, tmp_path / "run").scores
    translator = ps.load(tmp_path / "run")
    assert translator.bundle.target_tokenizer.kind == "ngram"
    assert translator.translate(["She sees him ."])[0].source == "She sees him ."
    scores = ps.evaluate(translator, [("She sees him .", "Elle le voit .")]).scores
    assert {"wer", "cer"} <= scores.keys()


def test_the_line_says_what_tasks_ask() -> None:
    assert metrics_for("ngram")[-2:] == ("wer", "cer")
    written: Any = ps.RunConfig
    with pytest.raises(ps.ConfigError, match="a blank of a cloze is one token"):
        written(task="cloze", data={"train": "a.txt"}, text={"source": {"kind": "ngram"}})


def test_joined_text_keeps_the_space_between_lines() -> None:
    config = TokenizerConfig(kind="ngram", min_frequency=1)
    assert Tokenizer.train(["a b"], config).keeps_spaces
    config = TokenizerConfig(kind="word", min_frequency=1)
    assert not Tokenizer.train(["a b"], config).keeps_spaces


def test_an_unknown_tokenizer_is_an_error_everywhere() -> None:
    message = "unknown tokenizer kind 'ngran'; did you mean 'ngram'"
    with pytest.raises(ps.ConfigError, match=f"text.source.kind = 'ngran': {message}"):
        ps.RunConfig(text={"source": {"kind": "ngran"}})  # type: ignore[arg-type]
    with pytest.raises(ps.ConfigError, match=message):
        TokenizerConfig(kind="ngran")
    with pytest.raises(ValueError, match=message):
        tokenizer_type("ngran")
    trained = Tokenizer.train(["a b"], TokenizerConfig(kind="ngram", min_frequency=1))
    with pytest.raises(BundleError, match=f"saved.json: {message}"):
        Tokenizer.from_json(trained.to_json().replace("ngram", "ngran"), place="saved.json")
