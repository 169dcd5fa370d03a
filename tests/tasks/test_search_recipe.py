"""CONTRIBUTING's recipe for a search: a function over a step, its line in the table."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from penstock.errors import UsageError
from penstock.search import Hypothesis, greedy_search
from penstock.tasks.translation import search_table
from penstock.tasks.translation.search_options import SearchKind, SearchOptions
from penstock.tasks.translation.search_table import SEARCHES, SearchRequest, search_of
from penstock.tasks.translation.translator import Translator

LINES = ["she sees them .", "they do not see him ."]


def unlike_greedy(asked: SearchRequest) -> list[list[Hypothesis]]:
    """Greedy search without the two tokens that it would start with."""
    free = greedy_search(asked.step, asked.state, asked.limits, ranking=asked.ranking)
    limits = asked.limits
    banned = tuple({token for h in free for token in h.tokens[:2]})
    limits = type(limits)(
        limits.bos_id, limits.eos_id, (*limits.blocked, *banned), limits.max_lengths
    )
    found = greedy_search(
        asked.step, asked.state, limits, ranking=asked.ranking, should_stop=asked.should_stop
    )
    return [[hypothesis] for hypothesis in found]


def test_a_search_is_a_function_and_a_line(tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(search_table.SEARCHES, "unlike_greedy", unlike_greedy)
    translator = Translator.load(tiny_run)
    asked = SearchOptions().model_copy(update={"search": "unlike_greedy"})
    for line in LINES:
        [ours], translation = translator.search(translator.segment(line), asked)
        [greedy], _ = translator.search(translator.segment(line), SearchOptions(search="greedy"))
        assert translation.source == line
        assert greedy.tokens
        assert not set(greedy.tokens[:2]) & set(ours.tokens)


def test_every_search_has_its_name_in_the_options() -> None:
    assert set(SEARCHES) == set(get_args(SearchKind))


def test_an_unknown_search_is_an_error() -> None:
    with pytest.raises(UsageError, match="search 'bream': choose one of beam, greedy, sample"):
        search_of("bream")
