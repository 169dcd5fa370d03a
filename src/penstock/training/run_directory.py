"""A run directory becomes this run's: its configuration, settled for the machine, is in it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import torch

from penstock.config import DataConfig, ModelConfig, RunConfig, dump_toml, load_config
from penstock.data.formats.input_lines import STDIN
from penstock.errors import PenstockError, UsageError
from penstock.files import atomic_write, replacing, try_lock
from penstock.runtime.device import choose_device
from penstock.training.examples import BUILTIN, REST
from penstock.training.precision import choose_precision
from penstock.training.progress import LOG

CONFIG = "config.toml"


@contextmanager
def sole_run(run: Path) -> Generator[None]:
    """Keep other processes from training in the same directory.

    Raises:
        UsageError: one is doing so now.
    """
    try:
        run.mkdir(parents=True, exist_ok=True)
        lock = (run / ".lock").open("ab")
    except OSError as error:
        raise PenstockError(
            f"{run}: cannot write there: {error.strerror or error}; choose another --out"
        ) from None
    with lock:
        if not try_lock(lock.fileno()):
            raise UsageError(f"{run}: another process is training in it; choose another --out")
        yield


def claim_run(config: RunConfig, run: Path, *, resume: bool) -> tuple[RunConfig, torch.device]:
    """Refuse a directory that holds another run, and resolve what depends on the machine.

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
    for name in named_files(config.data.train, config.data.valid):
        if Path(name).is_fifo():
            raise UsageError(
                f"{name}: training reads its data several times, and a pipe gives them once; save "
                "them to a file, or send training pairs to standard input: penstock train -"
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
    return config, device


def named_files(*data: str | list[str] | None) -> list[str]:
    """The names in keys that may have one, several or none."""
    return [n for names in data for n in ([names] if isinstance(names, str) else names or ())]


def write_config(config: RunConfig, run: Path) -> None:
    """Keep the settings in the run directory, as `--resume` reads them."""
    # where the data lies from anywhere, so that the run can be resumed from any directory
    found_anywhere = {"data": _absolute(config.data), "model": _absolute_model(config.model)}
    atomic_write(run / CONFIG, dump_toml(config.model_copy(update=found_anywhere)))


def _absolute(data: DataConfig) -> DataConfig:
    def resolve(name: str) -> str:
        return name if name in (BUILTIN, REST) else str(Path(name).absolute())

    def resolve_all(names: str | list[str] | None) -> str | list[str] | None:
        if names is None or isinstance(names, str):
            return names and resolve(names)
        return [resolve(name) for name in names]

    return data.model_copy(
        update={"train": resolve_all(data.train), "valid": resolve_all(data.valid)}
    )


def _absolute_model(model: ModelConfig) -> ModelConfig:
    names = {
        "source_vectors": model.source_vectors,
        "target_vectors": model.target_vectors,
        "transformer": model.transformer,
    }
    return model.model_copy(
        update={key: name and str(Path(name).absolute()) for key, name in names.items()}
    )


def _keep_standard_input(run: Path, *, resume: bool) -> str:
    """Training data is read more than once, also when resuming: a stream is kept in the run."""
    kept = run / "data" / "stdin.tsv"
    if not (resume and kept.exists()):
        with replacing(kept) as partial, partial.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
    return str(kept)
