"""What lines in capitals, or without any, cost a translation model, and what `text.case` saves.

python benchmarks/letter_case.py -m RUN TRAIN_SOURCES TRAIN_TARGETS SOURCES TARGETS

The model translates the sources as they are, in capitals and in small letters, once as they are
written and once in the case of the training text, as `text.case = "auto"` does. BLEU is against the
references in the same case; outputs for small letters are compared in small letters.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace

from penstock.bundle import load_bundle
from penstock.data.formats.readers import read_pairs
from penstock.metrics import score_corpus
from penstock.tasks.translation.translator import Translator
from penstock.text import TextForm
from penstock.text.letter_case import LetterCase


def main() -> None:
    """Print a row for each case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-m", "--model", required=True)
    parser.add_argument("files", nargs=4, help="training sources and targets, test likewise")
    arguments = parser.parse_args()
    training = ((pair.source, pair.target) for pair in read_pairs(arguments.files[:2]))
    pairs = list(read_pairs(arguments.files[2:]))
    bundle = load_bundle(arguments.model)
    models: list[Translator] = []
    for case in (None, LetterCase.learn("auto", training)):
        tokenizer = bundle.source_tokenizer.with_form(TextForm(case=case))
        models.append(Translator(replace(bundle, source_tokenizer=tokenizer)))
    print(f"{'sources':16}{'as written':>12}{'auto':>8}{'read in other case':>20}")
    same: Callable[[str], str] = str
    for name, change, compared in (
        ("as they are", same, same),
        ("in capitals", str.upper, same),
        ("small letters", str.lower, str.lower),
    ):
        lines = [change(pair.source) for pair in pairs]
        references = [(change(pair.target),) for pair in pairs]
        results = [model.translate(lines) for model in models]
        scores = [score_corpus([compared(r.text) for r in found], references).bleu or 0.0
                  for found in results]  # fmt: skip
        read = sum(each.read_as is not None for each in results[1])
        print(f"{name:16}{scores[0]:12.1f}{scores[1]:8.1f}{read:20,}")


if __name__ == "__main__":
    main()
