"""Translation beside CTranslate2's Transformer of the same size, on one thread and alternating.

    python benchmarks/against_ctranslate2.py -m BUNDLE [SOURCES] [--json]
    python benchmarks/against_ctranslate2.py --random [--json]

CTranslate2 runs 6 encoder and 2 decoder layers of width 256 (feed-forward 1,024, vocabulary 8,000,
random weights, int8) on as many pieces in and out as penstock, without a tokenizer; penstock's
time is that of a whole `translate` call. Single sentences in milliseconds, batches of 64 in
sentences per second; medians of wall time, and of the processor time of the process, which other
work on the machine disturbs less. A ratio above 1: penstock is faster.

`--random` makes a model with the architecture of `examples/multi30k-de-en.toml` whose weights are
random and whose outputs are as long as their sources, 14 pieces with the end of sequence.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np

from penstock.bundle import Bundle, load_bundle
from penstock.config import ModelConfig, RunConfig, SearchConfig, TextConfig, TokenizerConfig
from penstock.data.formats.input_lines import read_lines
from penstock.runtime.onnx.translation_engine import OnnxTranslator
from penstock.tasks.translation.search_options import SearchOptions
from penstock.tasks.translation.task import TRANSLATION
from penstock.tasks.translation.translator import Translator
from penstock.text import Tokenizer

WIDTH, FEED_FORWARD, VOCAB, LAYERS, HEADS = 256, 1024, 8000, (6, 2), 8
BATCH, PIECES = 64, 14
WORKS = {
    "beam5_single": (5, 1),
    "greedy_single": (1, 1),
    "beam5_batch64": (5, BATCH),
    "greedy_batch64": (1, BATCH),
}
Times = dict[str, list[tuple[float, float]]]  # by engine: wall and processor seconds per sentence


def main() -> None:
    """Print the table, or a JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("-m", "--model", help="an exported translation model")
    model.add_argument("--random", action="store_true", help="make a model with random weights")
    parser.add_argument("sources", nargs="?", help="a line per sentence; default: random ones")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    bundle = random_bundle() if arguments.random else load_bundle(arguments.model, task=TRANSLATION)
    lines = (
        [line.text for line in read_lines(arguments.sources)]
        if arguments.sources
        else random_lines(bundle)
    )
    engines = penstock_engines(bundle)
    with tempfile.TemporaryDirectory() as directory:
        write_transformer(Path(directory))
        transformer = ctranslate2.Translator(directory, compute_type="int8", intra_threads=1)
        found = {
            name: measure(engines, transformer, lines, beam, batch, arguments.repeats)
            for name, (beam, batch) in WORKS.items()
        }
    if arguments.json:
        print(json.dumps(found, indent=1))
        return
    columns = ["penstock", "ctranslate2", "ratio", "cpu_ratio"]
    columns += ["torch"] if "torch" in engines else []
    print(f"{'work':16}" + "".join(f"{column:>13}" for column in [*columns, "pieces"]))
    for name, values in found.items():
        numbers = "".join(f"{values[column]:13.2f}" for column in columns)
        print(f"{name:16}{numbers}{values['pieces']:>13}")


def measure(
    engines: dict[str, Translator],
    transformer: ctranslate2.Translator,
    lines: Sequence[str],
    beam: int,
    batch: int,
    repeats: int,
) -> dict[str, Any]:
    """One work: every engine in turn on the same batches."""
    options = SearchOptions(search="beam" if beam > 1 else "greedy", beam_size=beam)
    batches = [lines[i : i + batch] for i in range(0, len(lines) - batch + 1, batch)]
    batches = batches[: 20 if batch == 1 else 2]
    calls: dict[str, list[Callable[[], Any]]] = {
        name: [lambda own=own, each=each: each.translate(own, options) for own in batches]
        for name, each in engines.items()
    }
    calls["ctranslate2"] = []
    random, pieces_in, pieces_out = np.random.default_rng(1), 0, 0
    for call in calls["penstock"]:
        results = call()
        lengths = [len(result.source_tokens) for result in results]
        outputs = [len(result.alternatives[0].tokens) for result in results]
        pieces_in, pieces_out = pieces_in + sum(lengths), pieces_out + sum(outputs)
        tokens = [[f"t{i}" for i in random.integers(3, VOCAB, length)] for length in lengths]
        length = max(1, round(statistics.mean(outputs)))
        calls["ctranslate2"].append(
            lambda tokens=tokens, length=length: transformer.translate_batch(
                tokens, beam_size=beam, min_decoding_length=length, max_decoding_length=length
            )
        )
    times: Times = {name: [] for name in calls}
    for repeat in range(repeats + 1):
        for number in range(len(batches)):
            for name, own in calls.items():
                wall, processor = time.perf_counter(), time.process_time()
                own[number]()
                processor, wall = time.process_time() - processor, time.perf_counter() - wall
                if repeat:  # the first round warms up
                    times[name].append((wall / batch, processor / batch))
    sentences = batch * len(batches)
    return summary(times, batch) | {
        "pieces": f"{pieces_in / sentences:.1f} → {pieces_out / sentences:.1f}"
    }


def summary(times: Times, batch: int, *, other: str = "ctranslate2") -> dict[str, Any]:
    """Medians in milliseconds (single sentences) or sentences per second, and their ratios."""
    wall = {name: statistics.median(w for w, _ in own) for name, own in times.items()}
    processor = {name: statistics.median(p for _, p in own) for name, own in times.items()}

    def shown(seconds: dict[str, float]) -> dict[str, float]:
        return {n: s * 1000 if batch == 1 else 1 / s for n, s in seconds.items()}

    return {
        **shown(wall),
        "ratio": wall[other] / wall["penstock"],
        "cpu": shown(processor),
        "cpu_ratio": processor[other] / processor["penstock"],
    }


def penstock_engines(bundle: Bundle) -> dict[str, Translator]:
    """ONNX Runtime, and torch where it is installed and the bundle has weights for it."""
    onnx = OnnxTranslator(
        bundle.config.model,
        bundle.files,
        vocab_size=bundle.target_tokenizer.vocab_size,
        place=str(bundle.place),
    )
    engines = {"penstock": Translator(bundle, engines=[onnx])}
    if "weights" in bundle.files and find_spec("torch"):
        import torch

        from penstock.runtime.torch_network import load_network
        from penstock.runtime.torch_translation import TorchTranslation

        torch.set_num_threads(1)
        network = TorchTranslation(load_network(bundle), precision="bf16")
        network.warm_up(5 * BATCH)
        engines["torch"] = Translator(bundle, engines=[network])
    return engines


def random_bundle() -> Bundle:
    """The example's architecture with random weights; an output ends at its source's length."""
    import torch

    from penstock.nn.seq2seq import Seq2Seq
    from penstock.runtime.torch_network import network_files
    from penstock.special_tokens import EOS_ID
    from penstock.tasks.translation.graphs import make_graphs

    random = np.random.default_rng(1)
    syllables = ["".join(random.choice(list(part)) for part in _SYLLABLE) for _ in range(400)]
    words = ["".join(random.choice(syllables, random.integers(1, 4))) for _ in range(9000)]
    texts = (" ".join(random.choice(words, 12)) for _ in range(2500))
    kind = TokenizerConfig(kind="bpe", vocab_size=VOCAB)
    tokenizer = Tokenizer.train(texts, kind)
    config = RunConfig(
        text=TextConfig(source=kind, target=kind, shared=True),
        model=ModelConfig(attention="general", tie_embeddings="decoder"),
        search=SearchConfig(max_length_ratio=0.9, max_length_extra=1),
    )
    torch.manual_seed(1)
    model = Seq2Seq(config.model, source_size=VOCAB, target_size=VOCAB).eval()
    with torch.no_grad():
        model.decoder.output.bias[EOS_ID] = -30.0  # the limit ends every output
    sample = [(list(random.integers(4, VOCAB, PIECES)),) * 2 for _ in range(20)]
    files = {**network_files(model), **make_graphs(config, model, sample, "int8")}
    return Bundle(config, tokenizer, tokenizer, files=files, place=Path("random"))


_SYLLABLE = ("bdfghklmnprstvw", "aeiou", "lmnrst")


def random_lines(bundle: Bundle) -> list[str]:
    """Sentences of random words of the source vocabulary, 14 pieces each with the end."""
    tokenizer, random = bundle.source_tokenizer, np.random.default_rng(2)
    words = [word for word in tokenizer.words() if word is not None and word.isalpha()]
    found: list[str] = []
    while len(found) < 2 * BATCH:
        line = " ".join(random.choice(words, PIECES - 1))
        if len(tokenizer.encode(line)) == PIECES - 1:
            found.append(line)
    return found


def write_transformer(directory: Path) -> None:
    """A Transformer with random weights, as CTranslate2 stores it."""
    spec = ctranslate2.specs.TransformerSpec.from_config(LAYERS, HEADS)
    random = np.random.default_rng(1)

    def linear(layer: Any, outputs: int, inputs: int) -> None:
        layer.weight = random.normal(0, 0.05, (outputs, inputs)).astype(np.float32)
        if hasattr(layer, "bias"):
            layer.bias = np.zeros(outputs, np.float32)

    def norm(layer: Any) -> None:
        layer.gamma, layer.beta = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)

    def attention(layer: Any, outputs: Sequence[int]) -> None:
        norm(layer.layer_norm)
        for own, size in zip(layer.linear, outputs, strict=True):
            linear(own, size, WIDTH)

    for layer in [*spec.encoder.layer, *spec.decoder.layer]:
        attention(layer.self_attention, (3 * WIDTH, WIDTH))
        norm(layer.ffn.layer_norm)
        linear(layer.ffn.linear_0, FEED_FORWARD, WIDTH)
        linear(layer.ffn.linear_1, WIDTH, FEED_FORWARD)
    for layer in spec.decoder.layer:
        attention(layer.attention, (WIDTH, 2 * WIDTH, WIDTH))
    linear(spec.encoder.embeddings[0], VOCAB, WIDTH)
    linear(spec.decoder.embeddings, VOCAB, WIDTH)
    linear(spec.decoder.projection, VOCAB, WIDTH)
    norm(spec.encoder.layer_norm)
    norm(spec.decoder.layer_norm)
    vocabulary = ["<unk>", "<s>", "</s>", *(f"t{i}" for i in range(3, VOCAB))]
    spec.register_source_vocabulary(vocabulary)
    spec.register_target_vocabulary(vocabulary)
    spec.validate()
    spec.optimize(quantization="int8")
    spec.save(str(directory))


if __name__ == "__main__":
    main()
