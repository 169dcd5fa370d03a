"""What the training pairs say about text: how it is written, its features, its letter case."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from penstock.config import RunConfig
from penstock.data.pair import Pair
from penstock.tasks import TASKS
from penstock.text import TextForm
from penstock.text.input_columns import InputColumns
from penstock.text.letter_case import LetterCase
from penstock.text.unicode_form import UnicodeForm

Pairs = Callable[[], Iterator[Pair]]


def source_form(config: RunConfig, pairs: Pairs) -> TextForm:
    """The form of the source, and of the target where they share a vocabulary."""
    if TASKS[config.task].has_one_text:
        return TextForm()
    texts = (pair.source for pair in pairs())
    if config.text.shared:
        texts = (text for pair in pairs() for text in (pair.source, *pair.targets))
    unicode = UnicodeForm.learn(config.text.source.unicode, texts)
    columns = _columns(config, pairs)
    return TextForm(unicode, columns, _letter_case(config, TextForm(columns=columns), pairs))


def target_form(config: RunConfig, pairs: Pairs) -> TextForm:
    """The form of a target with its own vocabulary."""
    targets = (target for pair in pairs() for target in pair.targets)
    return TextForm(UnicodeForm.learn(config.text.target.unicode, targets))


def _columns(config: RunConfig, pairs: Pairs) -> InputColumns | None:
    names, source = config.data.source_columns, config.text.source
    if not names:
        return None
    chosen = source.features
    features = {"auto": None, "none": ()}[chosen] if isinstance(chosen, str) else chosen
    return InputColumns.learn(
        names,
        (pair.source for pair in pairs()),
        features=features if config.data.language_column is None else (1,),
        delimiter=source.feature_delimiter,
        min_frequency=source.min_frequency,
    )


def _letter_case(config: RunConfig, form: TextForm, pairs: Pairs) -> LetterCase | None:
    if config.text.case == "keep":
        return None
    texts = (
        (" ".join(form.cells(pair.source)), target) for pair in pairs() for target in pair.targets
    )
    is_text = TASKS[config.task].target == "text"
    return LetterCase.learn(
        config.text.case,
        texts,
        restores=is_text and config.text.target_side.symbol_separator is None,
        language=config.data.source_language,
    )
