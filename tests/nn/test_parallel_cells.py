"""Cells whose gates read the input alone: the papers' loops in numpy, the step, the fast forms."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import penstock as ps
from penstock.config import CELLS
from penstock.nn.cells import Cell, cell_spec
from penstock.nn.cells.scan import _last_positions, _MovingAverage
from penstock.nn.recurrent import Recurrent
from penstock.nn.state import State
from penstock.runtime.packed_layers import PackedStep, packed_layers

B, S, H = 4, 6, 4
LENGTHS = torch.tensor([3, 6, 1, 4])
PRECISIONS = [(torch.float64, 1e-10), (torch.float32, 1e-5)]


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def numpy_ssru(products: np.ndarray, c: np.ndarray, _: np.ndarray) -> tuple[np.ndarray, ...]:
    f, w_x = np.split(products, 2, -1)
    c = sigmoid(f) * c + (1 - sigmoid(f)) * w_x
    return np.maximum(c, 0), c


def numpy_sru(products: np.ndarray, c: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, ...]:
    parts = np.split(products, products.shape[-1] // H, -1)
    w_x, f, r = parts[:3]
    below = parts[3] if len(parts) == 4 else x  # projected where the widths differ
    c = sigmoid(f) * c + (1 - sigmoid(f)) * w_x
    return sigmoid(r) * c + (1 - sigmoid(r)) * below * math.sqrt(3), c


def numpy_mingru(products: np.ndarray, h: np.ndarray, _: np.ndarray) -> tuple[np.ndarray, ...]:
    z, candidate = np.split(products, 2, -1)
    h = (1 - sigmoid(z)) * h + sigmoid(z) * candidate
    return h, h


def numpy_minlstm(products: np.ndarray, h: np.ndarray, _: np.ndarray) -> tuple[np.ndarray, ...]:
    f, i, candidate = np.split(products, 3, -1)
    f, i = sigmoid(f), sigmoid(i)
    h = f / (f + i) * h + i / (f + i) * candidate
    return h, h


PAPERS: dict[str, Callable[..., tuple[np.ndarray, ...]]] = {
    "ssru": numpy_ssru,
    "sru": numpy_sru,
    "mingru": numpy_mingru,
    "minlstm": numpy_minlstm,
}
every_cell = pytest.mark.parametrize("name", PAPERS)
every_width = pytest.mark.parametrize("width", [H, H + 1])


def stack(name: str, width: int, dtype: torch.dtype, **options: Any) -> Recurrent:
    torch.manual_seed(3)
    return Recurrent(width, H, cell=name, **options).to(dtype)


def state_for(network: Recurrent, dtype: torch.dtype) -> State:
    layers = network.num_layers * network.directions
    h, c = torch.randn(2, layers, B, H, dtype=dtype)
    has_cell = network.list_cells()[0].spec.has_cell
    return State(h.requires_grad_(), c.requires_grad_() if has_cell else None)


def test_every_parallel_cell_is_here() -> None:
    parallel = {n for n in CELLS if not cell_spec(n).recurrent_weights}
    assert parallel == PAPERS.keys()


@every_width
@every_cell
def test_a_sequence_equals_the_papers_equations(name: str, width: int) -> None:
    network = stack(name, width, torch.float64)
    (cell,) = network.list_cells()
    x, before = torch.randn(B, S, width, dtype=torch.float64), state_for(network, torch.float64)
    with torch.no_grad():
        outputs, final = network(x, None, before)
    start = before.h if before.c is None else before.c
    state = start[0].detach().numpy()
    for t in range(S):
        now = x[:, t].numpy()
        products = now @ cell.weight_ih.detach().numpy().T + cell.bias_ih.detach().numpy()
        hidden, state = PAPERS[name](products, state, now)
        np.testing.assert_allclose(outputs[:, t].numpy(), hidden, rtol=0, atol=1e-12)
    after = final.h if final.c is None else final.c
    np.testing.assert_allclose(after[0].numpy(), state, rtol=0, atol=1e-12)


@pytest.mark.parametrize("lengths", [None, LENGTHS])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@every_cell
def test_the_whole_sequence_equals_the_steps_in_value_and_gradient(
    name: str, dtype: torch.dtype, tolerance: float, bidirectional: bool, lengths: Tensor | None
) -> None:
    found = []
    for backend in ("fused", "reference"):
        network = stack(
            name,
            H if name == "sru" else H + 1,
            dtype,
            num_layers=2,
            bidirectional=bidirectional,
            residual=True,
            backend=backend,
        )
        torch.manual_seed(4)
        x = torch.randn(B, S, network.list_cells()[0].input_size, dtype=dtype).requires_grad_()
        before = state_for(network, dtype)
        outputs, final = network(x, lengths, before)
        results = [outputs, final.h, *([] if final.c is None else [final.c])]
        weighted = torch.stack([(r * torch.randn(r.shape, dtype=dtype)).sum() for r in results])
        leaves = [x, before.c if before.c is not None else before.h, *network.parameters()]
        found.append([*results, *torch.autograd.grad(weighted.sum(), leaves)])
    for fast, slow in zip(*found, strict=True):
        torch.testing.assert_close(fast, slow, rtol=0, atol=tolerance)


@pytest.mark.parametrize("reverse", [False, True])
def test_the_scans_gradient_passes_the_finite_difference_check(reverse: bool) -> None:
    slices = [(0, 3), (3, 2), (5, 2), (7, 1)][:: -1 if reverse else 1]
    torch.manual_seed(5)
    terms = torch.randn(2, 8, H, dtype=torch.float64)
    leaves = [*terms, torch.randn(3, H, dtype=torch.float64)]
    inputs = tuple(leaf.clone().requires_grad_() for leaf in leaves)
    assert torch.autograd.gradcheck(lambda *x: _MovingAverage.apply(*x, slices), inputs)
    assert _last_positions(slices) == ([0, 1, 2] if reverse else [7, 6, 2])


@every_cell
def test_the_network_passes_the_finite_difference_check(name: str) -> None:
    network = stack(name, 3, torch.float64, num_layers=2, bidirectional=True)
    x = torch.randn(2, 3, 3, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([3, 2])
    assert torch.autograd.gradcheck(lambda x: network(x, lengths)[0], (x,))


@every_cell
def test_bf16_autocast_is_near_float32(name: str) -> None:
    network = stack(name, H, torch.float32, num_layers=2, bidirectional=True)
    x = torch.randn(B, S, H)
    exact, _ = network(x, LENGTHS)
    with torch.autocast("cpu", torch.bfloat16):
        outputs, final = network(x, LENGTHS)
    assert outputs.dtype == torch.bfloat16
    torch.testing.assert_close(outputs.float(), exact, rtol=0, atol=0.03)
    weights = list(network.parameters())
    expected = torch.autograd.grad(exact.square().sum(), weights)
    gradients = torch.autograd.grad(outputs.float().square().sum(), weights)
    for gradient, truth in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient, truth, rtol=0.1, atol=0.1)
    assert (final.h if final.c is None else final.c).dtype == torch.float32


@pytest.mark.parametrize("name", ["ssru", "minlstm"])
def test_a_gate_near_one_forgets_slowly_in_bf16_too(name: str) -> None:
    network = stack(name, H, torch.float32)
    (cell,) = network.list_cells()
    cell.hold_gate("forget", 0.999)
    if name == "minlstm":
        cell.hold_gate("input", 0.001)
    before = State(torch.ones(1, 1, H), torch.ones(1, 1, H) if cell.spec.has_cell else None)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        cell.bias_ih[-H:] = 0  # the candidate
        cell.weight_ih[-H:] = 0
        _, final = network(torch.randn(1, 1000, H), None, before)
    kept = (final.h if final.c is None else final.c).float()
    torch.testing.assert_close(kept, torch.full_like(kept, 0.999**1000), rtol=0.05, atol=0)


@every_cell
def test_a_state_carried_over_windows_equals_one_pass(name: str) -> None:
    network = stack(name, H, torch.float64, num_layers=2)
    x = torch.randn(B, S, H, dtype=torch.float64)
    whole, last = network(x)
    first, state = network(x[:, :2])
    second, final = network(x[:, 2:], None, state)
    torch.testing.assert_close(torch.cat([first, second], 1), whole, rtol=0, atol=1e-12)
    torch.testing.assert_close(final.h, last.h, rtol=0, atol=1e-12)


@every_width
@every_cell
def test_the_inference_step_and_run_equal_the_equations(name: str, width: int) -> None:
    network = stack(name, width, torch.float32, num_layers=2, bidirectional=True)
    x = torch.randn(B, S, width)
    with torch.no_grad():
        outputs, final = network(x)
        fast, turned = x.transpose(0, 1).contiguous(), torch.arange(S - 1, -1, -1)[:, None]
        states: list[State] = []
        for layer in packed_layers(network, torch.float32) or []:
            fast, found = layer(fast, [B] * S, turned.expand(S, B))
            states += found
        torch.testing.assert_close(fast.transpose(0, 1), outputs, rtol=0, atol=1e-5)
        after = State.stack(states)
        torch.testing.assert_close(after.h, final.h, rtol=0, atol=1e-5)
        torch.testing.assert_close(after.c, final.c, rtol=0, atol=1e-5)
        cell = Cell(name, width, H)
        before = state_for(stack(name, width, torch.float32), torch.float32)
        halves = [x[:, 0, :2], x[:, 0, 2:]]  # inputs that stand side by side
        step, expected = PackedStep(cell, torch.float32)(halves, before), cell(x[:, 0], before)
        torch.testing.assert_close(step.h, expected.h, rtol=0, atol=1e-5)
        torch.testing.assert_close(step.c, expected.c, rtol=0, atol=1e-5)


@every_cell
def test_options_that_it_cannot_have_are_rejected_with_the_reason(name: str) -> None:
    options: tuple[tuple[dict[str, Any], str], ...] = (
        ({"weight_dropout": 0.2}, f"cell '{name}' takes no weight_dropout: it has no recurrent"),
        ({"layer_norm": True}, f"cell '{name}' takes no layer_norm: its gates do not read the s"),
        ({"gru_form": "before"}, f"gru_form 'before' is an option of cell 'gru', found .*'{name}'"),
    )
    for option, message in options:
        with pytest.raises(ps.ConfigError, match=message):
            ps.RunConfig(model={"cell": name, **option})  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=message):
            Recurrent(5, 4, cell=name, **option)
