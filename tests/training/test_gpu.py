"""What a GPU computes is what a CPU computes."""

from copy import deepcopy
from typing import Any

import pytest
import torch

from penstock.config import ModelConfig, TrainingConfig
from penstock.nn import Seq2Seq
from penstock.training.batches import collate
from penstock.training.update import Update

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA"),
]


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm", "ssru"])
def test_three_updates_equal_the_cpus(cell: Any) -> None:
    """In fp32, on rows of unequal lengths, with losses and weights compared."""
    torch.manual_seed(1)
    config = ModelConfig(cell=cell, embedding_size=16, hidden_size=32, decoder_layers=2)
    model = Seq2Seq(config, source_size=40, target_size=40).eval()  # no dropout
    twin = deepcopy(model).cuda()
    settings = TrainingConfig(learning_rate=0.01)
    updates = Update(model, settings), Update(twin, settings)
    batch = collate(
        [torch.randint(4, 40, (n,)).numpy() for n in (3, 7, 1, 5)],
        [torch.randint(4, 40, (n,)).numpy() for n in (4, 2, 8, 6)],
    )
    for _ in range(3):
        losses = []
        for network, update, device in zip((model, twin), updates, ("cpu", "cuda"), strict=True):
            b = batch.to(device)
            loss, tokens = network.loss(b.src, b.src_lengths, b.tgt_in, b.tgt_out, b.tgt_lengths)
            loss.backward()
            update.step(tokens, 0.01)
            losses.append(loss.item())
        assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs.cpu(), rtol=1e-2, atol=1e-3)


def test_an_update_does_not_wait_for_the_gpu() -> None:
    """Torch raises at every synchronization that it knows of."""
    torch.manual_seed(1)
    config = ModelConfig(cell="lstm", embedding_size=16, hidden_size=32, decoder_layers=2)
    model = Seq2Seq(config, source_size=40, target_size=40).cuda()
    update = Update(model, TrainingConfig())
    rows = [torch.randint(4, 40, (n,)).numpy() for n in (3, 7, 1, 5)]
    b = collate(rows, rows).to("cuda")
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        loss, tokens = model.loss(b.src, b.src_lengths, b.tgt_in, b.tgt_out, b.tgt_lengths)
        loss.backward()
        update.step(tokens, 0.01)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert loss.isfinite()
