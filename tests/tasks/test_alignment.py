"""Alignments of models whose right alignment is known: they copy, or reverse."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from penstock.config import ModelConfig
from penstock.nn import Seq2Seq
from penstock.runtime.decoder_step import decoding_step, start_decoding
from penstock.search import Hypothesis, Limits, beam_search, exact_search, greedy_search

PAD, UNK, BOS, EOS = 0, 1, 2, 3
VOCABULARY, LONGEST = 20, 8

KINDS = [
    ("gru", 1, "general", True),
    ("lstm", 2, "additive", False),
    ("rnn", 1, "dot", False),
]


@dataclass(frozen=True)
class Task:
    """Sequences to copy or to reverse."""

    reverse: bool

    def batch(self, rows: int, random: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Sources, their lengths with EOS, targets behind BOS, targets before EOS."""
        lengths = torch.randint(3, LONGEST + 1, (rows,), generator=random)
        ids = torch.randint(EOS + 1, VOCABULARY, (rows, LONGEST), generator=random)
        src = torch.full((rows, LONGEST + 1), PAD)
        tgt_in, tgt_out = src.clone(), src.clone()
        tgt_in[:, 0] = BOS
        for row, n in enumerate(lengths.tolist()):
            src[row, :n] = ids[row, :n]
            tgt_out[row, :n] = ids[row, :n].flip(0) if self.reverse else ids[row, :n]
            src[row, n] = tgt_out[row, n] = EOS
            tgt_in[row, 1 : n + 1] = tgt_out[row, :n]
        return src, lengths + 1, tgt_in, tgt_out


@cache
def learnt(cell: Any, layers: int, attention: Any, reverse: bool) -> Seq2Seq:
    """A model that has learnt its task in seconds."""
    torch.manual_seed(1)
    config = ModelConfig(
        cell=cell,
        embedding_size=32,
        hidden_size=32,
        decoder_layers=layers,
        attention=attention,
        dropout=0.0,
        embedding_dropout=0.0,
        tie_embeddings="none",
        scale_embeddings=True,
    )
    model = Seq2Seq(config, source_size=VOCABULARY, target_size=VOCABULARY)
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    random = torch.Generator().manual_seed(2)
    for _ in range(260):
        src, lengths, tgt_in, tgt_out = Task(reverse).batch(48, random)
        loss, tokens = model.loss(src, lengths, tgt_in, tgt_out, lengths)
        (loss / tokens).backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval().requires_grad_(requires_grad=False)


@pytest.mark.parametrize("search", ["greedy", "beam", "exact"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(map(str, kind)))
def test_each_token_is_aligned_to_the_one_it_was_made_from(
    kind: tuple[Any, ...], search: str
) -> None:
    model, task = learnt(*kind), Task(kind[-1])
    src, lengths, _, tgt_out = task.batch(24, torch.Generator().manual_seed(9))
    limits = Limits(BOS, EOS, (PAD, UNK, BOS), [12] * len(src))
    step, start = decoding_step(model), start_decoding(model, src, lengths)
    found: list[Hypothesis]
    if search == "greedy":
        found = greedy_search(step, start, limits, align=True)
    elif search == "beam":
        found = [h[0] for h in beam_search(step, start, limits, beam_size=4, align=True)]
    else:
        found = [h[0] for h in exact_search(step, start, limits, budget=60, align=True)]
    right = links = 0
    for row, (hypothesis, length) in enumerate(zip(found, lengths.tolist(), strict=True)):
        if hypothesis.tokens != tgt_out[row, : length - 1].tolist():
            continue
        right += 1
        assert hypothesis.alignment is not None
        pointed: list[int] = hypothesis.alignment.argmax(1).tolist()
        wanted = range(length - 1)[:: -1 if task.reverse else 1]
        links += sum(a != b for a, b in zip(pointed, wanted, strict=True))
    assert right >= 21, "the model has not learnt its task: nothing is tested"
    # off by one anywhere would miss all of a sentence's links
    assert links <= 2
