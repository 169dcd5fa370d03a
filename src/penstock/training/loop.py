"""The training loop, one function, read from top to bottom."""

from __future__ import annotations

import math
import time
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

# first, so that a message about the missing extra names it
import torch  # noqa: F401 # pyright: ignore[reportUnusedImport]
from rich.console import Console

from penstock.bundle import load_bundle, save_bundle
from penstock.config import RunConfig, TrainingConfig
from penstock.errors import TrainingError, visible
from penstock.runtime.pretrained_encoder import fingerprint
from penstock.runtime.torch_cuda_graphs import repeater_of
from penstock.runtime.torch_network import network_files
from penstock.tasks import TASKS
from penstock.training.allocator import keep_freed_memory
from penstock.training.checkpoint import (
    Progress,
    checkpoint_exists,
    load_checkpoint,
    require_same_transformer,
    save_checkpoint,
)
from penstock.training.gradient_sum import GradientSum
from penstock.training.initial_network import require_memory
from penstock.training.learner import HeldOutScores, Learner
from penstock.training.processes import ALONE, Processes, Signals
from penstock.training.progress import Display, RunLog, old_scores, start_summary
from penstock.training.run_directory import (
    CONFIG,
    comparable,
    config_is_whole,
    lock_run,
    prepare_run,
    write_config,
)
from penstock.training.schedule import learning_rate
from penstock.training.start_copy import keep_start
from penstock.training.stop_criteria import (
    evaluation_is_due,
    limit_reached,
    patience_exhausted,
    share_done,
    time_elapsed,
    update_best,
)
from penstock.training.stop_signal import stop_signal
from penstock.training.update import Update
from penstock.training.weight_average import WeightAverage


@dataclass(frozen=True)
class TrainingResult:
    """The outcome of a run.

    Attributes:
        reason: why it stopped.
        interrupted: by Ctrl-C or SIGTERM; continue with `resume=True`.
        best: the best held-out score by the run's metric.
        progress: counters at the end.
    """

    reason: str
    interrupted: bool
    best: float | None
    progress: Progress


def train(
    config: RunConfig,
    run: str | Path,
    *,
    resume: bool = False,
    console: Console | None = None,
    processes: Processes = ALONE,
) -> TrainingResult:
    """Train a model into a run directory.

    The directory gets `config.toml` (as resolved), `log.jsonl`, TensorBoard events, `data/`
    (tokenizers and token store), `checkpoints/` (for resuming) and `model/` (the best bundle).
    A run that is interrupted at any moment and resumed gives the same model, bit for bit, as an
    uninterrupted one, on the same machine with the same number of threads and of processes; only
    a run with a limit in minutes depends on the clock, in its end and its schedule.

    Args:
        config: the run's configuration.
        run: its directory.
        resume: continue from the last checkpoint, if there is one.
        console: for progress; stderr by default. Only the first process reports.
        processes: those that train together; by default this one alone.

    Raises:
        UsageError: the directory holds another run and `resume` is off, or another process is
            training in it.
        DataError: unusable data.
        TrainingError: the loss became NaN or infinite.
    """
    console = console or Console(stderr=True, highlight=False, soft_wrap=True)
    if not processes.is_first:
        return _train(config, Path(run), resume, Console(quiet=True), processes)
    with lock_run(Path(run)):
        return _train(config, Path(run), resume, console, processes)


def _train(
    config: RunConfig, run: Path, resume: bool, console: Console, processes: Processes
) -> TrainingResult:

    def report(text: str) -> None:
        console.print(visible(text), markup=False)

    begun = time.monotonic()
    with processes.first_process_first():
        config, device = prepare_run(config, run, report, processes, resume=resume)
        copied = resume or not processes.is_first
        config = keep_start(config, run, resume=copied, report=report)
    processes.require_same(comparable(config))
    learning = TASKS[config.task].learning()
    require_memory(learning.network, config, device)
    if resume and not config_is_whole(run):
        report(f"{run / CONFIG}: edited since the run wrote it; it counts as it stands")
    if not resume and processes.is_first:
        write_config(config, run)  # now, so that an early interruption can be resumed
    keep_freed_memory()
    settings = config.training
    folder = Path(config.data.cache or run / "data")
    checkpoints = run / "checkpoints"
    with processes.first_process_first():
        learner = learning.learner(
            config,
            folder,
            device,
            report,
            from_scratch=not (resume and checkpoint_exists(checkpoints)),
        )
    processes.require_same({"the fingerprint of the training data": learner.fingerprint})
    processes.seed(config.seed)
    model = learner.network
    repeat = repeater_of(device, report)
    update = Update(model, settings, repeat=repeat)
    optimizer = update.optimizer
    average = WeightAverage(model, settings.average_decay) if settings.average_decay else None
    averaged = average.values if average else None
    done = load_checkpoint(checkpoints, model, optimizer, averaged, processes) if resume else None
    progress = Progress(data=learner.fingerprint, transformer=fingerprint(model))
    if done:
        require_same_transformer(done[0], progress, config)
        progress, learner.carried = done
        if progress.best is not None and processes.is_first:
            load_bundle(run / "model")  # nothing goes on beside a model that is damaged
    if resume and processes.is_first:
        write_config(config, run)  # only now: the settings fit the checkpoint
    kept = progress.update if done else None
    log = RunLog(run, until_update=kept, report=report, enabled=processes.is_first)
    display = Display(console)
    parameters = sum(p.numel() for p in model.parameters())
    frozen = sum(p.numel() for p in model.parameters() if not p.requires_grad)
    display.print(
        f"{learner.summary}, {parameters / 1e6:.1f} M parameters"
        + (f" ({frozen / 1e6:.1f} M frozen)" if frozen else "")
        + f", {settings.precision} on {device}"
        + processes.summary(progress.processes if done else processes.count)
        + (f"; going on from update {progress.update:,}" if done else "")
        + ("; no checkpoint to go on from: starting at update 0" if resume and not done else "")
    )
    if progress.data != learner.fingerprint:
        display.print("warning: the training data is not what it was when the run was interrupted")
        progress.data = learner.fingerprint
    progress.processes = processes.count
    started = time.monotonic() - progress.seconds if done else begun
    last_checkpoint, has_checkpoint = time.monotonic(), done is not None

    def on_split(shape: str) -> None:
        parts, number = progress.parts, progress.update + 1
        display.print(
            f"out of memory on {device} at update {number:,}, for a batch of {shape}: batches are "
            f"computed in {parts} parts from now on; to fit without, lower training.batch_tokens"
        )
        log.write("out of memory", number, batch=shape, parts=parts)

    gradients = GradientSum(
        learner, settings, update, progress, device, repeat=repeat, on_split=on_split
    )
    job = _Job(learner, settings, average, run, log, display, started, processes)
    model.train()
    with closing(display), closing(log), stop_signal() as stop:
        reason = ""
        if done:  # the run may have ended, or been interrupted just before an evaluation
            owes = progress.owes_evaluation
            given_up = _evaluate(job, progress) if owes else patience_exhausted(settings, progress)
            reason = limit_reached(settings, progress) or given_up
        elif config.start.model is not None:
            _evaluate(job, progress)  # what the model can do before it learns more
        share = processes.share(settings.accumulate)
        batches = learner.batches(progress.epoch, skip=progress.batch, share=share)
        while not reason:
            tokens, epoch_ended = 0, False
            for _ in range(settings.accumulate):
                batch = next(batches, None)
                if batch is None:
                    epoch_ended = True
                    break
                progress.batch += processes.count
                tokens += gradients.add(batch)
            gradients.finish()
            now = time.monotonic()
            due = now - last_checkpoint > 60 * settings.checkpoint_minutes
            tokens, epoch_ended, stopped, progress.seconds, due = processes.agree(
                Signals(tokens, epoch_ended, stop.is_set(), now - started, due)
            )
            if tokens:
                processes.sum_gradients(update.parameters, update.loss)
                rate = _rate(settings, progress)
                update.step(tokens, rate)
                progress.update += 1
                if average:
                    average.update(model, progress.update)
                progress.tokens += tokens
                progress.loss_tokens += tokens
            if epoch_ended:
                progress.epoch, progress.batch = progress.epoch + 1, 0
                batches = learner.batches(progress.epoch, share=share)
            reason = limit_reached(settings, progress)
            must_evaluate = evaluation_is_due(settings, progress, epoch_ended, reason)
            # alone: also if the signal came during the update
            stopped = stopped or (processes.count == 1 and stop.is_set())
            if update.must_read or must_evaluate or reason or due or stopped:
                _read_losses(update, progress, run)
                display.advance(
                    progress.update,
                    share_done(settings, progress),
                    progress.loss_sum / max(progress.loss_tokens, 1),
                    progress.tokens / progress.seconds,
                )
            if stopped:
                reason, progress.owes_evaluation = "interrupted", must_evaluate
            elif must_evaluate:
                reason = _evaluate(job, progress) or reason
            # a saved model always has a checkpoint, so that a killed run can resume
            if reason or due or (must_evaluate and not has_checkpoint):
                progress.seconds = time.monotonic() - started
                save_checkpoint(
                    checkpoints, progress, model, optimizer, averaged, learner.carried, processes
                )
                last_checkpoint, has_checkpoint = time.monotonic(), True
        log.write("stop", progress.update, reason=reason, seconds=progress.seconds)
    interrupted = reason == "interrupted"
    if config.start.model is not None:
        display.print(start_summary(run, settings))
    display.print(
        f"stopped at update {progress.update:,} after {progress.seconds / 60:.1f} min: {reason}"
    )
    return TrainingResult(reason, interrupted, progress.best, progress)


def _rate(settings: TrainingConfig, progress: Progress) -> float:
    """The learning rate of the next update."""
    elapsed = time_elapsed(settings, progress)
    return learning_rate(settings, progress.update, progress.plateau_scale, elapsed=elapsed)


def _read_losses(update: Update, progress: Progress, run: Path) -> None:
    """Add up the losses of the last updates; each must be finite, as must the gradient's norm."""
    outcomes = update.read()
    for number, (loss, norm) in enumerate(outcomes, progress.update - len(outcomes)):
        _require_finite("loss", loss, number, progress, run)
        _require_finite("gradient", norm, number, progress, run)
        progress.loss_sum += loss


def _require_finite(what: str, value: float, update: int, progress: Progress, run: Path) -> None:
    if math.isfinite(value):
        return
    kept = (
        "no model has been kept yet"
        if progress.best is None
        else f"the best model so far is kept in {run / 'model'}"
    )
    raise TrainingError(
        f"the {what} is {value} after update {update:,}; {kept}. Lower "
        "training.learning_rate or training.clip_norm, or set training.precision = 'fp32'"
    )


@dataclass(frozen=True)
class _Job:
    """What an evaluation needs and no update changes; `started` is on the monotonic clock."""

    learner: Learner[Any]
    settings: TrainingConfig
    average: WeightAverage | None
    run: Path
    log: RunLog
    display: Display
    started: float
    processes: Processes


def _evaluate(job: _Job, progress: Progress) -> str:
    """Score, save the model if it is the best, report; return a reason to stop, if any."""
    model, settings = job.learner.network, job.settings
    begun = progress.seconds
    with job.average.in_place(model) if job.average else nullcontext():
        model.eval()
        scores = job.learner.evaluate(job.processes)
        model.train()
        _require_finite("held-out loss", scores.loss, progress.update, progress, job.run)
        better = update_best(settings, progress, scores)
        if (better or settings.keep == "last") and job.processes.is_first:
            _save_model(job, progress, scores)
    progress.seconds = job.processes.clock(time.monotonic() - job.started)
    progress.evaluated_at = progress.seconds
    progress.evaluation_seconds, progress.evaluated = progress.seconds - begun, progress.update
    train_loss = progress.loss_sum / progress.loss_tokens if progress.loss_tokens else None
    job.log.write(
        "evaluation",
        progress.update,
        epoch=progress.epoch,
        seconds=progress.seconds,
        tokens=progress.tokens,
        learning_rate=_rate(settings, progress),
        train_loss=train_loss,
        loss=scores.loss,
        perplexity=scores.perplexity,
        **scores.metrics,
        **old_scores(scores),
        best=better,
    )
    job.display.show_scores(progress.update, progress.seconds, train_loss, scores, best=better)
    progress.loss_sum, progress.loss_tokens, progress.owes_evaluation = 0.0, 0, False
    return patience_exhausted(settings, progress)


def _save_model(job: _Job, progress: Progress, scores: HeldOutScores) -> None:
    record = {
        **job.learner.bundle.record,
        "update": progress.update,
        "tokens": progress.tokens,
        "held_out": {"loss": scores.loss, **scores.metrics, **scores.recipe},
    }
    files = network_files(job.learner.network)
    save_bundle(replace(job.learner.bundle, record=record, files=files), job.run / "model")
