"""A tiny language whose every probability is known: what searches are tested on.

A random table gives the next token from the sentence and the last two tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.search import Limits, Step, StepOutput
from penstock.search.step import Ints
from penstock.search.top import top_tokens

Table = NDArray[np.float32]


@dataclass(frozen=True)
class History:
    """The sentence of each row, and its last token but one."""

    sentences: Ints
    before: Ints

    def select(self, rows: Ints) -> History:
        return History(self.sentences[rows], self.before[rows])

    def join(self, others: Sequence[History]) -> History:
        every = [self, *others]
        return History(
            np.concatenate([h.sentences for h in every]), np.concatenate([h.before for h in every])
        )


def normalized(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Log-softmax over the last axis."""
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def output_of(
    logits: NDArray[Any], state: History, attention: NDArray[Any] | None, top: int
) -> StepOutput[History]:
    """What a step returns, from the logits (N, V) of all tokens."""
    log_probs, ids = normalized(logits).astype(np.float32), None
    if top:
        log_probs, ids = top_tokens(log_probs, min(top, log_probs.shape[1]))
    return StepOutput(log_probs, ids, state, attention)


def make_table(
    *, sentences: int, vocab_size: int, seed: int
) -> tuple[Step[History], History, Table]:
    """A step, its first state, and the table of logits behind it, (B, V, V, V)."""
    random = np.random.default_rng(seed)
    size = (sentences, vocab_size, vocab_size, vocab_size)
    table = 2 * random.standard_normal(size, dtype=np.float32)

    def step(tokens: Ints, state: History, /, *, top: int) -> StepOutput[History]:
        logits = table[state.sentences, state.before, tokens]
        attention = np.stack([state.sentences, state.before, tokens], 1).astype(np.float32)
        return output_of(logits, History(state.sentences, tokens), attention, top)

    rows = np.arange(sentences)
    return step, History(rows, np.zeros_like(rows)), table


TABLE_BOS, TABLE_EOS = 0, 1  # in tables of 3 or 4 ids the beginning is never emitted


def table_limits(max_lengths: list[int], blocked: tuple[int, ...] = (TABLE_BOS,)) -> Limits:
    return Limits(bos_id=TABLE_BOS, eos_id=TABLE_EOS, blocked=blocked, max_lengths=max_lengths)


def log_probability(table: Table, sentence: int, tokens: list[int]) -> float:
    """Of the tokens and EOS, by the chain rule."""
    total, before, last = 0.0, 0, TABLE_BOS
    for token in [*tokens, TABLE_EOS]:
        total += float(normalized(table[sentence, before, last])[token])
        before, last = last, token
    return total


def enumerate_all(
    table: Table, sentence: int, limits: Limits, length_penalty: float
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
