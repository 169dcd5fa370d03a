"""`penstock serve`: translate for others, over HTTP."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from penstock.cli.console import note, write_line
from penstock.cli.line_output import Device, Engine, Threads
from penstock.errors import MissingExtraError, UsageError
from penstock.runtime.engine_choice import EngineName

_PACKAGES = (
    "fastapi",
    "uvicorn",
    "httptools",
    "python_multipart",
    "prometheus_client",
    "py3langid",
)
_PANEL = "Limits"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(short_help="Answer over HTTP, with a page to look at.")(serve)


def _limit(text: str) -> Any:
    return typer.Option(help=text, rich_help_panel=_PANEL)


def serve(
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help="Run directory or bundle, of any task; repeatable. de-en=RUN gives a translation "
            "model's languages by hand (en:pt-br=RUN where a code has a hyphen); default: those "
            "of its configuration, else any.",
        ),
    ] = None,
    run: Annotated[Path | None, typer.Option(help="A run whose curves the page shows.")] = None,
    host: Annotated[str, typer.Option(help="Where to listen; 0.0.0.0: everywhere.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 8000,
    api_keys: Annotated[
        Path | None, typer.Option(help="A file of hashed keys; without it everybody may ask.")
    ] = None,
    new_key: Annotated[
        str | None,
        typer.Option(help="Make a key for this name: its line on stdout, itself on stderr; exit."),
    ] = None,
    precision: Annotated[
        Literal["fp32", "bf16"], typer.Option(help="Of the products; bf16 is faster.")
    ] = "fp32",
    device: Device = "auto",
    engine: Engine = "auto",
    threads: Threads = None,
    max_body: Annotated[int, _limit("Bytes of a request.")] = 128 * 1024,
    max_texts: Annotated[int, _limit("Texts of a request.")] = 50,
    max_characters: Annotated[int, _limit("Characters of a text.")] = 5000,
    queue: Annotated[int, _limit("Texts that wait; more: 503.")] = 256,
    batch_tokens: Annotated[int, _limit("Source pieces searched together.")] = 4096,
    parallel: Annotated[
        int | None,
        _limit("Batches searched at a time, of --threads each; default: 2 if cores allow."),
    ] = None,
    max_wait: Annotated[float, _limit("Seconds that a batch waits to fill.")] = 0.010,
    deadline: Annotated[float, _limit("Seconds of a request; more: 503.")] = 8.0,
    rate: Annotated[float | None, _limit("Requests a minute of a client; more: 429.")] = None,
    trusted_proxy: Annotated[
        list[str] | None, _limit("Address of a proxy whose headers are believed; repeatable.")
    ] = None,
    cors_origin: Annotated[
        list[str] | None, _limit("Web origin whose pages may ask; repeatable.")
    ] = None,
) -> None:
    """Answer over HTTP as LibreTranslate and DeepL do, with a page at / to look at.

    SIGTERM finishes what was taken and ends; SIGHUP loads the models anew without a pause.
    """
    _require_packages()
    if new_key is not None:
        _make_key(new_key)
        return
    if not model and run is None:
        raise UsageError("nothing to serve; give a model with -m RUN, or --run RUN for its curves")
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # one that comes too early ends nothing
    from penstock.serve.models.model_paths import parse_model_path
    from penstock.serve.models.model_set import Models
    from penstock.serve.server import run_server
    from penstock.serve.settings import Settings

    parallel, threads = _share_cores(device, engine, threads, parallel)
    settings = Settings(
        max_body=max_body,
        max_texts=max_texts,
        max_characters=max_characters,
        queue=queue,
        batch_tokens=batch_tokens,
        parallel=parallel,
        max_wait=max_wait,
        deadline=deadline,
        rate=rate,
        api_keys=api_keys,
        trusted_proxies=tuple(trusted_proxy or ()),
        cors_origins=tuple(cors_origin or ()),
        run=run,
    )
    models = Models(
        [parse_model_path(text) for text in model or ()],
        device=device,
        precision=precision,
        engine=engine,
        threads=threads,
    )
    run_server(
        models, settings, host=host, port=port, announce=lambda text: note(f"penstock: {text}")
    )


def _share_cores(
    device: str, engine: EngineName, threads: int | None, parallel: int | None
) -> tuple[int, int]:
    """Batches searched at the same time, and the threads of each.

    Two batches of one thread each are done sooner than one after the other with two threads:
    threads that share an operation wait for each other many times per step.
    """
    from penstock.runtime.engine_choice import has_gpu

    on_gpu = device not in ("cpu", "auto") or (device == "auto" and engine != "onnx" and has_gpu())
    cores = os.cpu_count() or 1
    if parallel is None:
        parallel = 1 if on_gpu else max(1, min(2, cores // (threads or 1)))
    return parallel, threads or max(1, cores // max(1, parallel))


def _require_packages() -> None:
    """Refuse to begin without what the service needs.

    Raises:
        MissingExtraError: a package is absent.
    """
    from importlib.util import find_spec

    if any(find_spec(package) is None for package in _PACKAGES):
        raise MissingExtraError("penstock serve", "serve")


def _make_key(name: str) -> None:
    from penstock.serve.middleware.api_keys import new_key

    key, line = new_key(name)
    write_line(line)
    note(f"penstock: the key, shown only now: {key}")
