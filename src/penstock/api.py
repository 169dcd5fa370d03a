"""What `import penstock as ps` gives beside the classes: train, load and evaluate in one call."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from penstock.errors import DataError, UsageError

if TYPE_CHECKING:
    from penstock.bundle import Bundle
    from penstock.config import RunConfig
    from penstock.data.pair import Pair
    from penstock.tasks.classification.text_classifier import TextClassifier
    from penstock.tasks.cloze.blank_filler import BlankFiller
    from penstock.tasks.language_model.text_generator import TextGenerator
    from penstock.tasks.translation.translator import Translator


@dataclass(frozen=True)
class Run:
    """What `train` made.

    Attributes:
        path: the run directory; every verb of the command line takes it, as `load` does.
        reason: why training stopped.
        interrupted: by Ctrl-C or SIGTERM; `train(…, resume=True)` goes on.
        scores: of the model that is kept, on the held-out data; empty when no model is kept.
        messages: what training reported; empty with `verbose=True`, which prints it.
    """

    path: Path
    reason: str
    interrupted: bool
    scores: Mapping[str, Any]
    messages: str

    def load(self, *, device: str = "cpu") -> Any:
        """The best model, ready to use (see `load`)."""
        return load(self.path, device=device)


@dataclass(frozen=True)
class Evaluation:
    """Scores with what they depend on.

    Attributes:
        scores: by metric. Rates are percentages.
        signature: how sacreBLEU computed its scores; empty where it computed none.
        recipe: how the outputs were found, for example the search.
        examples: how many pairs or lines were scored.
    """

    scores: Mapping[str, float]
    signature: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict[str, Any])
    examples: int = 0

    def __str__(self) -> str:
        names = {"bleu": "BLEU", "chrf": "chrF", "ter": "TER"}
        parts = [f"{names.get(name, name)} {value:.2f}" for name, value in self.scores.items()]
        parts += [f"{name}:{value}" for name, value in self.recipe.items()]
        return "  ".join([*parts, f"n:{self.examples}", self.signature]).rstrip()


def train(
    data: RunConfig | Mapping[str, Any] | str | Path | Sequence[str | Path],
    out: str | Path | None = None,
    *,
    resume: bool = False,
    verbose: bool = False,
) -> Run:
    """Train a model into a run directory, as `penstock train` does.

    Args:
        data: a configuration, as a value, a nested mapping or a TOML file; or a file of pairs,
            or two line-parallel files, with the default configuration.
        out: the run directory; default: `runs/` and the name of the file.
        resume: go on from the last checkpoint in `out`, if there is one.
        verbose: print progress to standard error.

    Raises:
        ConfigError: unknown key or impossible value.
        UsageError: `out` holds another run and `resume` is off.
        DataError: unusable data.
        TrainingError: the loss became NaN or infinite.
    """
    from rich.console import Console

    from penstock.bundle import INDEX, load_bundle
    from penstock.training.loop import train as run_training

    config, name = _configuration(data)
    path = Path(out) if out is not None else Path("runs") / name
    messages = io.StringIO()
    quiet = None if verbose else Console(file=messages, highlight=False, soft_wrap=True)
    result = run_training(config, path, resume=resume, console=quiet)
    kept = (path / "model" / INDEX).is_file()
    scores: dict[str, Any] = load_bundle(path).record["held_out"] if kept else {}
    return Run(path, result.reason, result.interrupted, scores, messages.getvalue())


def _configuration(data: Any) -> tuple[RunConfig, str]:
    """What `train` was given as a configuration, and a name for the run."""
    from penstock.config import RunConfig, load_config

    if isinstance(data, str | Path) and str(data).endswith(".toml"):
        return load_config(str(data)), Path(data).stem
    if isinstance(data, RunConfig):
        config = data
    elif isinstance(data, Mapping):
        config = RunConfig(**cast(dict[str, Any], data))
    else:
        sources = _sources(data)
        if sources is None:
            raise UsageError(
                "train takes a RunConfig, a mapping, a configuration file, a file of pairs or two "
                f"line-parallel files, found {data!r}"
            )
        config = RunConfig(data={"train": sources})
    first = config.data.train if isinstance(config.data.train, str) else config.data.train[0]
    return config, Path(first).name.split(".")[0]


def _sources(data: Any) -> str | list[str] | None:
    """One path, or several; None for anything else."""
    if isinstance(data, str | Path):
        return str(data)
    paths = list(cast(Sequence[object], data)) if isinstance(data, list | tuple) else []
    named = [str(path) for path in paths if isinstance(path, str | Path)]
    return named if named and len(named) == len(paths) else None


def load(path: str | Path, *, device: str = "cpu") -> Any:
    """Load a run directory or a bundle, ready to use.

    Args:
        path: what `train` wrote, or its `model/`.
        device: where the model runs: `cpu`, `cuda`, `auto`.

    Returns:
        A `Translator`, `TextGenerator`, `TextClassifier` or `BlankFiller`, by the model's task.
        Where a type checker should know which, write `Translator.load(path)`.

    Raises:
        BundleError: a file missing, altered or of a newer format.
    """
    from penstock.bundle import load_bundle
    from penstock.runtime.device import choose_device

    on = choose_device(device)
    bundle = load_bundle(path, device=on)
    return _model_class(bundle)(bundle, device=on)


def _model_class(bundle: Bundle) -> Callable[..., Any]:
    from penstock.tasks.classification.text_classifier import TextClassifier
    from penstock.tasks.cloze.blank_filler import BlankFiller
    from penstock.tasks.language_model.text_generator import TextGenerator
    from penstock.tasks.translation.translator import Translator

    return {
        "translation": Translator,
        "language-model": TextGenerator,
        "classification": TextClassifier,
        "cloze": BlankFiller,
    }[bundle.config.task]


def evaluate(model: Any, data: Any) -> Evaluation:
    """Score a model on data that it has not seen, as `penstock evaluate` does.

    Args:
        model: what `load` gives, or a path for it.
        data: a file of pairs, labelled texts or lines, two line-parallel files, or the examples
            themselves: `(source, target)` or `(source, [target, …])` each; lines of text for a
            language model and a cloze.

    Raises:
        DataError: no examples, or a label that training did not see.
        UsageError: not a model.
    """
    from penstock.tasks.classification.text_classifier import TextClassifier
    from penstock.tasks.cloze.blank_filler import BlankFiller
    from penstock.tasks.language_model.text_generator import TextGenerator
    from penstock.tasks.translation.translator import Translator

    if isinstance(model, str | Path):
        model = load(model)
    if isinstance(model, Translator):
        return _of_translations(model, _pairs(data))
    if isinstance(model, TextClassifier):
        return _of_labels(model, _pairs(data))
    if isinstance(model, TextGenerator):
        return _of_text(model, _lines(data))
    if isinstance(model, BlankFiller):
        return _of_blanks(model, _lines(data))
    raise UsageError(f"evaluate takes a model or its path, found {model!r}")


def _pairs(data: Any) -> list[Pair]:
    from penstock.data.formats.readers import read_pairs
    from penstock.data.pair import Pair

    sources = _sources(data)
    if sources is not None:
        return list(read_pairs(sources))
    found: list[Pair] = []
    for number, example in enumerate(data, start=1):
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
    from penstock.data.formats.input_lines import read_lines

    if isinstance(data, str | Path):
        return [line.text for line in read_lines(str(data))]
    for number, line in enumerate(data, start=1):
        if not isinstance(line, str):
            raise UsageError(f"line {number}: expected text, found {line!r}")
    return list(data)


def _of_translations(translator: Translator, pairs: Sequence[Pair]) -> Evaluation:
    from penstock.metrics import metrics_for, score_corpus
    from penstock.tasks.translation.search_options import SearchOptions

    text, search = translator.bundle.config.text, translator.bundle.config.search
    side = text.target_side
    metrics = metrics_for(side.kind)
    outputs = [result.text for result in translator.translate([pair.source for pair in pairs])]
    references = [pair.targets for pair in pairs]
    found = score_corpus(outputs, references, metrics, separator=side.symbol_separator)
    options = SearchOptions()
    return Evaluation(
        {name: getattr(found, name) for name in metrics},
        found.signature or "",
        {"search": options.signature(search), "length_penalty": options.ranking(search).alpha},
        found.sentences,
    )


def _of_labels(classifier: TextClassifier, pairs: Sequence[Pair]) -> Evaluation:
    from penstock.metrics.labels import score_labels, unseen_label

    _require(pairs, "no labelled text to score")
    for pair in pairs:
        for label in set(pair.targets) - set(classifier.labels):
            raise DataError(unseen_label(label, classifier.labels), line=pair.line or None)
    labels = [result.label for result in classifier.classify([pair.source for pair in pairs])]
    found = score_labels(labels, [pair.targets for pair in pairs], classifier.labels)
    return Evaluation(
        {"accuracy": found.accuracy, "macro_f1": found.macro_f1}, examples=found.sentences
    )


def _of_text(generator: TextGenerator, lines: Iterable[str]) -> Evaluation:
    import numpy as np

    from penstock.special_tokens import EOS_ID

    kept = list(generator.form.lines(lines))
    rows = generator.form.encode(kept, generator.bundle.source_tokenizer)
    ids = np.array([EOS_ID, *(i for row in rows for i in row)])
    _require(ids[1:], "no text to score: every line is blank")
    found = generator.score_ids(ids, sum(len(line) + 1 for line in kept))
    names = ("perplexity", "bits_per_character", "accuracy")
    return Evaluation({name: getattr(found, name) for name in names}, examples=len(kept))


def _of_blanks(filler: BlankFiller, lines: Sequence[str]) -> Evaluation:
    found = filler.score(lines)
    tokens = sum(score.tokens for score in found)
    _require(range(tokens), "no text to score: every line is blank")
    loss = -sum(score.log_probability for score in found) / tokens
    accuracy = 100 * sum(score.right for score in found) / tokens
    return Evaluation(
        {"accuracy": accuracy, "perplexity": math.exp(min(loss, 700.0))}, examples=len(found)
    )


def _require(examples: Any, problem: str) -> None:
    if not len(examples):
        raise DataError(problem)
