"""`penstock train` and `penstock demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli.console import note, write_line
from penstock.errors import PenstockError, UsageError

if TYPE_CHECKING:
    from penstock.config import RunConfig


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(train)
    app.command()(demo)


def train(
    data: Annotated[
        list[str] | None,
        typer.Argument(
            help="A configuration (.toml), a file of pairs, two line-parallel files, or 'builtin'.",
            show_default=False,
        ),
    ] = None,
    valid: Annotated[
        str | None,
        typer.Option(help="Held-out pairs; two parallel files as A,B. Default: hold some out."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run directory. Default: runs/NAME.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Override a key: --set model.cell=gru")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
) -> None:
    """Train a model from a configuration or straight from a file of pairs."""
    from penstock.training.loop import train as run_training

    config, name = _config(data or [], valid, overrides or [], out if resume else None)
    run = out or Path("runs") / name
    result = run_training(config, run, resume=resume)
    if result.interrupted:
        note(f"to go on: penstock train --resume --out {run}")
        raise typer.Exit(130)
    note(f"model: {run / 'model'}   try: echo TEXT | penstock translate -m {run}")
    write_line(str(run))


def _config(
    data: list[str], valid: str | None, overrides: list[str], resumed: Path | None
) -> tuple[RunConfig, str]:
    """The run's configuration and a name for it."""
    from penstock.config import load_config, parse_config

    if not data:
        if resumed is None:
            raise UsageError(
                "give a configuration or a file of pairs, for example: penstock train pairs.tsv"
            )
        return load_config(resumed / "config.toml", overrides), resumed.name
    held_out = [] if valid is None else [f"data.valid={_toml(valid.split(','))}"]
    if data[0].endswith(".toml"):
        if len(data) > 1:
            raise UsageError(f"{data[1]!r}: a configuration names its data itself")
        return load_config(data[0], [*held_out, *overrides]), Path(data[0]).stem
    if len(data) > 2:
        raise UsageError(f"{len(data)} files: give one file of pairs, or two parallel files")
    pairs = [f"data.train={_toml(data)}"]
    name = Path(data[0]).name.split(".")[0] if data[0] != "-" else "stdin"
    return parse_config({}, [*pairs, *held_out, *overrides], place="command line"), name


def _toml(paths: list[str]) -> str:
    import json

    return json.dumps(paths[0] if len(paths) == 1 else paths)


def demo(
    out: Annotated[Path, typer.Option(help="Run directory.")] = Path("runs/demo"),
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Override a key of the demo's configuration.")
    ] = None,
) -> None:
    """Train on the built-in corpus, evaluate on unseen sentences, translate some: minutes."""
    import json
    import shutil

    from penstock.config import parse_config
    from penstock.data.grammar import builtin_split
    from penstock.demo import DEMO
    from penstock.files import atomic_write
    from penstock.metrics import score_corpus
    from penstock.training.loop import train as run_training
    from penstock.translator import Translator

    if (out / "held-out.jsonl").exists():
        shutil.rmtree(out)  # a demo leaves nothing that cannot be made again
    config = parse_config(DEMO, overrides or [], place="demo")
    result = run_training(config, out)
    if result.interrupted:
        raise typer.Exit(130)
    unseen = builtin_split(train=config.data.max_pairs or 30_000).test
    lines = [
        json.dumps({"source": p.source, "targets": list(p.targets)}, ensure_ascii=False)
        for p in unseen
    ]
    atomic_write(out / "held-out.jsonl", "\n".join(lines) + "\n")
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
