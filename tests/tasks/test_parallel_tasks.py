"""Every task trains, evaluates and exports a model of every parallel cell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import penstock as ps
from conftest import english_lines, kind_of_sentence
from penstock.bundle import load_bundle
from penstock.data.grammar import generate_pairs
from penstock.tasks import TASKS
from penstock.tasks.model_export import export_bundle

CELLS = ("sru", "ssru", "mingru", "minlstm")


def examples(task: str) -> list[Any]:
    if task == "translation":
        return [(pair.source, pair.target) for pair in generate_pairs(60)]
    lines = english_lines(60)
    return [(x, kind_of_sentence(x)) for x in lines] if task == "classification" else lines


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("task", ["translation", "language-model", "classification", "cloze"])
def test_a_small_model_trains_and_its_engines_agree(task: str, cell: str, tmp_path: Path) -> None:
    found = examples(task)
    rows = ["\t".join(row) if isinstance(row, tuple) else row for row in found]
    path = tmp_path / "text.tsv"
    path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    written: Any = ps.RunConfig
    config = written(
        task=task,
        threads=1,
        device="cpu",
        data={"train": str(path)},
        text={"source": {"kind": "word", "min_frequency": 1}},
        model={"cell": cell, "embedding_size": 8, "hidden_size": 8, "residual": True}
        | ({"decoder_layers": 3} if task == "translation" else {"num_layers": 2}),
        training={"max_updates": 3, "evaluate_every": 3, "metric": "loss", "export": "none"},
    )
    ps.train(config, tmp_path / "run")
    bundle, held_out = load_bundle(tmp_path / "run"), found[:4]
    use = TASKS[task].use()
    expected = ps.evaluate(use.model(bundle, device="cpu", engine="torch"), held_out)
    single, small = (
        ps.evaluate(
            use.model(export_bundle(bundle, precision=precision), device="cpu", engine="onnx"),
            held_out,
        )
        for precision in ("fp32", "int8")
    )
    assert single.outputs == expected.outputs
    assert single.scores == pytest.approx(expected.scores, rel=1e-4)
    assert len(small.outputs) == len(expected.outputs)
    assert small.scores.keys() == expected.scores.keys()
