"""A sentence's output is its own: the same alone, in company, in any order, with any padding."""

from __future__ import annotations

import platform
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from penstock.config import ModelConfig
from penstock.nn import Seq2Seq
from penstock.nn.products import batch_invariant_rows
from penstock.runtime.decoder_step import decoding_step, start_decoding, warm_up
from penstock.runtime.torch_engine import InferenceModel
from penstock.search import (
    Constraints,
    Hypothesis,
    Limits,
    Ranking,
    beam_search,
    exact_search,
    greedy_search,
    sample_search,
)
from penstock.search.step import Singles

PAD, UNK, BOS, EOS = 0, 1, 2, 3
MODELS = [
    {"cell": cell, "attention": attention, **more}
    for cell in ("rnn", "gru", "lstm")
    for attention, more in (
        ("none", {"tie_embeddings": "none", "bidirectional": False, "encoder_layers": 2}),
        ("general", {"decoder_layers": 2}),
        ("multihead", {"decoder_layers": 3, "residual": True, "attention_heads": 2}),
    )
]
SEARCHES: dict[str, Any] = {
    "greedy": lambda step, state, limits, _: [[h] for h in greedy_search(step, state, limits)],
    "beam": lambda step, state, limits, _: beam_search(step, state, limits, beam_size=5, n_best=5),
    "sample": lambda step, state, limits, keys: sample_search(
        step, state, limits, samples=3, seed=4, keys=keys
    ),
    "diverse": lambda step, state, limits, _: beam_search(
        step, state, limits, beam_size=4, n_best=4, groups=2, diversity=0.5
    ),
    "exact": lambda step, state, limits, _: exact_search(
        step, state, limits, budget=20, ranking=Ranking("none")
    ),
}


@cache
def prepared(index: int) -> InferenceModel:
    torch.manual_seed(index)
    config = ModelConfig.model_validate(
        {"embedding_size": 16, "hidden_size": 32, "decoder_layers": 1} | MODELS[index]
    )
    model = Seq2Seq(config, source_size=60, target_size=200).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.6, 0.6)
    return InferenceModel(model)


def sentence(number: int) -> list[int]:
    """One of many, of 1 to 23 tokens and EOS."""
    random = torch.Generator().manual_seed(number)
    length = int(torch.randint(1, 24, (1,), generator=random))
    ids: list[int] = torch.randint(EOS + 1, 60, (length,), generator=random).tolist()
    return [*ids, EOS]


def search(index: int, kind: str, numbers: list[int], padding: int) -> list[list[Hypothesis]]:
    rows = [sentence(number) for number in numbers]
    width = max(map(len, rows)) + padding
    src = torch.tensor([[*row, *[PAD] * (width - len(row))] for row in rows])
    lengths = torch.tensor([len(row) for row in rows])
    limits = Limits(
        BOS, EOS, (PAD, UNK, BOS), [len(row) + 4 for row in rows], source_lengths=lengths.tolist()
    )
    model = prepared(index)
    state = start_decoding(model, src, lengths)
    return SEARCHES[kind](decoding_step(model), state, limits, numbers)


@cache
def alone(index: int, kind: str, number: int) -> list[Hypothesis]:
    [found] = search(index, kind, [number], 0)
    return found


@pytest.mark.parametrize("kind", SEARCHES)
@pytest.mark.parametrize(
    "index", range(len(MODELS)), ids=lambda i: "-".join(map(str, MODELS[i].values()))
)
@settings(max_examples=3, deadline=None)
@given(
    numbers=st.lists(st.integers(0, 30), min_size=2, max_size=64),
    padding=st.integers(0, 20),
    order=st.sampled_from(["as drawn", "short first", "long first"]),
)
def test_company_order_and_padding_change_nothing(
    index: int, kind: str, numbers: list[int], padding: int, order: str
) -> None:
    if kind == "exact":
        numbers = numbers[:4]
    if order != "as drawn":
        numbers = sorted(numbers, key=lambda n: len(sentence(n)), reverse=order == "long first")
    for number, found in zip(numbers, search(index, kind, numbers, padding), strict=True):
        own = alone(index, kind, number)
        assert [h.tokens for h in found] == [h.tokens for h in own]
        assert [h.finished for h in found] == [h.finished for h in own]
        for h, other in zip(found, own, strict=True):
            assert h.score == pytest.approx(other.score, abs=1e-4)


@pytest.mark.skipif(
    platform.machine() != "x86_64" or not torch.backends.mkl.is_available(),
    reason="measured with MKL only",
)
@pytest.mark.parametrize("index", [4, 7], ids=["gru", "lstm"])
def test_with_these_kernels_it_is_so_bit_for_bit(index: int) -> None:
    """With widths of whole vectors and rows that are alike not even rounding differs."""
    numbers = list(range(30))
    for number, found in zip(numbers, search(index, "beam", numbers, 3), strict=True):
        assert [h.score for h in found] == [h.score for h in alone(index, "beam", number)]


def test_rows_are_rounded_to_fours_in_few_numbers() -> None:
    """A product is compiled for each: a service that meets them all must not grow by them."""
    assert [batch_invariant_rows(n) for n in (0, 1, 4, 5, 64, 65, 321)] == [0, 4, 4, 8, 64, 72, 352]
    rounded = [batch_invariant_rows(number) for number in range(1, 1025)]
    assert all(number % 4 == 0 for number in rounded)
    assert all(n <= number <= 1.125 * n + 3 for n, number in enumerate(rounded, start=1))
    assert rounded == [batch_invariant_rows(number) for number in rounded]  # what is rounded stays
    assert len(set(rounded)) == 48


def test_a_model_warmed_up_meets_no_new_number_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    met: set[int] = set()
    usual = InferenceModel.step

    def noted(self: InferenceModel, tokens: Tensor, *rest: Any) -> Any:
        met.add(len(tokens))
        return usual(self, tokens, *rest)

    monkeypatch.setattr(InferenceModel, "step", noted)
    warm_up(prepared(1), 40)
    known = set(met)
    assert known == set(range(4, 41, 4))
    search(1, "beam", list(range(8)), 0)
    assert max(met) == 40
    assert met == known


@pytest.mark.parametrize("index", range(len(MODELS)))
def test_the_model_laid_out_for_use_is_the_model(index: int) -> None:
    """Encoder and steps against the module's own forward pass."""
    inference = prepared(index)
    rows = [sentence(number) for number in range(7)]
    width = max(map(len, rows))
    src = torch.tensor([[*row, *[PAD] * (width - len(row))] for row in rows])
    lengths = torch.tensor([len(row) for row in rows])
    tgt_in = torch.cat([torch.full((7, 1), BOS), torch.randint(4, 200, (7, 5))], 1)
    with torch.no_grad():
        whole = inference.model(src, lengths, tgt_in)
    state, step = start_decoding(inference, src, lengths), decoding_step(inference)
    for position in range(6):
        output = step(tgt_in[:, position].numpy(), state, top=0)
        expected = torch.log_softmax(whole[:, position], -1)
        np.testing.assert_allclose(output.log_probs, expected, atol=2e-5, rtol=1e-4)
        state = output.state


@pytest.mark.parametrize(
    "options",
    [
        {"cell": "lstm", "layer_norm": True, "backend": "reference"},
        {"cell": "gru", "gru_form": "before", "backend": "reference"},
        {"cell": "gru", "bidirectional": False, "encoder_layers": 3, "decoder_layers": 1},
    ],
    ids=["layer-norm", "reset-before", "uneven-layers"],
)
def test_every_kind_of_model_can_be_laid_out(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    config = ModelConfig.model_validate({"embedding_size": 16, "hidden_size": 32, **options})
    model = Seq2Seq(config, source_size=60, target_size=50).eval()
    src = torch.tensor([[4, 5, 6, 3], [7, 3, 0, 0]])
    lengths, tgt_in = torch.tensor([4, 2]), torch.tensor([[BOS, 9, 10], [BOS, 11, 12]])
    with torch.no_grad():
        whole = model(src, lengths, tgt_in)
    state, step = start_decoding(model, src, lengths), decoding_step(model)
    for position in range(3):
        output = step(tgt_in[:, position].numpy(), state, top=0)
        expected = torch.log_softmax(whole[:, position], -1)
        np.testing.assert_allclose(output.log_probs, expected, atol=1e-5, rtol=1e-4)
        state = output.state


def test_bf16_is_near() -> None:
    exact, near = prepared(4), InferenceModel(prepared(4).model, precision="bf16")
    src = torch.tensor([sentence(3), sentence(3)])
    lengths = torch.tensor([src.shape[1]] * 2)
    outputs: list[Singles] = []
    for model in (exact, near):
        state = start_decoding(model, src, lengths)
        outputs.append(decoding_step(model)(np.array([BOS, 9]), state, top=0).log_probs)
    assert np.abs(outputs[0] - outputs[1]).max() < 0.1 * outputs[0].std()


def test_impossible_constraints_name_their_sentence_in_a_batch() -> None:
    model = prepared(4)
    rows = torch.tensor([[4, 5, 3], [6, 7, 3]])
    limits = Limits(
        BOS,
        EOS,
        (PAD, UNK, BOS),
        [3, 3],
        constraints=[Constraints(), Constraints(required=((9, 9, 9, 9),))],
    )
    state = start_decoding(model, rows, torch.tensor([3, 3]))
    with pytest.raises(Exception, match="sentence 2: its prefix and required phrases take at"):
        beam_search(decoding_step(model), state, limits, beam_size=2)
