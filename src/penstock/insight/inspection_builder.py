"""Translate a sentence and collect everything that an inspection shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from penstock.errors import UsageError
from penstock.insight.beam_tree import make_tree
from penstock.insight.forced_decoding import attention_of, choices_of
from penstock.insight.gates import gates_of
from penstock.insight.inspection import Inspection, Optimum, Search
from penstock.insight.target_prefix import prefix_ids
from penstock.search import Hypothesis, SearchTrace, ShouldStop
from penstock.special_tokens import BOS_ID, EOS_ID
from penstock.tasks.translation.search_options import SearchOptions
from penstock.tasks.translation.segment_search import limits_of
from penstock.tasks.translation.segmentation import Segment
from penstock.tasks.translation.translator import Translator


def inspect_sentence(
    translator: Translator,
    text: str,
    options: SearchOptions | None = None,
    *,
    prefix: Sequence[str] = (),
    exact: bool = False,
    units: bool = False,
    should_stop: ShouldStop | None = None,
) -> Inspection:
    """Translate one sentence by beam search, and show how.

    Tokens, scores and attention equal those of `translator.translate` with the same options.

    Args:
        translator: of one model.
        text: a sentence.
        options: how to search.
        prefix: target pieces that the translation begins with, as `target_tokens` shows them.
        exact: search for the optimum too, with `options.budget`.
        units: give single units of the gates, not only their mean.
        should_stop: cancels a search when it returns True.

    Raises:
        UsageError: several models, another search than a single beam, a blank or long text, a
            piece that cannot be written.
        SearchStoppedError: cancelled by `should_stop`.
    """
    options = options or SearchOptions()
    _require_one_beam(translator, options)
    bundle, engine = translator.bundle, translator.engines[0]
    config = bundle.config.search
    vocabulary = bundle.target_tokenizer.vocabulary()
    segment = translator.segment(text, options)
    limits = limits_of([segment], options, config)
    if prefix:
        ids = prefix_ids(prefix, vocabulary, limits.blocked)
        constraints = replace(segment.constraints, prefix=ids)
        segment = replace(segment, constraints=constraints)
    trace = SearchTrace()
    (best, *_), translation = translator.search(
        segment, options, trace=trace, should_stop=should_stop
    )
    optimum = _optimum(translator, segment, options, should_stop) if exact else None
    output = [*best.tokens, EOS_ID]
    target_tokens = [vocabulary[token] for token in output]
    traced = engine.trace(segment.ids[0], output)
    limits.block(traced.log_probs)
    read_tokens = [vocabulary[BOS_ID], *target_tokens[:-1]]
    ranking = options.ranking(config)
    return Inspection(
        source=text,
        text=translation.text,
        status=translation.status,
        score=translation.score,
        log_probability=translation.log_probability,
        search=Search(options.beam(config), ranking.normalization, ranking.alpha),
        prefix=list(prefix),
        source_tokens=translation.source_tokens,
        target_tokens=target_tokens,
        token_log_probabilities=best.token_log_probabilities,
        attention=None if traced.attention is None else attention_of(traced.attention),
        choices=choices_of(traced.log_probs, output, vocabulary),
        tree=make_tree(trace.steps, best, None if optimum is None else optimum[0], vocabulary),
        exact=None if optimum is None else optimum[1],
        gates=gates_of(traced.layers, translation.source_tokens, read_tokens, units=units),
    )


def _optimum(
    translator: Translator, segment: Segment, options: SearchOptions, should_stop: ShouldStop | None
) -> tuple[Hypothesis, Optimum]:
    """Search for the best output under the same ranking and limits, within the budget."""
    exact = options.changed(search="exact", n_best=1)
    (best, *_), translation = translator.search(segment, exact, should_stop=should_stop)
    assert best.certified is not None
    assert best.bound is not None
    assert best.extended is not None
    optimum = Optimum(
        text=translation.text,
        tokens=translator.bundle.target_tokenizer.tokens([*best.tokens, EOS_ID]),
        score=best.score,
        log_probability=best.log_probability,
        certified=best.certified,
        bound=best.bound,
        extended=best.extended,
    )
    return best, optimum


def _require_one_beam(translator: Translator, options: SearchOptions) -> None:
    if len(translator.engines) > 1:
        raise UsageError(
            f"{len(translator.engines)} models: an inspection shows one; load a single model"
        )
    if options.search != "beam":
        raise UsageError(
            f"search {options.search!r}: an inspection shows a beam search; leave it out (a beam "
            "of size 1 is greedy search)"
        )
    if options.groups > 1:
        raise UsageError(f"groups {options.groups}: an inspection shows one beam; leave them out")
