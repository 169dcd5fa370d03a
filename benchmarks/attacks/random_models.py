"""Untrained models of every task but translation, which is the demo model's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from penstock.bundle import Bundle, save_bundle
from penstock.config import TokenizerConfig, parse_config
from penstock.data.grammar import generate_pairs
from penstock.runtime.torch_network import network_files
from penstock.tasks import TASKS
from penstock.text import Tokenizer

_TASKS = ("classification", "cloze", "language-model")
_MODEL = {"hidden_size": 24, "embedding_size": 16}


def save_models(folder: Path) -> None:
    """Save a bundle of each task in a folder of its name."""
    lines = [pair.source for pair in generate_pairs(100, seed=1)]
    words = Tokenizer.train(lines, TokenizerConfig(kind="word", min_frequency=1))
    labels = Tokenizer.train(["good", "bad"], TokenizerConfig(kind="word", min_frequency=1))
    for task in _TASKS:
        raw: dict[str, Any] = {
            "task": task,
            "data": {"train": "unused.tsv"},
            "text": {"source": {"kind": "word"}},
            "model": _MODEL,
        }
        config = parse_config(raw)
        target = labels if task == "classification" else words
        network = (
            TASKS[task]
            .learning()
            .network(config, source_size=words.vocab_size, target_size=target.vocab_size)
        )
        save_bundle(Bundle(config, words, target, files=network_files(network)), folder / task)
