"""BLEU: the chapter's of one sentence, and sacreBLEU's of a corpus, side by side.

python examples/bleu.py
"""

from __future__ import annotations

import argparse
import math

from penstock.metrics import bleu, ngram_precisions, score_corpus

# a prediction with its label
PAIRS = [
    ("he is calm .", "he is calm ."),
    ("he is quiet .", "he is calm ."),
    ("he is calm", "he is calm ."),
    ("calm is he .", "he is calm ."),
    ("the red gate of the old mill is open today .", "the red gate of the old mill is open ."),
    ("", "he is calm ."),
]


def main() -> None:
    """The worked example, what the factors do, and both forms on the same sentences."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--short", action="store_true", help="for tests; it is short anyway")
    parser.parse_args()

    prediction, label = "A B B C D", "A B C D E F"
    print(f"label {label}, prediction {prediction}")
    for n, precision in enumerate(ngram_precisions(prediction, label, 4), start=1):
        print(f"  p{n} = {0 if precision is None else precision:.3f}")

    print("\nshort predictions are punished: all n-grams of A B are right, k = 2")
    for prediction in ("A B", "A B C D", "A B C D E F"):
        length = len(prediction.split())
        factor = math.exp(min(0.0, 1 - 6 / length))
        print(f"  {prediction:<14}factor {factor:.3f}  BLEU {bleu(prediction, label, 2):.3f}")

    print("\nlong matches weigh more: what a precision of 0.5 contributes, 0.5^(1/2^n)")
    print("  " + "  ".join(f"p{n} {0.5 ** (0.5**n):.3f}" for n in range(1, 5)))

    print("\nprediction                                    book k=2   k=4   sacreBLEU alone")
    for prediction, label in PAIRS:
        alone = score_corpus([prediction], [[label]], ("bleu",)).bleu or 0.0
        print(f"{prediction or '(nothing)':<46}{bleu(prediction, label, 2):8.3f}"
              f"{bleu(prediction, label, 4):6.3f}{alone / 100:18.3f}")  # fmt: skip
    predictions = [prediction for prediction, _ in PAIRS]
    together = score_corpus(predictions, [[label] for _, label in PAIRS], ("bleu",))
    means = [sum(bleu(p, y, k) for p, y in PAIRS) / len(PAIRS) for k in (2, 4)]
    print(f"{'mean of the sentences':<46}{means[0]:8.3f}{means[1]:6.3f}")
    print(f"{'the corpus as one':<46}{(together.bleu or 0.0) / 100:32.3f}")
    print(together.signature)


if __name__ == "__main__":
    main()
