"""The data pipeline of the translation chapter, stage by stage: what each stage returns.

python examples/translation_data.py
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from penstock.config import TokenizerConfig
from penstock.data.formats.readers import ReadOptions, read_pairs
from penstock.data.store import write_store
from penstock.text import EOS_ID, RESERVED, Tokenizer, preprocess
from penstock.training.batches import EpochSampler, collate

# a source, a tab, a target; \u202f is the narrow space that French puts before ! and ?
TEXT = (
    "Go.\tVa\u202f!\n"
    "Go home.\tVa à la maison\u202f!\n"
    "He is calm.\tIl est calme.\n"
    "She is calm.\tElle est calme.\n"
    "He is at home.\tIl est à la maison.\n"
    "It costs 3.14 euros.\tÇa coûte 3.14 euros.\n"
    "It costs ten euros.\tÇa coûte dix euros.\n"
    "She is at home.\tElle est à la maison.\n"
    "Is he calm?\tEst-il calme\u202f?\n"
)
NUM_EXAMPLES, NUM_STEPS = 8, 6  # pairs to read; the longest sequence, <eos> included


def main() -> None:
    """Seven stages, each printed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--short", action="store_true", help="for tests; it is short anyway")
    parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pairs.tsv"
        path.write_text(TEXT, encoding="utf-8")
        show_stages(path)


def show_stages(path: Path) -> None:
    """From a file to batches."""
    print(f"1. read: the first {NUM_EXAMPLES} pairs, with their lines")
    pairs = list(read_pairs(path, ReadOptions(max_pairs=NUM_EXAMPLES)))
    for pair in (pairs[0], pairs[5]):
        print(f"   line {pair.line}: {pair.source!r} -> {pair.target!r}")

    print("2. preprocess: lower case, one kind of space, ,.!? set apart but not in numbers")
    for pair in (pairs[0], pairs[5]):
        print(f"   {preprocess(pair.target)!r}")

    print("3. vocabulary: a tokenizer a side, learnt from these pairs; words seen twice stay")
    config = TokenizerConfig(kind="word", min_frequency=2)
    source = Tokenizer.train((pair.source for pair in pairs), config)
    target = Tokenizer.train((pair.target for pair in pairs), config)
    print(f"   reserved ids 0 to 3: {' '.join(RESERVED)}")
    for side, tokenizer in (("source", source), ("target", target)):
        print(f"   {side}: {' '.join(tokenizer.vocabulary()[len(RESERVED) :])}")

    print("4. tokenize: text to ids; a rare word is <unk>, id 1")
    for text in ("He is calm.", "It costs 3.14 euros."):
        ids = source.encode(text)
        print(f"   {text!r} -> {source.tokens(ids)} -> {ids}")

    print(f"5. truncate to {NUM_STEPS}, always with <eos> (id 3) at the end, and count it")
    store = write_store(
        path.with_name("pairs.arrow"),
        pairs,
        source,
        target,
        max_source_tokens=NUM_STEPS,
        max_target_tokens=NUM_STEPS,
    )
    counts = store.counts
    print(f"   {counts.pairs} pairs; unknown: {counts.unknown_source_tokens} source tokens")
    print(f"   cut: {counts.truncated_sources} sources, {counts.truncated_targets} targets")
    _, targets = store.read([0])
    print(f"   {pairs[4].target!r} -> {target.tokens(targets.row(4).tolist())}")

    print("6. pad: arrays with valid lengths")
    rows = [[*source.encode(pair.source), EOS_ID] for pair in pairs[:3]]
    batch = collate(rows, [[*target.encode(pair.target), EOS_ID] for pair in pairs[:3]])
    print(f"   X {batch.src.tolist()}\n   X_valid_len {batch.src_lengths.tolist()}")

    print("7. iterate: (X, X_valid_len, Y, Y_valid_len), an epoch shuffled by its seed")
    sampler = EpochSampler(store, batch_tokens=1000, batch_sentences=3, seed=1)
    for number, batch in enumerate(sampler.epoch(0), start=1):
        print(f"   batch {number}: X {tuple(batch.src.shape)}, Y {tuple(batch.tgt_out.shape)}")
        if number == 1:
            print(f"   X           {batch.src.tolist()}\n"
                  f"   X_valid_len {batch.src_lengths.tolist()}\n"
                  f"   decoder in  {batch.tgt_in.tolist()}\n"
                  f"   Y           {batch.tgt_out.tolist()}\n"
                  f"   Y_valid_len {batch.tgt_lengths.tolist()}")  # fmt: skip


if __name__ == "__main__":
    main()
