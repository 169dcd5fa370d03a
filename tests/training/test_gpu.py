"""What a GPU computes is what a CPU computes, and a replay of it is the same again."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch

from penstock.config import ModelConfig, TrainingConfig, parse_config
from penstock.nn import Seq2Seq
from penstock.runtime.torch_cuda_graphs import CudaGraphs, Repeater
from penstock.training.batches import Batch
from penstock.training.checkpoint import Progress
from penstock.training.gradient_sum import GradientSum
from penstock.training.update import Update
from training.test_gradient_sum import BATCHES, Learning, network

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA"),
    pytest.mark.filterwarnings("ignore:RNN module weights are not part of single contiguous chunk"),
]


class OnDevice(Learning):
    """A learner that copies batches to its network's device."""

    def loss(self, batch: Batch, *, label_smoothing: float) -> torch.Tensor:
        device = next(self.network.parameters()).device
        return super().loss(batch.to(device), label_smoothing=label_smoothing)


def trained(
    learner: Learning, batches: list[Batch], *, repeat: Repeater | None = None, precision: Any
) -> list[tuple[float, float]]:
    device = next(learner.network.parameters()).device
    settings = TrainingConfig(precision=precision)
    update = Update(learner.network, settings, repeat=repeat)
    gradients = GradientSum[Any](
        learner, settings, update, Progress(), device, repeat=repeat, on_split=pytest.fail
    )
    outcomes = []
    torch.manual_seed(2)
    for number, batch in enumerate(batches, 1):
        tokens = gradients.add(batch)
        gradients.finish()
        update.step(tokens, 0.01 / number)
        outcomes += update.read()
    return outcomes


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm", "sru", "ssru", "mingru", "minlstm"])
def test_three_updates_equal_the_cpus(cell: Any) -> None:
    """In fp32, on rows of unequal lengths, with losses and weights compared."""
    one = OnDevice(network("translation", cell=cell))
    two = OnDevice(deepcopy(one.network).cuda())
    ours, theirs = (trained(each, BATCHES[:3], precision="fp32") for each in (one, two))
    torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs), rtol=1e-3, atol=1e-4)
    for a, b in zip(one.network.parameters(), two.network.parameters(), strict=True):
        torch.testing.assert_close(a, b.cpu(), rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("cell", ["gru", "lstm", "ssru"])
def test_replayed_updates_equal_eager_ones(cell: str, precision: str) -> None:
    """With dropout, whose numbers go on through replays as they do without."""
    options: Any = {"cell": cell, "dropout": 0.3, "embedding_dropout": 0.2}

    class Never(CudaGraphs):
        def record(self, run: Any) -> Any:
            return run

    learners, outcomes = [], []
    for kind in (Never, CudaGraphs):
        learner = OnDevice(network("translation", **options).cuda())
        repeat = Repeater(kind(torch.device("cuda")), pytest.fail)
        outcomes.append(trained(learner, BATCHES, repeat=repeat, precision=precision))
        learners.append(learner)
    torch.testing.assert_close(*map(torch.tensor, outcomes), rtol=1e-3, atol=1e-3)
    for a, b in zip(*(learner.network.parameters() for learner in learners), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-2, atol=1e-3)
    assert len(learners[1].batches) < len(learners[0].batches), "nothing was replayed"


def test_what_cannot_be_captured_is_run_and_told_once() -> None:
    learner = OnDevice(network("translation", dropout=0.3).cuda())
    real = learner.loss

    def loss(b: Batch, *, label_smoothing: float) -> torch.Tensor:
        total = real(b, label_smoothing=label_smoothing)
        return total * float(total.isfinite())  # the host waits for a number

    learner.loss = loss  # type: ignore[method-assign]
    told: list[str] = []
    repeat = Repeater(CudaGraphs(torch.device("cuda")), told.append)
    outcomes = trained(learner, BATCHES, repeat=repeat, precision="bf16")
    assert len(outcomes) == len(BATCHES)
    assert len(told) == 1


def test_an_update_does_not_wait_for_the_gpu() -> None:
    """Torch raises at every synchronization that it knows of."""
    torch.manual_seed(1)
    config = ModelConfig(cell="lstm", embedding_size=16, hidden_size=32, decoder_layers=2)
    model = Seq2Seq(config, source_size=40, target_size=40).cuda()
    update = Update(model, TrainingConfig())
    b = BATCHES[0].to("cuda")
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        loss, tokens = model.loss(b.src, b.src_lengths, b.tgt_in, b.tgt_out, b.tgt_lengths)
        loss.backward()
        update.step(tokens, 0.01)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert loss.isfinite()


def test_a_resumed_run_is_the_uninterrupted_one(tmp_path: Path) -> None:
    """Also where the one replays what the other must record anew."""
    from safetensors.torch import load_file

    from penstock.training.loop import train

    def config(updates: int) -> Any:
        training = {"max_updates": updates, "batch_tokens": 300, "evaluate_every": 100,
                    "schedule": "constant", "warmup_updates": 0}  # fmt: skip
        model = {"embedding_size": 16, "hidden_size": 32}
        data = {"train": "builtin", "max_pairs": 500}
        return parse_config(
            {"device": "cuda", "model": model, "training": training, "data": data}, [], place="test"
        )

    train(config(60), tmp_path / "whole")
    train(config(25), tmp_path / "parts")
    train(config(60), tmp_path / "parts", resume=True)
    states = []
    for run in ("whole", "parts"):
        (path,) = (tmp_path / run / "checkpoints").glob("*.safetensors")
        states.append(load_file(path))
    for name, tensor in states[0].items():
        if not name.startswith("random"):
            assert torch.equal(tensor, states[1][name]), name
