"""What the classes that users load share: a bundle, and the engine that runs it."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import ClassVar, Self

from penstock.bundle import Bundle, load_bundle
from penstock.runtime.engine import Engine, load_engine
from penstock.runtime.engine_choice import EngineName
from penstock.tasks.sentence_encoder import Sentences
from penstock.tasks.task import Task


class LoadedModel:
    """A model ready to use; `load` reads one from a directory.

    Args:
        bundle: with its files, unless `engine` is one.
        device: where it runs.
        engine: what computes, or its name (see `choose_engine`).
        threads: on the CPU; default: all cores for torch, one for ONNX Runtime.
    """

    task: ClassVar[Task | None] = None  # None: of any task

    def __init__(
        self,
        bundle: Bundle,
        *,
        device: str = "cpu",
        engine: Engine | EngineName = "auto",
        threads: int | None = None,
    ) -> None:
        if isinstance(engine, str):
            engine = load_engine(bundle, device=device, engine=engine, threads=threads)
        self.bundle = bundle
        self.engine = engine

    @cached_property
    def _sentences(self) -> Sentences:
        return Sentences(self.bundle)

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        device: str = "cpu",
        engine: EngineName = "auto",
        threads: int | None = None,
    ) -> Self:
        """Load a model, ready to use.

        Args:
            path: a bundle or a run directory.
            device: `cpu`, `cuda`, `auto`.
            engine: `onnx`, `torch`, or `auto`: ONNX Runtime on a CPU where the model has graphs.
            threads: on the CPU; default: all cores for torch, one for ONNX Runtime.

        Raises:
            BundleError: a file missing, altered or of a newer format, or a model of another task.
        """
        bundle = load_bundle(path, task=cls.task)
        ready = load_engine(bundle, device=device, engine=engine, threads=threads)
        return cls(bundle.without_files(), engine=ready)
