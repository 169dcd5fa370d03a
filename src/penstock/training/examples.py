"""From a run's data section to tokenizers, a token store and held-out examples.

Every example is a pair. Of a translation its target is the translation, of a classification the
label; a line of a cloze has an empty one.
"""

from __future__ import annotations

import hashlib
import heapq
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal

from penstock.config import DataConfig, RunConfig, TokenizerConfig
from penstock.data.batches import EpochSampler
from penstock.data.formats.input_lines import read_lines
from penstock.data.formats.readers import ReadOptions, read_pairs
from penstock.data.grammar import Split, builtin_split
from penstock.data.pair import Pair
from penstock.data.source_keys import fold, stable_hash
from penstock.data.store import PairStore, content_key, store_exists, write_store
from penstock.errors import ConfigError, DataError
from penstock.files import atomic_write
from penstock.metrics.labels import unseen_label
from penstock.special_tokens import RESERVED
from penstock.text import Tokenizer, letters_only
from penstock.text.lines import is_blank

BUILTIN, REST = "builtin", "rest"
# Tokenizers learn from at most about this many pairs, evenly spread: more changes nothing that
# can be measured, and the learner's memory would grow with the corpus.
TOKENIZER_PAIRS = 500_000

Report = Callable[[str], None]


@dataclass(frozen=True)
class Corpus:
    """What training needs of the data.

    Attributes:
        source, target: tokenizers, one object twice when shared.
        store: tokenised training pairs.
        valid: held-out pairs with all their references, in memory.
        fingerprint: hash of the training pairs' text.
    """

    source: Tokenizer
    target: Tokenizer
    store: PairStore
    valid: list[Pair]
    fingerprint: str

    def sampler(
        self, config: RunConfig, *, budget: Literal["target", "source"] = "target"
    ) -> EpochSampler:
        """The training pairs in batches, as the configuration has them (see `EpochSampler`)."""
        return EpochSampler(
            self.store,
            batch_tokens=config.training.batch_tokens,
            batch_sentences=config.training.batch_sentences,
            seed=config.seed,
            budget=budget,
        )


def prepare_corpus(
    config: RunConfig, folder: Path, report: Report, *, source: Tokenizer | None = None
) -> Corpus:
    """Read, hold out, learn tokenizers, tokenise; all but the held-out pairs streaming.

    Results are cached in `folder` by the content they were made from. A `source` tokenizer that is
    given is not learnt.

    Raises:
        DataError: unreadable or unusable data.
    """
    training, valid = _open(config, report)
    survey = _survey(training, valid, report)
    data, one = config.data, "line" if config.task == "cloze" else "pair"
    if not survey.pairs:
        raise DataError(
            f"no training {one}s: the file is empty; give a file with at least one {one}",
            path=_name(data.train),
        )
    if not valid and data.valid == REST:
        raise DataError(
            f"no held-out {one}s: nothing new follows the first data.max_pairs = {data.max_pairs}; "
            "lower it",
            path=_name(data.train),
        )
    if not valid and data.valid is not None:
        raise DataError(
            f"no held-out {one}s: the file is empty; give at least one {one}, or leave data.valid "
            "out to hold some out",
            path=_name(data.valid),
        )
    if not valid:
        raise DataError(
            f"no held-out {one}s: one in ten different sources is held out, and these "
            f"{survey.pairs:,} {one}s have fewer than ten; give more, or a file of held-out "
            f"{one}s as data.valid",
            path=_name(data.train),
        )
    if config.task == "classification":
        _require_labels(training(), data)
    source, target = _tokenizers(config, training, survey, folder, report, source)
    if config.task == "classification":
        valid = _with_known_labels(valid, target, data, report)
    limits = (data.max_source_tokens, data.max_target_tokens)
    key = content_key(survey.fingerprint, source.to_json(), target.to_json(), str(limits))
    path = folder / f"tokens-{key}.arrow"
    if store_exists(path):
        store = PairStore(path)
    else:
        store = write_store(
            path,
            training(),
            source,
            target,
            max_source_tokens=data.max_source_tokens,
            max_target_tokens=data.max_target_tokens,
        )
    _say_losses(store, data, report)
    if config.task == "translation":  # of the others the learners say it
        _say_held_out_losses(valid, source, target, data, report)
    return Corpus(source, target, store, valid, survey.fingerprint)


def _open(config: RunConfig, report: Report) -> tuple[Callable[[], Iterator[Pair]], list[Pair]]:
    """A function that reads the training pairs anew, and the held-out pairs."""
    data = config.data
    if data.train == BUILTIN:
        if data.valid is not None:
            raise ConfigError("data.valid: the built-in corpus brings its own held-out pairs")
        split: Split = builtin_split(train=data.max_pairs or 30_000)
        return lambda: iter(split.train), split.valid
    said: set[str] = set()

    def once(text: str) -> None:  # the file is read several times, its faults are told once
        if text not in said:
            said.add(text)
            report(text)

    def read_all(name: str | list[str], most: int | None = None) -> Iterator[Pair]:
        if config.task == "cloze":
            pairs = islice(_lines_as_pairs(name), most)
        else:
            columns = None if data.columns is None else (data.columns[0], data.columns[1])
            options = ReadOptions(
                columns=columns, on_error=data.on_error, max_pairs=most, report=once
            )
            pairs = read_pairs(name, options)
        return pairs if data.normalize == "none" else _letters_only(pairs, _name(name), once)

    def read() -> Iterator[Pair]:
        return read_all(data.train, data.max_pairs)

    if data.valid == REST:
        return read, _rest(data, read_all(data.train))
    if data.valid is not None:
        return read, merge_references(read_all(data.valid))
    valid = _hold_out(read, data.valid_pairs, config.seed)
    sources = {fold(pair.source) for pair in valid}
    return (lambda: (p for p in read() if fold(p.source) not in sources)), valid


def _letters_only(pairs: Iterator[Pair], name: str, report: Report) -> Iterator[Pair]:
    """The pairs with the letters of their sources; those without any are left out and counted."""
    left_out = 0
    for pair in pairs:
        source = letters_only(pair.source)
        if source:
            yield replace(pair, source=source)
        else:
            left_out += 1
    if left_out:
        report(f"{name}: {left_out:,} texts without a letter were left out (data.normalize)")


def _lines_as_pairs(name: str | list[str]) -> Iterator[Pair]:
    """The lines of a text that are not blank, each with an empty target."""
    path = one_text(name)
    return (
        Pair(line.text, ("",), line.number) for line in read_lines(path) if not is_blank(line.text)
    )


def one_text(name: str | list[str]) -> str:
    """The file of a task that has one text.

    Raises:
        ConfigError: several files, or one of pairs.
    """
    if isinstance(name, list) and len(name) != 1:
        raise ConfigError(
            f"{len(name)} files ({', '.join(name)}): this task reads one file of text; join them"
        )
    path = name if isinstance(name, str) else name[0]
    if ".jsonl" in Path(path).suffixes[-2:]:
        raise ConfigError(f"{path}: this task reads plain text, and this is a file of pairs")
    return path


def _require_labels(training: Iterator[Pair], data: DataConfig) -> None:
    """Refuse labels that a classifier cannot learn.

    Raises:
        DataError: a label with a line end, or one label alone.
    """
    labels: set[str] = set()
    for pair in training:
        for label in pair.targets:
            if "\n" in label or "\r" in label:
                message = f"the label {label[:60]!r} has a line end; write it on one line"
                raise DataError(message, path=_name(data.train), line=pair.line or None)
        labels.update(pair.targets)
    if len(labels) < 2:
        raise DataError(
            f"every training text has the label {min(labels)!r}; a classifier tells labels apart: "
            "give examples of another",
            path=_name(data.train),
        )


def _with_known_labels(
    valid: list[Pair], target: Tokenizer, data: DataConfig, report: Report
) -> list[Pair]:
    """The held-out pairs; a label that training lacks is an error where the user chose them."""
    labels = target.vocabulary()[len(RESERVED) :]
    known = set(labels)
    kept: list[Pair] = []
    dropped: list[str] = []
    for pair in valid:
        unseen = [label for label in pair.targets if label not in known]
        if not unseen:
            kept.append(pair)
        elif data.valid is None or data.valid == REST:
            dropped += unseen
        else:
            raise DataError(
                unseen_label(unseen[0], labels), path=_name(data.valid), line=pair.line or None
            )
    if dropped:
        report(
            f"{len(dropped):,} held-out examples left out: their labels "
            f"({', '.join(sorted(set(dropped))[:10])}) have no other example to learn from"
        )
    if not kept:
        raise DataError(
            "no held-out example has a label that the training data has too; give more examples "
            "of each label, or a file of held-out ones as data.valid",
            path=_name(data.train),
        )
    return kept


def _rest(data: DataConfig, pairs: Iterator[Pair]) -> list[Pair]:
    """What follows the first `max_pairs` pairs, without the sources that occur in them."""
    if data.max_pairs is None:
        raise ConfigError("data.valid = 'rest' needs data.max_pairs: what it is the rest of")
    seen = {fold(pair.source) for pair in islice(pairs, data.max_pairs)}
    unseen = (pair for pair in pairs if fold(pair.source) not in seen)
    return merge_references(islice(unseen, data.valid_pairs))


def _hold_out(read: Callable[[], Iterator[Pair]], count: int, seed: int) -> list[Pair]:
    """Up to `count` sources with the smallest hashes, with all their targets.

    At most one in ten different sources: to count them, ten times as many hashes are kept.
    """
    smallest: list[tuple[int, str]] = []  # a heap of negated hashes: the largest on top
    chosen: set[str] = set()
    for pair in read():
        key = fold(pair.source)
        if key in chosen:
            continue
        entry = (-stable_hash(key, seed), key)
        if len(smallest) < 10 * count:
            heapq.heappush(smallest, entry)
            chosen.add(key)
        elif entry > smallest[0]:
            _, dropped = heapq.heapreplace(smallest, entry)
            chosen.discard(dropped)
            chosen.add(key)
    keep = sorted(smallest, reverse=True)[: min(count, len(smallest) // 10)]
    wanted = {key for _, key in keep}
    return merge_references(pair for pair in read() if fold(pair.source) in wanted)


def merge_references(pairs: Iterator[Pair]) -> list[Pair]:
    """One pair a source, with all its distinct targets, in order of first appearance."""
    targets: dict[str, dict[str, None]] = {}
    lines: dict[str, int] = {}
    for pair in pairs:
        lines.setdefault(pair.source, pair.line)
        targets.setdefault(pair.source, {}).update(dict.fromkeys(pair.targets))
    return [Pair(source, tuple(found), lines[source]) for source, found in targets.items()]


@dataclass(frozen=True)
class _Survey:
    pairs: int
    fingerprint: str


def _survey(training: Callable[[], Iterator[Pair]], valid: list[Pair], report: Report) -> _Survey:
    """Read everything once: errors come before any work; leakage is counted and said."""
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
    if leaked:
        report(
            f"warning: {len(leaked)} of {len(held_out)} held-out sources are in the training "
            "data; scores on them measure memory ('penstock data check' lists them)"
        )
    return _Survey(count, digest.hexdigest())


def _tokenizers(
    config: RunConfig,
    training: Callable[[], Iterator[Pair]],
    survey: _Survey,
    folder: Path,
    report: Report,
    source: Tokenizer | None,
) -> tuple[Tokenizer, Tokenizer]:
    stride = -(-survey.pairs // TOKENIZER_PAIRS)
    if stride > 1:
        report(f"tokenizers learn from one pair in {stride} of {survey.pairs:,}")

    def sample() -> Iterator[Pair]:
        return (pair for number, pair in enumerate(training()) if number % stride == 0)

    def sources() -> Iterator[str]:
        return (pair.source for pair in sample())

    def targets() -> Iterator[str]:
        return (target for pair in sample() for target in pair.targets)

    def labels() -> Iterator[str]:
        return (label for pair in training() for label in pair.targets)

    def both() -> Iterator[str]:
        return (t for pair in sample() for t in (pair.source, *pair.targets))

    def learn(texts: Callable[[], Iterator[str]], side: str, config: TokenizerConfig) -> Tokenizer:
        key = content_key(survey.fingerprint, side, json.dumps(config.model_dump()))
        path = folder / f"tokenizer-{key}.json"
        if path.exists():
            return Tokenizer.load(path)
        tokenizer = Tokenizer.train(texts(), config)
        atomic_write(path, tokenizer.to_json())
        return tokenizer

    text = config.text
    if config.task == "classification":  # no label is unknown, however many there are
        room = {"vocab_size": survey.pairs + len(RESERVED)}
        target = learn(labels, "target", text.target.model_copy(update=room))
        return source or learn(sources, "source", text.source), target
    if source is not None:
        return source, learn(targets, "target", text.target)
    if text.shared:
        shared = learn(both, "both", text.source)
        return shared, shared
    if config.task == "cloze":
        only = learn(sources, "source", text.source)
        return only, only
    return learn(sources, "source", text.source), learn(targets, "target", text.target)


def _say_losses(store: PairStore, data: DataConfig, report: Report) -> None:
    counts = store.counts
    for side, cut, limit in (
        ("source", counts.truncated_sources, data.max_source_tokens),
        ("target", counts.truncated_targets, data.max_target_tokens),
    ):
        if cut:
            report(
                f"{cut:,} of {counts.pairs:,} training {side}s are longer than {limit} tokens and "
                f"were cut (raise data.max_{side}_tokens to keep them whole)"
            )
    for side, unknown, total in (
        ("source", counts.unknown_source_tokens, counts.source_tokens),
        ("target", counts.unknown_target_tokens, counts.target_tokens),
    ):
        if unknown:
            report(
                f"{unknown:,} of {total:,} training {side} tokens ({unknown / total:.1%}) are "
                "unknown"
            )


def _say_held_out_losses(
    valid: list[Pair], source: Tokenizer, target: Tokenizer, data: DataConfig, report: Report
) -> None:
    for side, tokenizer, texts, limit in (
        ("source", source, [pair.source for pair in valid], data.max_source_tokens),
        ("target", target, [pair.target for pair in valid], data.max_target_tokens),
    ):
        cut = sum(len(ids) + 1 > limit for ids in tokenizer.encode_batch(texts))
        if cut:
            report(
                f"{cut:,} of {len(texts):,} held-out {side}s are longer than {limit} tokens and "
                f"are cut for the held-out loss (raise data.max_{side}_tokens to keep them whole)"
            )


def _name(data: str | list[str]) -> str:
    return data if isinstance(data, str) else ", ".join(data)
