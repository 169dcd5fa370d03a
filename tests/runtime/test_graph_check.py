"""A graph that penstock did not write is rejected before anything of it runs."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from penstock.config import ModelConfig, RunConfig
from penstock.errors import BundleError
from penstock.nn.seq2seq import Seq2Seq
from penstock.runtime.onnx.graph_check import OPERATORS, check_graph
from penstock.runtime.onnx.interface import (
    ENCODER_ROLE,
    STEP_ROLE,
    GraphSpec,
    encoder_spec,
    step_spec,
)
from penstock.runtime.onnx.session import GraphSession, RuntimeSession
from penstock.runtime.onnx.translation_engine import OnnxTranslator
from penstock.tasks.translation.graphs import make_graphs

CONFIG = ModelConfig(embedding_size=6, hidden_size=8)
VOCAB = 20
CARRIES = ("h", "c")
SPEC = step_spec(CONFIG, CARRIES, VOCAB)


def graph_files() -> dict[str, bytes]:
    model = Seq2Seq(CONFIG, source_size=VOCAB, target_size=VOCAB).eval()
    return make_graphs(RunConfig(model=CONFIG), model, [([5, 3], [2, 6])], "int8")


FILES = graph_files()


def check(content: bytes, spec: GraphSpec = SPEC) -> GraphSpec:
    return check_graph(content, place="model/onnx_step", specs=(spec,))


def changed(change: Callable[[onnx.ModelProto], object], role: str = STEP_ROLE) -> bytes:
    model = onnx.ModelProto()
    model.ParseFromString(FILES[role])
    change(model)
    return model.SerializeToString()


def test_what_we_write_passes() -> None:
    assert check(FILES[STEP_ROLE]) == SPEC
    encoder = encoder_spec(CONFIG, CARRIES)
    other = encoder_spec(CONFIG, ("h",))
    found = check_graph(FILES[ENCODER_ROLE], place="x", specs=(other, encoder))
    assert found == encoder


def with_trace(name: str, *shape: str | int) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        output = helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        model.graph.output.append(output)

    return change


def test_traces_are_further_outputs() -> None:
    def without_traces(model: onnx.ModelProto) -> None:
        del model.graph.output[len(SPEC.outputs) :]

    assert check(changed(without_traces)) == SPEC
    assert check(changed(with_trace("decoder.0.forward.other", "N", 8))) == SPEC


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("decoder.0.forward.other", ("N", "H")),
        ("decoder.0.forward.other", ("S", "B", 8)),
        ("decoder.0.forward.other", ()),
        ("encoder.0.forward.other", ("N", 8)),
        ("encoder.0.sideways.other", ("S", "B", 8)),
        ("decoder.0.forward.OTHER", ("N", 8)),
        ("tokens", ("N",)),
    ],
)
def test_another_output_is_rejected(name: str, shape: tuple[str | int, ...]) -> None:
    count = len(SPEC.outputs) + 1
    with pytest.raises(
        BundleError, match=rf"output {count} is {name} .*, expected none; take both"
    ):
        check(changed(with_trace(name, *shape)))


def test_every_allowed_operator_exists() -> None:
    for name in OPERATORS:
        assert onnx.defs.has(name), name


def with_external_data(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")


def with_operator(name: str, domain: str = "") -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        model.graph.node.append(helper.make_node(name, ["tokens"], ["more"], domain=domain))

    return change


def with_loop(model: onnx.ModelProto) -> None:
    body = helper.make_graph([], "body", [], [])
    model.graph.node.append(helper.make_node("Relu", ["h0"], ["more"], body=body))


def with_operator_in_scan(model: onnx.ModelProto) -> None:
    scan = next(node for node in model.graph.node if node.op_type == "Scan")
    body = next(each for each in scan.attribute if each.name == "body").g
    body.node.append(helper.make_node("If", ["x"], ["more"]))


def with_function(model: onnx.ModelProto) -> None:
    model.functions.add(name="Relu", domain="com.microsoft")


def with_constant(model: onnx.ModelProto) -> None:
    value = TensorProto(data_type=TensorProto.FLOAT, name="far")
    value.external_data.add(key="location", value="/etc/passwd")
    model.graph.node.append(helper.make_node("Relu", [], ["more"], value=value))


def with_infinite(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(helper.make_tensor("far", TensorProto.FLOAT, [2], [1, math.nan]))


def with_infinite_attribute(model: onnx.ModelProto) -> None:
    raw = np.array([math.inf], "<f4").tobytes()
    value = helper.make_tensor("far", TensorProto.FLOAT, [1], raw, raw=True)
    model.graph.node.append(helper.make_node("Relu", [], ["more"], value=value))


def with_sparse_tensor(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.add()


def with_training(model: onnx.ModelProto) -> None:
    model.training_info.add()


BAD: dict[str, tuple[Callable[[onnx.ModelProto], object], str]] = {
    "external data": (with_external_data, "kept in another file"),
    "external attribute": (with_constant, "kept in another file"),
    "not finite": (with_infinite, "tensor 'far' has numbers that are not finite"),
    "not finite attribute": (with_infinite_attribute, "'far' has numbers that are not finite"),
    "operator": (with_operator("Loop"), "operator Loop, which penstock never writes"),
    "runtime operator": (
        with_operator("QAttention", "com.microsoft"),
        r"operator com\.microsoft\.QAttention",
    ),
    "custom operator": (with_operator("Run", "evil"), r"operator evil\.Run"),
    "body": (with_loop, "a graph inside operator Relu"),
    "function": (with_function, "functions of its own"),
    "sparse": (with_sparse_tensor, "sparse tensors"),
    "training": (with_training, "training information"),
    "domain": (
        lambda model: model.opset_import.add(domain="evil", version=1),
        "operators of domain 'evil'",
    ),
    "newer operators": (
        lambda model: setattr(model.opset_import[0], "version", 99),
        "operator set ai.onnx 99, expected 17; upgrade penstock",
    ),
    "newer format": (
        lambda model: setattr(model, "ir_version", 99),
        "ONNX format 99, expected 8; upgrade penstock",
    ),
    "older format": (
        lambda model: setattr(model, "ir_version", 3),
        "ONNX format 3, expected 8; export the model again",
    ),
    "input": (
        lambda model: setattr(model.graph.input[0], "name", "ids"),
        r"input 1 is ids int64 \(N\), expected tokens int64 \(N\); take both from one export",
    ),
    "input missing": (
        lambda model: model.graph.input.pop(),
        r"input 12 is none, expected c1 float32 \(M, 8\)",
    ),
    "output type": (
        lambda model: setattr(model.graph.output[1].type.tensor_type, "elem_type", 1),
        r"output 2 is top_ids float32 \(N, K\), expected top_ids int64 \(N, K\)",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_we_never_write_is_rejected(name: str) -> None:
    change, message = BAD[name]
    with pytest.raises(BundleError, match=f"^model/onnx_step: .*{message}"):
        check(changed(change))


def test_a_loop_holds_our_operators_too() -> None:
    with pytest.raises(BundleError, match="operator If within a Scan"):
        check(changed(with_operator_in_scan, ENCODER_ROLE), encoder_spec(CONFIG, CARRIES))


def test_another_models_graph_is_rejected() -> None:
    with pytest.raises(
        BundleError, match=r"output 3 is log_probs float32 \(N, 20\), expected .*21"
    ):
        check(FILES[STEP_ROLE], step_spec(CONFIG, CARRIES, 21))


@pytest.mark.parametrize("size", [0, 1, 100, -1])
def test_a_truncated_graph_is_rejected(size: int) -> None:
    with pytest.raises(BundleError, match=r"onnx_step: .*(export|restore)"):
        check(FILES[STEP_ROLE][:size])


@given(st.binary(max_size=200))
def test_any_bytes_are_rejected_with_a_message(content: bytes) -> None:
    with pytest.raises(BundleError, match=r"^model/onnx_step: "):
        check(content)


def key(number: int, wire: int, beyond: int = 0) -> bytes:
    return varint(number << 3 | wire | beyond)


def varint(value: int, *, overlong: bool = False) -> bytes:
    out = bytearray()
    while value > 127 or (overlong and len(out) < 2):
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def field(number: int, content: bytes) -> bytes:
    return key(number, 2) + varint(len(content)) + content


DISGUISES: dict[str, Callable[[int, bytes], bytes]] = {
    "none": field,
    "key of 33 bits": lambda n, c: key(n, 2, 1 << 32) + varint(len(c)) + c,
    "key of 36 bits": lambda n, c: key(n, 2, 1 << 35) + varint(len(c)) + c,
    "key of 65 bits": lambda n, c: key(n, 2, 1 << 64) + varint(len(c)) + c,
    "long key": lambda n, c: varint(n << 3 | 2, overlong=True) + varint(len(c)) + c,
    "long length": lambda n, c: key(n, 2) + varint(len(c), overlong=True) + c,
    "length of 33 bits": lambda n, c: key(n, 2) + varint(len(c) | 1 << 32) + c,
    "length of 65 bits": lambda n, c: key(n, 2) + varint(len(c) | 1 << 64) + c,
    "within a group": lambda n, c: key(2, 3) + field(n, c) + key(2, 4),
    "after a stray end of a group": lambda n, c: key(2, 4) + field(n, c),
    "after field 0": lambda n, c: key(0, 0) + b"\0" + field(n, c),
    "after a key of 33 bits": lambda n, c: key(0, 2, 1 << 32) + field(99, field(n, c)),
    "after wire type 7": lambda n, c: key(2, 7) + field(n, c),
    "before a number": lambda n, c: field(n, c) + key(n, 0) + b"\1",
    "before four bytes": lambda n, c: field(n, c) + key(n, 5) + b"Relu",
    "before eight bytes": lambda n, c: field(n, c) + key(n, 1) + b"Identity",
    "before a harmless one": lambda n, c: field(n, c) + field(n, b"Relu"),
}


def node(kind: bytes, more: bytes = b"") -> bytes:
    return field(1, b"h0") + field(2, b"more") + field(4, kind) + more


EXTERNAL = field(8, b"far") + field(13, field(1, b"location") + field(2, b"/etc/passwd"))
BODY = field(1, b"body") + field(6, field(1, node(b"Relu")))
HIDDEN: dict[str, tuple[str, int, bytes]] = {  # where it is put, its field and its content
    "operator": ("graph", 1, node(b"Erf")),
    "control flow": ("graph", 1, node(b"If", field(5, BODY))),
    "external data": ("graph", 5, EXTERNAL),
    "sparse tensor": ("graph", 15, b""),
    "second graph": ("model", 7, field(1, node(b"Erf"))),
    "function": ("model", 25, field(1, b"Relu")),
    "training": ("model", 20, b""),
    "operator set": ("model", 8, field(1, b"evil")),
    "kind": ("node", 4, b"Erf"),
    "domain": ("node", 7, b"evil"),
    "body": ("node", 5, BODY),
    "external attribute": ("node", 5, field(1, b"value") + field(5, EXTERNAL)),
}


@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("what", HIDDEN)
def test_nothing_hides_from_the_check_as_other_parsers_read_it(what: str, disguise: str) -> None:
    place, number, content = HIDDEN[what]
    hidden = DISGUISES[disguise](number, content)
    model = onnx.ModelProto.FromString(FILES[STEP_ROLE])
    graph = model.graph.SerializeToString()
    model.ClearField("graph")
    if place == "node":
        own = b"" if number == 4 and disguise != "none" else field(4, b"Relu")
        hidden = field(1, field(1, b"h0") + field(2, b"more") + own + hidden)
    graph += b"" if place == "model" else hidden
    bad = model.SerializeToString() + field(7, graph) + (hidden if place == "model" else b"")
    with pytest.raises(BundleError, match=r"^model/onnx_step: "):
        check(bad)


@given(st.data())
def test_what_passes_reads_the_same_in_protobuf(data: st.DataObject) -> None:
    def messages(depth: int) -> st.SearchStrategy[bytes]:
        names = st.sampled_from([b"Relu", b"Erf", b"", b"evil"])
        inner = st.one_of(names, messages(depth - 1)) if depth else names
        one = st.builds(
            lambda disguise, number, content: DISGUISES[disguise](number, content),
            st.sampled_from(sorted(DISGUISES)),
            st.sampled_from([1, 4, 5, 6, 7, 13, 15]),
            inner,
        )
        return st.lists(one, max_size=3).map(b"".join)

    model = onnx.ModelProto.FromString(FILES[STEP_ROLE])
    more = field(1, node(b"Relu", data.draw(messages(2))))
    whole = field(7, model.graph.SerializeToString() + more)
    model.ClearField("graph")
    content = model.SerializeToString() + whole
    try:
        check(content)
    except BundleError:
        return
    added = onnx.ModelProto.FromString(content).graph.node[-1]
    assert (added.op_type, added.domain) == ("Relu", "")
    for attribute in added.attribute:
        assert not attribute.HasField("g")
        assert not attribute.graphs
        assert not attribute.t.external_data


def test_the_runtimes_own_format_is_never_read(tmp_path: Path) -> None:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(tmp_path / "step.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    ort.InferenceSession(FILES[STEP_ROLE], options, providers=["CPUExecutionProvider"])
    content = (tmp_path / "step.ort").read_bytes()
    assert content[4:8] == b"ORTM"
    assert ort.InferenceSession(content, providers=["CPUExecutionProvider"]).get_inputs()
    with pytest.raises(BundleError, match=r"ONNX Runtime [\d.]+ cannot read it"):
        RuntimeSession(content, BundleError)


@pytest.mark.parametrize("seed", range(60))
def test_a_damaged_graph_runs_or_is_rejected(seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    random = Random(seed)
    damaged = {}
    for role, content in FILES.items():
        changing = bytearray(content)
        for _ in range(random.choice([1, 1, 5])):
            changing[random.randrange(len(changing))] = random.randrange(256)
        damaged[role] = bytes(changing)
    try:
        engine = OnnxTranslator(CONFIG, damaged, vocab_size=VOCAB, place="model")
        state = engine.start([[5, 6, 3]])
        engine.step(state.sentences + 2, state, top=2)
    except BundleError as error:
        assert str(error).startswith("model/onnx_")  # noqa: PT017 - it may also run
    assert capsys.readouterr().out == ""


def test_a_contradiction_is_told_when_it_is_opened_or_run() -> None:
    def shorten(model: onnx.ModelProto) -> None:
        bias = next(each for each in model.graph.initializer if list(each.dims) == [VOCAB])
        bias.dims[0] = VOCAB - 1
        bias.raw_data = bias.raw_data[:-4]

    content = changed(shorten)

    def open_and_run() -> None:
        files = {STEP_ROLE: content}
        GraphSession(files, STEP_ROLE, place="model", specs=(SPEC,)).run(["log_probs"], {})

    with pytest.raises(BundleError, match=r"^model/onnx_step: ONNX Runtime [\d.]+ cannot "):
        open_and_run()


def test_a_bundle_without_graphs_says_how_to_make_them() -> None:
    with pytest.raises(BundleError, match="no onnx_step; make one with 'penstock export'"):
        OnnxTranslator(CONFIG, {ENCODER_ROLE: FILES[ENCODER_ROLE]}, vocab_size=VOCAB, place="model")
