"""`penstock evaluate` and `penstock score` for models that do not translate."""

from __future__ import annotations

import math
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.cli.console import as_row, note, write_json, write_line
from penstock.errors import DataError, UsageError

if TYPE_CHECKING:
    import torch

    from penstock.bundle import Bundle
    from penstock.cli.evaluation_data import Reading
    from penstock.metrics.labels import LabelScores
    from penstock.metrics.text_scores import TextScores

_BLOCK_LINES = 1024


def measure(
    bundle: Bundle,
    model: Path,
    reading: Reading,
    device: torch.device,
    *,
    out: Path | None,
    as_json: bool,
) -> None:
    """Score a language model, a classifier or a cloze on data.

    Args:
        bundle: the model.
        model: where it lies; in a run directory the training text is at hand for baselines.
        reading: the data.
        device: where the model runs.
        out: a TSV of the results; of a classifier only.
        as_json: print one JSON object.

    Raises:
        DataError: nothing to score, or a label that training did not see.
        UsageError: `out` for a model that has no result a line.
    """
    if out is not None and bundle.config.task != "classification":
        raise UsageError(
            f"--out: {model} is a model for {bundle.config.task}, measured over a whole text; "
            "leave it out ('penstock score' writes a line a line)"
        )
    if bundle.config.task == "classification":
        _measure_labels(bundle, reading, device, out=out, as_json=as_json)
    elif bundle.config.task == "cloze":
        _measure_blanks(bundle, reading, device, as_json=as_json)
    else:
        _measure_text(bundle, model, reading, device, as_json=as_json)


def _measure_text(
    bundle: Bundle, model: Path, reading: Reading, device: torch.device, *, as_json: bool
) -> None:
    import numpy as np

    from penstock.baselines.ngram import baseline_perplexities
    from penstock.special_tokens import EOS_ID
    from penstock.tasks.language_model.running_text import training_stream
    from penstock.tasks.language_model.text_generator import TextGenerator

    generator = TextGenerator(bundle, device=device)
    lines = list(generator.form.lines(reading.lines()))
    rows = generator.form.encode(lines, bundle.source_tokenizer)
    ids = np.array([EOS_ID, *(i for row in rows for i in row)])
    if len(ids) < 2:
        raise DataError("no text to score: every line is blank", path=reading.data[0])
    scores = generator.score_ids(ids, sum(len(line) + 1 for line in lines))
    stream = training_stream(model, bundle)
    baselines: dict[str, float] = {}
    if stream is None:
        note("no n-gram baselines: they need the training text, which lies in the run directory")
    else:
        size = bundle.source_tokenizer.vocab_size
        baselines = baseline_perplexities(stream.ids(), ids, vocab_size=size)
    _show(
        {
            "perplexity": scores.perplexity,
            "bits_per_character": scores.bits_per_character,
            "accuracy": scores.accuracy,
            **{f"{name}_perplexity": value for name, value in baselines.items()},
            "tokens": scores.tokens,
            "unknown": scores.unknown,
        },
        as_json=as_json,
    )


def _measure_blanks(
    bundle: Bundle, reading: Reading, device: torch.device, *, as_json: bool
) -> None:
    from penstock.tasks.cloze.blank_filler import BlankFiller

    filler = BlankFiller(bundle, device=device)
    lines = reading.lines()
    scores: list[TextScores] = []
    while block := list(islice(lines, _BLOCK_LINES)):
        scores += filler.score(block)
    tokens = sum(score.tokens for score in scores)
    if not tokens:
        raise DataError("no text to score: every line is blank", path=reading.data[0])
    loss = -sum(score.log_probability for score in scores) / tokens
    _show(
        {
            "accuracy": 100 * sum(score.right for score in scores) / tokens,
            "perplexity": math.exp(min(loss, 700.0)),
            "blanks": tokens,
            "unknown": sum(score.unknown for score in scores),
            "lines": len(scores),
        },
        as_json=as_json,
    )


def _measure_labels(
    bundle: Bundle, reading: Reading, device: torch.device, *, out: Path | None, as_json: bool
) -> None:
    from penstock.files import atomic_write
    from penstock.metrics.labels import score_labels, unseen_label
    from penstock.tasks.classification.text_classifier import TextClassifier

    classifier = TextClassifier(bundle, device=device)
    pairs = list(reading.pairs())
    if not pairs:
        raise DataError("no labelled text to score", path=reading.data[0])
    known = set(classifier.labels)
    for pair in pairs:
        for label in pair.targets:
            if label not in known:
                message = unseen_label(label, classifier.labels)
                raise DataError(message, path=reading.data[0], line=pair.line or None)
    results = classifier.classify([pair.source for pair in pairs])
    cut = sum(result.status == "truncated" for result in results)
    if cut:
        limit = bundle.config.data.max_source_tokens
        note(
            f"{cut:,} of {len(pairs):,} texts are longer than {limit} tokens: the model read "
            "their beginnings"
        )
    found = [result.label for result in results]
    if out is not None:
        rows = [
            as_row([p.source, label, *p.targets]) for p, label in zip(pairs, found, strict=True)
        ]
        atomic_write(out, "\n".join(rows) + "\n")
    _show_labels(score_labels(found, [p.targets for p in pairs], classifier.labels), as_json)


def _show_labels(scores: LabelScores, as_json: bool) -> None:
    if as_json:
        labels = {
            name: {"precision": s.precision, "recall": s.recall, "f1": s.f1, "support": s.support}
            for name, s in scores.labels.items()
        }
        confusion = [
            {"label": right, "found": found, "count": count}
            for (right, found), count in sorted(scores.confusion.items())
        ]
        write_json(
            {
                "accuracy": scores.accuracy,
                "macro_f1": scores.macro_f1,
                "labels": labels,
                "confusion": confusion,
                "sentences": scores.sentences,
            }
        )
        return
    write_line(f"accuracy %\t{scores.accuracy:.2f}\nmacro F1 %\t{scores.macro_f1:.2f}")
    for name, s in scores.labels.items():
        numbers = f"precision {s.precision:.1f}  recall {s.recall:.1f}  F1 {s.f1:.1f}"
        write_line(as_row([name, f"{numbers}  of {s.support}"]))
    write_line(f"sentences\t{scores.sentences}")


def _show(values: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        write_json(values)
        return
    for name, value in values.items():
        shown = f"{value:.3f}" if isinstance(value, float) else f"{value}"
        write_line(f"{name.replace('_', ' ')}\t{shown}")


def score_lines(bundle: Bundle, reading: Reading, device: torch.device, *, as_json: bool) -> None:
    """Print how probable each line is: of a language model read alone, of a cloze every token
    given all others (a pseudo-log-probability).
    """
    from penstock.tasks.cloze.blank_filler import BlankFiller
    from penstock.tasks.language_model.text_generator import TextGenerator

    total, tokens = 0.0, 0
    lines = reading.lines()
    if bundle.config.task == "cloze":
        score = BlankFiller(bundle, device=device).score
    else:
        score = TextGenerator(bundle, device=device).score
    while block := list(islice(lines, _BLOCK_LINES)):
        for line, scores in zip(block, score(block), strict=True):
            total += scores.log_probability
            tokens += scores.tokens
            perplexity = scores.perplexity if scores.tokens else None
            if as_json:
                write_json(
                    {
                        "text": line,
                        "log_probability": scores.log_probability,
                        "tokens": scores.tokens,
                        "perplexity": perplexity,
                    }
                )
            else:
                shown = "" if perplexity is None else f"{perplexity:.3f}"
                write_line(as_row([f"{scores.log_probability:.4f}", shown, line]))
    if tokens:
        perplexity = math.exp(min(-total / tokens, 700.0))
        note(f"all: log-probability {total:.1f}, perplexity {perplexity:.3f}")
