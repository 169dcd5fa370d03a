"""Depth: stacks of GRU layers with and without residual connections, on a short text.

    python examples/deep_rnn.py

Prints what each stack costs and what it has learnt after equally many updates. See
docs/chapter/deep.md.
"""

from __future__ import annotations

import argparse
import math

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from penstock.nn.initialization import initialize
from penstock.nn.recurrent import Recurrent

TEXT = """
a deep network is a row of mills on one stream. the first mill takes the water as it falls, and
gives it on to the second, which grinds finer, and so to the third. each mill has a gate of its own
and keeps its own pond. if one of them stands still the ones below run dry, unless a channel leads
some of the water past it. builders of long rows dig such a channel beside every mill, and then the
last one turns as well as the first.
"""
CHARACTERS = sorted(set(TEXT))
STEPS, BATCH, HIDDEN = 32, 16, 32


class Model(nn.Module):
    """Characters to logits of the next ones, through a stack of GRU layers."""

    def __init__(self, layers: int, *, residual: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(len(CHARACTERS), HIDDEN)
        self.recurrent = Recurrent(HIDDEN, HIDDEN, num_layers=layers, residual=residual)
        self.output = nn.Linear(HIDDEN, len(CHARACTERS))
        initialize(self, "orthogonal")

    def forward(self, ids: Tensor) -> Tensor:
        """Ids (B, T) to logits (B, T, V)."""
        states, _ = self.recurrent(self.embedding(ids))
        return self.output(states)


def train(model: Model, updates: int) -> float:
    """The mean perplexity over the last tenth of the updates."""
    ids = torch.tensor([CHARACTERS.index(c) for c in TEXT])
    windows = ids.unfold(0, STEPS + 1, 1)  # every stretch of the text
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(updates):
        batch = windows[torch.randint(len(windows), (BATCH,))]
        logits = model(batch[:, :-1])
        loss = cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    last = losses[-max(1, updates // 10) :]
    return math.exp(sum(last) / len(last))


def main() -> None:
    """One line a stack."""
    parser = argparse.ArgumentParser(description="Depth, with and without residual connections.")
    parser.add_argument("--short", action="store_true", help="a few updates, for tests")
    updates = 3 if parser.parse_args().short else 200
    torch.set_num_threads(1)  # products this small are slower on many
    print(f"perplexity after {updates} updates; {len(CHARACTERS)} would be a guess")
    print(f"{'layers':>6}{'parameters':>12}{'plain':>9}{'residual':>10}")
    for layers in (1, 2, 4, 8):
        scores = []
        for residual in (False, True):
            torch.manual_seed(1)
            model = Model(layers, residual=residual)
            scores.append(train(model, updates))
        size = sum(parameter.numel() for parameter in model.parameters())
        print(f"{layers:>6}{size:>12,}{scores[0]:>9.2f}{scores[1]:>10.2f}")


if __name__ == "__main__":
    main()
