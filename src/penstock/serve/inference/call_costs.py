"""The costs of requests that do not translate."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.serve.inference.cost import Cost, count_pieces, units_per_piece
from penstock.tasks.classification.text_classifier import TextClassifier
from penstock.tasks.cloze.blank_filler import BlankFiller
from penstock.tasks.translation.search_options import SearchOptions
from penstock.tasks.translation.translator import Translator

_EXACT = SearchOptions(search="exact")


async def classification_cost(model: TextClassifier, texts: Sequence[str]) -> Cost:
    """Every text is read once, up to the model's limit."""
    limit = model.bundle.config.data.max_source_tokens
    pieces = await count_pieces(model.bundle.source_tokenizer, texts)
    return Cost(model, "classify", sum(min(count, limit) for count in pieces))


async def cloze_cost(model: BlankFiller, texts: Sequence[str], *, blank: str) -> Cost:
    """Every text is read once for each of its blanks."""
    pieces = await count_pieces(model.bundle.source_tokenizer, texts)
    read = (text.count(blank) * count for text, count in zip(texts, pieces, strict=True))
    return Cost(model, "fill", sum(read))


async def inspection_cost(
    translator: Translator, text: str, options: SearchOptions, *, exact: bool
) -> Cost:
    """One search, or two."""
    config = translator.bundle.config
    limit = config.data.max_source_tokens
    (pieces,) = await count_pieces(translator.bundle.source_tokenizer, [text])
    units = units_per_piece(options, config.search, limit)
    if exact:
        units += units_per_piece(_EXACT, config.search, limit)
    return Cost(translator, "inspect exact" if exact else "inspect", pieces * units)
