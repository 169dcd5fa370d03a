"""How far RNN, GRU and LSTM reach back: gradients, two tasks over growing lags, and the gates.

    python benchmarks/long_dependencies.py [--short] [--out DIR]

Three experiments, one command. Tables go to stdout, `gradients.svg`, `tasks.svg` and `gates.svg` to
DIR. Minutes on one core. See docs/chapter/long-dependencies.md.

1. Gradient of a loss at time T with respect to the state at T - lag, for several first weights, for
   recurrent weights of several sizes, and after learning.
2. Copying and adding (Hochreiter and Schmidhuber 1997) over growing lags, with and without clipping
   (Pascanu et al. 2013).
3. A GRU that must remember the last value and a value from long ago: which units do which, what
   their gates do, and what is lost when a gate is held.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss, one_hot

from penstock.errors import PenstockError
from penstock.nn.cells import Cell
from penstock.nn.initialization import initialize
from penstock.nn.recurrent import Recurrent
from penstock.nn.state import State
from penstock.plots import empty_figure, save_figure

CELLS = ("rnn", "gru", "lstm")
COLOURS = {"rnn": "#888888", "gru": "#0072B2", "lstm": "#D55E00"}
INITIALIZATIONS = {
    "normal": "N(0, 0.01²), the chapter's",
    "uniform": "uniform, ±0.1, forget bias 1",
    "xavier": "Xavier",
    "orthogonal": "orthogonal, forget bias 1",
}
HIDDEN, BATCH = 32, 32


class Reader(nn.Module):
    """A recurrent layer and a linear readout of its last `outputs` states."""

    def __init__(self, cell: str, inputs: int, outputs: int, *, positions: int | None) -> None:
        super().__init__()
        self.recurrent = Recurrent(inputs, HIDDEN, cell=cell)
        self.readout = nn.Linear(HIDDEN, outputs)
        self.positions = positions
        initialize(self, "orthogonal")

    def forward(self, x: Tensor) -> Tensor:
        """x (B, S, I) to (B, positions, outputs), or all S positions."""
        states, _ = self.recurrent(x)
        return self.readout(states if self.positions is None else states[:, -self.positions :])

    @property
    def cell(self) -> Cell:
        cell = self.recurrent.cells[0]
        assert isinstance(cell, Cell)
        return cell


# 1. how far gradients reach


def gradient_norms(cell: Cell, x: Tensor) -> Tensor:
    """|dL/d state(T - lag)| relative to lag 0, for lags 0, 1, …: the mean over the batch.

    L is a random direction of the last hidden state; an LSTM's state is h and c together.
    """
    state = cell.zero_state(len(x), x)
    leaves: list[list[Tensor]] = []
    for t in range(x.shape[1]):
        state = cell(x[:, t], state)
        leaves.append([state.h] if state.c is None else [state.h, state.c])
    direction = torch.randn(state.h.shape, dtype=x.dtype)
    wanted = [part for leaf in leaves for part in leaf]
    found = torch.autograd.grad((state.h * direction).sum(), wanted, materialize_grads=True)
    parts = torch.stack(found).unflatten(0, (len(leaves), -1))  # (S, parts, 1, B, H)
    norms = parts.square().sum((1, 2, 4)).sqrt().mean(-1)  # (S,)
    return (norms / norms[-1]).flip(0)


def fresh_cell(kind: str, name: str) -> Cell:
    cell = Cell(kind, 8, HIDDEN)
    initialize(cell, name)
    return cell.double()


def rnn_of_radius(scale: float) -> Cell:
    """An RNN whose recurrent matrix is random with spectral radius of about `scale`."""
    cell = fresh_cell("rnn", "orthogonal")
    with torch.no_grad():
        cell.weight_hh.normal_(0, scale / math.sqrt(HIDDEN))
        cell.weight_ih.mul_(0.1)  # small inputs: tanh stays where its slope is near 1
    return cell


def mean_norms(make: Callable[[], Cell], steps: int, seeds: int, x: Tensor | None = None) -> Tensor:
    """Geometric mean of the gradient's norms over cells of several seeds."""
    logs = []
    for seed in range(seeds):
        torch.manual_seed(seed)
        cell = make()
        data = torch.randn(16, steps, cell.input_size).double() if x is None else x
        logs.append(gradient_norms(cell, data).clamp(min=1e-300).log())
    return torch.stack(logs).mean(0).exp()


def measure_gradients(steps: int, seeds: int) -> dict[str, dict[str, Tensor]]:
    """Panel to line to norms by lag."""
    panels: dict[str, dict[str, Tensor]] = {}
    for name, title in INITIALIZATIONS.items():
        panels[title] = {
            kind: mean_norms(lambda kind=kind, name=name: fresh_cell(kind, name), steps, seeds)
            for kind in CELLS
        }
    panels["RNN: recurrent weights of radius g"] = {
        f"g = {scale}": mean_norms(lambda scale=scale: rnn_of_radius(scale), steps, seeds)
        for scale in (0.7, 1.0, 1.3, 2.0)
    }
    return panels


# 2. tasks over growing lags

SYMBOLS, LENGTH = 4, 3
NEAR = 0.1  # an adding network is right within this


def copy_batch(rows: int, lag: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Three symbols of four, `lag` blanks, then three cues at which to say them again."""
    symbols = torch.randint(SYMBOLS, (rows, LENGTH), generator=random)
    blank, cue = torch.full((rows, lag), SYMBOLS), torch.full((rows, LENGTH), SYMBOLS + 1)
    return one_hot(torch.cat([symbols, blank, cue], 1), SYMBOLS + 2).float(), symbols


def adding_batch(rows: int, lag: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Random numbers, two of them marked, about `lag` steps apart; their sum at the end."""
    steps = lag + 10
    x = torch.zeros(rows, steps, 2)
    x[:, :, 0] = torch.rand(rows, steps, generator=random)
    for first in (0, steps - 5):
        marked = first + torch.randint(5, (rows,), generator=random)
        x[torch.arange(rows), marked, 1] = 1
    return x, x.prod(-1).sum(1)


class Task(NamedTuple):
    """A task: its batches, its network's shape, the loss of knowing nothing."""

    batch: Callable[[int, int, torch.Generator], tuple[Tensor, Tensor]]
    inputs: int
    outputs: int
    positions: int
    chance: float

    def loss(self, said: Tensor, wanted: Tensor) -> Tensor:
        if self.outputs == 1:
            return mse_loss(said[:, 0, 0], wanted)
        return cross_entropy(said.flatten(0, 1), wanted.flatten())

    def share_solved(self, said: Tensor, wanted: Tensor) -> float:
        if self.outputs == 1:
            return ((said[:, 0, 0] - wanted).abs() < NEAR).float().mean().item()
        return (said.argmax(-1) == wanted).all(1).float().mean().item()


TASKS = {
    "copy": Task(copy_batch, SYMBOLS + 2, SYMBOLS, LENGTH, math.log(SYMBOLS)),
    "adding": Task(adding_batch, 2, 1, 1, 1 / 6),
}


@dataclass(frozen=True)
class Attempt:
    """One network on one task at one lag, and how it ended."""

    task: str
    cell: str
    lag: int
    optimizer: str
    clip: bool
    updates: int = 0
    solved: float = 0.0
    loss: float = math.nan
    norms: tuple[float, ...] = ()

    @property
    def outcome(self) -> str:
        return f"{self.solved:.0%}" if math.isfinite(self.loss) else "diverged"


def attempt(plan: Attempt, updates: int) -> tuple[Attempt, Reader]:
    """Train until nearly all is solved, the loss is no number, or the updates are used up."""
    task = TASKS[plan.task]
    torch.manual_seed(1)
    network = Reader(plan.cell, task.inputs, task.outputs, positions=task.positions)
    if plan.optimizer == "adam":
        optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    else:
        optimizer = torch.optim.SGD(network.parameters(), lr=0.3, momentum=0.9)
    random = torch.Generator().manual_seed(2)
    fresh = task.batch(500, plan.lag, torch.Generator().manual_seed(3))
    norms: list[float] = []
    for update in range(1, updates + 1):
        x, wanted = task.batch(BATCH, plan.lag, random)
        loss = task.loss(network(x), wanted)
        optimizer.zero_grad()
        loss.backward()
        limit = 1.0 if plan.clip else math.inf
        norms.append(nn.utils.clip_grad_norm_(network.parameters(), limit).item())
        optimizer.step()
        if not math.isfinite(loss.item()):
            return replace(plan, updates=update, norms=tuple(norms)), network
        if update % 50 == 0 or update == updates:
            with torch.no_grad():
                said = network(fresh[0])
                solved = task.share_solved(said, fresh[1])
                left = task.loss(said, fresh[1]).item()
            plan = replace(plan, updates=update, solved=solved, loss=left)
            if solved > 0.98:
                break
    return replace(plan, norms=tuple(norms)), network


def plan_attempts(lags: Sequence[int]) -> Iterator[Attempt]:
    """Adam over all lags; the chapter's kind of optimizer, plain descent, at the shortest."""
    for task in TASKS:
        for optimizer, over in (("adam", lags), ("sgd", lags[:1])):
            for clip in (True, False):
                for cell in CELLS:
                    for lag in over:
                        yield Attempt(task, cell, lag, optimizer, clip)
