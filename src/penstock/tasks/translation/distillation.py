"""Sequence-level knowledge distillation: a student learns what its teachers translate.

Kim and Rush 2016, https://arxiv.org/abs/1606.07947: the training targets are what beam search finds
with a teacher; where there are references, the hypothesis nearest to them ("interpolation").
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.bundle import INDEX
from penstock.errors import UsageError
from penstock.tasks.translation.recipe import Recipe, read_recipe
from penstock.tasks.translation.student import Student
from penstock.tasks.translation.teachers import FOLDER, PAIRS, RECIPE, Teachers

if TYPE_CHECKING:
    from rich.console import Console

    from penstock.config import RunConfig
    from penstock.training.loop import TrainingResult


def distill(
    recipe: Recipe | None,
    run: str | Path,
    *,
    config: Student | None = None,
    overrides: Iterable[str] = (),
    resume: bool = False,
    threads: int | None = None,
    console: Console | None = None,
) -> tuple[RunConfig, TrainingResult]:
    """Translate sources with the teachers, then train a student on the translations.

    The run directory gets, beside what every run has, `distilled/`: the pairs, the held-out pairs,
    and `recipe.json`, which says what made them. Translations are kept block by block; `resume`
    goes on after the last block, to the same pairs.

    Args:
        recipe: None with `resume`: the run's own.
        run: the student's directory.
        config: of the student (see `student_config`).
        overrides: of its keys.
        resume: go on with an interrupted run, or begin one.
        threads: of the teachers, on the CPU.
        console: for progress; stderr by default.

    Returns:
        The student's configuration, and what `train` gives.

    Raises:
        UsageError: `run` holds another run, or the teachers cannot decide together.
        BundleError: a teacher is no translation model.
        DataError: unusable data, or no held-out pairs.
        ConfigError: an impossible student.
    """
    from rich.console import Console

    from penstock.config import load_config
    from penstock.training.loop import train
    from penstock.training.progress import LOG
    from penstock.training.run_directory import CONFIG, lock_run

    run, overrides = Path(run), list(overrides)
    shown = console or Console(stderr=True, highlight=False, soft_wrap=True)
    with lock_run(run):
        kept = _kept_recipe(recipe, run, resume=resume)
        if kept and config is not None:
            raise UsageError(f"{run / CONFIG}: has the student's settings; leave the others out")
        if not (run / FOLDER / PAIRS).exists():
            chosen = Recipe.from_plain(kept) if kept else recipe
            assert chosen is not None
            teachers = Teachers(chosen, run, threads, lambda text: shown.print(text, markup=False))
            if kept:
                teachers.resume(kept)
            else:
                teachers.begin(config or {}, overrides)
            teachers.translate()
        student = load_config(run / CONFIG, overrides if kept else ())
    resumed = resume and (run / LOG).exists()
    return student, train(student, run, resume=resumed, console=shown)


def _kept_recipe(recipe: Recipe | None, run: Path, *, resume: bool) -> dict[str, Any] | None:
    """The recipe of the run that is resumed; None where one begins.

    Raises:
        UsageError: there is a run and `resume` is off, there is none to resume, or it has another
            recipe.
    """
    from penstock.training.progress import LOG

    path = run / FOLDER / RECIPE
    if not resume:
        if any(each.exists() for each in (path, run / LOG, run / INDEX)):
            raise UsageError(
                f"{run}: holds a run already; add --resume to go on with it, or choose another "
                "--out"
            )
        return None
    if not path.is_file():
        if recipe is None or (run / LOG).exists():
            raise UsageError(f"{run}: no distillation to resume (it has no {FOLDER}/{RECIPE})")
        return None
    kept = read_recipe(path)
    if recipe is not None:
        for key, value in recipe.to_plain().items():
            if value != kept[key]:
                raise UsageError(
                    f"{run}: was begun with {key} {kept[key]}, not {value}; to resume leave all "
                    "but --out out, or choose another --out"
                )
    return kept
