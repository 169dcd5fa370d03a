"""The tokenizers of a run, trained on its training pairs alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

from penstock.bundle import Bundle
from penstock.config import RunConfig, TokenizerConfig
from penstock.data.formats.corpus_files import shown
from penstock.data.pair import Pair
from penstock.data.pair_shards import PairShards
from penstock.data.sealed_file import break_seal, cached, seal
from penstock.errors import ConfigError, DataError
from penstock.files import atomic_write, content_key
from penstock.metrics.labels import unseen_label
from penstock.special_tokens import RESERVED
from penstock.tasks import TASKS
from penstock.text import TextForm, Tokenizer
from penstock.training.examples import Examples, Report
from penstock.training.start_model import read_start, start_tokenizer
from penstock.training.text_forms import source_form, target_form

# Tokenizers are trained on at most about this many pairs, evenly spread: more makes no measurable
# difference, and the trainer's memory would grow with the corpus.
TOKENIZER_PAIRS = 500_000


def cached_tokenizer(path: Path, report: Report, train: Callable[[], Tokenizer]) -> Tokenizer:
    """The tokenizer in a file; trained and kept there if there is no whole one."""
    if cached(path, report) is not None:
        return Tokenizer.load(path)
    tokenizer = train()
    break_seal(path)
    atomic_write(path, tokenizer.to_json())
    seal(path)
    return tokenizer


def train_tokenizers(
    config: RunConfig,
    examples: Examples,
    folder: Path,
    report: Report,
    source: Tokenizer | None = None,
) -> tuple[Tokenizer, Tokenizer]:
    """Train the source and target tokenizers, cached in `folder`; `source` replaces the first.

    They are the same object when shared, or if the task has one text. Every label gets an id. A run
    that goes on from a model has its tokenizers.

    Raises:
        BundleError: a configured file is no tokenizer.
        ConfigError: it is one of another kind.
        DataError: a label that the model to go on from does not know.
    """
    stride = -(-examples.count // TOKENIZER_PAIRS)
    if stride > 1:
        report(f"tokenizers are trained on one pair in {stride} of {examples.count:,}")

    def sample() -> Iterator[Pair]:
        if isinstance(examples.training, PairShards):
            return examples.training.every(stride)
        return (pair for number, pair in enumerate(examples.training()) if number % stride == 0)

    def sources(form: TextForm) -> Iterator[str]:
        return (form.read(pair.source).text for pair in sample())

    def targets(_: TextForm) -> Iterator[str]:
        return (target for pair in sample() for target in pair.targets)

    def labels(_: TextForm) -> Iterator[str]:
        return (label for pair in examples.training() for label in pair.targets)

    def both(form: TextForm) -> Iterator[str]:
        return (t for pair in sample() for t in (form.read(pair.source).text, *pair.targets))

    def train(
        texts: Callable[[TextForm], Iterator[str]],
        side: str,
        config: TokenizerConfig,
        learn: Callable[[], TextForm],
    ) -> Tokenizer:
        if config.file is not None:
            return _saved_tokenizer(config.file, side, config)
        settings = [config.model_dump(exclude={"file"}), *([] if side == "target" else reading)]
        key = content_key(examples.fingerprint, side, json.dumps(settings))
        path = folder / f"tokenizer-{key}.json"

        def trained() -> Tokenizer:
            form = learn()
            return Tokenizer.train(texts(form), config, form)

        return cached_tokenizer(path, report, trained)

    def of_source() -> TextForm:
        return source_form(config, sample)

    def of_target() -> TextForm:
        return TextForm() if target == "label" else target_form(config, sample)

    start = read_start(config)
    if start is not None:
        return _start_tokenizers(config, start.bundle, examples, report)
    text, target = config.text, TASKS[config.task].target
    reading = [text.case, config.data.source_columns, config.data.source_language]
    if target == "none":
        only = train(sources, "source", text.source, of_source)
        return only, only
    if text.shared:
        shared = train(both, "both", text.source, of_source)
        return shared, shared
    if target == "label":
        room = {"vocab_size": examples.count + len(RESERVED)}
        opposite = train(labels, "target", text.target.model_copy(update=room), of_target)
    else:
        opposite = train(targets, "target", text.target, of_target)
    return source or train(sources, "source", text.source, of_source), opposite


def _start_tokenizers(
    config: RunConfig, start: Bundle, examples: Examples, report: Report
) -> tuple[Tokenizer, Tokenizer]:
    text, task = config.text, TASKS[config.task]

    def sources() -> Iterator[str]:
        return (pair.source for pair in examples.training())

    def targets() -> Iterator[str]:
        return (target for pair in examples.training() for target in pair.targets)

    def both() -> Iterator[str]:
        return chain(sources(), targets())

    source, target = start.source_tokenizer, start.target_tokenizer
    columns = source.form.columns
    needed, found = len(columns.names) if columns else 1, len(config.data.source_columns) or 1
    if found != needed:
        raise ConfigError(
            f"data.columns: {found} for the source, and the model to go on from reads {needed}; "
            "give as many"
        )
    if source is target:
        texts = sources if task.has_one_text else both
        only = start_tokenizer(config, source, texts, "text", text.source, report)
        return only, only
    if task.target == "label" and not config.start.extend_vocabulary:
        unknown = target.missing(targets())
        if unknown:
            raise DataError(
                f"{unseen_label(min(unknown), start.labels)}; --extend-vocabulary adds new labels",
                path=shown(config.data.train),
            )
    return (
        start_tokenizer(config, source, sources, "source", text.source, report),
        start_tokenizer(config, target, targets, "target", text.target, report),
    )


def _saved_tokenizer(file: str, side: str, config: TokenizerConfig) -> Tokenizer:
    tokenizer = Tokenizer.load(file)
    key = "text.target" if side == "target" else "text.source"
    for name, found in (
        ("kind", tokenizer.kind),
        ("separator", tokenizer.separator),
        ("unicode", tokenizer.form.unicode.model),
    ):
        wanted = getattr(config, name)
        if found != wanted:
            raise ConfigError(
                f"{key}.file: {file} has {name} {found!r}, and {key}.{name} is {wanted!r}; set it "
                "to the file's, or name another file"
            )
    return tokenizer
