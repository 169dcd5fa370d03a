"""penstock: train, explain and ship gated recurrent sequence models from plain text.

`import penstock as ps` gives the names below, and promises no others. Each is imported when it is
first used, so that the import itself is cheap and brings no torch.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING

from penstock.version import __version__

if TYPE_CHECKING:
    from penstock.api import Run, distill, evaluate, load, sweep, train
    from penstock.bundle import Bundle, load_bundle, save_bundle
    from penstock.config import (
        DataConfig,
        ModelConfig,
        RunConfig,
        SearchConfig,
        StartConfig,
        TextConfig,
        TokenizerConfig,
        TrainingConfig,
        load_config,
    )
    from penstock.data.formats.readers import ReadOptions, read_pairs
    from penstock.data.grammar import builtin_split
    from penstock.data.pair import Pair
    from penstock.errors import (
        BundleError,
        ConfigError,
        DataError,
        PenstockError,
        TrainingError,
        UsageError,
    )
    from penstock.insight import inspect_sentence
    from penstock.metrics import CorpusScores, score_corpus
    from penstock.search import (
        Hypothesis,
        Limits,
        Ranking,
        Step,
        StepOutput,
        beam_search,
        exact_search,
        exhaustive_search,
        greedy_search,
        sample_search,
    )
    from penstock.tasks.classification.text_classifier import Label, TextClassifier
    from penstock.tasks.cloze.blank_filler import BlankFiller, Filled
    from penstock.tasks.embedder import Embedder, Embedding
    from penstock.tasks.evaluation import Evaluation
    from penstock.tasks.hub_upload import push
    from penstock.tasks.language_model.text_generator import TextGenerator
    from penstock.tasks.language_model.writing_options import WritingOptions
    from penstock.tasks.translation.html_translation import translate_html
    from penstock.tasks.translation.result import Alternative, PairScore, Translation
    from penstock.tasks.translation.search_options import Phrases, SearchOptions
    from penstock.tasks.translation.translator import Translator
    from penstock.text import Tokenizer
    from penstock.training.sweep_results import Sweep, SweepRow, SweepRun
    from penstock.training.sweep_settings import Range

# Low-precision products on a CPU are compiled for each shape and cached; the library's own limit
# of 1024 is less than a training run meets. It reads this when torch is first used.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "8192")

__all__ = [
    "Alternative",
    "BlankFiller",
    "Bundle",
    "BundleError",
    "ConfigError",
    "CorpusScores",
    "DataConfig",
    "DataError",
    "Embedder",
    "Embedding",
    "Evaluation",
    "Filled",
    "Hypothesis",
    "Label",
    "Limits",
    "ModelConfig",
    "Pair",
    "PairScore",
    "PenstockError",
    "Phrases",
    "Range",
    "Ranking",
    "ReadOptions",
    "Run",
    "RunConfig",
    "SearchConfig",
    "SearchOptions",
    "StartConfig",
    "Step",
    "StepOutput",
    "Sweep",
    "SweepRow",
    "SweepRun",
    "TextClassifier",
    "TextConfig",
    "TextGenerator",
    "Tokenizer",
    "TokenizerConfig",
    "TrainingConfig",
    "TrainingError",
    "Translation",
    "Translator",
    "UsageError",
    "WritingOptions",
    "__version__",
    "beam_search",
    "builtin_split",
    "distill",
    "evaluate",
    "exact_search",
    "exhaustive_search",
    "greedy_search",
    "inspect_sentence",
    "load",
    "load_bundle",
    "load_config",
    "push",
    "read_pairs",
    "sample_search",
    "save_bundle",
    "score_corpus",
    "sweep",
    "train",
    "translate_html",
]

_MODULES = {
    "penstock.tasks.hub_upload": "push",
    "penstock.api": "Run distill evaluate load sweep train",
    "penstock.bundle": "Bundle load_bundle save_bundle",
    "penstock.config": "DataConfig ModelConfig RunConfig SearchConfig StartConfig TextConfig "
    "TokenizerConfig TrainingConfig load_config",
    "penstock.data.formats.readers": "ReadOptions read_pairs",
    "penstock.data.grammar": "builtin_split",
    "penstock.data.pair": "Pair",
    "penstock.errors": "BundleError ConfigError DataError PenstockError TrainingError UsageError",
    "penstock.insight": "inspect_sentence",
    "penstock.metrics": "CorpusScores score_corpus",
    "penstock.search": "Hypothesis Limits Ranking Step StepOutput beam_search exact_search "
    "exhaustive_search greedy_search sample_search",
    "penstock.tasks.classification.text_classifier": "Label TextClassifier",
    "penstock.tasks.cloze.blank_filler": "BlankFiller Filled",
    "penstock.tasks.embedder": "Embedder Embedding",
    "penstock.tasks.evaluation": "Evaluation",
    "penstock.tasks.language_model.text_generator": "TextGenerator",
    "penstock.tasks.language_model.writing_options": "WritingOptions",
    "penstock.tasks.translation.html_translation": "translate_html",
    "penstock.tasks.translation.result": "Alternative PairScore Translation",
    "penstock.tasks.translation.search_options": "Phrases SearchOptions",
    "penstock.tasks.translation.translator": "Translator",
    "penstock.training.sweep_results": "Sweep SweepRow SweepRun",
    "penstock.training.sweep_settings": "Range",
    "penstock.text": "Tokenizer",
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
