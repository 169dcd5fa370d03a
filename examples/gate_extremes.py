"""Gates at their extremes: a plain RNN, a frozen state, a forgotten one, a cell kept for ever.

    python examples/gate_extremes.py [--out FIGURE.svg]

In our equations the update gate keeps: h' = (1 - z) n + z h. See docs/chapter/gate-extremes.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

from penstock.errors import PenstockError
from penstock.figure import empty_figure, save_figure
from penstock.nn.cells import Cell
from penstock.nn.initialization import initialize
from penstock.nn.state import State

INPUTS, HIDDEN = 3, 16
FORMS = ("after", "before")  # where the reset gate acts: after the product, or before it (the book)
STARTS = (-0.9, 0.0, 0.9)  # of every unit: what becomes of them shows what a cell forgets


def held(kind: str, *, form: str = "after", **gates: float) -> Cell:
    """A cell with some gates held at a value; the other weights are the same for all."""
    torch.manual_seed(8)
    cell = Cell(kind, INPUTS, HIDDEN, gru_form=form).double()
    initialize(cell, "orthogonal")
    for name, value in gates.items():
        cell.hold_gate(name, value)
    return cell


def run(cell: Cell, x: Tensor, h: Tensor) -> Tensor:
    """The states h_0, h_1, … h_S, (S + 1, B, H), for inputs x (S, B, I)."""
    state, states = State(h[None]), [h]
    for step in x:
        state = cell(step, state)
        states.append(state.h[0])
    return torch.stack(states)


def sources(steps: int) -> tuple[Tensor, Tensor]:
    """One random input for three rows, each with a start of its own."""
    torch.manual_seed(9)
    x = torch.randn(steps, 1, INPUTS, dtype=torch.float64).expand(-1, len(STARTS), -1)
    return x, torch.tensor(STARTS, dtype=torch.float64)[:, None].expand(-1, HIDDEN)


def plain_rnn(gru: Cell) -> Cell:
    """The RNN that has the weights of a GRU's candidate."""
    rnn = Cell("rnn", INPUTS, HIDDEN).double()
    rnn.load_state_dict({name: value.chunk(3)[2] for name, value in gru.state_dict().items()})
    return rnn


def seen_of_state(cell: Cell) -> float:
    """How much one step's result depends on the state before: the largest derivative."""
    x, h = sources(1)
    jacobian = torch.autograd.functional.jacobian(lambda start: run(cell, x, start)[-1], h)
    return jacobian.abs().max().item()


def cell_after(steps: int, forget: float) -> list[float]:
    """One LSTM cell over time, from 1, with the forget gate held and the input gate shut."""
    lstm = held("lstm", forget=forget, input=0)
    ones = torch.ones(1, 1, HIDDEN, dtype=torch.float64)
    state, cells = State(ones, ones), [1.0]
    with torch.no_grad():
        for x in torch.randn(steps, 1, INPUTS, dtype=torch.float64):
            state = lstm(x, state)
            assert state.c is not None
            cells.append(state.c[0, 0, 0].item())
    return cells


def print_table(steps: int, long: int) -> None:
    """What each extreme promises, as a number for both forms of the GRU."""
    x, h = sources(steps)
    print(f"{'gates':<24}{'what must hold':<46}{'after':>10}{'before':>10}")

    def row(gates: str, claim: str, values: list[float]) -> None:
        print(f"{gates:<24}{claim:<46}" + "".join(f"{value:>10.1e}" for value in values))

    plain = [held("gru", form=form, update=0, reset=1) for form in FORMS]
    frozen = [held("gru", form=form, update=1) for form in FORMS]
    reset_free = [held("gru", form=form, update=0) for form in FORMS]
    forgetful = [held("gru", form=form, update=0, reset=0) for form in FORMS]
    row(
        "GRU   Z = 0, R = 1",
        "distance to a plain RNN: 0",
        [(run(g, x, h) - run(plain_rnn(g), x, h)).abs().max().item() for g in plain],
    )
    row(
        "GRU   Z = 1",
        f"distance to the start after {steps} steps: 0",
        [(run(g, x, h)[-1] - h).abs().max().item() for g in frozen],
    )
    row("GRU   Z = 0", "dependence on H of t-1: not 0", [seen_of_state(g) for g in reset_free])
    row("GRU   Z = 0, R = 0", "dependence on H of t-1: 0", [seen_of_state(g) for g in forgetful])
    for forget in (1, 0.999):
        kept = cell_after(long, forget)[-1]
        print(
            f"LSTM  F = {forget}, I = 0".ljust(24) + f"a cell of 1 after {long} steps: {kept:.1e}"
        )


def draw(path: Path, steps: int, long: int) -> None:
    """The four GRUs from three starts, what is left of the start, and the LSTM's cell."""
    x, h = sources(steps)
    grus = {
        "GRU, Z = 0, R = 1: a plain RNN": held("gru", update=0, reset=1),
        "GRU, Z = 1: keeps the state": held("gru", update=1),
        "GRU, Z = 0: still sees the state": held("gru", update=0),
        "GRU, Z = 0, R = 0: forgets it": held("gru", update=0, reset=0),
    }
    figure = empty_figure(10, 5.4)
    panels = figure.subplots(2, 3)
    left = panels[1, 1]
    for axes, (title, cell) in zip(panels.flat, grus.items(), strict=False):
        states = run(cell, x, h).detach()
        for row, colour in enumerate(("#0072B2", "#009E73", "#D55E00")):
            axes.plot(states[:, row, 0], color=colour, alpha=0.8)
        if "RNN" in title:
            expected = run(plain_rnn(cell), x, h).detach()[:, :, 0].flatten()
            at = torch.arange(steps + 1).repeat_interleave(len(STARTS))
            axes.plot(at, expected, "k.", markersize=3, label="the RNN")
            axes.legend(loc="lower right", fontsize=8)
        axes.set(title=title, xlabel="step", ylabel="one unit of h", ylim=(-1.05, 1.05))
        apart = (states[:, 0] - states[:, -1]).norm(dim=-1).clamp(min=1e-17)
        left.semilogy(apart / apart[0], label=title.split(":")[0].removeprefix("GRU, "))
    left.set(title="what is left of the start", xlabel="step", ylim=(1e-12, 10))
    left.legend(fontsize=8)
    shown = sorted({round(10 ** (power / 20)) for power in range(81)} & set(range(long + 1)))
    for forget in (1, 0.999, 0.99, 0.9):
        cells = cell_after(long, forget)
        panels[1, 2].semilogx(shown, [cells[t] for t in shown], label=f"F = {forget}")
    panels[1, 2].set(title="LSTM, I = 0: keeps its cell", xlabel="step", ylabel="one unit of c")
    panels[1, 2].legend(fontsize=8)
    for axes in panels.flat:
        axes.title.set_fontsize(11)
        axes.minorticks_off()
        axes.grid(visible=True, alpha=0.25)
    save_figure(figure, path)


def main() -> None:
    """Print the table and draw the figure if one is asked for."""
    parser = argparse.ArgumentParser(description="Gates held at their extremes.")
    parser.add_argument("--out", type=Path, help="figure to draw (.svg, .png, .pdf)")
    parser.add_argument("--short", action="store_true", help="fewer steps, for tests")
    options = parser.parse_args()
    steps, long = (10, 100) if options.short else (30, 10_000)
    print_table(steps, long)
    if options.out is not None:
        try:
            draw(options.out, steps, long)
        except PenstockError as error:
            parser.exit(error.exit_code, f"{error}\n")


if __name__ == "__main__":
    main()
