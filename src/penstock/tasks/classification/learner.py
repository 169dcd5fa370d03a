"""Learning to classify sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from penstock.bundle import Bundle
from penstock.config import Precision, RunConfig
from penstock.data.pair import Pair
from penstock.metrics.labels import score_labels
from penstock.nn import State
from penstock.runtime.network_engine import NetworkEngine
from penstock.special_tokens import RESERVED
from penstock.tasks.classification.label_checks import require_labels, with_known_labels
from penstock.tasks.classification.network import Classifier, build_network
from penstock.tasks.classification.text_classifier import TextClassifier
from penstock.training.batches import Batch
from penstock.training.corpus import Corpus, tokenize
from penstock.training.corpus_tokenizers import train_tokenizers
from penstock.training.examples import Report, read_examples
from penstock.training.initial_network import configured_transformer, initial_network
from penstock.training.learner import HeldOutScores
from penstock.training.precision import mixed
from penstock.training.pretrained_vectors import prepare_embeddings
from penstock.training.processes import WHOLE, Processes, Share


class ClassificationLearner:
    """Sentences and their labels (see `Learner`)."""

    def __init__(
        self, config: RunConfig, corpus: Corpus, model: Classifier, device: torch.device
    ) -> None:
        settings = config.training
        self.bundle = Bundle(config, corpus.source, corpus.target, {"data": corpus.fingerprint})
        self.fingerprint = corpus.fingerprint
        self.summary = (
            f"{len(corpus.store):,} training texts, {len(corpus.valid):,} held-out, "
            f"{len(self.bundle.labels)} labels"
        )
        self.carried: State | None = None
        self.network = model
        self._device = device
        self._precision: Precision = settings.precision
        self._valid = corpus.valid[: settings.evaluate_sentences]
        self._old = list(corpus.old_valid[: settings.evaluate_sentences])
        self._classifier = TextClassifier(self.bundle, engine=NetworkEngine(model, device))
        self._sampler = corpus.sampler(config, budget="source")

    def batches(self, epoch: int, *, skip: int = 0, share: Share = WHOLE) -> Iterator[Batch]:
        """The shuffled batches of an epoch."""
        return self._sampler.epoch(epoch, skip=skip, share=share)

    def loss(self, batch: Batch, *, label_smoothing: float) -> Tensor:
        """Cross-entropy over the sentences."""
        b = batch.to(self._device)
        labels = b.tgt_out[:, 0] - len(RESERVED)  # a label is one token, then EOS
        return self.network.loss(b.src, b.src_lengths, labels, label_smoothing=label_smoothing)[0]

    def count(self, batch: Batch) -> int:
        """The sentences."""
        return batch.rows

    def evaluate(self, processes: Processes) -> HeldOutScores:
        """Loss, accuracy and macro F1."""
        scores = self._score(self._valid, processes)
        return replace(scores, old=self._score(self._old, processes)) if self._old else scores

    def _score(self, pairs: list[Pair], processes: Processes) -> HeldOutScores:
        with mixed(self._precision, self._device):
            results = processes.map(self._labelled, pairs)
        found, losses = [label for label, _, _ in results], [loss for _, _, loss in results]
        scores = score_labels(found, [pair.targets for pair in pairs], self.bundle.labels)
        samples = [
            f"{pairs[i].source}\n= {pairs[i].target}\n> {found[i]} ({results[i][1]:.2f})"
            for i in {len(found) * i // 3: None for i in range(3)}
        ]
        return HeldOutScores(
            loss=sum(losses) / len(losses),
            metrics={"accuracy": scores.accuracy, "f1": scores.macro_f1},
            samples=samples,
            unit="sentence",
        )

    def _labelled(self, pairs: list[Pair]) -> list[tuple[str, float, float]]:
        """The label found for each text, its probability, and the loss."""
        floor = torch.finfo(torch.float32).tiny
        results = self._classifier.classify([pair.source for pair in pairs])
        return [
            (r.label, r.probability, -math.log(max(r.probabilities.get(p.target, 0.0), floor)))
            for p, r in zip(pairs, results, strict=True)
        ]


def prepare_learner(
    config: RunConfig,
    folder: Path,
    device: torch.device,
    report: Report,
    *,
    from_scratch: bool = True,
) -> ClassificationLearner:
    """The learner of a run (see `Learning.learner`).

    Raises:
        DataError: unreadable or unusable data.
        ConfigError: rows longer than the transformer takes.
    """
    transformer, tokenizer = configured_transformer(config, report)
    examples = read_examples(config, report, folder)
    require_labels(examples.training(), config)
    source, target = train_tokenizers(config, examples, folder, report, tokenizer)
    valid = with_known_labels(examples.valid, target, config.data, report)
    examples = replace(examples, valid=valid)
    corpus = tokenize(config, examples, source, target, folder, report)
    model = initial_network(
        build_network, config, source, target, device, transformer,
        positions=corpus.batch_positions(config, budget="source"),
    )  # fmt: skip
    embedding = (model.encoder.embedding, source)
    prepare_embeddings(config, corpus.store, report, source=embedding, from_scratch=from_scratch)
    return ClassificationLearner(config, corpus, model, device)
