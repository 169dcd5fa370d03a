"""The store against the tokenizer's own ids; an epoch against the multiset of all pairs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penstock.config import TokenizerConfig
from penstock.data import store
from penstock.data.pair import Pair
from penstock.data.sealed_file import seal_path
from penstock.data.store import PairStore, Ragged, open_store, write_store
from penstock.errors import DataError, PenstockError
from penstock.files import content_key
from penstock.text import BOS_ID, EOS_ID, PAD_ID, UNK_ID, Tokenizer
from penstock.training import batches
from penstock.training.batches import Batch, EpochSampler, collate, cut_by_tokens, pad

TOKENIZER = Tokenizer.train(
    ["abcdefghij"], TokenizerConfig.model_validate({"kind": "char", "min_frequency": 1})
)
PAIRS = [
    Pair("abc"[: 1 + n % 3] * (1 + n % 5) + f"{'abcdefghij'[n % 10]}", ("defg"[: n % 4] + "j",))
    for n in range(200)
]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 16 pairs and windows of 3 blocks, so that 200 pairs cross every boundary."""
    monkeypatch.setattr(store, "BLOCK_PAIRS", 16)
    monkeypatch.setattr(batches, "WINDOW_BLOCKS", 3)


def write(path: Path, pairs: Sequence[Pair] | Iterator[Pair], *, limit: int = 100) -> PairStore:
    return write_store(
        path, pairs, TOKENIZER, TOKENIZER, max_source_tokens=limit, max_target_tokens=limit
    )


def rows(ragged: Ragged) -> list[list[int]]:
    return [ragged.row(i).tolist() for i in range(len(ragged.lengths))]


def ids(text: str) -> list[int]:
    return [*TOKENIZER.encode(text), EOS_ID]


# the store


def reopened(path: Path) -> Any:
    return open_store(path, lambda _: None)


def test_a_store_gives_back_what_was_written(tmp_path: Path) -> None:
    written = write(tmp_path / "train.arrow", PAIRS)
    assert written.num_blocks == 13  # 12 full blocks of 16 and one of 8
    assert len(written) == len(PAIRS)
    for opened in (written, reopened(tmp_path / "train.arrow")):
        sources, targets = opened.read(range(opened.num_blocks))
        assert rows(sources) == [ids(pair.source) for pair in PAIRS]
        assert rows(targets) == [ids(pair.target) for pair in PAIRS]
        assert sources.lengths.tolist() == [len(ids(pair.source)) for pair in PAIRS]
    sources, _ = written.read([12, 2])  # blocks come in the order asked for
    assert rows(sources) == [ids(p.source) for p in [*PAIRS[192:], *PAIRS[32:48]]]


def test_counts_tell_pairs_tokens_and_unknowns(tmp_path: Path) -> None:
    pairs = [Pair("ab?", ("c",)), Pair("", ("??d",))]
    counts = write(tmp_path / "train.arrow", pairs).counts
    assert (counts.pairs, counts.source_tokens, counts.target_tokens) == (2, 5, 6)
    assert (counts.unknown_source_tokens, counts.unknown_target_tokens) == (1, 2)
    assert (counts.truncated_sources, counts.truncated_targets) == (0, 0)


def test_each_of_several_targets_makes_a_pair(tmp_path: Path) -> None:
    written = write(tmp_path / "train.arrow", [Pair("a", ("b", "c")), Pair("d", ("e",))])
    sources, targets = written.read([0])
    assert rows(sources) == [ids("a"), ids("a"), ids("d")]
    assert rows(targets) == [ids("b"), ids("c"), ids("e")]


@pytest.mark.parametrize("length", [1, 3, 4, 5, 9])
def test_the_book_defect_truncation_eats_the_end(tmp_path: Path, length: int) -> None:
    text, limit = "abcdefghij"[:length], 5
    written = write(tmp_path / "train.arrow", [Pair(text, (text,))], limit=limit)
    for ragged in written.read([0]):
        assert rows(ragged) == [[*TOKENIZER.encode(text)[: limit - 1], EOS_ID]]
    too_long = int(length + 1 > limit)  # EOS counts; four and EOS just fit
    assert written.counts.truncated_sources == written.counts.truncated_targets == too_long
    assert written.counts.source_tokens == min(length + 1, limit)


def test_a_store_without_counts_was_never_finished(tmp_path: Path) -> None:
    path = tmp_path / "train.arrow"
    assert reopened(path) is None
    write(path, PAIRS)
    assert reopened(path) is not None
    seal_path(path).unlink()
    assert reopened(path) is None
    write(path, PAIRS)
    path.unlink()
    assert reopened(path) is None


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("at", [0, 1, 20, -3])
def test_a_damaged_store_is_none_and_reported(tmp_path: Path, sealed: bool, at: int) -> None:
    path = tmp_path / "train.arrow"
    write(path, PAIRS)
    damaged = seal_path(path) if sealed else path
    content = bytearray(damaged.read_bytes())
    for spoilt in (content[:at], content[:at] + bytes([content[at] ^ 1]) + content[at:][1:]):
        damaged.write_bytes(spoilt)
        told: list[str] = []
        assert open_store(path, told.append) is None
        assert told == [f"{path}: damaged since it was written; it is made again"]
    damaged.write_bytes(content)
    assert reopened(path) is not None


def test_counts_of_an_older_store_never_describe_a_newer_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "train.arrow"
    write(path, PAIRS[:3])

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "seal", crash)
    with pytest.raises(KeyboardInterrupt):
        write(path, PAIRS[:7])
    assert reopened(path) is None


@pytest.mark.parametrize("error", [DataError("line 40: broken"), KeyboardInterrupt()])
def test_a_failure_leaves_the_old_store_and_no_litter(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "train.arrow"
    write(path, PAIRS)

    def failing() -> Iterator[Pair]:
        yield from PAIRS[:40]
        raise error

    with pytest.raises(type(error)):
        write(path, failing())
    assert len(reopened(path)) == len(PAIRS)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["train.arrow", "train.arrow.seal"]


def test_no_pair_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no training pairs.*give a file with pairs"):
        write(tmp_path / "train.arrow", [])
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "train.arrow").mkdir()
    with pytest.raises(PenstockError, match="cannot write"):
        write(tmp_path / "train.arrow", PAIRS)
    assert [path.name for path in tmp_path.iterdir()] == ["train.arrow"]


def test_writing_streams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a block is tokenised, no pair behind it has been asked for."""
    asked = 0
    ahead: list[int] = []
    done = 0

    def pairs() -> Iterator[Pair]:
        nonlocal asked
        for pair in PAIRS:
            asked += 1
            yield pair

    encode = TOKENIZER.encode_batch

    def watched(texts: Sequence[str]) -> list[list[int]]:
        nonlocal done
        done += len(texts)
        ahead.append(asked - (done + 1) // 2)  # each pair is encoded on two sides
        return encode(texts)

    monkeypatch.setattr(TOKENIZER, "encode_batch", watched)
    write(tmp_path / "train.arrow", pairs())
    assert max(ahead) <= store.BLOCK_PAIRS


def test_content_keys_tell_parts_apart() -> None:
    assert content_key("ab", "c") == content_key("ab", b"c")
    assert len({content_key("ab", "c"), content_key("a", "bc"), content_key("abc")}) == 3


def test_counts_are_json(tmp_path: Path) -> None:
    write(tmp_path / "train.arrow", PAIRS)
    record = json.loads(seal_path(tmp_path / "train.arrow").read_text())
    assert record["facts"]["pairs"] == len(PAIRS)


# a batch

id_rows = st.lists(st.integers(4, 50), max_size=6).map(lambda row: np.array([*row, EOS_ID]))


@given(st.lists(st.tuples(id_rows, id_rows), min_size=1, max_size=6))
def test_a_batch_is_the_chapters_x_and_y_with_valid_lengths(
    pairs: list[tuple[np.ndarray, np.ndarray]],
) -> None:
    sources, targets = [s for s, _ in pairs], [t for _, t in pairs]
    batch = collate(sources, targets)
    assert batch.src.shape == (len(pairs), max(map(len, sources)))
    assert batch.tgt_in.shape == batch.tgt_out.shape == (len(pairs), max(map(len, targets)))
    for i, (source, target) in enumerate(pairs):
        s, t = int(batch.src_lengths[i]), int(batch.tgt_lengths[i])
        assert batch.src[i, :s].tolist() == source.tolist()
        assert batch.tgt_out[i, :t].tolist() == target.tolist()
        assert batch.tgt_in[i, :t].tolist() == [BOS_ID, *target[:-1]]
        for padded, length in ((batch.src, s), (batch.tgt_in, t), (batch.tgt_out, t)):
            assert (padded[i, length:] == PAD_ID).all()


def test_padding_takes_lists_too() -> None:
    padded, lengths = pad([[5, 6, EOS_ID], [EOS_ID]])
    assert padded.dtype == torch.long
    assert padded.tolist() == [[5, 6, EOS_ID], [EOS_ID, PAD_ID, PAD_ID]]
    assert lengths.tolist() == [3, 1]


def test_only_the_lengths_that_are_summed_stay_on_the_cpu() -> None:
    batch = collate([np.array([4, EOS_ID])], [np.array([EOS_ID])]).to("meta")
    moved = (batch.src, batch.src_lengths, batch.tgt_in, batch.tgt_out)
    assert {each.device for each in moved} == {torch.device("meta")}
    assert batch.tgt_lengths.device == torch.device("cpu")


# an epoch


@pytest.fixture
def corpus(tmp_path: Path) -> PairStore:
    return write(tmp_path / "train.arrow", PAIRS)


def pairs_of(batch: Batch) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    return [
        (tuple(src[:s]), tuple(tgt[:t]))
        for src, s, tgt, t in zip(
            batch.src.tolist(),
            batch.src_lengths.tolist(),
            batch.tgt_out.tolist(),
            batch.tgt_lengths.tolist(),
            strict=True,
        )
    ]


def order_of(epoch: Iterator[Batch]) -> list[list[tuple[tuple[int, ...], tuple[int, ...]]]]:
    return [pairs_of(batch) for batch in epoch]


EVERY_PAIR = Counter((tuple(ids(p.source)), tuple(ids(p.target))) for p in PAIRS)
BY_TOKENS, BY_SENTENCES = {"batch_tokens": 30}, {"batch_tokens": 1, "batch_sentences": 7}
both_ways = pytest.mark.parametrize("options", [BY_TOKENS, BY_SENTENCES], ids=["tokens", "rows"])


@both_ways
def test_every_pair_comes_exactly_once_an_epoch(corpus: PairStore, options: dict[str, Any]) -> None:
    sampler = EpochSampler(corpus, seed=3, **options)
    for number in range(3):
        seen = Counter(pair for batch in sampler.epoch(number) for pair in pairs_of(batch))
        assert seen == EVERY_PAIR


@both_ways
def test_seed_and_epoch_alone_make_the_order(corpus: PairStore, options: dict[str, Any]) -> None:
    first = order_of(EpochSampler(corpus, seed=3, **options).epoch(1))
    sampler = EpochSampler(reopened(corpus.paths[0]), seed=3, **options)
    assert order_of(sampler.epoch(0)) != first
    assert order_of(sampler.epoch(1)) == first  # whatever was drawn before
    assert order_of(EpochSampler(corpus, seed=4, **options).epoch(1)) != first


@both_ways
def test_skipping_is_dropping(corpus: PairStore, options: dict[str, Any]) -> None:
    sampler = EpochSampler(corpus, seed=5, **options)
    whole = order_of(sampler.epoch(2))
    for skip in (0, 1, len(whole) // 2, len(whole) - 1, len(whole), len(whole) + 3):
        assert order_of(sampler.epoch(2, skip=skip)) == whole[skip:]


def test_a_batch_keeps_its_budget_of_target_positions(corpus: PairStore) -> None:
    for batch in EpochSampler(corpus, batch_tokens=30).epoch(0):
        assert batch.tgt_out.numel() <= 30  # padding included


def test_pairs_of_like_length_share_a_batch(
    corpus: PairStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "WINDOW_BLOCKS", 32)  # all in one window
    real = padded = 0
    for batch in EpochSampler(corpus, batch_tokens=30).epoch(0):
        real += int(batch.tgt_lengths.sum())
        padded += batch.tgt_out.numel()
    assert real / padded > 0.9
    shuffled = [batch.tgt_out.shape[1] for batch in EpochSampler(corpus, batch_tokens=30).epoch(0)]
    assert shuffled != sorted(shuffled)  # the batches themselves come in no order of length


def test_batches_of_a_fixed_number_of_rows(corpus: PairStore) -> None:
    sampler = EpochSampler(corpus, batch_tokens=1, batch_sentences=7)
    sizes = Counter(len(batch.src) for batch in sampler.epoch(0))
    windows = [48, 48, 48, 48, 8]  # pairs a window: the last batch of each takes what is left
    assert sizes[7] >= sum(n // 7 for n in windows) - 1
    assert sum(size * count for size, count in sizes.items()) == len(PAIRS)
    everything = EpochSampler(corpus, batch_tokens=1, batch_sentences=1000)
    assert max(len(batch.src) for batch in everything.epoch(0)) == 48


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 3) | st.integers(1, 30), max_size=60).map(sorted), st.integers(1, 60)
)
@example([1] * 9 + [2] * 40, 30)
def test_cuts_fill_the_budget_but_for_rounding_to_eights(lengths: list[int], budget: int) -> None:
    order = np.random.default_rng(0).permutation(len(lengths))
    cuts = cut_by_tokens(order, np.array(lengths, dtype=int), budget)
    assert [i for cut in cuts for i in cut] == order.tolist()
    start = 0
    for cut in cuts:
        end = start + len(cut)
        assert len(cut) == 1 or len(cut) * lengths[end - 1] <= budget
        if end < len(lengths):  # neither one more row nor, beyond eight rows, eight more fit
            more = 1 if len(cut) < 8 else 8
            assert len(cut) < 8 or len(cut) % 8 == 0
            assert start + len(cut) + more > len(lengths) or (
                (len(cut) + more) * lengths[end + more - 1] > budget
            )
        start = end


def test_unknown_tokens_reach_the_batch_as_unknown(tmp_path: Path) -> None:
    written = write(tmp_path / "train.arrow", [Pair("a?", ("?",))])
    [batch] = EpochSampler(written, batch_tokens=10).epoch(0)
    assert batch.src[0, 1].item() == batch.tgt_out[0, 0].item() == UNK_ID
