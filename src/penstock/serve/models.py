"""The models in service, and how newer ones take their place without a pause."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from penstock.config import Precision
from penstock.serve.model_paths import ModelPath
from penstock.serve.refusals import NotReadyError
from penstock.serve.serving import Serving, load_serving


class Models:
    """The `Serving` of now.

    A request takes `current` once and keeps it: a reload meanwhile changes nothing for it.

    Args:
        paths: the models.
        device, precision: see `Translator`.
    """

    def __init__(
        self, paths: Sequence[ModelPath], *, device: str = "cpu", precision: Precision = "fp32"
    ) -> None:
        self._paths = tuple(paths)
        self._device = device
        self._precision: Precision = precision
        self._current: Serving | None = None
        self._reloading: asyncio.Lock | None = None
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
        serving = load_serving(self._paths, device=self._device, precision=self._precision)
        serving.warm_up()
        self._current = serving

    async def reload(self) -> bool:
        """`load` in a thread while the old models serve; whether the new ones took their place.

        A failure is logged, and the old models serve on. Whoever asks during a reload gets one
        more after it, as the files may have changed since it began; no more than one waits.
        """
        raise NotImplementedError
