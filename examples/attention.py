"""Attention: four scores by hand, padding, keys projected once, what an alignment shows.

Small translators learn to write dates in numbers, character by character, without attention and
with each kind of it. Some twenty seconds on one core.

    python examples/attention.py [--out FIGURE.svg]

See docs/chapter/attention.md.
"""

from __future__ import annotations

import argparse
import math
import random
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import torch
from torch import Tensor, nn

from penstock.config import ModelConfig
from penstock.errors import PenstockError
from penstock.figure import empty_figure, save_figure
from penstock.nn import Seq2Seq
from penstock.nn.attention import Attention, AttentionSizes, make_attention
from penstock.text import BOS_ID, EOS_ID, RESERVED
from penstock.training.batches import pad

KINDS = ("dot", "general", "additive", "multihead")
BATCH, SOURCE, HIDDEN, WIDTH = 3, 6, 16, 12  # B, S, H, A of the first three parts

FORMATS = ("%d %b %Y", "%b %d, %Y", "%Y %b %d")
CHARACTERS = [*RESERVED, *"0123456789-, abcdefghijklmnopqrstuvwxyz"]
Pair = tuple[str, str]


# --- one call of attention ----------------------------------------------------------------------


def score(kind: str, attention: Attention, query: Tensor, values: Tensor) -> Tensor:
    """The scores (B, S) of one query (B, H), a formula for each kind."""
    if kind == "dot":
        return torch.einsum("bh,bsh->bs", query, values)
    key = values @ attention.project_keys.weight.T  # (B, S, A)
    if kind == "general":
        return torch.einsum("bh,bsh->bs", query, key)
    query = attention.project_query(query)  # (B, A)
    if kind == "additive":
        energies = torch.tanh(query[:, None] + key)
        return (energies @ attention.energy.weight.T).squeeze(-1)
    width = WIDTH // attention.heads  # of one head; here the scores of the first
    return torch.einsum("ba,bsa->bs", query[:, :width], key[..., :width]) / math.sqrt(width)


@torch.no_grad()
def show_calls() -> None:
    """The module against the formulas; padding; keys once or at every step."""
    torch.manual_seed(1)
    values, query = torch.randn(BATCH, SOURCE, HIDDEN), torch.randn(BATCH, HIDDEN)
    lengths = torch.tensor([6, 4, 2])
    mask = torch.arange(SOURCE) < lengths[:, None]
    sizes = AttentionSizes(query=HIDDEN, value=HIDDEN, attention=WIDTH, heads=2)
    modules = {kind: make_attention(kind, sizes) for kind in KINDS}
    print("the module against the formula; the weights in a sentence of 2 tokens among 6")
    for kind, attention in modules.items():
        _, weights = attention(query[:, None], attention.keys(values), values, mask)
        by_hand = score(kind, attention, query, values).masked_fill(~mask, -math.inf).softmax(-1)
        apart = (weights[:, 0, 0] - by_hand).abs().max().item()
        last = " ".join(f"{weight:.2f}" for weight in weights[2, 0, 0].tolist())
        print(f"  {kind:<10} largest distance {apart:.0e}   {last}")

    print("without the mask: the weight on padding in sentences of 6, 4 and 2 tokens")
    values[~mask] = 0  # as the encoder leaves it
    for kind, attention in modules.items():
        _, weights = attention(query[:, None], attention.keys(values), values, mask | True)
        taken = [weights[row, 0, 0, length:].sum().item() for row, length in enumerate(lengths)]
        print(f"  {kind:<10} " + "  ".join(f"{share:4.0%}" for share in taken))

    print("30 steps over 30 positions, H = A = 512: milliseconds, keys projected")
    values, mask = torch.randn(1, 30, 512), torch.ones(1, 30, dtype=torch.bool)
    for kind in KINDS[1:]:
        attention = make_attention(kind, AttentionSizes(512, 512, 512, heads=8))
        keys = attention.keys(values)
        once = milliseconds(lambda a=attention, k=keys: a(values[:, :1], k, values, mask))
        anew = milliseconds(lambda a=attention: a(values[:, :1], a.keys(values), values, mask))
        print(f"  {kind:<10} once {once:5.1f}   at every step {anew:5.1f}")


def milliseconds(step: Callable[[], object]) -> float:
    """The processor's time for 30 steps, the best of five."""
    times = []
    for _ in range(5):
        begun = time.process_time()
        for _ in range(30):
            step()
        times.append(time.process_time() - begun)
    return 1000 * min(times)


# --- learning to read dates ---------------------------------------------------------------------


def dates(count: int, seed: int) -> list[Pair]:
    """Dates of two centuries as they are written, and as 2021-03-05."""
    chance, first = random.Random(seed), date(1900, 1, 1)
    days = [first + timedelta(chance.randrange(73_049)) for _ in range(count)]
    return [(day.strftime(chance.choice(FORMATS)).lower(), day.isoformat()) for day in days]


def encode(texts: list[str]) -> tuple[Tensor, Tensor]:
    """Characters to ids, with <eos> behind each text; and the lengths."""
    return pad([[*(CHARACTERS.index(c) for c in text), EOS_ID] for text in texts])


def before(targets: Tensor) -> Tensor:
    """What the decoder reads: BOS, then the target without its end."""
    return torch.cat([torch.full_like(targets[:, :1], BOS_ID), targets[:, :-1]], 1)


def new_model(kind: str) -> Seq2Seq:
    """A small GRU translator, its encoder in both directions."""
    torch.manual_seed(1)
    config = ModelConfig(
        cell="gru",
        embedding_size=32,
        hidden_size=64,
        encoder_layers=1,
        decoder_layers=1,
        attention=kind,
        attention_heads=2,
        tie_embeddings="none",
        dropout=0.0,
        embedding_dropout=0.0,
        scale_embeddings=True,
        initialization="xavier",
    )
    return Seq2Seq(config, source_size=len(CHARACTERS), target_size=len(CHARACTERS))


def train(model: Seq2Seq, pairs: list[Pair], updates: int) -> None:
    """Teacher forcing; the sum over real characters divided once."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    src, src_lengths = encode([source for source, _ in pairs])
    tgt, tgt_lengths = encode([target for _, target in pairs])
    for _ in range(updates):
        rows = torch.randint(len(pairs), (64,))
        loss, count = model.loss(
            src[rows], src_lengths[rows], before(tgt[rows]), tgt[rows], tgt_lengths[rows]
        )
        optimizer.zero_grad()
        (loss / count).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


@torch.no_grad()
def read(model: Seq2Seq, texts: list[str]) -> list[str]:
    """Greedy: ten characters, each read at the next step. The keys are made once, by `encode`."""
    memory, state = model.encode(*encode(texts))
    last, written = torch.full((len(texts), 1), BOS_ID), []
    for _ in range(10):
        logits, state = model.decoder(last, state, memory)
        last = logits.argmax(-1)
        written.append(last)
    rows = torch.cat(written, 1).tolist()
    return ["".join(CHARACTERS[token] for token in row) for row in rows]


@torch.no_grad()
def weights_of(model: Seq2Seq, pair: Pair) -> Tensor:
    """The attention weights (heads, T, S) while the target is written."""
    (src, lengths), (tgt, _) = encode([pair[0]]), encode([pair[1]])
    memory, state = model.encode(src, lengths)
    weights = model.decoder.features(before(tgt), state, memory).weights
    assert weights is not None
    return weights[0, :, :-1, :]


def draw(path: Path, models: dict[str, Seq2Seq], pair: Pair) -> None:
    """One heat map for each kind: what is written, over what is read."""
    figure = empty_figure(10, 5.4)
    panels = figure.subplots(2, 2)
    for axes, kind in zip(panels.flat, KINDS, strict=True):
        weights = weights_of(models[kind], pair).mean(0).numpy()
        axes.imshow(weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axes.set_title(f"{kind}, mean of two heads" if kind == "multihead" else kind, fontsize=10)
        source = [*pair[0].replace(" ", "␣"), "eos"]
        axes.set_xticks(range(len(source)), source, fontsize=8)
        axes.set_yticks(range(len(pair[1])), list(pair[1]), fontsize=8)
    save_figure(figure, path)


def main() -> None:
    """Single calls, then dates, then the figure if one is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, help="figure to draw (.svg, .png, .pdf)")
    parser.add_argument("--short", action="store_true", help="a few updates, for tests")
    options = parser.parse_args()
    torch.set_num_threads(1)
    show_calls()

    updates = 3 if options.short else 100
    training, unseen = dates(5_000, 1), dates(500, 2)
    shown = ("mar 05, 2021", "2021-03-05")
    print(f"dates after {updates} updates: right of {len(unseen)} unseen; {shown[0]!r} becomes")
    models = {}
    for kind in ("none", *KINDS):
        models[kind] = new_model(kind)
        train(models[kind], training, updates)
        texts = read(models[kind], [source for source, _ in unseen])
        right = sum(t == target for t, (_, target) in zip(texts, unseen, strict=True))
        print(f"  {kind:<10} {right / len(unseen):6.1%}   {read(models[kind], [shown[0]])[0]}")
    if options.out is not None:
        try:
            draw(options.out, models, shown)
        except PenstockError as error:
            parser.exit(error.exit_code, f"{error}\n")


if __name__ == "__main__":
    main()
