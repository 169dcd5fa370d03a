"""`penstock bench translate` measures every engine that a model has files for."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from penstock.bench.decoding_speed import decoding_work, measure_decoding
from penstock.bench.device_speed import measure_on_device
from penstock.bundle import load_bundle, save_bundle
from penstock.cli import app
from penstock.errors import BundleError
from penstock.tasks.model_export import export_bundle

FIXTURES = Path(__file__).parents[1] / "fixtures" / "format-1"
LINES = str(FIXTURES / "source.txt")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model with weights, its graphs alone, and both beside each other."""
    folder = tmp_path_factory.mktemp("models")
    weights = load_bundle(FIXTURES / "translation")
    graphs = export_bundle(weights, precision="fp32")
    both = replace(graphs, files={**weights.files, **graphs.files})
    for name, bundle in (("weights", weights), ("graphs", graphs), ("both", both)):
        save_bundle(bundle, folder / name)
    return {path.name: path for path in folder.iterdir()}


def test_engines_stand_side_by_side(
    models: dict[str, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    (graphs, weights, _), network, sources = decoding_work(models["both"], LINES, None, 3)
    onnx, own = measure_decoding([graphs, weights], network, sources, search="greedy", rounds=1)
    assert [(each.engine, each.precision) for each in (onnx, own)] == [
        ("onnx", "fp32"),
        ("torch", "fp32"),
    ]
    assert min(onnx.ratio_fp32, onnx.sentences_per_second, own.ratio_bf16) > 0
    assert onnx.shares is onnx.weights_milliseconds is None
    assert own.shares is not None
    assert sum(own.shares.values()) == pytest.approx(1)
    assert capfd.readouterr() == ("", "")  # torch's profiler is silent


def test_the_command_prints_a_table_or_json(
    models: dict[str, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["bench", "translate", "-m", str(models["graphs"]), "-i", LINES]
    arguments += ["--sentences", "3", "--batch", "2", "--rounds", "1", "--beam-size", "2"]
    cases = [(s, "onnx", "fp32", b) for b in (2, 1) for s in ("beam", "greedy")]
    assert app.run([*arguments, "--json"]) == 0
    rows = json.loads(capfd.readouterr().out)["rows"]
    assert [(r["search"], r["engine"], r["precision"], r["batch"]) for r in rows] == cases
    assert app.run(arguments) == 0
    table = [line.split("\t") for line in capfd.readouterr().out.split("\n")[1:-1]]
    assert [tuple(row[:3]) for row in table[1:]] == [case[:3] for case in cases]
    assert {len(row) for row in table} == {10}


def test_the_search_on_the_device_is_measured(models: dict[str, Path]) -> None:
    """A CPU can run what a GPU runs."""
    _, network, sources = decoding_work(models["weights"], LINES, None, 3, engine="torch")
    found = measure_on_device(
        network, sources, torch.device("cpu"), precision="fp32", batch=2, beam_size=2, rounds=1
    )
    assert found.sentences_per_second > 0
    assert (found.search, found.device, found.batch, found.busy) == ("beam", "cpu", 2, None)


def test_a_device_that_is_not_there(capfd: pytest.CaptureFixture[str]) -> None:
    assert app.run(["bench", "translate", "--device", "cuda:99", "--sentences", "2"]) == 2
    assert "device 'cuda:99': not available here" in capfd.readouterr().err


def test_an_engine_is_chosen(models: dict[str, Path]) -> None:
    def engines(name: str, engine: str) -> list[str]:
        found = decoding_work(models[name], None, None, 1, engine=engine)[0]  # pyright: ignore
        return [own.name for own in found]

    assert engines("both", "auto") == ["onnx", "torch", "torch"]
    assert engines("both", "onnx") == ["onnx"]
    assert engines("both", "torch") == ["torch", "torch"]
    assert engines("graphs", "auto") == ["onnx"]
    assert engines("weights", "auto") == ["torch", "torch"]
    with pytest.raises(BundleError, match="an export has no weights for torch"):
        engines("graphs", "torch")
    with pytest.raises(BundleError, match="it has no ONNX graphs; make some with"):
        engines("weights", "onnx")


def test_a_random_model_is_exported(tmp_path: Path) -> None:
    config = tmp_path / "small.toml"
    config.write_text("[model]\nhidden_size = 16\nembedding_size = 8\n", encoding="utf-8")
    contenders, network, sources = decoding_work(None, None, config, 3)
    assert [(own.name, own.precision) for own in contenders] == [
        ("onnx", "int8"),
        ("torch", "fp32"),
        ("torch", "bf16"),
    ]
    (found,) = measure_decoding(contenders[:1], network, sources, search="greedy", rounds=1)
    assert found.sentences_per_second > 0
