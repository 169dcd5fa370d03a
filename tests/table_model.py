"""A tiny language whose every probability is known: what searches are tested on.

A random table gives the next token from the sentence and the last two tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from penstock.search import Limits, Step, StepOutput


@dataclass(frozen=True)
class History:
    """The sentence of each row, and its last token but one."""

    sentences: Tensor
    before: Tensor

    def select(self, rows: Tensor) -> History:
        return History(self.sentences[rows], self.before[rows])

    def join(self, others: Sequence[History]) -> History:
        every = [self, *others]
        return History(
            torch.cat([h.sentences for h in every]), torch.cat([h.before for h in every])
        )


def make_table(
    *, sentences: int, vocab_size: int, seed: int
) -> tuple[Step[History], History, Tensor]:
    """A step, its first state, and the table of logits behind it, (B, V, V, V)."""
    random = torch.Generator().manual_seed(seed)
    table = 2 * torch.randn(sentences, vocab_size, vocab_size, vocab_size, generator=random)

    def step(tokens: Tensor, state: History, /) -> StepOutput[History]:
        logits = table[state.sentences, state.before, tokens]
        weights = torch.stack([state.sentences, state.before, tokens], 1).float()
        return StepOutput(logits, History(state.sentences, tokens), weights)

    rows = torch.arange(sentences)
    return step, History(rows, torch.zeros_like(rows)), table


TABLE_BOS, TABLE_EOS = 0, 1  # in tables of 3 or 4 ids the beginning is never emitted


def table_limits(max_lengths: list[int], blocked: tuple[int, ...] = (TABLE_BOS,)) -> Limits:
    return Limits(bos_id=TABLE_BOS, eos_id=TABLE_EOS, blocked=blocked, max_lengths=max_lengths)


def log_probability(table: Tensor, sentence: int, tokens: list[int]) -> float:
    """Of the tokens and EOS, by the chain rule."""
    total, before, last = 0.0, 0, TABLE_BOS
    for token in [*tokens, TABLE_EOS]:
        logits = table[sentence, before, last].double()
        total += (logits[token] - torch.logsumexp(logits, 0)).item()
        before, last = last, token
    return total


def enumerate_all(
    table: Tensor, sentence: int, limits: Limits, length_penalty: float
) -> list[tuple[float, list[int]]]:
    """Every possible output and its score, best first."""
    ordinary = [
        token
        for token in range(table.shape[-1])
        if token not in limits.blocked and token != limits.eos_id
    ]
    found = []
    for length in range(limits.max_lengths[sentence] + 1):
        for tokens in product(ordinary, repeat=length):
            total = log_probability(table, sentence, list(tokens))
            found.append((total / (length + 1) ** length_penalty, list(tokens)))
    return sorted(found, reverse=True)
