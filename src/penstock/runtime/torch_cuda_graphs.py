"""Computation over static tensors, recorded once and replayed: CUDA graphs.

A GPU computes an update of a small model in a tenth of the time that the host takes to launch its
kernels one by one. A CUDA graph launches all of them at once, over the same memory as when it was
recorded.

What is random inside a graph goes on as outside of it: torch registers the device's generator with
every graph, and a replay advances it by what one run draws. A run that replays is the run that does
not, so when something was recorded changes no result, and checkpoints need not know.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Protocol

import torch

from penstock.errors import is_out_of_memory

MOST_GRAPHS = 256  # a graph holds a few hundred kB of the device, and recording takes 50 ms

Run = Callable[[], None]


class Recorder(Protocol):
    """Makes the runs of a function over static tensors repeatable."""

    def warm_up(self, run: Run, /) -> None:
        """Run before recording, where libraries allocate what they keep."""
        ...

    def record(self, run: Run, /) -> Run:
        """Record a function without running it; returns what repeats it.

        Raises:
            RuntimeError: it does something that cannot be recorded.
        """
        ...


class CudaGraphs:
    """Records on a side stream; all graphs share one pool of memory, as one runs at a time.

    Args:
        device: of the tensors.
        alone: whether no other thread computes on the device; a second check on what is recorded.
    """

    def __init__(self, device: torch.device, *, alone: bool = True) -> None:
        self._device = device
        self._errors = "global" if alone else "thread_local"
        self._stream = torch.cuda.Stream(device)
        self._pool = torch.cuda.graph_pool_handle()

    def warm_up(self, run: Run) -> None:
        """Run on the stream that recording will use."""
        before = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(before)
        with torch.cuda.stream(self._stream):
            run()
        before.wait_stream(self._stream)

    def record(self, run: Run) -> Run:
        """Capture one graph."""
        random = torch.cuda.get_rng_state(self._device)
        graph = torch.cuda.CUDAGraph()
        try:
            # the outer context restores the stream where the inner one raises on leaving
            with (
                torch.cuda.stream(torch.cuda.current_stream(self._device)),
                torch.cuda.graph(
                    graph, pool=self._pool, stream=self._stream, capture_error_mode=self._errors
                ),
            ):
                run()
        except Exception:
            # a broken capture leaves the generator in the middle of one
            fresh = torch.Generator(self._device)
            fresh.set_state(random)
            torch.cuda.default_generators[self._device.index or 0].graphsafe_set_state(fresh)
            raise
        return graph.replay


class Repeater:
    """Runs functions, from the second time on by replaying them.

    The first run of each is its warm-up.

    Args:
        recorder: how to record.
        report: called once if something cannot be recorded; everything is then run.
    """

    def __init__(self, recorder: Recorder, report: Callable[[str], None]) -> None:
        self._recorder: Recorder | None = recorder
        self._report = report
        self._known: dict[Hashable, Run | None] = {}  # None: has run once
        self._recording = threading.Lock()

    @property
    def is_full(self) -> bool:
        """Whether further functions will not be recorded."""
        return self._recorder is None or len(self._known) >= MOST_GRAPHS

    def __call__(self, key: Hashable, run: Run) -> None:
        """Run, or replay what was recorded under the key.

        Raises:
            RuntimeError: out of memory.
        """
        if self._recorder is None or (self.is_full and key not in self._known):
            run()
            return
        replay = self._known.get(key)
        if replay is None and key not in self._known:
            self._known[key] = None
            self._recorder.warm_up(run)
            return
        if replay is None:
            try:
                with self._recording:
                    replay = self._known[key] = self._recorder.record(run)
            except RuntimeError as error:
                if is_out_of_memory(error):
                    raise
                self.forget()
                self._recorder = None
                reason = str(error).partition("\n")[0]
                self._report(f"not recorded as a CUDA graph, so it is slower: {reason}")
                run()
                return
        replay()

    def forget(self, key: Hashable = None) -> None:
        """Free what was recorded under a key; by default everything."""
        if key is None:
            self._known.clear()
        else:
            self._known.pop(key, None)


def repeater_of(
    device: torch.device, report: Callable[[str], None], *, alone: bool = True
) -> Repeater | None:
    """CUDA graphs, where the device has them; `alone` as in `CudaGraphs`."""
    return Repeater(CudaGraphs(device, alone=alone), report) if device.type == "cuda" else None
