"""Hostile requests as bytes: malformed, extreme, and costly ones."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from attacks.connections import request
from attacks.extremes import FLOATS, INTEGERS, TEXTS

_PATHS = (
    "/translate", "/detect", "/v2/translate", "/v2/languages", "/v1/translate", "/v1/inspect",
    "/v1/classify", "/v1/fill", "/v1/generate",
)  # fmt: skip
_BODY = b'{"texts": "A dog."}'
_HEADS = (
    b"", b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/0.9\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET /\x00 HTTP/1.1\r\n\r\n",
    b"G\xc3\x89T / HTTP/1.1\r\n\r\n", b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET //evil.example/%00%ff HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /page/../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /page/%2e%2e%2fapplication.py HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", b"TRACE / HTTP/1.1\r\n\r\n",
    b"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: \xff\xfe\r\n\r\n", b"GET / HTTP/1.1\nHost: localhost\n\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\n folded: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    b"GET /v1/run?after=" + b"9" * 5000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: \x80\xff,,,*\r\n\r\n",
)  # fmt: skip
_CHUNKS = (
    b"", b"0\r\n\r\n", b"5\r\nabc\r\n", b"-1\r\n\r\n", b"FFFFFFFFFFFFFFFFF\r\nx\r\n", b"zz\r\n\r\n",
    b"1;" + b"x" * 100_000 + b"\r\n{\r\n", b"1\r\n{" * 1000, b"0\r\nX: y\r\n\r\n",
    b"7FFFFFFFFFFFFFFF\r\n" + b"x" * 300_000,
)  # fmt: skip
_LENGTHS = (b"-1", b"0", b"1e9", b"99999999999999999999", b"19, 19", b"+19", b" 19 ", b"0x13")
_KINDS = (
    b"application/json", b"application/x-www-form-urlencoded", b"text/plain", b"", b"\xff",
    b"multipart/form-data; boundary=b", b"multipart/form-data", b"multipart/form-data; boundary=",
    b"application/json; charset=utf-16", b"multipart/form-data; boundary=" + b"b" * 5000,
)  # fmt: skip
_FORMS = (
    b"q=%ff&source=en", b"&" * 5000, b"q=" + b"a+" * 50_000, b"=", b"--b\r\n\r\n",
    b'--b\r\nContent-Disposition: form-data; name="q"\r\n\r\nx\r\n--b--\r\n',
    b'--b\r\nContent-Disposition: form-data; name="q"; filename="f"\r\n\r\nx\r\n--b--\r\n',
    b"--b\r\n" + b"X: y\r\n" * 5000 + b"\r\nx\r\n--b--", b"--b\r\nContent-Disposition\r\n\r\n--b--",
    b"[" * 50_000, b'{"a":' * 30_000, b'{"texts": "\\ud800"}', b"\xef\xbb\xbf{}", b"NaN", b'"x"',
    b'{"texts": "a", "texts": "b"}', b'{"texts": ' + b"9" * 100_000 + b"}", b"{\x00}", b"null",
)  # fmt: skip


def malformed(random: Random) -> tuple[str, bytes]:
    """Bytes that are no request, or nearly one."""
    name, content = random.choice(_MALFORMED)(random)
    if random.random() < 0.2:  # behind a good one, on one connection
        return f"{name}, pipelined", request("/health", None) * random.randint(1, 50) + content
    return name, content


def _bad_head(random: Random) -> tuple[str, bytes]:
    return "a malformed head", random.choice(_HEADS)


def _large_head(random: Random) -> tuple[str, bytes]:
    size = random.choice((60_000, 65_000, 65_536, 66_000, 90_000, 300_000, 2_000_000))
    field = random.choice((b"X: " + b"x" * size + b"\r\n", b"X: y\r\n" * (size // 6)))
    return f"a head of {size:,} bytes", b"GET / HTTP/1.1\r\nHost: localhost\r\n" + field + b"\r\n"


def _bad_chunks(random: Random) -> tuple[str, bytes]:
    head = request(random.choice(_PATHS), b"").replace(
        b"Content-Length: 0", b"Transfer-Encoding: chunked"
    )
    return "malformed chunks", head + random.choice(_CHUNKS)


def _bad_length(random: Random) -> tuple[str, bytes]:
    length = random.choice(_LENGTHS)
    content = request(random.choice(_PATHS), _BODY)
    both = random.choice((b"", b"\r\nTransfer-Encoding: chunked"))
    return "a wrong length", content.replace(b"Length: 19", b"Length: " + length + both)


def _bad_body(random: Random) -> tuple[str, bytes]:
    content = request(random.choice(_PATHS), random.choice(_FORMS))
    return "a malformed body", content.replace(b"application/json", random.choice(_KINDS), 1)


def _noise(random: Random) -> tuple[str, bytes]:
    if random.random() < 0.3:
        return "random bytes", random.randbytes(random.choice((1, 100, 5000)))
    content = bytearray(request(random.choice(_PATHS), _BODY))
    for _ in range(random.randint(1, 5)):
        content[random.randrange(len(content))] = random.randrange(256)
    return "a request with changed bytes", bytes(content)


_MALFORMED = (_bad_head, _large_head, _bad_chunks, _bad_length, _bad_body, _noise)

_FIELDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "/v1/translate": ("texts", (
        "search", "beam_size", "n_best", "groups", "diversity", "samples", "temperature", "top_k",
        "top_p", "seed", "budget", "utility", "mbr_from", "normalization", "length_penalty",
        "length_reward", "coverage_penalty", "min_length", "max_length", "min_length_ratio",
        "max_length_ratio", "no_repeat_ngram", "allow_unknown", "replace_unknown", "alignments",
        "prefix", "require", "forbid", "source", "target",
    )),
    "/v1/inspect": ("text", ("prefix", "exact", "units", "beam_size", "temperature", "search")),
    "/v1/classify": ("texts", ("model",)),
    "/v1/fill": ("texts", ("blank", "n_best", "model")),
    "/v1/generate": ("prompt", (
        "length", "lines", "search", "temperature", "top_k", "top_p", "seed",
    )),
    "/translate": ("q", ("source", "target", "format", "alternatives", "api_key")),
    "/v2/translate": ("text", ("source_lang", "target_lang", "tag_handling", "formality")),
    "/detect": ("q", ("api_key",)),
}  # fmt: skip
_SEARCHES = ("beam", "greedy", "sample", "exact", "mbr", "exhaustive")
_TEXTS = ("A dog.", "the ___ sees", "", "\n" * 2000, "a " * 2400, "🐕" * 900, "x" * 5001, "﷽" * 300)
_TARGETS = {"/translate": {"source": "en", "target": "fr"}, "/v2/translate": {"target_lang": "FR"}}


def extreme(random: Random) -> tuple[str, bytes]:
    """Known fields with extreme values."""
    path = random.choice(list(_FIELDS))
    text, names = _FIELDS[path]
    body: dict[str, Any] = {**_TARGETS.get(path, {}), text: _text(random)}
    if "search" in names:
        body["search"] = random.choice(_SEARCHES)
    for name in random.sample(names, random.randint(0, min(4, len(names)))):
        body[name] = _value(random)
    content = json.dumps(body).encode()
    return f"{path} with extreme values: {content[:300].decode()}", request(path, content)


def _text(random: Random) -> Any:
    text = random.choice((*_TEXTS, *TEXTS))
    return [text] * random.choice((1, 3, 50)) if random.random() < 0.2 else text


def _value(random: Random) -> Any:
    small = random.choice((0, 1, 2, 3, 5, 16, 32, 1000, 0.001, 0.5, 1.0, 100.0))
    others = (random.choice(INTEGERS), random.choice(FLOATS), random.choice(TEXTS))
    return random.choice((small, small, *others, True, None, [], [random.choice(TEXTS)], {"a": 1}))


_LONG = "The woman reads a book about the sea, and her brother writes a letter to a friend. " * 60


def costly(random: Random) -> tuple[str, bytes]:
    """A request that takes long."""
    long = _LONG[: random.choice((500, 2000, 4800))]
    count = random.choice((1, 5, 25))
    name, path, body = random.choice(
        (
            ("fill", "/v1/fill", {"texts": ["___ " * (len(long) // 4)] * count}),
            ("mbr", "/v1/translate", {"texts": [long] * count, "search": "mbr"}),
            ("beam 16", "/v1/translate", {"texts": [long] * count, "beam_size": 16}),
            ("exact", "/v1/translate", {"texts": [long] * count, "search": "exact"}),
            ("generate", "/v1/generate", {"prompt": long, "length": 1000}),
        )
    )
    return f"{name} of {count} × {len(long)} characters", request(path, json.dumps(body).encode())
