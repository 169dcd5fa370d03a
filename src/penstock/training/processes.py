"""What the training loop knows of other processes: a value, which does nothing for one process."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from penstock.errors import ConfigError, UsageError
from penstock.training.peers import Peers

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Share:
    """The batches of an epoch that one process trains on.

    Attributes:
        rank: number of the process, from 0.
        count: number of processes.
        accumulate: batches per process and update.
    """

    rank: int = 0
    count: int = 1
    accumulate: int = 1

    def select(self, batches: Iterable[T], cost: Callable[[T], int]) -> Iterator[T]:
        """Yield every batch to exactly one process, with near-equal costs in each update.

        An update takes `count` x `accumulate` consecutive batches. Of those each process gets
        `accumulate`: the most expensive batch goes to the process with the least so far.
        """
        if self.count == 1:
            yield from batches
            return
        remaining = iter(batches)
        while group := list(islice(remaining, self.count * self.accumulate)):
            costs = [cost(batch) for batch in group]
            totals, numbers, own = [0] * self.count, [0] * self.count, list[int]()
            for i in sorted(range(len(group)), key=lambda i: -costs[i]):
                free = (r for r in range(self.count) if numbers[r] < self.accumulate)
                chosen = min(free, key=lambda r: (totals[r], r))
                totals[chosen] += costs[i]
                numbers[chosen] += 1
                own += [i] if chosen == self.rank else []
            yield from (group[i] for i in sorted(own))


WHOLE = Share()


class Signals(NamedTuple):
    """What the processes agree on before an update.

    Attributes:
        tokens: target tokens of the update; summed over the processes.
        epoch_ended, stopped: whether they are for any process.
        seconds, checkpoint_due: by the clock of the first process.
    """

    tokens: int
    epoch_ended: bool
    stopped: bool
    seconds: float
    checkpoint_due: bool


@dataclass(frozen=True)
class Processes:
    """The processes that train one model together, seen from one of them.

    All make the same updates: each computes gradients on its own batches, and their sum is what
    the optimizer gets. With `count == 1` every method returns what it is given.

    Attributes:
        rank: number of this process, from 0; the first one writes and reports.
        count: number of processes.
        peers: notices and names processes that have died.
    """

    rank: int = 0
    count: int = 1
    peers: Peers | None = None

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes and reports."""
        return self.rank == 0

    def summary(self, before: int) -> str:
        """How many there are, after the device's name, and how many the run had."""
        count = f", {self.count} processes" if self.count > 1 else ""
        if before == self.count:
            return count
        return f"{count or ', 1 process'} ({before} until now: not the same bit for bit)"

    def share(self, accumulate: int) -> Share:
        """This process's share of the batches."""
        return Share(self.rank, self.count, accumulate)

    def own_device(self, device: torch.device) -> torch.device:
        """The GPU of this process, if all train on GPUs.

        Raises:
            UsageError: the machine has too few.
        """
        if self.count == 1 or device.type != "cuda":
            return device
        number, found = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if number >= found:
            raise UsageError(
                f"{number + 1} processes on a machine with {found} GPUs; start one for each GPU"
            )
        torch.cuda.set_device(number)
        return torch.device("cuda", number)

    def agree(self, own: Signals) -> Signals:
        """The same signals for all processes."""
        if self.count == 1:
            return own
        clock = (own.seconds, own.checkpoint_due) if self.is_first else (0.0, False)
        values = torch.tensor([*own[:3], *clock], dtype=torch.float64)
        with self._watched():
            dist.all_reduce(values)
        tokens, ended, stopped, seconds, due = cast(list[float], values.tolist())
        return Signals(int(tokens), ended > 0, stopped > 0, seconds, due > 0)

    def clock(self, seconds: float) -> float:
        """The time by the clock of the first process."""
        return float(self.broadcast(repr(seconds).encode()))

    def sum_gradients(self, parameters: Sequence[Tensor], loss: Tensor) -> None:
        """Sum the gradients, and the loss, over all processes, in place.

        A process without a batch in this update contributes zeros.
        """
        if self.count == 1:
            return
        trained = [p for p in parameters if p.requires_grad]
        flat = torch.zeros(1 + sum(p.numel() for p in trained), device=loss.device)
        parts = cast(list[Tensor], flat.split([1, *(p.numel() for p in trained)]))
        views = [v.view_as(p) for v, p in zip(parts[1:], trained, strict=True)]
        parts[0].copy_(loss)
        for parameter, view in zip(trained, views, strict=True):
            if parameter.grad is not None:
                view.copy_(parameter.grad)
        with self._watched():
            dist.all_reduce(flat)
        for parameter, view in zip(trained, views, strict=True):
            if flat.is_cuda and parameter.grad is not None:  # a recorded graph has its address
                parameter.grad.copy_(view)
            else:
                parameter.grad = view
        loss.copy_(parts[0][0])

    def seed(self, seed: int) -> None:
        """Give each process random numbers of its own; the first keeps what it has."""
        if self.rank:
            torch.manual_seed(int(np.random.SeedSequence([seed, self.rank]).generate_state(1)[0]))

    def gather(self, content: bytes) -> list[bytes]:
        """What each process passes, in their order."""
        if self.count == 1:
            return [content]
        own = torch.frombuffer(bytearray(content or b"\0"), dtype=torch.uint8)
        sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(self.count)]
        with self._watched():
            dist.all_gather(sizes, torch.tensor([len(content)]))
            lengths = [int(size) for size in sizes]
            room = max(*lengths, 1)
            padded = torch.zeros(room, dtype=torch.uint8)
            padded[: len(content)] = own[: len(content)]
            found = [torch.empty(room, dtype=torch.uint8) for _ in range(self.count)]
            dist.all_gather(found, padded)
        return [t.numpy().tobytes()[:n] for t, n in zip(found, lengths, strict=True)]

    def broadcast(self, content: bytes) -> bytes:
        """What the first process passes."""
        if self.count == 1:
            return content
        size = torch.tensor([len(content)])
        with self._watched():
            dist.broadcast(size, 0)
            held = torch.empty(int(size), dtype=torch.uint8)
            if self.is_first:
                held.numpy()[:] = np.frombuffer(content, dtype=np.uint8)
            if len(held):
                dist.broadcast(held, 0)
        return held.numpy().tobytes()

    def map(self, function: Callable[[list[T]], Iterable[R]], items: Sequence[T]) -> list[R]:
        """Apply `function` to a share of the items per process; return all results, in order.

        Results must be what JSON can hold: numbers, texts, lists, None.
        """
        if self.count == 1:
            return list(function(list(items)))
        own = list(function(list(items[self.rank :: self.count])))
        results: list[Any] = [None] * len(items)
        for rank, found in enumerate(self.gather(json.dumps(own).encode())):
            results[rank :: self.count] = json.loads(found)
        return results

    def wait(self) -> None:
        """Wait until all processes have come here."""
        if self.count > 1:
            with self._watched():
                dist.barrier()

    @contextmanager
    def first_process_first(self) -> Generator[None]:
        """A block that the first process runs before the others, who find what it has written."""
        if not self.is_first:
            self.wait()
        yield
        if self.is_first:
            self.wait()

    def require_same(self, values: Mapping[str, Any]) -> None:
        """Check that all processes have the same settings and data.

        Raises:
            ConfigError: one differs from the first, with the first value that does.
        """
        found = [json.loads(own) for own in self.gather(json.dumps(values, default=str).encode())]
        for rank, own in enumerate(found):
            for key in {**found[0], **own}:
                here, there = found[0].get(key), own.get(key)
                if here != there:
                    raise ConfigError(
                        f"{key} is {here!r} in the first process and {there!r} in process {rank}; "
                        "start all with the same configuration, data and version"
                    )

    @contextmanager
    def _watched(self) -> Generator[None]:
        """Communication, of which a failure is the death of another process."""
        try:
            yield
        except RuntimeError as error:
            assert self.peers is not None
            raise self.peers.explain(error) from None


ALONE = Processes()
