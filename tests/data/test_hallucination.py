"""Invented stems: forms change as they did, and only the stem's letters are others."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from penstock.config import parse_config
from penstock.data.hallucination import find_stem, hallucinated_pairs
from penstock.data.pair import Pair
from penstock.training.corpus import prepare_corpus

PAIRS = [
    Pair("haham\tN;DAT;SG;PSS3P", ("hahamlarına",), 1),
    Pair("N;ACC;SG\tkategori", ("kategoriyi",), 2),  # the features may stand before the word
    Pair("go\tV;PST", ("went",), 3),  # nothing in common
]


def test_the_stem_is_what_word_and_form_share() -> None:
    assert [find_stem(pair) for pair in PAIRS] == [(0, 0, 5), (9, 0, 8), None]


def test_an_invented_pair_differs_in_its_stem_alone() -> None:
    invented = list(hallucinated_pairs(PAIRS, 4, seed=1))
    assert len(invented) == 8  # 4 of each pair that has a stem
    first = [re.fullmatch(r"(....m)\tN;DAT;SG;PSS3P", p.source) for p in invented[::2]]
    second = [re.fullmatch(r"N;ACC;SG\t(.......i)", p.source) for p in invented[1::2]]
    for ending, found, pairs in (("larına", first, invented[::2]), ("yi", second, invented[1::2])):
        stems = [match[1] for match in found if match]
        assert [pair.target for pair in pairs] == [stem + ending for stem in stems]
        assert len(set(stems)) > 1


def test_the_same_seed_invents_the_same_pairs() -> None:
    once, again, other = (list(hallucinated_pairs(PAIRS, 1.5, seed)) for seed in (1, 1, 2))
    assert once == again != other
    assert 2 <= len(once) <= 4
    assert not list(hallucinated_pairs(PAIRS, 0, 1))
    assert not list(hallucinated_pairs(PAIRS[2:], 3, 1))


@given(st.text(max_size=12), st.text(max_size=12))
def test_any_text_keeps_its_length_and_its_columns(source: str, target: str) -> None:
    pair = Pair(f"{source}\tX", (target,))
    for invented in hallucinated_pairs([pair], 2, seed=0):
        assert len(invented.source) == len(pair.source)
        assert len(invented.target) == len(pair.target)
        assert invented.source.count("\t") == pair.source.count("\t")


def test_training_reads_the_invented_pairs_too(tmp_path: Path) -> None:
    path = tmp_path / "forms.tsv"
    path.write_text("".join(f"walk{n}\tV;PST\twalked{n}\n" for n in range(20)), encoding="utf-8")
    values = {"data.train": str(path), "data.columns": [[1, 2], 3], "data.hallucination": 3}
    said: list[str] = []
    side = {"kind": "char", "min_frequency": 1}
    config = parse_config({"text": {"source": side, "target": side}}, values=values)
    corpus = prepare_corpus(config, tmp_path / "data", said.append)
    assert len(corpus.valid) == 2
    assert len(corpus.store) == 18 * 4
    assert "54 further pairs have invented stems (data.hallucination)" in said
    assert not corpus.store.counts.unknown_source_tokens
