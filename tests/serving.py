"""A service for tests: tiny random models, and a worker that does as it is told."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar, cast

import torch
import uvicorn
from fastapi import FastAPI
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from penstock.bundle import Bundle
from penstock.config import RunConfig, TokenizerConfig, parse_config
from penstock.runtime.torch_network import network_files
from penstock.search import ShouldStop
from penstock.serve.application import create_app
from penstock.serve.connections import GuardedProtocol
from penstock.serve.inference.cost import Cost
from penstock.serve.inference.worker import Worker
from penstock.serve.models.model_set import Models
from penstock.serve.models.served_models import ServedModels
from penstock.serve.prometheus import Metrics
from penstock.serve.settings import Settings
from penstock.tasks import TASKS
from penstock.tasks.classification.text_classifier import TextClassifier
from penstock.tasks.cloze.blank_filler import BlankFiller
from penstock.tasks.language_model.text_generator import TextGenerator
from penstock.tasks.translation.result import Translation
from penstock.tasks.translation.search_options import SearchOptions
from penstock.tasks.translation.translator import Translator
from penstock.text import Tokenizer

T = TypeVar("T")

GERMAN = ["der Hund sieht eine Katze .", "die Frau liest ein Buch ."]
FRENCH = ["le chien voit un chat .", "la femme lit un livre ."]
ENGLISH = ["the dog sees a cat .", "the woman reads a book ."]
_MODEL = {"hidden_size": 12, "embedding_size": 8}


def _tokenizer(texts: Sequence[str]) -> Tokenizer:
    return Tokenizer.train(texts, TokenizerConfig(kind="word", min_frequency=1))


def _bundle(raw: dict[str, Any], source: Tokenizer, target: Tokenizer, *, seed: int) -> Bundle:
    config: RunConfig = parse_config(raw)
    torch.manual_seed(seed)
    model = (
        TASKS[config.task]
        .learning()
        .network(config, source_size=source.vocab_size, target_size=target.vocab_size)
    )
    return Bundle(config, source, target, files=network_files(model))


def random_translator(
    source: Sequence[str], target: Sequence[str], *, seed: int = 1, **model: Any
) -> Translator:
    """An untrained model over the words of two lists of sentences; `model`: its other keys."""
    words: dict[str, Any] = {"kind": "word"}
    raw = {"text": {"source": words, "target": words}, "model": {**_MODEL, **model}}
    return Translator(_bundle(raw, _tokenizer(source), _tokenizer(target), seed=seed))


def _one_text(task: str, labels: Sequence[str] = ()) -> Bundle:
    raw: dict[str, Any] = {
        "task": task,
        "data": {"train": "unused.tsv"},
        "text": {"source": {"kind": "word"}},
        "model": _MODEL,
    }
    source = _tokenizer(ENGLISH)
    target = _tokenizer(labels) if labels else source
    return _bundle(raw, source, target, seed=5)


@cache
def small_serving() -> ServedModels:
    """German and French to English, English to German, and a model of each other task."""
    return ServedModels(
        pairs={
            ("de", "en"): random_translator(GERMAN, ENGLISH, seed=1),
            ("fr", "en"): random_translator(FRENCH, ENGLISH, seed=2),
            ("en", "de"): random_translator(ENGLISH, GERMAN, seed=3),
        },
        names={("de", "en"): "de-en", ("fr", "en"): "fr-en", ("en", "de"): "back"},
        models={
            "classification": {
                "kinds": TextClassifier(_one_text("classification", ["good", "bad"]))
            },
            "cloze": {"gaps": BlankFiller(_one_text("cloze"))},
            "language-model": {"novel": TextGenerator(_one_text("language-model"))},
        },
    )


def models_of(serving: ServedModels) -> Models:
    """As if they had been loaded."""
    models = Models([])
    models._current = serving
    models.ready = True
    return models


class PlainWorker:
    """Works at once in the event loop; holds, fails and counts as a test says.

    Attributes:
        lines, clients: what it was asked to translate, and by whom.
        error: raised instead of working.
        hold: work waits as long as it is set.
        dropped: times that waiting work was cancelled.
    """

    waiting = 0

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.lines: list[list[str]] = []
        self.clients: list[str] = []
        self.options: list[SearchOptions] = []
        self.error: Exception | None = None
        self.hold = False
        self.dropped = 0

    async def translate(
        self,
        translator: Translator,
        texts: Sequence[str],
        options: SearchOptions,
        *,
        client: str = "",
        deadline: float | None = None,
    ) -> list[Translation]:
        self.clients.append(client)
        self.lines.append(list(texts))
        self.options.append(options)
        return await self.call(
            lambda stop: translator.translate(texts, options, should_stop=stop), deadline=deadline
        )

    async def call(
        self,
        function: Callable[[ShouldStop], T],
        *,
        cost: Cost | None = None,
        client: str = "",
        deadline: float | None = None,
        texts: int = 1,
    ) -> T:
        try:
            while self.hold:
                await asyncio.sleep(0.005)
        except asyncio.CancelledError:
            self.dropped += 1
            raise
        if self.error is not None:
            raise self.error
        return function(lambda: False)

    async def stream(
        self,
        start: Callable[[], Iterator[str]],
        *,
        cost: Cost | None = None,
        client: str = "",
        deadline: float | None = None,
    ) -> AsyncIterator[str]:
        for piece in await self.call(lambda _: start()):
            yield piece


def plain_app(
    settings: Settings | None = None, *, worker: PlainWorker | None = None, serving: Any = None
) -> FastAPI:
    """An application with a plain worker."""
    models = models_of(small_serving() if serving is None else serving)
    return create_app(models, cast(Worker, worker or PlainWorker()), settings or Settings())


@contextmanager
def real_service(settings: Settings, serving: ServedModels | None = None) -> Iterator[str]:
    """The whole of it, with the real worker behind a real socket, and its URL."""
    worker = Worker(settings)
    try:
        app = create_app(models_of(serving or small_serving()), worker, settings)
        with running(app, http=GuardedProtocol) as url:
            yield url
    finally:
        # in a thread of its own: a browser's loop may be running in this one
        ending = threading.Thread(target=lambda: asyncio.run(worker.close(drain=False)))
        ending.start()
        ending.join()


def client_of(app: FastAPI) -> TestClient:
    """Asks in process; an error of ours is an answer of 500, as it is for a real client."""
    return TestClient(app, base_url="http://localhost", raise_server_exceptions=False)


@contextmanager
def running(app: ASGIApp, http: type[asyncio.Protocol] | None = None) -> Iterator[str]:
    """The application behind a real socket, and its URL; `http` speaks on its connections."""
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_level="critical", lifespan="off", http=http or "auto"
    )
    config.load()
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started)
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()


def until(condition: Callable[[], bool], *, seconds: float = 60) -> None:
    """Wait for something that another thread brings about."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.005)
