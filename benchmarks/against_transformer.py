# pyright: reportUnknownVariableType=false
# (torch gives `tolist` no type)
"""What a user would pick instead: a plain Transformer for the same minutes, beside penstock.

    python benchmarks/against_transformer.py TRAIN VALID TEST --minutes 2,5,10 [--json FILE]

TRAIN, VALID and TEST are files of pairs, or two parallel files as A,B. For each number of minutes
(of processor time on one thread, so that a busy machine changes little) penstock trains with
automatic settings, and a Transformer with each of `SETTINGS` on the same pairs and the same pieces;
the setting with the best greedy BLEU on VALID is the one whose TEST is compared. Every try is
printed. Both decode with torch in float32, greedily, keys and values cached.

The Transformer is torch's attention and products in pre-norm layers, learned positions, one
embedding for source, target and output; AdamW, label smoothing, bf16 as the processor has it, a
rate that falls to the end of the time, averaged weights from half of it.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

import penstock as ps
from penstock.training import loop

PAD, UNK, BOS, EOS = range(4)
_MOST_POSITIONS, _WARMUP, _DECODING_BATCH = 256, 400, 64
Ids = list[list[int]]


@dataclass(frozen=True, slots=True)
class Setting:
    """Of a Transformer: width (feed-forward layers are four times as wide), layers a side, …"""

    width: int
    layers: int
    batch_tokens: int
    rate: float
    dropout: float = 0.1
    heads: int = 4


SETTINGS = (
    Setting(128, 4, 600, 2e-3),
    Setting(128, 4, 400, 1.5e-3, dropout=0.2),
    Setting(192, 3, 500, 1.5e-3, dropout=0.2),
    Setting(256, 2, 500, 7e-4),
    Setting(256, 3, 2000, 1e-3),
)


class Attention(nn.Module):
    """Multi-head attention; keys and values can be kept from step to step."""

    def __init__(self, setting: Setting) -> None:
        super().__init__()
        self._heads = setting.heads
        self._query, self._key_value, self._out = (
            nn.Linear(setting.width, size * setting.width) for size in (1, 2, 1)
        )

    def keys(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of (B, T, E)."""
        key, value = self._key_value(inputs).chunk(2, -1)
        return self._split(key), self._split(value)

    def forward(
        self, inputs: Tensor, keys: tuple[Tensor, Tensor], mask: Tensor | None, *, causal: bool
    ) -> Tensor:
        """Attend; `mask` (B, 1, 1, S) is True at real positions."""
        found = functional.scaled_dot_product_attention(
            self._split(self._query(inputs)), *keys, attn_mask=mask, is_causal=causal
        )
        return self._out(found.transpose(1, 2).flatten(2))

    def _split(self, inputs: Tensor) -> Tensor:
        return inputs.unflatten(-1, (self._heads, -1)).transpose(1, 2)


class Layer(nn.Module):
    """A pre-norm layer; of the decoder with attention to the source."""

    def __init__(self, setting: Setting, *, is_decoder: bool) -> None:
        super().__init__()
        width = setting.width
        self.own = Attention(setting)
        self.source = Attention(setting) if is_decoder else None
        self._feed_forward = nn.Sequential(
            nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width)
        )
        self._norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3 if is_decoder else 2))
        self._dropout = nn.Dropout(setting.dropout)

    def source_keys(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of the encoder's states."""
        assert self.source is not None
        return self.source.keys(memory)

    def forward(
        self,
        inputs: Tensor,
        mask: Tensor,
        memory: tuple[Tensor, Tensor] | None = None,
        cache: list[tuple[Tensor, Tensor]] | None = None,
    ) -> Tensor:
        """(B, T, E) to the same; `cache` gets this step's keys and has those before it."""
        normed = self._norms[0](inputs)
        keys = self.own.keys(normed)
        if cache is not None:
            cache.append(keys)
            keys = torch.cat([k for k, _ in cache], 2), torch.cat([v for _, v in cache], 2)
            cache[:] = [keys]
        is_first = memory is not None and cache is None
        own = self.own(normed, keys, mask if memory is None else None, causal=is_first)
        inputs = inputs + self._dropout(own)
        if self.source is not None and memory is not None:
            found = self.source(self._norms[1](inputs), memory, mask, causal=False)
            inputs = inputs + self._dropout(found)
        return inputs + self._dropout(self._feed_forward(self._norms[-1](inputs)))


class Transformer(nn.Module):
    """An encoder and a decoder."""

    def __init__(self, vocab_size: int, setting: Setting) -> None:
        super().__init__()
        width = setting.width
        self.embedding = nn.Embedding(vocab_size, width)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        self._positions = nn.Parameter(torch.randn(_MOST_POSITIONS, width) * 0.02)
        self._encoder, self._decoder = (
            [Layer(setting, is_decoder=each) for _ in range(setting.layers)]
            for each in (False, True)
        )
        self._registered = nn.ModuleList([*self._encoder, *self._decoder])
        self._norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self._dropout = nn.Dropout(setting.dropout)

    def _embed(self, ids: Tensor, start: int = 0) -> Tensor:
        scaled = self.embedding(ids) * math.sqrt(self.embedding.embedding_dim)
        return self._dropout(scaled + self._positions[start : start + ids.shape[1]])

    def encode(self, source: Tensor) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
        """Keys and values of the source for each decoder layer, and the mask of real positions."""
        mask = (source != PAD)[:, None, None, :]
        states = self._embed(source)
        for layer in self._encoder:
            states = layer(states, mask)
        memory = self._norms[0](states)
        return [layer.source_keys(memory) for layer in self._decoder], mask

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """States (B, T, E) that predict what follows each target token."""
        memories, mask = self.encode(source)
        states = self._embed(target)
        for layer, memory in zip(self._decoder, memories, strict=True):
            states = layer(states, mask, memory)
        return self._norms[1](states)

    @torch.inference_mode()
    def greedy(self, sources: Ids) -> Ids:
        """The likeliest piece each time, for a batch."""
        memories, mask = self.encode(padded(sources))
        caches: list[list[Any]] = [[] for _ in memories]
        last = torch.full((len(sources), 1), BOS)
        found: list[Tensor] = []
        done = torch.zeros(len(sources), dtype=torch.bool)
        for position in range(min(2 * max(map(len, sources)) + 10, _MOST_POSITIONS)):
            states = self._embed(last, position)
            for layer, memory, cache in zip(self._decoder, memories, caches, strict=True):
                states = layer(states, mask, memory, cache)
            last = (self._norms[1](states)[:, 0] @ self.embedding.weight.T).argmax(-1, keepdim=True)
            found.append(last)
            done |= last[:, 0] == EOS
            if done.all():
                break
        rows: Ids = torch.cat(found, 1).tolist()
        return [row[: row.index(EOS)] if EOS in row else row for row in rows]


def padded(rows: Ids) -> Tensor:
    """(B, longest), padded with 0."""
    longest = max(map(len, rows))
    return torch.tensor([row + [PAD] * (longest - len(row)) for row in rows])


def batches(sources: Ids, targets: Ids, tokens: int, rng: random.Random) -> Iterator[list[int]]:
    """Rows of like length in batches of about so many target positions, in random order."""
    order = sorted(
        range(len(targets)), key=lambda i: (len(targets[i]), len(sources[i]), rng.random())
    )
    found: list[list[int]] = [[]]
    for row in order:
        if found[-1] and (len(found[-1]) + 1) * (len(targets[row]) + 1) > tokens:
            found.append([])
        found[-1].append(row)
    rng.shuffle(found)
    yield from found


def train_transformer(
    sources: Ids, targets: Ids, vocab_size: int, setting: Setting, minutes: float
) -> Transformer:
    """Train for so many minutes of processor time."""
    torch.manual_seed(0)
    rng, total = random.Random(0), 60 * minutes
    model, average = Transformer(vocab_size, setting), None
    optimizer = torch.optim.AdamW(model.parameters(), lr=setting.rate, betas=(0.9, 0.98))
    begun, update = time.process_time(), 0
    while True:
        for rows in batches(sources, targets, setting.batch_tokens, rng):
            done = (time.process_time() - begun) / total
            if done >= 1:
                return average or model
            for group in optimizer.param_groups:
                group["lr"] = setting.rate * max(min((update + 1) / _WARMUP, 1) * (1 - done), 0.02)
            wanted = padded([[*targets[i], EOS] for i in rows])
            given = padded([[BOS, *targets[i]] for i in rows])
            with torch.autocast("cpu", torch.bfloat16):
                states = model(padded([sources[i] for i in rows]), given)
                real = wanted != PAD
                logits = functional.linear(states[real], model.embedding.weight)
            loss = functional.cross_entropy(logits.float(), wanted[real], label_smoothing=0.1)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            update += 1
            if done > 0.5:
                average = average or copy.deepcopy(model)
                with torch.no_grad():
                    for mean, value in zip(average.parameters(), model.parameters(), strict=True):
                        mean.lerp_(value, 0.002)


def translate(model: Transformer, sources: Ids, batch: int) -> tuple[Ids, float]:
    """Greedy outputs in order, and sentences per second of processor time."""
    model.eval()
    order = sorted(range(len(sources)), key=lambda i: len(sources[i]))
    found: Ids = [[] for _ in sources]
    begun = time.process_time()
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        for row, output in zip(rows, model.greedy([sources[i] for i in rows]), strict=True):
            found[row] = output
    return found, len(sources) / (time.process_time() - begun)


def bleu(texts: Sequence[str], pairs: Sequence[ps.Pair]) -> float:
    """Corpus BLEU with sacreBLEU's defaults."""
    score = ps.score_corpus(list(texts), [pair.targets for pair in pairs], ["bleu"]).bleu
    assert score is not None
    return score


def compare(files: dict[str, Any], minutes: float) -> list[dict[str, Any]]:
    """Train all for so many minutes; what each reaches."""
    train, valid, test = (list(ps.read_pairs(files[name])) for name in ("train", "valid", "test"))
    with tempfile.TemporaryDirectory() as folder:
        config = {
            "data": {"train": files["train"], "valid": files["valid"]},
            "threads": 1, "device": "cpu", "text": {"source": {"kind": "bpe"}},
            "training": {"max_minutes": minutes, "metric": "bleu", "export": "none"},
        }  # fmt: skip
        ps.train(config, f"{folder}/run")
        bundle = ps.load_bundle(f"{folder}/run")
        ours = ps.Translator(bundle)
    found: list[dict[str, Any]] = []

    def keep(name: str, parameters: int, valid_bleu: float, test_bleu: float, speed: float) -> None:
        found.append(
            {"model": name, "minutes": minutes, "parameters": parameters, "valid": valid_bleu,
             "test": test_bleu, "sentences/s": speed}
        )  # fmt: skip
        print(
            f"{minutes:5g} min  {name:70} {parameters / 1e6:5.1f} M  valid {valid_bleu:5.2f}  "
            f"test {test_bleu:5.2f}  {speed:6.0f} sentences/s",
            flush=True,
        )

    scores: list[float] = []
    speed = 0.0
    for pairs in (valid, test):
        begun = time.process_time()
        results = ours.translate([pair.source for pair in pairs], search="greedy")
        speed = len(pairs) / (time.process_time() - begun)
        scores.append(bleu([each.text for each in results], pairs))
    keep("penstock, automatic settings", bundle.parameters, scores[0], scores[1], speed)
    source, target = bundle.source_tokenizer, bundle.target_tokenizer
    shift = 0 if source.to_json() == target.to_json() else source.vocab_size
    encoded = [
        ([*source.encode(pair.source), EOS], [i + shift * (i > EOS) for i in target.encode(text)])
        for pair in train
        for text in pair.targets[:1]
    ]
    fitting = [each for each in encoded if max(map(len, each)) < _MOST_POSITIONS]
    sources, targets = ([each[side] for each in fitting] for side in (0, 1))
    vocab_size = target.vocab_size + shift
    for setting in SETTINGS:
        model = train_transformer(sources, targets, vocab_size, setting, minutes)
        scores = []
        for pairs in (valid, test):
            ids = [[*source.encode(pair.source)[: _MOST_POSITIONS - 1], EOS] for pair in pairs]
            outputs, speed = translate(model, ids, _DECODING_BATCH)
            texts = [
                target.decode([i - shift * (i > EOS) for i in row if i <= EOS or i > shift])
                for row in outputs
            ]
            scores.append(bleu(texts, pairs))
        name = " ".join(f"{key}={value:g}" for key, value in asdict(setting).items())
        size = sum(each.numel() for each in model.parameters())
        keep(f"Transformer {name}", size, scores[0], scores[1], speed)
    best = max(found[1:], key=lambda each: each["valid"])
    print(
        f"{minutes:5g} min  by VALID the best Transformer has {best['test']:.2f} on TEST, penstock "
        f"{found[0]['test']:.2f}",
        flush=True,
    )
    return found


def main() -> None:
    """Print every try, and keep them."""
    parser = argparse.ArgumentParser(description="Compare with plain Transformers.")
    for name in ("train", "valid", "test"):
        parser.add_argument(name, help="pairs, or two parallel files as A,B")
    parser.add_argument("--minutes", default="2,5,10", help="numbers of minutes, with commas")
    parser.add_argument("--json", type=Path, help="keep results here")
    options = parser.parse_args()
    torch.set_num_threads(1)
    # processor time takes the place of the wall clock
    loop.time = SimpleNamespace(monotonic=time.process_time)  # pyright: ignore
    files = {
        name: names if len(names := getattr(options, name).split(",")) > 1 else names[0]
        for name in ("train", "valid", "test")
    }
    found = [
        each for minutes in options.minutes.split(",") for each in compare(files, float(minutes))
    ]
    if options.json:
        options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
