"""The limit that `penstock bench train` compares with is the network's own, whatever its cell."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.bench.matrix_limit import training_products
from penstock.cli.app import run
from penstock.config import CELLS, ModelConfig
from penstock.nn.seq2seq import Seq2Seq

SHAPES: dict[str, dict[str, Any]] = {
    "default": {},
    "deep": {"encoder_layers": 3, "decoder_layers": 4, "embedding_size": 8},
    "no attention": {"attention": "none", "bidirectional": False, "tie_embeddings": "none"},
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cell", CELLS)
def test_the_limits_products_use_each_weight_of_the_network_once(cell: str, shape: str) -> None:
    sizes = {"cell": cell, "embedding_size": 6, "hidden_size": 8}
    config = ModelConfig.model_validate({**sizes, **SHAPES[shape]})
    network = Seq2Seq(config, source_size=20, target_size=20)
    products = training_products(config, vocab_size=20, source_tokens=5, target_tokens=7)
    looked_up = {id(m.weight) for m in (network.encoder.embedding, network.decoder.embedding)}
    bridges = {id(p) for p in network.bridge.parameters()}  # one row per sentence
    weights = [p for p in network.parameters() if p.dim() > 1 and id(p) not in looked_up | bridges]
    output = 0 if shape == "no attention" else network.decoder.output.weight.numel()  # tied
    assert sum(p.inner * p.outer for p in products) == sum(p.numel() for p in weights) + output


def test_the_speed_of_a_cell_and_its_ratio_to_its_limit(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--set", "model.embedding_size=8", "--set", "model.hidden_size=8"]
    small = ["--vocab-size", "32", "--batch-tokens", "32", "--rounds", "1"]
    assert run(["bench", "train", "--cell", "ssru", *sizes, *small, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["cell"] == "ssru"
    assert found["ratio_bf16"] == pytest.approx(found["tokens_per_second"] / found["limit_bf16"])


def test_two_processes_beside_one(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--set", "model.embedding_size=8", "--set", "model.hidden_size=8", "--threads", "1"]
    small = ["--vocab-size", "32", "--batch-tokens", "32", "--rounds", "1"]
    assert run(["bench", "train", "--processes", "2", *sizes, *small, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["processes"], found["threads"]) == (2, 1)
    assert found["speed_up"] == pytest.approx(found["together"] / found["alone"])
    assert found["communication_seconds"] > 0
