"""A model's `README.md`: what it is, what it learned from, how it scored, how to run it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from penstock.bundle import GRAPH_ROLES, Bundle
from penstock.config import RunConfig
from penstock.config.json_types import is_object
from penstock.data.corpora.catalogue import CATALOGUE
from penstock.tasks import TASKS


@dataclass(frozen=True, slots=True)
class VerifiedEngine:
    """How one engine did on the same data as the others.

    Attributes:
        name: of the engine, and its precision.
        scores: by metric, as `penstock evaluate` gives them.
        differing: outputs that are not those of torch.
        outputs: how many there are; 0 where the task has only scores.
    """

    name: str
    scores: Mapping[str, float]
    differing: int
    outputs: int


def model_card(bundle: Bundle, address: str, verified: Sequence[VerifiedEngine] = ()) -> str:
    """The card of a model that is used as `-m address`."""
    config, record = bundle.config, bundle.record
    task = TASKS[config.task]
    source, target = config.data.source_language, config.data.target_language
    languages = f"{source or 'unknown'} to {target or 'unknown'}"
    targets = ", ".join(bundle.target_languages)
    precision = record.get("export", {}).get("precision", "no")
    weights = ", float32 weights" if "weights" in bundle.files else ""
    lines = [
        f"# A {task.name} model",
        "",
        "Trained with [penstock](https://github.com/penstock/penstock).",
        "",
        f"- {bundle.parameters:,} parameters, cell `{config.model.cell}`, "
        f"{precision} ONNX graphs{weights}",
        *([f"- {languages}{targets and f' ({targets})'}"] if task.target == "text" else []),
        *([f"- labels: {', '.join(bundle.labels)}"] if task.target == "label" else []),
        f"- training data: {_data(config)}; SHA-256 {record.get('data', 'unknown')}",
    ]
    held_out = record.get("held_out")
    if is_object(held_out):
        scores = ", ".join(f"{k} {_round(v)}" for k, v in held_out.items() if not is_object(v))
        lines.append(f"- on held-out data: {scores}")
    for engine in verified:
        scores = ", ".join(f"{name} {value:.2f}" for name, value in engine.scores.items())
        differ = f"; {engine.differing} of {engine.outputs} outputs differ from torch's"
        lines.append(f"- verified with {engine.name}: {scores}{differ if engine.outputs else ''}")
    extra = "[hub]" if address.startswith("hf://") else ""
    runtime = extra if any(role in bundle.files for role in GRAPH_ROLES) else "[hub,train]"
    lines += [
        "",
        "## Use",
        "",
        f"    pip install 'penstock{runtime}'",
        f"    {task.trial} -m {address}",
        f'    python -c "import penstock as ps; print(ps.load({address!r}))"',
        "",
        "## Limits",
        "",
        *_limits(bundle),
        "",
    ]
    return "\n".join(lines)


def front_matter(bundle: Bundle, licence: str | None) -> str:
    """What the hub reads of a card: languages, task, licence."""
    data, task = bundle.config.data, TASKS[bundle.config.task]
    named = [data.source_language, data.target_language, *bundle.target_languages]
    languages = list(dict.fromkeys(code for code in named if code))
    values = {
        "library_name": "penstock",
        "pipeline_tag": task.pipeline or None,
        "language": languages,
        "license": licence,
        "tags": ["penstock", bundle.config.model.cell],
    }
    # JSON is YAML
    rows = (f"{key}: {json.dumps(value)}" for key, value in values.items() if value)
    return "\n".join(["---", *rows, "---", "", ""])


def _limits(bundle: Bundle) -> list[str]:
    data = bundle.config.data
    lines = [
        "- It was measured on text like its training data; on other text it is worse.",
        "- Each line is read by itself, without the lines around it.",
        f"- Lines of more than {data.max_source_tokens} tokens are translated in segments."
        if bundle.config.task == "translation"
        else "",
        "- Lines that are unlike the training text are reported as `unfamiliar`."
        if bundle.familiarity is not None
        else "- Lines that are unlike the training text are not reported.",
        "- Outputs have a confidence, fitted to held-out data."
        if bundle.confidence is not None
        else "- Outputs have no confidence.",
    ]
    return [line for line in lines if line]


def _data(config: RunConfig) -> str:
    """The training files by name, with the licence of those in the catalogue."""
    names = [config.data.train] if isinstance(config.data.train, str) else config.data.train
    shown: list[str] = []
    for name in names or ["unknown"]:
        file = Path(name).name
        known = (c for c in CATALOGUE if file in (c.name, c.remote and c.remote.file))
        corpus = next(known, None)
        what = f"{corpus.name} ({corpus.what}; licence {corpus.licence})" if corpus else f"`{file}`"
        shown.append(what)
    return ", ".join(shown)


def _round(value: object) -> object:
    return round(value, 4) if isinstance(value, float) else value
