"""Greedy, beam, exact and exhaustive search on the chapter's worked example (d2l.ai, Beam Search).

A table gives the probability of the next token after some prefixes of an output; it stands in for
a model. Greedy search takes the likeliest token each time and misses the likeliest output.

    python examples/beam_search.py
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from penstock.search import (
    PLAIN,
    Hypothesis,
    Limits,
    Ranking,
    StepOutput,
    beam_search,
    exact_search,
    exhaustive_search,
    greedy_search,
)
from penstock.search.step import Ints

TOKENS = ("A", "B", "C", "<eos>", "<bos>")
EOS, BOS = 3, 4

# P(next token | prefix) for A, B, C, <eos>: the book's two figures
TABLE = {
    "": (0.5, 0.2, 0.2, 0.1),
    "A": (0.1, 0.4, 0.3, 0.2),
    "AB": (0.2, 0.2, 0.4, 0.2),
    "ABC": (0.0, 0.2, 0.2, 0.6),
    "AC": (0.1, 0.6, 0.2, 0.1),
    "ACB": (0.1, 0.2, 0.1, 0.6),
}
ELSEWHERE = (0.25, 0.25, 0.25, 0.25)  # of other prefixes the book says nothing


@dataclass(frozen=True)
class Prefixes:
    """What a search carries from step to step, one prefix per row. A model has its state here."""

    texts: list[str]

    def select(self, rows: Ints) -> Prefixes:
        """The given rows."""
        return Prefixes([self.texts[row] for row in rows.tolist()])

    def join(self, others: Sequence[Prefixes]) -> Prefixes:
        """These rows, then those of the others; exact search asks for it."""
        return Prefixes([text for one in (self, *others) for text in one.texts])


class TableStep:
    """The table as the step that every search repeats; counts the prefixes it was asked about."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, last: Ints, state: Prefixes, /, *, top: int) -> StepOutput[Prefixes]:
        """Log-probabilities (N, V) after each row's prefix and last token; all of them, always."""
        texts = [
            text + (TOKENS[token] if token != BOS else "")
            for text, token in zip(state.texts, last.tolist(), strict=True)
        ]
        self.asked += len(texts)
        rows = [[*TABLE.get(text, ELSEWHERE), 0.0] for text in texts]  # 0 for <bos>
        with np.errstate(divide="ignore"):
            log_probs = np.log(np.array(rows, dtype=np.float32))
        return StepOutput(log_probs, None, Prefixes(texts), None)


def show(name: str, found: Hypothesis, asked: int) -> None:
    """A line of the table of results."""
    output = " ".join([TOKENS[token] for token in found.tokens] + ["<eos>"])
    product = " · ".join(f"{math.exp(p):.1f}" for p in found.token_log_probabilities)
    probability = math.exp(found.log_probability)
    print(f"{name:<12}{output:<14}{product} = {probability:.3f}{asked:>10}")


def main() -> None:
    """Search three times, then compare the costs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--short", action="store_true", help="for tests; it is short anyway")
    parser.parse_args()

    limits = Limits(bos_id=BOS, eos_id=EOS, blocked=(BOS,), max_lengths=[3])
    start = Prefixes([""])
    ranking = Ranking(alpha=0.75)  # the book's: scores are log P / L^α

    print("search      output        probability                      asked")
    step = TableStep()
    [greedy] = greedy_search(step, start, limits, ranking=ranking)
    show("greedy", greedy, step.asked)
    for size in (1, 2, 3):
        step = TableStep()
        [[best]] = beam_search(step, start, limits, beam_size=size, ranking=ranking)
        show(f"beam of {size}", best, step.asked)
    step = TableStep()
    [[best]] = exact_search(step, start, limits, beam_size=1, batch=1, ranking=ranking)
    show("exact", best, step.asked)
    step = TableStep()
    [ranked] = exhaustive_search(step, start, limits, n_best=5, ranking=ranking)
    show("exhaustive", ranked[0], step.asked)

    print("\nthe five best outputs by log P / L^0.75, and their places by P alone")
    [by_probability] = exhaustive_search(TableStep(), start, limits, n_best=100, ranking=PLAIN)
    places = {tuple(h.tokens): place for place, h in enumerate(by_probability, start=1)}
    for place, h in enumerate(ranked, start=1):
        output = " ".join([TOKENS[token] for token in h.tokens] + ["<eos>"])
        probability = math.exp(h.log_probability)
        print(f"{place}. {output:<14}{h.score:.3f}  P {probability:.3f}"
              f"  place {places[tuple(h.tokens)]}")  # fmt: skip

    print("\nnext tokens to look at, |Y| = 10,000 tokens, T' = 10 steps, k = 2")
    vocabulary, steps, beam = 10_000, 10, 2
    print(f"greedy      |Y| T'    {vocabulary * steps:,}")
    print(f"beam        k |Y| T'  {beam * vocabulary * steps:,}")
    print(f"exhaustive  |Y|^T'    10^{round(steps * math.log10(vocabulary))}")


if __name__ == "__main__":
    main()
