"""Contextual vectors: one a token, of what the task's model may know there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from penstock.cli.app import run as penstock
from penstock.errors import UsageError
from penstock.tasks.embedder import Embedder

TASKS = ("tiny_run", "language_model_run", "classifier_run", "cloze_run")


@pytest.fixture(params=TASKS)
def embedder(request: pytest.FixtureRequest) -> Embedder:
    return Embedder.load(request.getfixturevalue(request.param))


def test_one_vector_a_token_alone_or_together(embedder: Embedder) -> None:
    lines = ["She is here .", "", "Why does he not see the red house ?", "No ."]
    results = embedder.embed(lines)
    size = embedder.bundle.config.model.hidden_size
    for line, result in zip(lines, results, strict=True):
        assert result.source == line
        assert result.vectors.shape == (len(result.tokens), size)
        assert len(result.tokens) == len(embedder.bundle.source_tokenizer.encode(line))
        torch.testing.assert_close(embedder.embed([line])[0].vectors, result.vectors)
    assert [result.status for result in results] == ["ok", "empty", "ok", "ok"]
    assert np.array_equal(results[1].mean, np.zeros(size))
    torch.testing.assert_close(results[0].mean, results[0].vectors.mean(0))


def test_a_language_models_vector_knows_the_left_only(language_model_run: Path) -> None:
    one, other = Embedder.load(language_model_run).embed(["she is here .", "she is not ."])
    assert np.array_equal(one.vectors[:2], other.vectors[:2])
    assert not np.array_equal(one.vectors[2:], other.vectors[2:])


@pytest.mark.parametrize("name", ["tiny_run", "classifier_run", "cloze_run"])
def test_the_others_know_the_whole_sentence(name: str, request: pytest.FixtureRequest) -> None:
    run = request.getfixturevalue(name)
    one, other = Embedder.load(run).embed(["she is here .", "she is here ?"])
    assert not (one.vectors[0] == other.vectors[0]).all()


def test_wrong_call(embedder: Embedder) -> None:
    with pytest.raises(UsageError, match="takes a list of lines"):
        embedder.embed("one line")


def test_embed_on_the_command_line(
    cloze_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.txt").write_text("she is working .\n\n", encoding="utf-8")
    command = ["embed", "-m", str(cloze_run), "-i", str(tmp_path / "in.txt")]
    assert penstock(command) == 0
    rows = [json.loads(line) for line in capfd.readouterr().out.split("\n")[:-1]]
    assert rows[0]["tokens"] == ["she", "is", "working", "."]
    assert [len(row) for row in rows[0]["vectors"]] == [24] * 4
    assert rows[1]["vectors"] == []
    assert [row["status"] for row in rows] == ["ok", "empty"]
    assert penstock([*command, "--mean", "--digits", "2"]) == 0
    rows = [json.loads(line) for line in capfd.readouterr().out.split("\n")[:-1]]
    assert len(rows[0]["vector"]) == 24
    (tmp_path / "in.txt").write_text("she is working . " * 300, encoding="utf-8")
    assert penstock(command) == 0
    told = capfd.readouterr()
    assert json.loads(told.out)["status"] == "truncated"
    assert "of 1 line: 1 truncated (status shows which)" in told.err
