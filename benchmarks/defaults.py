"""What the automatic settings reach on many data sets, and what alternatives would.

    python benchmarks/defaults.py
    python benchmarks/defaults.py --data g2p-fr --try auto --try wide=model.hidden_size=512
    python benchmarks/defaults.py --data g2p-fr --try example
    python benchmarks/defaults.py --data g2p-fr --minutes 4 --out runs/defaults

Each try trains for `--minutes` of processor time on one thread, so that a busy machine changes
little, and is scored on development data (greedy search, at most 500 sources). `--json FILE` keeps
every result, and goes on where an earlier call ended. Data sets that are not there are left out.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
import unicodedata
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import penstock as ps
from penstock.config import load_config, parse_config
from penstock.config.training_config import MOST_UPDATES
from penstock.data.formats.column_choice import Columns
from penstock.data.formats.readers import ReadOptions, read_pairs
from penstock.errors import DataError
from penstock.training import loop
from penstock.training.progress import read_log

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared/data"
Pairs = list[tuple[str, str]]
Data = Callable[[], tuple[Pairs, Pairs]]


def read(*names: str, columns: Columns | None = None) -> Pairs:
    """The pairs of a file or of two parallel ones, each with its first target."""
    files = [str(SHARED / name) for name in names]
    source = files[0] if len(files) == 1 else files
    return [(p.source, p.target) for p in read_pairs(source, ReadOptions(columns=columns))]


def some(pairs: Pairs, count: int | None) -> Pairs:
    """A random part of the pairs, the same in every run."""
    return pairs if count is None else random.Random(1).sample(pairs, count)


def phones(language: str, count: int | None = None) -> Data:
    """Spelling to phones."""
    folder = f"g2p-{language}"
    return lambda: (some(read(f"{folder}/train.tsv"), count), read(f"{folder}/dev.tsv"))


def inflection(size: str) -> Data:
    """A Turkish word and features, two columns, to its form."""

    def part(name: str) -> Pairs:
        return read(f"inflection-tur/{name}.tsv", columns=((1, 3), 2))

    return lambda: (part(f"train-{size}"), part("dev"))


def captions(count: int | None = None) -> Data:
    """Multi30k, German to English."""

    def part(name: str) -> Pairs:
        return read(f"multi30k/{name}.de.gz", f"multi30k/{name}.en.gz")

    return lambda: (some(part("train"), count), part("val"))


def sentences(count: int | None = None) -> Data:
    """Tatoeba, English to French."""
    folder = "tatoeba-en-fr"
    return lambda: (
        some(read(f"{folder}/train.tsv.gz"), count),
        [
            (pair.source, pair.target)
            for pair in read_pairs(str(SHARED / f"{folder}/valid.jsonl.gz"), ReadOptions())
        ],
    )


def accents(count: int) -> Data:
    """French without accents and capitals to French."""

    def plain(text: str) -> str:
        letters = unicodedata.normalize("NFD", text.lower())
        return "".join(c for c in letters if not unicodedata.combining(c))

    def part(pairs: Pairs) -> Pairs:
        return [(plain(french), french) for _, french in pairs]

    def both() -> tuple[Pairs, Pairs]:
        train, valid = sentences(count)()
        return part(train), part(valid)

    return both


def dates(count: int) -> Data:
    """Dates in several notations to ISO's."""
    forms = ("%d %B %Y", "%B %d, %Y", "%d.%m.%Y", "%a %d %b %y", "%A, %d %B %Y", "%m/%d/%y")

    def part(count: int, seed: int) -> Pairs:
        draw = random.Random(seed)
        days = [date(1950, 1, 1) + timedelta(draw.randrange(36_000)) for _ in range(count)]
        return [(day.strftime(draw.choice(forms)), day.isoformat()) for day in days]

    return lambda: (part(count, 1), part(500, 2))


DATA: dict[str, tuple[str, Data]] = {
    "g2p-fr": ("exact_match", phones("fr")),
    "g2p-dut": ("exact_match", phones("dut")),
    "g2p-hin": ("exact_match", phones("hin")),
    "g2p-vie": ("exact_match", phones("vie")),
    "g2p-dut-200": ("exact_match", phones("dut", 200)),
    "inflection-high": ("exact_match", inflection("high")),
    "inflection-medium": ("exact_match", inflection("medium")),
    "accents": ("exact_match", accents(10_000)),
    "dates": ("exact_match", dates(10_000)),
    "dates-500": ("exact_match", dates(500)),
    "multi30k": ("bleu", captions()),
    "multi30k-2k": ("bleu", captions(2_000)),
    "multi30k-200": ("bleu", captions(200)),
    "tatoeba": ("bleu", sentences()),
    "tatoeba-10k": ("bleu", sentences(10_000)),
}
EXAMPLES = {"g2p-fr": "g2p-fr", "multi30k": "multi30k-de-en", "tatoeba": "tatoeba-en-fr"}


def configuration(name: str, attempt: str, files: dict[str, str], minutes: float) -> ps.RunConfig:
    """The settings of a try: an example's if it begins with `example`, otherwise automatic."""
    label, _, settings = attempt.partition("=")
    overrides = [setting for setting in settings.split(",") if setting]
    values: dict[str, Any] = {
        **{f"data.{key}": path for key, path in files.items()},
        "threads": 1,
        "device": "cpu",
        "training.max_minutes": minutes,
        "training.metric": DATA[name][0],
        "training.export": "none",
    }
    if name.startswith("inflection"):
        values["data.columns"] = [[1, 2], 3]
    if label != "example":
        return parse_config({}, overrides, values=values)
    path = ROOT / f"examples/{EXAMPLES.get(name, name)}.toml"
    return load_config(path, overrides, values=values | {"training.max_updates": MOST_UPDATES})


def attempt_once(name: str, attempt: str, minutes: float, folder: Path) -> dict[str, Any]:
    """Train in a folder and score on the development data."""
    train, valid = DATA[name][1]()
    folder.mkdir(parents=True)
    files = {"train": f"{folder}/train.tsv", "valid": f"{folder}/valid.tsv"}
    for path, pairs in zip(files.values(), (train, valid), strict=True):
        lines = (f"{source}\t{target}\n" for source, target in pairs)
        Path(path).write_text("".join(lines), encoding="utf-8")
    run = ps.train(configuration(name, attempt, files, minutes), folder / "run")
    if run.interrupted:
        raise KeyboardInterrupt
    *_, last = (e for e in read_log(run.path) if e["event"] == "evaluation")
    metric = DATA[name][0]
    return {
        "data": name,
        "try": attempt,
        "minutes": minutes,
        "metric": metric,
        "score": run.scores[metric],
        "updates": last["update"],
        "tokens": last["tokens"],
        "said": run.messages.splitlines()[:5],
    }


def main() -> None:
    """Try, print a line per result, and keep it."""
    parser = argparse.ArgumentParser(description="Compare the automatic settings with others.")
    parser.add_argument("--data", action="append", choices=DATA, help="data set; default: all")
    parser.add_argument(
        "--try", action="append", dest="tries", metavar="NAME=KEY=VALUE,…",
        help="'auto', 'example', or a name with overrides; default: auto",
    )  # fmt: skip
    parser.add_argument("--minutes", type=float, default=2.0, help="of processor time per try")
    parser.add_argument("--json", type=Path, help="keep results here, one per line")
    parser.add_argument("--out", type=Path, help="keep the runs here, as DATA-NAME/run")
    options = parser.parse_args()
    # processor time takes the place of the wall clock
    loop.time = SimpleNamespace(monotonic=time.process_time)  # pyright: ignore
    kept: list[dict[str, Any]] = []
    if options.json and options.json.exists():
        kept = [json.loads(line) for line in options.json.read_text("utf-8").splitlines()]
    done = {(each["data"], each["try"], each["minutes"]) for each in kept}
    for name in options.data or DATA:
        for attempt in options.tries or ["auto"]:
            if (name, attempt, options.minutes) in done:
                continue
            label = f"{name}-{attempt.partition('=')[0]}"
            try:
                with tempfile.TemporaryDirectory() as folder:
                    path = (options.out or Path(folder)) / label
                    result = attempt_once(name, attempt, options.minutes, path)
            except DataError as error:
                print(f"{name:18} left out: {error}", flush=True)
                break
            print(
                f"{name:18} {attempt:40} {result['metric']} {result['score']:.1f} "
                f"after {result['updates']:,} updates",
                flush=True,
            )
            if options.json:
                with options.json.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(result, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
