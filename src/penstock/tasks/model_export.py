"""A trained network as the ONNX graphs of a bundle: calibrated on held-out text, and verified."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from penstock.bundle import INDEX, Bundle, load_bundle, save_bundle
from penstock.config import RunConfig
from penstock.config.json_types import is_object
from penstock.data.formats.input_lines import text_path
from penstock.data.pair import Pair
from penstock.data.token_stream import TextForm, read_form
from penstock.errors import (
    BundleError,
    ConfigError,
    DataError,
    MissingExtraError,
    UsageError,
    train_extra,
)
from penstock.files import atomic_write
from penstock.special_tokens import BOS_ID, EOS_ID
from penstock.tasks import TASKS
from penstock.tasks.evaluation import EvaluationData
from penstock.tasks.language_model.task import LANGUAGE_MODEL
from penstock.tasks.task import Precision, Sample
from penstock.text import Tokenizer
from penstock.text.lines import is_blank

SAMPLE_SIZE = 200  # more sentences move no range that matters
_ENGINES = ("torch fp32", "onnx fp32", "onnx int8")


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


def export_bundle(
    bundle: Bundle,
    *,
    precision: Precision = "int8",
    pairs: Iterable[Pair] | None = None,
) -> Bundle:
    """A bundle that runs without torch: graphs instead of weights, all else as it was.

    Args:
        bundle: with its weights.
        precision: of products and tables.
        pairs: held-out text for the ranges of int8 activations; default: what the run held out.

    Raises:
        BundleError: it has no weights, or damaged ones.
        MissingExtraError: torch or onnx is not installed.
        UsageError: the model has a part that cannot be exported.
        DataError: there is no held-out text.
    """
    with train_extra("exporting a model"):
        from penstock.runtime.torch_network import load_network

    if "weights" not in bundle.files:
        raise BundleError(f"{bundle.place}: it is an export already; export the run it was made of")
    config = bundle.config
    if pairs is None and precision == "int8":
        pairs = held_out_pairs(config)
    source, target = bundle.source_tokenizer, bundle.target_tokenizer
    files = export_graphs(config, load_network(bundle), source, target, pairs or (), precision)
    record = {**bundle.record, "parameters": bundle.parameters, "export": {"precision": precision}}
    return replace(bundle, files=files, record=record)


def export_run(config: RunConfig, run: Path) -> str:
    """Put graphs beside the weights of a finished run's model, as `training.export` asks.

    Returns:
        What to report; empty where nothing is asked or there is no model.
    """
    precision, model = config.training.export, run / "model"
    if precision == "none" or not (model / INDEX).is_file():
        return ""
    bundle = load_bundle(run)
    try:
        exported = export_bundle(bundle, precision=precision)
    except (ConfigError, DataError, MissingExtraError, UsageError) as error:
        return f"not exported: {error}"
    files = {**bundle.files, **exported.files}
    save_bundle(replace(bundle, files=files, record=exported.record), model)
    size = sum(map(len, exported.files.values())) / 1e6
    return f"exported: {precision} graphs of {size:.1f} MB, which run without torch"


def held_out_pairs(config: RunConfig) -> list[Pair]:
    """What the run held out of its data.

    Raises:
        DataError: the data are not where they were.
    """
    from penstock.training.examples import REST, open_data

    data = config.data
    if config.task == LANGUAGE_MODEL.name:  # its held-out part is the end of one text
        text = data.train if data.valid in (None, REST) else data.valid
        form = TextForm(letters=data.normalize == "letters", joined=data.join_lines)
        lines = (line for line in read_form(text_path(text), form) if not is_blank(line))
        return [Pair(line, ("",)) for line in deque(lines, maxlen=SAMPLE_SIZE)]
    return open_data(config, lambda _: None)[1]


def verify_export(
    bundle: Bundle, data: EvaluationData, pairs: Iterable[Pair] | None = None
) -> list[VerifiedEngine]:
    """Score the model on every engine, in float32 and int8.

    Args:
        bundle: with its weights.
        data: to score on.
        pairs: see `export_bundle`.
    """
    use = TASKS[bundle.config.task].use()
    found: list[VerifiedEngine] = []
    first: Sequence[Sequence[str]] = ()
    for name in _ENGINES:
        engine, _, precision = name.partition(" ")
        exported = (
            bundle
            if engine == "torch"
            else export_bundle(
                bundle, precision="int8" if precision == "int8" else "fp32", pairs=pairs
            )
        )
        result = use.evaluate(use.model(exported, device="cpu"), data)
        first = first or result.outputs
        differing = sum(a != b for a, b in zip(result.outputs, first, strict=True))
        found.append(VerifiedEngine(name, result.scores, differing, len(result.outputs)))
    return found


def export_graphs(
    config: RunConfig,
    network: Any,
    source: Tokenizer,
    target: Tokenizer,
    pairs: Iterable[Pair],
    precision: Precision,
) -> dict[str, bytes]:
    """A network's graphs, by the role of their files in a bundle.

    Args:
        config: of the run.
        network: with its weights, in evaluation mode.
        source, target: its tokenizers.
        pairs: held-out text; the ranges of int8 activations are those seen on its first
            `SAMPLE_SIZE` pairs.
        precision: of products and tables.

    Raises:
        MissingExtraError: torch or onnx is not installed.
        UsageError: the model has a part that cannot be exported.
        DataError: there is no held-out text.
    """
    graphs = TASKS[config.task].graphs
    if graphs is None:
        raise UsageError(f"a model for {config.task} has no graphs to export")
    with train_extra("exporting a model"):
        make = graphs()
    sample = calibration_sample(config, source, target, pairs) if precision == "int8" else []
    return make(config, network, sample, precision)


def calibration_sample(
    config: RunConfig, source: Tokenizer, target: Tokenizer, pairs: Iterable[Pair]
) -> list[Sample]:
    """The ids of some held-out pairs, as the model reads them.

    Raises:
        DataError: there are none.
    """
    chosen = list(islice((pair for pair in pairs if not is_blank(pair.source)), SAMPLE_SIZE))
    if not chosen:
        raise DataError(
            "no held-out text to calibrate int8 on; name a file with --calibrate, or export fp32"
        )
    data = config.data
    has_text = TASKS[config.task].target == "text"
    sources = source.encode_batch([pair.source for pair in chosen])
    targets = target.encode_batch([pair.target if has_text else "" for pair in chosen])
    return [
        (
            [*read[: data.max_source_tokens - 1], EOS_ID],
            [BOS_ID, *written[: data.max_target_tokens - 1]] if has_text else [],
        )
        for read, written in zip(sources, targets, strict=True)
    ]


def examples_of(config: RunConfig, data: EvaluationData) -> Iterable[Pair]:
    """Data as pairs, lines with an empty target."""
    if TASKS[config.task].has_one_text:
        return (Pair(line, ("",)) for line in data.lines())
    return data.pairs()


def write_model_card(bundle: Bundle, directory: Path, verified: Sequence[VerifiedEngine]) -> None:
    """Write `README.md`: what the model is, how it scored, and how to run it."""
    config, record = bundle.config, bundle.record
    task = TASKS[config.task]
    data = config.data
    languages = f"{data.source_language or 'unknown'} to {data.target_language or 'unknown'}"
    lines = [
        f"# A {config.task} model",
        "",
        f"- {bundle.parameters:,} parameters, cell `{config.model.cell}`, "
        f"{record['export']['precision']} ONNX graphs",
        *([f"- {languages}"] if task.target == "text" else []),
        f"- training data: SHA-256 {record.get('data', 'unknown')}",
    ]
    held_out = record.get("held_out")
    if is_object(held_out):
        scores = ", ".join(f"{k} {v}" for k, v in held_out.items() if not is_object(v))
        lines.append(f"- on held-out data: {scores}")
    for engine in verified:
        scores = ", ".join(f"{name} {value:.2f}" for name, value in engine.scores.items())
        differ = f"; {engine.differing} of {engine.outputs} outputs differ from torch's"
        lines.append(f"- verified with {engine.name}: {scores}{differ if engine.outputs else ''}")
    lines += ["", f"    {task.trial} -m {directory.name}", ""]
    atomic_write(directory / "README.md", "\n".join(lines))
