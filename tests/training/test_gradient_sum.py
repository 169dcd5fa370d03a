"""The sum of an update's gradients over static buffers: what a GPU does, on a CPU.

`StaticRecorder` stands for CUDA graphs: it replays recorded operations over the same memory.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from penstock.config import ModelConfig, TrainingConfig
from penstock.errors import TrainingError
from penstock.nn import Seq2Seq, State
from penstock.nn.fixed_shapes import fixed_shapes
from penstock.runtime import torch_cuda_graphs as cuda_graphs
from penstock.runtime.torch_cuda_graphs import Repeater
from penstock.tasks.classification.network import Classifier
from penstock.tasks.cloze.network import Cloze
from penstock.tasks.language_model.network import LanguageModel
from penstock.training.batches import Batch, collate, rounded_size
from penstock.training.checkpoint import Progress
from penstock.training.gradient_sum import GradientSum
from penstock.training.update import Update
from penstock.training.windows import Window
from training.static_recorder import StaticRecorder

CPU = torch.device("cpu")
V = 20


def batch(*lengths: tuple[int, int], seed: int = 0) -> Batch:
    """Random pairs of these source and target lengths."""
    random = torch.Generator().manual_seed(seed)
    rows = [[torch.randint(4, V, (n,), generator=random).numpy() for n in pair] for pair in lengths]
    return collate([source for source, _ in rows], [target for _, target in rows])


class Learning:
    """A learner without data; `fits` is the largest number of rows that memory takes."""

    def __init__(self, network: nn.Module, *, fits: int = 10**6) -> None:
        self.network, self.fits = network, fits
        self.carried: State | None = None
        self.batches: list[int] = []

    def loss(self, batch: Any, *, label_smoothing: float) -> Tensor:
        b = batch
        self.batches.append(b.rows)
        if b.rows > self.fits:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        net: Any = self.network
        if isinstance(b, Window):
            before = None if b.resets_state else self.carried
            total, _, after = net.loss(b.inputs, b.targets, before, label_smoothing=label_smoothing)
            self.carried = after.detach()
            return total
        if isinstance(net, Cloze):
            return net.loss(b.src, b.src_lengths, label_smoothing=label_smoothing)
        if isinstance(net, Classifier):
            labels = b.tgt_out[:, 0] - 4
            return net.loss(b.src, b.src_lengths, labels, label_smoothing=label_smoothing)[0]
        return net.loss(
            b.src, b.src_lengths, b.tgt_in, b.tgt_out, b.tgt_lengths,
            label_smoothing=label_smoothing,
        )[0]  # fmt: skip

    def count(self, batch: Any) -> int:
        if isinstance(batch, Window):
            return batch.targets.numel()
        return int(batch.tgt_lengths.sum())


def network(kind: str, **changes: Any) -> nn.Module:
    torch.manual_seed(1)
    sizes = {"embedding_size": 8, "hidden_size": 8, "decoder_layers": 2, "num_layers": 2}
    config = ModelConfig(**{**sizes, "dropout": 0.0, "embedding_dropout": 0.0, **changes})
    if kind == "cloze":
        return Cloze(config, vocab_size=V)
    if kind == "classification":
        return Classifier(config, vocab_size=V, num_labels=V - 4)
    if kind == "language-model":
        return LanguageModel(config, vocab_size=V)
    return Seq2Seq(config, source_size=V, target_size=V)


BATCHES = [
    batch((3, 2), (7, 5), (1, 9), seed=1),
    batch((8, 4), (2, 4), seed=2),
    batch((6, 10), (8, 1), (5, 5), (2, 3), seed=3),  # the rounded shape of the first
    batch((2, 10), (7, 9), (3, 2), seed=4),
    batch((7, 3), (8, 4), seed=5),
    batch((3, 9), (7, 5), (1, 2), seed=6),
]


def trained(
    learner: Learning,
    batches: list[Any],
    repeat: Repeater | None,
    *,
    accumulate: int = 1,
) -> tuple[list[tuple[float, float]], Progress, list[str]]:
    """Train; returns the outcomes, the progress and the splits."""
    settings = TrainingConfig(precision="fp32", optimizer="sgd")
    update, progress, splits = Update(learner.network, settings, repeat=repeat), Progress(), []
    gradients = GradientSum[Any](
        learner, settings, update, progress, CPU, repeat=repeat, on_split=splits.append
    )
    outcomes = []
    torch.manual_seed(2)
    for start in range(0, len(batches), accumulate):
        tokens = sum(gradients.add(b) for b in batches[start : start + accumulate])
        gradients.finish()
        update.step(tokens, 0.1 / (start + 1))
        outcomes += update.read()
    return outcomes, progress, splits


def assert_equal_weights(one: nn.Module, two: nn.Module) -> None:
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("translation", {"cell": "lstm"}),
        ("translation", {"cell": "gru", "attention": "additive"}),
        ("translation", {"cell": "rnn", "attention": "none", "bidirectional": False}),
        ("translation", {"cell": "ssru", "encoder_layers": 2, "residual": True}),
        ("translation", {"cell": "sru", "attention": "multihead", "attention_heads": 2}),
        ("translation", {"cell": "gru", "backend": "reference"}),
        ("cloze", {"cell": "minlstm"}),
        ("cloze", {"cell": "lstm"}),
        ("classification", {"cell": "mingru"}),
        ("classification", {"cell": "lstm", "pooling": "max"}),
    ],
)
def test_a_rounded_batch_has_the_same_loss_and_gradient(kind: str, changes: Any) -> None:
    learner, plain = Learning(network(kind, **changes).double()), BATCHES[0]
    rounded = plain.rounded()
    assert rounded.src.shape == (4, 8)
    assert rounded.tgt_out.shape == (4, 10)
    results = []
    for b, context in ((plain, None), (rounded, fixed_shapes())):
        if context is None:
            loss = learner.loss(b, label_smoothing=0.1)
        else:
            with context:
                loss = learner.loss(b, label_smoothing=0.1)
        parameters = [*learner.network.parameters()]
        results.append((loss, *torch.autograd.grad(loss, parameters, allow_unused=True)))
        assert learner.count(b) == 16
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("cell", ["lstm", "ssru"])
def test_replayed_updates_equal_plain_ones(cell: str) -> None:
    one, two = (Learning(network("translation", cell=cell)) for _ in range(2))
    recorder = StaticRecorder()
    plain, *_ = trained(one, BATCHES, None)
    replayed, *_ = trained(two, BATCHES, Repeater(recorder, pytest.fail))
    torch.testing.assert_close(torch.tensor(replayed), torch.tensor(plain))
    assert_equal_weights(one.network, two.network)
    # two shapes and the step: each is met, recorded when met again, then replayed
    assert (recorder.warm_ups, recorder.recorded, recorder.replayed) == (3, 3, 9)
    assert len(two.batches) == 4, "a replay asks no learner"


def test_a_replay_draws_what_a_run_draws() -> None:
    """When something is recorded changes nothing: a resumed run is the uninterrupted one."""
    options: Any = {"dropout": 0.3, "embedding_dropout": 0.2, "variational_dropout": False}
    one, two = (Learning(network("translation", **options).double()) for _ in range(2))

    class Never(StaticRecorder):
        def record(self, run: Any) -> Any:
            return run

    recorder, outcomes = StaticRecorder(), []
    for learner, own in ((one, Never()), (two, recorder)):
        found, *_ = trained(learner, BATCHES, Repeater(own, pytest.fail), accumulate=2)
        outcomes.append(torch.tensor(found))
    assert recorder.replayed
    torch.testing.assert_close(*outcomes)
    assert_equal_weights(one.network, two.network)


def windows(count: int, rows: int = 4) -> list[Window]:
    random = torch.Generator().manual_seed(3)
    ids = torch.randint(4, V, (rows, count * 5 + 1), generator=random)
    return [
        Window(ids[:, s : s + 5], ids[:, s + 1 : s + 6], resets_state=s == 0)
        for s in range(0, count * 5, 5)
    ]


def test_a_carried_state_is_carried_through_replays() -> None:
    one, two = (Learning(network("language-model", cell="lstm")) for _ in range(2))
    recorder = StaticRecorder()
    plain, *_ = trained(one, [*windows(5), *windows(3)], None)
    replayed, *_ = trained(two, [*windows(5), *windows(3)], Repeater(recorder, pytest.fail))
    torch.testing.assert_close(torch.tensor(replayed), torch.tensor(plain))
    assert_equal_weights(one.network, two.network)
    assert recorder.replayed > 3


def test_what_cannot_be_recorded_is_run_and_told_once() -> None:
    one, two = (Learning(network("translation")) for _ in range(2))
    plain, *_ = trained(one, BATCHES, None)
    real = two.loss
    two.loss = lambda b, *, label_smoothing: (
        real(b, label_smoothing=label_smoothing)
        + float(  # type: ignore[method-assign]
            b.src.float().mean() * 0
        )
    )
    told: list[str] = []
    eager, *_ = trained(two, BATCHES, Repeater(StaticRecorder(), told.append))
    torch.testing.assert_close(torch.tensor(eager), torch.tensor(plain))
    (text,) = told
    assert text.startswith("not recorded as a CUDA graph, so it is slower: operation not permitted")


def test_shapes_beyond_the_bound_are_computed_as_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_graphs, "MOST_GRAPHS", 2)
    one, two = (Learning(network("translation")) for _ in range(2))
    recorder = StaticRecorder()
    plain, *_ = trained(one, BATCHES, None)
    replayed, *_ = trained(two, BATCHES, Repeater(recorder, pytest.fail))
    torch.testing.assert_close(torch.tensor(replayed), torch.tensor(plain))
    assert recorder.recorded == 2


def test_sizes_are_rounded_to_few_and_by_little() -> None:
    sizes = {rounded_size(n) for n in range(1, 2049)}
    assert len(sizes) < 200
    assert all(n <= rounded_size(n) <= max(n + 1, n * 33 / 32) for n in range(1, 2049))


# --- out of memory ------------------------------------------------------------------------------


@pytest.mark.parametrize(("accumulate", "replayed"), [(1, False), (2, True)])
def test_out_of_memory_the_batch_is_halved(accumulate: int, replayed: bool) -> None:
    """The update that failed is made again in parts: losses and weights are those of whole ones."""
    whole, halved = (Learning(network("translation"), fits=fits) for fits in (99, 2))
    repeat = Repeater(StaticRecorder(), pytest.fail) if replayed else None
    plain, *_ = trained(whole, BATCHES, None, accumulate=accumulate)
    in_parts, progress, splits = trained(halved, BATCHES, repeat, accumulate=accumulate)
    torch.testing.assert_close(torch.tensor(in_parts), torch.tensor(plain))
    assert_equal_weights(whole.network, halved.network)
    assert progress.parts == 2
    assert splits == ["3 × 7 source and 9 target tokens"]


def test_halving_carries_the_state_of_each_row() -> None:
    whole, halved = (Learning(network("language-model"), fits=fits) for fits in (99, 1))
    plain, *_ = trained(whole, windows(4), None)
    in_parts, progress, _ = trained(halved, windows(4), None)
    torch.testing.assert_close(torch.tensor(in_parts), torch.tensor(plain))
    assert progress.parts == 4


def test_a_row_that_does_not_fit_alone_is_an_error() -> None:
    learner = Learning(network("translation"), fits=0)
    with pytest.raises(TrainingError, match=r"out of memory on cpu for a single row of batch 0 of"):
        trained(learner, BATCHES, None)
    assert min(learner.batches) == 1


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    learner = Learning(deepcopy(network("translation")))
    learner.loss = lambda b, *, label_smoothing: torch.zeros(2) @ torch.zeros(3)  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="inconsistent tensor size"):
        trained(learner, BATCHES, None)
