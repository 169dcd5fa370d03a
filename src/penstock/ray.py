"""Translation on a Ray cluster: shards of files, or a column of any Ray data set.

Ray Data hands the work to actors, each with a copy of the models, which travel with the job: a
worker needs penstock and ONNX Runtime, no torch and no file of the models. The extra is `ray`.
"""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, cast

from penstock.bulk.shard_translation import ShardReport, shard_translator
from penstock.bulk.shards import Shard, partial_files
from penstock.bundle import find_bundle
from penstock.errors import MissingExtraError, PenstockError, UsageError
from penstock.tasks.translation.search_options import SearchOptions
from penstock.tasks.translation.translation_job import TranslationJob

if TYPE_CHECKING:
    from ray.data import Dataset

_TRIES = 3  # of a shard whose worker dies
_CONNECT_SECONDS = 10.0
_BATCH = 1024

Files = Mapping[str, bytes]  # of a bundle


def translate(
    dataset: Dataset,
    *,
    model: str | Path | Sequence[str | Path],
    column: str = "text",
    output: str = "translation",
    options: SearchOptions | None = None,
    to: str | None = None,
    workers: int | None = None,
) -> Dataset:
    """Add the translations of a column, and the status of each, to a Ray data set.

    The work begins when the result is used. Rows keep their order as Ray Data keeps it.

    Args:
        dataset: with a column of texts.
        model: run directory, bundle or `hf://owner/name`; several form an ensemble.
        column: of the texts.
        output: the new column; statuses go to `{output}_status`.
        options: how to search.
        to: target language of a model that has several.
        workers: how many actors, each with one processor core; default: as many as fit.

    Raises:
        BundleError: see `load_bundle`.
        UsageError: the data set has no such column, or an impossible option.
        MissingExtraError: ray is not installed.
    """
    ray = _ray()
    columns: list[str] | None = dataset.columns()
    if columns is not None and column not in columns:
        raise UsageError(f"column {column!r}: the data set has {', '.join(columns)}")
    names = (model,) if isinstance(model, str | Path) else model
    job = TranslationJob(
        models=tuple(map(str, names)), options=options or SearchOptions(), to=to, device="cpu"
    ).checked()
    return dataset.map_batches(
        _ColumnTranslator,
        fn_constructor_args=(job, ray.put(_packed(job)), column, output),
        batch_size=_BATCH,
        **_actors(ray, workers),
    )


def translate_on_ray(
    job: TranslationJob, shards: Sequence[Shard], *, address: str
) -> Iterator[ShardReport]:
    """Translate shards on a cluster; yield a report on each as it is done.

    All nodes must see the files under the same paths. When a worker dies, its shard is translated
    by another; a shard at which several die has no report.

    Args:
        job: what is done to each shard.
        shards: in the order in which they are begun.
        address: of the cluster; `auto` is the one that runs here, or a new one of this machine, and
            `local` always a new one.

    Raises:
        PenstockError: the cluster cannot be reached.
        MissingExtraError: ray is not installed.
    """
    ray = _ray()
    _connect(ray, address)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.max_errored_blocks = -1  # the shard is named at the end
    rows = [{"source": str(s.source), "output": str(s.output), "shown": s.shown} for s in shards]
    reports = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
        _ShardTranslator,
        fn_constructor_args=(job, ray.put(_packed(job))),
        batch_size=1,
        **_actors(ray, min(len(rows), _cores(ray))),
    )
    try:
        for row in reports.iter_rows():
            yield ShardReport(**json.loads(row["report"]))
    except (ray.exceptions.RayError, ConnectionError) as error:
        raise PenstockError(
            f"--ray {address}: the cluster failed: {_first_line(error)}; give the same command "
            "again: what is done stays"
        ) from None


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        ray, *_ = (import_module(name) for name in ("ray", "ray.data", "ray.exceptions"))
    except ModuleNotFoundError as error:
        raise MissingExtraError("translating on a cluster", "ray", error.name or "ray") from None
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return ray


def _connect(ray: Any, address: str) -> None:
    if ray.is_initialized():
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        if host:  # Ray would try for minutes
            with socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS):
                pass
        ray.init(
            address=None if address == "auto" else address,
            logging_level=logging.ERROR,
            log_to_driver=False,
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise PenstockError(
            f"--ray {address}: no cluster can be reached: {_first_line(error)}; start one with "
            "'ray start --head', or check the address"
        ) from None


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _cores(ray: Any) -> int:
    return max(1, int(ray.cluster_resources().get("CPU", 1)))


def _actors(ray: Any, workers: int | None) -> dict[str, Any]:
    """Arguments of `map_batches`: the actors, which Ray Data replaces when they die."""
    return {
        "compute": ray.data.ActorPoolStrategy(min_size=1, max_size=workers or _cores(ray)),
        "num_cpus": 1,
    }


def _packed(job: TranslationJob) -> list[Files]:
    """The files of a job's models."""
    return [
        {path.name: path.read_bytes() for path in find_bundle(model).iterdir() if path.is_file()}
        for model in job.models
    ]


@contextmanager
def _unpacked(job: TranslationJob, models: Any) -> Generator[TranslationJob]:
    """The job, with its models in folders of this worker until they are loaded."""
    import ray

    with TemporaryDirectory(prefix="penstock-model-") as parent:
        folders: list[Path] = []
        for files in cast(list[Files], ray.get(models)):
            folders.append(Path(parent) / str(len(folders)))
            folders[-1].mkdir()
            for name, content in files.items():
                (folders[-1] / name).write_bytes(content)
        yield replace(job, models=tuple(map(str, folders)))


class _ShardTranslator:
    """An actor that translates shards."""

    def __init__(self, job: TranslationJob, models: Any) -> None:
        with _unpacked(job, models) as own:
            self._translate = shard_translator(own)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        rows = zip(*(batch[name] for name in _COLUMNS), strict=True)
        shards = [Shard(Path(source), Path(output), shown) for source, output, shown in rows]
        return {"report": [json.dumps(self._report(shard).to_plain()) for shard in shards]}

    def _report(self, shard: Shard) -> ShardReport:
        # Ray Data retries for ever; each worker that died has left a file
        died = len(partial_files(shard))
        if died < _TRIES:
            return self._translate(shard)
        what = f"{died} workers that translated it died; is there enough memory on the nodes?"
        return ShardReport(shard=shard.name, problem=f"{shard.shown}: {what}")


_COLUMNS = ("source", "output", "shown")


class _ColumnTranslator:
    """An actor that translates a column."""

    def __init__(self, job: TranslationJob, models: Any, column: str, output: str) -> None:
        self._job, self._column, self._output = job, column, output
        with _unpacked(job, models) as own:
            self._translator = own.load()

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        lines = ["" if text is None else str(text) for text in batch[self._column]]
        results = self._job.translate(self._translator, lines)
        batch[self._output] = [result.text for result in results]
        batch[f"{self._output}_status"] = [result.status for result in results]
        return batch
