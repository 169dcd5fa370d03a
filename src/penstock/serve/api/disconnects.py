"""Cancel work when its client has disconnected."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from starlette.types import Receive

from penstock.serve.api.error_responses import ClientGoneError

T = TypeVar("T")


async def unless_gone(receive: Receive, work: Awaitable[T]) -> T:
    """Await the work, and cancel it when the client closes its connection.

    Args:
        receive: of a request whose body has been read: the next message is the disconnect.
        work: anything that can be cancelled.

    Raises:
        ClientGoneError: the client has disconnected.
    """
    waiting = asyncio.current_task()
    assert waiting is not None
    is_gone = False

    async def watch() -> None:
        nonlocal is_gone
        while (await receive())["type"] != "http.disconnect":
            pass
        is_gone = True
        waiting.cancel()

    watcher = asyncio.create_task(watch())
    try:
        return await work
    except asyncio.CancelledError:
        if is_gone and waiting.uncancel() == 0:
            raise ClientGoneError from None
        raise
    finally:
        watcher.cancel()
