"""Learning to fill blanks: a cloze, every token of a sentence a blank in its turn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from penstock.bundle import Bundle
from penstock.config import Precision, RunConfig
from penstock.nn import State
from penstock.runtime.network_engine import NetworkEngine
from penstock.tasks.cloze.blank_filler import BLANK, BlankFiller
from penstock.tasks.cloze.network import Cloze, build_network
from penstock.training.batches import Batch
from penstock.training.corpus import Corpus, prepare_corpus
from penstock.training.examples import Report
from penstock.training.initial_network import initial_network
from penstock.training.learner import HeldOutScores
from penstock.training.precision import mixed
from penstock.training.pretrained_vectors import prepare_embeddings
from penstock.training.processes import WHOLE, Processes, Share

_NO_TEXT = "\0"  # a mark that no line has: the reader refuses it


class ClozeLearner:
    """Sentences of which each token is predicted from all others (see `Learner`)."""

    def __init__(
        self, config: RunConfig, corpus: Corpus, model: Cloze, device: torch.device
    ) -> None:
        settings = config.training
        self.bundle = Bundle(config, corpus.source, corpus.source, {"data": corpus.fingerprint})
        self.fingerprint = corpus.fingerprint
        self.summary = f"{len(corpus.store):,} training lines, {len(corpus.valid):,} held-out"
        self.carried: State | None = None
        self.network = model
        self._device = device
        self._precision: Precision = settings.precision
        self._valid, self._old = (
            [pair.source for pair in pairs[: settings.evaluate_sentences]]
            for pairs in (corpus.valid, corpus.old_valid)
        )
        self._filler = BlankFiller(self.bundle, engine=NetworkEngine(model, device))
        self._sampler = corpus.sampler(config, budget="source")

    def batches(self, epoch: int, *, skip: int = 0, share: Share = WHOLE) -> Iterator[Batch]:
        """The shuffled batches of an epoch."""
        return self._sampler.epoch(epoch, skip=skip, share=share)

    def loss(self, batch: Batch, *, label_smoothing: float) -> Tensor:
        """Cross-entropy over all tokens."""
        b = batch.to(self._device)
        return self.network.loss(b.src, b.src_lengths, label_smoothing=label_smoothing)

    def count(self, batch: Batch) -> int:
        """All tokens but EOS."""
        return int(batch.src_lengths.sum()) - batch.rows

    def evaluate(self, processes: Processes) -> HeldOutScores:
        """Loss, and how many blanks are filled right when each token is one in its turn."""
        old = self._score(self._old, processes) if self._old else None
        return replace(self._score(self._valid, processes), samples=self._samples(), old=old)

    def _score(self, lines: list[str], processes: Processes) -> HeldOutScores:
        with mixed(self._precision, self._device):
            scores = processes.map(self._scores, lines)
        tokens = sum(count for _, count, _ in scores)
        return HeldOutScores(
            loss=-sum(log_probability for log_probability, _, _ in scores) / tokens,
            metrics={"accuracy": 100 * sum(right for _, _, right in scores) / tokens},
        )

    def _scores(self, lines: list[str]) -> list[tuple[float, int, int]]:
        return [(s.log_probability, s.tokens, s.right) for s in self._filler.score(lines)]

    def _samples(self) -> list[str]:
        """Three lines with the token in the middle left out."""
        shown: list[str] = []
        for i in {len(self._valid) * i // 3: None for i in range(3)}:
            before, answer, behind = self._with_gap(self._valid[i])
            result = self._filler.fill([f"{before}{_NO_TEXT}{behind}"], blank=_NO_TEXT)[0]
            best = next((c.token for blank in result.blanks for c in blank), "")
            shown.append(f"{before}{BLANK}{behind}\n= {answer}\n> {best}")
        return shown

    def _with_gap(self, line: str) -> tuple[str, str, str]:
        """A line as what stands before its middle token, that token, and what stands behind."""
        parting = self.bundle.source_tokenizer.joiner
        tokens = line.split(parting) if parting else list(line)
        gap = len(tokens) // 2
        before = "".join(f"{token}{parting}" for token in tokens[:gap])
        return before, tokens[gap], "".join(f"{parting}{token}" for token in tokens[gap + 1 :])


def prepare_learner(
    config: RunConfig,
    folder: Path,
    device: torch.device,
    report: Report,
    *,
    from_scratch: bool = True,
) -> ClozeLearner:
    """The learner of a run (see `Learning.learner`).

    Raises:
        DataError: unreadable or unusable data.
    """
    corpus = prepare_corpus(config, folder, report)
    model = initial_network(
        build_network, config, corpus.source, corpus.source, device,
        positions=corpus.batch_positions(config, budget="source"),
    )  # fmt: skip
    source = (model.embedding, corpus.source)
    prepare_embeddings(config, corpus.store, report, source=source, from_scratch=from_scratch)
    return ClozeLearner(config, corpus, model, device)
