"""Run directories: locking, the resolved configuration, data from standard input."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch

from penstock.config import Precision, RunConfig, dump_toml, load_config
from penstock.config.option_model import usable_threads
from penstock.data.formats.corpus_files import expand, listed
from penstock.data.formats.input_lines import STDIN
from penstock.data.remote_files import is_remote
from penstock.data.sealed_file import seal, seal_path, verified
from penstock.errors import DataError, PenstockError, UsageError
from penstock.files import atomic_write, content_key, replacing, try_lock
from penstock.runtime.device import choose_device
from penstock.training.automatic import choose_settings, keep_choices
from penstock.training.examples import BUILTIN, REST, Report
from penstock.training.precision import choose_precision, emulates_bf16
from penstock.training.processes import Processes
from penstock.training.progress import LOG
from penstock.version import __version__

CONFIG = "config.toml"
_CHECKSUM = "# checksum of what follows: "


@contextmanager
def lock_run(run: Path) -> Generator[None]:
    """Lock a run directory against other training processes.

    Raises:
        UsageError: another process holds the lock.
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


def prepare_run(
    config: RunConfig, run: Path, report: Report, processes: Processes, *, resume: bool
) -> tuple[RunConfig, torch.device]:
    """Check that the directory is free for this run, and resolve the settings left open.

    Those are what depends on the machine and what is chosen from the data. An earlier attempt's
    choices are kept when it is resumed.

    The first process keeps standard input for all.

    Raises:
        UsageError: the directory holds a run already and `resume` is off, or no such device.
        DataError: it does, and there is no such training file.
    """
    existing = run / CONFIG
    # without a log, the earlier attempt failed before training and may be repeated
    if (run / LOG).exists() and not resume:
        for name in _files(config.data.train):  # a misspelt file may lead to another run
            if not Path(name).exists():
                raise DataError("no such file; check the path", path=name)
        raise UsageError(
            f"{run}: holds a run already; add --resume to go on with it, or choose another --out"
        )
    if resume and existing.exists():
        earlier = load_config(existing)
        if config.training.precision == "auto":
            config = _with_precision(config, earlier.training.precision)
        config = keep_choices(config, earlier)
    require_no_pipe(_files(config.data.train, config.data.valid))
    if config.data.train == STDIN:
        kept = keep_standard_input(run, resume=resume or not processes.is_first)
        config = config.model_copy(update={"data": config.data.model_copy(update={"train": kept})})
    if config.threads is not None:
        torch.set_num_threads(usable_threads(config.threads))
    device = processes.own_device(choose_device(config.device))
    precision = choose_precision(config.training.precision, device)
    if precision == "bf16" and emulates_bf16(device):
        report(
            "training.precision = 'bf16': this GPU has no instructions for it and emulates them, "
            "slower than 'fp32'; leave it at 'auto'"
        )
    return _with_precision(choose_settings(config, report), precision), device


def comparable(config: RunConfig) -> dict[str, Any]:
    """The settings, by key, and the versions that all processes of a run must have in common."""
    own = {"threads", "device", "start.model"}
    own |= {f"data.{key}" for key in ("train", "valid", "cache", "workers")}
    settings = {k: v for k, v in _flat(config.model_dump(mode="json")) if k not in own}
    return {"penstock's version": __version__, "torch's version": torch.__version__, **settings}


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(cast(dict[str, Any], value), f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def require_no_pipe(names: Iterable[str]) -> None:
    """Check that no file is a named pipe.

    Raises:
        UsageError: one is.
    """
    for name in names:
        if Path(name).is_fifo():
            raise UsageError(
                f"{name}: training reads its data several times, and a pipe gives them once; save "
                "them to a file, or send training pairs to standard input: penstock train -"
            )


def _with_precision(config: RunConfig, precision: Precision) -> RunConfig:
    training = config.training.model_copy(update={"precision": precision})
    return config.model_copy(update={"training": training})


def _files(*data: str | list[str] | None) -> list[str]:
    """The files in keys that have one, several or none."""
    named = [name for names in data for name in listed(names or ())]
    return expand([name for name in named if name not in (BUILTIN, REST, STDIN)])


def write_config(config: RunConfig, run: Path) -> None:
    """Write the settings, with absolute paths so that a run resumes from any directory."""
    data, text, model = config.data, config.text, config.model
    reserved, files = (BUILTIN, REST), ("source_vectors", "target_vectors", "transformer")
    absolute = {
        "data": data.model_copy(
            update={k: _absolute(getattr(data, k), reserved) for k in ("train", "valid")}
        ),
        "text": text.model_copy(
            update={
                side: own.model_copy(update={"file": _absolute(own.file)})
                for side, own in (("source", text.source), ("target", text.target))
            }
        ),
        "model": model.model_copy(update={k: _absolute(getattr(model, k)) for k in files}),
    }
    text = dump_toml(config.model_copy(update=absolute))
    atomic_write(run / CONFIG, f"{_CHECKSUM}{content_key(text)}\n{text}")


def config_is_whole(run: Path) -> bool:
    """Whether the settings are those that the run wrote; True if it wrote none."""
    path = run / CONFIG
    if not path.is_file():
        return True
    first, _, text = path.read_bytes().partition(b"\n")
    return first.decode("utf-8", "replace") == f"{_CHECKSUM}{content_key(text)}"


def _absolute(names: Any, reserved: tuple[str, ...] = ()) -> Any:
    if isinstance(names, list):
        return [_absolute(name, reserved) for name in cast(list[str], names)]
    if not names or names in reserved or is_remote(names):
        return names
    return str(Path(names).absolute())


def keep_standard_input(run: Path, *, resume: bool) -> str:
    """Save standard input in the run: training data is read repeatedly, also when resuming."""
    kept = run / "data" / "stdin.tsv"
    if resume and kept.exists():
        if seal_path(kept).exists() and verified(kept) is None:
            raise DataError(
                "altered since it was read from standard input; begin a new run", path=kept
            )
    else:
        with replacing(kept) as partial, partial.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        seal(kept)
    return str(kept)
