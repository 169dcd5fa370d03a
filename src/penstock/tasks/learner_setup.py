"""The learner of a run, by its task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from penstock.bundle.pretrained_encoder import read_transformer
from penstock.config import RunConfig
from penstock.nn import Seq2Seq
from penstock.nn.frozen_transformer import FrozenTransformer
from penstock.tasks.classification.learner import ClassificationLearner
from penstock.tasks.classification.network import Classifier
from penstock.tasks.cloze.learner import ClozeLearner
from penstock.tasks.cloze.network import Cloze
from penstock.tasks.language_model.learner import LanguageModelLearner
from penstock.tasks.language_model.network import LanguageModel
from penstock.tasks.language_model.running_text import prepare_text
from penstock.tasks.networks import Network, build_network
from penstock.tasks.translation.learner import TranslationLearner
from penstock.text import Tokenizer
from penstock.training.corpus import Report, prepare_corpus
from penstock.training.learner import Learner
from penstock.training.pretrained_vectors import begin_with_vectors, freeze_vectors


def prepare_learner(
    config: RunConfig, folder: Path, device: torch.device, report: Report, *, anew: bool = True
) -> Learner[Any]:
    """Prepare the data in `folder` and make the network, its first weights by the run's seed.

    Args:
        config: the run's configuration.
        folder: for what is made of the data.
        device: where the network goes.
        report: told what is worth knowing of the data.
        anew: training begins here; a checkpoint brings the weights otherwise, and files of word
            vectors need not be there any more.

    Raises:
        DataError: unreadable or unusable data.
        ConfigError: rows longer than the transformer takes.
    """
    if config.task == "language-model":
        text = prepare_text(config, folder, report)
        model = _first_network(config, text.tokenizer, text.tokenizer, device)
        if anew:
            ids = text.train.ids()
            begin_with_vectors(config, model, text.tokenizer, text.tokenizer, ids, report)
        freeze_vectors(config, model)
        assert isinstance(model, LanguageModel)
        return LanguageModelLearner(config, text, model, device)
    transformer, tokenizer = _transformer(config, report)
    corpus = prepare_corpus(config, folder, report, source=tokenizer)
    source, target = corpus.source, corpus.target
    model = _first_network(config, source, target, device, transformer)
    if anew:
        begin_with_vectors(config, model, source, target, corpus.store, report)
    freeze_vectors(config, model)
    match model:
        case Classifier():
            return ClassificationLearner(config, corpus, model, device)
        case Cloze():
            return ClozeLearner(config, corpus, model, device)
        case _:
            assert isinstance(model, Seq2Seq)
            return TranslationLearner(config, corpus, model, device)


def _first_network(
    config: RunConfig,
    source: Tokenizer,
    target: Tokenizer,
    device: torch.device,
    transformer: FrozenTransformer | None = None,
) -> Network:
    torch.manual_seed(config.seed)
    sizes = {"source_size": source.vocab_size, "target_size": target.vocab_size}
    return build_network(config, **sizes, transformer=transformer).to(device)


def _transformer(
    config: RunConfig, report: Report
) -> tuple[FrozenTransformer, Tokenizer] | tuple[None, None]:
    """The configured encoder; checkpoints do not hold it, so a run that goes on must find it."""
    directory = config.model.transformer
    if directory is None:
        return None, None
    limit = config.data.max_source_tokens
    transformer, tokenizer = read_transformer(directory, max_tokens=limit)
    width = transformer.embedding_dim
    report(f"{directory}: a frozen {transformer.summary}, vectors of {width} numbers")
    return transformer, tokenizer
