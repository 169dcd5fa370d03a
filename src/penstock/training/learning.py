"""The learner of a run, by its task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from penstock.config import RunConfig
from penstock.nn import Classifier, Cloze, LanguageModel, Network, Seq2Seq, build_network
from penstock.text import Tokenizer
from penstock.training.classifying import ClassificationLearner
from penstock.training.corpus import Report, prepare_corpus
from penstock.training.filling import ClozeLearner
from penstock.training.language_modelling import LanguageModelLearner
from penstock.training.learner import Learner
from penstock.training.running_text import prepare_text
from penstock.training.translating import TranslationLearner


def prepare_learner(
    config: RunConfig, folder: Path, device: torch.device, report: Report
) -> Learner[Any]:
    """Prepare the data in `folder` and make the network, its first weights by the run's seed.

    Raises:
        DataError: unreadable or unusable data.
    """
    if config.task == "language-model":
        text = prepare_text(config, folder, report)
        model = _first_network(config, text.tokenizer, text.tokenizer, device)
        assert isinstance(model, LanguageModel)
        return LanguageModelLearner(config, text, model, device)
    corpus = prepare_corpus(config, folder, report)
    model = _first_network(config, corpus.source, corpus.target, device)
    match model:
        case Classifier():
            return ClassificationLearner(config, corpus, model, device)
        case Cloze():
            return ClozeLearner(config, corpus, model, device)
        case _:
            assert isinstance(model, Seq2Seq)
            return TranslationLearner(config, corpus, model, device)


def _first_network(
    config: RunConfig, source: Tokenizer, target: Tokenizer, device: torch.device
) -> Network:
    torch.manual_seed(config.seed)
    sizes = {"source_size": source.vocab_size, "target_size": target.vocab_size}
    return build_network(config, **sizes).to(device)
