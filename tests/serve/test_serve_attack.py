"""A short form of the attack on the service, and that it sees what breaks."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from dataclasses import replace
from itertools import islice
from random import Random
from urllib.parse import urlsplit

import pytest

from attacks import connections
from attacks.hostile_requests import costly, extreme, malformed
from attacks.service import Target, trials
from penstock.serve.settings import Settings
from serving import real_service, small_serving


def test_nothing_breaks() -> None:
    # with one pair and short texts nearly all requests by the schema come as far as a model
    every = small_serving()
    pair = ("de", "en")
    serving = replace(every, pairs={pair: every.pairs[pair]}, names={pair: every.names[pair]})
    with real_service(Settings(max_characters=600), serving) as url:
        tried = list(islice(trials(Target(urlsplit(url).port or 0), Random(1)), 60))
    assert [trial for trial in tried if trial.broke] == []
    assert len(Counter(trial.what for trial in tried)) > 20


def test_a_seed_repeats_its_requests() -> None:
    for make in (malformed, extreme, costly):
        first, second = ([make(random) for _ in range(20)] for random in (Random(3), Random(3)))
        assert first == second
        assert len({content for _, content in first}) > 5


@pytest.mark.parametrize(
    ("answer", "broke"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", ""),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", ""),
        (b"HTTP/1.1 500 Internal Server Error\r\n\r\n", "status 500"),
        (b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 502 Bad Gateway\r\n\r\n", "status 502"),
        (None, "no answer within 0.3 s"),
    ],
)
def test_it_sees_what_breaks(
    answer: bytes | None, broke: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HANG_SECONDS", 0.3)
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                if answer is None:
                    over.wait(5)
                else:
                    connection.sendall(answer)

        server = threading.Thread(target=serve)
        server.start()
        found = connections.exchange(listener.getsockname()[1], b"x", Random(1))
        over.set()
        server.join(5)
    assert found.startswith(broke)
    assert bool(found) == bool(broke)
