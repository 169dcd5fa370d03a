"""A graph that penstock did not write is rejected before anything of it runs."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import onnx
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
from penstock.runtime.onnx.session import GraphSession
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


def with_sparse_tensor(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.add()


def with_training(model: onnx.ModelProto) -> None:
    model.training_info.add()


BAD: dict[str, tuple[Callable[[onnx.ModelProto], object], str]] = {
    "external data": (with_external_data, "kept in another file"),
    "external attribute": (with_constant, "kept in another file"),
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
        GraphSession(content, place="model", specs=(SPEC,)).run(["log_probs"], {})

    with pytest.raises(BundleError, match=r"^model: ONNX Runtime [\d.]+ cannot "):
        open_and_run()


def test_a_bundle_without_graphs_says_how_to_make_them() -> None:
    with pytest.raises(BundleError, match="no onnx_step; make one with 'penstock export'"):
        OnnxTranslator(CONFIG, {ENCODER_ROLE: FILES[ENCODER_ROLE]}, vocab_size=VOCAB, place="model")
