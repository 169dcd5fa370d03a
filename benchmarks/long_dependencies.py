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
from penstock.figure import empty_figure, save_figure
from penstock.nn.cells import Cell
from penstock.nn.initialization import initialize
from penstock.nn.recurrent import Recurrent

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


# 3. which gate does what

HOLDS: dict[str, dict[str, float]] = {
    "all gates free": {},
    "R held at 1": {"reset": 1},
    "R held at 0": {"reset": 0},
    "Z held at 0": {"update": 0},
}
FAR = 15  # steps: what counts as long ago


class Recall(NamedTuple):
    """A batch with a short and a long dependency in every row.

    Attributes:
        x: (B, S, 3): a value a step, and at times a second one with its cue.
        wanted: (B, S, 2): the product of the last two values; the second value cued last.
        lag: (B, S): steps since that cue.
    """

    x: Tensor
    wanted: Tensor
    lag: Tensor


def recall_batch(rows: int, steps: int, random: torch.Generator) -> Recall:
    values, cued = torch.rand(2, rows, steps, generator=random) * 2 - 1
    cue = torch.rand(rows, steps, generator=random) < 1 / FAR
    cue[:, 0] = True
    positions = torch.arange(steps).expand(rows, -1)
    last = torch.where(cue, positions, 0).cummax(1).values
    product = values * values.roll(1, 1)
    product[:, 0] = 0
    x = torch.stack([values, cued * cue, cue.float()], -1)
    return Recall(x, torch.stack([product, cued.gather(1, last)], -1), positions - last)


def train_recall(seed: int, holds: dict[str, float], updates: int, steps: int) -> Reader:
    torch.manual_seed(seed)
    network = Reader("gru", 3, 2, positions=None)
    for name, value in holds.items():
        network.cell.hold_gate(name, value)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    random = torch.Generator().manual_seed(seed)
    for _ in range(updates):
        batch = recall_batch(BATCH, steps, random)
        loss = mse_loss(network(batch.x), batch.wanted)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    return network


@torch.no_grad()
def share_missed(network: Reader, batch: Recall) -> tuple[float, float]:
    """The share of variance not explained: of the product, of the value cued long ago."""
    squared = (network(batch.x) - batch.wanted).square()
    far = batch.lag >= FAR
    short = squared[:, 1:, 0].mean() / batch.wanted[:, 1:, 0].var()
    return short.item(), (squared[far][:, 1].mean() / batch.wanted[far][:, 1].var()).item()


@torch.no_grad()
def measure_units(network: Reader, batch: Recall) -> Tensor:
    """(H, 4): each unit's mean reset and update gate, and what it carries: short, long.

    Carried is the share of the unit's variance that goes with the last two values and their
    product, and with the value cued last. They are independent, so r² may be added.
    """
    cell, state = network.cell, network.cell.zero_state(len(batch.x), batch.x)
    gates: list[Tensor] = []
    hidden: list[Tensor] = []
    for t in range(batch.x.shape[1]):
        found = cell.gates(batch.x[:, t], state)
        gates.append(torch.stack([found["reset"], found["update"]]))
        state = cell(batch.x[:, t], state)
        hidden.append(state.h[0])
    means = torch.stack(gates).mean((0, 2))  # (2, H)
    values = batch.x[:, :, 0]
    carried = torch.stack([values, values.roll(1, 1), *batch.wanted.unbind(-1)], -1)
    joined = torch.cat([torch.stack(hidden, 1), carried], -1)[:, 1:].flatten(0, 1)
    explained = torch.corrcoef(joined.T)[:HIDDEN, HIDDEN:].square()  # (H, 4)
    return torch.stack([*means, explained[:, :3].sum(1), explained[:, 3]], 1)


class Gates(NamedTuple):
    """What the third experiment found.

    Attributes:
        missed: for each of `HOLDS` the shares missed, short and long: geometric means over seeds.
        units: (N, 4), see `measure_units`, of all networks with free gates.
    """

    missed: dict[str, tuple[float, float]]
    units: Tensor


def measure_gates(seeds: int, updates: int, steps: int) -> Gates:
    fresh = recall_batch(200, steps, torch.Generator().manual_seed(1000))
    missed: dict[str, tuple[float, float]] = {}
    units: list[Tensor] = []
    for name, holds in HOLDS.items():
        shares = []
        for seed in range(1, seeds + 1):
            network = train_recall(seed, holds, updates, steps)
            shares.append(share_missed(network, fresh))
            if not holds:
                units.append(measure_units(network, fresh))
        short, far = torch.tensor(shares).log().mean(0).exp().tolist()
        missed[name] = (short, far)
    return Gates(missed, torch.cat(units))


# tables


def print_gradients(panels: dict[str, dict[str, Tensor]]) -> None:
    lags = [
        lag for lag in (1, 10, 20, 50, 100, 200) if lag < len(next(iter(panels.values()))["rnn"])
    ]
    print("1. |dL/d state(T - lag)|, relative to lag 0\n")
    for title, lines in panels.items():
        print(f"{title:<38}" + "".join(f"{f'lag {lag}':>10}" for lag in lags))
        for name, norms in lines.items():
            shown = "".join(
                f"{norms[lag].item():>10.1e}" if lag < len(norms) else "" for lag in lags
            )
            print(f"    {name.upper() if name in CELLS else name:<34}{shown}")
    print()


def print_tasks(attempts: Sequence[Attempt], lags: Sequence[int]) -> None:
    print("2. share solved (updates it took); '-': less than 98 % when the updates were used up\n")
    for optimizer, name in (("adam", "Adam"), ("sgd", "gradient descent, momentum")):
        shown = sorted({a.lag for a in attempts if a.optimizer == optimizer})
        print(f"{name:<38}" + "".join(f"{f'lag {lag}':>14}" for lag in shown))
        for task in TASKS:
            for clip in (True, False):
                for cell in CELLS:
                    row = f"    {task}, {'clipped' if clip else 'not clipped'}, {cell.upper()}"
                    chosen = [
                        a for lag in shown for a in attempts
                        if (a.task, a.optimizer, a.clip, a.cell, a.lag)
                        == (task, optimizer, clip, cell, lag)
                    ]  # fmt: skip
                    print(f"{row:<38}" + "".join(f"{describe(a):>14}" for a in chosen))
    print()


def describe(a: Attempt) -> str:
    if not math.isfinite(a.loss):
        return f"NaN at {a.updates}"
    return f"{a.solved:.0%} ({a.updates if a.solved > 0.98 else '-'})"


def print_gates(gates: Gates) -> None:
    print("3. a GRU with a short and a long dependency: share of variance missed\n")
    print(f"{'':<38}{'short':>10}{'long':>10}")
    for name, (short, far) in gates.missed.items():
        print(f"    {name:<34}{short:>10.2%}{far:>10.2%}")
    print(f"\n{'correlation over units':<38}{'short':>10}{'long':>10}")
    for name, column in (("reset gate", 0), ("update gate", 1)):
        found = [correlation(gates.units[:, column], gates.units[:, part]) for part in (2, 3)]
        print(f"    {f'{name} and what is carried':<34}" + "".join(f"{r:>10.2f}" for r in found))


def correlation(a: Tensor, b: Tensor) -> float:
    return torch.corrcoef(torch.stack([a, b]))[0, 1].item()


# figures


def draw_gradients(panels: dict[str, dict[str, Tensor]], path: Path) -> None:
    figure = empty_figure(10, 5.6)
    for axes, (title, lines) in zip(figure.subplots(2, 3).flat, panels.items(), strict=True):
        for name, norms in lines.items():
            colour = COLOURS.get(name)
            label = name.upper() if name in CELLS else name
            axes.semilogy(norms.clamp(min=1e-14), color=colour, label=label)
        axes.axhline(1, color="black", linewidth=0.5)
        axes.set_title(title, fontsize=10)
        axes.set(xlabel="lag", ylim=(1e-12, 1e5))
        axes.grid(visible=True, alpha=0.25)
        axes.legend(fontsize=8, loc="upper right" if "rnn" in lines else "lower right")
    figure.supylabel("gradient, relative to lag 0", fontsize=10)
    save_figure(figure, path)


def draw_tasks(attempts: Sequence[Attempt], lags: Sequence[int], path: Path) -> None:
    figure = empty_figure(10, 5.6)
    rows = figure.subplots(2, 3)
    for row, task in zip(rows, TASKS, strict=True):
        for axes, clip in ((row[0], True), (row[1], False)):
            for cell in CELLS:
                points = [
                    (a.lag, a.solved) for a in attempts
                    if (a.task, a.cell, a.clip, a.optimizer) == (task, cell, clip, "adam")
                ]  # fmt: skip
                axes.plot(*zip(*points, strict=True), "o-", color=COLOURS[cell], label=cell.upper())
            axes.set_title(
                f"{task}: {'clipped at 1' if clip else 'not clipped'} (Adam)", fontsize=10
            )
            axes.set_xscale("log", base=2)
            axes.set_xticks(lags, [str(lag) for lag in lags])
            axes.set(xlabel="lag", ylabel="share solved", ylim=(-0.04, 1.06))
            axes.minorticks_off()
        for a in attempts:
            if (a.task, a.optimizer) == (task, "sgd"):
                draw_norms(row[2], a)
        row[2].set_title(f"{task}, lag {lags[0]}: gradient descent", fontsize=10)
        row[2].set(xlabel="update", ylabel="gradient's norm")
    for axes in rows.flat:
        axes.grid(visible=True, alpha=0.25)
    rows[0, 0].legend(fontsize=8)
    rows[1, 2].legend(fontsize=7, ncols=2, loc="center right")
    save_figure(figure, path)


def draw_norms(axes: object, a: Attempt) -> None:
    """The gradient's norm over updates, thinned; a cross where it was no number any more."""
    every = max(1, len(a.norms) // 60)
    at = range(0, len(a.norms), every)
    norms = [max(a.norms[i : i + every]) for i in at]
    kept = [(i, n) for i, n in zip(at, norms, strict=True) if math.isfinite(n)]
    style = {"color": COLOURS[a.cell], "linewidth": 0.9}
    label = f"{a.cell.upper()}, {'clipped' if a.clip else 'not'}"
    axes.semilogy(*zip(*kept, strict=True), "-" if a.clip else ":", label=label, **style)
    if not math.isfinite(a.loss):
        axes.plot(*kept[-1], "x", color=COLOURS[a.cell], markersize=8)


def draw_gates(gates: Gates, path: Path) -> None:
    figure = empty_figure(10, 3.4)
    reset, update, bars = figure.subplots(1, 3)
    targets = (("short", 2, "#E69F00"), ("long", 3, "#56B4E9"))
    for axes, column, name in ((update, 1, "update gate Z"), (reset, 0, "reset gate R")):
        for label, part, colour in targets:
            x, y = gates.units[:, column], gates.units[:, part]
            axes.plot(x, y, "o", color=colour, markersize=4, alpha=0.8,
                      label=f"{label}, r = {correlation(x, y):+.2f}")  # fmt: skip
        axes.set(xlabel=f"a unit's mean {name}", ylabel="share of the unit's variance")
        axes.set_title(f"what units carry, by their {name[-1]}", fontsize=10)
        axes.set_ylim(-0.04, 1.18)  # room for the legend
        axes.legend(fontsize=8, ncols=2, loc="upper center", columnspacing=1)
    at = torch.arange(len(gates.missed))
    for offset, index in ((-0.2, 0), (0.2, 1)):
        heights = [shares[index] for shares in gates.missed.values()]
        label, _, colour = targets[index]
        bars.bar(at + offset, heights, 0.4, color=colour, label=label)
    bars.set_xticks(at, [name.replace(" ", "\n", 1) for name in gates.missed], fontsize=8)
    bars.set_yscale("log")
    percents = (0.1, 0.2, 0.5, 1, 2, 5)
    bars.set_yticks([p / 100 for p in percents], [f"{p} %" for p in percents])
    bars.minorticks_off()
    bars.set_title("share of variance missed", fontsize=10)
    bars.legend(fontsize=8)
    for axes in (reset, update, bars):
        axes.grid(visible=True, alpha=0.25)
    save_figure(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description="How far RNN, GRU and LSTM reach back.")
    parser.add_argument("--out", type=Path, help="folder for the figures")
    parser.add_argument("--short", action="store_true", help="a few updates, for tests")
    options = parser.parse_args()
    torch.set_num_threads(1)  # products this small are slower on many
    lags = (2, 4) if options.short else (10, 20, 40, 60)
    updates = 3 if options.short else 1000

    panels = measure_gradients(*((20, 1) if options.short else (201, 3)))
    attempts: list[Attempt] = []
    learnt: dict[str, Tensor] = {}
    for plan in plan_attempts(lags):
        done, network = attempt(plan, updates)
        attempts.append(done)
        print(f"{done.task} {done.optimizer} {done.cell} {done.lag}", file=sys.stderr)
        if (done.task, done.optimizer, done.clip, done.lag) == ("adding", "adam", True, lags[-2]):
            x, _ = adding_batch(16, 2 * done.lag, torch.Generator().manual_seed(4))
            learnt[done.cell] = mean_norms(lambda n=network: n.cell.double(), 0, 1, x.double())
    panels[f"after learning to add over {lags[-2]} steps"] = learnt
    gates = measure_gates(*((1, 3, 30) if options.short else (2, 700, 60)))

    print_gradients(panels)
    print_tasks(attempts, lags)
    print_gates(gates)
    if options.out is not None:
        try:
            draw_gradients(panels, options.out / "gradients.svg")
            draw_tasks(attempts, lags, options.out / "tasks.svg")
            draw_gates(gates, options.out / "gates.svg")
        except PenstockError as error:
            parser.exit(error.exit_code, f"{error}\n")


if __name__ == "__main__":
    main()
