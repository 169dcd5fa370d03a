"""What an inference thread computes now: whose time it is, and when it may be interrupted."""

from __future__ import annotations

import time
from collections.abc import Sequence

from penstock.serve.inference.fair_shares import Share, seconds_left

_SLICE = 0.02  # s that are computed between interruptions


class Running:
    """A batch or a call that is being computed.

    Args:
        sizes: the shares of its requests, and how much of the work is each one's.
        cost: estimated seconds.

    Attributes:
        seconds: that it has taken, without interruptions.
    """

    def __init__(self, sizes: Sequence[tuple[Share, float]], cost: float) -> None:
        total = sum(size for _, size in sizes)
        self._cost = cost
        self._shares: dict[Share, float] = {}
        for share, size in sizes:
            self._shares[share] = self._shares.get(share, 0.0) + size / total
        self._resumed = time.monotonic()
        self.seconds = 0.0

    @property
    def is_due(self) -> bool:
        """Whether it has computed long enough to be interrupted."""
        return time.monotonic() - self._resumed >= _SLICE

    @property
    def finish(self) -> float:
        """When the last of its requests would finish (see `Share`)."""
        return max(share.finish for share in self._shares)

    @property
    def left(self) -> float:
        """Estimated seconds until it is done."""
        return seconds_left(self._cost, self.seconds)

    def pause(self) -> list[tuple[Share, float]]:
        """Stop its time, and return whose the time since the last pause was."""
        seconds = time.monotonic() - self._resumed
        self.seconds += seconds
        return [(share, part * seconds) for share, part in self._shares.items()]

    def resume(self) -> None:
        """Go on."""
        self._resumed = time.monotonic()
