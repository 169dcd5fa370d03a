"""Evaluate translations, and score reference translations."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from penstock.config import METRICS
from penstock.data.pair import Pair
from penstock.metrics import CorpusScores, metrics_for, score_corpus
from penstock.metrics.error_rates import exact_matches
from penstock.tasks.evaluation import BLOCK, Evaluation, EvaluationData, ScoredText
from penstock.tasks.sureness import with_reliability
from penstock.tasks.translation.search_options import Phrases, SearchOptions
from penstock.tasks.translation.translator import Translator
from penstock.text import preprocess
from penstock.text.input_columns import COLUMN_SEPARATOR


def evaluate(
    translator: Translator,
    data: EvaluationData,
    *,
    metrics: Sequence[str] = (),
    in_book_form: bool = False,
    options: SearchOptions | None = None,
    phrases: Iterable[Phrases] | None = None,
) -> Evaluation:
    """Translate the sources of pairs and compare with their targets.

    Args:
        translator: one model or several.
        data: the pairs.
        metrics: see `score_corpus`; default: those that apply to the target's tokenizer.
        in_book_form: compare after the book's preprocessing, lower case and spaced.
        options: of the search.
        phrases: constraints, one per pair.

    Raises:
        UsageError: an unknown metric.
        DataError: no pairs.
    """
    options = options or SearchOptions()
    config = translator.bundle.config
    side = config.text.target_side
    separator = side.symbol_separator
    metrics = metrics or metrics_for(side.kind)
    pairs = list(data.pairs())
    # fail on a misspelt metric now, not after translating
    score_corpus([p.target for p in pairs[:1]], [p.targets for p in pairs[:1]], metrics,
                 separator=separator)  # fmt: skip
    begun = time.perf_counter()
    given = None if phrases is None else list(phrases)
    results = translator.translate([pair.source for pair in pairs], options, phrases=given)
    seconds = time.perf_counter() - begun
    texts = [result.text for result in results]
    references = [pair.targets for pair in pairs]
    if in_book_form:
        texts = [preprocess(text) for text in texts]
        references = [tuple(map(preprocess, targets)) for targets in references]
    found = score_corpus(texts, references, metrics, separator=separator)
    scores = {name: found.value(name) for name in metrics}
    languages = {
        language: {name: part.value(name) for name in metrics}
        for language, part in _by_language(translator, pairs, texts, references, metrics).items()
    }
    recipe = {
        "search": options.signature(config.search),
        "length_penalty": options.ranking(config.search).alpha,
    }
    signature = found.signature or ""
    evaluation = Evaluation(
        scores,
        signature,
        recipe | ({"preprocess": "book"} if in_book_form else {}),
        found.sentences,
        report={
            **scores,
            "signature": found.signature,
            **recipe,
            "preprocess": "book" if in_book_form else "none",
            "sentences": found.sentences,
            "seconds": seconds,
            **({"languages": languages} if languages else {}),
        },
        rows=[
            *((METRICS[name].label, f"{value:.2f}") for name, value in scores.items()),
            *(
                (f"{METRICS[name].label} {language}", f"{value:.2f}")
                for language, own in languages.items()
                for name, value in own.items()
            ),
            ("search", f"{recipe['search']} lp:{recipe['length_penalty']:g}"),
            *([("signature", signature)] if signature else []),
            ("sentences", f"{found.sentences}"),
            ("seconds", f"{seconds:.1f}"),
        ],
        outputs=[(p.source, t, *p.targets) for p, t in zip(pairs, texts, strict=True)],
    )
    right = [bool(count) for count, _ in exact_matches(texts, references)]
    confidences = [result.confidence for result in results]
    return with_reliability(evaluation, zip(confidences, right, strict=True))


def _by_language(
    translator: Translator,
    pairs: Sequence[Pair],
    texts: Sequence[str],
    references: Sequence[tuple[str, ...]],
    metrics: Sequence[str],
) -> dict[str, CorpusScores]:
    """The scores of each target language, for a model that translates into several."""
    rows: dict[str, list[int]] = {language: [] for language in translator.languages}
    for i, pair in enumerate(pairs):
        rows.get(pair.source.partition(COLUMN_SEPARATOR)[0], []).append(i)
    separator = translator.bundle.config.text.target_side.symbol_separator
    return {
        language: score_corpus(
            [texts[i] for i in own], [references[i] for i in own], metrics, separator=separator
        )
        for language, own in rows.items()
        if own
    }


def score(translator: Translator, data: EvaluationData) -> Iterator[ScoredText]:
    """Score each target given its source."""
    pairs = ((pair.source, target) for pair in data.pairs() for target in pair.targets)
    while block := list(islice(pairs, BLOCK)):
        for (source, target), found in zip(block, translator.score(block), strict=True):
            texts = {"source": source, "target": target}
            yield ScoredText(texts, found.log_probability, found.tokens, found.perplexity)
