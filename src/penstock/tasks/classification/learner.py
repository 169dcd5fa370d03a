"""Learning to classify sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from penstock.bundle import Bundle
from penstock.config import Precision, RunConfig
from penstock.data.batches import Batch
from penstock.metrics.labels import score_labels
from penstock.nn import State
from penstock.special_tokens import RESERVED
from penstock.tasks.classification.network import Classifier
from penstock.tasks.classification.text_classifier import TextClassifier
from penstock.training.corpus import Corpus
from penstock.training.learner import HeldOutScores
from penstock.training.precision import mixed


class ClassificationLearner:
    """Sentences and their labels (see `Learner`)."""

    def __init__(
        self, config: RunConfig, corpus: Corpus, model: Classifier, device: torch.device
    ) -> None:
        settings = config.training
        self.bundle = Bundle(
            config, model, corpus.source, corpus.target, {"data": corpus.fingerprint}
        )
        self.fingerprint = corpus.fingerprint
        self.summary = (
            f"{len(corpus.store):,} training texts, {len(corpus.valid):,} held-out, "
            f"{len(self.bundle.labels)} labels"
        )
        self.carried: State | None = None
        self._model = model
        self._device = device
        self._precision: Precision = settings.precision
        self._valid = corpus.valid[: settings.evaluate_sentences]
        self._classifier = TextClassifier(self.bundle, device=device)
        self._sampler = corpus.sampler(config, budget="source")

    def batches(self, epoch: int, *, skip: int = 0) -> Iterator[Batch]:
        """The shuffled batches of an epoch."""
        return self._sampler.epoch(epoch, skip=skip)

    def loss(self, batch: Batch, *, label_smoothing: float) -> tuple[Tensor, int]:
        """Cross-entropy over the sentences, and their number."""
        b = batch.to(self._device)
        labels = b.tgt_out[:, 0] - len(RESERVED)  # a label is one token, then EOS
        return self._model.loss(b.src, b.src_lengths, labels, label_smoothing=label_smoothing)

    def evaluate(self) -> HeldOutScores:
        """Loss, accuracy and macro F1."""
        with mixed(self._precision, self._device):
            results = self._classifier.classify([pair.source for pair in self._valid])
        floor = torch.finfo(torch.float32).tiny
        losses = [
            -math.log(max(result.probabilities.get(pair.target, 0.0), floor))
            for pair, result in zip(self._valid, results, strict=True)
        ]
        found = [result.label for result in results]
        scores = score_labels(found, [pair.targets for pair in self._valid], self.bundle.labels)
        samples = [
            f"{self._valid[i].source}\n= {self._valid[i].target}\n> {found[i]} "
            f"({results[i].probability:.2f})"
            for i in {len(found) * i // 3: None for i in range(3)}
        ]
        return HeldOutScores(
            loss=sum(losses) / len(losses),
            metrics={"accuracy": scores.accuracy, "f1": scores.macro_f1},
            samples=samples,
            unit="sentence",
        )
