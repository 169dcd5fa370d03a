"""The functions of `import penstock as ps`: train, distill, load and evaluate in one call each."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.errors import UsageError, train_extra, visible
from penstock.tasks import TASKS
from penstock.training.run_settings import configuration, sources_of, start_values

if TYPE_CHECKING:
    from rich.console import Console

    from penstock.config import DataConfig, RunConfig
    from penstock.data.pair import Pair
    from penstock.runtime.engine_choice import EngineName
    from penstock.tasks.evaluation import Evaluation
    from penstock.training.loop import TrainingResult
    from penstock.training.sweep_results import Sweep
    from penstock.training.sweep_settings import Range


@dataclass(frozen=True)
class Run:
    """A finished or interrupted training run.

    Attributes:
        path: the run directory, which `load` and every command accept.
        reason: why training stopped.
        interrupted: whether Ctrl-C or SIGTERM stopped it; `train(…, resume=True)` continues.
        scores: held-out scores of the saved model; empty if none was saved.
        messages: training's messages; empty with `verbose=True`, which prints them.
    """

    path: Path
    reason: str
    interrupted: bool
    scores: Mapping[str, Any]
    messages: str

    def load(self, *, device: str = "cpu") -> Any:
        """Load the best model (see `load`)."""
        return load(self.path, device=device)


def train(
    data: RunConfig | Mapping[str, Any] | str | Path | Sequence[str | Path],
    out: str | Path | None = None,
    *,
    start: str | Path | None = None,
    replay: str | Path | Sequence[str | Path] | tuple[Any, float] | None = None,
    extend_vocabulary: bool = False,
    resume: bool = False,
    verbose: bool = False,
) -> Run:
    """Train a model into a run directory, as `penstock train` does.

    Args:
        data: a configuration, as a value, a nested mapping or a TOML file; or a file of pairs,
            or two line-parallel files. Keys that it does not set are chosen from the data.
        out: the run directory; default: `runs/` and the name of the file.
        start: a run directory, or a bundle with weights, to go on from: its tokenizers, network and
            settings, with a lower learning rate.
        replay: with `start`: old data to mix in, as a file or two parallel ones, or `(files, share
            of the batches)`.
        extend_vocabulary: with `start`: add symbols of the data that the vocabulary lacks.
        resume: continue from the last checkpoint in `out`, if there is one.
        verbose: print progress to standard error.

    Raises:
        ConfigError: unknown key or impossible value, or another network than that of `start`.
        UsageError: `out` holds another run and `resume` is off.
        BundleError: no such model to start from, or one without weights.
        DataError: unusable data.
        TrainingError: the loss became NaN or infinite.
        MissingExtraError: torch is not installed.
    """
    with train_extra("training"):
        from penstock.training.loop import train as run_training

    config, name = configuration(data, start_values(start, replay, extend=extend_vocabulary))
    path = Path(out) if out is not None else Path("runs") / name

    def trained(console: Console) -> tuple[RunConfig, TrainingResult]:
        return config, run_training(config, path, resume=resume, console=console)

    return _run(path, trained, verbose=verbose)


def sweep(
    data: RunConfig | Mapping[str, Any] | str | Path | Sequence[str | Path],
    settings: Mapping[str, Sequence[Any] | Range],
    out: str | Path,
    *,
    seeds: int = 1,
    jobs: int = 1,
    trials: int | None = None,
    verbose: bool = False,
) -> Sweep:
    """Train with each combination of settings and several seeds, as `penstock sweep` does.

    Args:
        data: as for `train`.
        settings: the values of each key that varies: `{"model.cell": ["gru", "lstm"]}`.
        out: the folder of the runs; what is finished there is not trained again.
        seeds: runs of each combination, with the configuration's seed and those that follow it.
        jobs: runs at a time.
        trials: try this many combinations, which a search proposes; `settings` may then have a
            `Range`. Requires the extra `sweep`.
        verbose: print a line per run to standard error.

    Returns:
        A row per combination, the best first; a run that failed says why.

    Raises:
        ConfigError: no combination is possible.
        UsageError: `out` holds runs with other settings, or the runs cannot be compared.
    """
    from penstock.training.sweep_of_settings import sweep as run_sweep
    from penstock.training.sweep_settings import Range

    for key, values in settings.items():
        if not isinstance(values, list | tuple | Range) or not values:
            raise UsageError(f"settings: {key} needs a list of values, found {values!r}")
    return run_sweep(
        lambda values: configuration(data, values)[0],
        settings,
        Path(out),
        seeds=seeds,
        jobs=jobs,
        trials=trials,
        report=(lambda text: print(text, file=sys.stderr)) if verbose else (lambda _: None),
    )


def distill(
    teachers: str | Path | Sequence[str | Path],
    sources: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    valid: str | Path | Sequence[str | Path] | None = None,
    config: RunConfig | Mapping[str, Any] | str | Path | None = None,
    resume: bool = False,
    verbose: bool = False,
) -> Run:
    """Train a smaller model on what larger ones translate, as `penstock distill` does.

    Args:
        teachers: a run directory or bundle; several translate as an ensemble.
        sources: a text with a source per line; or a file of pairs, or two line-parallel files: of
            the translations that a beam search finds, the nearest to the reference is then learnt.
        out: the student's run directory.
        valid: held-out pairs, a file or two; default: what the first teacher's run held out.
        config: of the student: a value, a nested mapping or a TOML file; default: its teacher's,
            with one decoder layer (or half the hidden size, if it has one) and a beam of 2.
        resume: go on with an interrupted run; translations are kept block by block.
        verbose: print progress to standard error.

    Raises:
        UsageError: `out` holds another run and `resume` is off, or the teachers do not fit.
        BundleError: a teacher is no translation model.
        DataError: unusable data, or no held-out pairs.
        ConfigError: an impossible student.
        MissingExtraError: torch is not installed.
    """
    from penstock.config import RunConfig
    from penstock.tasks.translation.distillation import distill as distill_run
    from penstock.tasks.translation.recipe import Recipe

    held_out = None if valid is None else _paths("valid", valid)
    recipe = Recipe(
        teachers=_paths("teachers", teachers), sources=_paths("sources", sources), valid=held_out
    )
    chosen = config.model_dump(exclude_unset=True) if isinstance(config, RunConfig) else config

    def trained(console: Console) -> tuple[RunConfig, TrainingResult]:
        with train_extra("training"):
            return distill_run(recipe, out, config=chosen, resume=resume, console=console)

    return _run(Path(out), trained, verbose=verbose)


def _run(
    path: Path, train: Callable[[Console], tuple[RunConfig, TrainingResult]], *, verbose: bool
) -> Run:
    """Train, complete the model, and say what came of it."""
    from rich.console import Console

    from penstock.bundle.bundle_files import INDEX, read_index
    from penstock.tasks.finished_run import complete_run

    messages = io.StringIO()
    file = sys.stderr if verbose else messages
    console = Console(file=file, highlight=False, soft_wrap=True)
    config, result = train(console)
    for report in [] if result.interrupted else complete_run(config, path):
        console.print(visible(report), markup=False)
    kept = (path / "model" / INDEX).is_file()
    scores: dict[str, Any] = read_index(path / "model")["record"]["held_out"] if kept else {}
    return Run(path, result.reason, result.interrupted, scores, messages.getvalue())


def _paths(name: str, paths: Any) -> list[str]:
    found = sources_of(paths)
    if found is None:
        raise UsageError(f"{name}: expected a path or several, found {paths!r}")
    return [found] if isinstance(found, str) else found


def load(path: str | Path, *, device: str = "cpu", engine: EngineName = "auto") -> Any:
    """Load a run directory or a bundle, ready to use.

    Args:
        path: what `train` wrote, or its `model/`.
        device: where the model runs: `cpu`, `cuda`, `auto`.
        engine: `onnx`, `torch`, or `auto`: ONNX Runtime on a CPU where the model has graphs.

    Returns:
        A `Translator`, `TextGenerator`, `TextClassifier` or `BlankFiller`, by the model's task.
        Where a type checker should know which, write `Translator.load(path)`.

    Raises:
        BundleError: a file missing, altered or of a newer format.
    """
    from penstock.bundle import load_bundle

    bundle = load_bundle(path)
    return TASKS[bundle.config.task].use().model(bundle, device=device, engine=engine)


def evaluate(model: Any, data: Any, *, metrics: Sequence[str] = ()) -> Evaluation:
    """Score a model on data that it has not seen, as `penstock evaluate` does.

    Args:
        model: what `load` gives, or a path for it.
        data: a file of pairs, labelled texts or lines, two line-parallel files, or the examples
            themselves: `(source, target)` or `(source, [target, …])`; lines of text for a language
            model or a cloze.
        metrics: of a translation, see `score_corpus`; default: those that apply.

    Raises:
        DataError: no examples, or a label that training did not see.
        UsageError: not a model, an unknown metric, or metrics where the task has its own.
    """
    from penstock.bundle import Bundle

    place = None
    if isinstance(model, str | Path):
        place, model = str(model), load(model)
    bundle = getattr(model, "bundle", None)
    use = TASKS[bundle.config.task].use() if isinstance(bundle, Bundle) else None
    if use is None or not isinstance(model, use.model):
        raise UsageError(f"evaluate takes a model or its path, found {model!r}")
    if metrics and not use.searches:
        raise UsageError(f"metrics: a {type(model).__name__} has its own; leave them out")
    path = str(data) if isinstance(data, str | Path) else None
    options = {"metrics": metrics} if metrics else {}
    trained = model.bundle.config.data
    return use.evaluate(model, _Examples(data, path, place, trained), **options)


@dataclass(frozen=True)
class _Examples:
    """The data of `evaluate` (see `EvaluationData`)."""

    data: Any
    path: str | None
    model: str | None
    trained: DataConfig

    def pairs(self) -> list[Pair]:
        return _pairs(self.data, self.trained)

    def lines(self) -> list[str]:
        return _lines(self.data)


def _pairs(data: Any, trained: DataConfig) -> list[Pair]:
    from penstock.data.formats.corpus_files import is_parallel
    from penstock.data.formats.readers import ReadOptions, read_pairs
    from penstock.data.pair import Pair

    sources = sources_of(data)
    if sources is not None:
        options = ReadOptions()
        if not is_parallel(sources):
            options = options.as_trained(trained)
        return list(read_pairs(sources, options))
    found: list[Pair] = []
    for number, example in enumerate(_several(data), start=1):
        match example:
            case Pair():
                found.append(example)
            case (str(source), str(target)):
                found.append(Pair(source, (target,), number))
            case (str(source), [*targets]) if targets and all(isinstance(t, str) for t in targets):
                found.append(Pair(source, tuple(targets), number))
            case _:
                raise UsageError(
                    f"example {number}: expected (source, target) or (source, [target, …]), "
                    f"found {example!r}"
                )
    return found


def _lines(data: Any) -> list[str]:
    from penstock.data.formats.corpus_files import read_text

    if isinstance(data, str | Path):
        return [line.text for line in read_text(data)]
    lines = _several(data)
    for number, line in enumerate(lines, start=1):
        if not isinstance(line, str):
            raise UsageError(f"line {number}: expected text, found {line!r}")
    return lines


def _several(data: Any) -> list[Any]:
    """The examples of an iterable."""
    try:
        return list(data)
    except TypeError:
        raise UsageError(f"evaluate takes a file or examples, found {data!r}") from None
