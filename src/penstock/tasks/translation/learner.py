"""Learning to translate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from penstock.bundle import Bundle
from penstock.config import RunConfig
from penstock.nn import Seq2Seq, State
from penstock.runtime.torch_translation import TorchTranslation
from penstock.tasks.translation.held_out_evaluation import Evaluator
from penstock.tasks.translation.network import build_network
from penstock.tasks.translation.translator import Translator
from penstock.training.batches import Batch
from penstock.training.corpus import Corpus, prepare_corpus, report_held_out_losses
from penstock.training.examples import Report
from penstock.training.first_network import configured_transformer, first_network
from penstock.training.learner import HeldOutScores
from penstock.training.pretrained_vectors import prepare_embeddings


class TranslationLearner:
    """Sentence pairs under teacher forcing (see `Learner`)."""

    def __init__(
        self, config: RunConfig, corpus: Corpus, model: Seq2Seq, device: torch.device
    ) -> None:
        settings = config.training
        self.bundle = Bundle(config, corpus.source, corpus.target, {"data": corpus.fingerprint})
        self.fingerprint = corpus.fingerprint
        self.summary = (
            f"{len(corpus.store):,} training pairs, {len(corpus.valid):,} held-out sources"
        )
        self.carried: State | None = None
        self.network = model
        self._device = device
        self._evaluator = Evaluator(
            Translator(
                self.bundle, engines=[TorchTranslation(model, precision=settings.precision)]
            ),
            corpus.valid[: settings.evaluate_sentences],
            batch_tokens=settings.batch_tokens,
            precision=settings.precision,
        )
        self._sampler = corpus.sampler(config)

    def batches(self, epoch: int, *, skip: int = 0) -> Iterator[Batch]:
        """The shuffled batches of an epoch."""
        return self._sampler.epoch(epoch, skip=skip)

    def loss(self, batch: Batch, *, label_smoothing: float) -> tuple[Tensor, int]:
        """Cross-entropy over the real target tokens, and their number."""
        b = batch.to(self._device)
        return self.network.loss(
            b.src,
            b.src_lengths,
            b.tgt_in,
            b.tgt_out,
            b.tgt_lengths,
            label_smoothing=label_smoothing,
        )

    def evaluate(self) -> HeldOutScores:
        """Loss, and BLEU, chrF and exact matches of greedy translations."""
        return self._evaluator.evaluate()


def prepare_learner(
    config: RunConfig, folder: Path, device: torch.device, report: Report, *, anew: bool = True
) -> TranslationLearner:
    """The learner of a run (see `Learning.learner`).

    Raises:
        DataError: unreadable or unusable data.
        ConfigError: rows longer than the transformer takes.
    """
    transformer, tokenizer = configured_transformer(config, report)
    corpus = prepare_corpus(config, folder, report, source=tokenizer)
    report_held_out_losses(corpus, config.data, report)
    source, target = corpus.source, corpus.target
    model = first_network(build_network, config, source, target, device, transformer)
    prepare_embeddings(
        config,
        corpus.store,
        report,
        source=(model.encoder.embedding, source),
        target=(model.decoder.embedding, target),
        anew=anew,
    )
    return TranslationLearner(config, corpus, model, device)
