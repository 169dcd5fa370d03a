"""The wrong use of two directions: a bidirectional 'language model' reads what it should predict.

    python examples/bidirectional_misuse.py
    python examples/bidirectional_misuse.py --text ../shared/data/timemachine/timemachine.txt

See docs/chapter/bidirectional.md. `penstock train` refuses such a model.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from penstock.config import TokenizerConfig
from penstock.data.grammar import generate_pairs
from penstock.data.token_stream import TextForm, read_form
from penstock.nn.recurrent import Recurrent
from penstock.text import Tokenizer
from penstock.training.windows import WindowSampler

STEPS = 35  # the chapter's windows


class CharacterModel(nn.Module):
    """Characters to logits of the next one, from the state at each place."""

    def __init__(self, size: int, *, hidden: int, bidirectional: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(size, 32)
        self.recurrent = Recurrent(
            32, hidden, cell="lstm", num_layers=2, bidirectional=bidirectional
        )
        self.output = nn.Linear(self.recurrent.output_size, size)

    def forward(self, ids: Tensor, lengths: Tensor | None = None) -> Tensor:
        """ids (B, T) to logits (B, T, V)."""
        states, _ = self.recurrent(self.embedding(ids), lengths)
        return self.output(states)


def windows(ids: np.ndarray, seed: int = 1) -> Iterator[tuple[Tensor, Tensor]]:
    """Windows of the text for ever, each with the same one character on."""
    sampler = WindowSampler(ids, window=STEPS, rows=32, sampling="random", seed=seed)
    epoch = 0
    while True:
        for window in sampler.epoch(epoch):
            yield window.inputs, window.targets
        epoch += 1


def train(model: CharacterModel, ids: np.ndarray, updates: int) -> float:
    """Fit the model; the training perplexity over the last tenth of the updates."""
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for update, (inputs, targets) in zip(range(updates), windows(ids), strict=False):
        loss = cross_entropy(model(inputs).flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if update >= updates * 9 // 10:
            losses.append(loss.item())
    return math.exp(sum(losses) / len(losses))


@torch.no_grad()
def seeing_all(model: CharacterModel, windows_held_out: list[tuple[Tensor, Tensor]]) -> float:
    """Held-out perplexity with whole windows at once: a backward direction sees the answers."""
    losses = [
        cross_entropy(model(inputs).flatten(0, 1), targets.flatten()).item()
        for inputs, targets in windows_held_out
    ]
    return math.exp(sum(losses) / len(losses))


@torch.no_grad()
def honest(model: CharacterModel, windows_held_out: list[tuple[Tensor, Tensor]]) -> float:
    """Held-out perplexity of the next character when what follows is not there yet, as in use.

    Every beginning of a window is a sequence of its own, and only its last place predicts.
    """
    total, count = 0.0, 0
    for inputs, targets in windows_held_out:
        for length in range(1, STEPS + 1):
            logits = model(inputs[:, :length])[:, -1]
            total += cross_entropy(logits, targets[:, length - 1], reduction="sum").item()
            count += len(logits)
    return math.exp(total / count)


def read(text: str | None, short: bool) -> tuple[np.ndarray, np.ndarray, int]:
    """Training and held-out ids, the last tenth by position, and the vocabulary's size."""
    form = TextForm(letters=True, joined=True)
    if text is None:
        lines = list(form.lines(pair.source for pair in generate_pairs(300 if short else 2000)))
    else:
        lines = list(read_form(text, form))
    cut = len(lines) * 9 // 10
    characters = TokenizerConfig(kind="char", min_frequency=1)
    tokenizer = Tokenizer.train([f" {line}" for line in lines[:cut]], characters)
    train_ids, held_out = (
        np.array([i for row in form.encode(part, tokenizer) for i in row])
        for part in (lines[:cut], lines[cut:])
    )
    return train_ids, held_out, tokenizer.vocab_size


def main() -> None:
    """Train both ways and print three perplexities each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--text", help="a text file; default: penstock's built-in English")
    parser.add_argument("--updates", type=int, default=300)
    parser.add_argument("--short", action="store_true", help="a quick look, for tests")
    arguments = parser.parse_args()
    updates = 8 if arguments.short else arguments.updates
    train_ids, held_out, size = read(arguments.text, arguments.short)
    some = [pair for pair, _ in zip(windows(held_out), range(8), strict=False)]
    unigram = np.bincount(train_ids, minlength=size) + 1.0
    frequencies = np.log(unigram / unigram.sum())
    print(f"{len(train_ids):,} characters to train on, {updates} updates")
    print("perplexity         training   held-out, future visible   honest, next character")
    for name, bidirectional in (("left to right", False), ("both directions", True)):
        torch.manual_seed(1)
        model = CharacterModel(size, hidden=96, bidirectional=bidirectional)
        fitted = train(model, train_ids, updates)
        visible = f"{seeing_all(model, some):.2f}" if bidirectional else "-"
        print(f"{name:16}   {fitted:8.2f}   {visible:>24}   {honest(model, some):22.2f}")
    guess = math.exp(-float(frequencies[held_out].mean()))
    print(f"letter frequencies alone {guess:54.2f}")


if __name__ == "__main__":
    main()
