"""The training loop, one function, read from top to bottom."""

from __future__ import annotations

import math
import shutil
import signal
import sys
import threading
import time
from collections.abc import Generator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import torch
from rich.console import Console
from torch import nn

from penstock.bundle import Bundle, save_bundle
from penstock.config import RunConfig, TrainingConfig, dump_toml, load_config
from penstock.data.batches import EpochSampler
from penstock.data.streams import STDIN
from penstock.device import choose_device
from penstock.errors import TrainingError, UsageError
from penstock.files import atomic_write, replacing
from penstock.nn import Seq2Seq
from penstock.training.averaging import WeightAverage
from penstock.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from penstock.training.corpus import prepare_corpus
from penstock.training.evaluation import HIGHER_IS_BETTER, Evaluator, HeldOutScores
from penstock.training.precision import choose_precision, mixed
from penstock.training.progress import LOG, Display, RunLog
from penstock.training.schedule import learning_rate
from penstock.translator import Translator

CONFIG = "config.toml"


@dataclass(frozen=True)
class TrainingResult:
    """How a run ended.

    Attributes:
        reason: why it stopped.
        interrupted: by Ctrl-C or SIGTERM; `resume=True` goes on.
        best: the best held-out score by the run's metric.
        progress: how far it came.
    """

    reason: str
    interrupted: bool
    best: float | None
    progress: Progress


def train(
    config: RunConfig, run: str | Path, *, resume: bool = False, console: Console | None = None
) -> TrainingResult:
    """Train a model into a run directory.

    The directory gets `config.toml` (as resolved), `log.jsonl`, TensorBoard events, `data/`
    (tokenizers and token store), `checkpoints/` (for resuming) and `model/` (the best bundle).
    A run that is interrupted at any instant and resumed gives the same model, bit for bit, as
    one that was not, on the same machine with the same number of threads; only a limit in
    minutes depends on the clock.

    Args:
        config: the run's configuration.
        run: its directory.
        resume: go on from the last checkpoint, if there is one.
        console: where to report; stderr by default.

    Raises:
        UsageError: the directory holds another run and `resume` is off.
        DataError: unusable data.
        TrainingError: the loss became NaN or infinite.
    """
    run = Path(run)
    console = console or Console(stderr=True, highlight=False, soft_wrap=True)
    config, device = _settle(config, run, resume=resume)
    settings = config.training
    corpus = prepare_corpus(config, run / "data", lambda text: console.print(text, markup=False))

    torch.manual_seed(config.seed)
    model = Seq2Seq(
        config.model, source_size=corpus.source.vocab_size, target_size=corpus.target.vocab_size
    ).to(device)
    optimizer = _optimizer(model, settings)
    average = WeightAverage(model, settings.average_decay) if settings.average_decay else None
    averaged = average.values if average else None
    bundle = Bundle(config, model, corpus.source, corpus.target, {"data": corpus.fingerprint})
    evaluator = Evaluator(
        Translator(bundle, device=device),
        corpus.valid[: settings.evaluate_sentences],
        batch_tokens=settings.batch_tokens,
        precision=settings.precision,
    )
    sampler = EpochSampler(
        corpus.store,
        batch_tokens=settings.batch_tokens,
        batch_sentences=settings.batch_sentences,
        seed=config.seed,
    )
    checkpoints = run / "checkpoints"
    done = load_checkpoint(checkpoints, model, optimizer, averaged) if resume else None
    progress = done or Progress(data=corpus.fingerprint)
    log = RunLog(run, until_update=progress.update if done else None)
    display = Display(console, settings.max_updates)
    parameters = sum(p.numel() for p in model.parameters())
    display.say(
        f"{len(corpus.store):,} training pairs, {len(corpus.valid):,} held-out sources, "
        f"{parameters / 1e6:.1f} M parameters, {settings.precision} on {device}"
        + (f"; going on from update {progress.update:,}" if done else "")
    )
    if progress.data != corpus.fingerprint:
        display.say("warning: the training data is not what it was when the run was interrupted")
        progress.data = corpus.fingerprint
    started = time.monotonic() - progress.seconds
    last_checkpoint = time.monotonic()

    def evaluate() -> str:
        """Score, keep the model if it is the best, tell; the reason to give up, if any."""
        with average.in_place(model) if average else nullcontext():
            scores = evaluator.evaluate()
            _require_finite("held-out loss", scores.loss, progress, run)
            better = _note_scores(settings, progress, scores)
            if better or settings.keep == "last":
                _save_model(bundle, progress, scores, run)
        _report(display, log, settings, progress, scores, better, started)
        progress.owes_evaluation = False
        return _give_up(settings, progress)

    model.train()
    with closing(display), closing(log), _stop_signal() as stop:
        reason = ""
        if done:  # the run may have ended, or been interrupted just before an evaluation
            given_up = evaluate() if progress.owes_evaluation else _give_up(settings, progress)
            reason = _limit_reached(settings, progress) or given_up
        batches = sampler.epoch(progress.epoch, skip=progress.batch)
        while not reason:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(settings, progress.update, progress.plateau_scale)
            loss_sum, tokens, epoch_ended = torch.zeros((), device=device), 0, False
            for _ in range(settings.accumulate):
                batch = next(batches, None)
                if batch is None:
                    epoch_ended = True
                    break
                progress.batch += 1
                batch = batch.to(device)
                with mixed(settings.precision, device):
                    loss, count = model.loss(
                        batch.src,
                        batch.src_lengths,
                        batch.tgt_in,
                        batch.tgt_out,
                        batch.tgt_lengths,
                        label_smoothing=settings.label_smoothing,
                    )
                loss.backward()
                loss_sum += loss.detach()
                tokens += count
            if tokens:
                _require_finite("loss", float(loss_sum), progress, run)
                for parameter in model.parameters():
                    if parameter.grad is not None:
                        parameter.grad.div_(tokens)  # the one division, by the true number
                norm = nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)
                _require_finite("gradient", float(norm), progress, run)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                progress.update += 1
                if average:
                    average.update(model, progress.update)
                progress.tokens += tokens
                progress.loss_sum += float(loss_sum)
                progress.loss_tokens += tokens
            if epoch_ended:
                progress.epoch, progress.batch = progress.epoch + 1, 0
                batches = sampler.epoch(progress.epoch)
            progress.seconds = time.monotonic() - started
            display.advance(
                progress.update,
                progress.loss_sum / max(progress.loss_tokens, 1),
                progress.tokens / progress.seconds,
            )
            reason = _limit_reached(settings, progress)
            evaluation_is_due = _evaluation_is_due(settings, progress, epoch_ended, reason)
            if stop.is_set():
                reason, progress.owes_evaluation = "interrupted", evaluation_is_due
            elif evaluation_is_due:
                reason = evaluate() or reason
            due = time.monotonic() - last_checkpoint > 60 * settings.checkpoint_minutes
            if reason or due:
                progress.seconds = time.monotonic() - started
                save_checkpoint(checkpoints, progress, model, optimizer, averaged)
                last_checkpoint = time.monotonic()
        log.write("stop", progress.update, reason=reason, seconds=progress.seconds)
    interrupted = reason == "interrupted"
    display.say(
        f"stopped at update {progress.update:,} after {progress.seconds / 60:.1f} min: {reason}"
    )
    return TrainingResult(reason, interrupted, progress.best, progress)


def _settle(config: RunConfig, run: Path, *, resume: bool) -> tuple[RunConfig, torch.device]:
    """Resolve what depends on the machine, and claim the run directory."""
    existing = run / CONFIG
    # the log begins with training: what failed before it, for want of data, may be tried again
    if (run / LOG).exists() and not resume:
        raise UsageError(
            f"{run}: holds a run already; add --resume to go on with it, or choose another --out"
        )
    if resume and existing.exists() and config.training.precision == "auto":
        # what the machine decided at the start stays decided
        settled = load_config(existing).training.precision
        config = config.model_copy(
            update={"training": config.training.model_copy(update={"precision": settled})}
        )
    if config.data.train == STDIN:
        kept = _keep_standard_input(run, resume=resume)
        config = config.model_copy(update={"data": config.data.model_copy(update={"train": kept})})
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    device = choose_device(config.device)
    precision = choose_precision(config.training.precision, device)
    config = config.model_copy(
        update={"training": config.training.model_copy(update={"precision": precision})}
    )
    atomic_write(existing, dump_toml(config))
    return config, device


def _keep_standard_input(run: Path, *, resume: bool) -> str:
    """Training data is read more than once, also when resuming: a stream is kept in the run."""
    kept = run / "data" / "stdin.tsv"
    if not (resume and kept.exists()):
        with replacing(kept) as partial, partial.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
    return str(kept)


def _optimizer(model: nn.Module, settings: TrainingConfig) -> torch.optim.Optimizer:
    kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    return kind(
        model.parameters(),
        lr=settings.learning_rate,
        betas=(0.9, settings.beta2),
        weight_decay=settings.weight_decay,
        fused=True,
    )


def _require_finite(what: str, value: float, progress: Progress, run: Path) -> None:
    if math.isfinite(value):
        return
    kept = (
        "no model has been kept yet"
        if progress.best is None
        else f"the best model so far is kept in {run / 'model'}"
    )
    raise TrainingError(
        f"the {what} is {value} after update {progress.update:,}; {kept}. Lower "
        "training.learning_rate or training.clip_norm, or set training.precision = 'fp32'"
    )


def _limit_reached(settings: TrainingConfig, progress: Progress) -> str:
    if progress.update >= settings.max_updates:
        return f"training.max_updates = {settings.max_updates:,} reached"
    if settings.max_epochs is not None and progress.epoch >= settings.max_epochs:
        return f"training.max_epochs = {settings.max_epochs} reached"
    if settings.max_minutes is not None and progress.seconds >= 60 * settings.max_minutes:
        return f"training.max_minutes = {settings.max_minutes:g} reached"
    return ""


def _evaluation_is_due(
    settings: TrainingConfig, progress: Progress, epoch_ended: bool, reason: str
) -> bool:
    if not progress.loss_tokens:  # nothing was learnt since the last one
        return False
    if reason:
        return True
    if settings.evaluate_every is None:
        return epoch_ended
    return progress.update % settings.evaluate_every == 0


def _note_scores(settings: TrainingConfig, progress: Progress, scores: HeldOutScores) -> bool:
    """Update best, patience and plateau; whether this is the best so far."""
    value = scores.value(settings.metric)
    sign = 1 if HIGHER_IS_BETTER[settings.metric] else -1
    better = progress.best is None or sign * value > sign * progress.best
    if better:
        progress.best, progress.best_update, progress.worse = value, progress.update, 0
        return True
    progress.worse += 1
    if settings.schedule == "plateau" and progress.worse % settings.plateau_patience == 0:
        progress.plateau_scale *= settings.plateau_factor
    return False


def _give_up(settings: TrainingConfig, progress: Progress) -> str:
    if settings.patience is not None and progress.worse >= settings.patience:
        return (
            f"no better {settings.metric} in {settings.patience} evaluations "
            f"(best {progress.best:.3f} at update {progress.best_update:,})"
        )
    return ""


def _save_model(bundle: Bundle, progress: Progress, scores: HeldOutScores, run: Path) -> None:
    record = {
        **bundle.record,
        "update": progress.update,
        "tokens": progress.tokens,
        "held_out": {
            "loss": scores.loss,
            "bleu": scores.bleu,
            "chrf": scores.chrf,
            "exact_match": scores.exact_match,
            "signature": scores.signature,
            "search": "greedy",
        },
    }
    save_bundle(
        Bundle(
            bundle.config, bundle.model, bundle.source_tokenizer, bundle.target_tokenizer, record
        ),
        run / "model",
    )


def _report(
    display: Display,
    log: RunLog,
    settings: TrainingConfig,
    progress: Progress,
    scores: HeldOutScores,
    better: bool,
    started: float,
) -> None:
    progress.seconds = time.monotonic() - started
    train_loss = progress.loss_sum / max(progress.loss_tokens, 1)
    log.write(
        "evaluation",
        progress.update,
        epoch=progress.epoch,
        seconds=progress.seconds,
        tokens=progress.tokens,
        learning_rate=learning_rate(settings, progress.update, progress.plateau_scale),
        train_loss=train_loss,
        loss=scores.loss,
        perplexity=scores.perplexity,
        bleu=scores.bleu,
        chrf=scores.chrf,
        exact_match=scores.exact_match,
        best=better,
    )
    display.evaluated(progress.update, progress.seconds, train_loss, scores, best=better)
    progress.loss_sum, progress.loss_tokens = 0.0, 0


@contextmanager
def _stop_signal() -> Generator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set; a second Ctrl-C interrupts at once."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event  # only the main thread may handle signals
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if event.is_set():
            raise KeyboardInterrupt
        event.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
