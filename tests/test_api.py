"""penstock in Python, typed as a user types it."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import penstock as ps
from conftest import TINY

Capture = pytest.CaptureFixture[str]

SOURCE = Path(ps.__file__)
PAIRS = [("She sees him .", "Elle le voit ."), ("He is happy .", ["Il est heureux .", "Heureux ."])]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from penstock.data.grammar import generate_pairs

    path = tmp_path_factory.mktemp("data") / "pairs.tsv"
    lines = (f"{pair.source}\t{pair.target}\n" for pair in generate_pairs(300))
    path.write_text("".join(lines), encoding="utf-8")
    return path


def of_task(task: str, data: Path) -> ps.RunConfig:
    """Three updates of a tiny model."""
    sizes = {"embedding_size": 8, "hidden_size": 8}
    few = {"max_updates": 3, "evaluate_every": 3}
    written: Any = ps.RunConfig
    return written(
        task=task,
        threads=1,
        device="cpu",
        data={"train": data},
        text={"source": {"kind": "word", "min_frequency": 1}},
        model=sizes,
        training=few,
    )


# --- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ps.__all__)
def test_every_public_name_exists(name: str) -> None:
    assert getattr(ps, name) is getattr(ps, name)
    assert name in dir(ps)


def test_type_checkers_see_the_same_names() -> None:
    """`__all__`, what is imported for type checkers, and where names are found lazily."""
    (block,) = (
        node
        for node in ast.parse(SOURCE.read_text(encoding="utf-8")).body
        if isinstance(node, ast.If)
    )
    typed = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert {name: ps._HOMES[name] for name in typed} == typed
    assert sorted([*typed, "__version__"]) == sorted(ps.__all__)


def test_importing_penstock_imports_neither_torch_nor_pydantic() -> None:
    code = (
        "import sys, penstock as ps; dir(ps);"
        "heavy = {'torch', 'pydantic', 'numpy', 'typer', 'sacrebleu', 'tokenizers'};"
        "print(sorted(heavy & sys.modules.keys()));"
        "ps.RunConfig(model={'cell': 'gru'}); ps.UsageError;"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n") == ["[]", "False", ""]


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'penstock' has no attribute 'Transaltor'"):
        ps.Transaltor  # type: ignore  # noqa: B018


# --- train --------------------------------------------------------------------------------------


def test_train_load_translate_evaluate(tmp_path: Path, capfd: Capture) -> None:
    config = ps.RunConfig(
        threads=1,
        device="cpu",
        data=TINY["data"],
        text=TINY["text"],
        model=ps.ModelConfig(**TINY["model"]),
        training={**TINY["training"], "max_updates": 10, "evaluate_every": 5},
    )
    run = ps.train(config, out=tmp_path / "run")
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")
    assert run.path == tmp_path / "run"
    assert not run.interrupted
    assert "held-out loss" in run.messages
    assert run.scores["loss"] > 0

    translator = ps.load(run.path)
    assert isinstance(translator, ps.Translator)
    assert isinstance(run.load(), ps.Translator)
    options = ps.SearchOptions(search="greedy")
    assert len(translator.translate(["She sees him .", ""], options)) == 2

    result = ps.evaluate(translator, PAIRS)
    assert result.examples == 2
    assert {"bleu", "chrf", "exact_match"} <= result.scores.keys()
    assert result.signature.startswith("BLEU|nrefs:")
    assert "chrF" in str(result)
    assert f"exact {result.scores['exact_match']:.2f}%" in str(result)
    assert result.signature in str(result)
    data = tmp_path / "data.tsv"
    data.write_text("She sees him .\tElle le voit .\n", encoding="utf-8")
    alone = ps.evaluate(run.path, data)
    assert alone == ps.evaluate(translator, [("She sees him .", "Elle le voit .")])
    parallel = [tmp_path / "a.en", tmp_path / "a.fr"]
    for path, text in zip(parallel, ("She sees him .", "Elle le voit ."), strict=True):
        path.write_text(f"{text}\n", encoding="utf-8")
    assert alone == ps.evaluate(translator, parallel)


def test_train_prints_when_it_is_asked_to(pairs: Path, tmp_path: Path, capfd: Capture) -> None:
    run = ps.train(of_task("translation", pairs), out=tmp_path / "run", verbose=True)
    assert "held-out loss" in capfd.readouterr().err
    assert run.messages == ""


def test_train_takes_a_mapping_a_configuration_file_and_a_data_file(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from penstock.config import dump_toml

    monkeypatch.chdir(tmp_path)
    config = of_task("translation", pairs)
    file = tmp_path / "small.toml"
    file.write_text(dump_toml(config), encoding="utf-8")
    assert ps.train(file).path == Path("runs/small")
    assert ps.load_config("runs/small/config.toml").model == config.model
    assert ps.train(config.model_dump()).path == Path("runs/pairs")

    built: list[ps.RunConfig] = []

    def remember(config: ps.RunConfig, run: Path, **others: object) -> None:
        built.append(config)
        raise ps.TrainingError("enough")

    monkeypatch.setattr("penstock.training.loop.train", remember)
    for data in (pairs, str(pairs), [str(pairs)]):
        with pytest.raises(ps.TrainingError, match="enough"):
            ps.train(data, out="elsewhere")
    assert {str(config.data.train) for config in built} == {str(pairs), f"['{pairs}']"}


def test_train_resumes(pairs: Path, tmp_path: Path) -> None:
    config = of_task("translation", pairs)
    ps.train(config, out=tmp_path)
    with pytest.raises(ps.UsageError, match="holds a run already"):
        ps.train(config, out=tmp_path)
    assert "going on from update 3" in ps.train(config, out=tmp_path, resume=True).messages


def test_distill_makes_a_student(pairs: Path, tmp_path: Path, capfd: Capture) -> None:
    student = of_task("translation", pairs)
    sizes, few = student.model, student.training
    unseen = ps.builtin_split(train=300).test[:12]
    valid = tmp_path / "valid.tsv"
    valid.write_text("".join(f"{p.source}\t{p.target}\n" for p in unseen), encoding="utf-8")
    config = {"model": sizes, "training": few, "threads": 1}
    run = ps.distill("demo", pairs, tmp_path / "run", valid=valid, config=config)
    assert (run.interrupted, run.scores["search"]) == (False, "greedy")
    assert "translations to learn from" in run.messages
    assert "exported: int8" in run.messages
    assert run.load().translate(["She sees them."])[0].source == "She sees them."
    again = ps.distill("demo", pairs, tmp_path / "run", valid=valid, resume=True)
    assert again.scores == run.scores
    with pytest.raises(ps.UsageError, match="sources: expected a path or several, found 3"):
        ps.distill("demo", 3, tmp_path / "other")  # type: ignore
    assert capfd.readouterr() == ("", "")


def test_misuse_gets_a_message() -> None:
    train: Any = ps.train
    with pytest.raises(ps.ConfigError, match="did you mean 'model'"):
        train({"modle": {}})
    with pytest.raises(ps.UsageError, match=r"train takes a RunConfig, .*, found 3"):
        train(3)
    with pytest.raises(ps.DataError, match=r"nowhere\.tsv"):
        train("nowhere.tsv", out="runs/none")
    with pytest.raises(ps.BundleError, match="nowhere: no such directory"):
        ps.load("nowhere")
    evaluate: Any = ps.evaluate
    with pytest.raises(ps.UsageError, match=r"evaluate takes a model or its path, found 3"):
        evaluate(3, PAIRS)


# --- the other tasks ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "kind", "metric"),
    [
        ("language-model", "TextGenerator", "perplexity"),
        ("cloze", "BlankFiller", "accuracy"),
        ("classification", "TextClassifier", "macro_f1"),
    ],
)
def test_other_tasks_load_and_evaluate(task: str, kind: str, metric: str, tmp_path: Path) -> None:
    data = tmp_path / "data.tsv"
    tail = "\tgood" if task == "classification" else ""
    lines = [f"word{i % 7} word{i % 5} word{i}{tail}" for i in range(40)]
    if tail:
        lines[::2] = [line.replace("good", "bad") for line in lines[::2]]
    data.write_text("\n".join(lines) + "\n", encoding="utf-8")
    run = ps.train(of_task(task, data), out=tmp_path / "run")
    model = run.load()
    assert type(model).__name__ == kind
    from_file = ps.evaluate(model, data)
    assert metric in from_file.scores
    examples = [tuple(line.split("\t")) for line in lines] if tail else lines
    assert ps.evaluate(model, examples) == from_file
    with pytest.raises(ps.DataError):
        ps.evaluate(model, [])
    with pytest.raises(ps.UsageError, match=f"metrics: a {kind} has its own; leave them out"):
        ps.evaluate(model, data, metrics=["bleu"])


# --- after the review ---------------------------------------------------------------------------


def test_a_loaded_models_bundle_is_not_saved(tiny_run: Path, tmp_path: Path) -> None:
    """It is without its network: saved over the run it came from, it would destroy the model."""
    copy = tmp_path / "model"
    shutil.copytree(tiny_run / "model", copy)
    before = sorted(path.name for path in copy.iterdir())
    translator = ps.Translator.load(copy)
    with pytest.raises(ps.BundleError, match="without its network's files; read it by load_bundle"):
        ps.save_bundle(translator.bundle, copy)
    with pytest.raises(ps.BundleError, match="without its network's files"):
        _ = translator.bundle.parameters
    assert sorted(path.name for path in copy.iterdir()) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "tensorrt"}, "unknown engine 'tensorrt'; known: 'auto', 'onnx', 'torch'"),
        ({"threads": 0}, "threads 0: must be a whole number from 1 to 1,024"),
        ({"threads": 10**9}, "threads 1000000000: must be a whole number"),
        ({"threads": 2.5}, r"threads 2\.5: must be a whole number"),
    ],
)
def test_engines_and_threads_that_are_none(tiny_run: Path, options: Any, message: str) -> None:
    with pytest.raises(ps.UsageError, match=message):
        ps.Translator.load(tiny_run, **options)


def test_examples_may_be_a_generator_and_must_be_several(tiny_run: Path, cloze_run: Path) -> None:
    cloze, lines = ps.load(cloze_run), ["she is here .", "he is working ."]
    assert ps.evaluate(cloze, iter(lines)).scores == ps.evaluate(cloze, lines).scores
    for model in (cloze, ps.load(tiny_run)):
        with pytest.raises(ps.UsageError, match="evaluate takes a file or examples, found 5"):
            ps.evaluate(model, 5)


def test_a_run_is_named_by_its_data() -> None:
    from penstock.training.run_settings import run_name

    assert [run_name(name) for name in ("a/en.tsv.gz", "-", ".x.tsv", "")] == [
        "en", "stdin", "run", "run",
    ]  # fmt: skip
