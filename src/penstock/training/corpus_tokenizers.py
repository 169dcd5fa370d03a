"""The tokenizers of a run, trained on its training pairs alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from penstock.config import RunConfig, TokenizerConfig
from penstock.data.pair import Pair
from penstock.files import atomic_write, content_key
from penstock.special_tokens import RESERVED
from penstock.tasks import TASKS
from penstock.text import Tokenizer
from penstock.training.examples import Examples, Report

# Tokenizers are trained on at most about this many pairs, evenly spread: more makes no measurable
# difference, and the trainer's memory would grow with the corpus.
TOKENIZER_PAIRS = 500_000


def train_tokenizers(
    config: RunConfig,
    examples: Examples,
    folder: Path,
    report: Report,
    source: Tokenizer | None = None,
) -> tuple[Tokenizer, Tokenizer]:
    """Train the source and target tokenizers, cached in `folder`; `source` replaces the first.

    They are the same object when shared, or if the task has one text. Every label gets an id.
    """
    stride = -(-examples.count // TOKENIZER_PAIRS)
    if stride > 1:
        report(f"tokenizers are trained on one pair in {stride} of {examples.count:,}")

    def sample() -> Iterator[Pair]:
        return (pair for number, pair in enumerate(examples.training()) if number % stride == 0)

    def sources() -> Iterator[str]:
        return (pair.source for pair in sample())

    def targets() -> Iterator[str]:
        return (target for pair in sample() for target in pair.targets)

    def labels() -> Iterator[str]:
        return (label for pair in examples.training() for label in pair.targets)

    def both() -> Iterator[str]:
        return (t for pair in sample() for t in (pair.source, *pair.targets))

    def train(texts: Callable[[], Iterator[str]], side: str, config: TokenizerConfig) -> Tokenizer:
        key = content_key(examples.fingerprint, side, json.dumps(config.model_dump()))
        path = folder / f"tokenizer-{key}.json"
        if path.exists():
            return Tokenizer.load(path)
        tokenizer = Tokenizer.train(texts(), config)
        atomic_write(path, tokenizer.to_json())
        return tokenizer

    text, target = config.text, TASKS[config.task].target
    if target == "none":
        only = train(sources, "source", text.source)
        return only, only
    if text.shared:
        shared = train(both, "both", text.source)
        return shared, shared
    if target == "label":
        room = {"vocab_size": examples.count + len(RESERVED)}
        opposite = train(labels, "target", text.target.model_copy(update=room))
    else:
        opposite = train(targets, "target", text.target)
    return source or train(sources, "source", text.source), opposite
