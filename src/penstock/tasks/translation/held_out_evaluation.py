"""Held-out scores of a translation model: loss by teacher forcing, the rest by greedy search."""

from __future__ import annotations

import numpy as np
import torch

from penstock.config import Precision
from penstock.data.pair import Pair
from penstock.metrics import metrics_for, score_corpus
from penstock.nn import Seq2Seq
from penstock.runtime.torch_translation import TorchTranslation
from penstock.special_tokens import EOS_ID
from penstock.tasks.translation.translator import Translator
from penstock.training.batches import Batch, collate, cut_by_tokens
from penstock.training.learner import HeldOutScores
from penstock.training.precision import mixed


class Evaluator:
    """Scores a model on the same held-out pairs again and again."""

    def __init__(
        self, translator: Translator, pairs: list[Pair], *, batch_tokens: int, precision: Precision
    ) -> None:
        self.translator = translator
        self.pairs = pairs
        self.precision: Precision = precision
        self.batches = _batches(translator, pairs, batch_tokens)

    def evaluate(self) -> HeldOutScores:
        """Score the model as it is now; draws no random numbers."""
        (engine,) = self.translator.engines
        assert isinstance(engine, TorchTranslation)
        model = engine.network
        device = next(model.parameters()).device
        model.eval()
        with mixed(self.precision, device):
            loss = _mean_loss(model, self.batches, device)
        # the translator has a precision of its own
        results = self.translator.translate([p.source for p in self.pairs], search="greedy")
        model.train()
        texts = [result.text for result in results]
        side = self.translator.bundle.config.text.target_side
        metrics = metrics_for(side.kind)
        references = [pair.targets for pair in self.pairs]
        scores = score_corpus(texts, references, metrics, separator=side.symbol_separator)
        shown = [len(self.pairs) * i // 3 for i in range(min(3, len(self.pairs)))]
        return HeldOutScores(
            loss=loss,
            metrics={name: getattr(scores, name) for name in metrics},
            recipe={"signature": scores.signature or "", "search": "greedy"},
            samples=[
                f"{self.pairs[i].source}\n= {self.pairs[i].target}\n> {texts[i]}" for i in shown
            ],
        )


@torch.no_grad()
def _mean_loss(model: Seq2Seq, batches: list[Batch], device: torch.device) -> float:
    total, tokens = 0.0, 0
    for batch in batches:
        b = batch.to(device)
        loss, count = model.loss(b.src, b.src_lengths, b.tgt_in, b.tgt_out, b.tgt_lengths)
        total += float(loss)
        tokens += count
    return total / tokens


def _batches(translator: Translator, pairs: list[Pair], batch_tokens: int) -> list[Batch]:
    bundle = translator.bundle
    data = bundle.config.data
    sources = [
        [*ids[: data.max_source_tokens - 1], EOS_ID]
        for ids in bundle.source_tokenizer.encode_batch([p.source for p in pairs])
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
