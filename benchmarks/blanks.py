"""A cloze against a left-to-right model on the same blanks: every word of a text in its turn.

    python benchmarks/blanks.py --cloze runs/cloze-multi30k --left runs/left-multi30k \
        ../shared/data/multi30k/test_2016_flickr.en.gz

Both models must have the same vocabulary. Words that it lacks are no blanks. Both choose among the
same words, and neither may answer with a reserved token.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from penstock.bundle import Bundle, load_bundle
from penstock.data.formats.input_lines import read_lines
from penstock.errors import PenstockError
from penstock.runtime.torch_network import load_network
from penstock.special_tokens import EOS_ID, RESERVED
from penstock.tasks.cloze.network import Cloze
from penstock.tasks.language_model.network import LanguageModel
from penstock.tasks.sentence_encoder import Sentences, in_batches


@dataclass
class Count:
    """Blanks of one model: how many were right, and the log-probability of the right words."""

    right: int = 0
    log_probability: float = 0.0


def next_words(model: LanguageModel, ids: Tensor, _: Tensor) -> Tensor:
    """Logits (B, S, V) of each word from those before it."""
    begun = torch.nn.functional.pad(ids[:, :-1], (1, 0), value=EOS_ID)
    return model(begun)[0]


def blanks(model: Cloze, ids: Tensor, lengths: Tensor) -> Tensor:
    """Logits (B, S, V) of each word from all others."""
    return model(ids, lengths)


def add(count: Count, logits: Tensor, ids: Tensor, asked: Tensor) -> None:
    """Count the blanks `asked` for, a mask (B, S)."""
    log_probs = torch.log_softmax(logits.float()[:, :, len(RESERVED) :], -1)
    answers = (ids - len(RESERVED)).clamp(min=0)
    right = log_probs.argmax(-1) == answers
    chosen = log_probs.gather(2, answers[:, :, None])[:, :, 0]
    count.right += int(right[asked].sum())
    count.log_probability += float(chosen[asked].double().sum())


def compare(cloze: Bundle, left: Bundle, lines: list[str]) -> tuple[int, Count, Count]:
    """Both models on every known word of the lines."""
    if cloze.source_tokenizer.vocabulary() != left.source_tokenizer.vocabulary():
        raise PenstockError("the two models have different vocabularies: train both on one text")
    both_sides, one_side = load_network(cloze), load_network(left)
    assert isinstance(both_sides, Cloze)
    assert isinstance(one_side, LanguageModel)
    rows = [row.ids for row in Sentences(cloze).encode(lines) if len(row.ids) > 1]
    total, both, one = 0, Count(), Count()
    with torch.no_grad():
        for batch in in_batches(rows):
            ids, lengths = torch.from_numpy(batch.ids), torch.from_numpy(batch.lengths)
            asked = ids >= len(RESERVED)
            total += int(asked.sum())
            add(both, blanks(both_sides, ids, lengths), ids, asked)
            add(one, next_words(one_side, ids, lengths), ids, asked)
    return total, both, one


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cloze", required=True, type=Path, help="run directory or bundle")
    parser.add_argument("--left", required=True, type=Path, help="run directory or bundle")
    parser.add_argument("text", type=Path, help="held-out lines")
    arguments = parser.parse_args()
    bundles = [
        load_bundle(arguments.cloze, task="cloze"),
        load_bundle(arguments.left, task="language-model"),
    ]
    lines = [line.text for line in read_lines(arguments.text)]
    total, *counts = compare(bundles[0], bundles[1], lines)
    print(f"{total:,} blanks in {len(lines):,} lines")
    print("model            parameters   right %   perplexity")
    for name, bundle, count in zip(("both sides", "left to right"), bundles, counts, strict=True):
        size = bundle.parameters
        perplexity = math.exp(-count.log_probability / total)
        share = 100 * count.right / total
        print(f"{name:14} {size:12,}   {share:7.2f}   {perplexity:10.2f}")


if __name__ == "__main__":
    main()
