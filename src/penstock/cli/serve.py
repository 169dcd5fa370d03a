"""`penstock serve`: serve models over HTTP."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from penstock.cli.console import note, path, write_line
from penstock.cli.line_output import Device, Engine, MatrixPrecision, Threads
from penstock.config.option_model import MOST_THREADS
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


def _limit(text: str, most: float | None = None) -> Any:
    return typer.Option(max=most, help=text, rich_help_panel=_PANEL)


def serve(
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help="Run directory or bundle of any task; repeatable. de-en=RUN sets the languages of "
            "a translation model (en:pt-br=RUN if a code has a hyphen); default: those of its "
            "configuration, or any.",
        ),
    ] = None,
    run: Annotated[
        Path | None, typer.Option(parser=path, help="Run directory whose curves the page shows.")
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 for all interfaces.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 picks a free one.")] = 8000,
    api_keys: Annotated[
        Path | None,
        typer.Option(parser=path, help="File of hashed API keys; without it no key is needed."),
    ] = None,
    new_key: Annotated[
        str | None,
        typer.Option(
            help="Create an API key with this name, print its line for --api-keys to stdout and "
            "the key itself to stderr, and exit."
        ),
    ] = None,
    precision: MatrixPrecision = "fp32",
    device: Device = "auto",
    engine: Engine = "auto",
    threads: Threads = None,
    max_body: Annotated[int, _limit("Maximum bytes per request.", 10**9)] = 128 * 1024,
    max_texts: Annotated[int, _limit("Maximum texts per request.", 10**6)] = 50,
    max_characters: Annotated[int, _limit("Maximum characters per text.", 10**9)] = 5000,
    queue: Annotated[int, _limit("Maximum queued texts; beyond it, 503.", 10**6)] = 256,
    batch_tokens: Annotated[int, _limit("Maximum source pieces per batch.", 10**7)] = 4096,
    parallel: Annotated[
        int | None,
        _limit(
            "Batches computed in parallel, with --threads each; default: 2 if cores allow.",
            MOST_THREADS,
        ),
    ] = None,
    max_wait: Annotated[float, _limit("Seconds that a batch may wait to fill.", 1)] = 0.010,
    deadline: Annotated[
        float, _limit("Maximum seconds per request; beyond it, 503.", 86_400)
    ] = 8.0,
    rate: Annotated[
        float | None, _limit("Maximum requests per minute and client; beyond it, 429.", 10**9)
    ] = None,
    trusted_proxy: Annotated[
        list[str] | None, _limit("Address of a proxy whose headers are trusted; repeatable.")
    ] = None,
    cors_origin: Annotated[
        list[str] | None,
        _limit("Web origin whose pages may call the service, or *; repeatable."),
    ] = None,
    host_name: Annotated[
        list[str] | None,
        _limit(
            "Name by which browsers may reach the service, besides localhost and addresses, or *; "
            "repeatable."
        ),
    ] = None,
) -> None:
    """Serve models over HTTP: LibreTranslate's and DeepL's APIs, our own, and a page at /.

    SIGTERM finishes accepted requests and exits; SIGHUP reloads the models without a pause.
    """
    _require_packages()
    if new_key is not None:
        _make_key(new_key)
        return
    if not model and run is None:
        raise UsageError("nothing to serve; give a model with -m RUN, or --run RUN for its curves")
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # an early one must not end the process
    from penstock.serve.middleware.origin_check import is_address
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
        host_names=(*(host_name or ()), *([host] if host and not is_address(host) else [])),
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
    """The number of parallel batches, and the threads of each.

    Two batches in parallel with one thread each finish sooner than one after the other with two
    threads each: threads that share an operation wait for each other many times per step.
    """
    from penstock.runtime.engine_choice import has_gpu

    on_gpu = device not in ("cpu", "auto") or (device == "auto" and engine != "onnx" and has_gpu())
    cores = os.cpu_count() or 1
    if parallel is None:
        parallel = 1 if on_gpu else max(1, min(2, cores // (threads or 1)))
    return parallel, threads or max(1, cores // max(1, parallel))


def _require_packages() -> None:
    """Raise `MissingExtraError` if a package of the service is not installed."""
    from importlib.util import find_spec

    if any(find_spec(package) is None for package in _PACKAGES):
        raise MissingExtraError("penstock serve", "serve")


def _make_key(name: str) -> None:
    from penstock.serve.middleware.api_keys import new_key

    key, line = new_key(name)
    write_line(line)
    note(f"penstock: the key, shown only once: {key}")
