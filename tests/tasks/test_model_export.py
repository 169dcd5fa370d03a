"""A trained model exported: the same outputs without its weights, and every way it is rejected."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penstock.bundle import GRAPH_ROLES, Bundle, load_bundle, save_bundle
from penstock.config import RunConfig
from penstock.data.grammar import builtin_split
from penstock.data.pair import Pair
from penstock.errors import BundleError, DataError, UsageError
from penstock.runtime.decoder_engine import load_translation_engine
from penstock.runtime.engine import load_engine
from penstock.runtime.engine_choice import choose_engine
from penstock.runtime.onnx.translation_engine import OnnxTranslator
from penstock.special_tokens import EOS_ID
from penstock.tasks import TASKS
from penstock.tasks.classification.text_classifier import TextClassifier
from penstock.tasks.cloze.blank_filler import BLANK, BlankFiller
from penstock.tasks.embedder import Embedder
from penstock.tasks.language_model.text_generator import TextGenerator
from penstock.tasks.model_export import (
    calibration_sample,
    export_bundle,
    export_run,
    held_out_pairs,
    verify_export,
)
from penstock.tasks.translation.search_options import SearchOptions
from penstock.tasks.translation.translator import Translator

LINES = [pair.source for pair in builtin_split(train=300).test[:12]]


@pytest.fixture(scope="module")
def tiny(tiny_run: Path) -> Bundle:
    return load_bundle(tiny_run)


@pytest.fixture(scope="module")
def fp32(tiny: Bundle) -> Bundle:
    return export_bundle(tiny, precision="fp32")


@pytest.fixture(scope="module")
def int8(tiny: Bundle) -> Bundle:
    return export_bundle(tiny)


def texts(translator: Translator, lines: Sequence[str], **options: Any) -> list[str]:
    return [result.text for result in translator.translate(lines, SearchOptions(**options))]


@pytest.mark.parametrize(
    "options",
    [
        {"search": "greedy"},
        {"beam_size": 3, "n_best": 2},
        {"beam_size": 4, "groups": 2, "diversity": 0.5},
        {"search": "sample", "samples": 2, "seed": 3},
        {"search": "mbr", "samples": 4},
        {"beam_size": 2, "no_repeat_ngram": 2, "min_length": 4},
        {"beam_size": 2, "alignments": True, "coverage_penalty": 0.2},
    ],
    ids=lambda options: " ".join(f"{k}:{v}" for k, v in options.items()),
)
def test_every_search_runs_on_the_graphs(
    tiny: Bundle, fp32: Bundle, options: dict[str, Any]
) -> None:
    expected = Translator(tiny).translate(LINES, SearchOptions(**options))
    found = Translator(fp32).translate(LINES, SearchOptions(**options))
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.score == pytest.approx(theirs.score, abs=1e-3)
        # of two outputs whose scores are equal to six digits, either is right
        assert mine.text == theirs.text or mine.score == pytest.approx(theirs.score, abs=2e-6)


def test_exact_search_joins_states_of_the_graphs(tiny: Bundle, fp32: Bundle) -> None:
    options = {"search": "exact", "budget": 300}
    assert texts(Translator(fp32), LINES[:2], **options) == texts(
        Translator(tiny), LINES[:2], **options
    )


def test_int8_translates_each_line_as_alone_and_in_any_order(int8: Bundle) -> None:
    translator = Translator(int8)
    assert isinstance(translator.engines[0], OnnxTranslator)
    found = translator.translate(LINES)
    turned = translator.translate(LINES[::-1])[::-1]
    for line, first, second in zip(LINES, found, turned, strict=True):
        alone = translator.translate([line])[0]
        assert (first.text, first.score) == (second.text, second.score)
        assert (first.text, first.score) == (alone.text, alone.score)


def test_scores_of_given_pairs_are_the_networks(tiny: Bundle, fp32: Bundle) -> None:
    pairs = [(line, line) for line in LINES]
    expected, found = (Translator(bundle).score(pairs) for bundle in (tiny, fp32))
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.log_probability == pytest.approx(theirs.log_probability, rel=1e-4)
        assert mine.tokens == theirs.tokens


def test_an_ensemble_mixes_engines(tiny: Bundle, fp32: Bundle) -> None:
    mixed = Translator(tiny, others=[fp32])
    assert texts(mixed, LINES[:4]) == texts(Translator(tiny), LINES[:4])


def test_an_export_is_a_bundle_that_loads_without_torch(int8: Bundle, tmp_path: Path) -> None:
    save_bundle(int8, tmp_path / "export")
    index = json.loads((tmp_path / "export" / "bundle.json").read_text(encoding="utf-8"))
    assert index["format"] == 2
    assert set(index["files"]) == {
        "source_tokenizer", "target_tokenizer", "onnx_encoder", "onnx_step"
    }  # fmt: skip
    assert index["record"]["export"] == {"precision": "int8"}
    again = load_bundle(tmp_path / "export")
    assert again.parameters == int8.parameters > 0
    assert texts(Translator(again), LINES) == texts(Translator(int8), LINES)
    program = (
        "import sys; from penstock.bundle import load_bundle\n"
        "from penstock.runtime.decoder_engine import load_translation_engine\n"
        "engine = load_translation_engine(load_bundle(sys.argv[1]))\n"
        "state = engine.start([[5, 6, 3]])\n"
        "print(engine.step(state.sentences + 2, state, top=1).ids.shape, 'torch' in sys.modules)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "export")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ran.stdout == "(1, 1) False\n"


def test_weights_and_graphs_stand_in_one_bundle(tiny: Bundle, int8: Bundle, tmp_path: Path) -> None:
    both = replace(tiny, files={**tiny.files, **int8.files})
    save_bundle(both, tmp_path)
    again = load_bundle(tmp_path)
    assert json.loads((tmp_path / "bundle.json").read_text(encoding="utf-8"))["format"] == 1
    assert choose_engine(again, "auto", "cpu") == "onnx"
    assert choose_engine(again, "torch", "cpu") == "torch"
    assert texts(Translator(again), LINES) == texts(Translator(int8), LINES)
    assert texts(Translator(again, engine="torch"), LINES) == texts(Translator(tiny), LINES)
    save_bundle(tiny, tmp_path)  # a better model without graphs takes the old ones away
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".onnx"]


def test_engines_that_cannot_run_say_what_can(tiny: Bundle, int8: Bundle) -> None:
    with pytest.raises(BundleError, match=r"no ONNX graphs; make some with 'penstock export'"):
        load_translation_engine(tiny, engine="onnx")
    with pytest.raises(BundleError, match=r"an export has no weights for torch; use --engine onnx"):
        load_translation_engine(int8, engine="torch")
    with pytest.raises(BundleError, match=r"an export has no weights for torch"):
        load_translation_engine(int8, device="cuda")
    with pytest.raises(UsageError, match=r"--device cuda: ONNX graphs run on the CPU"):
        load_translation_engine(int8, engine="onnx", device="cuda")
    with pytest.raises(BundleError, match=r"it is an export already; export the run"):
        export_bundle(int8)


def test_a_damaged_graph_is_told_by_name(int8: Bundle, tmp_path: Path) -> None:
    save_bundle(int8, tmp_path)
    (graph,) = tmp_path.glob("onnx_step-*.onnx")
    graph.write_bytes(graph.read_bytes()[:-10])
    with pytest.raises(BundleError, match=r"onnx_step-.*altered or truncated"):
        load_bundle(tmp_path)
    damaged = replace(int8, files={**int8.files, "onnx_step": int8.files["onnx_encoder"]})
    with pytest.raises(BundleError, match=r"onnx_step: input 1 is tokens"):
        load_translation_engine(damaged)


def test_calibration_needs_text(tiny: Bundle) -> None:
    with pytest.raises(DataError, match=r"no held-out text to calibrate int8 on.*--calibrate"):
        export_bundle(tiny, pairs=[Pair(" ", ("x",))])


class PairData:
    path = model = None

    def __init__(self, examples: Sequence[Pair]) -> None:
        self._examples = examples

    def pairs(self) -> Sequence[Pair]:
        return self._examples

    def lines(self) -> list[str]:
        return [pair.source for pair in self._examples]


def test_verification_scores_every_engine(tiny: Bundle) -> None:
    found = verify_export(tiny, PairData(held_out_pairs(tiny.config)[:20]))
    assert [engine.name for engine in found] == ["torch fp32", "onnx fp32", "onnx int8"]
    torch, single, small = found
    assert torch.differing == single.differing == 0
    assert torch.outputs == small.outputs == 20
    assert single.scores == torch.scores
    assert small.scores.keys() == torch.scores.keys()


def test_verification_reads_no_graphs_that_stand_beside_the_weights(
    tiny: Bundle, int8: Bundle
) -> None:
    data = PairData(held_out_pairs(tiny.config)[:20])
    unusable = dict.fromkeys(int8.files, b"no graph")
    both = replace(tiny, files={**tiny.files, **unusable})
    assert choose_engine(both, "auto", "cpu") == "onnx"
    assert verify_export(both, data) == verify_export(tiny, data)


# --- what int8 is calibrated on -----------------------------------------------------------------


def with_data(config: RunConfig, **changed: object) -> RunConfig:
    return config.model_copy(update={"data": config.data.model_copy(update=changed)})


def test_int8_is_calibrated_on_text_as_the_model_reads_it(cloze_run: Path) -> None:
    bundle = load_bundle(cloze_run)
    letters = replace(bundle, config=with_data(bundle.config, normalize="letters"))
    pairs = [Pair("1 + 1", ("",)), Pair("She DID -- not see: them!", ("",))]
    ids = bundle.source_tokenizer.encode("she did not see them")
    assert calibration_sample(letters, pairs) == [([*ids, EOS_ID], [])]


def test_a_language_model_is_calibrated_on_what_it_held_out(
    language_model_run: Path, tmp_path: Path
) -> None:
    """On the end of the characters that the run read, though the file goes on."""
    path = tmp_path / "text.txt"
    path.write_text("".join(f"line {i:04} of it\n\n" for i in range(3000)), "utf-8")
    base = load_bundle(language_model_run).config
    config = with_data(base, train=str(path), max_characters=20_000, valid_share=0.05)
    read = path.read_text("utf-8")[:20_000]
    lines = [pair.source for pair in held_out_pairs(config)]
    assert read.endswith("\n\n".join(lines))
    assert read.index(lines[0]) == pytest.approx(0.95 * 20_000, abs=20)
    assert len(lines) < 200


@pytest.mark.parametrize("run", ["cloze_run", "language_model_run"])
def test_a_run_whose_data_are_gone_says_how_to_export_it(
    run: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    bundle = load_bundle(request.getfixturevalue(run))
    config = with_data(bundle.config, train="gone.txt")
    training = config.training.model_copy(update={"export": "int8"})
    config = config.model_copy(update={"training": training})
    save_bundle(replace(bundle, config=config), tmp_path / "model")
    assert export_run(config, tmp_path) == (
        "not exported: no held-out text to calibrate int8 on (gone.txt: no such file; check the "
        "path); name a file with 'penstock export --calibrate', or export fp32"
    )
    assert load_bundle(tmp_path).files == bundle.files


# --- other tasks --------------------------------------------------------------------------------


def exports(run: Path) -> tuple[Bundle, Bundle, Bundle]:
    bundle = load_bundle(run)
    fp32, int8 = (export_bundle(bundle, precision=p) for p in ("fp32", "int8"))
    for exported in (fp32, int8):
        assert set(exported.files) == {"onnx_graph"}
        assert load_engine(exported).device == "cpu"
    return bundle, fp32, int8


def test_a_classifier_is_exported(classifier_run: Path) -> None:
    bundle, fp32, int8 = exports(classifier_run)
    expected, found, small = (TextClassifier(each).classify(LINES) for each in (bundle, fp32, int8))
    assert [f.label for f in found] == [e.label for e in expected]
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.probability == pytest.approx(theirs.probability, abs=1e-4)
    same = sum(a.label == b.label for a, b in zip(small, expected, strict=True))
    assert same >= len(LINES) - 2


def test_a_cloze_is_exported(cloze_run: Path) -> None:
    bundle, fp32, int8 = exports(cloze_run)
    lines = [f"The {BLANK} is here.", f"She {BLANK} not see them."]
    expected, found, small = (BlankFiller(each).fill(lines) for each in (bundle, fp32, int8))
    assert [f.text for f in found] == [e.text for e in expected]
    assert len(small) == len(expected)


def test_a_language_model_is_exported(language_model_run: Path) -> None:
    bundle, fp32, int8 = exports(language_model_run)
    ids = np.array([3, *(i for line in LINES for i in bundle.source_tokenizer.encode(line))])
    expected, found, small = (
        TextGenerator(each).score_ids(ids, 100) for each in (bundle, fp32, int8)
    )
    assert found.perplexity == pytest.approx(expected.perplexity, rel=1e-4)
    assert small.perplexity == pytest.approx(expected.perplexity, rel=0.05)


@pytest.mark.parametrize("run", ["classifier_run", "cloze_run", "language_model_run"])
def test_vectors_come_from_the_graph_too(run: str, request: pytest.FixtureRequest) -> None:
    bundle = load_bundle(request.getfixturevalue(run))
    exported = export_bundle(bundle, precision="fp32")
    expected, found = (Embedder(each).embed(LINES) for each in (bundle, exported))
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.vectors == pytest.approx(theirs.vectors, abs=1e-4)


def test_every_task_of_ours_has_graphs() -> None:
    assert all(task.graphs is not None for task in TASKS.values())
    assert len(GRAPH_ROLES) == 3


def test_vectors_of_a_run_with_graphs_come_from_its_weights(tiny: Bundle, int8: Bundle) -> None:
    both = replace(tiny, files={**tiny.files, **int8.files})
    (expected,), (found,) = (Embedder(each).embed(LINES[:1]) for each in (tiny, both))
    assert (found.vectors == expected.vectors).all()
    with pytest.raises(BundleError, match="the graphs of a model for translation give no vectors"):
        Embedder(int8)
