"""Classification: padding changes nothing, labels are known ones, every line has an answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from conftest import (
    assert_resumes_exactly,
    english_lines,
    kind_of_sentence,
    quiet_console,
    task_config,
)
from penstock.bundle import load_bundle
from penstock.cli.app import run as penstock
from penstock.config import CELLS, parse_config
from penstock.errors import DataError, UsageError
from penstock.metrics.labels import score_labels
from penstock.search import SearchStoppedError
from penstock.tasks.classification.network import Classifier
from penstock.tasks.classification.text_classifier import TextClassifier
from penstock.training import corpus_tokenizers
from penstock.training.loop import train

Capture = pytest.CaptureFixture[str]


def classifier(**changes: Any) -> Classifier:
    raw = {"embedding_size": 8, "hidden_size": 12, **changes}
    config = parse_config({"task": "classification", "data": {"train": "x"}, "model": raw})
    torch.manual_seed(3)
    return Classifier(config.model, vocab_size=20, num_labels=3).eval()


# --- the network --------------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", ["final", "mean", "max"])
@pytest.mark.parametrize("cell", CELLS)
def test_a_padded_sentence_is_the_sentence_alone(cell: str, pooling: str) -> None:
    model = classifier(cell=cell, pooling=pooling, num_layers=2)
    ids = torch.randint(4, 20, (3, 9), generator=torch.Generator().manual_seed(1))
    lengths = torch.tensor([9, 4, 1])
    together = model(ids, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = model(ids[row : row + 1, :length], lengths[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone)


@pytest.mark.parametrize(("pooling", "place"), [("mean", 0), ("max", 1), ("final", 2)])
def test_what_the_poolings_are(pooling: str, place: int) -> None:
    model = classifier(pooling=pooling)
    ids = torch.randint(4, 20, (1, 6), generator=torch.Generator().manual_seed(1))
    values, final = model.encoder(ids, torch.tensor([6]))
    by_hand = (values[0].mean(0), values[0].amax(0), final.h[-1, 0])[place]
    expected = by_hand @ model.output.weight.T + model.output.bias
    torch.testing.assert_close(model(ids, torch.tensor([6]))[0], expected)


# --- scores -------------------------------------------------------------------------------------


def test_scores_of_labels_by_hand() -> None:
    found = ["a", "a", "b", "c", ""]
    scores = score_labels(found, [["a"], ["b"], ["b", "c"], ["a"], ["b"]])
    assert scores.accuracy == pytest.approx(40)
    a, b = scores.labels["a"], scores.labels["b"]
    assert (a.precision, a.recall, a.f1, a.support) == (50, 50, 50, 2)
    assert (b.precision, b.recall, b.support) == (100, pytest.approx(100 / 3), 3)
    assert scores.labels["c"].f1 == 0
    assert scores.macro_f1 == pytest.approx((50 + 50 + 0) / 3)
    assert scores.confusion["b", "a"] == 1
    assert scores.confusion["b", ""] == 1


# --- training -----------------------------------------------------------------------------------


def test_it_learns(classifier_run: Path) -> None:
    held_out = load_bundle(classifier_run).record["held_out"]
    assert held_out["accuracy"] > 90  # a question ends with its mark


def test_interrupted_and_resumed_is_uninterrupted(texts: Path, tmp_path: Path) -> None:
    assert_resumes_exactly("classification", texts, tmp_path)


def test_a_held_out_label_that_training_lacks(texts: Path, tmp_path: Path) -> None:
    (tmp_path / "valid.tsv").write_text("is it ?\tquestion\nso be it .\twish\n", encoding="utf-8")
    config = task_config("classification", texts, f"data.valid={tmp_path / 'valid.tsv'}")
    with pytest.raises(
        DataError, match=r"valid\.tsv, line 2: label 'wish' was not in the training data, which has"
    ):
        train(config, tmp_path / "run", console=quiet_console())


def test_a_label_with_one_example_is_left_out_of_the_held_out_part(
    texts: Path, tmp_path: Path
) -> None:
    rows = [f"sentence number {i} .\t{'x' if i % 2 else 'y'}\n" for i in range(60)]
    rows += [f"rare sentence {i} .\tlabel {i}\n" for i in range(60)]
    (tmp_path / "labels.tsv").write_text("".join(rows), encoding="utf-8")
    config = task_config(
        "classification", texts, f"data.train={tmp_path / 'labels.tsv'}", "training.max_updates=2"
    )
    console = quiet_console()
    train(config, tmp_path / "run", console=console)
    said = console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
    assert "held-out examples left out: their labels (label " in said


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["same"], r"labels\.jsonl: every training text has the label 'same'"),
        (["a\nb", "a"], r"labels\.jsonl, line \d+: the label 'a\\nb' has a line end"),
        (["a\r", "a"], r"labels\.jsonl, line \d+: the label 'a\\r' has a line end"),
        ([f"label {i}" for i in range(200)], "no held-out example has a label that the training"),
    ],
)
def test_labels_that_cannot_be_learnt(
    texts: Path, tmp_path: Path, labels: list[str], message: str
) -> None:
    rows = [
        json.dumps({"source": line, "target": labels[i % len(labels)]})
        for i, line in enumerate(english_lines(200))
    ]
    (tmp_path / "labels.jsonl").write_text("\n".join(rows), encoding="utf-8")
    config = task_config("classification", texts, f"data.train={tmp_path / 'labels.jsonl'}")
    with pytest.raises(DataError, match=message):
        train(config, tmp_path / "run", console=quiet_console())


def test_no_label_is_missed_in_a_sample_or_for_their_number(
    texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More labels than a vocabulary has by default; the words alone come from a sample."""
    monkeypatch.setattr(corpus_tokenizers, "TOKENIZER_PAIRS", 100)
    rows = [f"text {i % 50} {i}\tlabel {i // 2 % 9000}\n" for i in range(18_000)]
    (tmp_path / "labels.tsv").write_text("".join(rows), encoding="utf-8")
    config = task_config(
        "classification",
        texts,
        f"data.train={tmp_path / 'labels.tsv'}",
        "data.valid_pairs=50",
        "training.max_updates=1",
    )
    train(config, tmp_path / "run", console=quiet_console())
    assert len(load_bundle(tmp_path / "run").labels) == 9000


def test_labels_may_look_like_reserved_tokens(texts: Path, tmp_path: Path) -> None:
    names = ["<eos>", "<unk>"]
    rows = [f"{line}\t{names[i % 2]}\n" for i, line in enumerate(english_lines(100))]
    (tmp_path / "labels.tsv").write_text("".join(rows), encoding="utf-8")
    (tmp_path / "valid.tsv").write_text("he is here .\t<pad>\n", encoding="utf-8")
    config = task_config(
        "classification", texts, f"data.train={tmp_path / 'labels.tsv'}", "training.max_updates=1"
    )
    train(config, tmp_path / "run", console=quiet_console())
    assert sorted(load_bundle(tmp_path / "run").labels) == names
    data = config.data.model_copy(update={"valid": str(tmp_path / "valid.tsv")})
    with pytest.raises(DataError, match="label '<pad>' was not in the training data"):
        train(config.model_copy(update={"data": data}), tmp_path / "run2", console=quiet_console())


def test_texts_of_which_letters_leave_nothing(texts: Path, tmp_path: Path) -> None:
    rows = [f"{line}\t{kind_of_sentence(line)}\n" for line in english_lines(100)]
    rows += [f"{i} {i}\t{'question' if i % 2 else 'statement'}\n" for i in range(100)]
    (tmp_path / "labels.tsv").write_text("".join(rows), encoding="utf-8")
    config = task_config(
        "classification",
        texts,
        f"data.train={tmp_path / 'labels.tsv'}",
        "data.normalize=letters",
        "training.max_updates=1",
    )
    console = quiet_console()
    train(config, tmp_path / "run", console=console)
    said = console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
    assert "labels.tsv: 100 texts without a letter were left out" in said
    assert "90 training texts, 10 held-out" in said
    results = TextClassifier.load(tmp_path / "run").classify(["12", "he is here ."])
    assert [result.status for result in results] == ["unknown-heavy", "ok"]


# --- use ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def questions(classifier_run: Path) -> TextClassifier:
    return TextClassifier.load(classifier_run)


def test_every_line_has_an_answer_in_its_place(questions: TextClassifier, texts: Path) -> None:
    lines = (texts / "lines.txt").read_text(encoding="utf-8").split("\n")[:70]
    lines[3], lines[5] = "", " \u200b "
    results = questions.classify(lines)
    assert [result.source for result in results] == lines
    assert [results[i].status for i in (3, 5)] == ["empty", "empty"]
    assert (results[3].label, results[3].probabilities) == ("", {})
    for line, result in zip(lines, results, strict=True):
        if line.strip(" \u200b"):
            assert result.label == kind_of_sentence(line)
            assert sum(result.probabilities.values()) == pytest.approx(1)
            assert result.probability == max(result.probabilities.values())
    alone = [questions.classify([line])[0] for line in lines]
    for one, other in zip(results, alone, strict=True):
        assert one.label == other.label
        assert one.probability == pytest.approx(other.probability, abs=1e-5)


def test_what_happened_to_a_line_is_said(questions: TextClassifier) -> None:
    long, unknown = questions.classify(["is it " * 300, "qwert zuiop asdfg"])
    assert (long.status, unknown.status) == ("truncated", "unknown-heavy")


def test_a_classification_can_be_cancelled(questions: TextClassifier) -> None:
    with pytest.raises(SearchStoppedError):
        questions.classify(["What is this ?"], should_stop=lambda: True)


def test_wrong_calls(questions: TextClassifier) -> None:
    with pytest.raises(UsageError, match="takes a list of lines"):
        questions.classify("one line")
    with pytest.raises(DataError, match="label 'wish' was not in the training data"):
        questions.label_ids(["question", "wish"])
    assert questions.labels == sorted(questions.labels, key=questions.labels.index)
    assert questions.label_ids(questions.labels) == [0, 1]


def test_classify_on_the_command_line(
    classifier_run: Path, texts: Path, tmp_path: Path, capfd: Capture
) -> None:
    lines = (texts / "lines.txt").read_text(encoding="utf-8").split("\n")
    asked = next(line for line in lines if line.endswith("?"))
    told = next(line for line in lines if line.endswith("."))
    (tmp_path / "in.txt").write_text(f"{asked}\n\n{told}\n", encoding="utf-8")
    command = ["classify", "-m", str(classifier_run), "-i", str(tmp_path / "in.txt")]
    assert penstock(command) == 0
    assert capfd.readouterr().out == "question\n\nstatement\n"
    assert penstock([*command, "--format", "json"]) == 0
    rows = [json.loads(line) for line in capfd.readouterr().out.split("\n")[:-1]]
    keys = {"source", "label", "probability", "probabilities", "confidence", "status"}
    assert rows[0].keys() == keys
    assert penstock([*command, "--format", "tsv"]) == 0
    assert capfd.readouterr().out.split("\n")[0].split("\t")[0::2] == ["question", asked]


def test_evaluate_on_the_command_line(
    classifier_run: Path, texts: Path, tmp_path: Path, capfd: Capture
) -> None:
    out = tmp_path / "out.tsv"
    command = ["evaluate", "-m", str(classifier_run), str(texts / "labels.tsv")]
    assert penstock([*command, "--out", str(out)]) == 0
    assert capfd.readouterr().out.startswith("accuracy %\t")
    assert out.read_text(encoding="utf-8").count("\n") == 300
    assert penstock([*command, "--json", "--first", "10"]) == 0
    assert json.loads(capfd.readouterr().out)["sentences"] == 10


def test_evaluating_an_unseen_label_names_the_line(
    classifier_run: Path, tmp_path: Path, capfd: Capture
) -> None:
    (tmp_path / "x.tsv").write_text("is it?\tquestion\nbe it!\twish\n", encoding="utf-8")
    assert penstock(["evaluate", "-m", str(classifier_run), str(tmp_path / "x.tsv")]) == 1
    error = capfd.readouterr().err
    assert "x.tsv, line 2: label 'wish' was not in the training data" in error
    assert "'statement'" in error


def test_texts_that_were_cut_are_said(classifier_run: Path, tmp_path: Path, capfd: Capture) -> None:
    (tmp_path / "long.tsv").write_text("is it " * 300 + "?\tquestion\n", encoding="utf-8")
    assert penstock(["evaluate", "-m", str(classifier_run), str(tmp_path / "long.tsv")]) == 0
    assert "1 of 1 texts are longer than 256 tokens" in capfd.readouterr().err


def test_a_classifier_scores_no_text(classifier_run: Path, texts: Path, capfd: Capture) -> None:
    assert penstock(["score", "-m", str(classifier_run), str(texts / "labels.tsv")]) == 2
    assert "measure it with 'penstock evaluate'" in capfd.readouterr().err


def test_info_names_the_labels(classifier_run: Path, capfd: Capture) -> None:
    assert penstock(["info", str(classifier_run)]) == 0
    shown = capfd.readouterr().out
    assert "labels\t" in shown
    assert "attention" not in shown
