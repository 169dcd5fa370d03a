"""Gates held at their extremes: what a gated cell is then, and what it forgets and keeps."""

from __future__ import annotations

from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from penstock.config import CELLS
from penstock.nn.cells import Cell, cell_spec
from penstock.nn.recurrent import Recurrent
from penstock.nn.state import State

B, S, I, H = 3, 7, 5, 4  # noqa: E741 - the legend's letter for an input's width
Form = Literal["after", "before"]
both_forms = pytest.mark.parametrize("form", ["after", "before"])
DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


def held(kind: str, *, form: Form = "after", **gates: float) -> Cell:
    """A random cell in float64 with some gates held."""
    torch.manual_seed(1)
    cell = Cell(kind, I, H, gru_form=form).double()
    for name, value in gates.items():
        cell.hold_gate(name, value)
    return cell


def run(cell: Cell, x: Tensor, state: State) -> Tensor:
    """All hidden states, (B, S, H), step by step."""
    outputs = []
    for t in range(x.shape[1]):
        state = cell(x[:, t], state)
        outputs.append(state.h[0])
    return torch.stack(outputs, 1)


def sources() -> tuple[Tensor, Tensor]:
    """Inputs (B, S, I) and an initial hidden state (1, B, H)."""
    torch.manual_seed(2)
    return (
        torch.randn(B, S, I, dtype=torch.float64),
        torch.randn(1, B, H, dtype=torch.float64, requires_grad=True),
    )


def candidates_rnn(gru: Cell) -> nn.RNN:
    """torch's plain RNN with the weights of a GRU's candidate."""
    rnn = nn.RNN(I, H, batch_first=True, dtype=torch.float64)
    rnn.load_state_dict(
        {f"{name}_l0": value.detach().chunk(3)[2] for name, value in gru.named_parameters()}
    )
    return rnn


# GRU: h' = (1 - z) n + z h


@both_forms
def test_update_0_reset_1_is_a_plain_rnn(form: Form) -> None:
    gru = held("gru", form=form, update=0, reset=1)
    x, h = sources()
    outputs = run(gru, x, State(h))
    theirs, _ = candidates_rnn(gru)(x, h)
    torch.testing.assert_close(outputs, theirs, rtol=0, atol=1e-10)
    ours, expected = (torch.autograd.grad(y.square().sum(), h)[0] for y in (outputs, theirs))
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-10)

    plain = Cell("rnn", I, H).double()
    plain.load_state_dict({name: value.chunk(3)[2] for name, value in gru.state_dict().items()})
    torch.testing.assert_close(outputs, run(plain, x, State(h)), rtol=0, atol=1e-10)


@both_forms
def test_update_1_keeps_the_old_state_and_ignores_the_input(form: Form) -> None:
    gru = held("gru", form=form, update=1)
    x, h = sources()
    x.requires_grad_()
    outputs = run(gru, x, State(h))
    assert torch.equal(outputs, h[0, :, None].expand(-1, S, -1))  # to the last bit
    from_x, from_h = torch.autograd.grad(outputs[:, -1].sum(), [x, h])
    assert not from_x.any()
    assert torch.equal(from_h, torch.ones_like(h))  # a gradient that neither fades nor grows


@both_forms
def test_update_0_reset_0_forgets_the_state(form: Form) -> None:
    gru = held("gru", form=form, update=0, reset=0)
    x, h = sources()
    outputs = run(gru, x, State(h))
    (from_h,) = torch.autograd.grad(outputs.sum(), h)
    assert not from_h.any()
    assert torch.equal(outputs, run(gru, x, State(100 * h)))
    # what is left is a feed-forward layer at each step; the forms differ in a bias
    weight, bias = gru.weight_ih.chunk(3)[2], gru.bias_ih.chunk(3)[2]
    if form == "before":  # (R⊙H)W + b keeps the product's bias, R⊙(HW + b) loses it
        bias = bias + gru.bias_hh.chunk(3)[2]
    layer = torch.tanh(x @ weight.T + bias)
    torch.testing.assert_close(outputs, layer, rtol=0, atol=1e-10)


@both_forms
def test_update_0_alone_does_not_forget_the_candidate_still_sees_the_state(form: Form) -> None:
    gru = held("gru", form=form, update=0)
    x, h = sources()
    first = gru(x[:, 0], State(h)).h
    (from_h,) = torch.autograd.grad(first.sum(), h)
    assert from_h.abs().max() > 0.01
    assert (gru(x[:, 0], State(h + 1)).h - first).abs().max() > 0.01


def test_the_fused_gru_holds_its_gates_too() -> None:
    torch.manual_seed(3)
    x, h = sources()
    for gates in ({"update": 1}, {"update": 0, "reset": 1}, {"update": 0, "reset": 0}):
        network = Recurrent(I, H, cell="gru").double()
        cell = network.cells[0]
        assert isinstance(cell, Cell)
        for name, value in gates.items():
            cell.hold_gate(name, value)
        outputs, _ = network(x, None, State(h))
        torch.testing.assert_close(outputs, run(cell, x, State(h)), rtol=0, atol=1e-10)


# LSTM: c' = f c + i g


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("backend", ["fused", "reference"])
def test_forget_1_input_0_keeps_the_cell_for_ever(backend: Any, dtype: torch.dtype) -> None:
    torch.manual_seed(4)
    steps = 10_000 if backend == "fused" else 1_000
    network = Recurrent(I, H, cell="lstm", backend=backend).to(dtype)
    cell = network.cells[0]
    assert isinstance(cell, Cell)
    cell.hold_gate("forget", 1)
    cell.hold_gate("input", 0)
    x = torch.randn(1, steps, I).to(dtype)
    h, c = torch.randn(2, 1, 1, H).to(dtype)
    outputs, final = network(x, None, State(h, c.requires_grad_()))
    assert final.c is not None
    assert torch.equal(final.c, c)  # to the last bit, in any type
    assert outputs.std(1).min() > 0.001  # while the output gate goes on showing it or not
    (gradient,) = torch.autograd.grad(final.c.sum(), c)
    assert torch.equal(gradient, torch.ones_like(c))


def test_a_forget_gate_a_little_below_1_forgets_all_the_same() -> None:
    network = Recurrent(I, H, cell="lstm").double()
    cell = network.cells[0]
    assert isinstance(cell, Cell)
    cell.hold_gate("forget", 0.999)
    cell.hold_gate("input", 0)
    c = torch.ones(1, 1, H, dtype=torch.float64)
    final = network(torch.randn(1, 10_000, I, dtype=torch.float64), None, State(c, c))[1].c
    torch.testing.assert_close(final, c * 0.999**10_000, rtol=1e-6, atol=0)  # 4.5e-5


# holding and reading gates


@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])
def test_gates_are_those_of_the_equations(kind: str) -> None:
    """From the gates and torch's step the candidate follows; it must be tanh of its own product."""
    torch.manual_seed(5)
    cell = Cell(kind, I, H).double()
    x, h = sources()
    c = torch.randn_like(h) if kind == "lstm" else None
    state = State(h, c)
    gates = cell.gates(x[:, 0], state)
    assert list(gates) == list(cell_spec(kind).gates)
    from_x = x[:, 0] @ cell.weight_ih.T + cell.bias_ih
    from_h = h[0] @ cell.weight_hh.T + cell.bias_hh
    after = cell(x[:, 0], state)
    if kind == "gru":
        n = torch.tanh(from_x[:, 2 * H :] + gates["reset"] * from_h[:, 2 * H :])
        expected = (1 - gates["update"]) * n + gates["update"] * h[0]
        torch.testing.assert_close(after.h[0], expected, rtol=0, atol=1e-10)
    if kind == "lstm":
        assert after.c is not None
        assert c is not None
        g = torch.tanh((from_x + from_h)[:, 2 * H : 3 * H])
        expected = gates["forget"] * c[0] + gates["input"] * g
        torch.testing.assert_close(after.c[0], expected, rtol=0, atol=1e-10)
        shown = gates["output"] * torch.tanh(expected)
        torch.testing.assert_close(after.h[0], shown, rtol=0, atol=1e-10)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [0.0, 0.25, 1.0])
@pytest.mark.parametrize(("kind", "name"), [(k, n) for k in CELLS for n in cell_spec(k).gates])
def test_a_held_gate_has_its_value_and_the_others_move(
    kind: str, name: str, value: float, dtype: torch.dtype
) -> None:
    torch.manual_seed(6)
    cell = Cell(kind, I, H).to(dtype)
    cell.hold_gate(name, value)
    x, h = (t.to(dtype) for t in sources())
    gates = cell.gates(30 * x[:, 0], State(30 * h, h))
    tolerance = 0 if value in (0, 1) else 1e-2
    torch.testing.assert_close(
        gates.pop(name), torch.full((B, H), value, dtype=dtype), rtol=0, atol=tolerance
    )
    assert all(other.std() > 0.1 for other in gates.values())


def test_training_keeps_what_is_held_at_an_extreme() -> None:
    cell = held("gru", reset=1, update=0)
    x, h = sources()
    optimizer = torch.optim.Adam(cell.parameters(), lr=0.1)
    untouched = {name: p.detach().clone() for name, p in cell.named_parameters()}
    for _ in range(3):
        optimizer.zero_grad()
        (run(cell, x, State(h.detach())) - 1).square().sum().backward()
        optimizer.step()
    for name, parameter in cell.named_parameters():
        before = untouched[name]
        assert torch.equal(parameter[: 2 * H], before[: 2 * H])  # reset and update
        assert not torch.equal(parameter[2 * H :], before[2 * H :])  # the candidate learns


@pytest.mark.parametrize(
    ("kind", "name", "value", "message"),
    [
        ("gru", "forget", 1, "no gate 'forget' in cell 'gru'; it has: reset, update"),
        ("rnn", "reset", 1, "no gate 'reset' in cell 'rnn'; it has: none"),
        ("lstm", "forget", 1.5, r"gate 'forget' = 1.5: a gate lets through 0 \(nothing\) to 1"),
        ("lstm", "input", float("nan"), "gate 'input' = nan: a gate lets through 0"),
    ],
)
def test_a_gate_that_cannot_be_held_is_refused(
    kind: str, name: str, value: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Cell(kind, I, H).hold_gate(name, value)


def test_layer_norm_holds_no_gate() -> None:
    with pytest.raises(ValueError, match="gate 'reset': layer norm would move the held value"):
        Cell("gru", I, H, layer_norm=True).hold_gate("reset", 1)
