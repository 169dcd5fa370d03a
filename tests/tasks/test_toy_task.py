"""A task from outside the package, made as CONTRIBUTING says."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

import penstock as ps
from penstock.bundle import Bundle
from penstock.cli.app import run as penstock
from penstock.data.padding import padded_ids
from penstock.runtime.engine import required
from penstock.runtime.network_engine import NetworkEngine
from penstock.special_tokens import EOS_ID
from penstock.tasks import TASKS
from penstock.tasks.evaluation import Evaluation, EvaluationData, plain_rows
from penstock.tasks.loaded_model import LoadedModel
from penstock.tasks.task import Learning, Task, Use
from penstock.training.corpus import prepare_corpus
from penstock.training.initial_network import initial_network
from penstock.training.learner import HeldOutScores


class Count(nn.Module):
    """How often a token stands in a line: a learnt weight per token, summed over the line."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.weight = nn.Embedding(vocab_size, 1)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        real = torch.arange(ids.shape[1]) < lengths[:, None]
        return (self.weight(ids)[:, :, 0] * real).sum(1)


class Counter(LoadedModel):
    def count(self, lines: list[str]) -> list[float]:
        rows = [[*ids, EOS_ID] for ids in self.bundle.source_tokenizer.encode_batch(lines)]
        return required(self.engine.run("forward", *padded_ids(rows))[0]).tolist()


class CountLearner:
    carried = None

    def __init__(self, config: Any, folder: Path, device: Any, report: Any, **_: Any) -> None:
        text = (corpus := prepare_corpus(config, folder, report)).source
        self.network = initial_network(network, config, text, text, device)
        self.bundle = Bundle(config, text, text)
        self.fingerprint, self.summary = corpus.fingerprint, f"{len(corpus.store)} lines"
        self._lines, (self._a,) = [pair.source for pair in corpus.valid], text.encode("a")
        self.batches = corpus.sampler(config, budget="source").epoch

    def loss(self, batch: Any, *, label_smoothing: float) -> Tensor:
        wrong = self.network(batch.src, batch.src_lengths) - (batch.src == self._a).sum(1)
        return wrong.square().sum()

    def count(self, batch: Any) -> int:
        return batch.rows

    def evaluate(self, processes: Any) -> HeldOutScores:
        counter = Counter(self.bundle, engine=NetworkEngine(self.network))
        return HeldOutScores(error(counter, self._lines), unit="sentence")


def network(config: Any, *, source_size: int, target_size: int, transformer: Any = None) -> Count:
    return Count(source_size)


def error(counter: Counter, lines: list[str]) -> float:
    found = zip(counter.count(lines), lines, strict=True)
    return sum(abs(count - line.split().count("a")) for count, line in found) / len(lines)


def evaluate(counter: Counter, data: EvaluationData) -> Evaluation:
    scores = {"error": error(counter, list(data.lines()))}
    return Evaluation(scores, report=scores, rows=plain_rows(scores))


COUNTING = Task(
    name="counting", verb="count", trial="from Python", target="none", metrics=("loss",),
    defaults={"text": {"source": {"kind": "word", "min_frequency": 1}}, "training":
              {"metric": "loss", "learning_rate": 0.05, "max_updates": 300, "patience": None}},
    learning=lambda: Learning(network=network, learner=cast(Any, CountLearner)),
    use=lambda: Use(model=Counter, evaluate=evaluate),
)  # fmt: skip


def test_a_task_from_outside(tmp_path: Path, monkeypatch: Any, capfd: Any) -> None:
    monkeypatch.setitem(TASKS, COUNTING.name, COUNTING)
    letters, data = random.Random(1), tmp_path / "lines.txt"
    lines = [" ".join(letters.choices("abcd", k=letters.randint(1, 9))) for _ in range(400)]
    data.write_text("\n".join(lines) + "\n")
    run = ps.train({"task": "counting", "device": "cpu", "data": {"train": str(data)}}, tmp_path)
    assert run.scores["loss"] < 0.1
    counter = ps.load(run.path)
    assert [round(count) for count in counter.count(["a b a c a", "d b", "a"])] == [3, 0, 1]
    assert ps.evaluate(counter, lines).scores["error"] < 0.1
    assert penstock(["evaluate", "-m", str(run.path), str(data)]) == 0
    assert "error\t0.0" in capfd.readouterr().out
    with pytest.raises(ps.UsageError, match="a Count has no states"):
        ps.Embedder.load(run.path).embed(["a b"])
