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
        "source": {"kind": "bpe", "vocab_size": 3000},
        "target": {"kind": "bpe", "vocab_size": 3000},
    },
    "model": {
        "cell": "lstm",
        "embedding_size": 128,
        "hidden_size": 256,
        "encoder_layers": 1,
        "decoder_layers": 1,
        "attention": "general",
        "scale_embeddings": True,
        "dropout": 0.1,
        "embedding_dropout": 0.0,
    },
    "training": {
        "max_updates": 4200,
        "batch_tokens": 400,
        "learning_rate": 0.003,
        "warmup_updates": 100,
        "label_smoothing": 0.0,
        "average_decay": 0.99,
        "evaluate_every": 1050,
        "evaluate_sentences": 300,
    },
}
