"""Beam search on the device finds what the host's finds, token by token: a CPU runs both."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from penstock.bundle import load_bundle
from penstock.config import ModelConfig
from penstock.errors import BundleError
from penstock.nn import Seq2Seq
from penstock.runtime.torch_beam import DeviceSearch
from penstock.runtime.torch_cuda_graphs import Repeater
from penstock.runtime.torch_engine import InferenceModel
from penstock.runtime.torch_network import load_network
from penstock.runtime.torch_translation import TorchTranslation
from penstock.search import (
    Hypothesis,
    Limits,
    Ranking,
    SearchStoppedError,
    beam_search,
    greedy_search,
)
from penstock.tasks.translation.search_options import SearchOptions
from penstock.tasks.translation.translator import Translator
from training.static_recorder import StaticRecorder

FIXTURE = Path(__file__).parents[1] / "fixtures" / "format-1" / "translation"
V = 90  # more than one block of `top_tokens`
SOURCES = [[5, 9, 2], [7, 2], [4, 8, 15, 16, 23, 42, 2], [50, 11, 11, 60, 2], [88, 2]]


def model(**changes: Any) -> Seq2Seq:
    torch.manual_seed(3)
    sizes: dict[str, Any] = {"embedding_size": 8, "hidden_size": 16, "decoder_layers": 2}
    made = Seq2Seq(ModelConfig(**{**sizes, **changes}), source_size=V, target_size=V).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(3)  # otherwise all tokens are about as likely
        made.decoder.output.bias[2] = -3.0
    return made.requires_grad_(requires_grad=False)


def limits(lengths: list[int]) -> Limits:
    return Limits(bos_id=1, eos_id=2, blocked=(0, 3, 1), max_lengths=lengths)


def assert_same(ours: list[list[Hypothesis]], theirs: list[list[Hypothesis]]) -> None:
    assert [[h.tokens for h in own] for own in ours] == [[h.tokens for h in own] for own in theirs]
    for one, other in zip(chain(*ours), chain(*theirs), strict=True):
        assert one == other


CASES = [
    ({"cell": "lstm"}, 5, 5, Ranking()),
    ({"cell": "gru", "attention": "additive"}, 4, 1, Ranking("gnmt", 0.6)),
    ({"cell": "ssru", "attention": "multihead", "attention_heads": 2}, 3, 2, Ranking("none")),
    ({"cell": "rnn", "attention": "none"}, 2, 2, Ranking("average")),
    ({"cell": "gru", "backend": "reference"}, 7, 3, Ranking()),
]


@pytest.mark.parametrize(("changes", "beam_size", "n_best", "ranking"), CASES)
def test_it_finds_what_the_host_finds(
    changes: Any, beam_size: int, n_best: int, ranking: Ranking
) -> None:
    engine = TorchTranslation(model(**changes))
    bounds = limits([9, 4, 20, 40, 0])
    ours = engine.search(
        engine.start(SOURCES), bounds, beam_size=beam_size, n_best=n_best, ranking=ranking
    )
    theirs = beam_search(
        engine.step, engine.start(SOURCES), bounds, beam_size=beam_size, n_best=n_best,
        ranking=ranking,
    )  # fmt: skip
    assert_same(ours, theirs)
    assert max(len(h.tokens) for own in theirs for h in own) > 4


def test_a_beam_of_one_is_greedy_search() -> None:
    engine, bounds = TorchTranslation(model()), limits([9, 4, 20, 40, 0])
    ours = engine.search(engine.start(SOURCES), bounds, beam_size=1, n_best=1, ranking=Ranking())
    theirs = greedy_search(engine.step, engine.start(SOURCES), bounds, ranking=Ranking())
    assert_same(ours, [[found] for found in theirs])


def test_equal_candidates_are_chosen_as_on_the_host() -> None:
    """All tokens alike: ties between tokens, and between hypotheses."""
    made = model()
    with torch.no_grad():
        made.decoder.output.weight.zero_()
        made.decoder.output.bias.zero_()
        made.decoder.output.bias[2] = -1.0
    engine, bounds = TorchTranslation(made), limits([3, 3, 2, 4, 1])
    found = [
        search(engine.start(SOURCES), bounds)
        for search in (
            lambda state, b: engine.search(
                state, b, beam_size=6, n_best=6, ranking=Ranking("none")
            ),
            lambda state, b: beam_search(
                engine.step, state, b, beam_size=6, n_best=6, ranking=Ranking("none")
            ),
        )
    ]
    assert_same(*found)
    assert not all(h.finished for own in found[0] for h in own)


def test_replays_over_the_same_buffers_find_the_same() -> None:
    """Batches of one shape share buffers; other sources, limits and rankings come after."""
    made = model()
    engine, recorder = TorchTranslation(made), StaticRecorder()
    search = DeviceSearch(InferenceModel(made), Repeater(recorder, pytest.fail))
    random = np.random.default_rng(0)
    for alpha in (0.5, 1.0):
        sources = [[*random.integers(4, V, n).tolist(), 2] for n in (3, 6, 2, 9)]
        bounds = limits(random.integers(4, 12, 4).tolist())
        options: Any = {"beam_size": 4, "n_best": 2, "ranking": Ranking("book", alpha)}
        ours = search(engine.start(sources), bounds, **options)
        theirs = beam_search(engine.step, engine.start(sources), bounds, **options)
        assert_same(ours, theirs)
    assert recorder.recorded == 1
    assert recorder.replayed


def test_a_search_may_run_inside_another() -> None:
    """As the service lets small requests interrupt large ones between two steps."""
    made, bounds = model(), limits([20, 20, 20, 40, 20])
    engine = TorchTranslation(made)
    search = DeviceSearch(InferenceModel(made), Repeater(StaticRecorder(), pytest.fail))
    options: Any = {"beam_size": 2, "n_best": 1, "ranking": Ranking()}
    inside: list[list[list[Hypothesis]]] = []

    def interrupt() -> bool:
        if len(inside) < 4:
            inside.append([])
            inside.append(search(engine.start(SOURCES[::-1]), bounds, **options))
        return False

    outside = search(engine.start(SOURCES), bounds, should_stop=interrupt, **options)
    assert_same(outside, beam_search(engine.step, engine.start(SOURCES), bounds, **options))
    turned = beam_search(engine.step, engine.start(SOURCES[::-1]), bounds, **options)
    assert_same(inside[1], turned)


def test_it_can_be_cancelled() -> None:
    engine = TorchTranslation(model())
    with pytest.raises(SearchStoppedError):
        engine.search(
            engine.start(SOURCES), limits([9] * 5), beam_size=2, n_best=1, ranking=Ranking(),
            should_stop=lambda: True,
        )  # fmt: skip


def test_a_translator_uses_it_where_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = load_bundle(FIXTURE)
    engine = TorchTranslation(load_network(bundle), searches=True)
    plain, own = Translator(bundle), Translator(bundle, engines=[engine])
    lines = ["", *(FIXTURE.parent / "source.txt").read_text(encoding="utf-8").split("\n")[:4]]
    calls: list[int] = []
    search = engine.search
    monkeypatch.setattr(
        engine,
        "search",
        lambda *a, beam_size, **b: calls.append(beam_size) or search(*a, beam_size=beam_size, **b),
    )
    cases: list[tuple[dict[str, Any], list[int]]] = [
        ({}, [5]),
        ({"n_best": 3, "normalization": "gnmt"}, [5]),
        ({"search": "greedy"}, [1]),
        ({"min_length": 2}, []),
        ({"alignments": True}, []),
        ({"coverage_penalty": 0.1}, []),
        ({"length_reward": 0.1}, []),
        ({"search": "sample"}, []),
    ]
    for options, wanted in cases:
        calls.clear()
        asked = SearchOptions(**options)
        pairs = zip(own.translate(lines, asked), plain.translate(lines, asked), strict=True)
        for one, other in pairs:
            assert one.text == other.text
            assert one.score == other.score
        assert calls == wanted, options


def test_weights_that_are_not_numbers_are_told() -> None:
    made = model()
    with torch.no_grad():
        made.decoder.output.bias.fill_(torch.nan)
    engine = TorchTranslation(made)
    with pytest.raises(BundleError, match="not numbers"):
        engine.search(
            engine.start(SOURCES), limits([9] * 5), beam_size=2, n_best=1, ranking=Ranking()
        )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("changes", [{"cell": "lstm"}, {"cell": "ssru"}, {"attention": "none"}])
def test_a_gpu_finds_what_a_cpu_finds(changes: Any) -> None:
    """In fp32: the first search is run, the second recorded, the third replayed."""
    made, bounds = model(**changes), limits([9, 4, 20, 40, 0])
    engine = TorchTranslation(made)
    theirs = beam_search(engine.step, engine.start(SOURCES), bounds, beam_size=5, n_best=3)
    device = TorchTranslation(model(**changes).cuda())
    for _ in range(3):
        ours = device.search(
            device.start(SOURCES), bounds, beam_size=5, n_best=3, ranking=Ranking()
        )
        assert [[h.tokens for h in own] for own in ours] == [
            [h.tokens for h in own] for own in theirs
        ]
        for one, other in zip(chain(*ours), chain(*theirs), strict=True):
            assert one.score == pytest.approx(other.score, rel=1e-4, abs=1e-4)
