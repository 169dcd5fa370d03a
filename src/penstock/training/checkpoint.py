"""Checkpoints in safetensors and JSON, from which a run resumes as if never interrupted."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from penstock.config import RunConfig
from penstock.errors import BundleError, ConfigError
from penstock.files import atomic_write, checksum_holds, remove, with_checksum
from penstock.nn import State
from penstock.training.processes import ALONE, Processes

INDEX = "checkpoint.json"


@dataclass
class Progress:
    """The progress of a run.

    Attributes:
        update: updates made.
        epoch: the current epoch, from 0.
        batch: batches of it already used.
        tokens: target tokens seen.
        seconds: of training, evaluations included.
        best: the best held-out score so far, by the run's metric.
        best_loss: the held-out loss beside that score, which breaks ties.
        best_update: the update with that score.
        worse: evaluations since.
        evaluated: the update of the latest evaluation.
        evaluated_at: the seconds of training when it ended.
        evaluation_seconds: how long it took.
        plateau_scale: the plateau schedule's factor on the learning rate.
        loss_sum, loss_tokens: since the last evaluation.
        owes_evaluation: whether the run was interrupted when an evaluation was due.
        parts: batches are computed in so many parts, because memory ran out.
        data: fingerprint of the training data.
        transformer: fingerprint of the frozen encoder, which is not in checkpoints; may be empty.
        processes: number of processes that train together.
    """

    update: int = 0
    epoch: int = 0
    batch: int = 0
    tokens: int = 0
    seconds: float = 0.0
    best: float | None = None
    best_loss: float | None = None
    best_update: int = 0
    worse: int = 0
    evaluated: int = 0
    evaluated_at: float = 0.0
    evaluation_seconds: float = 0.0
    plateau_scale: float = 1.0
    loss_sum: float = 0.0
    loss_tokens: int = 0
    owes_evaluation: bool = False
    parts: int = 1
    data: str = ""
    transformer: str = ""
    processes: int = 1


def save_checkpoint(
    folder: Path,
    progress: Progress,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: list[Tensor] | None,
    carried: State | None = None,
    processes: Processes = ALONE,
) -> None:
    """Write a checkpoint; the previous one stays intact until this one is complete.

    The first process writes it, with the random numbers and the carried state of each.

    Args:
        carried: the recurrent state that the next batch continues from.
    """
    own = processes.gather(save_tensors(_own_tensors(model, carried)))
    if not processes.is_first:
        return
    tensors: dict[str, Tensor] = {
        name if rank == 0 else f"process.{rank}.{name}": tensor
        for rank, content in enumerate(own)
        for name, tensor in load_tensors(content).items()
    }
    for i, (name, parameter) in enumerate(model.named_parameters()):
        tensors[f"model.{name}"] = parameter.detach()
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer.{key}.{name}"] = value
        if average is not None:
            tensors[f"average.{name}"] = average[i]
    content = save_tensors({name: t.contiguous() for name, t in tensors.items()})
    digest = hashlib.sha256(content).hexdigest()
    name = f"state-{digest[:12]}.safetensors"
    index = with_checksum({"file": name, "sha256": digest, "progress": asdict(progress)})
    try:
        atomic_write(folder / name, content)
        atomic_write(folder / INDEX, json.dumps(index, indent=1) + "\n")
    except BaseException:
        if name not in _index_text(folder):
            remove(folder / name)
        raise
    for path in folder.glob("state-*.safetensors"):
        if path.name != name:
            remove(path)


def _own_tensors(model: nn.Module, carried: State | None) -> dict[str, Tensor]:
    """What differs between the processes: random numbers and the carried state."""
    tensors = {"random": torch.get_rng_state()}
    device = next(model.parameters()).device
    if device.type == "cuda":
        tensors["random.cuda"] = torch.cuda.get_rng_state(device)
    if carried is not None:
        tensors["carried.h"] = carried.h.contiguous()
        if carried.c is not None:
            tensors["carried.c"] = carried.c.contiguous()
    return tensors


def _index_text(folder: Path) -> str:
    """The index as text, empty if there is none."""
    index = folder / INDEX
    return index.read_text(encoding="utf-8", errors="replace") if index.is_file() else ""


def checkpoint_exists(folder: Path) -> bool:
    """Whether there is a checkpoint to resume from."""
    return (folder / INDEX).exists()


def require_same_transformer(saved: Progress, found: Progress, config: RunConfig) -> None:
    """Check that the frozen encoder is the one that the run started with.

    Raises:
        ConfigError: the fingerprints differ.
    """
    if saved.transformer != found.transformer:
        raise ConfigError(
            f"model.transformer = {config.model.transformer!r}: not the encoder that the run began "
            "with; put that one back, or begin a new run"
        )


def load_checkpoint(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: list[Tensor] | None,
    processes: Processes = ALONE,
) -> tuple[Progress, State | None] | None:
    """Restore a checkpoint; return the progress and the carried state, None if there is none.

    The first process reads it for all.

    Raises:
        BundleError: the checkpoint is damaged or of another model.
    """
    remedy = "delete the checkpoints folder to start again from the beginning"
    counters, content = "", b""
    try:
        if processes.is_first and checkpoint_exists(folder):
            index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
            if not checksum_holds(index):
                raise BundleError(f"{folder / INDEX}: altered; {remedy}")
            content = (folder / index["file"]).read_bytes()
            if hashlib.sha256(content).hexdigest() != index["sha256"]:
                raise BundleError(f"{folder / index['file']}: altered or truncated; {remedy}")
            counters = json.dumps(index["progress"])
        counters = processes.broadcast(counters.encode()).decode()
        if not counters:
            return None
        tensors = load_tensors(processes.broadcast(content))
        progress = Progress(**json.loads(counters))
        same = progress.processes == processes.count
        own = f"process.{processes.rank}." if same and processes.rank else ""
        torch.set_rng_state(tensors[f"{own}random"])
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise BundleError(f"{folder}: damaged checkpoint ({error}); {remedy}") from None
    with torch.no_grad():
        for i, (name, parameter) in enumerate(model.named_parameters()):
            saved = tensors.get(f"model.{name}")
            if saved is None or saved.shape != parameter.shape:
                raise BundleError(f"{folder}: the checkpoint is of another model; {remedy}")
            parameter.copy_(saved)
            if average is not None:  # an average that was just enabled starts here
                average[i].copy_(tensors.get(f"average.{name}", saved))
            state = {
                key.split(".")[1]: value.to(parameter.device)
                for key, value in tensors.items()
                if key.startswith("optimizer.") and key.split(".", 2)[2] == name
            }
            if state:
                optimizer.state[parameter] = state
    device = next(model.parameters()).device
    if device.type == "cuda" and f"{own}random.cuda" in tensors:
        torch.cuda.set_rng_state(tensors[f"{own}random.cuda"], device)
    if not same:  # rows of the text go to other processes
        processes.seed(progress.update)
        return progress, None
    h, c = tensors.get(f"{own}carried.h"), tensors.get(f"{own}carried.c")
    return progress, None if h is None else State(h, c).to(device)
