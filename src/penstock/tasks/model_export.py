"""A trained network as the ONNX graphs of a bundle, calibrated on held-out text."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from itertools import islice
from typing import Any

from penstock.config import RunConfig
from penstock.data.pair import Pair
from penstock.errors import DataError, MissingExtraError, UsageError
from penstock.special_tokens import BOS_ID, EOS_ID
from penstock.tasks import TASKS
from penstock.tasks.task import Precision, Sample
from penstock.text import Tokenizer
from penstock.text.lines import is_blank

SAMPLE_SIZE = 200  # more sentences move no range that matters


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
        MissingExtraError: the `onnx` package is not installed.
        UsageError: the model has a part that cannot be exported.
        DataError: there is no held-out text.
    """
    if importlib.util.find_spec("onnx") is None:
        raise MissingExtraError("exporting a model", "train")
    graphs = TASKS[config.task].graphs
    if graphs is None:
        raise UsageError(f"a model for {config.task} has no graphs to export")
    sample = calibration_sample(config, source, target, pairs) if precision == "int8" else []
    return graphs()(config, network, sample, precision)


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
