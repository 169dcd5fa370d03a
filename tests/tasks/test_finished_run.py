"""What a finished run's model knows of its training text, and what it then reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from penstock.bundle import load_bundle, save_bundle
from penstock.config import RunConfig
from penstock.tasks.classification.text_classifier import TextClassifier
from penstock.tasks.cloze.blank_filler import BlankFiller
from penstock.tasks.finished_run import complete_run

ODD = "日本語"
Command = Callable[..., tuple[int, str, str]]


def completed(run: Path, folder: Path, texts: Path) -> Path:
    """A copy of a run's model, completed; the tests' translation model gets a small corpus."""
    bundle = load_bundle(run)
    config = bundle.config.model_dump(exclude_unset=True)
    if config["data"].get("train", "builtin") == "builtin":
        config["data"] = {"train": str(texts / "labels.tsv")}
    config["training"]["export"] = "none"
    bundle = replace(bundle, config=RunConfig(**config))
    save_bundle(bundle, folder / "model")
    assert complete_run(bundle.config, folder) == []
    return folder


LINES = ["the cat sees", "the cat sees naïve", f"the {ODD}{ODD}{ODD}", ""]
KNOWN = ["ok", "unfamiliar", "unknown-heavy", "empty"]


def test_a_classifier_reports_unfamiliar_lines(
    classifier_run: Path, texts: Path, tmp_path: Path
) -> None:
    older = TextClassifier.load(classifier_run)
    newer = TextClassifier.load(completed(classifier_run, tmp_path, texts))
    lines = [text.replace("the cat", "She") for text in LINES]
    assert [each.status for each in older.classify(lines)][:2] == ["ok", "ok"]
    assert [each.status for each in newer.classify(lines)] == KNOWN


def test_a_cloze_model_reports_unfamiliar_lines(
    cloze_run: Path, texts: Path, tmp_path: Path
) -> None:
    older = BlankFiller.load(cloze_run)
    newer = BlankFiller.load(completed(cloze_run, tmp_path, texts))
    lines = [text.replace("the cat", "She ___") for text in LINES]
    lines[2] = f"{ODD} {ODD} {ODD} ___"
    assert [each.status for each in older.fill(lines)][:2] == ["ok", "ok"]
    assert [each.status for each in newer.fill(lines)] == KNOWN


def test_running_text_has_no_lines_to_report(
    language_model_run: Path, tmp_path: Path, texts: Path
) -> None:
    assert load_bundle(completed(language_model_run, tmp_path, texts)).familiarity is None


def test_a_run_whose_data_are_gone_says_so(classifier_run: Path, tmp_path: Path) -> None:
    bundle = load_bundle(classifier_run)
    config = bundle.config.model_copy(
        update={"data": bundle.config.data.model_copy(update={"train": "gone.tsv"})}
    )
    save_bundle(replace(bundle, config=config), tmp_path / "model")
    assert complete_run(config, tmp_path) == [
        "unfamiliar lines will not be reported: gone.tsv: no such file; check the path"
    ]


def test_an_export_judges_as_the_run(
    tiny_run: Path, texts: Path, tmp_path: Path, penstock: Command
) -> None:
    model = completed(tiny_run, tmp_path / "run", texts)
    out = tmp_path / "exported"
    assert penstock("export", "-m", model, "--out", out, "--precision", "fp32")[0] == 0
    lines = ["She sees them.", "SHE SEES THEM.", ODD, "Sheïla"]
    assert load_bundle(out).likeness(lines) == load_bundle(model).likeness(lines)
