"""Weights go to torch's modules and back: the function, its gradients and the weights stay."""

from __future__ import annotations

from typing import Any, Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from penstock.nn.recurrent import Recurrent
from penstock.nn.state import State
from penstock.nn.torch_weights import TorchRecurrent, from_torch, to_torch

Backend = Literal["fused", "reference"]
KINDS: tuple[str, ...] = ("rnn", "gru", "lstm")
BACKENDS: tuple[Backend, ...] = ("fused", "reference")
MODULES = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
PRECISIONS = [
    pytest.param(torch.float32, 1e-5, id="float32"),
    pytest.param(torch.float64, 1e-10, id="float64"),
]
S, I, H = 6, 5, 4  # noqa: E741 - the legend's letter for an input's width
LENGTHS = torch.tensor([3, 6, 1, 4])  # unsorted, one full, one of a single token
B = len(LENGTHS)


def leaves(kind: str, states: int, dtype: torch.dtype) -> list[Tensor]:
    """Inputs (B, S, I), h and for LSTM c (states, B, H), all wanting gradients."""
    shapes = [(B, S, I), (states, B, H), (states, B, H)][: 3 if kind == "lstm" else 2]
    return [torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes]


def run_ours(network: Recurrent, lengths: Tensor | None, x: Tensor, *state: Tensor) -> list[Tensor]:
    outputs, after = network(x, lengths, State(*state))
    return [outputs, after.h] if after.c is None else [outputs, after.h, after.c]


def run_torchs(
    module: TorchRecurrent, lengths: Tensor | None, x: Tensor, *state: Tensor
) -> list[Tensor]:
    before: Any = state[0] if len(state) == 1 else state
    if lengths is None:
        outputs, after = module(x, before)
    else:
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        data, after = module(packed, before)
        outputs, _ = pad_packed_sequence(data, batch_first=True, total_length=S)
    return [outputs, *after] if isinstance(after, tuple) else [outputs, after]


def gradients(results: list[Tensor], wanted: list[Tensor]) -> tuple[Tensor, ...]:
    """Of a scalar in which every value counts differently."""
    random = torch.Generator().manual_seed(7)
    total = torch.stack(
        [(r * torch.randn(r.shape, generator=random, dtype=r.dtype)).sum() for r in results]
    ).sum()
    return torch.autograd.grad(total, wanted)


def torchs_order(network: Recurrent) -> list[Tensor]:
    """Our parameters in the order of torch's: a cell's four, layer by layer, direction inside."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    return [cell.get_parameter(name) for cell in network.cells for name in names]


def assert_same(network: Recurrent, module: TorchRecurrent, kind: str, tolerance: float) -> None:
    """Values and gradients of inputs, initial states and all weights; with lengths and without."""
    states = network.num_layers * network.directions
    dtype = module.weight_ih_l0.dtype
    assert isinstance(dtype, torch.dtype)
    for lengths in (LENGTHS, None):
        sources = leaves(kind, states, dtype)
        ours, theirs = run_ours(network, lengths, *sources), run_torchs(module, lengths, *sources)
        weights = list(module.parameters())
        our_gradients = gradients(ours, [*sources, *torchs_order(network)])
        their_gradients = gradients(theirs, [*sources, *weights])
        assert len(our_gradients) == len(sources) + 4 * states
        for our, their in zip([*ours, *our_gradients], [*theirs, *their_gradients], strict=True):
            torch.testing.assert_close(our, their, rtol=0, atol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("bidirectional", [False, True], ids=["one-way", "two-way"])
@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_both_ways_keep_values_and_all_gradients(
    kind: str,
    num_layers: int,
    bidirectional: bool,
    backend: Backend,
    dtype: torch.dtype,
    tolerance: float,
) -> None:
    torch.manual_seed(1)
    ours = Recurrent(
        I, H, cell=kind, num_layers=num_layers, bidirectional=bidirectional, backend=backend
    ).to(dtype)
    module = to_torch(ours)
    assert type(module) is MODULES[kind]
    assert_same(ours, module, kind, tolerance)

    theirs = MODULES[kind](
        I, H, num_layers=num_layers, bidirectional=bidirectional, batch_first=True, dtype=dtype
    )
    network = from_torch(theirs, backend=backend)
    assert network.backend == backend
    assert_same(network, theirs, kind, tolerance)


@settings(max_examples=30, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    widths=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    layers=st.integers(1, 3),
    bidirectional=st.booleans(),
    dropout=st.sampled_from([0.0, 0.25]),
    training=st.booleans(),
)
def test_there_and_back_is_the_same_network(
    kind: str,
    widths: tuple[int, int],
    layers: int,
    bidirectional: bool,
    dropout: float,
    training: bool,
) -> None:
    ours = Recurrent(
        *widths, cell=kind, num_layers=layers, bidirectional=bidirectional, dropout=dropout
    ).train(training)
    back = from_torch(to_torch(ours))
    assert back.training == training
    assert back.dropout.p == (dropout if layers > 1 else 0)
    before, after = ours.state_dict(), back.state_dict()
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert torch.equal(value, after[name])
        assert value.data_ptr() != after[name].data_ptr()  # copies: training one leaves the other


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", KINDS)
def test_type_and_device_stay(kind: str, dtype: torch.dtype) -> None:
    ours = Recurrent(I, H, cell=kind, num_layers=2).to(dtype)
    assert {p.dtype for p in to_torch(ours).parameters()} == {dtype}
    assert {p.dtype for p in from_torch(to_torch(ours)).parameters()} == {dtype}
    elsewhere = ours.to("meta")  # a second device that every machine has
    assert {p.device.type for p in to_torch(elsewhere).parameters()} == {"meta"}
    assert {p.device.type for p in from_torch(to_torch(elsewhere)).parameters()} == {"meta"}


def test_frozen_weights_stay_frozen() -> None:
    ours = Recurrent(I, H)
    ours.cells[0].get_parameter("weight_hh").requires_grad_(False)
    module = to_torch(ours)
    assert [n for n, p in module.named_parameters() if not p.requires_grad] == ["weight_hh_l0"]
    back = from_torch(module)
    assert [n for n, p in back.named_parameters() if not p.requires_grad] == ["cells.0.weight_hh"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"residual": True}, "residual = True: torch's modules do not add.*without residual"),
        (
            {"layer_norm": True, "backend": "reference"},
            "layer_norm = True: torch's modules have no",
        ),
        (
            {"gru_form": "before", "backend": "reference"},
            "gru_form = 'before': torch's GRU applies the reset gate after the product.*'after'",
        ),
        ({"weight_dropout": 0.5}, "weight_dropout = 0.5: torch's modules do not drop.*set it to 0"),
        (
            {"dropout": 0.5, "variational_dropout": True, "num_layers": 2},
            "variational dropout of 0.5: torch's modules draw a new mask.*set the rate to 0",
        ),
    ],
)
def test_what_torch_cannot_compute_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        to_torch(Recurrent(I, H, cell="gru", **options))


def test_an_option_that_does_nothing_is_no_obstacle() -> None:
    """Dropout between layers is nothing to one layer."""
    to_torch(Recurrent(I, H, dropout=0.5, variational_dropout=True))


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.RNN(I, H, nonlinearity="relu"), "nonlinearity = 'relu': our RNN cell is Elman's"),
        (nn.GRU(I, H, bias=False), "bias = False: our cells have biases.*its biases zero"),
        (nn.LSTM(I, H, proj_size=2), "proj_size = 2: our LSTM does not project"),
        (nn.LSTMCell(I, H), "LSTMCell: expected torch.nn.RNN, torch.nn.GRU or torch.nn.LSTM"),
    ],
    ids=["relu", "bias", "projection", "cell"],
)
def test_what_we_cannot_compute_is_refused(module: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_torch(module)
