"""`penstock evaluate` and `penstock score`: how good a model is on given pairs."""

from __future__ import annotations

import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from penstock.cli.console import as_row, note, write_json, write_line
from penstock.cli.evaluation_data import Reading
from penstock.cli.search_flags import (
    Models,
    SearchFlags,
    Weights,
    parse_weights,
    with_search_flags,
)
from penstock.errors import UsageError
from penstock.tasks import TRANSLATION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.metrics import CorpusScores

Data = Annotated[
    list[str],
    typer.Argument(help="A file of pairs or labelled texts, two line-parallel files, or a text."),
]
Columns = Annotated[str | None, typer.Option(help="Source and target column: 1,2 or names.")]
OnError = Annotated[Literal["stop", "skip"], typer.Option(help="What to do with unusable lines.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(short_help="Score a model on held-out data.")(evaluate)
    app.command(short_help="Say how probable given pairs or lines are.")(score)


@with_search_flags
def evaluate(
    data: Data,
    model: Models,
    metrics: Annotated[
        str | None,
        typer.Option(help="Of bleu,chrf,ter,exact,ser,wer,per,cer. Default: those that apply."),
    ] = None,
    preprocess: Annotated[
        bool, typer.Option("--preprocess", help="Compare in the book's form: lower case, spaced.")
    ] = False,
    first: Annotated[int | None, typer.Option(min=1, help="Only the first N pairs.")] = None,
    after: Annotated[
        int, typer.Option(min=0, help="Not the first N pairs, nor their sources elsewhere.")
    ] = 0,
    columns: Columns = None,
    on_error: OnError = "stop",
    out: Annotated[
        Path | None, typer.Option(help="Also write source, translation and references as TSV.")
    ] = None,
    search_report: Annotated[
        bool,
        typer.Option("--search-report", help="Compare greedy, beams and exact search instead."),
    ] = False,
    weights: Weights = None,
    device: Device = "auto",
    as_json: AsJson = False,
    *,
    flags: SearchFlags,
) -> None:
    """Score a model on DATA: translations, labels, blanks, or how probable a text is."""
    from penstock.bundle import load_bundle
    from penstock.cli.search_report import report_searches
    from penstock.cli.text_evaluation import measure
    from penstock.files import atomic_write
    from penstock.metrics import metrics_for, score_corpus
    from penstock.runtime.device import choose_device
    from penstock.tasks.translation.translator import Translator
    from penstock.text import preprocess as in_book_form

    on = choose_device(device)
    options = flags.options
    bundle = load_bundle(model[0], device=on)
    reading = Reading(data, columns, on_error, first, after)
    if bundle.config.task != TRANSLATION.name:
        _refuse_flags(
            f"{model[0]} is a model for {bundle.config.task}",
            metrics=metrics,
            preprocess=preprocess or None,
            search_report=search_report or None,
            weights=weights,
            model=model[1:] or None,
            **dict.fromkeys(flags.given, True),
        )
        measure(bundle, model[0], reading, on, out=out, as_json=as_json)
        return
    others = [load_bundle(path, device=on, task=TRANSLATION) for path in model[1:]]
    translator = Translator(bundle, device=on, others=others, weights=parse_weights(weights))
    pairs = list(reading.pairs())
    if search_report:
        report_searches(translator, pairs, options, as_json=as_json)
        return
    side = translator.bundle.config.text.target_side
    separator = side.symbol_separator
    wanted = _wanted(metrics) or metrics_for(side.kind)
    # a misspelt metric is told now, not after the translation
    score_corpus([p.target for p in pairs[:1]], [p.targets for p in pairs[:1]], wanted,
                 separator=separator)  # fmt: skip
    begun = time.perf_counter()
    phrases = flags.phrases_of_lines()
    sources = [pair.source for pair in pairs]
    results = translator.translate(
        sources, options, phrases=None if phrases is None else list(phrases)
    )
    seconds = time.perf_counter() - begun
    texts = [result.text for result in results]
    references = [p.targets for p in pairs]
    if preprocess:
        texts = [in_book_form(text) for text in texts]
        references = [tuple(map(in_book_form, targets)) for targets in references]
    scores = score_corpus(texts, references, wanted, separator=separator)
    if out is not None:
        rows = [as_row([p.source, t, *p.targets]) for p, t in zip(pairs, texts, strict=True)]
        atomic_write(out, "\n".join(rows) + "\n")
    config = translator.bundle.config.search
    recipe = {
        "search": options.signature(config),
        "length_penalty": options.ranking(config).alpha,
        "preprocess": "book" if preprocess else "none",
    }
    _show(scores, wanted, recipe, seconds, as_json=as_json)


def _wanted(metrics: str | None) -> list[str]:
    """Names of metrics as `score_corpus` has them."""
    names = [name.strip() for name in metrics.split(",")] if metrics else []
    return ["exact_match" if name == "exact" else name for name in names]


def _show(
    scores: CorpusScores,
    wanted: Sequence[str],
    recipe: dict[str, Any],
    seconds: float,
    *,
    as_json: bool,
) -> None:
    values = {name: getattr(scores, name) for name in wanted}
    if as_json:
        write_json(
            {
                **values,
                "signature": scores.signature,
                **recipe,
                "sentences": scores.sentences,
                "seconds": seconds,
            }
        )
        return
    for name, value in values.items():
        write_line(f"{_LABELS[name]}\t{value:.2f}")
    write_line(f"search\t{recipe['search']} lp:{recipe['length_penalty']:g}")
    if scores.signature:
        write_line(f"signature\t{scores.signature}")
    write_line(f"sentences\t{scores.sentences}\nseconds\t{seconds:.1f}")


_LABELS = {
    "bleu": "BLEU",
    "chrf": "chrF",
    "ter": "TER",
    "exact_match": "exact %",
    "ser": "SER %",
    "wer": "WER %",
    "per": "PER %",
    "cer": "CER %",
}


def score(
    data: Data,
    model: Models,
    columns: Columns = None,
    on_error: OnError = "stop",
    weights: Weights = None,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Log-probability and perplexity of each pair; of each line, for a language model or cloze."""
    import math

    from penstock.bundle import load_bundle, require_task
    from penstock.cli.text_evaluation import score_lines
    from penstock.runtime.device import choose_device
    from penstock.tasks.translation.translator import Translator

    on = choose_device(device)
    bundle = load_bundle(model[0], device=on)
    if bundle.config.task == "classification":
        raise UsageError(
            f"{model[0]} is a model for classification, which gives a text no probability; "
            "measure it by 'penstock evaluate'"
        )
    if bundle.config.task in ("language-model", "cloze"):
        _refuse_flags(
            f"{model[0]} is a model for {bundle.config.task}",
            weights=weights,
            model=model[1:] or None,
        )
        score_lines(bundle, Reading(data, columns, on_error), on, as_json=as_json)
        return
    require_task(bundle, TRANSLATION, model[0])
    others = [load_bundle(path, device=on, task=TRANSLATION) for path in model[1:]]
    translator = Translator(bundle, device=on, others=others, weights=parse_weights(weights))
    flat = ((p.source, t) for p in Reading(data, columns, on_error).pairs() for t in p.targets)
    total, tokens = 0.0, 0
    while block := list(islice(flat, 1024)):
        for (source, target), result in zip(block, translator.score(block), strict=True):
            total += result.log_probability
            tokens += result.tokens
            if as_json:
                value: dict[str, Any] = {
                    "source": source,
                    "target": target,
                    "log_probability": result.log_probability,
                    "tokens": result.tokens,
                    "perplexity": result.perplexity,
                }
                write_json(value)
            else:
                numbers = [f"{result.log_probability:.4f}", f"{result.perplexity:.3f}"]
                write_line(as_row([*numbers, source, target]))
    if tokens:
        note(f"all: log-probability {total:.1f}, perplexity {math.exp(-total / tokens):.3f}")


def _refuse_flags(reason: str, **given: object) -> None:
    for name, value in given.items():
        if value is not None:
            flag = "--" + name.replace("_", "-")
            raise UsageError(f"{flag} is about translations; {reason}: leave it out")
