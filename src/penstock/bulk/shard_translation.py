"""One shard translated: whole or not at all."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from penstock.bulk.shards import Shard
from penstock.data.formats.input_lines import read_lines
from penstock.data.formats.output_stream import writing
from penstock.errors import DataError, PenstockError
from penstock.files import file_checksum, replacing
from penstock.tasks.line_transform import write_results
from penstock.tasks.translation.translation_job import TranslationJob
from penstock.tasks.translation.translator import Translator
from penstock.text.lines import in_chunks


@dataclass(frozen=True, kw_only=True)
class ShardReport:
    """What became of a shard.

    Attributes:
        shard: its name.
        statuses: lines by status; `recased` were read in other case.
        source_bytes, source_time, source_sha256: the input's size, time of change (ns), checksum.
        output_bytes: size of the output.
        seconds, cpu_seconds: time that it took, by the clock and of the process.
        problem: why there is no output; empty if there is one.
        exit_code: not 0 where the problem is no fault of this shard, and others would meet it.
    """

    shard: str
    statuses: dict[str, int] = field(default_factory=dict[str, int])
    recased: int = 0
    source_bytes: int = 0
    source_time: int = 0
    source_sha256: str = ""
    output_bytes: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    problem: str = ""
    exit_code: int = 0

    @property
    def lines(self) -> int:
        """Lines of the input, and of the output."""
        return sum(self.statuses.values())

    def to_plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


Translate = Callable[[Shard], ShardReport]


def shard_translator(job: TranslationJob) -> Translate:
    """Load a job's models; return a function that translates a shard by them.

    Raises:
        PenstockError: see `TranslationJob.load`.
    """
    translator = job.load()
    return lambda shard: _translate(job, translator, shard)


def failure(shard: Shard, error: Exception) -> ShardReport:
    """The report on a shard that an error kept from being translated."""
    if isinstance(error, DataError):  # of this input alone
        problem = str(error).replace(str(shard.source), shard.shown, 1)
        return ShardReport(shard=shard.name, problem=problem)
    code = error.exit_code if isinstance(error, PenstockError) else 1
    text = str(error) if isinstance(error, PenstockError) else repr(error)
    return ShardReport(shard=shard.name, problem=text, exit_code=code)


def _translate(job: TranslationJob, translator: Translator, shard: Shard) -> ShardReport:
    begun, cpu_begun = time.perf_counter(), time.process_time()
    try:
        with replacing(shard.output) as partial:
            lines = (line.text for line in read_lines(shard.source))
            with writing(partial, shard.output.suffix) as stream:
                counts = write_results(
                    in_chunks(lines),
                    lambda buffer: job.translate(translator, buffer),
                    job.line,
                    stream,
                    source=shard.shown,
                )
            size, source = partial.stat().st_size, shard.source.stat()
            digest = file_checksum(shard.source)
    except (PenstockError, OSError, MemoryError) as error:
        return failure(shard, error)
    return ShardReport(
        shard=shard.name,
        statuses=dict(sorted(counts.statuses.items())),
        recased=counts.recased,
        source_bytes=source.st_size,
        source_time=source.st_mtime_ns,
        source_sha256=digest,
        output_bytes=size,
        seconds=round(time.perf_counter() - begun, 3),
        cpu_seconds=round(time.process_time() - cpu_begun, 3),
    )
