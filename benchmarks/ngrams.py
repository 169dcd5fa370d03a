"""Kneser-Ney n-grams of every order beside a language model, on the same training and test text.

python benchmarks/ngrams.py runs/timemachine runs/timemachine-text/test.txt
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from penstock.baselines.ngram import MAX_TOKENS, KneserNey
from penstock.data.token_stream import characters, read_form
from penstock.errors import UsageError
from penstock.special_tokens import EOS_ID
from penstock.tasks.language_model.running_text import training_stream
from penstock.tasks.language_model.text_generator import TextGenerator


def main() -> None:
    """Print the perplexity of each order, then the model's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="run directory of a language model")
    parser.add_argument("text", type=Path, help="held-out text")
    parser.add_argument("--orders", type=int, default=6)
    arguments = parser.parse_args()
    generator = TextGenerator.load(arguments.run)
    stream = training_stream(arguments.run, generator.bundle)
    if stream is None:
        raise UsageError(f"{arguments.run}: the training text is not there; give a run directory")
    tokenizer = generator.bundle.source_tokenizer
    rows = generator.form.encode(read_form(arguments.text, generator.form), tokenizer)
    ids = np.array([EOS_ID, *(token for row in rows for token in row)])
    train = stream.ids()[-MAX_TOKENS:]
    for order in range(1, arguments.orders + 1):
        ngrams = KneserNey.fit(train, order=order, vocab_size=tokenizer.vocab_size)
        # the first id is the end of the text before: it is given, not predicted
        perplexity = np.exp(-ngrams.log_probabilities(ids)[1:].mean())
        print(f"{order}-grams   {perplexity:8.3f}")
    length = characters(read_form(arguments.text, generator.form))
    print(f"model     {generator.score_ids(ids, length).perplexity:8.3f}")


if __name__ == "__main__":
    main()
