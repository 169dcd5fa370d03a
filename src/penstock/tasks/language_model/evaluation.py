"""Evaluate a language model, with n-gram models of its training text as baselines."""

from __future__ import annotations

import numpy as np

from penstock.baselines.ngram import baseline_perplexities
from penstock.errors import DataError
from penstock.special_tokens import EOS_ID
from penstock.tasks.evaluation import Evaluation, EvaluationData, plain_rows
from penstock.tasks.language_model.running_text import training_stream
from penstock.tasks.language_model.text_generator import TextGenerator


def evaluate(generator: TextGenerator, data: EvaluationData) -> Evaluation:
    """Score a text as one stream.

    Raises:
        DataError: every line is blank.
    """
    bundle = generator.bundle
    lines = list(generator.form.lines(data.lines()))
    rows = generator.form.encode(lines, bundle.source_tokenizer)
    ids = np.array([EOS_ID, *(i for row in rows for i in row)])
    if len(ids) < 2:
        raise DataError("no text to score: every line is blank", path=data.path)
    found = generator.score_ids(ids, sum(len(line) + 1 for line in lines))
    scores = {
        "perplexity": found.perplexity,
        "bits_per_character": found.bits_per_character,
        "accuracy": found.accuracy,
    }
    baselines: dict[str, float] = {}
    stream = None if data.model is None else training_stream(data.model, bundle)
    notes: list[str] = []
    if stream is not None:
        size = bundle.source_tokenizer.vocab_size
        found_by_grams = baseline_perplexities(stream.ids(), ids, vocab_size=size)
        baselines = {f"{name}_perplexity": value for name, value in found_by_grams.items()}
    elif data.model is not None:
        notes = [
            "no n-gram baselines: they need the training text, which lies in the run directory"
        ]
    report = {**scores, **baselines, "tokens": found.tokens, "unknown": found.unknown}
    return Evaluation(
        scores, examples=len(lines), report=report, rows=plain_rows(report), notes=notes
    )
