"""An LSTM from the chapter's equations: trained on a short text, held against two others.

    python examples/lstm_from_scratch.py

See docs/chapter/lstm.md.
"""

from __future__ import annotations

import argparse
import math

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from penstock.nn.recurrent import Recurrent
from penstock.nn.torch_weights import to_torch

TEXT = """
a penstock is a gate that controls a flow of water. the water comes down from the lake and wants to
go on. when the gate is shut the lake stays as it is, whatever the rain brings. when the gate is
open the old water leaves and new water takes its place. a good keeper shuts the gate in the dry
months and opens it in spring, and the mill below never stands still.
"""
CHARACTERS = sorted(set(TEXT))
STEPS, BATCH = 32, 16
Parameters = dict[str, Tensor]


def new_parameters(inputs: int, hidden: int, outputs: int) -> Parameters:
    """The chapter's first weights: N(0, 0.01) for every matrix, zero for every bias."""
    shapes = {"W_hq": (hidden, outputs), "b_q": (outputs,)}
    for gate in ("i", "f", "o", "c"):
        shapes |= {f"W_x{gate}": (inputs, hidden), f"W_h{gate}": (hidden, hidden)}
        shapes |= {f"b_{gate}": (hidden,)}
    return {
        name: (torch.zeros(shape) if name.startswith("b") else 0.01 * torch.randn(shape))
        .requires_grad_()
        for name, shape in shapes.items()
    }  # fmt: skip


def lstm(inputs: Tensor, h: Tensor, c: Tensor, p: Parameters) -> tuple[Tensor, Tensor]:
    """All states (T, B, H) for inputs (T, B, I), from h and c (B, H); and the last c."""
    states = []
    for x in inputs:
        i = torch.sigmoid(x @ p["W_xi"] + h @ p["W_hi"] + p["b_i"])  # input gate
        f = torch.sigmoid(x @ p["W_xf"] + h @ p["W_hf"] + p["b_f"])  # forget gate
        o = torch.sigmoid(x @ p["W_xo"] + h @ p["W_ho"] + p["b_o"])  # output gate
        candidate = torch.tanh(x @ p["W_xc"] + h @ p["W_hc"] + p["b_c"])
        c = f * c + i * candidate
        h = o * torch.tanh(c)
        states.append(h)
    return torch.stack(states), c


def train(p: Parameters, updates: int) -> None:
    """Next characters, by plain gradient descent with rate 1 and clipping at 1, as the chapter."""
    ids = torch.tensor([CHARACTERS.index(c) for c in TEXT])
    windows = ids.unfold(0, STEPS + 1, 1)  # every stretch of the text
    for update in range(1, updates + 1):
        batch = windows[torch.randint(len(windows), (BATCH,))].T  # (T + 1, B)
        zeros = torch.zeros(BATCH, len(p["b_i"]))
        states, _ = lstm(encode(batch[:-1]), zeros, zeros, p)
        logits = states @ p["W_hq"] + p["b_q"]
        loss = cross_entropy(logits.flatten(0, 1), batch[1:].flatten())
        loss.backward()
        with torch.no_grad():
            torch.nn.utils.clip_grad_norm_(p.values(), 1.0)
            for parameter in p.values():
                parameter -= 1.0 * parameter.grad
                parameter.grad = None
        if update == 1 or update % max(1, updates // 5) == 0:
            print(f"update {update:5}   perplexity {math.exp(loss.item()):6.2f}")


def encode(ids: Tensor) -> Tensor:
    """Ids to one-hot vectors."""
    return one_hot(ids, len(CHARACTERS)).float()


@torch.no_grad()
def go_on(p: Parameters, prefix: str, length: int) -> str:
    """The most likely character again and again."""
    text, zeros = prefix, torch.zeros(1, len(p["b_i"]))
    for _ in range(length):
        ids = torch.tensor([[CHARACTERS.index(c)] for c in text])
        last = lstm(encode(ids), zeros, zeros, p)[0][-1]
        text += CHARACTERS[int((last @ p["W_hq"] + p["b_q"]).argmax())]
    return text


@torch.no_grad()
def compare(p: Parameters) -> None:
    """The same weights in penstock's LSTMs and in torch's."""
    inputs, hidden = p["W_xi"].shape
    x = torch.randn(STEPS, BATCH, inputs)
    zeros = torch.zeros(BATCH, hidden)
    outputs, last = lstm(x, zeros, zeros, p)
    print("\nlargest distance to the LSTM from scratch, same weights, same input")
    for backend in ("reference", "fused"):
        ours = Recurrent(inputs, hidden, cell="lstm", backend=backend)
        load(ours, p)
        theirs, after = ours(x.transpose(0, 1))
        print_distance(f"penstock {backend}", outputs, theirs, last, after.c[0])
    theirs, (_, cell) = to_torch(ours)(x.transpose(0, 1))
    print_distance("torch.nn.LSTM", outputs, theirs, last, cell[0])


def print_distance(name: str, outputs: Tensor, theirs: Tensor, c: Tensor, their_c: Tensor) -> None:
    """Outputs (T, B, H) against (B, T, H), and the last cells."""
    apart = (outputs - theirs.transpose(0, 1)).abs().max(), (c - their_c).abs().max()
    print(f"{name:<20} outputs {apart[0]:.1e}   last cell {apart[1]:.1e}")


def load(network: Recurrent, p: Parameters) -> None:
    """Our parameters are torch's: gates i, f, g, o stacked, matrices transposed, two biases."""
    cell = network.cells[0]
    cell.weight_ih.copy_(torch.cat([p[f"W_x{gate}"].T for gate in "ifco"]))
    cell.weight_hh.copy_(torch.cat([p[f"W_h{gate}"].T for gate in "ifco"]))
    cell.bias_ih.copy_(torch.cat([p[f"b_{gate}"] for gate in "ifco"]))
    cell.bias_hh.zero_()


def main() -> None:
    """Train, go on from a prefix, compare."""
    parser = argparse.ArgumentParser(description="An LSTM from its equations.")
    parser.add_argument("--short", action="store_true", help="a few updates, for tests")
    short = parser.parse_args().short
    torch.set_num_threads(1)  # products this small are slower on many
    torch.manual_seed(1)
    p = new_parameters(len(CHARACTERS), 64, len(CHARACTERS))
    train(p, 5 if short else 1500)
    print(f"\n{go_on(p, 'the gate', 60)!r}")
    compare(p)


if __name__ == "__main__":
    main()
