"""The server process: socket, event loop, signals and graceful shutdown.

| signal | effect |
|---|---|
| SIGTERM, SIGINT | `/ready` fails, new work is rejected, accepted work is finished, exit 0 |
| the same again | exit without finishing |
| SIGHUP | reload the models from their paths and swap them in |
"""

from __future__ import annotations

import asyncio
import errno
import math
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penstock.errors import PenstockError, UsageError
from penstock.serve import json_log
from penstock.serve.api.model_router import rank_languages
from penstock.serve.application import create_app
from penstock.serve.connections import GuardedProtocol
from penstock.serve.inference.worker import Worker
from penstock.serve.models.model_set import Models
from penstock.serve.settings import Settings

_BACKLOG = 2048
_ACCEPTS = 64  # connections accepted per turn, and failed attempts when out of file descriptors
# how long a thread that computes in Python keeps the lock from one that waits for it: between two
# graph calls a small request would wait for 5 ms
_SWITCH_SECONDS = 0.001
_IDLE_SECONDS = 75  # an idle connection is kept longer than proxies keep theirs


def run_server(
    models: Models,
    settings: Settings,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    announce: Callable[[str], None],
) -> None:
    """Serve until a signal arrives.

    Args:
        models: not loaded yet.
        settings: the limits.
        host, port: the address to listen on; port 0 picks a free one.
        announce: called once when ready, with what is served and where.

    Raises:
        PenstockError: the port is in use, or a model cannot be loaded or run.
    """
    listener = listen(host, port)
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        asyncio.run(_Process(models, settings, listener).run(announce))
    finally:
        listener.close()


def listen(host: str, port: int) -> socket.socket:
    """Open a listening socket.

    Raises:
        UsageError: an unknown host.
        PenstockError: the port is in use or not allowed.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        listener = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
        # asyncio does this only for sockets that it opens itself; without it the second packet of
        # an answer waits 40 ms for the delayed ACK of the first
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except socket.gaierror as error:
        raise UsageError(
            f"--host {host}: {error.strerror}; give an address of this machine"
        ) from None
    except OSError as error:
        reasons = {
            errno.EADDRINUSE: f"port {port} is in use; give another --port, or 0 for a free one",
            errno.EACCES: f"port {port} is not allowed; give a --port above 1023",
            errno.EADDRNOTAVAIL: "not an address of this machine; give one that is with --host",
        }
        reason = reasons.get(error.errno or 0, error.strerror or str(error))
        raise PenstockError(f"{host}: {reason}") from None


def address_of(listener: socket.socket) -> str:
    """The service's URL."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Process:
    """One run of the service."""

    def __init__(self, models: Models, settings: Settings, listener: socket.socket) -> None:
        self._models = models
        self._settings = settings
        self._listener = listener
        self._worker = Worker(settings)
        for library in ("uvicorn.error", "asyncio"):
            json_log.take_over(library)
        # it quotes what a client sent; the client gets the same message as an answer
        json_log.silence("python_multipart")
        app = _closing_connections(create_app(models, self._worker, settings), models)
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                http=GuardedProtocol,
                log_config=None,
                access_log=False,
                lifespan="off",
                ws="none",
                proxy_headers=False,  # the application trusts only the configured proxies
                server_header=False,
                backlog=_ACCEPTS,
                timeout_keep_alive=_IDLE_SECONDS,
                timeout_graceful_shutdown=math.ceil(settings.deadline) + 1,
            )
        )
        self._stop = asyncio.Event()
        self._has_served = False
        self._reloads: set[asyncio.Task[None]] = set()

    async def run(self, announce: Callable[[str], None]) -> None:
        """Serve until a signal arrives; `/health` answers while the models load."""
        serving = asyncio.create_task(self._server.serve(sockets=[self._listener]))
        # uvicorn installs its own signal handlers at its start; ours must replace them
        await asyncio.sleep(0)
        self._take_signals()
        try:
            await self._first_of(asyncio.create_task(self._load()), serving)
            if not self._stop.is_set() and not serving.done():
                where = address_of(self._listener)
                self._has_served = True
                self._listener.listen(_BACKLOG)  # asyncio has set it to `_ACCEPTS`
                announce(f"serving {self._models.current.summary()} on {where}")
                json_log.write("ready", pairs=self._models.current.summary())
                await self._first_of(serving)
            await self._drain()
        finally:
            self._server.should_exit = True
            await serving
            await self._worker.close(drain=False)
            if self._has_served:
                json_log.write("stopped")

    async def _load(self) -> None:
        await asyncio.to_thread(self._models.load)
        # the worker's thread needs its own warm-up
        await self._worker.call(lambda _: self._models.current.warm_up())
        # load the language detector before the first text needs it
        await rank_languages([""], {source for source, _ in self._models.current.pairs})
        self._models.ready = True

    async def _first_of(self, *tasks: asyncio.Task[None]) -> None:
        """Wait for the stop signal or the first task; raise the task's failure."""
        stop = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait([stop, *tasks], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
        for task in tasks:
            if task.done():
                await task

    async def _drain(self) -> None:
        """Finish accepted work while `/ready` already reports that the service is draining."""
        self._models.draining = True
        json_log.write("draining", texts=self._worker.waiting)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.deadline):
                await self._worker.drain()

    def _take_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._end)
        loop.add_signal_handler(signal.SIGHUP, self._reload)

    def _end(self) -> None:
        if self._stop.is_set():
            self._server.should_exit = self._server.force_exit = True
        self._stop.set()

    def _reload(self) -> None:
        if not self._models.ready:
            return  # the first load is still running
        task = asyncio.create_task(self._reloaded())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    async def _reloaded(self) -> None:
        outcome = await self._models.reload()
        self._worker.metrics.count_reload(outcome)


def _closing_connections(app: ASGIApp, models: Models) -> ASGIApp:
    """Send `Connection: close` while draining, so that clients reuse no connection."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_on(message: Message) -> None:
            if models.draining and message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        await app(scope, receive, send_on)

    return answer
