"""CONTRIBUTING's recipe for an attention, followed from outside the package: a class and a line.

Cosine attention: products of unit vectors, sharpened by a learned temperature (Graves et al. 2014,
'Neural Turing Machines', https://arxiv.org/abs/1410.5401).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import penstock as ps
from penstock.config import ATTENTIONS, AttentionEntry
from penstock.data.grammar import generate_pairs
from penstock.insight import inspect_sentence
from penstock.nn.attention import Attention, AttentionSizes, make_attention


class CosineAttention(Attention):
    """score = β cos(query, value W)."""

    def __init__(self, sizes: AttentionSizes) -> None:
        super().__init__()
        self.project_keys = nn.Linear(sizes.value, sizes.query, bias=False)
        self.sharpness = nn.Parameter(torch.ones(1))

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        units = (nn.functional.normalize(x.float(), dim=-1) for x in (query, key))
        return super().scores(*units) * self.sharpness.float()


ATTENTION = CosineAttention


@pytest.fixture(autouse=True)
def _table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cosine_attention", sys.modules[__name__])
    monkeypatch.setitem(ATTENTIONS, "cosine", AttentionEntry("cosine_attention"))


def test_it_trains_evaluates_saves_loads_translates_and_shows_its_weights(tmp_path: Path) -> None:
    data = tmp_path / "pairs.tsv"
    rows = "".join(f"{pair.source}\t{pair.target}\n" for pair in generate_pairs(120))
    data.write_text(rows, encoding="utf-8")
    written: Any = ps.RunConfig
    config = written(
        threads=1,
        device="cpu",
        data={"train": str(data)},
        text={"source": {"kind": "word", "min_frequency": 1}},
        model={"attention": "cosine", "embedding_size": 8, "hidden_size": 8},
        training={"max_updates": 4, "evaluate_every": 2, "metric": "loss"},
    )
    assert ps.train(config, tmp_path / "run").scores
    translator = ps.load(tmp_path / "run")
    assert translator.bundle.config.model.attention == "cosine"
    assert ps.evaluate(translator, [("She sees him .", "Elle le voit .")]).examples == 1
    inspection = inspect_sentence(translator, "She sees him .")
    assert inspection.text == translator.translate(["She sees him ."])[0].text
    assert inspection.attention is not None
    model = make_attention("cosine", AttentionSizes(4, 4, 4))
    assert model is not None
    values, mask = torch.randn(2, 3, 4), torch.tensor([[True] * 3, [True, True, False]])
    weights = model(torch.randn(2, 5, 4), model.keys(values), values, mask)[1]
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 1, 5))
    assert not weights[1, ..., 2].any()


def test_an_unknown_attention_is_an_error_everywhere() -> None:
    message = "unknown attention 'aditive'; did you mean 'additive'"
    with pytest.raises(ps.ConfigError, match=f"model.attention = 'aditive': {message}"):
        ps.RunConfig(model={"attention": "aditive"})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):
        make_attention("aditive", AttentionSizes(4, 4, 4))
