"""The optimizer's step from summed gradients."""

from copy import deepcopy
from typing import Literal

import pytest
import torch
from torch import nn

from penstock.config import TrainingConfig
from penstock.training.update import Update


@pytest.mark.parametrize("clip", [0.01, 100.0], ids=["clipped", "unclipped"])
@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_a_step_is_mean_clipping_and_torchs_optimizer(
    optimizer: Literal["adamw", "adam", "sgd"], clip: float
) -> None:
    torch.manual_seed(0)
    model = nn.Linear(5, 3)
    plain = deepcopy(model)
    settings = TrainingConfig(optimizer=optimizer, clip_norm=clip, weight_decay=0.1)
    update, theirs = Update(model, settings), Update(plain, settings).optimizer
    for rate in (0.01, 0.02, 0.005):
        x = torch.randn(7, 5)
        model(x).square().sum().backward()
        update.loss.add_(1.5)
        update.step(7, rate)
        ((loss, norm),) = update.read()
        (plain(x).square().sum() / 7).backward()
        expected = nn.utils.clip_grad_norm_(plain.parameters(), clip)
        for group in theirs.param_groups:
            group["lr"] = rate
        theirs.step()
        theirs.zero_grad()
        torch.testing.assert_close(torch.tensor(norm), expected)
        assert loss == 1.5
        for ours, other in zip(model.parameters(), plain.parameters(), strict=True):
            torch.testing.assert_close(ours, other)
            assert ours.grad is None
