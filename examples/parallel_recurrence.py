"""Gated recurrence in parallel: the scan, what it saves, and what its gates cannot see.

    python examples/parallel_recurrence.py [--out FIGURE.svg]

See docs/chapter/parallel.md.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from penstock.errors import PenstockError
from penstock.figure import empty_figure, save_figure
from penstock.nn.cells import Cell
from penstock.nn.initialization import initialize
from penstock.nn.recurrent import Recurrent

SEQUENTIAL, PARALLEL = ("lstm", "gru"), ("sru", "ssru", "mingru", "minlstm")
TRAINED, TESTED = 12, 60  # symbols in a row
COLOURS = dict(
    zip(
        (*SEQUENTIAL, *PARALLEL),
        ("#444444", "#999999", "#0072B2", "#009E73", "#D55E00", "#CC79A7"),
        strict=True,
    )
)

Step = tuple[Tensor, Tensor]  # a and b of h ↦ a ⊙ h + b


def combine(first: Step, then: Step) -> Step:
    """Two steps as one: associative, and (1, 0) changes nothing."""
    (a1, b1), (a2, b2) = first, then
    return a2 * a1, a2 * b1 + b2


def loop(a: Tensor, b: Tensor) -> Tensor:
    """All states from h = 0, one position after the other; a, b and result are (S, ·)."""
    h = torch.zeros_like(b[0])
    states: list[Tensor] = []
    for t in range(len(a)):
        h = a[t] * h + b[t]
        states.append(h)
    return torch.stack(states)


def doubling(a: Tensor, b: Tensor) -> tuple[Tensor, int]:
    """The same in ⌈log2 S⌉ rounds: each joins every position to the one 1, 2, 4 … before it."""
    distance, rounds = 1, 0
    while distance < len(a):
        before = (
            torch.cat([torch.ones_like(a[:distance]), a[:-distance]]),
            torch.cat([torch.zeros_like(b[:distance]), b[:-distance]]),
        )
        a, b = combine(before, (a, b))
        distance, rounds = 2 * distance, rounds + 1
    return b, rounds


def compare_orders(lengths: list[int]) -> None:
    """The cell's own steps, the loop and the rounds, on the same input."""
    torch.manual_seed(1)
    cell = Cell("mingru", 8, 16).double()
    print("positions  loop: rounds  distance  doubling: rounds  distance    (to the cell's steps)")
    for length in lengths:
        x = torch.randn(length, 1, 8, dtype=torch.float64)
        with torch.no_grad():
            states: list[Tensor] = []
            state = cell.zero_state(1, x)
            for now in x:
                state = cell(now, state)
                states.append(state.h[0])
            expected = torch.stack(states)
            z, candidate = cell.input_products(x).chunk(2, -1)  # of all positions at once
            a, b = 1 - z.sigmoid(), z.sigmoid() * candidate
            fast, rounds = doubling(a, b)
            far = [(found - expected).abs().max().item() for found in (loop(a, b), fast)]
        print(f"{length:>9}{length:>14}{far[0]:>10.0e}{rounds:>18}{far[1]:>10.0e}")


def milliseconds(cell: str, length: int, *, size: int, rounds: int) -> float:
    """Processor time of one layer over 8 rows, forward and gradient: the median."""
    network, x = Recurrent(size, size, cell=cell), torch.randn(8, length, size)
    spent: list[float] = []
    for _ in range(rounds + 1):
        begun = time.process_time()
        network(x)[0].sum().backward()
        spent.append(time.process_time() - begun)
    return 1e3 * median(spent[1:])


def compare_times(lengths: list[int], *, size: int, rounds: int) -> dict[str, list[float]]:
    """Print milliseconds by cell and length."""
    times = {
        cell: [milliseconds(cell, length, size=size, rounds=rounds) for length in lengths]
        for cell in COLOURS
    }
    print(f"\none layer of {size}, 8 rows, forward and gradient, ms of one core")
    print("positions " + "".join(f"{length:>9}" for length in lengths))
    for cell, found in times.items():
        print(f"{cell:<10}" + "".join(f"{value:>9.1f}" for value in found))
    return times


def parity(rows: int, length: int) -> Step:
    """Bits, and whether there was an odd number of ones so far."""
    x = torch.randint(2, (rows, length))
    return x, x.cumsum(1) % 2


def latch(rows: int, length: int) -> Step:
    """Symbols 0, 1 and 'hold', and the last 0 or 1 so far."""
    x = torch.randint(3, (rows, length)).where(torch.rand(rows, length) < 0.3, torch.tensor(2))
    x[:, 0] = torch.randint(2, (rows,))
    places = torch.arange(length).where(x < 2, torch.tensor(0)).cummax(1).values
    return x, x.gather(1, places)


def accuracy(cell: str, task: Any, updates: int) -> list[float]:
    """Train one layer on short rows; the share of right answers at each position of long ones."""
    torch.manual_seed(2)
    table, network, output = nn.Embedding(3, 8), Recurrent(8, 32, cell=cell), nn.Linear(32, 2)
    model = nn.ModuleList([table, network, output])
    initialize(model, "xavier")
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(updates):
        x, y = task(64, TRAINED)
        loss = cross_entropy(output(network(table(x))[0]).flatten(0, 1), y.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    with torch.no_grad():
        x, y = task(500, TESTED)
        right = output(network(table(x))[0]).argmax(-1) == y
    return right.float().mean(0).tolist()


def compare_memory(updates: int) -> dict[str, dict[str, list[float]]]:
    """Print the accuracy at some positions."""
    shown = (1, 2, 3, 4, 6, TRAINED, TESTED)
    print(f"\ntrained on {TRAINED} symbols: % right at position")
    print(" " * 18 + "".join(f"{position:>5}" for position in shown))
    found: dict[str, dict[str, list[float]]] = {}
    for name, task in (("last symbol", latch), ("parity", parity)):
        found[name] = {cell: accuracy(cell, task, updates) for cell in COLOURS}
        for cell, right in found[name].items():
            values = "".join(f"{100 * right[position - 1]:>5.0f}" for position in shown)
            print(f"{name:<12}{cell:<7}{values}")
    return found


def draw(
    path: Path,
    lengths: list[int],
    times: dict[str, list[float]],
    found: dict[str, dict[str, list[float]]],
) -> None:
    """The rounds of the doubling scan, the times, and the accuracy by position."""
    figure = empty_figure(10, 3.2)
    scan, speed, memory = figure.subplots(1, 3)
    size = 8
    rounds = math.ceil(math.log2(size))
    for done in range(rounds + 1):
        for t in range(size):
            scan.plot(t, done, "o", color="#0072B2", markersize=6)
            if done < rounds and t >= 2**done:
                scan.plot([t - 2**done, t], [done, done + 1], color="#D55E00", linewidth=1)
            if done < rounds:
                scan.plot([t, t], [done, done + 1], color="#0072B2", linewidth=1, alpha=0.5)
    scan.set(title=f"{size} states in {rounds} rounds", xlabel="position", ylabel="round")
    scan.set_xticks(range(size), labels=[str(t + 1) for t in range(size)])
    scan.set_yticks(range(rounds + 1))
    for cell, spent in times.items():
        per_position = [1e3 * ms / length for ms, length in zip(spent, lengths, strict=True)]
        speed.loglog(lengths, per_position, color=COLOURS[cell], marker=".", label=cell)
    speed.set(
        title="one layer, forward and gradient",
        xlabel="positions",
        ylabel="µs of one core per position",
    )
    speed.set_xticks(lengths, labels=[str(length) for length in lengths])
    speed.set_yticks([100, 200, 500], labels=["100", "200", "500"])
    speed.legend(fontsize=8, ncols=2)
    for cell, right in found["parity"].items():
        memory.plot(range(1, TESTED + 1), right, color=COLOURS[cell], label=cell)
    memory.axvline(TRAINED, color="k", linewidth=0.6, linestyle=":")
    memory.set(title="parity: share right", xlabel="position", ylim=(0.35, 1.02))
    for axes in (scan, speed, memory):
        axes.title.set_fontsize(11)
        axes.minorticks_off()
    save_figure(figure, path)


def main() -> None:
    """Print the tables and draw the figure if one is asked for."""
    parser = argparse.ArgumentParser(description="Gated recurrence in parallel.")
    parser.add_argument("--out", type=Path, help="figure to draw (.svg, .png, .pdf)")
    parser.add_argument("--short", action="store_true", help="less of everything, for tests")
    options = parser.parse_args()
    torch.set_num_threads(1)
    compare_orders([7, 64] if options.short else [7, 64, 1000])
    lengths = [4, 8] if options.short else [16, 64, 256, 1024]
    rounds = 1 if options.short else 5
    times = compare_times(lengths, size=8 if options.short else 256, rounds=rounds)
    found = compare_memory(2 if options.short else 300)
    if options.out is not None:
        try:
            draw(options.out, lengths, times, found)
        except PenstockError as error:
            parser.exit(error.exit_code, f"{error}\n")


if __name__ == "__main__":
    main()
