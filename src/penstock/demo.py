"""The demonstration's configuration; `examples/demo.toml` is the same as a file."""

from __future__ import annotations

from typing import Any

DEMO: dict[str, Any] = {
    "data": {
        "train": "builtin",
        "max_pairs": 30_000,
        "source_language": "en",
        "target_language": "fr",
    },
    "text": {
        "source": {"kind": "bpe", "vocab_size": 1200},
        "target": {"kind": "bpe", "vocab_size": 1200},
    },
    "model": {
        "cell": "gru",
        "embedding_size": 128,
        "hidden_size": 256,
        "decoder_layers": 1,
        "attention": "general",
        "dropout": 0.1,
        "variational_dropout": True,
    },
    "training": {
        "max_updates": 1500,
        "batch_tokens": 1500,
        "learning_rate": 0.003,
        "warmup_updates": 100,
        "label_smoothing": 0.0,
        "evaluate_every": 500,
        "evaluate_sentences": 300,
        "metric": "bleu",
    },
}
