"""The cells against two strangers: torch's own cells, and the equations written out in numpy."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from penstock.nn.cells import Cell, cell_spec
from penstock.nn.state import State

B, I, H = 3, 5, 4  # noqa: E741 - the legend's letter for an input's width
KINDS: tuple[str, ...] = ("rnn", "gru", "lstm")
TORCH_CELLS = {"rnn": nn.RNNCell, "gru": nn.GRUCell, "lstm": nn.LSTMCell}
PRECISIONS = [(torch.float64, 1e-10), (torch.float32, 1e-5)]
GRU_FORMS: tuple[Literal["after", "before"], ...] = ("after", "before")


def random_step(cell: Cell, dtype: torch.dtype = torch.float64) -> tuple[Tensor, State]:
    """An input (B, I) and a state before it, both random."""
    h = torch.randn(1, B, H, dtype=dtype)
    c = torch.randn(1, B, H, dtype=dtype) if cell.spec.name == "lstm" else None
    return torch.randn(B, I, dtype=dtype), State(h, c)


def array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().numpy()


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_step_equals_torchs_cell_with_the_same_weights(
    kind: str, dtype: torch.dtype, tolerance: float
) -> None:
    torch.manual_seed(1)
    ours = Cell(kind, I, H).to(dtype)
    theirs = TORCH_CELLS[kind](I, H, dtype=dtype)
    theirs.load_state_dict(ours.state_dict())  # names, shapes and gate order are torch's
    x, state = random_step(ours, dtype)
    after = ours(x, state)
    if kind == "lstm":
        assert state.c is not None
        h, c = theirs(x, (state.h[0], state.c[0]))
        assert torch.allclose(after.c[0], c, rtol=0, atol=tolerance)
    else:
        h = theirs(x, state.h[0])
        assert after.c is None
    assert after.h.shape == (1, B, H)
    assert torch.allclose(after.h[0], h, rtol=0, atol=tolerance)


@pytest.mark.parametrize("form", GRU_FORMS)
def test_both_forms_of_the_gru_equal_their_equations(form: Literal["after", "before"]) -> None:
    torch.manual_seed(2)
    cell = Cell("gru", I, H, gru_form=form).double()
    x, state = random_step(cell)
    w_r, w_z, w_n = np.split(array(cell.weight_ih), 3)
    u_r, u_z, u_n = np.split(array(cell.weight_hh), 3)
    b_r, b_z, b_n = np.split(array(cell.bias_ih), 3)
    d_r, d_z, d_n = np.split(array(cell.bias_hh), 3)
    xs, h = array(x), array(state.h[0])

    r = sigmoid(xs @ w_r.T + b_r + h @ u_r.T + d_r)
    z = sigmoid(xs @ w_z.T + b_z + h @ u_z.T + d_z)
    from_state = (r * h) @ u_n.T + d_n if form == "before" else r * (h @ u_n.T + d_n)
    n = np.tanh(xs @ w_n.T + b_n + from_state)
    expected = (1 - z) * n + z * h

    np.testing.assert_allclose(array(cell(x, state).h[0]), expected, rtol=0, atol=1e-10)


def test_the_two_forms_of_the_gru_are_different_functions() -> None:
    torch.manual_seed(3)
    after, before = (Cell("gru", I, H, gru_form=form).double() for form in GRU_FORMS)
    before.load_state_dict(after.state_dict())
    x, state = random_step(after)
    assert (after(x, state).h - before(x, state).h).abs().max() > 1e-3


def test_the_lstm_equals_its_equations() -> None:
    torch.manual_seed(4)
    cell = Cell("lstm", I, H).double()
    x, state = random_step(cell)
    assert state.c is not None
    products = array(x) @ array(cell.weight_ih).T + array(cell.bias_ih)
    products += array(state.h[0]) @ array(cell.weight_hh).T + array(cell.bias_hh)
    i, f, g, o = np.split(products, 4, axis=1)
    c = sigmoid(f) * array(state.c[0]) + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    after = cell(x, state)
    np.testing.assert_allclose(array(after.c[0]), c, rtol=0, atol=1e-10)
    np.testing.assert_allclose(array(after.h[0]), h, rtol=0, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_layer_norm_standardises_both_products(kind: str) -> None:
    torch.manual_seed(5)
    cell = Cell(kind, I, H, layer_norm=True).double()
    x, state = random_step(cell)
    # scaling both sets of weights and biases leaves normalised products, so the step, as it was
    before = cell(x, state)
    with torch.no_grad():
        for name in ("weight_ih", "bias_ih", "weight_hh", "bias_hh"):
            getattr(cell, name).mul_(50)
    assert torch.allclose(cell(x, state).h, before.h, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_state_is_zero_and_of_the_inputs_type(kind: str) -> None:
    zero = Cell(kind, I, H).zero_state(B, torch.randn(B, I, dtype=torch.float64))
    assert zero.h.shape == (1, B, H)
    assert zero.h.dtype == torch.float64
    assert not zero.h.any()
    assert (zero.c is not None) == (kind == "lstm")


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_pass_the_finite_difference_check(kind: str) -> None:
    torch.manual_seed(6)
    cell = Cell(kind, I, H).double()
    x, state = random_step(cell)

    def step(x: Tensor, h: Tensor, *weights: Tensor) -> Tensor:
        named = dict(zip(dict(cell.named_parameters()), weights, strict=True))
        return torch.func.functional_call(cell, named, (x, State(h, state.c))).h

    inputs = (x, state.h, *(p.detach() for p in cell.parameters()))
    assert torch.autograd.gradcheck(step, tuple(t.clone().requires_grad_() for t in inputs))


def test_a_cell_has_torchs_number_of_weights() -> None:
    for kind in KINDS:
        gates = cell_spec(kind).blocks
        cell = Cell(kind, I, H)
        assert cell.weight_ih.shape == (gates * H, I)
        assert sum(p.numel() for p in cell.parameters()) == gates * H * (I + H + 2)
