"""One tiny model, trained once and used by all tests."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from penstock.config import RunConfig, parse_config

os.environ.setdefault("OMP_NUM_THREADS", "1")

TINY: dict[str, Any] = {
    "threads": 1,
    "device": "cpu",
    "data": {"train": "builtin", "max_pairs": 300},
    "text": {
        "source": {"kind": "bpe", "vocab_size": 300},
        "target": {"kind": "bpe", "vocab_size": 300},
    },
    "model": {
        "cell": "gru",
        "embedding_size": 16,
        "hidden_size": 24,
        "decoder_layers": 1,
        "dropout": 0.2,
        "tie_embeddings": "none",
        "variational_dropout": False,
    },
    "training": {
        "max_updates": 60,
        "batch_tokens": 300,
        "learning_rate": 0.01,
        "warmup_updates": 5,
        "evaluate_every": 30,
        "evaluate_sentences": 10,
        "precision": "fp32",
        "metric": "loss",
        "average_decay": None,
        "patience": None,
    },
}

Tiny = Callable[..., RunConfig]


def tiny_config(*overrides: str) -> RunConfig:
    """The tiny run's configuration with `a.b=value` overrides."""
    return parse_config(TINY, overrides)


def quiet_console() -> Console:
    """A console that keeps what it is told: `.file.getvalue()`."""
    return Console(file=io.StringIO(), highlight=False, soft_wrap=True, width=200)


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True, scope="session")
def _no_tensorboard() -> Iterator[None]:
    """Its import takes seconds; one test has it."""
    from penstock.training import progress

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(progress, "_tensorboard", lambda run: None)
        yield


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run directory; not to be changed."""
    from penstock.training.loop import train

    run = tmp_path_factory.mktemp("runs") / "tiny"
    train(tiny_config(), run, console=quiet_console())
    return run
