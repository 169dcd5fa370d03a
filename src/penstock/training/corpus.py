"""Tokenized training pairs and held-out pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

from penstock.config import DataConfig, RunConfig
from penstock.data.hallucination import hallucinated_pairs
from penstock.data.pair import Pair
from penstock.data.pair_shards import PairShards
from penstock.data.store import (
    MixedStore,
    PairStore,
    mixture_shares,
    open_store,
    store_shards,
    write_store,
)
from penstock.data.worker_processes import cores
from penstock.files import content_key
from penstock.text import Tokenizer
from penstock.training.batches import Batch, EpochSampler
from penstock.training.corpus_tokenizers import train_tokenizers
from penstock.training.examples import Examples, Report, Training, read_examples
from penstock.training.replay import ReplaySampler, Sampler


@dataclass(frozen=True)
class Corpus:
    """The data of a run.

    Attributes:
        source, target: tokenizers, the same object when shared.
        store: tokenized training pairs.
        valid: held-out pairs with all their references, in memory.
        fingerprint: hash of the training pairs' text.
        replay: tokenized old pairs to mix in.
        old_valid: held-out pairs of the data that the model to go on from was trained on.
    """

    source: Tokenizer
    target: Tokenizer
    store: PairStore
    valid: list[Pair]
    fingerprint: str
    replay: PairStore | None = None
    old_valid: Sequence[Pair] = ()

    def sampler(
        self, config: RunConfig, *, budget: Literal["target", "source"] = "target"
    ) -> Sampler[Batch]:
        """The training pairs in batches, as configured (see `EpochSampler`)."""

        def batches(store: PairStore) -> EpochSampler:
            return EpochSampler(
                store,
                batch_tokens=config.training.batch_tokens,
                batch_sentences=config.training.batch_sentences,
                seed=config.seed,
                budget=budget,
            )

        new = batches(self.store)
        if self.replay is None:
            return new
        return ReplaySampler(new, batches(self.replay), config.start.replay_share)

    def batch_positions(
        self, config: RunConfig, *, budget: Literal["target", "source"] = "target"
    ) -> int:
        """The positions of a full batch on one side, about."""
        counts, settings = self.store.counts, config.training
        tokens = counts.target_tokens if budget == "target" else counts.source_tokens
        if settings.batch_sentences is None:
            return min(settings.batch_tokens, tokens)
        return tokens * min(settings.batch_sentences, counts.pairs) // max(counts.pairs, 1)


def prepare_corpus(
    config: RunConfig, folder: Path, report: Report, *, source: Tokenizer | None = None
) -> Corpus:
    """Read, hold out, train tokenizers, tokenize; only the held-out pairs are kept in memory.

    Results are cached in `folder` by content. A `source` tokenizer replaces the trained one.

    Raises:
        DataError: unreadable or unusable data.
    """
    examples = read_examples(config, report, folder)
    tokenizers = train_tokenizers(config, examples, folder, report, source)
    return tokenize(config, examples, *tokenizers, folder, report)


def tokenize(
    config: RunConfig,
    examples: Examples,
    source: Tokenizer,
    target: Tokenizer,
    folder: Path,
    report: Report,
) -> Corpus:
    """Tokenize the examples into stores that are cached in `folder`."""
    data = config.data
    limits = (data.max_source_tokens, data.max_target_tokens)
    parts = [examples.fingerprint, source.to_json(), target.to_json(), str(limits)]
    if data.hallucination:
        parts.append(f"{data.hallucination} {config.seed}")
    key = content_key(*parts)

    def with_invented() -> Iterator[Pair]:
        invented = hallucinated_pairs(examples.training(), data.hallucination, config.seed)
        return chain(examples.training(), invented)

    def stored(name: str, pairs: Training) -> PairStore:
        if isinstance(pairs, PairShards):
            workers, parts = data.workers or cores(), pairs.parts()
            stores = [
                store_shards(
                    part,
                    folder,
                    f"{name}-{key}-{number}",
                    source,
                    target,
                    limits=limits,
                    workers=workers,
                    report=report,
                )
                for number, part in enumerate(parts)
            ]
            if not data.is_mixture:
                return stores[0]
            sizes = [len(store) for store in stores]
            mixed = MixedStore(stores, mixture_shares(sizes, data.weights, data.temperature))
            for names, size, repeat in zip(data.train, sizes, mixed.repeats, strict=True):
                report(f"{names}: {size:,} pairs, each {repeat:.3g} times per epoch")
            return mixed
        path = folder / f"{name}-{key}.arrow"
        return open_store(path, report) or write_store(
            path,
            pairs(),
            source,
            target,
            max_source_tokens=data.max_source_tokens,
            max_target_tokens=data.max_target_tokens,
        )

    store = stored("tokens", with_invented if data.hallucination else examples.training)
    if data.hallucination:
        invented = len(store) - examples.count
        report(f"{invented:,} further pairs have invented stems (data.hallucination)")
    report_truncation(store, data, report)
    replay = None if examples.replay is None else stored("replay", examples.replay)
    if replay is not None:
        report(f"{len(replay):,} old pairs, in {config.start.replay_share:.0%} of the batches")
    return Corpus(
        source, target, store, examples.valid, examples.fingerprint, replay, examples.old_valid
    )


def report_truncation(store: PairStore, data: DataConfig, report: Report) -> None:
    """Report how much of the training text was truncated or unknown."""
    counts = asdict(store.counts)
    for side in ("source", "target"):
        cut, limit = counts[f"truncated_{side}s"], getattr(data, f"max_{side}_tokens")
        if cut:
            report(
                f"{cut:,} of {len(store):,} training {side}s are longer than {limit} tokens and "
                f"were cut (raise data.max_{side}_tokens to keep them whole)"
            )
    for side in ("source", "target"):
        unknown, total = counts[f"unknown_{side}_tokens"], counts[f"{side}_tokens"]
        if unknown:
            report(
                f"{unknown:,} of {total:,} training {side} tokens ({unknown / total:.1%}) are "
                "unknown"
            )


def report_held_out_truncation(corpus: Corpus, data: DataConfig, report: Report) -> None:
    """Report how many held-out pairs are truncated for the held-out loss."""
    for side, tokenizer, texts, limit in (
        ("source", corpus.source, [pair.source for pair in corpus.valid], data.max_source_tokens),
        ("target", corpus.target, [pair.target for pair in corpus.valid], data.max_target_tokens),
    ):
        cut = sum(len(ids) + 1 > limit for ids in tokenizer.encode_batch(texts))
        if cut:
            report(
                f"{cut:,} of {len(texts):,} held-out {side}s are longer than {limit} tokens and "
                f"are cut for the held-out loss (raise data.max_{side}_tokens to keep them whole)"
            )
