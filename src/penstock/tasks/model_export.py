"""A trained network as the ONNX graphs of a bundle: calibrated on held-out text, and verified."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from penstock.bundle import INDEX, Bundle, load_bundle, save_bundle
from penstock.config import ExportPrecision, RunConfig
from penstock.data.pair import Pair
from penstock.errors import (
    BundleError,
    ConfigError,
    DataError,
    MissingExtraError,
    UsageError,
    train_extra,
)
from penstock.files import atomic_write
from penstock.runtime.engine_choice import EngineName
from penstock.special_tokens import BOS_ID
from penstock.tasks import TASKS
from penstock.tasks.evaluation import EvaluationData
from penstock.tasks.model_card import VerifiedEngine, model_card
from penstock.tasks.sentence_encoder import Sentences
from penstock.tasks.task import Sample
from penstock.text.lines import is_blank

SAMPLE_SIZE = 200  # more sentences move no range that matters
_ENGINES: tuple[tuple[EngineName, ExportPrecision], ...] = (
    ("torch", "fp32"),
    ("onnx", "fp32"),
    ("onnx", "int8"),
)


def export_bundle(
    bundle: Bundle,
    *,
    precision: ExportPrecision = "int8",
    pairs: Iterable[Pair] | None = None,
) -> Bundle:
    """A bundle that runs without torch: graphs instead of weights, all else as it was.

    Args:
        bundle: with its weights.
        precision: of products and tables.
        pairs: held-out text; the ranges of int8 activations are those seen on its first
            `SAMPLE_SIZE` pairs. Default: what the run held out.

    Raises:
        BundleError: it has no weights, or damaged ones.
        MissingExtraError: torch or onnx is not installed.
        UsageError: the model has a part that cannot be exported.
        DataError: there is no held-out text.
    """
    config = bundle.config
    graphs = TASKS[config.task].graphs
    if graphs is None:
        raise UsageError(f"a model for {config.task} has no graphs to export")
    with train_extra("exporting a model"):
        from penstock.runtime.torch_network import load_network

        make = graphs()
    if "weights" not in bundle.files:
        raise BundleError(f"{bundle.place}: it is an export already; export the run it was made of")
    sample: list[Sample] = []
    if precision == "int8":
        sample = calibration_sample(bundle, held_out_pairs(config) if pairs is None else pairs)
    files = make(config, load_network(bundle), sample, precision)
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
    """The first `SAMPLE_SIZE` examples that the run held out of its data.

    Raises:
        DataError: the data are not where they were.
    """
    from penstock.training.examples import open_data

    held_out = TASKS[config.task].learning().held_out
    try:
        pairs = held_out(config) if held_out else open_data(config, lambda _: None)[1]
        return list(islice(pairs, SAMPLE_SIZE))
    except DataError as error:
        raise _no_text(str(error)) from None


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
    for engine, precision in _ENGINES:
        exported = bundle
        if engine == "onnx":
            exported = export_bundle(bundle, precision=precision, pairs=pairs)
        result = use.evaluate(use.model(exported, device="cpu", engine=engine), data)
        first = first or result.outputs
        differing = sum(a != b for a, b in zip(result.outputs, first, strict=True))
        name = f"{engine} {precision}"
        found.append(VerifiedEngine(name, result.scores, differing, len(result.outputs)))
    return found


def calibration_sample(bundle: Bundle, pairs: Iterable[Pair]) -> list[Sample]:
    """The ids of the first `SAMPLE_SIZE` pairs, as the model reads them.

    Raises:
        DataError: there are none.
    """
    sentences = Sentences(bundle)
    texts = (pair for pair in pairs if not is_blank(sentences.normalized(pair.source)))
    chosen = list(islice(texts, SAMPLE_SIZE))
    if not chosen:
        raise _no_text()
    sources = [sentence.ids for sentence in sentences.encode([pair.source for pair in chosen])]
    if TASKS[bundle.config.task].target != "text":
        return [(ids, []) for ids in sources]
    length = bundle.config.data.max_target_tokens - 1
    targets = bundle.target_tokenizer.encode_batch([pair.target for pair in chosen])
    return [(ids, [BOS_ID, *target[:length]]) for ids, target in zip(sources, targets, strict=True)]


def _no_text(cause: str = "") -> DataError:
    return DataError(
        f"no held-out text to calibrate int8 on{cause and f' ({cause})'}; name a file with "
        "'penstock export --calibrate', or export fp32"
    )


def examples_of(config: RunConfig, data: EvaluationData) -> Iterable[Pair]:
    """Data as pairs, lines with an empty target."""
    if TASKS[config.task].has_one_text:
        return (Pair(line, ("",)) for line in data.lines())
    return data.pairs()


def write_model_card(bundle: Bundle, directory: Path, verified: Sequence[VerifiedEngine]) -> None:
    """Write `README.md`: what the model is, how it scored, and how to run it."""
    atomic_write(directory / "README.md", model_card(bundle, directory.name, verified))
