"""The models in service, and how newer ones take their place without a pause."""

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
from penstock.serve.models.served_models import Serving, load_serving
from penstock.serve.service_errors import NotReadyError

Reload = Literal["done", "failed", "joined"]


class Models:
    """The `Serving` of now.

    A request takes `current` once and keeps it: a reload meanwhile changes nothing for it.

    Args:
        paths: the models.
        device, precision, engine, threads: see `Translator`.

    Attributes:
        ready: loaded and tried.
        draining: about to end.
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
            load_serving,
            self._paths,
            device=device,
            precision=precision,
            engine=engine,
            threads=threads,
        )
        self._current: Serving | None = None
        self._reloading = asyncio.Lock()
        self._is_wanted = False
        self.ready = False
        self.draining = False

    @property
    def current(self) -> Serving:
        """What is served now.

        Raises:
            NotReadyError: nothing is loaded yet.
        """
        if self._current is None:
            raise NotReadyError("the models are being loaded; try again in a moment")
        return self._current

    def load(self) -> None:
        """Load and try the models, and let them take the place of those before.

        Raises:
            PenstockError: see `load_serving`; those before stay.
        """
        serving = self._load()
        serving.warm_up()
        self._current = serving

    async def reload(self) -> Reload:
        """`load` in a thread while the old models serve; what came of it.

        A failure is logged, and the old models serve on. Whoever asks during a reload gets one
        more after it, as the files may have changed since it began; `joined`: one waits already.
        """
        if self._is_wanted:
            return "joined"
        self._is_wanted = True
        async with self._reloading:
            self._is_wanted = False
            begun = time.monotonic()
            try:
                await asyncio.to_thread(self.load)
            except Exception as error:  # noqa: BLE001 (whatever it is, the old models serve on)
                why = str(error) if isinstance(error, PenstockError) else type(error).__name__
                json_log.write("reload_failed", level="error", why=why)
                return "failed"
            json_log.write("reloaded", seconds=round(time.monotonic() - begun, 3))
            return "done"
