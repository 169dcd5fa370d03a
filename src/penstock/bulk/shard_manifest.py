"""The record beside the outputs: how they were made, and what became of each shard.

`manifest.jsonl` has the recipe on its first line and a line for each finished shard after it. A
shard without a line is translated again; a line that a crash cut off is none.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from penstock.bulk.shard_translation import ShardReport
from penstock.bulk.shards import MANIFEST, Shard, partial_files
from penstock.config.option_model import shorten
from penstock.errors import DataError, PenstockError, UsageError
from penstock.files import atomic_write, file_checksum, remove, try_lock
from penstock.version import __version__

FORMAT = 1


class Manifest:
    """The record of one output folder, which one command at a time writes.

    Attributes:
        path: of the file.
        finished: the last report on each shard, by its name.
    """

    def __init__(self, path: Path, stream: IO[bytes], finished: dict[str, ShardReport]) -> None:
        self.path, self._stream, self.finished = path, stream, finished

    def add(self, report: ShardReport) -> None:
        """Record a finished shard.

        Raises:
            PenstockError: it cannot be written.
        """
        record = report.to_plain()
        del record["problem"], record["exit_code"]
        try:
            self._stream.write(_as_line(record))
            self._stream.flush()
        except OSError as error:
            raise PenstockError(
                f"{self.path}: cannot write: {error.strerror or error}; free some space, and give "
                "the same command again"
            ) from None
        self.finished[report.shard] = report

    def missing(self, shards: Sequence[Shard]) -> tuple[list[Shard], list[str]]:
        """The shards to translate, and problems of those that are there and do not fit."""
        missing: list[Shard] = []
        problems: list[str] = []
        for shard in shards:
            report = self.finished.get(shard.name)
            if report is None or not shard.output.is_file():
                missing.append(shard)
            elif shard.output.stat().st_size != report.output_bytes:
                problems.append(
                    f"{shard.output}: altered: {shard.output.stat().st_size:,} bytes, written with "
                    f"{report.output_bytes:,}; remove it, and the same command makes it again"
                )
            elif not _is_source_of(shard.source, report):
                problems.append(
                    f"{shard.shown}: not what was translated to {shard.output}; remove that, and "
                    "the same command translates this, or choose another --out-dir"
                )
        return missing, problems


@contextmanager
def open_manifest(
    out_dir: str | Path, recipe: dict[str, Any], shards: Sequence[Shard]
) -> Generator[Manifest]:
    """Begin or go on with an output folder; only one command does at a time.

    Raises:
        UsageError: its outputs were made by another model or with other options, or by somebody
            else.
        DataError: its record is damaged.
        PenstockError: another command writes there, or it cannot be written.
    """
    folder = Path(out_dir)
    path = folder / MANIFEST
    recipe = json.loads(json.dumps(recipe))
    if not path.exists():
        for shard in shards:
            if shard.output.exists():
                raise UsageError(
                    f"{shard.output}: exists, and no {MANIFEST} says how it was made; remove it, "
                    "or choose another --out-dir"
                )
        head = {"format": FORMAT, "penstock": __version__, "recipe": recipe}
        atomic_write(path, _as_line(head))
    with path.open("r+b") as stream:
        if not try_lock(stream.fileno()):
            raise PenstockError(
                f"{out_dir}: another command is translating into it; wait for it, or choose "
                "another --out-dir"
            )
        content = stream.read()
        finished = _read(path, content, recipe)
        stream.seek(content.rfind(b"\n") + 1)  # a line that a crash cut off is overwritten
        stream.truncate()
        _remove_partial(shards)
        try:
            yield Manifest(path, stream, finished)
        finally:
            _remove_partial(shards)


def _remove_partial(shards: Sequence[Shard]) -> None:
    """Remove what killed processes left."""
    for shard in shards:
        for partial in partial_files(shard):
            remove(partial)


def _read(path: Path, content: bytes, recipe: dict[str, Any]) -> dict[str, ShardReport]:
    finished: dict[str, ShardReport] = {}
    try:
        head, *lines = (json.loads(line) for line in content.split(b"\n")[:-1])
        if head["format"] != FORMAT:
            raise UsageError(
                f"{path}: written by penstock {head['penstock']}; choose another --out-dir"
            )
        _require_same(path, head["recipe"], recipe)
        for line in lines:
            report = ShardReport(**line)
            finished[report.shard] = report
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise DataError(
            "damaged; remove it and the translations, or choose another --out-dir", path=path
        ) from None
    return finished


def _require_same(path: Path, before: dict[str, Any], recipe: dict[str, Any]) -> None:
    folder = path.parent
    remedy = f"choose another --out-dir, or remove {folder} to translate everything again"
    if before["models"] != recipe["models"]:
        raise UsageError(f"{folder}: holds translations of another model; {remedy}")
    earlier, asked = _flat(before), _flat(recipe)
    for key in (*asked, *(key for key in earlier if key not in asked)):
        if earlier.get(key) != asked.get(key):
            raise UsageError(
                f"{folder}: holds translations made with {key} = {_shown(earlier.get(key))}, and "
                f"this command has {_shown(asked.get(key))}; {remedy}"
            )


def _flat(recipe: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in recipe.items() if key != "search"} | recipe["search"]


def _shown(value: object) -> str:
    return "the default" if value is None else shorten(value)


def _is_source_of(source: Path, report: ShardReport) -> bool:
    with suppress(OSError):
        stat = source.stat()
        if stat.st_size != report.source_bytes:
            return False
        return stat.st_mtime_ns == report.source_time or (
            file_checksum(source) == report.source_sha256
        )
    return False


def _as_line(value: object) -> bytes:
    return json.dumps(value).encode() + b"\n"
