"""A run directory becomes this run's: its configuration, settled for the machine, is in it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import torch

from penstock.config import RunConfig, dump_toml, load_config
from penstock.data.streams import STDIN
from penstock.device import choose_device
from penstock.errors import UsageError
from penstock.files import atomic_write, replacing
from penstock.training.precision import choose_precision
from penstock.training.progress import LOG

CONFIG = "config.toml"


def claim_run(config: RunConfig, run: Path, *, resume: bool) -> tuple[RunConfig, torch.device]:
    """Resolve what depends on the machine, and claim the run directory.

    Raises:
        UsageError: the directory holds a run already and `resume` is off, or no such device.
    """
    existing = run / CONFIG
    # the log begins with training: what failed before it, for want of data, may be tried again
    if (run / LOG).exists() and not resume:
        raise UsageError(
            f"{run}: holds a run already; add --resume to go on with it, or choose another --out"
        )
    if resume and existing.exists() and config.training.precision == "auto":
        # what the machine decided at the start stays decided
        settled = load_config(existing).training.precision
        config = config.model_copy(
            update={"training": config.training.model_copy(update={"precision": settled})}
        )
    if config.data.train == STDIN:
        kept = _keep_standard_input(run, resume=resume)
        config = config.model_copy(update={"data": config.data.model_copy(update={"train": kept})})
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    device = choose_device(config.device)
    precision = choose_precision(config.training.precision, device)
    config = config.model_copy(
        update={"training": config.training.model_copy(update={"precision": precision})}
    )
    atomic_write(existing, dump_toml(config))
    return config, device


def _keep_standard_input(run: Path, *, resume: bool) -> str:
    """Training data is read more than once, also when resuming: a stream is kept in the run."""
    kept = run / "data" / "stdin.tsv"
    if not (resume and kept.exists()):
        with replacing(kept) as partial, partial.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
    return str(kept)
