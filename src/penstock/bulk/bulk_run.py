"""All shards of a command translated, recorded, and reported."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from penstock.bulk.shard_manifest import open_manifest
from penstock.bulk.shard_translation import ShardReport
from penstock.bulk.shards import Shard, find_shards
from penstock.errors import PenstockError, UsageError
from penstock.tasks.line_transform import LineCounts
from penstock.tasks.translation.translation_job import TranslationJob

Executor = Callable[[TranslationJob, Sequence[Shard]], Iterator[ShardReport]]


@dataclass(frozen=True)
class BulkSummary:
    """What a command has done.

    Attributes:
        shards: all of them; `kept` were there already.
        lines, seconds: translated now, and how long that took.
    """

    shards: int
    kept: int
    lines: int
    seconds: float


def translate_shards(
    job: TranslationJob,
    inputs: Sequence[str],
    out_dir: str | Path,
    execute: Executor,
    report: Callable[[str], None],
) -> BulkSummary:
    """Translate every shard that has no translation yet.

    Args:
        job: what is done to each.
        inputs: patterns of input files.
        out_dir: where the outputs and their record are.
        execute: translates shards and yields reports, in any order.
        report: called with a message for each shard, and about lines that were not `ok`.

    Raises:
        UsageError, BundleError: see `find_shards`, `open_manifest`, `TranslationJob.checked`.
        PenstockError: shards could not be translated; all others were.
    """
    shards = find_shards(inputs, out_dir)
    job = job.checked()
    by_name = {shard.name: shard for shard in shards}
    counts, lines, begun = LineCounts(), 0, time.monotonic()
    with open_manifest(out_dir, job.recipe(), shards) as manifest:
        missing, problems = manifest.missing(shards)
        lost = {shard.name for shard in missing}
        for done in execute(job, missing) if missing else ():
            lost.discard(done.shard)
            if done.exit_code:
                error = UsageError if done.exit_code == UsageError.exit_code else PenstockError
                raise error(done.problem)
            if done.problem:
                problems.append(done.problem)
                continue
            manifest.add(done)
            own = LineCounts(Counter(done.statuses), done.recased)
            report(f"{by_name[done.shard].shown}: {own.lines:,} lines{own.odd and f', {own.odd}'}")
            counts.statuses.update(own.statuses)
            counts.recased += own.recased
            lines += own.lines
        problems += [
            f"{by_name[name].shown}: no worker could translate it; see the log of the cluster"
            for name in sorted(lost)
        ]
    for text in counts.notes("--format json"):
        report(text)
    if problems:
        failed = "".join(f"\n  {problem}" for problem in problems)
        raise PenstockError(
            f"not translated: {len(problems)} of {len(shards)} shards; the others are there{failed}"
        )
    return BulkSummary(len(shards), len(shards) - len(missing), lines, time.monotonic() - begun)
