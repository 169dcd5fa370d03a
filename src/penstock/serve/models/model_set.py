"""The current models, and their replacement by newer ones without a pause."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import Literal

from penstock.config import Precision
from penstock.errors import PenstockError
from penstock.runtime.engine_choice import EngineName
from penstock.serve import json_log
from penstock.serve.models.model_paths import ModelPath
from penstock.serve.models.served_models import ServedModels, load_models
from penstock.serve.service_errors import NotReadyError

Reload = Literal["done", "failed", "joined"]


class Models:
    """The current `ServedModels`, which a reload replaces.

    A request keeps the value of `current` that it started with, whatever is reloaded meanwhile.

    Args:
        paths: the models.
        device, precision, engine, threads: see `Translator`.

    Attributes:
        ready: whether the models are loaded and warmed up.
        draining: whether the service is shutting down.
    """

    def __init__(
        self,
        paths: Sequence[ModelPath],
        *,
        device: str = "cpu",
        precision: Precision = "fp32",
        engine: EngineName = "auto",
        threads: int | None = None,
    ) -> None:
        self._paths = tuple(paths)
        self._load = partial(
            load_models,
            self._paths,
            device=device,
            precision=precision,
            engine=engine,
            threads=threads,
        )
        self._current: ServedModels | None = None
        self._reloading = asyncio.Lock()
        self._is_requested = False
        self.ready = False
        self.draining = False

    @property
    def current(self) -> ServedModels:
        """The models in service.

        Raises:
            NotReadyError: nothing is loaded yet.
        """
        if self._current is None:
            raise NotReadyError("the models are still loading; try again in a moment")
        return self._current

    def load(self) -> None:
        """Load and warm up the models, then replace the current ones.

        Raises:
            PenstockError: see `load_models`; the current models stay.
        """
        serving = self._load()
        serving.warm_up()
        self._current = serving

    async def reload(self) -> Reload:
        """Run `load` in a thread while the old models keep serving, and return the outcome.

        A failure is logged, and the old models stay. A request during a reload starts another one
        after it, as the files may have changed since; `joined` means that one was already pending.
        """
        if self._is_requested:
            return "joined"
        self._is_requested = True
        async with self._reloading:
            self._is_requested = False
            begun = time.monotonic()
            try:
                await asyncio.to_thread(self.load)
            except Exception as error:  # noqa: BLE001 (whatever it is, the old models stay)
                why = str(error) if isinstance(error, PenstockError) else type(error).__name__
                json_log.write("reload_failed", level="error", why=why)
                return "failed"
            json_log.write("reloaded", seconds=round(time.monotonic() - begun, 3))
            return "done"
