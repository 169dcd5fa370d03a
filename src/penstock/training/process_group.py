"""Joining the processes that `torchrun` or `--processes` has started."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta

import torch
import torch.distributed as dist
from torch.distributed import PrefixStore, TCPStore  # pyright: ignore[reportPrivateImportUsage]

from penstock.errors import TrainingError, UsageError
from penstock.training.peers import Peers
from penstock.training.processes import Processes

_JOIN_SECONDS, _END_SECONDS = 300.0, 10.0
_PARENT = "PENSTOCK_PARENT"
_LONG = timedelta(days=30)  # peers notice who is gone; who is slow may be waited for


def in_group(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this process is one of several, as the variables of `torchrun` say."""
    return "RANK" in environment and int(environment.get("WORLD_SIZE", "1")) > 1


def restarted(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether `torchrun --max-restarts` has started this process after a failure."""
    return in_group(environment) and environment.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"


def _parent_fate(rank: int) -> str:
    """What a process that `--processes` started knows of the first, its parent."""
    parent = os.environ.get(_PARENT)
    return "has ended" if rank == 0 and parent and int(parent) != os.getppid() else ""


@contextmanager
def joined_processes(fate: Callable[[int], str] = _parent_fate) -> Generator[Processes]:
    """The processes that train together, of which this is one; a value for one process if alone.

    Leaving the block waits for the others; an error that leaves it ends them too.

    Args:
        fate: what became of a process, for messages; empty while nothing is known.

    Raises:
        TrainingError: the others cannot be reached.
    """
    if not in_group():
        yield Processes()
        return
    rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    if torch.get_num_threads() > 1 and "OMP_NUM_THREADS" not in os.environ:
        share = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        torch.set_num_threads(max(1, torch.get_num_threads() // share))
    store = _store(rank, fate)
    names = _names(store, rank, count, fate)
    nccl = torch.cuda.is_available() and dist.is_nccl_available()
    try:
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if nccl else "gloo",
            store=PrefixStore("group", store),
            rank=rank,
            world_size=count,
            timeout=_LONG,
        )
    except RuntimeError as error:  # also of a process that ended between joining and this
        reason = str(error).strip().split("\n")[0]
        raise TrainingError(
            f"{names[rank]} cannot connect to the others ({reason}); training has not begun. They "
            "talk over the network interface of their host name: GLOO_SOCKET_IFNAME chooses another"
        ) from None
    peers = Peers(store, rank, names, fate)
    processes = Processes(rank, count, peers)
    try:
        processes.wait()
        yield processes
        processes.wait()
    except BaseException as error:
        instead = peers.report(error)
        if instead is not None:
            instead.exit_code = getattr(error, "exit_code", 1)
            raise instead from None
        raise
    finally:
        peers.close()
    dist.destroy_process_group()


def _store(rank: int, fate: Callable[[int], str]) -> PrefixStore:
    """The store through which processes meet: `torchrun` keeps it, or the first process."""
    host, port = os.environ.get("MASTER_ADDR", "127.0.0.1"), os.environ.get("MASTER_PORT", "29500")
    kept_elsewhere = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    until = time.monotonic() + _JOIN_SECONDS
    while True:
        try:
            store = TCPStore(
                host,
                int(port),
                is_master=rank == 0 and not kept_elsewhere,
                timeout=timedelta(seconds=5),
                wait_for_workers=False,
                multi_tenant=True,
            )
        except (RuntimeError, ValueError) as error:
            if rank and fate(0):
                raise TrainingError(f"process 0 {fate(0)}; training has not begun") from None
            if rank and isinstance(error, RuntimeError) and time.monotonic() < until:
                continue
            in_use = "EADDRINUSE" in str(error)
            reason = "the port is in use" if in_use else str(error).split("\n")[0]
            raise UsageError(
                f"{host}:{port}: {reason}; the processes meet there: set MASTER_ADDR and "
                "MASTER_PORT, or torchrun's --rdzv-endpoint, to an address of the first one with a "
                "free port"
            ) from None
        store.set_timeout(timedelta(seconds=_JOIN_SECONDS))
        # torchrun's store outlives a restart, and holds what the processes before it wrote
        return PrefixStore(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"), store)


def _names(store: PrefixStore, rank: int, count: int, fate: Callable[[int], str]) -> list[str]:
    """Wait until all processes are there; return what messages call them."""
    keys = [f"joined/{other}" for other in range(count)]
    until = time.monotonic() + _JOIN_SECONDS
    try:
        store.set(
            keys[rank], f"process {rank} of {count} ({socket.gethostname()}, pid {os.getpid()})"
        )
        while missing := [other for other in range(count) if not store.check([keys[other]])]:
            gone = [f"process {other} {text}" for other in missing if (text := fate(other))]
            if gone or time.monotonic() > until:
                absent = ", ".join(gone) or f"process {missing[0]} of {count} has not come"
                raise TrainingError(f"{absent}; training has not begun")
            time.sleep(0.05)
        return [name.decode() for name in store.multi_get(keys)]
    except RuntimeError:
        raise TrainingError("process 0 has ended before training began") from None


@contextmanager
def started_processes(count: int, arguments: Sequence[str]) -> Generator[Callable[[int], str]]:
    """Start this command `count` - 1 times more; this process is the first of the group.

    Yields:
        What became of a process, in words; empty while it runs.
    """
    server = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, multi_tenant=True)
    group = {
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(server.port),
        _PARENT: str(os.getpid()),
    }
    workers = {
        rank: subprocess.Popen(
            [sys.executable, "-m", "penstock", *arguments],
            env={**os.environ, **group, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        for rank in range(1, count)
    }
    before = dict(os.environ)
    os.environ.update(group, RANK="0", LOCAL_RANK="0")
    os.environ.pop(_PARENT)

    def fate(rank: int) -> str:
        status = workers[rank].poll() if rank in workers else None
        if status is None:
            return ""
        if status < 0:
            return f"was killed by {signal.Signals(-status).name}"
        return f"ended with status {status}"

    try:
        yield fate
    finally:
        os.environ.clear()
        os.environ.update(before)
        for end in (None, signal.SIGTERM, signal.SIGKILL):  # they end by themselves, as a rule
            for worker in workers.values():
                with suppress(subprocess.TimeoutExpired):
                    if end is not None:
                        worker.send_signal(end)
                    worker.wait(_END_SECONDS)


@contextmanager
def training_processes(count: int, arguments: Sequence[str]) -> Generator[Processes]:
    """The processes that train together: those of `torchrun`, or `count` of this machine.

    Args:
        count: processes to start, this one included.
        arguments: of this command.

    Raises:
        UsageError: `torchrun` has started another number.
        TrainingError: the others cannot be reached.
    """
    started = int(os.environ["WORLD_SIZE"]) if in_group() else 1
    if count > 1 and started not in (1, count):
        raise UsageError(f"--processes {count}: torchrun has started {started}; leave it out")
    if count == 1 or started == count:
        with joined_processes() as processes:
            yield processes
        return
    with started_processes(count, arguments) as fate, joined_processes(fate) as processes:
        yield processes
