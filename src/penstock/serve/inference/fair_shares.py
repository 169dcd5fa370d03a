"""How clients share the inference threads: who is next, and who has asked for too much.

Weighted fair queueing: the next request is the one that would finish first if all clients, and
within each client all of its requests, were computed at the same time, each with an equal share. So
a small request goes before a large one of any client, a client that asks for more waits longer,
and nothing waits for ever (Demers, Keshav and Shenker, 1989; Friedman and Henderson, 2003:
https://doi.org/10.1145/781027.781065).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from penstock.serve.service_errors import OverBudgetError, QueueFullError

_MOST_CLIENTS = 10_000  # remembered ones without a request
_RETRY_AT_MOST = 60.0  # s


@dataclass(eq=False, slots=True)
class Client:
    """A key's holder or an address.

    Attributes:
        used: seconds that it was served, comparable between clients.
        clock: virtual time: seconds that each of its requests had while it was among them.
        shares: its unfinished requests.
        texts: its queued texts.
    """

    used: float
    clock: float = 0.0
    shares: set[Share] = field(default_factory=set["Share"])
    texts: int = 0


@dataclass(eq=False, slots=True)
class Share:
    """What one request gets.

    Attributes:
        client: whose it is.
        cost: estimated seconds of one thread.
        deadline: seconds that it may take.
        is_stream: it comes in turns, so it is like a request for what it had so far.
        had: seconds that it had.
        begun: the client's clock when it came.
    """

    client: Client
    cost: float
    deadline: float
    is_stream: bool = False
    had: float = 0.0
    begun: float = field(init=False)

    def __post_init__(self) -> None:
        self.begun = self.client.clock

    @property
    def finish(self) -> float:
        """The virtual time at which it would finish; the smallest is next."""
        client = self.client
        if self.is_stream:
            return client.used + self.had
        return client.used - client.clock + self.begun + self.had + self.left

    @property
    def left(self) -> float:
        """Estimated seconds that it still needs."""
        return seconds_left(self.cost, self.had)


def seconds_left(cost: float, had: float) -> float:
    """Estimate the rest: what has taken longer than expected will take as long again."""
    return cost - had if had < cost else had


class FairShares:
    """The shares of all clients. Not thread-safe.

    Args:
        parallel: the number of threads.
        deadline: usual seconds of a request.
    """

    def __init__(self, *, parallel: int, deadline: float) -> None:
        self._parallel = parallel
        self._deadline = deadline
        self._clients: dict[str, Client] = {}

    def admit(
        self, name: str, *, cost: float, deadline: float | None, is_stream: bool = False
    ) -> Share:
        """Give a request its share.

        All requests of a client must be computable before their deadlines with its share of the
        machine: a request that needs all of one thread until its deadline is a load of 1.

        Args:
            name: the client's.
            cost: estimated seconds of one thread.
            deadline: seconds that it may take.
            is_stream: see `Share`.

        Raises:
            OverBudgetError: the client asks for more than its share.
            QueueFullError: all clients together do.
        """
        deadline = min(deadline or self._deadline, 1e6)
        client = self._clients.get(name) or Client(used=0.0)
        others = [each for each in self._active() if each is not client]
        most = self._parallel / (len(others) + 1)
        load, own = cost / deadline, _load(client)
        if load > self._parallel or (client.shares and load + own > most):
            limit = self._parallel if load > self._parallel else most
            raise OverBudgetError(
                cost=cost, pending=own * deadline, limit=limit * deadline,
                retry_after=self.retry_after(),
            )  # fmt: skip
        if load > most and load + sum(map(_load, others)) > self._parallel:
            raise QueueFullError(
                "what is queued takes longer than a request may; try again later",
                retry_after=self.retry_after(),
            )
        if not client.shares and others:  # nobody saves time for later
            client.used = max(client.used, min(each.used for each in others))
        self._clients[name] = client
        share = Share(client, cost, deadline, is_stream)
        client.shares.add(share)
        return share

    def charge(self, share: Share, seconds: float) -> None:
        """Record what a request had."""
        share.had += seconds
        share.client.used += seconds
        share.client.clock += seconds / max(1, len(share.client.shares))

    def release(self, share: Share) -> None:
        """Forget a request that is answered."""
        share.client.shares.discard(share)
        if share.client.shares:
            return
        active = self._active()
        if not active:
            self._clients.clear()  # nobody has had more than another that still waits
        elif len(self._clients) > len(active) + _MOST_CLIENTS:
            self._clients = {name: c for name, c in self._clients.items() if c.shares}

    def texts_of(self, client: Client, queue: int) -> int:
        """How many texts a client may have in a full queue."""
        others = sum(each is not client for each in self._active())
        return queue // (others + 1)

    def retry_after(self) -> float:
        """Seconds until what is queued now is done."""
        left = sum(share.left for client in self._clients.values() for share in client.shares)
        return min(max(1.0, left / self._parallel), _RETRY_AT_MOST)

    def _active(self) -> list[Client]:
        return [client for client in self._clients.values() if client.shares]


def _load(client: Client) -> float:
    return sum(share.left / share.deadline for share in client.shares)
