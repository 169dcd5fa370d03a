"""Prometheus metrics: counts and times, never a text, a key or an address."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from penstock.tasks.translation.result import Translation

_SECONDS = (0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2, 4, 8, 16)
_TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)

CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """The metrics of one application, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "penstock_requests", "Requests by route and status.", ["route", "status"],
            registry=registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "penstock_request_seconds", "Time from a request's head to its last byte.", ["route"],
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._waiting = Gauge("penstock_queue_texts", "Queued texts.", registry=registry)
        self._batches = Histogram(
            "penstock_batch_texts", "Texts translated together.", buckets=_TEXTS, registry=registry
        )
        self._batch_seconds = Histogram(
            "penstock_batch_seconds", "Time per batch.", buckets=_SECONDS, registry=registry
        )
        pieces = Counter(
            "penstock_pieces", "Pieces read and written.", ["direction"], registry=registry
        )
        self._pieces_in, self._pieces_out = pieces.labels("in"), pieces.labels("out")
        self._statuses = Counter(
            "penstock_translations", "Translations by status.", ["status"], registry=registry
        )
        self._rejected = Counter(
            "penstock_refused",
            "Rejected or dropped work, by reason.",
            ["reason"],
            registry=registry,
        )
        self._reloads = Counter(
            "penstock_reloads", "Reloads of the models, by outcome.", ["outcome"],
            registry=registry,
        )  # fmt: skip

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Count an answered request; `route` is the path's template, never the path itself."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def count_batch(self, results: Sequence[Translation], seconds: float) -> None:
        """Count a batch of translations."""
        self._batches.observe(len(results))
        self._batch_seconds.observe(seconds)
        self._pieces_in.inc(sum(len(result.source_tokens) for result in results))
        written = (result.alternatives[0] for result in results if result.alternatives)
        self._pieces_out.inc(sum(len(best.tokens) for best in written))
        for result in results:
            self._statuses.labels(result.status).inc()

    def count_rejection(self, reason: str) -> None:
        """Count rejected or dropped work: `queue_full`, `deadline` or `gone`."""
        self._rejected.labels(reason).inc()

    def count_reload(self, outcome: str) -> None:
        """Count a reload of the models: `done` or `failed`."""
        self._reloads.labels(outcome).inc()

    def page(self, waiting: int) -> bytes:
        """Render `/metrics`, of type `CONTENT_TYPE`; `waiting` is `Worker.waiting`."""
        self._waiting.set(waiting)
        return generate_latest(self._registry)
