"""The examples of a run's data section: streamed on every pass, some held out, checked once.

Every example is a pair. The target is the translation, or the label of a classification; it is
empty for tasks with one text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from penstock.config import RunConfig
from penstock.data.corpus_reader import read_corpus
from penstock.data.formats.corpus_files import shown
from penstock.data.formats.readers import ignore
from penstock.data.grammar import Split, builtin_split
from penstock.data.held_out_pairs import hold_out, merge_references, pairs_after
from penstock.data.pair import Pair
from penstock.data.pair_shards import PairShards, import_shards, is_large, join_shards
from penstock.data.source_keys import fold, source_key
from penstock.data.worker_processes import cores
from penstock.errors import ConfigError, DataError
from penstock.files import content_key
from penstock.tasks import TASKS
from penstock.training.start_model import read_start

BUILTIN, REST = "builtin", "rest"
_LEFT_OUT = (
    "{:,} training pairs are left out: their sources are held out of the data of the model to go "
    "on from"
)

Report = Callable[[str], None]
Training = PairShards | Callable[[], Iterator[Pair]]


class Reader(Protocol):
    """See `open_reader`."""

    def __call__(self, name: str | list[str], max_pairs: int | None = None) -> Iterator[Pair]:
        """Read examples."""
        ...


@dataclass(frozen=True)
class Examples:
    """Training and held-out examples.

    Attributes:
        training: streams the training pairs, from the start at every call; of a large corpus, its
            shards.
        valid: held-out pairs with all their references, in memory.
        count: number of training pairs.
        fingerprint: hash of the training pairs' text, replayed ones included.
        replay: streams old training pairs to mix in; None if there are none.
        old_valid: held-out pairs of the data that the model to go on from was trained on.
    """

    training: Training
    valid: list[Pair]
    count: int
    fingerprint: str
    replay: Callable[[], Iterator[Pair]] | None = None
    old_valid: Sequence[Pair] = ()


def read_examples(config: RunConfig, report: Report, folder: Path | None = None) -> Examples:
    """Open the data, hold some out and read everything once, so that errors come early.

    A large corpus is read into shards in `folder`, by several processes.

    Raises:
        DataError: unreadable data, or too little to train on or to hold out.
    """
    data = config.data
    is_read_anew = data.train == BUILTIN or data.valid == REST or not is_large(data.train)
    if folder is None or (is_read_anew and not data.is_mixture):
        training, valid = open_data(config, report)
    else:
        training, valid = _open_shards(config, folder, report)
    start = read_start(config)
    if start is None:
        count, fingerprint = _survey(training, valid, config, report)
        _require_some(count, valid, config)
        return Examples(training, valid, count, fingerprint)
    training = _without(training, start.valid, config, report)
    count, fingerprint = _survey(training, valid, config, report)
    _require_some(count, valid, config)
    replay = _open_replay(config, [*valid, *start.valid], report)
    if replay is not None:
        old, more = _survey(replay, [], config, report)
        if not old:
            raise DataError(
                "no pairs to replay: the file is empty, or has held-out sources alone",
                path=shown(config.start.replay or ""),
            )
        fingerprint = content_key(fingerprint, more)
    return Examples(training, valid, count, fingerprint, replay, start.valid)


def _open_replay(
    config: RunConfig, held_out: list[Pair], report: Report
) -> Callable[[], Iterator[Pair]] | None:
    """A function that streams the pairs to replay, without held-out sources."""
    name = config.start.replay
    if name is None:
        return None
    read = open_reader(config, report)
    return _without(lambda: read(name), held_out, config)


def _open_shards(config: RunConfig, folder: Path, report: Report) -> tuple[PairShards, list[Pair]]:
    """`open_data` for a large corpus, or a mixture."""
    data = config.data
    parts = [
        import_shards(
            names,
            data,
            folder,
            report,
            has_one_text=TASKS[config.task].has_one_text,
            seed=config.seed,
            workers=data.workers or cores(),
        )
        for names in (data.train if data.is_mixture else [data.train])
    ]
    shards = join_shards(parts)
    if data.valid is not None:
        return shards, merge_references(open_reader(config, report)(data.valid))
    keys = shards.smallest_keys(10 * data.valid_pairs)
    wanted = keys[: min(data.valid_pairs, len(keys) // 10)]
    valid = merge_references(shards.with_keys(wanted))
    return shards.without(valid, config.seed), valid


def _without(
    training: Training,
    held_out: Sequence[Pair],
    config: RunConfig,
    report: Report | None = None,
) -> Training:
    """Training pairs without held-out sources, which `report` is given the number of."""
    if isinstance(training, PairShards):
        kept = training.without(held_out, config.seed)
        found = len(training) - len(kept)
        if report is not None and found:
            report(_LEFT_OUT.format(found))
        return kept
    sources = {fold(pair.source) for pair in held_out}
    if report is not None and (found := sum(fold(pair.source) in sources for pair in training())):
        report(_LEFT_OUT.format(found))
    return lambda: (pair for pair in training() if fold(pair.source) not in sources)


def training_pairs(config: RunConfig) -> Callable[[], Iterator[Pair]]:
    """A function that streams all pairs of `data.train`, also those to be held out."""
    data = config.data
    if data.train == BUILTIN:
        return lambda: iter(builtin_split(train=data.max_pairs or 30_000).train)
    read = open_reader(config, ignore)
    return lambda: read(data.train, data.max_pairs)


def open_reader(config: RunConfig, report: Report) -> Reader:
    """A function that reads the examples of a file, or the first of them, as `[data]` says."""
    data, has_one_text = config.data, TASKS[config.task].has_one_text
    reported: set[str] = set()

    def once(text: str) -> None:  # the file is read several times, its faults reported once
        if text not in reported:
            reported.add(text)
            report(text)

    def read_all(name: str | list[str], max_pairs: int | None = None) -> Iterator[Pair]:
        return read_corpus(name, data, once, has_one_text=has_one_text, max_pairs=max_pairs)

    return read_all


def open_data(config: RunConfig, report: Report) -> tuple[Callable[[], Iterator[Pair]], list[Pair]]:
    """A function that streams the training pairs, and the held-out pairs."""
    data = config.data
    if data.train == BUILTIN:
        if data.valid is not None:
            raise ConfigError("data.valid: the built-in corpus brings its own held-out pairs")
        split: Split = builtin_split(train=data.max_pairs or 30_000)
        return lambda: iter(split.train), split.valid
    read_all = open_reader(config, report)

    def read() -> Iterator[Pair]:
        return read_all(data.train, data.max_pairs)

    if data.valid == REST:
        if data.max_pairs is None:
            raise ConfigError("data.valid = 'rest' needs data.max_pairs: what it is the rest of")
        return read, pairs_after(read_all(data.train), data.max_pairs, data.valid_pairs)
    if data.valid is not None:
        return read, merge_references(read_all(data.valid))
    valid = hold_out(read, data.valid_pairs, config.seed)
    sources = {fold(pair.source) for pair in valid}
    return (lambda: (p for p in read() if fold(p.source) not in sources)), valid


def _survey(
    training: Training, valid: list[Pair], config: RunConfig, report: Report
) -> tuple[int, str]:
    """The number of training pairs and their hash; leakage is reported."""
    if isinstance(training, PairShards):
        keys = {source_key(pair, config.seed) for pair in valid}
        _report_leakage(training.number_of(keys), len(keys), report)
        return len(training), training.fingerprint
    held_out = {fold(pair.source) for pair in valid}
    digest = hashlib.blake2b(digest_size=16)
    count = 0
    leaked: set[str] = set()
    for pair in training():
        count += len(pair.targets)
        digest.update(("\t".join((pair.source, *pair.targets)) + "\n").encode())
        key = fold(pair.source)
        if key in held_out:
            leaked.add(key)
    _report_leakage(len(leaked), len(held_out), report)
    return count, digest.hexdigest()


def _report_leakage(leaked: int, held_out: int, report: Report) -> None:
    if leaked:
        report(
            f"warning: {leaked} of {held_out} held-out sources are in the training data; scores on "
            "them measure memory ('penstock data check' lists them)"
        )


def _require_some(count: int, valid: list[Pair], config: RunConfig) -> None:
    data, one = config.data, "line" if TASKS[config.task].has_one_text else "pair"
    train = shown(data.train)
    if not count:
        raise DataError(
            f"no training {one}s: the file is empty; give a file with at least one {one}",
            path=train,
        )
    if valid:
        return
    none = f"no held-out {one}s"
    if data.valid == REST:
        raise DataError(
            f"{none}: nothing new follows the first data.max_pairs = {data.max_pairs}; lower it",
            path=train,
        )
    if data.valid is not None:
        raise DataError(
            f"{none}: the file is empty; give at least one {one}, or leave data.valid out to hold "
            "some out",
            path=shown(data.valid),
        )
    raise DataError(
        f"{none}: one in ten different sources is held out, and these {count:,} {one}s have fewer "
        f"than ten; give more, or a file of held-out {one}s as data.valid",
        path=train,
    )
