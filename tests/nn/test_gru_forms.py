"""The chapter's GRU from scratch and the library's compute different functions; we have both.

The chapter writes H̃ = tanh(X W_xh + (R⊙H) W_hh + b_h) and then trains `nn.GRU`, which computes
R⊙(H W_hn + b_hn). Here the chapter's equations are written out as it has them, with its own
parameters (W of shape (I, H), one bias a gate), and both of ours are held against them.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from penstock.nn.cells import Cell
from penstock.nn.recurrent import Recurrent
from penstock.nn.state import State
from penstock.nn.torch_weights import to_torch

S, I, H = 6, 5, 4  # noqa: E741 - the legend's letter for an input's width
LENGTHS = torch.tensor([3, 6, 1, 4])
B = len(LENGTHS)
PRECISIONS = [
    pytest.param(torch.float32, 1e-5, id="float32"),
    pytest.param(torch.float64, 1e-10, id="float64"),
]
GATES = ("r", "z", "h")


def chapters_parameters(dtype: torch.dtype, inputs: int = I) -> dict[str, Tensor]:
    """W_xr, W_hr, b_r, W_xz, …: large, so that the two forms are far apart."""
    shapes = {"W_x": (inputs, H), "W_h": (H, H), "b_": (H,)}
    return {
        f"{name}{gate}": torch.randn(shape, dtype=dtype).requires_grad_()
        for gate in GATES
        for name, shape in shapes.items()
    }


def chapters_gru(p: dict[str, Tensor], inputs: Tensor, hidden: Tensor) -> list[Tensor]:
    """The chapter's forward, line by line: inputs (S, B, I), hidden (B, H)."""
    outputs = []
    for x in inputs:
        z = torch.sigmoid(x @ p["W_xz"] + hidden @ p["W_hz"] + p["b_z"])
        r = torch.sigmoid(x @ p["W_xr"] + hidden @ p["W_hr"] + p["b_r"])
        h_tilde = torch.tanh(x @ p["W_xh"] + (r * hidden) @ p["W_hh"] + p["b_h"])
        hidden = z * hidden + (1 - z) * h_tilde
        outputs.append(hidden)
    return outputs


def ours(cell: Cell, p: dict[str, Tensor]) -> None:
    """The chapter's parameters as ours: transposed, gates stacked, one bias for two."""
    with torch.no_grad():
        cell.weight_ih.copy_(torch.cat([p[f"W_x{gate}"].T for gate in GATES]))
        cell.weight_hh.copy_(torch.cat([p[f"W_h{gate}"].T for gate in GATES]))
        cell.bias_ih.copy_(torch.cat([p[f"b_{gate}"] for gate in GATES]))
        cell.bias_hh.zero_()


def weighted_sum(outputs: Tensor) -> Tensor:
    random = torch.Generator().manual_seed(7)
    return (outputs * torch.randn(outputs.shape, generator=random).to(outputs)).sum()


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_before_is_the_chapters_in_values_and_gradients(
    dtype: torch.dtype, tolerance: float
) -> None:
    """Two layers, both directions, rows of their own lengths; each row alone by the equations."""
    torch.manual_seed(1)
    network = Recurrent(
        I, H, num_layers=2, bidirectional=True, gru_form="before", backend="reference"
    ).to(dtype)
    parameters = [
        chapters_parameters(dtype, inputs) for inputs in (I, I, network.output_size, 2 * H)
    ]
    for cell, chapters in zip(network.cells, parameters, strict=True):
        assert isinstance(cell, Cell)
        ours(cell, chapters)
    x = torch.randn(B, S, I, dtype=dtype, requires_grad=True)
    h = torch.randn(4, B, H, dtype=dtype, requires_grad=True)
    outputs, final = network(x, LENGTHS, State(h))

    expected, last = torch.zeros_like(outputs), torch.zeros_like(h)
    for row, length in enumerate(LENGTHS.tolist()):
        layer = x[row, :length, None]  # (length, 1, ·)
        for number in range(2):
            first, second = 2 * number, 2 * number + 1
            forward = chapters_gru(parameters[first], layer, h[first, row, None])
            backward = chapters_gru(parameters[second], layer.flip(0), h[second, row, None])
            last[first, row], last[second, row] = forward[-1][0], backward[-1][0]
            layer = torch.cat([torch.stack(forward), torch.stack(backward[::-1])], -1)
        expected[row, :length] = layer[:, 0]
    torch.testing.assert_close(outputs, expected, rtol=0, atol=tolerance)
    torch.testing.assert_close(final.h, last, rtol=0, atol=tolerance)

    wanted = [value for p in parameters for value in p.values()]
    theirs = torch.autograd.grad(weighted_sum(expected) + weighted_sum(last), [x, h, *wanted])
    mine = torch.autograd.grad(
        weighted_sum(outputs) + weighted_sum(final.h), [x, h, *network.parameters()]
    )
    torch.testing.assert_close(mine[:2], theirs[:2], rtol=0, atol=tolerance)
    for index in range(4):
        by_name = dict(zip(parameters[index], theirs[2 + 9 * index :][:9], strict=True))
        weight_ih, weight_hh, bias_ih, bias_hh = mine[2 + 4 * index :][:4]
        for stacked, name in ((weight_ih, "W_x"), (weight_hh, "W_h"), (bias_ih, "b_")):
            expected_gradient = torch.cat([by_name[f"{name}{gate}"].t() for gate in GATES])
            torch.testing.assert_close(stacked, expected_gradient, rtol=0, atol=tolerance)
        torch.testing.assert_close(bias_hh, bias_ih)  # the one bias, twice


def test_the_same_weights_in_torchs_gru_are_another_function() -> None:
    torch.manual_seed(2)
    after = Recurrent(I, H).double()
    chapters = chapters_parameters(torch.float64)
    cell = after.cells[0]
    assert isinstance(cell, Cell)
    ours(cell, chapters)
    x = torch.randn(B, S, I, dtype=torch.float64)
    by_the_book = torch.stack(
        chapters_gru(chapters, x.transpose(0, 1), x.new_zeros(B, H)), 1
    ).detach()
    by_torch, _ = to_torch(after)(x)
    # the first step begins at zero, where there is nothing to reset; then they part
    torch.testing.assert_close(by_torch[:, 0], by_the_book[:, 0], rtol=0, atol=1e-10)
    assert (by_torch - by_the_book).abs().max() > 0.1
    torch.testing.assert_close(after(x)[0], by_torch, rtol=0, atol=1e-10)


def test_torchs_own_second_bias_makes_even_the_first_step_differ() -> None:
    torch.manual_seed(3)
    module = nn.GRU(I, H, batch_first=True, dtype=torch.float64)
    before = Cell("gru", I, H, gru_form="before").double()
    before.load_state_dict(
        {name.removesuffix("_l0"): value for name, value in module.state_dict().items()}
    )
    x = torch.randn(B, 1, I, dtype=torch.float64)
    state = before.zero_state(B, x)
    assert (before(x[:, 0], state).h[0] - module(x)[0][:, 0]).abs().max() > 1e-3
