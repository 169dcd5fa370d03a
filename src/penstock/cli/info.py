"""`penstock info` and `penstock doctor`: facts about a model and about this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli.console import path, write_json, write_line
from penstock.config.json_types import is_object
from penstock.tasks import TASKS
from penstock.version import __version__

if TYPE_CHECKING:
    from penstock.bundle import Bundle
    from penstock.text import Tokenizer


_PACKAGES = ("numpy", "onnxruntime", "tokenizers", "torch", "pyarrow", "onnx", "huggingface_hub")


def info(
    model: Annotated[Path, typer.Argument(parser=path, help="Run directory or bundle.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Describe a model: its sizes, tokenizers, training and held-out scores."""
    from penstock.bundle import find_bundle, load_bundle

    bundle = load_bundle(model)
    config = bundle.config
    size = sum(path.stat().st_size for path in find_bundle(model).iterdir())
    held_out = bundle.record.get("held_out")
    values = {
        "task": config.task,
        "languages": _languages(config.data.source_language, config.data.target_language),
        "parameters": bundle.parameters,
        "megabytes": round(size / 1e6, 1),
        "cell": config.model.cell,
        **({"encoder": bundle.encoder} if bundle.encoder else {}),
        **_vocabularies(bundle),
        "update": bundle.record.get("update"),
        "training_data": bundle.record.get("data"),
        **{
            f"held_out_{name}": value
            for name, value in (held_out if is_object(held_out) else {}).items()
        },
        "unfamiliar_lines": "not reported" if bundle.familiarity is None else "reported",
        "confidence": "none" if bundle.confidence is None else str(bundle.confidence),
    }
    if as_json:
        write_json(values)
        return
    for name, value in values.items():
        write_line(f"{name}\t{round(value, 3) if isinstance(value, float) else value}")


def _vocabularies(bundle: Bundle) -> dict[str, str]:
    def size(tokenizer: Tokenizer) -> str:
        return f"{tokenizer.kind} {tokenizer.vocab_size}"

    task = TASKS[bundle.config.task]
    source, target = bundle.source_tokenizer, bundle.target_tokenizer
    if task.target == "text":
        uses_attention = "model.attention" not in task.unused
        return {
            **({"attention": bundle.config.model.attention} if uses_attention else {}),
            "source_vocabulary": size(source),
            "target_vocabulary": size(target),
        }
    labels = {"labels": ", ".join(bundle.labels)} if task.target == "label" else {}
    return {"vocabulary": size(source), **labels}


def _languages(source: str | None, target: str | None) -> str:
    if source is None and target is None:
        return "unknown"
    return f"{source or 'unknown'} → {target or 'unknown'}"


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check this machine: versions, threads, precision, optional packages, the cache."""
    import importlib.metadata
    import os
    import platform
    import sys
    from importlib.util import find_spec

    from penstock.data.corpora.catalogue import cache_folder

    def version(package: str) -> str:
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            return "not installed"

    cache = cache_folder()
    parent = next(p for p in (cache, *cache.parents) if p.exists())
    torch_facts: dict[str, object] = {}
    if find_spec("torch") is not None:
        from penstock.training.precision import describe_torch

        torch_facts = describe_torch()
    values = {
        "penstock": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in _PACKAGES},
        "cores": os.cpu_count(),
        **torch_facts,
        "plots": version("matplotlib"),
        "tensorboard": version("tensorboard"),
        "transformers": version("transformers"),
        "cache": f"{cache} ({'writable' if os.access(parent, os.W_OK) else 'NOT writable'})",
        "stdout_encoding": sys.stdout.encoding,
    }
    if as_json:
        write_json(values)
        return
    for name, value in values.items():
        write_line(f"{name}\t{value}")
