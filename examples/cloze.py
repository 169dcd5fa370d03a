"""The right use of two directions: fill a blank from both sides, and never see the answer.

    python examples/cloze.py

See docs/chapter/bidirectional.md.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from penstock.config import parse_config
from penstock.data.grammar import generate_pairs
from penstock.tasks.cloze.blank_filler import BlankFiller
from penstock.tasks.embedder import Embedder
from penstock.training.loop import train


def configuration(text: Path, updates: int) -> dict[str, object]:
    """What `penstock train` reads from a file."""
    return {
        "task": "cloze",
        "data": {"train": str(text), "valid_pairs": 200},
        "text": {"source": {"kind": "word", "min_frequency": 1}},
        "model": {"cell": "gru", "embedding_size": 64, "hidden_size": 128, "dropout": 0.1},
        "training": {
            "max_updates": updates,
            "batch_tokens": 512,
            "learning_rate": 0.006,
            "warmup_updates": 20,
            "evaluate_every": updates,
            "average_decay": None,
        },
    }


SENTENCES = (
    "I ___ hungry .",
    "You ___ hungry .",
    "They ___ hungry .",
    "The ___ is reading a book .",
    "___ do you work ?",
    "We ate the ___ in the ___ .",
)


def main() -> None:
    """Train, fill blanks, compare contextual vectors of one word."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="a quick look, for tests")
    short = parser.parse_args().short
    with tempfile.TemporaryDirectory() as folder:
        text, run = Path(folder, "text.txt"), Path(folder, "run")
        lines = [pair.source for pair in generate_pairs(400 if short else 8000)]
        text.write_text("\n".join(lines) + "\n", encoding="utf-8")
        train(parse_config(configuration(text, 5 if short else 350)), run)

        filler = BlankFiller.load(run)
        for filled in filler.fill(SENTENCES, n_best=3):
            print(filled.text)
            for candidates in filled.blanks:
                print("    " + ", ".join(f"{c.token} {c.probability:.2f}" for c in candidates))

        # the vector of a word depends on its sentence, also on what comes after it
        embedder = Embedder.load(run)
        one, other = embedder.embed(["Can you read ?", "Can you see the old house ?"])
        distance = float(np.linalg.norm(one.vectors[1] - other.vectors[1]))
        print(f"'you' before 'read' and before 'see': {distance:.2f} apart")


if __name__ == "__main__":
    main()
