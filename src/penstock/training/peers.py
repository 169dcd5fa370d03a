"""Noticing that a process of a group has died, and naming it."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta

from torch.distributed import PrefixStore  # pyright: ignore[reportPrivateImportUsage]

from penstock.errors import PeerError, PenstockError, TrainingError

_BEAT_SECONDS, _DEAD_SECONDS, _LOST_SECONDS = 0.5, 3.0, 20.0
_REMEDY = "what it has saved is whole; go on with --resume"


class Peers:
    """The processes of a group, each of which counts its heartbeats in a shared store.

    A killed process closes its connections, so that communication with it fails at once. A lost
    node closes nothing, and a GPU waits for ever: then the heartbeats tell.

    Args:
        store: the group's.
        rank: of this process.
        names: of all processes, for messages.
        fate: what became of a process; empty if it is alive or nothing is known.
    """

    def __init__(
        self, store: PrefixStore, rank: int, names: Sequence[str], fate: Callable[[int], str]
    ) -> None:
        self.rank, self.names, self.fate = rank, list(names), fate
        # a connection of its own: the other may be waiting
        self._store: PrefixStore = store.clone()  # pyright: ignore[reportAttributeAccessIssue]
        self._store.set_timeout(timedelta(seconds=_LOST_SECONDS / 2))
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="peers")
        self._thread.start()

    def close(self) -> None:
        """Stop watching."""
        self._ended.set()
        self._thread.join()

    def report(self, error: BaseException) -> PeerError | None:
        """Tell the others of the error that ends this process.

        Returns:
            What to raise instead, if all have the same error: the first shows it.
        """
        self.close()
        own = str(error) or type(error).__name__
        others = [rank for rank in range(len(self.names)) if rank != self.rank]
        with suppress(RuntimeError):
            self._store.set(f"failed/{self.rank}", own)
            if self.rank == 0:  # the store may end with this process
                self._wait_for([f"done/{rank}" for rank in others])
            elif not isinstance(error, PeerError):
                self._wait_for(["failed/0"])
                if self._store.check(["failed/0"]) and self._store.get("failed/0") == own.encode():
                    self._store.set(f"done/{self.rank}", "")
                    return PeerError(own)
            self._store.set(f"done/{self.rank}", "")
        return None

    def _wait_for(self, keys: list[str]) -> None:
        """Wait a short while."""
        until = time.monotonic() + _BEAT_SECONDS
        while time.monotonic() < until and not self._store.check(keys):
            time.sleep(0.02)

    def explain(self, error: RuntimeError) -> PenstockError:
        """The error that a failed communication stands for."""
        self.close()
        others = [rank for rank in range(len(self.names)) if rank != self.rank]
        try:
            before = self._heartbeats()
            until = time.monotonic() + _DEAD_SECONDS
            while time.monotonic() < until:
                self._beat()
                for rank in others:
                    if self._store.check([f"failed/{rank}"]):
                        return PeerError(f"{self.names[rank]} has failed")
                time.sleep(_BEAT_SECONDS)
            now = self._heartbeats()
        except RuntimeError:  # the store is gone, and with it the process that kept it
            return self._death([0])
        dead = [rank for rank in others if now[rank] == before[rank]]
        if dead:
            return self._death(dead)
        reason = str(error).split("\n")[0]
        return TrainingError(f"the processes cannot reach each other ({reason}); {_REMEDY}")

    def _death(self, dead: list[int]) -> PenstockError:
        """The error that the lowest of the living shows."""
        living = [rank for rank in range(len(self.names)) if rank not in dead]
        text = " and ".join(f"{self.names[rank]} {self.fate(rank) or 'has died'}" for rank in dead)
        return (TrainingError if self.rank == living[0] else PeerError)(f"{text}; {_REMEDY}")

    def _beat(self) -> None:
        self._store.add(f"alive/{self.rank}", 1)

    def _heartbeats(self) -> list[int]:
        return [self._store.add(f"alive/{rank}", 0) for rank in range(len(self.names))]

    def _watch(self) -> None:
        """End this process when another has been silent for long."""
        seen, since = [-1] * len(self.names), [time.monotonic()] * len(self.names)
        while not self._ended.wait(_BEAT_SECONDS):
            now = time.monotonic()
            try:
                self._beat()
                counts = self._heartbeats()
            except RuntimeError:
                counts = [0, *seen[1:]] if self.rank else seen
            for rank, count in enumerate(counts):
                if count != seen[rank]:
                    seen[rank], since[rank] = count, now
            silent = [rank for rank, last in enumerate(since) if now - last > _LOST_SECONDS]
            if silent and self.rank not in silent and not self._ended.is_set():
                error = self._death(silent)
                if not isinstance(error, PeerError):
                    print(f"penstock: {error}", file=sys.stderr, flush=True)
                os._exit(error.exit_code)  # the main thread may wait for a GPU without an end
