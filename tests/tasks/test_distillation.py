"""Distillation: what a student learns is what its teachers write, whole, and resumed exactly."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sacrebleu

from conftest import quiet_console, tiny_config
from penstock.bundle import load_bundle
from penstock.config import RunConfig, load_config
from penstock.data.grammar import builtin_split
from penstock.data.source_keys import fold
from penstock.errors import ConfigError, DataError, UsageError
from penstock.tasks.translation import teachers
from penstock.tasks.translation.distillation import distill
from penstock.tasks.translation.recipe import Recipe
from penstock.tasks.translation.result import Translation
from penstock.tasks.translation.student import student_defaults
from penstock.tasks.translation.translator import Translator

TEACHER = Translator.load("demo")
UNSEEN = builtin_split(train=300).test[:40]
SMALL = {
    "threads": 1,
    "device": "cpu",
    "model": {"hidden_size": 8, "embedding_size": 8},
    "training": {"max_updates": 2, "evaluate_every": 2, "evaluate_sentences": 4,
                 "precision": "fp32", "export": "none", "metric": "loss"},
}  # fmt: skip


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """A folder with `sources.txt`, `pairs.tsv` and `valid.tsv`."""
    sources = [pair.source for pair in UNSEEN[:30]]
    (tmp_path / "sources.txt").write_text("\n".join(sources) + "\n", encoding="utf-8")
    for name, pairs in (("pairs", UNSEEN[:30]), ("valid", UNSEEN[30:])):
        rows = "".join(f"{pair.source}\t{pair.target}\n" for pair in pairs)
        (tmp_path / f"{name}.tsv").write_text(rows, encoding="utf-8")
    return tmp_path


def recipe_for(texts: Path, name: str, **further: Any) -> Recipe:
    valid = [str(texts / "valid.tsv")]
    return replace(Recipe(teachers=["demo"], sources=[str(texts / name)], valid=valid), **further)


def distilled(recipe: Recipe | None, run: Path, **options: Any) -> RunConfig:
    if not options.get("resume"):
        options = {"config": SMALL} | options
    config, result = distill(recipe, run, console=quiet_console(), **options)
    assert result.progress.update == 2
    return config


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_targets_are_what_the_teacher_translates(texts: Path) -> None:
    run = texts / "run"
    distilled(recipe_for(texts, "sources.txt"), run)
    sources = [pair.source for pair in UNSEEN[:30]]
    expected = [result.text for result in TEACHER.translate(sources)]
    rows = rows_of(run / "distilled" / "pairs.jsonl")
    assert rows == [{"source": s, "target": t} for s, t in zip(sources, expected, strict=True)]
    kept = json.loads((run / "distilled" / "recipe.json").read_text(encoding="utf-8"))
    assert kept["sources"] == [str(texts / "sources.txt")]
    assert kept["distilled"] == {"pairs": 30, "left_out": {}}
    assert not (run / "distilled" / "blocks").exists()


def test_of_the_beam_the_hypothesis_nearest_to_the_reference_is_taken(texts: Path) -> None:
    # references that the search alone does not find
    alternatives = [r.alternatives for r in TEACHER.translate([p.source for p in UNSEEN[:30]],
                                                              n_best=5)]  # fmt: skip
    rows = [(p.source, a[-1].text) for p, a in zip(UNSEEN, alternatives, strict=False)]
    (texts / "pairs.tsv").write_text("".join(f"{s}\t{t}\n" for s, t in rows), encoding="utf-8")
    run = texts / "run"
    distilled(recipe_for(texts, "pairs.tsv", learn_references=False), run)
    for (source, reference), candidates, row in zip(
        rows, alternatives, rows_of(run / "distilled" / "pairs.jsonl"), strict=True
    ):
        scores = [sacrebleu.sentence_bleu(c.text, [reference]).score for c in candidates]
        assert row == {"source": source, "target": candidates[scores.index(max(scores))].text}
    found = json.loads((run / "distilled" / "recipe.json").read_text(encoding="utf-8"))["distilled"]
    assert found["bleu"] == pytest.approx(100)
    assert found["first_bleu"] < 100
    assert found["nearer"] > 10


def test_the_references_are_learnt_beside_the_translations(texts: Path) -> None:
    run = texts / "run"
    distilled(recipe_for(texts, "pairs.tsv"), run)
    rows = rows_of(run / "distilled" / "pairs.jsonl")
    assert len(rows) == 60
    for pair in UNSEEN[:30]:
        assert {"source": pair.source, "target": pair.target} in rows


def test_several_teachers_write_together(texts: Path) -> None:
    alike = recipe_for(texts, "sources.txt", teachers=["demo", "demo"], weights=[3.0, 1.0])
    distilled(alike, texts / "both")
    distilled(recipe_for(texts, "sources.txt"), texts / "one")
    written = [rows_of(texts / run / "distilled" / "pairs.jsonl") for run in ("both", "one")]
    assert written[0] == written[1]


def test_an_interrupted_translation_resumes_to_the_same_pairs(
    texts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teachers, "BLOCK", 7)
    whole, parts = texts / "whole", texts / "parts"
    distilled(recipe_for(texts, "pairs.tsv"), whole)
    translate, asked = Translator.translate, list[int]()

    def killed(self: Translator, lines: list[str], *args: Any, **kwargs: Any) -> list[Translation]:
        if len(lines) == 7:
            asked.append(len(lines))
        if len(asked) == 3:
            raise KeyboardInterrupt
        return translate(self, lines, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Translator, "translate", killed)
        with pytest.raises(KeyboardInterrupt):
            distilled(recipe_for(texts, "pairs.tsv"), parts)
    blocks = sorted(path.name for path in (parts / "distilled" / "blocks").iterdir())
    assert blocks == ["000000.json", "000001.json"]
    assert not (parts / "log.jsonl").exists()
    with pytest.raises(UsageError, match="parts: holds a run already; add --resume"):
        distilled(recipe_for(texts, "pairs.tsv"), parts)
    distilled(None, parts, resume=True)
    for name in ("pairs.jsonl", "recipe.json", "valid.jsonl"):
        assert (parts / "distilled" / name).read_bytes() == (
            whole / "distilled" / name
        ).read_bytes()
    weights = [next((run / "model").glob("weights-*")).name for run in (whole, parts)]
    assert weights[0] == weights[1]  # named by their content


def test_finished_blocks_are_not_translated_again(
    texts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teachers, "BLOCK", 10)
    run = texts / "run"
    with monkeypatch.context() as patch:
        patch.setattr(teachers.Teachers, "_finish", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            distilled(recipe_for(texts, "sources.txt"), run)
    path = run / "distilled" / "blocks" / "000001.json"
    block = json.loads(path.read_text(encoding="utf-8"))
    block["pairs"][0]["target"] = "kept"
    path.write_text(json.dumps(block), encoding="utf-8")
    distilled(recipe_for(texts, "sources.txt"), run, resume=True)
    assert rows_of(run / "distilled" / "pairs.jsonl")[10]["target"] == "kept"


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_what_the_run_was_begun_with_must_be_as_it_was(
    texts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, recipe = texts / "run", recipe_for(texts, "sources.txt")
    with monkeypatch.context() as patch:
        patch.setattr(teachers.Teachers, "translate", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            distilled(recipe, run)
    with pytest.raises(UsageError, match="was begun with beam_size None, not 3; to resume leave"):
        distilled(replace(recipe, beam_size=3), run, resume=True)
    with pytest.raises(UsageError, match="has the student's settings; leave the others out"):
        distilled(recipe, run, resume=True, config=SMALL)
    (texts / "sources.txt").write_text("Another text.\n", encoding="utf-8")
    with pytest.raises(UsageError, match="the texts are not what they were"):
        distilled(recipe, run, resume=True)
    (run / "distilled" / "recipe.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match=r"recipe\.json: damaged .*another --out"):
        distilled(recipe, run, resume=True)


def test_held_out_sentences_are_never_distilled(texts: Path) -> None:
    everything = texts / "all.txt"
    everything.write_text("".join(f"{pair.source}\n" for pair in UNSEEN), encoding="utf-8")
    run = texts / "run"
    config = distilled(recipe_for(texts, "all.txt"), run)
    learnt = {fold(row["source"]) for row in rows_of(run / "distilled" / "pairs.jsonl")}
    measured = rows_of(run / "distilled" / "valid.jsonl")
    assert {tuple(row["targets"]) for row in measured} >= {(UNSEEN[39].target,)}
    assert not learnt & {fold(row["source"]) for row in measured}
    assert config.data.valid == str(run / "distilled" / "valid.jsonl")


def test_the_teachers_own_held_out_pairs_are_the_measure(texts: Path, tiny_run: Path) -> None:
    run = texts / "run"
    recipe = Recipe(teachers=[str(tiny_run)], sources=[str(texts / "sources.txt")])
    with pytest.raises(DataError, match=r"sources\.txt: no source has a whole translation \(\d+ "):
        distilled(recipe, run)  # a teacher that has learnt nothing
    valid = builtin_split(train=300).valid
    assert [row["source"] for row in rows_of(run / "distilled" / "valid.jsonl")] == [
        pair.source for pair in valid
    ]


def test_a_student_has_its_teachers_tokenizers_unless_told_otherwise(texts: Path) -> None:
    recipe = recipe_for(texts, "sources.txt")
    distilled(recipe, texts / "same")
    student, teacher = load_bundle(texts / "same"), TEACHER.bundle
    assert student.source_tokenizer.to_json() == teacher.source_tokenizer.to_json()
    assert student.target_tokenizer.to_json() == teacher.target_tokenizer.to_json()
    distilled(recipe, texts / "own", overrides=["text.target.vocab_size=270"])
    assert load_bundle(texts / "own").target_tokenizer.vocab_size <= 270


def test_the_default_student_is_its_teacher_made_smaller() -> None:
    teacher = tiny_config("model.hidden_size=512", "model.decoder_layers=2", "search.beam_size=4",
                          "data.source_language=de")  # fmt: skip
    student = RunConfig(**student_defaults(teacher))
    assert (student.model.hidden_size, student.model.decoder_layers) == (512, 1)
    again = RunConfig(**student_defaults(student))
    assert (again.model.hidden_size, again.model.decoder_layers) == (256, 1)
    assert student.search.beam_size == 2
    assert student.model.cell == teacher.model.cell
    assert student.data.source_language == "de"
    assert student.data.max_pairs is None  # the teacher's is not the student's
    assert student.training.max_updates == teacher.training.max_updates
    multihead = tiny_config("model.attention=multihead", "model.hidden_size=12",
                            "model.attention_heads=4")  # fmt: skip
    RunConfig(**student_defaults(multihead))  # its width can still be divided


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("data.train=x.tsv", "data.train: a student learns what its teachers write; leave it out"),
        ("data.valid=rest", "data.valid = 'rest': a student is measured on references"),
        ("task=classification", "task"),
        ("model.hiden_size=3", "did you mean"),
    ],
)
def test_impossible_students(texts: Path, override: str, says: str) -> None:
    recipe = recipe_for(texts, "sources.txt")
    with pytest.raises(ConfigError, match=says):
        distilled(recipe, texts / "run", config=SMALL, overrides=[override])
    assert not (texts / "run" / "distilled").exists()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder: (folder / "sources.txt").write_text(""), "no sources: the file is empty"),
        (lambda folder: (folder / "sources.txt").write_text("\n \n"), "no sources"),
        (lambda folder: (folder / "sources.txt").unlink(), "no such file"),
        (lambda folder: (folder / "valid.tsv").write_text(""), "no held-out pairs: the file is"),
        (
            lambda folder: (folder / "sources.txt").write_text("one\ntwo\tdeux\n"),
            r"sources\.txt, line 2: a tab, and the first line has none",
        ),
        (
            lambda folder: (folder / "sources.txt").write_text("un\tdeux\ntwo\n"),
            r"sources\.txt, line 2: expected 2 columns, found 1",
        ),
    ],
)
def test_unusable_texts(texts: Path, spoil: Callable[[Path], object], says: str) -> None:
    spoil(texts)
    with pytest.raises(DataError, match=says):
        distilled(recipe_for(texts, "sources.txt"), texts / "run")
    assert not (texts / "run" / "distilled" / "recipe.json").exists()  # it may be tried again


def test_held_out_pairs_that_are_gone(texts: Path, tmp_path: Path) -> None:
    from penstock.bundle import save_bundle

    bundle = load_bundle("demo")
    data = bundle.config.data.model_copy(update={"train": "gone.tsv", "max_pairs": None})
    config = bundle.config.model_copy(update={"data": data})
    save_bundle(replace(bundle, config=config), tmp_path / "teacher")
    recipe = recipe_for(texts, "sources.txt", teachers=[str(tmp_path / "teacher")], valid=None)
    with pytest.raises(DataError, match=r"no held-out pairs .*gone\.tsv.*name a file with --valid"):
        distilled(recipe, texts / "run")


def test_the_kept_configuration_trains_the_same_student_again(texts: Path) -> None:
    from penstock.training.loop import train

    run = texts / "run"
    distilled(recipe_for(texts, "sources.txt"), run)
    train(load_config(run / "config.toml"), texts / "again", console=quiet_console())
    weights = [next((each / "model").glob("weights-*")).name for each in (run, texts / "again")]
    assert weights[0] == weights[1]
