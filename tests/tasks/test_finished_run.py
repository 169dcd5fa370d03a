"""What a finished run's model knows of its training text, and how sure it is of its outputs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from penstock.bundle import load_bundle, save_bundle
from penstock.config import RunConfig
from penstock.errors import UsageError
from penstock.metrics.confidence import Reliability
from penstock.tasks.classification.text_classifier import TextClassifier
from penstock.tasks.cloze.blank_filler import BlankFiller
from penstock.tasks.finished_run import complete_run
from penstock.tasks.model_export import export_bundle
from penstock.tasks.translation.search_options import SearchOptions
from penstock.tasks.translation.translator import Translator

ODD = "日本語"
KNOWN = ["ok", "unfamiliar", "unknown-heavy", "empty"]
Command = Callable[..., tuple[int, str, str]]


def completed(
    run: Path, folder: Path, texts: Path, *, held_out: int = 100, start: Path | None = None
) -> list[str]:
    """Complete a copy of a run's model with the tests' texts; returns what is reported."""
    bundle = load_bundle(run)
    config = bundle.config.model_dump(exclude_unset=True)
    name = "lines.txt" if bundle.config.task in ("cloze", "language-model") else "labels.tsv"
    lines = (texts / name).read_text("utf-8").splitlines(keepends=True)
    (folder / "model").mkdir(parents=True)
    (folder / f"valid-{name}").write_text("".join(lines[:held_out]), "utf-8")
    (folder / f"train-{name}").write_text("".join(lines[100:]), "utf-8")
    config["data"] = {"train": str(folder / f"train-{name}")}
    if bundle.config.task != "language-model":
        config["data"]["valid"] = str(folder / f"valid-{name}")
    config["training"]["export"] = "none"
    config["start"] = {"model": None if start is None else str(start)}
    bundle = replace(bundle, config=RunConfig(**config))
    save_bundle(bundle, folder / "model")
    return complete_run(bundle.config, folder)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for completed models; not to be changed."""
    return tmp_path_factory.mktemp("completed")


@pytest.fixture(scope="module")
def classifier(classifier_run: Path, texts: Path, models: Path) -> Path:
    assert completed(classifier_run, models / "classifier", texts) == []
    return models / "classifier"


@pytest.fixture(scope="module")
def cloze(cloze_run: Path, texts: Path, models: Path) -> Path:
    assert completed(cloze_run, models / "cloze", texts) == []
    return models / "cloze"


@pytest.fixture(scope="module")
def translation(tiny_run: Path, texts: Path, models: Path) -> Path:
    assert completed(tiny_run, models / "translation", texts) == []
    return models / "translation"


# --- labels -------------------------------------------------------------------------------------

SENTENCES = ["Do you see them?", "Do you see naïve?", f"is {ODD}{ODD}{ODD}", ""]


def test_a_classifier_reports_what_it_does_not_know(classifier_run: Path, classifier: Path) -> None:
    before = TextClassifier.load(classifier_run).classify(SENTENCES)
    assert [each.status for each in before][:2] == ["ok", "ok"]
    assert [each.confidence for each in before] == [None] * 4
    after = TextClassifier.load(classifier).classify(SENTENCES)
    assert [each.status for each in after] == KNOWN
    assert after[0].confidence is not None
    assert 0.5 < after[0].confidence < 1
    assert [each.confidence for each in after[1:]] == [None] * 3
    assert after[0].probabilities == before[0].probabilities


def test_labels_below_a_confidence_are_unsure(
    classifier_run: Path, classifier: Path, tmp_path: Path, penstock: Command
) -> None:
    (tmp_path / "in.txt").write_text("\n".join([*SENTENCES, ""]), "utf-8")
    code, out, err = penstock(
        "classify", "-m", classifier, "-i", tmp_path / "in.txt", "--min-confidence", "1",
        "--format", "tsv",
    )  # fmt: skip
    assert code == 0
    assert "of 4 lines: 1 unfamiliar, 1 unknown-heavy, 1 unsure" in err
    confidences = [line.split("\t")[-1] for line in out.splitlines()]
    assert 0.5 < float(confidences[0]) < 1
    assert confidences[1:] == ["", "", ""]
    with pytest.raises(UsageError, match="min_confidence: outputs have no confidence here"):
        TextClassifier.load(classifier_run).classify(SENTENCES, min_confidence=0.5)


def test_evaluate_measures_the_confidence(
    classifier_run: Path, classifier: Path, tmp_path: Path, penstock: Command
) -> None:
    pytest.importorskip("matplotlib")
    data, figure = classifier / "valid-labels.tsv", tmp_path / "a.svg"
    code, out, _ = penstock("evaluate", "-m", classifier, data, "--figure", figure)
    assert code == 0
    assert "calibration error %\t" in out
    assert figure.stat().st_size > 1000
    code, out, _ = penstock("evaluate", "-m", classifier, data, "--json")
    measured = json.loads(out)["confidence"]
    lines = [line.split("\t") for line in data.read_text("utf-8").splitlines()]
    labels = TextClassifier.load(classifier).classify([line for line, _ in lines])
    found = [
        (each.confidence, each.label == label)
        for each, (_, label) in zip(labels, lines, strict=True)
        if each.confidence is not None
    ]
    expected = Reliability.of([c for c, _ in found], [right for _, right in found])
    assert measured["expected_calibration_error"] == pytest.approx(expected.error)
    assert measured["outputs"] == len(found)
    code, _, err = penstock("evaluate", "-m", classifier_run, data, "--figure", figure)
    assert code == 2
    assert "--figure: outputs of" in err


# --- blanks -------------------------------------------------------------------------------------


def test_a_cloze_model_is_sure_of_blanks(cloze_run: Path, cloze: Path) -> None:
    lines = ["Do ___ see them?", "Do ___ see naïve?", f"{ODD} {ODD} {ODD} ___", ""]
    before = BlankFiller.load(cloze_run).fill(lines)
    assert [each.status for each in before][:2] == ["ok", "ok"]
    assert [each.confidences for each in before] == [[]] * 4
    filler = BlankFiller.load(cloze)
    after = filler.fill(lines, n_best=3)
    assert [each.status for each in after] == KNOWN
    assert [len(each.confidences) for each in after] == [1, 0, 0, 0]
    assert filler.fill(lines)[0].blanks == [after[0].blanks[0][:1]]
    (unsure,) = filler.fill(["Do ___ ___ them?"], min_confidence=1.0)
    assert unsure.status == "unsure"
    assert len(unsure.confidences) == 2


# --- translations -------------------------------------------------------------------------------


def test_a_translation_is_sure_whatever_the_search_but_a_draw(
    tiny_run: Path, translation: Path
) -> None:
    translator = Translator.load(translation)
    lines = ["Do you see them?", ""]
    for search in ("beam", "greedy", "exact"):
        first, blank = translator.translate(lines, search=search)
        assert first.confidence is not None
        assert first.expected_chrf is not None
        assert 0 < first.confidence < 1
        assert 0 < first.expected_chrf < 100
        assert (blank.confidence, blank.expected_chrf) == (None, None)
    for search in ("sample", "mbr"):
        assert translator.translate(lines, search=search)[0].confidence is None
    assert Translator.load(tiny_run).translate(lines)[0].confidence is None
    both = Translator.load(translation, translation)
    assert both.translate(lines)[0].confidence is None
    with pytest.raises(UsageError, match="min_confidence: outputs have no confidence here"):
        both.translate(lines, SearchOptions(min_confidence=0.5))


def test_a_confidence_does_not_depend_on_what_else_is_asked(translation: Path) -> None:
    translator = Translator.load(translation)
    lines = ["Do you see them?", "She is not here.", "He sings."]
    alone = [translator.translate([line])[0].confidence for line in lines]
    together = [each.confidence for each in translator.translate(lines, n_best=3)]
    assert together == pytest.approx(alone, abs=1e-5)
    sure = translator.translate(lines, SearchOptions(min_confidence=1.0))
    assert {each.status for each in sure} <= {"unsure", "length-capped", "repeated"}


def test_what_it_is_fitted_to_is_what_translate_gives(translation: Path) -> None:
    translator = Translator.load(translation)
    lines = ["Do you see them?", "", "She is not here. " * 40]
    found = translator.with_hypotheses(lines)
    texts = [result.text for result in translator.translate(lines)]
    assert [result.text for result, _ in found] == texts
    assert [len(best) for _, best in found] == [result.parts for result, _ in found]
    assert found[0][1][0].log_probability == pytest.approx(found[0][0].log_probability)


def test_a_line_in_segments_is_right_where_all_are(translation: Path) -> None:
    bundle = load_bundle(translation)
    sentences = ["Do you see them?", "She is not here."]
    longest = max(map(len, bundle.source_tokenizer.encode_batch(sentences)))
    data = bundle.config.data.model_copy(update={"max_source_tokens": longest + 1})
    config = bundle.config.model_copy(update={"data": data})
    translator = Translator(replace(bundle, config=config, familiarity=None))
    apart = translator.translate(sentences)
    (whole,) = translator.translate([" ".join(sentences)])
    assert (whole.parts, [each.parts for each in apart]) == (2, [1, 1])
    first, second = (each.confidence for each in apart)
    assert first is not None
    assert second is not None
    assert whole.confidence == pytest.approx(first * second, rel=1e-4)


def test_an_export_is_as_sure_as_the_run(translation: Path) -> None:
    """Confidence is kept: int8 moves it little."""
    bundle = load_bundle(translation)
    lines = ["Do you see them?", "SHE SEES THEM.", ODD, "Sheïla", "He sings."]
    run = Translator(bundle, engine="torch").translate(lines)
    for precision in ("fp32", "int8"):
        exported = export_bundle(bundle, precision=precision)
        found = Translator(exported.without_files(), engines=Translator(exported).engines)
        for ours, theirs in zip(found.translate(lines), run, strict=True):
            assert ours.status == theirs.status
            if ours.text == theirs.text and theirs.confidence is not None:
                assert ours.confidence == pytest.approx(theirs.confidence, abs=0.03)


# --- what cannot be fitted ----------------------------------------------------------------------


def test_too_few_held_out_lines_give_no_confidence(
    classifier_run: Path, texts: Path, tmp_path: Path
) -> None:
    assert completed(classifier_run, tmp_path / "run", texts, held_out=49) == [
        "no confidence: 49 held-out lines are too few to fit it; hold out 50 or more"
    ]
    bundle = load_bundle(tmp_path / "run")
    assert bundle.confidence is None
    assert bundle.familiarity is not None


def test_what_a_first_model_knew_stays_familiar(
    classifier_run: Path, classifier: Path, texts: Path, tmp_path: Path
) -> None:
    assert completed(classifier_run, tmp_path / "run", texts, start=classifier) == []
    found, first = (load_bundle(path).familiarity for path in (tmp_path / "run", classifier))
    assert found is not None
    assert found.before is not None
    assert first is not None
    assert found.before.to_json() == first.to_json()


def test_running_text_has_no_lines_to_report(
    language_model_run: Path, texts: Path, tmp_path: Path
) -> None:
    assert completed(language_model_run, tmp_path / "run", texts) == []
    assert load_bundle(tmp_path / "run").familiarity is None


def test_a_run_whose_data_are_gone_says_so(classifier_run: Path, tmp_path: Path) -> None:
    bundle = load_bundle(classifier_run)
    config = bundle.config.model_copy(
        update={"data": bundle.config.data.model_copy(update={"train": "gone.tsv"})}
    )
    save_bundle(replace(bundle, config=config), tmp_path / "model")
    assert complete_run(config, tmp_path) == [
        "unfamiliar lines and confidence will not be reported: gone.tsv: no such file; check the "
        "path"
    ]
