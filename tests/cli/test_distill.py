"""`penstock distill`: what the user reads, and how it ends."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.bundle import load_bundle, save_bundle
from penstock.data.grammar import builtin_split
from penstock.tasks.translation import teachers
from penstock.tasks.translation.translator import Translator

Ran = Callable[..., tuple[int, str, str]]
UNSEEN = builtin_split(train=300).test[:24]
STUDENT = [
    f"--set={key}"
    for key in (
        "threads=1", "model.hidden_size=8", "model.embedding_size=8", "training.max_updates=2",
        "training.evaluate_every=2", "training.evaluate_sentences=4", "training.precision=fp32",
    )
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with `de`, `en` and `valid.tsv`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "de").write_text("".join(f"{p.source}\n" for p in UNSEEN[:20]), encoding="utf-8")
    (tmp_path / "en").write_text("".join(f"{p.target}\n" for p in UNSEEN[:20]), encoding="utf-8")
    valid = "".join(f"{pair.source}\t{pair.target}\n" for pair in UNSEEN[20:])
    (tmp_path / "valid.tsv").write_text(valid, encoding="utf-8")
    return tmp_path


def test_a_student_is_made_and_used(penstock: Ran, folder: Path) -> None:
    command = ("distill", "-m", "demo", "de", "en", "--valid", "valid.tsv", "--out", "small")
    code, out, err = penstock(*command, "--beam-size", "3", *STUDENT)
    assert (code, out) == (0, "small\n"), err
    assert "20 sources, beam:3, the nearest of 3 to the reference" in err
    assert "20 translations to learn from; mean sentence BLEU " in err
    assert "exported: int8 graphs" in err
    assert err.endswith("model: small/model   try: echo TEXT | penstock translate -m small\n")
    record = json.loads((folder / "small/distilled/recipe.json").read_text(encoding="utf-8"))
    assert record["sources"] == [str(folder / "de"), str(folder / "en")]
    code, out, _ = penstock("translate", "-m", "small", "-i", "de", "--engine", "onnx")
    assert (code, out.count("\n")) == (0, 20)
    assert penstock(*command)[0] == 2
    assert penstock("train", "--resume", "--out", "small")[0] == 0  # an ordinary run


def test_sources_from_standard_input_are_kept(
    penstock: Ran, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO((folder / "de").read_bytes())))
    command = ("distill", "-m", "demo", "-", "--valid", "valid.tsv", "--out", "small", *STUDENT)
    code, out, err = penstock(*command)
    assert (code, out) == (0, "small\n"), err
    assert "20 sources, beam:5\n" in err
    record = json.loads((folder / "small/distilled/recipe.json").read_text(encoding="utf-8"))
    assert record["sources"] == [str(folder / "small/data/stdin.tsv")]


def test_ctrl_c_while_translating_says_how_to_go_on(
    penstock: Ran, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teachers, "BLOCK", 8)
    translate = Translator.translate

    def interrupted(self: Translator, lines: list[str], *rest: object) -> object:
        if (folder / "small/distilled/blocks/000000.json").exists():
            raise KeyboardInterrupt
        return translate(self, lines, *rest)  # pyright: ignore[reportArgumentType]

    command = ("distill", "-m", "demo", "de", "--valid", "valid.tsv", "--out", "small", *STUDENT)
    with monkeypatch.context() as patch:
        patch.setattr(Translator, "translate", interrupted)
        code, out, err = penstock(*command)
    assert (code, out) == (130, "")
    again = "penstock distill --resume --out small"
    assert err.endswith(f"penstock: interrupted; to resume: {again}\n")
    code, out, err = penstock(*again.split()[1:])
    assert (code, out) == (0, "small\n"), err
    assert "translated 20 of 20" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["de"], "give a teacher and sources, for example: penstock distill -m runs/large"),
        (["-m", "demo"], "give a teacher and sources"),
        (["--resume"], "small: no distillation to resume (it has no distilled/recipe.json)"),
        (["-m", "nowhere", "de"], "nowhere: no such directory"),
        (["-m", "demo", "gone"], "gone: no such file; check the path"),
        (["-m", "demo", "de", "en", "valid.tsv"], "valid.tsv, line 1: a tab, and the first"),
        (["-m", "demo", "de", "--columns", "1,2"], "de, line 1: expected 2 columns, found 1"),
        (["-m", "demo", "de", "--columns", "a,b", "--header", "no"], "names need a header"),
        (["-m", "demo", "de", "--beam-size", "0"], "beam_size"),
        (["-m", "demo", "de", "--weights", "1,2"], "weights"),
        (["-m", "demo", "de", "--config", "gone.toml"], "gone.toml: no such file"),
    ],
)
def test_used_wrongly(penstock: Ran, folder: Path, arguments: list[str], says: str) -> None:
    code, out, err = penstock("distill", *arguments, "--out", "small")
    assert code in (1, 2)
    assert out == ""
    assert says in err
    assert err.count("\n") == 1
    assert not (folder / "small/distilled").exists()


def test_teachers_that_cannot_teach(
    penstock: Ran, folder: Path, classifier_run: Path, tiny_run: Path
) -> None:
    code, _, err = penstock("distill", "-m", classifier_run, "de", "--out", "small")
    assert code == 1
    assert "a model for classification, asked to translate; use it with 'penstock classify'" in err
    both = ("-m", "demo", "-m", tiny_run)
    code, _, err = penstock("distill", *both, "de", "--out", "small")
    assert code == 2
    assert "model 2 has another target vocabulary than the first" in err


def test_a_teacher_is_not_overwritten(penstock: Ran, folder: Path) -> None:
    save_bundle(load_bundle("demo"), folder / "teacher")
    code, _, err = penstock("distill", "-m", "teacher", "de", "--out", "teacher")
    assert (code, err) == (
        2,
        "penstock: teacher: holds a run already; add --resume to go on with it, or choose another "
        "--out\n",
    )
