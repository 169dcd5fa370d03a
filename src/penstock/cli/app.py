"""The `penstock` command: what is imported here is imported by `--help` too, so no torch."""

from __future__ import annotations

import io
import os
import sys
from typing import Any, cast

import typer
from typer.core import TyperGroup

from penstock.cli import (
    annotate,
    bench,
    corpora,
    data,
    distill,
    draw,
    evaluate,
    export,
    generate,
    info,
    inspect,
    plot,
    serve,
    train,
    translate,
)
from penstock.cli.console import note
from penstock.errors import PenstockError, train_extra
from penstock.version import __version__


class _Group(TyperGroup):
    """Report an interruption; Typer itself exits silently."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            note("penstock: interrupted")
            raise typer.Exit(130) from None


app = typer.Typer(
    name="penstock",
    cls=_Group,
    help="Train, evaluate and use gated recurrent sequence models, from plain text.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command, summary in {
    train.train: "Train a model from a configuration or a data file.",
    train.demo: "Train, evaluate and translate on the built-in corpus.",
    distill.distill: "Train a small model on what larger ones translate.",
    translate.translate: "Translate lines of text.",
    evaluate.evaluate: "Evaluate a model on held-out data.",
    evaluate.score: "Print the probability of pairs or lines.",
    export.export: "Export a model that runs without torch.",
    generate.generate: "Generate text with a language model.",
    annotate.classify: "Classify lines of text.",
    annotate.fill: "Fill in the blanks of lines.",
    annotate.embed: "Print a contextual vector for each token.",
    inspect.inspect: "Show how a model translates a sentence.",
    serve.serve: "Serve models over HTTP, with a web page.",
    plot.plot: "Plot the learning curves of runs.",
    draw.draw: "Draw a network unrolled over time.",
    info.info: "Describe a model and its scores.",
    info.doctor: "Check this machine's setup.",
}.items():
    app.command(short_help=summary)(command)
app.add_typer(data.app, name="data")
app.add_typer(bench.app, name="bench")

__all__ = ["app", "corpora", "main"]


def _show_version(requested: bool) -> None:
    if requested:
        typer.echo(f"penstock {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False,  # noqa: FBT003 (Typer's signature)
        "--version",
        callback=_show_version,
        is_eager=True,
        help="Show the version and exit.",
    ),
) -> None:
    pass


# the parser's error class, via a public name: newer versions of Typer vendor Click
_ParserError = cast("type[Exception]", typer.BadParameter.__mro__[2])


def main() -> None:
    """Run a command and exit: 0 success, 1 failure, 2 usage error, 130 interrupted."""
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # regardless of the locale
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))


def _open_closed_streams() -> None:
    """Replace streams that the caller closed (`<&-`, `>&-`).

    Using a replacement is reported as a bad descriptor, but messages to stderr vanish. It also
    keeps our own files from getting descriptors 0 to 2, to which libraries write messages.
    """
    if sys.stdin is None:
        sys.stdin = os.fdopen(os.open(os.devnull, os.O_WRONLY), closefd=False)
    if sys.stdout is None:
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", closefd=False)


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code."""
    try:
        with train_extra("this command"):
            result = app(arguments, prog_name="penstock", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except typer.Exit as stop:
        return stop.exit_code
    except _ParserError as error:
        cast(Any, error).show(sys.stderr)
        return 2
    except PenstockError as error:
        note(f"penstock: {error}")
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        note("penstock: interrupted")
        return 130
    except (BrokenPipeError, SystemExit):  # Typer turns the first into the second
        # the reader has gone (head, less)
        _abandon_stdout()
        return 0
    except OSError as error:
        place = "" if error.filename is None else f"{error.filename}: "
        note(f"penstock: {place}{error.strerror or error}; check the path, the rights and the disk")
        try:
            sys.stdout.flush()
        except OSError:
            _abandon_stdout()
        return 1
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        note(
            "penstock: not enough memory; lower model.hidden_size, training.batch_tokens, the "
            "vocabulary or the beam size"
        )
        return 1


def _abandon_stdout() -> None:
    """Discard what is still buffered: Python would fail to write it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _is_out_of_memory(error: Exception) -> bool:
    # torch has its own exception for GPUs only
    messages = ("can't allocate memory", "not enough memory", "out of memory")
    return isinstance(error, MemoryError) or any(text in str(error) for text in messages)
