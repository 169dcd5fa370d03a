"""Search against brute force: every sequence of a tiny model, scored one by one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from penstock.config import ModelConfig
from penstock.nn import Seq2Seq
from penstock.runtime.decoder_step import decoding_step, start_decoding
from penstock.search import (
    Hypothesis,
    Limits,
    Ranking,
    Step,
    StepOutput,
    beam_search,
    greedy_search,
)
from penstock.search.beam_state import BeamState
from penstock.search.step import Ints
from table_model import (
    TABLE_BOS,
    TABLE_EOS,
    History,
    Table,
    enumerate_all,
    log_probability,
    make_table,
    normalized,
    output_of,
    table_limits,
)

PENALTIES = [0.0, 0.5, 1.0, 2.0]
PAD, BOS, EOS, UNK = 0, 1, 2, 3

# equivalences


@pytest.mark.parametrize("length_penalty", PENALTIES)
@pytest.mark.parametrize(("vocab_size", "max_length"), [(3, 4), (4, 1), (4, 3), (4, 4)])
def test_a_beam_that_prunes_nothing_finds_what_brute_force_finds(
    vocab_size: int, max_length: int, length_penalty: float
) -> None:
    for seed in range(5):
        step, state, table = make_table(sentences=3, vocab_size=vocab_size, seed=seed)
        limits = table_limits([max_length, max_length, 2])
        everything = [enumerate_all(table, b, limits, length_penalty) for b in range(3)]
        wide = max(len(outputs) for outputs in everything)
        found = beam_search(
            step, state, limits, beam_size=wide, n_best=wide, ranking=Ranking(alpha=length_penalty)
        )
        for hypotheses, expected in zip(found, everything, strict=True):
            assert [h.tokens for h in hypotheses] == [tokens for _, tokens in expected]
            scores = [score for score, _ in expected]
            assert [h.score for h in hypotheses] == pytest.approx(scores, abs=1e-5)
        best = beam_search(
            step, state, limits, beam_size=wide, ranking=Ranking(alpha=length_penalty)
        )
        assert [h[0].tokens for h in best] == [outputs[0][1] for outputs in everything]


def plain_beam(
    table: Table, sentence: int, limits: Limits, beam_size: int, length_penalty: float
) -> list[list[int]]:
    """Beam search as a blackboard has it: extend, sort, keep K; what has ended keeps its place."""
    kept = [(0.0, [TABLE_BOS], False)]
    most = limits.max_lengths[sentence]
    for length in range(most + 1):
        pool = [beginning for beginning in kept if beginning[2]]
        places = beam_size - len(pool)
        grown = []
        for total, tokens, ended in kept:
            logits = table[sentence, tokens[-2] if length else 0, tokens[-1]]
            for token, more in enumerate(normalized(logits).tolist()):
                possible = token == TABLE_EOS or (length < most and token not in limits.blocked)
                if possible and not ended:
                    grown.append((total + more, [*tokens, token], token == TABLE_EOS))
        kept = pool + sorted(grown, reverse=True)[:places]
    scored = [
        (total / (len(tokens) - 1) ** length_penalty, tokens[1:-1]) for total, tokens, _ in kept
    ]
    return [tokens for _, tokens in sorted(scored, reverse=True)]


@pytest.mark.parametrize("length_penalty", PENALTIES)
@pytest.mark.parametrize("beam_size", [2, 3, 5])
def test_a_beam_that_prunes_keeps_what_the_plain_one_keeps(
    beam_size: int, length_penalty: float
) -> None:
    for seed in range(10):
        step, state, table = make_table(sentences=3, vocab_size=6, seed=seed)
        limits = table_limits([5, 7, 2])
        found = beam_search(
            step,
            state,
            limits,
            beam_size=beam_size,
            n_best=beam_size,
            ranking=Ranking(alpha=length_penalty),
        )
        for sentence, hypotheses in enumerate(found):
            expected = plain_beam(table, sentence, limits, beam_size, length_penalty)
            assert [h.tokens for h in hypotheses] == expected


@pytest.mark.parametrize("length_penalty", PENALTIES)
def test_a_beam_of_one_is_greedy_search(length_penalty: float) -> None:
    for seed in range(20):
        step, state, _ = make_table(sentences=4, vocab_size=6, seed=seed)
        limits = table_limits([7, 3, 0, 5])
        greedy = greedy_search(
            step, state, limits, ranking=Ranking(alpha=length_penalty), align=True
        )
        narrow = beam_search(
            step, state, limits, beam_size=1, ranking=Ranking(alpha=length_penalty), align=True
        )
        for one, [other] in zip(greedy, narrow, strict=True):
            assert without_alignment(one) == without_alignment(other)
            assert same_alignment(one, other)


def without_alignment(hypothesis: Hypothesis) -> tuple[object, ...]:
    return (
        hypothesis.tokens,
        hypothesis.score,
        hypothesis.log_probability,
        hypothesis.token_log_probabilities,
        hypothesis.finished,
    )


def same_alignment(one: Hypothesis, other: Hypothesis) -> bool:
    if one.alignment is None or other.alignment is None:
        return one.alignment is other.alignment
    return np.array_equal(one.alignment, other.alignment)


def test_greedy_takes_the_likeliest_token_each_time() -> None:
    step, state, table = make_table(sentences=1, vocab_size=5, seed=3)
    [hypothesis] = greedy_search(step, state, table_limits([6]))
    before, last = 0, TABLE_BOS
    for token in [*hypothesis.tokens, TABLE_EOS][: 6 if not hypothesis.finished else None]:
        logits = table[0, before, last].copy()
        logits[TABLE_BOS] = -math.inf
        assert token == logits.argmax().item()
        before, last = last, token


@pytest.mark.parametrize("beam_size", [2, 3, 5])
@pytest.mark.parametrize("length_penalty", PENALTIES)
def test_bounded_early_stopping_never_changes_the_result(
    beam_size: int, length_penalty: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps_of: list[int] = []

    def search(seed: int) -> list[list[tuple[object, ...]]]:
        step, state, _ = make_table(sentences=5, vocab_size=6, seed=seed)
        calls = 0

        def counted(tokens: Ints, state: History, /, *, top: int) -> StepOutput[History]:
            nonlocal calls
            calls += 1
            return step(tokens, state, top=top)

        found = beam_search(
            counted,
            state,
            table_limits([9] * 5),
            beam_size=beam_size,
            n_best=beam_size - 1,
            ranking=Ranking(alpha=length_penalty),
        )
        steps_of.append(calls)
        return [[without_alignment(h) for h in hypotheses] for hypotheses in found]

    seeds = range(10)
    early = [search(seed) for seed in seeds]
    taken = sum(steps_of)
    steps_of.clear()
    monkeypatch.setattr(BeamState, "_undecided", lambda self, going: None)
    assert early == [search(seed) for seed in seeds]
    assert taken <= sum(steps_of)


# what a hypothesis says


@pytest.mark.parametrize("beam_size", [2, 4])
def test_n_best_are_sorted_distinct_and_scored_by_the_models_own_probability(
    beam_size: int,
) -> None:
    for seed in range(10):
        step, state, table = make_table(sentences=3, vocab_size=6, seed=seed)
        found = beam_search(
            step,
            state,
            table_limits([6, 4, 5]),
            beam_size=beam_size,
            n_best=beam_size,
            ranking=Ranking(alpha=0.7),
        )
        for sentence, hypotheses in enumerate(found):
            scores = [h.score for h in hypotheses]
            assert scores == sorted(scores, reverse=True)
            assert len({tuple(h.tokens) for h in hypotheses}) == len(hypotheses) == beam_size
            for h in hypotheses:
                own = log_probability(table, sentence, h.tokens)
                assert h.log_probability == pytest.approx(own, abs=1e-5)
                assert h.log_probability == pytest.approx(sum(h.token_log_probabilities))
                assert len(h.token_log_probabilities) == len(h.tokens) + 1
                length = len(h.tokens) + 1
                assert h.score == pytest.approx(h.log_probability / length**0.7)


SEARCHES: dict[str, Callable[[Step[Any], Any, Limits], list[Hypothesis]]] = {
    "greedy": greedy_search,
    "beam": lambda step, state, limits: [
        h for found in beam_search(step, state, limits, beam_size=4, n_best=4) for h in found
    ],
}
every_search = pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES.keys())


@every_search
def test_the_book_defect_unknown_is_emitted(
    search: Callable[[Step[Any], Any, Limits], list[Hypothesis]],
) -> None:
    for seed in range(10):
        step, state, table = make_table(sentences=3, vocab_size=6, seed=seed)
        table[..., 4] += 9  # the model wants nothing but token 4
        for h in search(step, state, table_limits([5, 5, 5], blocked=(TABLE_BOS, 4))):
            assert not {TABLE_BOS, TABLE_EOS, 4} & set(h.tokens)


@every_search
def test_blocking_does_not_inflate_the_other_probabilities(
    search: Callable[[Step[Any], Any, Limits], list[Hypothesis]],
) -> None:
    step, state, table = make_table(sentences=1, vocab_size=5, seed=1)
    table[..., 3] += 5
    for h in search(step, state, table_limits([3], blocked=(TABLE_BOS, 3))):
        assert h.log_probability == pytest.approx(log_probability(table, 0, h.tokens), abs=1e-5)


@every_search
@pytest.mark.parametrize("most", [0, 1, 4])
def test_no_output_is_longer_than_its_limit_and_a_forced_end_is_marked(
    search: Callable[[Step[Any], Any, Limits], list[Hypothesis]], most: int
) -> None:
    step, state, table = make_table(sentences=2, vocab_size=5, seed=2)
    table[..., TABLE_EOS] -= 20  # a model that hardly ever ends
    found = search(step, state, table_limits([most, most]))
    assert max(len(h.tokens) for h in found) == most
    assert all(h.finished == (len(h.tokens) < most) for h in found)
    table[..., TABLE_EOS] += 40  # and one that ends at once
    found = search(step, state, table_limits([most, most]))
    assert max(len(h.tokens) for h in found) <= most
    assert all(h.finished for h in found)


@every_search
def test_an_end_at_the_limit_that_the_model_wanted_is_no_forced_end(
    search: Callable[[Step[Any], Any, Limits], list[Hypothesis]],
) -> None:
    def step(tokens: Ints, state: History, /, *, top: int) -> StepOutput[History]:
        logits = np.zeros((len(tokens), 3))
        ends = tokens == 2  # after one token 2 the end is certain
        logits[:, TABLE_EOS] = np.where(ends, 30.0, -30.0)
        return output_of(logits, state, None, top)

    zero = np.zeros(1, dtype=np.int64)
    [h] = search(step, History(zero, zero), table_limits([1]))[:1]
    assert (h.tokens, h.finished, h.alignment) == ([2], True, None)


def test_an_end_below_the_limit_is_the_models_own_even_as_second_choice() -> None:
    """An alternative whose EOS was not the likeliest token was not cut by the length limit."""
    for seed in range(10):
        step, state, _ = make_table(sentences=2, vocab_size=5, seed=seed)
        for hypotheses in beam_search(step, state, table_limits([6, 6]), beam_size=4, n_best=4):
            assert all(h.finished for h in hypotheses if len(h.tokens) < 6)


@pytest.mark.parametrize("beam_size", [1, 4])
def test_alignment_rows_are_those_of_the_steps_that_made_the_tokens(beam_size: int) -> None:
    step, state, _ = make_table(sentences=3, vocab_size=6, seed=4)
    found = beam_search(
        step, state, table_limits([5, 4, 3]), beam_size=beam_size, n_best=beam_size, align=True
    )
    for sentence, hypotheses in enumerate(found):
        for h in hypotheses:
            history = [0, TABLE_BOS, *h.tokens]
            # the table's `attention` tells the sentence and the two tokens a step was taken from
            expected = [[sentence, *history[i : i + 2]] for i in range(len(h.tokens))]
            assert (h.alignment is None) == (not h.tokens)
            assert h.alignment is None or h.alignment.tolist() == expected
    unasked = beam_search(step, state, table_limits([5, 4, 3]), beam_size=beam_size)
    assert all(h.alignment is None for hypotheses in unasked for h in hypotheses)


def test_length_normalisation_is_the_books() -> None:
    assert Ranking(alpha=0.5).score(-6.0, 4) == -3.0
    assert Ranking(alpha=0.0).score(-6.0, 4) == -6.0
    assert Ranking().score(-6.0, 3) == -2.0


def test_no_sentence_gives_no_hypothesis() -> None:
    step, state, _ = make_table(sentences=1, vocab_size=4, seed=0)
    none = state.select(np.zeros(0, dtype=np.int64))
    assert greedy_search(step, none, table_limits([])) == []
    assert beam_search(step, none, table_limits([]), beam_size=3) == []


# the translation model


def make_model(**options: Any) -> Seq2Seq:
    torch.manual_seed(6)
    config = ModelConfig.model_validate(
        {"embedding_size": 6, "hidden_size": 8, "attention_heads": 2, **options}
    )
    model = Seq2Seq(config, source_size=12, target_size=10)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-1.5, 1.5)
    return model.double().eval()


SRC_LENGTHS = torch.tensor([3, 6, 1, 4])
MODELS = pytest.mark.parametrize(
    "options",
    [
        {"cell": "lstm", "attention": "general", "decoder_layers": 2},
        {"cell": "gru", "attention": "multihead", "decoder_layers": 1},
        {"cell": "gru", "attention": "none", "decoder_layers": 2},
    ],
    ids=lambda options: f"{options['cell']}-{options['attention']}",
)


def make_sources() -> Tensor:
    src = torch.randint(4, 12, (4, 6), generator=torch.Generator().manual_seed(7))
    return src.masked_fill(torch.arange(6) >= SRC_LENGTHS[:, None], PAD)


def model_limits(max_lengths: list[int]) -> Limits:
    return Limits(bos_id=BOS, eos_id=EOS, blocked=(PAD, BOS, UNK), max_lengths=max_lengths)


@MODELS
@pytest.mark.parametrize("beam_size", [0, 1, 4], ids=["greedy", "beam-1", "beam-4"])
def test_a_batch_is_searched_as_each_sentence_alone(
    options: dict[str, Any], beam_size: int
) -> None:
    model, src = make_model(**options), make_sources()

    def search(src: Tensor, lengths: Tensor, most: list[int]) -> list[list[Hypothesis]]:
        with torch.no_grad():
            start = start_decoding(model, src, lengths)
        step, limits = decoding_step(model), model_limits(most)
        if not beam_size:
            return [[h] for h in greedy_search(step, start, limits, align=True)]
        return beam_search(step, start, limits, beam_size=beam_size, n_best=beam_size, align=True)

    most = [8, 3, 5, 12]
    together = search(src, SRC_LENGTHS, most)
    for row, length in enumerate(SRC_LENGTHS.tolist()):
        [alone] = search(src[row : row + 1, :length], SRC_LENGTHS[row : row + 1], [most[row]])
        assert [h.tokens for h in together[row]] == [h.tokens for h in alone]
        assert [h.finished for h in together[row]] == [h.finished for h in alone]
        for one, other in zip(together[row], alone, strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-6)
            assert (one.alignment is None) == (other.alignment is None)
            if one.alignment is not None and other.alignment is not None:
                np.testing.assert_allclose(one.alignment[:, :length], other.alignment, atol=1e-6)
                assert not one.alignment[:, length:].any()  # no attention to padding


@MODELS
@pytest.mark.parametrize("beam_size", [0, 3], ids=["greedy", "beam"])
def test_a_score_is_the_teacher_forced_log_probability(
    options: dict[str, Any], beam_size: int
) -> None:
    model, src = make_model(**options), make_sources()
    with torch.no_grad():
        start = start_decoding(model, src, SRC_LENGTHS)
    step, limits = decoding_step(model), model_limits([7] * 4)
    if beam_size:
        found = beam_search(step, start, limits, beam_size=beam_size, n_best=beam_size)
    else:
        found = [[h] for h in greedy_search(step, start, limits)]
    for row, hypotheses in enumerate(found):
        for h in hypotheses:
            source, length = src[row : row + 1], SRC_LENGTHS[row : row + 1]
            with torch.no_grad():
                logits = model(source, length, torch.tensor([[BOS, *h.tokens]]))[0]
            targets = torch.tensor([*h.tokens, EOS])
            own = torch.log_softmax(logits, -1).gather(1, targets[:, None])[:, 0]
            assert h.token_log_probabilities == pytest.approx(own.tolist(), abs=1e-5)
            assert h.log_probability == pytest.approx(own.sum().item(), abs=1e-5)


def test_attention_of_many_heads_is_averaged() -> None:
    model, src = make_model(attention="multihead", attention_heads=4), make_sources()
    with torch.no_grad():
        model.decoder.output.bias[EOS] = -30  # so that there is something to align
        start = start_decoding(model, src, SRC_LENGTHS)
        found = greedy_search(decoding_step(model), start, model_limits([5] * 4), align=True)
        memory, state = model.encode(src, SRC_LENGTHS)
    for row, h in enumerate(found):
        assert h.alignment is not None
        tgt_in = torch.tensor([[BOS, *h.tokens[:-1]]])
        rows = torch.tensor([row])
        weights = model.decoder.features(tgt_in, state.select(rows), memory.select(rows)).weights
        assert weights is not None
        np.testing.assert_allclose(h.alignment, weights.mean(1)[0].detach(), atol=1e-5)
