"""Sequence to sequence as in the chapter: teacher forcing, masked loss, prediction, BLEU.

A GRU encoder and decoder of two layers, without attention, learns 600 short pairs, as the
chapter's does; here of the built-in English-French corpus. It learns them by heart: sentences
that it never saw show that. Half a minute on one core.

    python examples/seq2seq.py
"""

from __future__ import annotations

import argparse
import math
import tempfile
from pathlib import Path

import torch

from penstock.config import ModelConfig, TokenizerConfig
from penstock.data.grammar import builtin_split
from penstock.data.pair import Pair
from penstock.data.store import PairStore, write_store
from penstock.metrics import bleu, score_corpus
from penstock.nn import Seq2Seq
from penstock.runtime.decoder_step import decoding_step, start_decoding
from penstock.search import Limits, greedy_search
from penstock.text import BOS_ID, EOS_ID, PAD_ID, UNK_ID, Tokenizer, preprocess
from penstock.training.batches import EpochSampler, pad


def train(model: Seq2Seq, store: PairStore, *, epochs: int) -> None:
    """Teacher forcing: the decoder reads the right tokens, one behind those it predicts."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    sampler = EpochSampler(store, batch_tokens=400)
    model.train()
    for epoch in range(epochs):
        total, tokens = 0.0, 0
        for b in sampler.epoch(epoch):
            # the sum over real tokens only, and their number: divided once
            loss, count = model.loss(b.src, b.src_lengths, b.tgt_in, b.tgt_out, b.tgt_lengths)
            optimizer.zero_grad()
            (loss / count).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            total, tokens = total + loss.item(), tokens + count
        if epoch == 0 or (epoch + 1) % 10 == 0:
            print(f"  epoch {epoch + 1:>2}: perplexity a token {math.exp(total / tokens):.2f}")


def predict(model: Seq2Seq, source: Tokenizer, target: Tokenizer, texts: list[str]) -> list[str]:
    """Greedy: each token predicted is the next one read, until <eos>."""
    src, src_lengths = pad([[*ids, EOS_ID] for ids in source.encode_batch(texts)])
    limits = Limits(BOS_ID, EOS_ID, blocked=(PAD_ID, UNK_ID, BOS_ID), max_lengths=[30] * len(src))
    model.eval()
    with torch.no_grad():
        start = start_decoding(model, src, src_lengths)
    found = greedy_search(decoding_step(model), start, limits)
    return [target.decode(h.tokens) for h in found]


def show(name: str, pairs: list[Pair], predictions: list[str]) -> None:
    """Some predictions with the chapter's BLEU, and the corpus BLEU of all."""
    print(name)
    for pair, text in list(zip(pairs, predictions, strict=True))[:4]:
        score = bleu(preprocess(text), preprocess(pair.target), 2)
        print(f"  {pair.source} → {text}  BLEU {score:.2f}")
    references = [[preprocess(target) for target in pair.targets] for pair in pairs]
    scores = score_corpus([preprocess(text) for text in predictions], references)
    print(f"  all {len(pairs)}: corpus BLEU {scores.bleu:.1f}, right {scores.exact_match:.0f} %")


def main() -> None:
    """Train, then predict what was learnt and what was not seen."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--short", action="store_true", help="learn little, for tests")
    short = parser.parse_args().short

    torch.manual_seed(1)
    torch.set_num_threads(1)
    split = builtin_split(train=1_000 if short else 10_000, valid=0, test=100 if short else 1_000)
    training, unseen = (
        [pair for pair in part if len(pair.source.split()) <= 5]
        for part in (split.train, split.test)
    )
    training = training[: 50 if short else 600]
    config = TokenizerConfig(kind="word", min_frequency=1)
    source = Tokenizer.train((pair.source for pair in training), config)
    target = Tokenizer.train((pair.target for pair in training), config)
    model = Seq2Seq(
        ModelConfig(
            cell="gru",
            embedding_size=64,
            hidden_size=128,
            encoder_layers=2,
            decoder_layers=2,
            bidirectional=False,
            attention="none",
            tie_embeddings="none",
            dropout=0.1,
            embedding_dropout=0.0,
            scale_embeddings=True,
            initialization="xavier",
        ),
        source_size=source.vocab_size,
        target_size=target.vocab_size,
    )
    print(f"{len(training)} pairs, {sum(p.numel() for p in model.parameters()):,} weights")
    with tempfile.TemporaryDirectory() as folder:
        store = write_store(
            Path(folder) / "pairs.arrow",
            training,
            source,
            target,
            max_source_tokens=30,
            max_target_tokens=30,
        )
        train(model, store, epochs=2 if short else 30)
    for name, pairs in (("learnt", training), ("never seen", unseen)):
        show(name, pairs, predict(model, source, target, [pair.source for pair in pairs]))


if __name__ == "__main__":
    main()
