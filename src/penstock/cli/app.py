"""The `penstock` command: a verb's module is imported when the verb is used."""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any, cast

import typer
from typer.core import TyperGroup

from penstock.cli.console import note
from penstock.errors import (
    BundleWarning,
    PeerError,
    PenstockError,
    is_out_of_memory,
    train_extra,
)
from penstock.version import __version__

# where in this folder each verb is, and what it does
VERBS: dict[str, tuple[str, str]] = {
    "train": ("train.train", "Train a model from a configuration or a data file."),
    "demo": ("train.demo", "Train, evaluate and translate on the built-in corpus."),
    "sweep": ("sweep.sweep", "Train with several settings and seeds, and compare."),
    "distill": ("distill.distill", "Train a small model on what larger ones translate."),
    "translate": ("translate.translate", "Translate lines of text."),
    "evaluate": ("evaluate.evaluate", "Evaluate a model on held-out data."),
    "score": ("evaluate.score", "Print the probability of pairs or lines."),
    "compare": ("compare.compare", "Compare models, with confidence intervals."),
    "export": ("export.export", "Export a model that runs without torch."),
    "push": ("push.push", "Put a model on the Hugging Face hub."),
    "generate": ("generate.generate", "Generate text with a language model."),
    "classify": ("annotate.classify", "Classify lines of text."),
    "fill": ("annotate.fill", "Fill in the blanks of lines."),
    "embed": ("annotate.embed", "Print a contextual vector for each token."),
    "inspect": ("inspect.inspect", "Show how a model translates a sentence."),
    "serve": ("serve.serve", "Serve models over HTTP, with a web page."),
    "plot": ("plot.plot", "Plot the learning curves of runs."),
    "draw": ("draw.draw", "Draw a network unrolled over time."),
    "learn": ("learn.app", "List and check the chapter's exercises; write notebooks."),
    "info": ("info.info", "Describe a model and its scores."),
    "doctor": ("info.doctor", "Check this machine's setup."),
    "data": ("corpora.app", "List, fetch, check, clean, split and measure corpora."),
    "bench": ("bench.app", "Measure speed and memory on this machine."),
}
_SETTINGS: dict[str, Any] = {
    "add_completion": False,
    "pretty_exceptions_enable": False,
    "rich_markup_mode": None,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}


@cache
def _command(name: str) -> Any:
    """A verb as Typer's command; imports its module, so that a verb waits for no other."""
    place, summary = VERBS[name]
    module, _, attribute = place.partition(".")
    verb = getattr(import_module(f"penstock.cli.{module}"), attribute)
    alone = typer.Typer(**_SETTINGS)
    if isinstance(verb, typer.Typer):
        alone.add_typer(verb, name=name)
        return cast(Any, typer.main.get_command(alone)).commands[name]
    alone.command(name, short_help=summary)(verb)
    return typer.main.get_command(alone)


class _Verbs(Mapping[str, Any]):
    """Typer's commands by name, each made when it is asked for."""

    def __getitem__(self, name: str) -> Any:
        return _command(name)

    def __iter__(self) -> Iterator[str]:
        return iter(VERBS)

    def __len__(self) -> int:
        return len(VERBS)


class _Group(TyperGroup):
    """Import one verb at a time and report an interruption; Typer imports all and reports none."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.commands = _Verbs()

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in VERBS.items()])

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
    **_SETTINGS,
)


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
    warnings.showwarning = _show_warning
    for argument in arguments:
        if "\0" in argument:  # no shell can give one
            note(f"penstock: {argument}: has a NUL character; remove it")
            return 2
    try:
        with train_extra("this command"):
            result = app(arguments, prog_name="penstock", standalone_mode=False, obj=arguments)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except typer.Exit as stop:
        return stop.exit_code
    except _ParserError as error:
        shown = io.StringIO()
        cast(Any, error).show(shown)
        note(shown.getvalue().rstrip("\n"))
        return 2
    except PeerError as error:
        return error.exit_code
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
        if not is_out_of_memory(error):
            raise
        note(
            "penstock: not enough memory; lower model.hidden_size, training.batch_tokens, the "
            "vocabulary or the beam size"
        )
        return 1


def _show_warning(message: Warning | str, category: type[Warning], *place: Any) -> None:
    if issubclass(category, BundleWarning):
        note(f"penstock: {message}")
    else:
        _USUAL_WARNING(message, category, *place)


_USUAL_WARNING = warnings.showwarning


def _abandon_stdout() -> None:
    """Discard what is still buffered: Python would fail to write it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
