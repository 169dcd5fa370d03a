"""Learning to translate."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from penstock.bundle import Bundle
from penstock.config import METRICS, Precision, RunConfig
from penstock.data.pair import Pair
from penstock.metrics import metrics_for, score_corpus
from penstock.nn import Seq2Seq, State
from penstock.runtime.torch_translation import TorchTranslation
from penstock.special_tokens import EOS_ID
from penstock.tasks.translation.network import build_network
from penstock.tasks.translation.translator import Translator
from penstock.training.batches import Batch, collate, cut_by_tokens
from penstock.training.corpus import Corpus, prepare_corpus, report_held_out_truncation
from penstock.training.examples import Report
from penstock.training.initial_network import configured_transformer, initial_network
from penstock.training.learner import HeldOutScores
from penstock.training.precision import mixed
from penstock.training.pretrained_vectors import prepare_embeddings
from penstock.training.processes import WHOLE, Processes, Share


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
        engine = TorchTranslation(model, precision=settings.precision)
        translator = Translator(self.bundle, engines=[engine])

        def evaluator(pairs: Sequence[Pair]) -> Evaluator:
            return Evaluator(
                translator,
                list(pairs[: settings.evaluate_sentences]),
                batch_tokens=settings.batch_tokens,
                precision=settings.precision,
            )

        self._evaluator = evaluator(corpus.valid)
        self._old = evaluator(corpus.old_valid) if corpus.old_valid else None
        self._sampler = corpus.sampler(config)

    def batches(self, epoch: int, *, skip: int = 0, share: Share = WHOLE) -> Iterator[Batch]:
        """The shuffled batches of an epoch."""
        return self._sampler.epoch(epoch, skip=skip, share=share)

    def loss(self, batch: Batch, *, label_smoothing: float) -> Tensor:
        """Cross-entropy over the real target tokens."""
        b = batch.to(self._device)
        return self.network.loss(
            b.src,
            b.src_lengths,
            b.tgt_in,
            b.tgt_out,
            b.tgt_lengths,
            label_smoothing=label_smoothing,
        )[0]

    def count(self, batch: Batch) -> int:
        """The real target tokens."""
        return int(batch.tgt_lengths.sum())

    def evaluate(self, processes: Processes) -> HeldOutScores:
        """Loss, and BLEU, chrF and exact matches of greedy translations."""
        scores = self._evaluator.evaluate(processes)
        return scores if self._old is None else replace(scores, old=self._old.evaluate(processes))


class Evaluator:
    """Scores a model on the same held-out pairs again and again.

    The loss comes of teacher forcing, the rest of greedy search.
    """

    def __init__(
        self, translator: Translator, pairs: list[Pair], *, batch_tokens: int, precision: Precision
    ) -> None:
        self.translator = translator
        self.pairs = pairs
        self.precision: Precision = precision
        self.batches = _batches(translator, pairs, batch_tokens)

    def evaluate(self, processes: Processes) -> HeldOutScores:
        """Score the model as it is now; draws no random numbers."""
        (engine,) = self.translator.engines
        assert isinstance(engine, TorchTranslation)
        model = engine.network
        device = next(model.parameters()).device
        model.eval()
        with mixed(self.precision, device):
            losses = processes.map(lambda batches: _losses(model, batches, device), self.batches)
        loss = sum(total for total, _ in losses) / sum(tokens for _, tokens in losses)
        if not math.isfinite(loss):  # it ends the run
            return HeldOutScores(loss=loss)
        # the translator has a precision of its own
        texts = processes.map(
            lambda lines: [t.text for t in self.translator.translate(lines, search="greedy")],
            [pair.source for pair in self.pairs],
        )
        model.train()
        side = self.translator.bundle.config.text.target_side
        selected_by = self.translator.bundle.config.training.metric
        metrics = [*metrics_for(side.kind)]
        if selected_by in METRICS and selected_by not in metrics:
            metrics.append(selected_by)
        references = [pair.targets for pair in self.pairs]
        scores = score_corpus(texts, references, metrics, separator=side.symbol_separator)
        shown = [len(self.pairs) * i // 3 for i in range(min(3, len(self.pairs)))]
        return HeldOutScores(
            loss=loss,
            metrics={name: scores.value(name) for name in metrics},
            recipe={"signature": scores.signature or "", "search": "greedy"},
            samples=[
                f"{self.pairs[i].source}\n= {self.pairs[i].target}\n> {texts[i]}" for i in shown
            ],
        )


def prepare_learner(
    config: RunConfig,
    folder: Path,
    device: torch.device,
    report: Report,
    *,
    from_scratch: bool = True,
) -> TranslationLearner:
    """The learner of a run (see `Learning.learner`).

    Raises:
        DataError: unreadable or unusable data.
        ConfigError: rows longer than the transformer takes.
    """
    transformer, tokenizer = configured_transformer(config, report)
    corpus = prepare_corpus(config, folder, report, source=tokenizer)
    report_held_out_truncation(corpus, config.data, report)
    source, target = corpus.source, corpus.target
    model = initial_network(
        build_network, config, source, target, device, transformer,
        positions=corpus.batch_positions(config),
    )  # fmt: skip
    prepare_embeddings(
        config,
        corpus.store,
        report,
        source=(model.encoder.embedding, source),
        target=(model.decoder.embedding, target),
        from_scratch=from_scratch,
    )
    return TranslationLearner(config, corpus, model, device)


@torch.no_grad()
def _losses(
    model: Seq2Seq, batches: list[Batch], device: torch.device
) -> Iterator[tuple[float, int]]:
    """The summed loss of each batch, and its number of tokens."""
    for batch in batches:
        b = batch.to(device)
        loss, count = model.loss(b.src, b.src_lengths, b.tgt_in, b.tgt_out, b.tgt_lengths)
        yield float(loss), count


def _batches(translator: Translator, pairs: list[Pair], batch_tokens: int) -> list[Batch]:
    bundle = translator.bundle
    data = bundle.config.data
    sources = [
        [*ids[: data.max_source_tokens - 1], EOS_ID]
        for ids in bundle.source_tokenizer.encode_sources(p.source for p in pairs)
    ]
    targets = [
        [*ids[: data.max_target_tokens - 1], EOS_ID]
        for ids in bundle.target_tokenizer.encode_batch([p.target for p in pairs])
    ]
    lengths = np.array([len(ids) for ids in targets])
    order = np.argsort(lengths, kind="stable")
    cuts: list[list[int]] = [
        rows.tolist() for rows in cut_by_tokens(order, lengths[order], batch_tokens)
    ]
    return [collate([sources[i] for i in rows], [targets[i] for i in rows]) for rows in cuts]
