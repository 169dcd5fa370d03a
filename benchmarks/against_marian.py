"""Translation beside Marian's recurrent network of the same size, on one thread and alternating.

    pip install pymarian==1.12.42
    python benchmarks/against_marian.py -m BUNDLE SOURCES [--json]

Marian runs an `s2s` network of LSTM cells (embeddings of 256, states of 512, one bidirectional
encoder layer, two decoder layers, one vocabulary of 8,000) in float32, after one update, on the
pieces that penstock makes of the sources, without a tokenizer. Its outputs would never end: they
are cut where they are about as long as penstock's. The rest is as in `against_ctranslate2.py`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from against_ctranslate2 import BATCH, VOCAB, WORKS, Times, penstock_engines, summary
from penstock.bundle import load_bundle
from penstock.data.formats.input_lines import read_lines
from penstock.tasks.translation.search_options import SearchOptions
from penstock.tasks.translation.task import TRANSLATION


def main() -> None:
    """Print the table, or a JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-m", "--model", required=True, help="an exported translation model")
    parser.add_argument("sources", help="a line per sentence")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    bundle = load_bundle(arguments.model, task=TRANSLATION)
    lines = [line.text for line in read_lines(arguments.sources)]
    pieces = [" ".join(f"p{i}" for i in ids) for ids in bundle.source_tokenizer.encode_batch(lines)]
    penstock = penstock_engines(bundle)["penstock"]
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as directory:
        options = make_network(Path(directory), pieces[:BATCH])
        for name, (beam, batch) in WORKS.items():
            search = SearchOptions(search="beam" if beam > 1 else "greedy", beam_size=beam)
            marian = decoder(options, beam)
            times: Times = {"penstock": [], "marian": []}
            starts = range(0, 12 if batch == 1 else 2 * BATCH, batch)
            for repeat in range(arguments.repeats + 1):
                for start in starts:
                    chosen = slice(start, start + batch)
                    ours = timed(partial(penstock.translate, options=search), lines[chosen])
                    theirs = timed(marian.translate, pieces[chosen])
                    if repeat:  # the first round warms up
                        times["penstock"].append((ours[0] / batch, ours[1] / batch))
                        times["marian"].append((theirs[0] / batch, theirs[1] / batch))
            outputs = marian.translate(pieces[: starts.stop])
            found[name] = summary(times, batch, other="marian")
            found[name]["pieces"] = sum(len(o.split()) for o in outputs) / starts.stop
    if arguments.json:
        print(json.dumps(found, indent=1))
        return
    columns = ["penstock", "marian", "ratio", "cpu_ratio", "pieces"]
    print(f"{'work':16}" + "".join(f"{column:>14}" for column in columns))
    for name, values in found.items():
        print(f"{name:16}" + "".join(f"{values[column]:14.2f}" for column in columns))


def make_network(directory: Path, pieces: Sequence[str]) -> dict[str, Any]:
    """Train a network for one update, and give what loads it."""
    from pymarian import Trainer

    text, vocabulary = str(directory / "text"), str(directory / "vocabulary.yml")
    Path(text).write_text("\n".join(pieces) + "\n", encoding="utf-8")
    tokens = ["</s>", "<unk>", *(f"p{i}" for i in range(2, VOCAB))]
    rows = "".join(f"{token}: {number}\n" for number, token in enumerate(tokens))
    Path(vocabulary).write_text(rows, encoding="utf-8")
    model = str(directory / "model.npz")
    Trainer(
        type="s2s", train_sets=[text, text], vocabs=[vocabulary, vocabulary], model=model,
        dim_emb=256, dim_rnn=512, enc_type="bidirectional", enc_depth=1, dec_depth=2,
        enc_cell="lstm", dec_cell="lstm", tied_embeddings_all=True, mini_batch=8, after="1u",
        cpu_threads=1, workspace=800, quiet=True,
    ).train()  # fmt: skip
    return {"models": [model], "vocabs": [vocabulary, vocabulary]}


def decoder(options: dict[str, Any], beam: int) -> Any:
    """Marian's translator on one thread."""
    from pymarian import Translator

    return Translator(
        **options, beam_size=beam, mini_batch=BATCH, maxi_batch=1, maxi_batch_sort="src",
        cpu_threads=1, normalize=1, max_length_factor=0.45, workspace=800, quiet=True,
        quiet_translation=True,
    )  # fmt: skip


def timed(call: Callable[[Any], Any], value: Any) -> tuple[float, float]:
    """Seconds of wall and of processor time of a call."""
    wall, processor = time.perf_counter(), time.process_time()
    call(value)
    return time.perf_counter() - wall, time.process_time() - processor


if __name__ == "__main__":
    main()
