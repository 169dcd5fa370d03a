"""Gates over time: stepping by the equations is what the model does, and the equations hold."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

from penstock.config import ModelConfig
from penstock.insight.gates import gates_of
from penstock.nn import Seq2Seq, State
from penstock.runtime.torch_trace import (
    Traced,
    trace_decoder,
    trace_encoder,
    trace_network,
    trace_recurrent,
)
from penstock.special_tokens import BOS_ID, EOS_ID

SOURCE, OUTPUT = [5, 9, 4, 7, 11, EOS_ID], [6, 4, 8, EOS_ID]
NAMES = {
    "rnn": {"hidden"},
    "gru": {"reset", "update", "candidate", "hidden"},
    "lstm": {"input", "forget", "output", "candidate", "cell", "hidden"},
    "sru": {"forget", "reset", "candidate", "cell", "hidden"},
    "ssru": {"forget", "candidate", "cell", "hidden"},
    "mingru": {"update", "candidate", "hidden"},
    "minlstm": {"forget", "input", "candidate", "hidden"},
}
UNBOUNDED = ("sru", "ssru", "mingru", "minlstm")  # their candidates are linear
SHAPES = [
    {"attention": "none", "encoder_layers": 2, "decoder_layers": 3, "bidirectional": False},
    {"attention": "general", "encoder_layers": 2, "decoder_layers": 2, "residual": True},
    {"attention": "multihead", "attention_heads": 2, "encoder_layers": 1, "decoder_layers": 3},
    {"attention": "additive", "layer_norm": True, "backend": "reference", "decoder_layers": 1},
    {"attention": "dot", "gru_form": "before", "backend": "reference", "decoder_layers": 2},
]
MODELS = [
    {"cell": cell, **shape}
    for cell, shape in itertools.product(("rnn", "gru", "lstm"), SHAPES)
    if "gru_form" not in shape or cell == "gru"
] + [{"cell": cell, **SHAPES[1]} for cell in UNBOUNDED]


def build(**model: Any) -> Seq2Seq:
    torch.manual_seed(4)
    sizes = {"embedding_size": 8, "hidden_size": 12, "tie_embeddings": "none"}
    config = ModelConfig.model_validate(sizes | model)
    network = Seq2Seq(config, source_size=15, target_size=15)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.uniform_(-0.8, 0.8)
    return network.eval().requires_grad_(requires_grad=False)


def name_of(model: dict[str, Any]) -> str:
    return "-".join(str(value) for value in model.values())


@pytest.mark.parametrize("model", MODELS, ids=name_of)
def test_stepping_through_the_encoder_gives_its_outputs(model: dict[str, Any]) -> None:
    network = build(**model)
    encoder, src = network.encoder, torch.tensor([SOURCE])
    expected, final = encoder.recurrent(encoder.embedding(src), torch.tensor([len(SOURCE)]))
    outputs, traced = trace_recurrent(encoder.recurrent, encoder.embedding(src)[0])
    torch.testing.assert_close(outputs, expected[0], rtol=0, atol=1e-5)
    assert len(traced) == encoder.recurrent.num_layers * encoder.recurrent.directions
    for index, own in enumerate(traced):
        last = own.values["hidden"][0 if own.reverse else -1]
        torch.testing.assert_close(last, final.h[index, 0], rtol=0, atol=1e-5)
    for own, other in zip(traced, trace_encoder(network, SOURCE), strict=True):
        assert torch.equal(own.values["hidden"], other.values["hidden"])


@pytest.mark.parametrize("model", MODELS, ids=name_of)
def test_stepping_through_the_decoder_gives_its_features_and_states(model: dict[str, Any]) -> None:
    network = build(**model)
    decoder = network.decoder
    memory, state = network.encode(torch.tensor([SOURCE]), torch.tensor([len(SOURCE)]))
    tgt_in = torch.tensor([[BOS_ID, *OUTPUT[:-1]]])
    features = decoder.features(tgt_in, state, memory)
    known, traced = trace_decoder(network, SOURCE, OUTPUT)
    torch.testing.assert_close(decoder._read(known[None]), features.values, rtol=0, atol=1e-5)
    assert [own.layer for own in traced] == list(range(decoder_layers(network)))
    for own in traced:
        final = features.state.layer(own.layer)
        torch.testing.assert_close(own.values["hidden"][-1], final.h[0, 0], rtol=0, atol=1e-5)
        if final.c is not None:
            torch.testing.assert_close(own.values["cell"][-1], final.c[0, 0], rtol=0, atol=1e-5)


def decoder_layers(network: Seq2Seq) -> int:
    upper = network.decoder.upper
    return network.decoder.bottom.num_layers + (0 if upper is None else upper.num_layers)


def hidden_before(own: Traced, first: State | None) -> torch.Tensor:
    """(N, U): what each step began with."""
    hidden = own.values["hidden"]
    start = torch.zeros_like(hidden[:1]) if first is None else first.layer(own.layer).h[0]
    return torch.cat([hidden[1:], start]) if own.reverse else torch.cat([start, hidden[:-1]])


@pytest.mark.parametrize("shape", SHAPES[:4], ids=name_of)
def test_the_equation_of_the_gru_holds_among_what_is_told(shape: dict[str, Any]) -> None:
    network = build(cell="gru", **shape)
    first = network.encode(torch.tensor([SOURCE]), torch.tensor([len(SOURCE)]))[1]
    traced = [(own, None) for own in trace_encoder(network, SOURCE)]
    traced += [(own, first) for own in trace_decoder(network, SOURCE, OUTPUT)[1]]
    for own, start in traced:
        assert own.values.keys() == NAMES["gru"]
        z, n = own.values["update"], own.values["candidate"]
        expected = (1 - z) * n + z * hidden_before(own, start)
        torch.testing.assert_close(own.values["hidden"], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES[:4], ids=name_of)
def test_the_equations_of_the_lstm_hold_among_what_is_told(shape: dict[str, Any]) -> None:
    network = build(cell="lstm", **shape)
    for own in trace_encoder(network, SOURCE):
        values = own.values
        assert values.keys() == NAMES["lstm"]
        cell = values["cell"]
        start = torch.zeros_like(cell[:1])
        before = torch.cat([cell[1:], start] if own.reverse else [start, cell[:-1]])
        expected = values["forget"] * before + values["input"] * values["candidate"]
        torch.testing.assert_close(cell, expected, rtol=0, atol=1e-6)
        hidden = values["output"] * torch.tanh(cell)
        torch.testing.assert_close(values["hidden"], hidden, rtol=0, atol=1e-6)


@pytest.mark.parametrize("cell", NAMES)
def test_the_report_has_every_layer_its_means_and_its_units(cell: str) -> None:
    network = build(cell=cell, attention="general", encoder_layers=2, decoder_layers=2)
    source, read = [f"s{i}" for i in SOURCE], [f"t{i}" for i in range(len(OUTPUT))]
    layers = trace_network(network, SOURCE, OUTPUT).layers
    told = gates_of(layers, source, read, units=True)
    assert [(own.side, own.layer, own.direction) for own in told] == [
        ("encoder", 1, "forward"),
        ("encoder", 1, "backward"),
        ("encoder", 2, "forward"),
        ("encoder", 2, "backward"),
        ("decoder", 1, "forward"),
        ("decoder", 2, "forward"),
    ]
    traced = [*trace_encoder(network, SOURCE), *trace_decoder(network, SOURCE, OUTPUT)[1]]
    signs = set[bool]()
    for layer, own in zip(told, traced, strict=True):
        assert (layer.cell, layer.size) == (cell, own.values["hidden"].shape[1])
        assert layer.tokens == (source if layer.side == "encoder" else read)
        assert layer.values.keys() == NAMES[cell]
        for name, signal in layer.values.items():
            exact, large = own.values[name], name == "cell" or cell in UNBOUNDED
            if large and name in ("candidate", "cell", "hidden"):
                exact = torch.tanh(exact)
            assert signal.units is not None
            hundredths = torch.tensor(signal.units)
            assert hundredths.dtype == torch.int64
            assert (hundredths / 100 - exact).abs().max() <= 0.005001
            assert hundredths.abs().max() <= 100
            size = exact.abs() if name in ("candidate", "cell", "hidden") else exact
            assert signal.mean == pytest.approx(size.mean(1).tolist(), abs=1e-6)
            assert all(0 <= mean <= 1 for mean in signal.mean)
            signs.add(bool((exact < 0).any()))
    assert True in signs  # else the absolute values were not tested
    without = gates_of(layers, source, read, units=False)
    assert all(signal.units is None for layer in without for signal in layer.values.values())
