"""Encoder and decoder, their joining and the shapes; and that padding changes nothing.

python examples/encoder_decoder.py
"""

from __future__ import annotations

import argparse

import torch

from penstock.config import ModelConfig
from penstock.nn import Seq2Seq
from penstock.text import BOS_ID
from penstock.training.batches import pad


def main() -> None:
    """The chapter's sizes: V 10, E 8, H 16, two layers; B 4 sentences of up to 7 tokens."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--short", action="store_true", help="for tests; it is short anyway")
    parser.parse_args()

    torch.manual_seed(1)
    config = ModelConfig(
        cell="gru",
        embedding_size=8,
        hidden_size=16,
        encoder_layers=2,
        decoder_layers=2,
        bidirectional=False,
        attention="none",
        tie_embeddings="none",
    )
    model = Seq2Seq(config, source_size=10, target_size=10).eval()
    sentences = [[4, 5, 6, 7, 8, 9, 3], [4, 5, 3], [9, 8, 7, 3], [6, 3]]
    src, src_lengths = pad(sentences)
    tgt_in = torch.tensor([[BOS_ID, 4, 5, 6, 7]] * 4)

    print("the encoder: ids to a value a token, and a state")
    values, state = model.encoder(src, src_lengths)
    print(f"  src (B, S) {tuple(src.shape)}, src_lengths {src_lengths.tolist()}")
    print(f"  values (B, S, H) {tuple(values.shape)}, state.h (L, B, H) {tuple(state.h.shape)}")

    print("the joining: what the decoder begins with, and what it may look at")
    memory, state = model.encode(src, src_lengths)
    print(f"  state.h {tuple(state.h.shape)}, memory.context (B, H) {tuple(memory.context.shape)}")

    print("the decoder: the target so far to logits")
    logits, state = model.decoder(tgt_in, state, memory)
    print(f"  tgt_in (B, T) {tuple(tgt_in.shape)}, logits (B, T, V) {tuple(logits.shape)}")

    print("one step after another computes the same as all at once")
    memory, state = model.encode(src, src_lengths)
    steps = []
    for t in range(tgt_in.shape[1]):
        step, state = model.decoder(tgt_in[:, t : t + 1], state, memory)
        steps.append(step)
    print(f"  equal to 1e-6: {torch.allclose(torch.cat(steps, 1), logits, atol=1e-6)}")

    print("padding changes nothing: each sentence alone, and among longer ones")
    for row, sentence in enumerate(sentences):
        alone = model(*pad([sentence]), tgt_in[:1])
        equal = torch.allclose(alone[0], logits[row], atol=1e-6)
        print(f"  {len(sentence)} tokens: equal to 1e-6: {equal}")

    print("an encoder that reads padding (lengths left out, as in the book) gives other logits")
    full = torch.full_like(src_lengths, src.shape[1])
    read = (model(src, full, tgt_in) - logits).abs().amax((1, 2))
    for sentence, difference in zip(sentences, read.tolist(), strict=True):
        print(f"  {len(sentence)} tokens: largest difference {difference:.4f}")


if __name__ == "__main__":
    with torch.no_grad():
        main()
