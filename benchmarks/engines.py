"""One decoder step of each engine, beside each other, on one thread and alternating.

    python benchmarks/engines.py [--json]

The model has the architecture of `examples/multi30k-de-en.toml`; its weights are random, which
changes no time. Milliseconds of a step with the ten best candidates per row, and of encoding the
sources; medians, and the least in brackets.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from penstock.config import ModelConfig, RunConfig
from penstock.nn.seq2seq import Seq2Seq
from penstock.runtime.decoder_step import decoding_step, start_decoding
from penstock.runtime.onnx.translation_engine import OnnxTranslator
from penstock.runtime.torch_engine import InferenceModel
from penstock.special_tokens import RESERVED
from penstock.tasks.translation.graphs import make_graphs

VOCAB, PIECES, TOP = 8000, 14, 10
SHAPES = ((1, 1), (1, 5), (64, 1), (64, 5))  # sentences and rows for each
Steps = dict[str, Callable[[int, int], tuple[Callable[[], Any], Callable[[], Any]]]]


def main() -> None:
    """Print the table, or a JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    engines = build()
    found: dict[str, dict[str, dict[str, float]]] = {}
    for sentences, rows in SHAPES:
        calls = {name: make(sentences, rows) for name, make in engines.items()}
        times: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in calls}
        inner = 10 if sentences == 1 else 1
        for _ in range(arguments.repeats):
            for name, pair in calls.items():
                for call, taken in zip(pair, times[name], strict=True):
                    taken.append(milliseconds(call, inner))
        found[f"{sentences} × {rows}"] = {
            name: {
                "encode": statistics.median(encode),
                "encode_least": min(encode),
                "step": statistics.median(step),
                "step_least": min(step),
            }
            for name, (encode, step) in times.items()
        }
    if arguments.json:
        print(json.dumps(found, indent=1, ensure_ascii=False))
        return
    print(f"{'sentences × rows':18}{'engine':14}{'encode, ms':>20}{'step, ms':>20}")
    for shape, by_engine in found.items():
        for name, value in by_engine.items():
            encode = f"{value['encode']:.2f} ({value['encode_least']:.2f})"
            step = f"{value['step']:.3f} ({value['step_least']:.3f})"
            print(f"{shape:18}{name:14}{encode:>20}{step:>20}")


def build() -> Steps:
    """The same random model on every engine."""
    config = ModelConfig()
    torch.manual_seed(1)
    model = Seq2Seq(config, source_size=VOCAB, target_size=VOCAB).eval()
    random = np.random.default_rng(1)

    def ids(count: int) -> list[int]:
        return random.integers(len(RESERVED), VOCAB, count).tolist()

    sample = [(ids(PIECES), ids(PIECES)) for _ in range(20)]
    engines: Steps = {}
    for precision in ("int8", "fp32"):
        files = make_graphs(RunConfig(model=config), model, sample, precision)
        engine = OnnxTranslator(config, files, vocab_size=VOCAB, place="model")
        engines[f"onnx {precision}"] = lambda sentences, rows, engine=engine: calls(
            engine.start, engine.step, [ids(PIECES) for _ in range(sentences)], rows
        )
    for precision in ("fp32", "bf16"):
        prepared = InferenceModel(model, precision=precision)

        def start(sources: list[list[int]], prepared: InferenceModel = prepared) -> Any:
            lengths = torch.full((len(sources),), PIECES)
            return start_decoding(prepared, torch.tensor(sources), lengths)

        engines[f"torch {precision}"] = lambda sentences, rows, start=start, prepared=prepared: (
            calls(start, decoding_step(prepared), [ids(PIECES) for _ in range(sentences)], rows)
        )
    return engines


def calls(
    start: Callable[[Any], Any], step: Callable[..., Any], sources: list[list[int]], rows: int
) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Encoding, and a step of every row after its rows were reordered."""
    chosen = np.arange(len(sources)).repeat(rows)
    order = np.arange(len(chosen))
    tokens = np.full(len(chosen), len(RESERVED))
    state = step(tokens, start(sources).select(chosen), top=TOP).state
    return (lambda: start(sources)), (lambda: step(tokens, state.select(order), top=TOP))


def milliseconds(call: Callable[[], Any], times: int) -> float:
    """Of one call, from so many."""
    begun = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - begun) / times * 1000


if __name__ == "__main__":
    main()
