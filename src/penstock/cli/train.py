"""`penstock train` and `penstock demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from penstock.cli.column_flags import (
    Columns,
    LanguageColumn,
    OptionalHeaderRow,
    number_or_name,
    one_or_several,
)
from penstock.cli.console import note, path, write_line
from penstock.errors import PenstockError, UsageError
from penstock.tasks import TASKS

if TYPE_CHECKING:
    from penstock.config import RunConfig


HELD_OUT = "held-out.jsonl"
_TAB = r"\t"


def train(
    context: typer.Context,
    data: Annotated[
        list[str] | None,
        typer.Argument(
            help="Configuration (.toml), files of pairs, a quoted glob, a folder of Parquet files, "
            "two line-parallel files, or 'builtin'.",
            show_default=False,
        ),
    ] = None,
    valid: Annotated[
        str | None,
        typer.Option(
            help="Held-out file; several, or two parallel, as A,B. Default: hold out some data."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(parser=path, help="Run directory. Default: runs/NAME.")
    ] = None,
    columns: Columns = None,
    language_column: LanguageColumn = None,
    header: OptionalHeaderRow = None,
    on_error: Annotated[
        Literal["stop", "skip"] | None, typer.Option(help="What to do with unusable lines.")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(help="Train for this time. Default: until held-out scores stop rising."),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override a key (docs/configuration.md): --set model.cell=gru"),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option("--from", help="Go on from a model: its run directory or bundle."),
    ] = None,
    replay: Annotated[
        str | None,
        typer.Option(
            help="With --from: old data to mix in, and their share of the batches: FILE:0.3; two "
            "parallel files as A,B:0.3."
        ),
    ] = None,
    extend_vocabulary: Annotated[
        bool,
        typer.Option("--extend-vocabulary", help="With --from: add the data's new symbols."),
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Resume an interrupted run.")] = False,
    processes: Annotated[
        int, typer.Option(min=1, max=1024, help="Processes on this machine that train together.")
    ] = 1,
) -> None:
    """Train a model from a configuration, or directly from a file of pairs.

    What you do not set is chosen from the data.
    """
    import os

    # torch's own account of a lost connection, with addresses of its code
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "FATAL")
    from penstock.files import require_no_input
    from penstock.training.loop import train as run_training
    from penstock.training.process_group import restarted, training_processes

    flags = data_flags(valid, columns, on_error, minutes, header, language_column)
    flags |= _start_flags(start, replay, extend_vocabulary)
    config, name = run_config(data or [], flags, overrides or [], out if resume else None)
    run = out or Path("runs") / name
    resume = resume or restarted()
    if not resume:
        require_no_input(run / "config.toml", data or ())
    with training_processes(processes, context.find_root().obj) as group:
        result = run_training(config, run, resume=resume, processes=group)
    if not group.is_first:
        raise typer.Exit(130 if result.interrupted else 0)
    if result.interrupted:
        note(f"to resume: penstock train --resume --out {run}")
        raise typer.Exit(130)
    finish_run(config, run)


def finish_run(config: RunConfig, run: Path) -> None:
    """Complete the model of a run that has ended, and say where it is."""
    _complete(config, run)
    note(f"model: {run / 'model'}   try: {_trial(config, run)}")
    write_line(str(run))


def _trial(config: RunConfig, run: Path) -> str:
    """A command that uses the model of a run."""
    from penstock.bundle import load_bundle

    trial, columns = TASKS[config.task].trial, config.data.source_columns
    if len(columns) == 2 and config.data.language_column is not None:
        return f"{trial} -m {run} --to {load_bundle(run).target_languages[0]}"
    if columns:
        trial = trial.replace("echo TEXT", rf"printf '{_TAB.join(['TEXT'] * len(columns))}\n'")
    return f"{trial} -m {run}"


def _complete(config: RunConfig, run: Path) -> None:
    from penstock.tasks.finished_run import complete_run

    for report in complete_run(config, run):
        note(report)


def data_flags(
    valid: str | None,
    columns: str | None,
    on_error: str | None,
    minutes: float | None = None,
    header: str | None = None,
    language: str | None = None,
) -> dict[str, Any]:
    """The flags' values by configuration key."""
    from penstock.data.formats.column_choice import parse_columns

    values = {
        "data.valid": None if valid is None else one_or_several(valid),
        "data.columns": None if columns is None else parse_columns(columns),
        "data.language_column": number_or_name(language),
        "data.header": header,
        "data.on_error": on_error,
        "training.max_minutes": minutes,
    }
    return {key: value for key, value in values.items() if value is not None}


def _start_flags(start: str | None, replay: str | None, extend: bool) -> dict[str, Any]:
    """The flags of a run that goes on from a model, by configuration key."""
    from penstock.training.run_settings import start_values

    old, share = (None, None) if replay is None else _file_and_share(replay)
    data = None if old is None else one_or_several(old)
    return start_values(start, data if share is None else (data, share), extend=extend)


def _file_and_share(replay: str) -> tuple[str, float | None]:
    """FILE or FILE:SHARE."""
    file, colon, share = replay.rpartition(":")
    if not colon or Path(replay).exists():
        return replay, None
    try:
        return file, float(share)
    except ValueError:
        return replay, None


def run_config(
    data: list[str], flags: dict[str, Any], overrides: list[str], resumed: Path | None
) -> tuple[RunConfig, str]:
    """The run's configuration and a name for it."""
    from penstock.config import load_config, parse_config
    from penstock.training.run_settings import run_name
    from penstock.training.start_defaults import start_defaults

    if not data:
        if resumed is None:
            raise UsageError(
                "give a configuration or a file of pairs, for example: penstock train pairs.tsv; "
                "to resume a run: penstock train --resume --out RUN"
            )
        if not (resumed / "config.toml").is_file():
            raise UsageError(f"{resumed}: no run to resume (it has no config.toml)")
        return load_config(resumed / "config.toml", overrides, values=flags), resumed.name
    if data[0].endswith(".toml"):
        if len(data) > 1:
            raise UsageError(f"{data[1]!r}: a configuration names its data itself")
        return load_config(data[0], overrides, values=flags, defaults=start_defaults), Path(
            data[0]
        ).stem
    values = {"data.train": data[0] if len(data) == 1 else data, **flags}
    config = parse_config(
        {}, overrides, values=values, defaults=start_defaults, place="command line"
    )
    return config, run_name(data[0])


def demo(
    out: Annotated[Path, typer.Option(parser=path, help="Run directory.")] = Path("runs/demo"),
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Override a key of the demo's configuration.")
    ] = None,
) -> None:
    """Train on the built-in corpus, then evaluate on unseen sentences; takes a few minutes."""
    import json

    from penstock.config import parse_config
    from penstock.data.grammar import builtin_split
    from penstock.files import atomic_write
    from penstock.metrics import score_corpus
    from penstock.tasks.translation.demo import DEMO
    from penstock.tasks.translation.translator import Translator
    from penstock.training.loop import train as run_training

    config = parse_config(DEMO, overrides or [], place="demo")
    _remove_demo(out)
    unseen = builtin_split(train=config.data.max_pairs or 30_000).test
    lines = [
        json.dumps({"source": p.source, "targets": list(p.targets)}, ensure_ascii=False)
        for p in unseen
    ]
    atomic_write(out / HELD_OUT, "\n".join(lines) + "\n")
    result = run_training(config, out)
    if result.interrupted:
        note(
            f"to resume: penstock train --resume --out {out}   then: penstock evaluate -m {out} "
            f"{out / HELD_OUT}"
        )
        raise typer.Exit(130)
    _complete(config, out)
    note(f"translating {len(unseen):,} unseen sentences …")
    texts = [t.text for t in Translator.load(out).translate([p.source for p in unseen])]
    scores = score_corpus(texts, [p.targets for p in unseen])
    if not result.progress.update or scores.bleu is None:
        raise PenstockError("the demo trained nothing")
    for pair, text in list(zip(unseen, texts, strict=True))[:12]:
        mark = "=" if text in pair.targets else "≠"
        write_line(f"{pair.source}\t{text}\t{mark}")
    write_line(
        f"BLEU {scores.bleu:.1f}  chrF {scores.chrf:.1f}  exact {scores.exact_match:.1f}%  on "
        f"{scores.sentences:,} unseen sentences  {scores.signature}"
    )
    note(f"now try: echo 'She does not see them.' | penstock translate -m {out}")
    note(f"or translate in the browser: penstock export -m {out} --web demo-page --open")


def _remove_demo(out: Path) -> None:
    """Remove the files of an earlier demo, and nothing else.

    Raises:
        UsageError: the directory holds another run.
    """
    import shutil

    from penstock.config import load_config

    kept = out / "config.toml"
    if not kept.is_file():
        return
    if not (out / HELD_OUT).is_file() or load_config(kept).data.train != "builtin":
        raise UsageError(f"{out}: already holds a run that is not a demo; choose another --out")
    for name in ("config.toml", "log.jsonl", HELD_OUT, "curves.svg"):
        (out / name).unlink(missing_ok=True)
    for name in ("data", "checkpoints", "model", "tensorboard"):
        shutil.rmtree(out / name, ignore_errors=True)
