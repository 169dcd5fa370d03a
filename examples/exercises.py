"""The exercises of the chapter that can be measured: costs, sizes, parts, teachers, masks.

    python examples/exercises.py

Half a minute on one core. See docs/chapter/exercises.md.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from penstock.config import ModelConfig, TokenizerConfig
from penstock.data.grammar import generate_pairs
from penstock.nn import Seq2Seq
from penstock.nn.initialization import initialize
from penstock.nn.recurrent import Recurrent
from penstock.text import BOS_ID, EOS_ID, PAD_ID, Tokenizer
from penstock.training.batches import pad

TEXT = """
a penstock is a gate that controls a flow of water. the water comes down from the lake and wants to
go on. when the gate is shut the lake stays as it is, whatever the rain brings. when the gate is
open the old water leaves and new water takes its place. a good keeper shuts the gate in the dry
months and opens it in spring, and the mill below never stands still.
"""
CHARACTERS = sorted(set(TEXT))
CELLS = ("rnn", "gru", "lstm")


class Reader(nn.Module):
    """A recurrent layer of H units and a linear readout of each state."""

    def __init__(self, cell: str, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.recurrent = Recurrent(inputs, hidden, cell=cell)
        self.readout = nn.Linear(hidden, outputs)
        initialize(self, "orthogonal")

    def forward(self, x: Tensor) -> Tensor:
        """x (B, T, I) to (B, T, outputs)."""
        return self.readout(self.recurrent(x)[0])


def milliseconds(work: Callable[[], None], times: int) -> float:
    """The processor's time of one call, the best of three rounds."""
    rounds = []
    for _ in range(3):
        begun = time.process_time()
        for _ in range(times):
            work()
        rounds.append(time.process_time() - begun)
    return 1000 * min(rounds) / times


# --- GRU and LSTM -------------------------------------------------------------------------------


def show_costs(hidden: int) -> None:
    """Weights and time of each cell: a training pass over 32 sequences, one step of one."""
    print(f"H = I = {hidden}: weights, training pass (B 32, T 32), one step (B 1), milliseconds")
    sequence, one = torch.randn(32, 32, hidden), torch.randn(1, 1, hidden)
    for cell in CELLS:
        network = Recurrent(hidden, hidden, cell=cell)
        weights = sum(parameter.numel() for parameter in network.parameters())

        def train(network: Recurrent = network) -> None:
            network(sequence)[0].sum().backward()

        def step(network: Recurrent = network) -> None:
            with torch.no_grad():
                network(one)

        train()
        print(
            f"  {cell:<5}{weights:>10,}{milliseconds(train, 3):>8.1f}{milliseconds(step, 50):>8.2f}"
        )


def learn_text(model: Reader, updates: int) -> float:
    """Next characters; the perplexity over the last tenth of the updates."""
    ids = torch.tensor([CHARACTERS.index(c) for c in TEXT])
    windows = ids.unfold(0, 33, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses: list[float] = []
    for _ in range(updates):
        batch = windows[torch.randint(len(windows), (16,))]
        x = nn.functional.one_hot(batch[:, :-1], len(CHARACTERS)).float()
        loss = cross_entropy(model(x).flatten(0, 1), batch[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    last = losses[-max(1, updates // 10) :]
    return math.exp(sum(last) / len(last))


def show_text(updates: int) -> None:
    """Sizes and parts: what each learns of the text in equally many updates."""
    print(f"{updates} updates on a short text: perplexity, seconds")
    rows: list[tuple[str, str, int, dict[str, float]]] = [
        *((f"{cell}, H = {hidden}", cell, hidden, {}) for cell in CELLS for hidden in (8, 32, 128)),
        ("gru, update gate alone", "gru", 32, {"reset": 1}),
        ("gru, reset gate alone", "gru", 32, {"update": 0}),
        ("gru, neither", "gru", 32, {"reset": 1, "update": 0}),
    ]
    for name, cell, hidden, held in rows:
        torch.manual_seed(1)
        model = Reader(cell, len(CHARACTERS), hidden, len(CHARACTERS))
        for gate, value in held.items():
            model.recurrent.cells[0].hold_gate(gate, value)
        begun = time.process_time()
        perplexity = learn_text(model, updates)
        print(f"  {name:<24}{perplexity:6.2f}{time.process_time() - begun:7.1f}")


def show_series(updates: int) -> None:
    """An LSTM predicts a noisy wave: one step ahead, and 16 steps by its own predictions."""
    torch.manual_seed(1)

    def waves(rows: int) -> Tensor:
        phase, period = 6.3 * torch.rand(rows, 1), 20 + 20 * torch.rand(rows, 1)
        clean = torch.sin(phase + 6.283 * torch.arange(96) / period)
        return clean + 0.1 * torch.randn(rows, 96)

    model = Reader("lstm", 1, 32, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(updates):
        x = waves(32)[..., None]
        loss = mse_loss(model(x[:, :-1]), x[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    x = waves(500)[..., None]
    with torch.no_grad():
        one = model(x[:, :-1])[:, -16:]
        known = x[:, :80]
        for _ in range(16):
            known = torch.cat([known, model(known)[:, -1:]], 1)

    def error(predicted: Tensor) -> float:
        return (predicted - x[:, -16:]).square().mean().sqrt().item()

    print(f"a noisy wave (noise 0.10), LSTM, {updates} updates: root of the mean squared error")
    print(
        f"  one step ahead: LSTM {error(one):.2f}, the last value again {error(x[:, -17:-1]):.2f}"
    )
    print(f"  up to 16 steps ahead by its own predictions {error(known[:, -16:]):.2f}, "
          f"0 throughout {error(torch.zeros(())):.2f}")  # fmt: skip


# --- sequence to sequence -----------------------------------------------------------------------


def translator(cell: str, sizes: tuple[int, int], attention: str = "none") -> Seq2Seq:
    """A model as small as the chapter's."""
    torch.manual_seed(1)
    config = ModelConfig(
        cell=cell,
        embedding_size=32,
        hidden_size=64,
        encoder_layers=1,
        decoder_layers=1,
        bidirectional=False,
        attention=attention,
        tie_embeddings="none",
        dropout=0.0,
        embedding_dropout=0.0,
        scale_embeddings=True,
        initialization="xavier",
    )
    return Seq2Seq(config, source_size=sizes[0], target_size=sizes[1])


def write(model: Seq2Seq, src: Tensor, lengths: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """The decoder reads its own likeliest tokens: logits (B, T, V) and tokens (B, T)."""
    memory, state = model.encode(src, lengths)
    last, logits = torch.full((len(src), 1), BOS_ID), []
    for _ in range(steps):
        now, state = model.decoder(last, state, memory)
        logits.append(now)
        last = now.argmax(-1)
    found = torch.cat(logits, 1)
    return found, found.argmax(-1)


def show_translation(count: int, epochs: int) -> None:
    """How a small corpus is learnt by heart, with one thing changed at a time."""
    pairs = [p for p in generate_pairs(4 * count) if len(p.source.split()) <= 6][:count]
    config = TokenizerConfig(kind="word", min_frequency=1)
    sides = [[p.source for p in pairs], [p.target for p in pairs]]
    tokenizers = [Tokenizer.train(side, config) for side in sides]
    (src, src_lengths), (tgt, _) = (
        pad([[*ids, EOS_ID] for ids in t.encode_batch(side)])
        for t, side in zip(tokenizers, sides, strict=True)
    )
    real = tgt != PAD_ID
    tgt_in = torch.cat([torch.full_like(tgt[:, :1], BOS_ID), tgt[:, :-1]], 1)
    print(f"{count} pairs, {epochs} epochs: sentences learnt by heart, seconds")
    for name, cell in (
        ("GRU, teacher forcing", "gru"),
        ("LSTM", "lstm"),
        ("GRU, no mask in the loss", "gru"),
        ("GRU, its own predictions", "gru"),
    ):
        model = translator(cell, (tokenizers[0].vocab_size, tokenizers[1].vocab_size))
        optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
        begun = time.process_time()
        for _ in range(epochs):
            for rows in torch.randperm(count).split(20):
                if "own" in name:
                    logits, _ = write(model, src[rows], src_lengths[rows], tgt.shape[1])
                else:
                    logits = model(src[rows], src_lengths[rows], tgt_in[rows])
                counted = torch.ones_like(real[rows]) if "no mask" in name else real[rows]
                loss = cross_entropy(logits[counted], tgt[rows][counted])
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
        with torch.no_grad():
            _, written = write(model, src, src_lengths, tgt.shape[1])
        right = ((written == tgt) | ~real).all(1).float().mean()
        print(f"  {name:<28}{right:6.0%}{time.process_time() - begun:7.1f}")


def main() -> None:
    """Costs, the text, the wave, translation."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--short", action="store_true", help="a few updates, for tests")
    short = parser.parse_args().short
    torch.set_num_threads(1)  # products this small are slower on many
    show_costs(16 if short else 256)
    show_text(3 if short else 150)
    show_series(3 if short else 150)
    show_translation(20 if short else 200, 1 if short else 20)


if __name__ == "__main__":
    main()
