"""The page and its /v1 answers without a model: canned, quick, and wrong on demand."""

from __future__ import annotations

import json
import math
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

PAGE = Path(__file__).parents[1] / "src" / "penstock" / "insight" / "page"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
SOURCE = ["▁Ein", "▁Mann", "▁putzt", "▁ein", "▁Fenster", ".", "<eos>"]
OWN = ["▁A", "▁man", "▁is", "▁cleaning", "▁a", "▁window", ".", "<eos>"]
OTHER = {"▁A": "▁One", "▁man": "▁woman", "▁is": "▁cleans", "▁cleaning": "▁washing"}
GATES = ("input", "forget", "output", "cell", "hidden")
MODELS: dict[str, Any] = {
    "pairs": [
        {
            "source": source,
            "target": "en",
            "name": f"{source}-en",
            "cell": "lstm",
            "attention": attention,
            "beam_size": 5,
        }
        for source, attention in (("de", "dot"), ("fr", "none"))
    ],
    "classifiers": [{"name": "mood"}],
    "fillers": [{"name": "gaps"}],
    "generators": [{"name": "novel"}],
    "run": "multi30k",
    "max_characters": 6000,
}


@dataclass
class FakeService:
    """What the server answers, and what it was asked.

    Attributes:
        delay: s before each answer under /v1 but the models'.
        failure: (status, code, message) of every translation from now on.
        key: what the `Authorization` header must hold.
        asked: (path, body or query) in order.
    """

    delay: float = 0.0
    failure: tuple[int, str, str] | None = None
    key: str | None = None
    asked: list[tuple[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(
        default_factory=lambda: [evaluation(update) for update in range(500, 3500, 500)]
    )
    finished: bool = False
    url: str = ""

    def bodies(self, path: str) -> list[Any]:
        """What was asked of one path."""
        return [body for asked, body in self.asked if asked == path]


def evaluation(update: int) -> dict[str, Any]:
    """An event of log.jsonl."""
    loss = 2 + 4 * math.exp(-update / 1000)
    return {
        "event": "evaluation",
        "update": update,
        "epoch": update // 1500,
        "seconds": update / 5,
        "tokens": update * 300,
        "train_loss": loss + 0.9,
        "loss": loss,
        "perplexity": math.exp(loss),
        "bleu": 36 - 9 * loss / 2,
        "best": True,
    }


def translation(body: dict[str, Any]) -> dict[str, Any]:
    """As `penstock translate --format json`, with the languages."""
    text = body["texts"]
    words = " ".join(OWN[:-1]).replace("▁", "").replace(" .", ".")
    known = "Mann" in text
    output = words if known else text.upper()
    return {
        "source": text,
        "text": output,
        "status": "split" if len(text) > 5100 else "ok" if known else "unknown-heavy",
        "parts": 1,
        "score": -0.31,
        "log_probability": -2.1,
        "confidence": 0.874 if known else None,
        "expected_chrf": 91.2 if known else None,
        "read_as": None,
        "tokens": OWN[:-1],
        "token_log_probabilities": [-0.25] * len(OWN),
        "source_tokens": SOURCE,
        "alignment": None,
        "alternatives": [
            {"text": f"{output} {n}", "score": -0.4 - n / 10, "log_probability": -2.5 - n}
            for n in range(3)
        ],
        "seconds": 0.01,
        "source_language": "de" if body["source"] == "auto" else body["source"],
        "target_language": body["target"],
    }


def inspection(body: dict[str, Any]) -> dict[str, Any]:
    """A made-up inspection; a forced prefix stays, and the rest is the model's own."""
    prefix = body["prefix"]
    tokens = [*prefix, *OWN[len(prefix) :]]
    text = "".join(tokens[:-1]).replace("▁", " ").strip()
    mean = [spread(target, len(SOURCE)) for target in range(len(tokens))]
    exact = None
    if body["exact"]:
        exact = {
            "text": "One man is washing a window.",
            "tokens": tokens,
            "score": -0.29,
            "log_probability": -2.0,
            "certified": True,
            "bound": -0.29,
            "extended": 1243,
        }
    return {
        "source": body["text"],
        "text": text,
        "status": "ok",
        "score": -0.31,
        "log_probability": -2.1,
        "search": {"beam_size": 5, "normalization": "book", "length_penalty": 1.0},
        "prefix": prefix,
        "source_tokens": SOURCE,
        "target_tokens": tokens,
        "token_log_probabilities": [-0.1 - 0.9 * (place == 3) for place in range(len(tokens))],
        "attention": {"heads": [mean, mean[::-1]], "mean": mean},
        "choices": [choices(token) for token in tokens],
        "tree": {"nodes": tree(tokens, exact=body["exact"])},
        "exact": exact,
        "gates": [
            block("encoder", 1, "forward", SOURCE, units=body["units"]),
            block("encoder", 1, "backward", SOURCE, units=body["units"]),
            block("decoder", 1, "forward", ["<bos>", *tokens[:-1]], units=body["units"]),
        ],
    }


def spread(centre: int, length: int) -> list[float]:
    """Weights around a place, which sum to one."""
    raw = [math.exp(-((place - centre * length / 8) ** 2)) for place in range(length)]
    return [value / sum(raw) for value in raw]


def choices(token: str) -> list[dict[str, Any]]:
    """The token itself and others."""
    names = [token, OTHER.get(token, "▁the"), "▁two", "<eos>"]
    return [{"token": name, "log_probability": -0.2 - 1.5 * n} for n, name in enumerate(names)]


def tree(tokens: list[str], *, exact: bool) -> list[dict[str, Any]]:
    """A beam of two with three candidates pruned at each step."""
    nodes: list[dict[str, Any]] = []

    def add(parent: int | None, step: int, token: str, log_probability: float, state: str) -> int:
        before = nodes[parent]["total"] if parent is not None else 0.0
        finished = state in ("best", "finished")
        node = {
            "id": len(nodes),
            "parent": parent,
            "step": step,
            "token": token,
            "log_probability": log_probability,
            "total": before + log_probability,
            "score": -0.31 if finished else None,
            "state": state,
            "exact": False,
        }
        nodes.append(node)
        return len(nodes) - 1

    first = second = seldom = add(None, 0, "<bos>", 0.0, "kept")
    for step, token in enumerate(tokens, 1):
        last = step == len(tokens)
        parent = first
        first = add(parent, step, token, -0.2, "best" if last else "kept")
        side = add(second, step, OTHER.get(token, token), -1.4, "finished" if last else "kept")
        for n, name in enumerate(("▁the", "▁two", "▁girl")):
            add(parent if n < 2 else second, step, name, -3.0 - n, "pruned")
        if exact and step > 1:
            seldom = add(seldom, step, token, -0.9, "unseen")
        second = side
        if step == 1:
            seldom = side
    for node in nodes:
        node["exact"] = exact and (node["state"] == "unseen" or node["id"] in (0, 2))
    return nodes


def block(
    side: str, layer: int, direction: str, tokens: list[str], *, units: bool
) -> dict[str, Any]:
    """The gates of a layer with 12 units."""
    values: dict[str, Any] = {}
    for shift, gate in enumerate(GATES):
        mean = [0.5 + 0.45 * math.sin(place + shift) for place in range(len(tokens))]
        values[gate] = {"mean": mean, "units": None}
        if units:
            rows = [[round(100 * value * (unit + 1) / 12) for unit in range(12)] for value in mean]
            values[gate]["units"] = rows
    return {
        "side": side,
        "layer": layer,
        "direction": direction,
        "cell": "lstm",
        "size": 12,
        "tokens": tokens,
        "values": values,
    }


class _Handler(BaseHTTPRequestHandler):
    service: ClassVar[FakeService]

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path in ("/", "/docs"):
            return self._file(PAGE / ("index.html" if url.path == "/" else "docs.html"))
        if url.path.startswith("/page/"):
            return self._file(PAGE / url.path.removeprefix("/page/"))
        if self.service.key and self.headers["Authorization"] != f"Bearer {self.service.key}":
            return self._json({"error": {"code": "forbidden", "message": "no such key"}}, 403)
        if url.path == "/v1/models":
            return self._json(MODELS)
        if url.path == "/v1/run":
            after = int(parse_qs(url.query)["after"][0])
            self.service.asked.append((url.path, after))
            events = self.service.events
            answer = {"name": "multi30k", "events": events[after:], "next": len(events)}
            return self._json(answer | {"finished": self.service.finished})
        if url.path == "/openapi.json":
            return self._json(SCHEMA)
        return self._json({"error": {"code": "not_found", "message": url.path}}, 404)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.service.asked.append((self.path, body))
        time.sleep(self.service.delay)
        if self.service.failure is not None:
            status, code, message = self.service.failure
            return self._json({"error": {"code": code, "message": message}}, status)
        if self.path == "/v1/translate":
            return self._json({"translations": [translation(body)]})
        if self.path == "/v1/inspect":
            return self._json(inspection(body))
        if self.path == "/v1/classify":
            return self._json({"labels": [{"probabilities": {"sad": 0.2, "glad": 0.8}}]})
        if self.path == "/v1/fill":
            blank = [
                {"token": "house", "probability": 0.6},
                {"token": "garden", "probability": 0.1},
            ]
            return self._json({"filled": [{"text": "In the house .", "blanks": [blank]}]})
        pieces = "".join(f"data: {json.dumps({'text': word})}\n\n" for word in (" on", " and on"))
        self._answer((pieces + "event: done\ndata: {}\n\n").encode(), "text/event-stream")

    def _file(self, path: Path) -> None:
        if not path.is_file():
            return self._json({"error": "no such file"}, 404)
        self._answer(path.read_bytes(), f"{KINDS[path.suffix]}; charset=utf-8")

    def _json(self, content: object, status: int = 200) -> None:
        self._answer(json.dumps(content).encode(), "application/json", status)

    def _answer(self, content: bytes, kind: str, status: int = 200) -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Content-Security-Policy", POLICY)
            self.end_headers()
            self.wfile.write(content)
        except ConnectionError:
            pass  # the page gave the request up, as it does when one types on

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base's name)
        """Say nothing."""


SCHEMA: dict[str, Any] = {
    "info": {"title": "penstock", "version": "1", "description": "Translate."},
    "paths": {
        "/v1/translate": {
            "post": {
                "tags": ["own"],
                "summary": "Translate texts",
                "requestBody": {
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/Asked"}}
                    }
                },
                "responses": {"200": {"description": "The translations"}},
            }
        }
    },
    "components": {
        "schemas": {
            "Asked": {
                "required": ["texts"],
                "properties": {
                    "texts": {"type": "string", "description": "What to translate"},
                    "beam_size": {"anyOf": [{"type": "integer", "maximum": 16}, {"type": "null"}]},
                },
            }
        }
    },
}


class FakeServer:
    """Serves on a free port of 127.0.0.1 while the `with` lasts."""

    def __enter__(self) -> FakeService:
        service = FakeService()
        handler = type("Handler", (_Handler,), {"service": service})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        service.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return service

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
