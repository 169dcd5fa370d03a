"""Learning to predict running text."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from penstock.baselines.ngram import baseline_perplexities
from penstock.bundle import Bundle
from penstock.config import Precision, RunConfig, TrainingConfig
from penstock.data.token_stream import TokenStream
from penstock.errors import ConfigError
from penstock.nn import State
from penstock.runtime.network_engine import NetworkEngine
from penstock.tasks.language_model.network import LanguageModel, build_network
from penstock.tasks.language_model.running_text import RunningText, prepare_text
from penstock.tasks.language_model.text_generator import TextGenerator
from penstock.tasks.language_model.writing_options import WritingOptions
from penstock.training.examples import Report
from penstock.training.initial_network import initial_network
from penstock.training.learner import HeldOutScores
from penstock.training.precision import mixed
from penstock.training.pretrained_vectors import prepare_embeddings
from penstock.training.processes import WHOLE, Processes, Share
from penstock.training.replay import ReplayWindows, Sampler
from penstock.training.windows import Window, WindowSampler

_PROMPT_TOKENS, _SAMPLE_TOKENS = 30, 60


@dataclass(frozen=True)
class _HeldOut:
    """The part of a held-out text that is evaluated: ids (N,), and how many characters they are."""

    ids: np.ndarray
    characters: int


def _held_out(stream: TokenStream, tokens: int) -> _HeldOut:
    ids = np.asarray(stream.ids()[: tokens + 1])
    share = (len(ids) - 1) / stream.counts.tokens
    return _HeldOut(ids, max(round(stream.counts.characters * share), 1))


def _sampler(config: RunConfig, text: RunningText) -> Sampler[Window]:
    """The windows of the text, and of an old one in some of the rows.

    Raises:
        ConfigError: there is one row only.
    """
    settings = config.training
    rows = _rows(settings)

    def windows(stream: TokenStream, rows: int) -> WindowSampler:
        return WindowSampler(
            stream.ids(),
            window=settings.window,
            rows=rows,
            sampling=settings.sampling,
            seed=config.seed,
        )

    if text.replay is None:
        return windows(text.train, rows)
    if rows < 2:
        raise ConfigError(
            "start.replay: a batch of one row has no room for old text; raise "
            "training.batch_tokens or lower training.window"
        )
    old = min(max(round(config.start.replay_share * rows), 1), rows - 1)
    return ReplayWindows(windows(text.train, rows - old), windows(text.replay, old))


class LanguageModelLearner:
    """Windows of running text (see `Learner`)."""

    def __init__(
        self, config: RunConfig, text: RunningText, model: LanguageModel, device: torch.device
    ) -> None:
        settings = config.training
        self.bundle = Bundle(config, text.tokenizer, text.tokenizer, {"data": text.fingerprint})
        self.fingerprint = text.fingerprint
        self.carried: State | None = None
        self.network = model
        self._device = device
        self._precision: Precision = settings.precision
        self._train = text.train.ids()
        self._valid = _held_out(text.valid, settings.evaluate_tokens)
        self._old = None
        if text.old_valid is not None:
            self._old = _held_out(text.old_valid, settings.evaluate_tokens)
        self.summary = (
            f"{text.train.counts.tokens:,} training tokens, {text.valid.counts.tokens:,} held-out"
        )
        size = text.tokenizer.vocab_size
        self._baselines = baseline_perplexities(self._train, self._valid.ids, vocab_size=size)
        grams = ", ".join(f"{name} {value:.2f}" for name, value in self._baselines.items())
        self.summary += f" (perplexity of {grams})"
        self._generator = TextGenerator(self.bundle, engine=NetworkEngine(model, device))
        self._sampler = _sampler(config, text)

    def batches(self, epoch: int, *, skip: int = 0, share: Share = WHOLE) -> Iterator[Window]:
        """The windows of an epoch."""
        return self._sampler.epoch(epoch, skip=skip, share=share)

    def loss(self, batch: Window, *, label_smoothing: float) -> Tensor:
        """Cross-entropy of a window; the state is carried to the next, detached.

        A run that goes on with other windows than it began with may have another number of rows:
        the state that was carried is then none of theirs.
        """
        window = batch.to(self._device)
        before = None if window.resets_state else self.carried
        if before is not None and before.h.shape[1] != len(window.inputs):
            before = None
        total, _, after = self.network.loss(
            window.inputs, window.targets, before, label_smoothing=label_smoothing
        )
        self.carried = after.detach()
        return total

    def count(self, batch: Window) -> int:
        """All tokens."""
        return batch.targets.numel()

    def evaluate(self, processes: Processes) -> HeldOutScores:
        """Loss and accuracy on the held-out text, beside n-grams on the same; a text to look at."""
        old = self._score(self._old) if self._old else None
        scores = self._score(self._valid)
        recipe = {**scores.recipe, "baseline_perplexity": self._baselines}
        return replace(scores, recipe=recipe, samples=[self._sample()], old=old)

    def _score(self, text: _HeldOut) -> HeldOutScores:
        with mixed(self._precision, self._device):
            scores = self._generator.score_ids(text.ids, text.characters)
        return HeldOutScores(
            loss=scores.loss,
            metrics={"accuracy": scores.accuracy},
            recipe={
                "perplexity": math.exp(min(scores.loss, 700.0)),
                "bits_per_character": scores.bits_per_character,
            },
        )

    def _sample(self) -> str:
        form, tokenizer = self._generator.form, self.bundle.source_tokenizer
        prompt = form.decode(self._valid.ids[1 : 1 + _PROMPT_TOKENS].tolist(), tokenizer)
        options = WritingOptions(length=_SAMPLE_TOKENS, temperature=0.7)
        written = "".join(self._generator.generate(prompt, options))
        return f"{prompt}\n> {written}"


def _rows(settings: TrainingConfig) -> int:
    """Windows per batch."""
    return settings.batch_sentences or max(settings.batch_tokens // settings.window, 1)


def prepare_learner(
    config: RunConfig,
    folder: Path,
    device: torch.device,
    report: Report,
    *,
    from_scratch: bool = True,
) -> LanguageModelLearner:
    """The learner of a run (see `Learning.learner`).

    Raises:
        DataError: unreadable or unusable data.
    """
    text = prepare_text(config, folder, report)
    model = initial_network(
        build_network, config, text.tokenizer, text.tokenizer, device,
        positions=min(_rows(config.training) * config.training.window, len(text.train)),
    )  # fmt: skip
    source = (model.embedding, text.tokenizer)
    prepare_embeddings(config, text.train.ids(), report, source=source, from_scratch=from_scratch)
    return LanguageModelLearner(config, text, model, device)
