"""Recurrence three ways: the fused kernels, the reference cells and torch's own modules agree."""

from __future__ import annotations

from typing import Any, Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from penstock.nn.cells import Cell
from penstock.nn.dropout import Dropout
from penstock.nn.padded_layer import run_padded
from penstock.nn.products import ROWS, pad_rows, rows_linear
from penstock.nn.recurrent import Recurrent, _run_fused
from penstock.nn.state import State

KINDS: tuple[str, ...] = ("rnn", "gru", "lstm")
BACKENDS: tuple[Literal["fused", "reference"], ...] = ("fused", "reference")
TORCH_MODULES = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
S, I, H = 6, 5, 4  # noqa: E741 - the legend's letter for an input's width
LENGTHS = torch.tensor([3, 6, 1, 4])  # unsorted, one full, one of a single token
B = len(LENGTHS)


def sources(network: Recurrent, *, seed: int = 0) -> tuple[Tensor, State]:
    """Inputs (B, S, I) with garbage at the padding, and an initial state, all wanting gradients."""
    random = torch.Generator().manual_seed(seed)

    def leaf(*shape: int) -> Tensor:
        x = torch.randn(*shape, generator=random, dtype=torch.float64)
        return x.requires_grad_()

    layers = network.num_layers * network.directions
    cell = network.cells[0]
    assert isinstance(cell, Cell)
    h, c = leaf(layers, B, H), leaf(layers, B, H) if cell.spec.name == "lstm" else None
    return leaf(B, S, cell.input_size), State(h, c)


def mixed_sum(outputs: Tensor, final: State) -> Tensor:
    """A scalar in which every output and final value counts differently, for gradients."""
    parts = [outputs, final.h] if final.c is None else [outputs, final.h, final.c]
    random = torch.Generator().manual_seed(7)
    total = outputs.new_zeros(())
    for part in parts:
        total = total + (part * torch.randn(part.shape, generator=random).to(part)).sum()
    return total


def torch_weights(network: Recurrent) -> dict[str, Tensor]:
    """The network's parameters under the names of torch's modules: weight_ih_l0_reverse, …"""
    named = {}
    for index, cell in enumerate(network.cells):
        layer, reverse = divmod(index, network.directions)
        for name, value in cell.named_parameters():
            named[f"{name}_l{layer}{'_reverse' * reverse}"] = value
    return named


def run_torch(
    network: Recurrent, kind: str, inputs: Tensor, lengths: Tensor, state: State
) -> tuple[Tensor, State, dict[str, Tensor]]:
    """The same network as one of torch's modules over a packed sequence."""
    theirs = TORCH_MODULES[kind](
        inputs.shape[-1],
        network.hidden_size,
        num_layers=network.num_layers,
        bidirectional=network.directions == 2,
        batch_first=True,
        dtype=inputs.dtype,
    )
    theirs.load_state_dict(torch_weights(network))
    packed = pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
    before: Any = state.h if state.c is None else (state.h, state.c)
    data, after = theirs(packed, before)
    outputs, _ = pad_packed_sequence(data, batch_first=True, total_length=inputs.shape[1])
    final = State(*after) if isinstance(after, tuple) else State(after)
    return outputs, final, dict(theirs.named_parameters())


def assert_near(ours: Tensor | None, theirs: Tensor | None, tolerance: float = 1e-10) -> None:
    if ours is None or theirs is None:
        assert ours is theirs
        return
    assert ours.shape == theirs.shape
    torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance)


# equal to torch


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("bidirectional", [False, True], ids=["one-way", "two-way"])
@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_values_and_all_gradients_equal_torchs_module(
    kind: str,
    num_layers: int,
    bidirectional: bool,
    backend: Literal["fused", "reference"],
) -> None:
    torch.manual_seed(1)
    network = Recurrent(
        I, H, cell=kind, num_layers=num_layers, bidirectional=bidirectional, backend=backend
    ).double()
    x, before = sources(network)
    outputs, final = network(x, LENGTHS, before)
    theirs, their_final, their_weights = run_torch(network, kind, x, LENGTHS, before)
    assert_near(outputs, theirs)
    assert_near(final.h, their_final.h)
    assert_near(final.c, their_final.c)

    leaves = [x, before.h] if before.c is None else [x, before.h, before.c]
    our_weights = torch_weights(network)
    names = list(our_weights)
    ours = torch.autograd.grad(mixed_sum(outputs, final), leaves + [our_weights[n] for n in names])
    expected = torch.autograd.grad(
        mixed_sum(theirs, their_final), leaves + [their_weights[n] for n in names]
    )
    for our_gradient, their_gradient in zip(ours, expected, strict=True):
        assert_near(our_gradient, their_gradient)


@pytest.mark.parametrize("kind", KINDS)
def test_full_rows_and_no_lengths_are_the_same(kind: str) -> None:
    torch.manual_seed(2)
    network = Recurrent(I, H, cell=kind, bidirectional=True).double()
    x, before = sources(network)
    full = torch.full((B,), S)
    for lengths in (None, full):
        outputs, final = network(x, lengths, before)
        theirs, their_final, _ = run_torch(network, kind, x, full, before)
        assert_near(outputs, theirs)
        assert_near(final.h, their_final.h)


@pytest.mark.parametrize("kind", KINDS)
def test_the_state_defaults_to_zeros(kind: str) -> None:
    torch.manual_seed(3)
    network = Recurrent(I, H, cell=kind, num_layers=2).double()
    x, before = sources(network)
    zeros = State(before.h * 0, None if before.c is None else before.c * 0)
    assert_near(network(x, LENGTHS)[0], network(x, LENGTHS, zeros)[0])


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    lengths=st.lists(st.integers(1, 7), min_size=1, max_size=5),
    extra=st.integers(0, 2),
    widths=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    layers=st.integers(1, 3),
    bidirectional=st.booleans(),
    residual=st.booleans(),
)
def test_backends_agree_for_every_shape(
    kind: str,
    lengths: list[int],
    extra: int,
    widths: tuple[int, int],
    layers: int,
    bidirectional: bool,
    residual: bool,
) -> None:
    torch.manual_seed(sum(lengths))
    size, hidden = widths
    fused, reference = (
        Recurrent(
            size,
            hidden,
            cell=kind,
            num_layers=layers,
            bidirectional=bidirectional,
            residual=residual,
            backend=backend,
        ).double()
        for backend in BACKENDS
    )
    reference.load_state_dict(fused.state_dict())
    x = torch.randn(len(lengths), max(lengths) + extra, size, dtype=torch.float64)
    results = []
    for network in (fused, reference):
        leaf = x.clone().requires_grad_()
        outputs, final = network(leaf, torch.tensor(lengths))
        gradients = torch.autograd.grad(mixed_sum(outputs, final), [leaf, *network.parameters()])
        results.append([outputs, final.h, *gradients])
    for ours, theirs in zip(*results, strict=True):
        assert_near(ours, theirs)


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "unequal"])
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("kind", [*KINDS, "sru", "ssru", "mingru", "minlstm"])
def test_the_gpus_path_equals_the_cpus(kind: str, reverse: bool, lengths: Any) -> None:
    """`run_padded` is what runs on CUDA; a CPU can run it too."""
    torch.manual_seed(4)
    cell = Cell(kind, I, H).double()
    x = torch.randn(B, S, I, dtype=torch.float64)
    h, c = torch.randn(2, 1, B, H, dtype=torch.float64)
    has_cell = cell.spec.has_cell
    results = []
    for run in (_run_fused, run_padded):
        x0, h0, c0 = (t.clone().requires_grad_() for t in (x, h, c))
        state = State(h0, c0 if has_cell else None)
        outputs, final = run(cell, cell.weight_hh, x0, lengths, state, reverse=reverse)
        leaves = [x0, h0, c0] if has_cell else [x0, h0]
        total = mixed_sum(outputs, final)
        gradients = torch.autograd.grad(total, [*leaves, *cell.parameters()], allow_unused=True)
        results.append([outputs, final.h, final.c, *gradients])
    for own, torchs in zip(*results, strict=True):
        assert_near(own, torchs)


def test_the_hand_written_gradients_pass_the_finite_difference_check() -> None:
    torch.manual_seed(5)
    for kind in KINDS:
        network = Recurrent(2, 3, cell=kind, bidirectional=True).double()
        lengths = torch.tensor([2, 3])
        x = torch.randn(2, 3, 2, dtype=torch.float64, requires_grad=True)

        def run(x: Tensor, network: Recurrent = network, lengths: Tensor = lengths) -> Tensor:
            return mixed_sum(*network(x, lengths))

        assert torch.autograd.gradcheck(run, (x,))


@pytest.mark.parametrize("rows", [1, ROWS - 1, ROWS, ROWS + 1])
def test_rounding_rows_up_changes_no_product(rows: int) -> None:
    torch.manual_seed(14)
    layer = nn.Linear(I, H, dtype=torch.float64)
    x = torch.randn(2, rows, I, dtype=torch.float64)
    assert_near(rows_linear(x, layer.weight, layer.bias), layer(x), 1e-14)
    padded = pad_rows(x[0])
    assert padded.shape[0] % ROWS == 0
    assert padded.shape[0] - rows < ROWS
    assert torch.equal(padded[:rows], x[0])
    assert not padded[rows:].any()


# padding is never read


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("residual", [False, True], ids=["plain", "residual"])
@pytest.mark.parametrize("kind", KINDS)
def test_garbage_at_the_padding_changes_nothing(
    kind: str, residual: bool, backend: Literal["fused", "reference"]
) -> None:
    torch.manual_seed(6)
    network = Recurrent(
        2 * H, H, cell=kind, num_layers=2, bidirectional=True, residual=residual, backend=backend
    ).double()
    x, before = sources(network)
    padding = torch.arange(S) >= LENGTHS[:, None]
    garbage = torch.where(padding[:, :, None], 1e6 * torch.randn_like(x), x)
    outputs, final = network(x, LENGTHS, before)
    others, other_final = network(garbage, LENGTHS, before)
    assert torch.equal(outputs, others)
    assert torch.equal(final.h, other_final.h)
    assert not outputs[padding].any()  # zero there, as the docstring says
    (gradient,) = torch.autograd.grad(mixed_sum(outputs, final), x)
    assert not gradient[padding].any()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_padded_row_equals_the_row_alone(
    kind: str, backend: Literal["fused", "reference"]
) -> None:
    torch.manual_seed(7)
    network = Recurrent(I, H, cell=kind, num_layers=2, bidirectional=True, backend=backend).double()
    x, before = sources(network)
    outputs, final = network(x, LENGTHS, before)
    for row, length in enumerate(LENGTHS.tolist()):
        alone, end = network(x[row : row + 1, :length], None, before.select(torch.tensor([row])))
        assert_near(outputs[row, :length], alone[0])
        assert_near(final.h[:, row], end.h[:, 0])


def test_a_one_way_network_goes_on_where_it_stopped() -> None:
    torch.manual_seed(8)
    for kind in KINDS:
        network = Recurrent(I, H, cell=kind, num_layers=2).double()
        x, before = sources(network)
        whole, end = network(x, None, before)
        first, between = network(x[:, :2], None, before)
        second, after = network(x[:, 2:], None, between)
        assert_near(whole, torch.cat([first, second], 1))
        assert_near(end.h, after.h)
        assert_near(end.c, after.c)


# options


def test_a_residual_adds_the_input_where_widths_agree() -> None:
    torch.manual_seed(9)
    plain = Recurrent(H, H, num_layers=2).double()
    residual = Recurrent(H, H, num_layers=2, residual=True).double()
    residual.load_state_dict(plain.state_dict())
    x, _ = sources(plain)
    first, second = (Recurrent(H, H).double() for _ in range(2))
    for single, cell in zip((first, second), plain.cells, strict=True):
        single.cells[0].load_state_dict(cell.state_dict())
    middle = first(x)[0] + x
    assert_near(residual(x)[0], second(middle)[0] + middle)
    narrow = Recurrent(I, H, residual=True).double()  # 5 into 4: nothing to add
    narrow_plain = Recurrent(I, H).double()
    narrow_plain.load_state_dict(narrow.state_dict())
    wide = torch.randn(2, 3, I, dtype=torch.float64)
    assert_near(narrow(wide)[0], narrow_plain(wide)[0])


def test_dropout_acts_between_layers_in_training_only() -> None:
    torch.manual_seed(10)
    deep = Recurrent(I, H, num_layers=2, dropout=0.5)
    single = Recurrent(I, H, num_layers=1, dropout=0.5)
    x = torch.randn(B, S, I)
    assert not torch.equal(deep(x)[0], deep(x)[0])
    assert torch.equal(single(x)[0], single(x)[0])  # one layer: there is no between
    deep.eval()
    clean = Recurrent(I, H, num_layers=2)
    clean.load_state_dict(deep.state_dict())
    assert torch.equal(deep(x)[0], clean(x)[0])


@pytest.mark.parametrize("variational", [False, True], ids=["ordinary", "variational"])
def test_dropout_keeps_the_mean_and_variational_one_mask_over_time(variational: bool) -> None:
    torch.manual_seed(11)
    dropout = Dropout(0.25, variational=variational)
    kept = dropout(torch.ones(200, 9, 50))
    assert kept.unique().tolist() == [0.0, pytest.approx(4 / 3)]
    assert kept.mean().item() == pytest.approx(1, abs=0.02)
    assert bool((kept == kept[:, :1]).all()) == variational
    assert not (kept == kept[:1]).all()  # each row its own mask
    dropout.eval()
    assert torch.equal(dropout(kept), kept)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"layer_norm": True}, "layer_norm"), ({"gru_form": "before"}, "gru_form 'before'")],
)
def test_the_fused_backend_refuses_what_it_cannot_compute(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=f"{message}.*reference"):
        Recurrent(I, H, cell="gru", backend="fused", **options)
    Recurrent(I, H, cell="gru", backend="reference", **options)


@pytest.mark.parametrize("kind", KINDS)
def test_layer_norm_runs_on_the_reference_backend_and_ignores_padding(kind: str) -> None:
    torch.manual_seed(12)
    network = Recurrent(I, H, cell=kind, layer_norm=True, backend="reference").double()
    x, before = sources(network)
    outputs, _ = network(x, LENGTHS, before)
    alone, _ = network(x[:1, : LENGTHS[0]], None, before.select(torch.tensor([0])))
    assert_near(outputs[0, : LENGTHS[0]], alone[0])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", KINDS)
def test_bf16_autocast_runs_and_is_near(kind: str, backend: Literal["fused", "reference"]) -> None:
    torch.manual_seed(13)
    network = Recurrent(I, H, cell=kind, num_layers=2, bidirectional=True, backend=backend)
    x = torch.randn(B, S, I)
    gradients = []
    for enabled in (False, True):
        leaf = x.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            outputs, final = network(leaf, LENGTHS)
        total = mixed_sum(outputs.float(), State(final.h.float()))
        gradients.append(torch.autograd.grad(total, [leaf, *network.parameters()]))
    for exact, rounded in zip(*gradients, strict=True):
        assert exact.dtype == rounded.dtype == torch.float32
        torch.testing.assert_close(rounded, exact, rtol=0.1, atol=0.1)
