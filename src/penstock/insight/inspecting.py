"""From a sentence to all that its translation can show."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.errors import UsageError
from penstock.insight.forcing import attention_of, choices_of, read_output
from penstock.insight.inspection import Inspection, Search, Tree
from penstock.reserved import EOS_ID
from penstock.searching import SearchOptions, limits_of
from penstock.translator import Translator


def inspect_sentence(
    translator: Translator,
    text: str,
    options: SearchOptions | None = None,
    *,
    prefix: Sequence[str] = (),
    exact: bool = False,
    units: bool = False,
) -> Inspection:
    """Translate one sentence by beam search and show how that came about.

    Tokens, scores and attention are those that `translator.translate` gives with the same options.

    Args:
        translator: of one model.
        text: a sentence.
        options: how to search.
        prefix: target pieces that the translation begins with, as `target_tokens` shows them.
        exact: search for the optimum too, with `options.budget`.
        units: give single units of the gates, not only their mean.

    Raises:
        UsageError: several models, another search than a single beam, a blank or long text, a
            piece that cannot be written.
    """
    options = options or SearchOptions()
    _require_one_beam(translator, options)
    bundle = translator.bundle
    model = translator.models[0]
    target = bundle.target_tokenizer
    vocabulary = target.vocabulary()
    part = translator.part(text, options)
    found, translation = translator.search(part, options)
    best = found[0]
    output = [*best.tokens, EOS_ID]
    with bundle.evaluating():
        logits, weights = read_output(model, part.ids[0], output)
    config = bundle.config.search
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
        target_tokens=target.tokens(output),
        token_log_probabilities=best.token_log_probabilities,
        attention=None if weights is None else attention_of(weights),
        choices=choices_of(limits_of([part], options, config).allowed(logits), output, vocabulary),
        tree=Tree([]),
        exact=None,
        gates=[],
    )


def _require_one_beam(translator: Translator, options: SearchOptions) -> None:
    if len(translator.models) > 1:
        raise UsageError(
            f"{len(translator.models)} models: an inspection shows one; load a single model"
        )
    if options.search != "beam":
        raise UsageError(
            f"search {options.search!r}: an inspection shows a beam search; leave it out (a beam "
            "of size 1 is greedy search)"
        )
    if options.groups > 1:
        raise UsageError(f"groups {options.groups}: an inspection shows one beam; leave them out")
