"""A character model of a small text: windows in order with the state carried, perplexity, writing.

    python examples/language_model.py

See docs/chapter/language-models.md.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from penstock.config import parse_config
from penstock.data.grammar import generate_pairs
from penstock.tasks.language_model.running_text import training_stream
from penstock.tasks.language_model.text_generator import TextGenerator
from penstock.tasks.language_model.writing_options import WritingOptions
from penstock.training.loop import train
from penstock.training.windows import WindowSampler


def configuration(text: Path, updates: int) -> dict[str, object]:
    """What `penstock train` reads from a file."""
    return {
        "task": "language-model",
        "data": {"train": str(text), "valid_share": 0.1},
        "text": {"source": {"kind": "char", "min_frequency": 1}},
        "model": {"cell": "gru", "embedding_size": 32, "hidden_size": 128, "dropout": 0.1},
        "training": {
            "max_updates": updates,
            "window": 35,
            "batch_sentences": 32,
            "learning_rate": 0.004,
            "warmup_updates": 20,
            "evaluate_every": updates,
            "average_decay": None,
        },
    }


def main() -> None:
    """Train, look at the windows, compare with n-grams, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="a quick look, for tests")
    short = parser.parse_args().short
    with tempfile.TemporaryDirectory() as folder:
        text, run = Path(folder, "text.txt"), Path(folder, "run")
        lines = [pair.source for pair in generate_pairs(300 if short else 2500)]
        text.write_text("\n".join(lines) + "\n", encoding="utf-8")
        train(parse_config(configuration(text, 5 if short else 800)), run)
        generator = TextGenerator.load(run)

        print("Two windows of an epoch in order; the second goes on where the first stopped:")
        stream = training_stream(run, generator.bundle)
        assert stream is not None
        sampler = WindowSampler(stream.ids(), window=35, rows=2)
        for number, window in zip(range(2), sampler.epoch(0), strict=False):
            row = generator.form.decode(
                window.inputs[0].tolist(), generator.bundle.source_tokenizer
            )
            print(f"  window {number}, row 0, {tuple(window.inputs.shape)}: {row!r}")

        held_out = generator.bundle.record["held_out"]
        print("Perplexity on the held-out last tenth, exp of the mean over its characters:")
        for name, value in held_out["baseline_perplexity"].items():
            print(f"  {name:12} {value:6.2f}")
        print(f"  {'GRU':12} {held_out['perplexity']:6.2f}")

        print("Greedy, then three temperatures:")
        for options in (
            WritingOptions(search="greedy", length=60, lines=1),
            *(WritingOptions(temperature=t, length=60, lines=1) for t in (0.3, 0.7, 1.2)),
        ):
            name = "greedy" if options.search == "greedy" else f"{options.temperature}"
            print(f"  {name:7} The{''.join(generator.generate('The', options))}")


if __name__ == "__main__":
    main()
