"""Which engine runs a bundle: ONNX Runtime or torch."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from penstock.config.option_model import require_threads
from penstock.errors import BundleError, MissingExtraError, UsageError, unknown_name

if TYPE_CHECKING:
    from penstock.bundle import Bundle

EngineName = Literal["auto", "onnx", "torch"]


def choose_engine(
    bundle: Bundle, engine: EngineName, device: str, threads: int | None = None
) -> Literal["onnx", "torch"]:
    """The engine for a bundle.

    Args:
        bundle: with its files.
        engine: `auto` is ONNX Runtime on a CPU where the bundle has graphs, torch elsewhere.
        device: where it will run: `auto`, `cpu`, `cuda` …
        threads: that will compute on the CPU.

    Raises:
        BundleError: the bundle has no files for the engine.
        UsageError: an unknown engine, ONNX Runtime on a GPU, or an impossible number of threads.
        MissingExtraError: torch is needed and not installed.
    """
    from penstock.bundle import GRAPH_ROLES

    if engine not in get_args(EngineName):
        raise UsageError(unknown_name("engine", str(engine), get_args(EngineName)))
    require_threads(threads)
    bundle.require_files()
    has_graphs = any(role in bundle.files for role in GRAPH_ROLES)
    has_weights = "weights" in bundle.files
    on_cpu = device == "cpu" or (device == "auto" and not (has_weights and has_gpu()))
    if engine == "auto":
        engine = "onnx" if has_graphs and on_cpu else "torch"
    if engine == "onnx":
        if not has_graphs:
            raise BundleError(
                f"{bundle.place}: it has no ONNX graphs; make some with 'penstock export', or use "
                "--engine torch"
            )
        if device not in ("cpu", "auto"):
            raise UsageError(
                f"--device {device}: ONNX graphs run on the CPU; leave it out, or use --engine "
                "torch"
            )
        return "onnx"
    if not has_weights:
        raise BundleError(
            f"{bundle.place}: an export has no weights for torch; use --engine onnx on the CPU, or "
            "the run that was exported"
        )
    if importlib.util.find_spec("torch") is None:
        if has_graphs:
            raise MissingExtraError("--engine torch", "train", "torch")
        make = "make a model without it by 'penstock export', where torch is installed"
        raise MissingExtraError(f"{bundle.place}: this model", "train", "torch", make)
    return "torch"


def has_gpu() -> bool:
    """Whether torch finds a GPU; it is imported only where there may be one."""
    files = (Path("/dev/nvidiactl"), Path("/dev/dxg"))
    if not any(file.exists() for file in files) and shutil.which("nvidia-smi") is None:
        return False
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()
