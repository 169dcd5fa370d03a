"""A translation model as a folder of static files: the service's page, with the model in it.

The page is that of `penstock serve`; a worker in it answers instead of the service. The worker's
modules in `browser/` read the same ONNX graphs and tokenizers as Python and search as it does. A
page opened from a folder may load scripts, but may not fetch files, so the model is a script too.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penstock.bundle import GRAPH_ROLES, Bundle
from penstock.config import cell_entry
from penstock.errors import UsageError
from penstock.files import atomic_write
from penstock.insight.html_document import PAGE, join_modules, join_sheets
from penstock.tasks import TASKS

BROWSER = Path(__file__).with_name("browser")
INDEX_PAGE, PAGE_SCRIPT, WORKER, MODEL, STYLE = (
    "index.html", "page.js", "worker.js", "model.js", "page.css"
)  # fmt: skip
KINDS = ("word", "char", "separator", "bpe", "unigram")
# what the page begins with where the built-in corpus was learned, whose words are few
EXAMPLES = (
    "The phone that they lost is very heavy.",
    "She found my white hat and she washed it.",
    "What is your kind student going to sell?",
    "There are nine owls near his house.",
)

_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src blob:; style-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'"
)
_SERVED = re.compile(r"<!-- served -->.*?<!-- /served -->", re.S)
_SHEETS = re.compile(r'(?:[ ]*<link rel="stylesheet"[^>]*>\n)+')
_EARLY = '<script src="/page/js/early.js"></script>'
_ENTRY = '<script type="module" src="/page/js/main.js"></script>'


def web_files(bundle: Bundle, name: str, run: Mapping[str, Any] | None = None) -> dict[str, str]:
    """The files of the page by name.

    Args:
        bundle: of a translation model, with its graphs.
        name: that the page gives the model.
        run: its training log as `/v1/run` answers it; None: the page shows no curves.

    Raises:
        UsageError: the model does something that the page cannot show.
    """
    model = json.dumps(_model(bundle, name, run), ensure_ascii=False)
    digest = hashlib.sha256(model.encode()).hexdigest()
    worker = join_modules(BROWSER, "model_worker.js")
    page = join_modules(PAGE / "js", "main.js", {"service.js": "worker_service.js"})
    return {
        INDEX_PAGE: _index(digest),
        STYLE: join_sheets(PAGE),
        "early.js": (PAGE / "js" / "early.js").read_text(encoding="utf-8"),
        MODEL: f"window.penstockModel = {json.dumps(model, ensure_ascii=False)};\n",
        WORKER: f"window.penstockWorker = function () {{\n'use strict';\n{worker}\n}};\n",
        PAGE_SCRIPT: f"{{\n'use strict';\n{page}\n}}\n",
    }


def model_digest(files: Mapping[str, str]) -> str:
    """SHA-256 of the model in a page's files, which the worker wants to hear."""
    found = re.search(r'data-sha256="(\w+)"', files[INDEX_PAGE])
    assert found is not None
    return found[1]


def write_web_page(files: Mapping[str, str], directory: Path) -> tuple[int, int]:
    """Write the files into a directory; returns their size in bytes, raw and compressed by gzip."""
    directory.mkdir(parents=True, exist_ok=True)
    contents = {name: content.encode() for name, content in files.items()}
    for name, content in contents.items():
        atomic_write(directory / name, content)
    compressed = sum(len(gzip.compress(content)) for content in contents.values())
    return sum(map(len, contents.values())), compressed


def _model(bundle: Bundle, name: str, run: Mapping[str, Any] | None) -> dict[str, Any]:
    config = bundle.config
    if not TASKS[config.task].use().searches:
        raise UsageError(
            f"a model for {config.task}: only a translation model becomes a web page; "
            "show it with 'penstock serve'"
        )
    for tokenizer in (bundle.source_tokenizer, bundle.target_tokenizer):
        if tokenizer.kind not in KINDS:
            raise UsageError(f"tokenizer {tokenizer.kind!r} has no form for browsers")
        if tokenizer.form.columns is not None:
            raise UsageError("a model of several source columns has no page; use 'penstock serve'")
    encoder, step, _ = GRAPH_ROLES
    familiarity, tables = bundle.familiarity, None
    if familiarity is not None:  # browsers have no bzip2
        tables = _base64(familiarity.ngrams.tables.tobytes())
    return {
        "name": name,
        "pair": {
            "source": config.data.source_language or "any",
            "target": config.data.target_language or "any",
        },
        "examples": EXAMPLES if config.data.train == "builtin" else None,
        "cell": config.model.cell,
        "attention": config.model.attention,
        "bounded": cell_entry(config.model.cell).bounded,
        "config": {
            "data": {
                "max_source_tokens": config.data.max_source_tokens,
                "normalize": config.data.normalize,
            },
            "search": config.search.model_dump(),
        },
        "source": bundle.source_tokenizer.to_json(),
        "target": bundle.target_tokenizer.to_json(),
        "encoder": _base64(bundle.files[encoder]),
        "step": _base64(bundle.files[step]),
        "familiarity": familiarity and json.loads(familiarity.to_json()) | {"tables": None},
        "tables": tables,
        "confidence": bundle.confidence and json.loads(bundle.confidence.to_json(())),
        "run": run,
    }


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _index(digest: str) -> str:
    """The page's own document, with what belongs to a server left out."""
    text = _SERVED.sub("", (PAGE / "index.html").read_text(encoding="utf-8"))
    scripts = (
        f'<script defer src="{MODEL}" data-sha256="{digest}"></script>',
        f'<script defer src="{WORKER}"></script>',
        f'<script defer src="{PAGE_SCRIPT}"></script>',
    )
    policy = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    assert text.count(_EARLY) == text.count(_ENTRY) == len(_SHEETS.findall(text)) == 1
    text = text.replace(_EARLY, f'{policy}\n    <script src="early.js"></script>')
    text = _SHEETS.sub(f'    <link rel="stylesheet" href="{STYLE}">\n', text)
    return text.replace(_ENTRY, "\n    ".join(scripts))
