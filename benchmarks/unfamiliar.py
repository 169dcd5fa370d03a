"""How often lines are reported as unlike the training text: new ones, and altered ones.

python benchmarks/unfamiliar.py ../shared/data

For each data set, characters are counted on its training sources, thresholds come of its
development set, and the lines are the sources of its test set: as they are, with their characters
shuffled, in another script, and in capitals. Each figure is the percentage that is `unfamiliar` or
`unknown-heavy`.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from penstock.data.formats.input_lines import read_lines
from penstock.data.formats.readers import ReadOptions, read_pairs
from penstock.text.familiarity import Familiarity

SETS = {  # training, development and test sources
    "multi30k": ("train.de.gz", "val.de.gz", "test_2016_flickr.de.gz"),
    "tatoeba-en-fr": ("train.tsv.gz", "valid.jsonl.gz", "test.jsonl.gz"),
    "sst2": ("train.tsv.gz", "dev.tsv.gz", "test.tsv.gz"),
    "inflection-tur": ("train-high.tsv", "dev.tsv", "test.tsv"),
    **dict.fromkeys(
        ("g2p-fr", "g2p-dut", "g2p-hin", "g2p-vie"), ("train.tsv", "dev.tsv", "test.tsv")
    ),
}
SCRIPTS = (
    "日本語のテキストです",
    "Приветкакдела",
    "γειάσουκόσμε",
    "שלוםעולם",
    "สวัสดีชาวโลก",
    "مرحبابالعالم",
)


def main() -> None:
    """Print a row for each data set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the data sets")
    folder: Path = parser.parse_args().data
    print(f"{'data':16}{'lines':>7}{'new':>7}{'shuffled':>10}{'foreign':>9}{'shouted':>9}{'KB':>6}")
    for name, files in SETS.items():
        training, held_out, test = (_sources(folder / name / file) for file in files)
        familiarity = Familiarity.fit(training, held_out)
        if familiarity is None:
            print(f"{name:16} too little text")
            continue
        lines = list(dict.fromkeys(test))
        shares = [_reported(familiarity, lines, change) for change in (_same, _shuffled, _foreign)]
        shouted = [line.upper() for line in lines]
        in_capitals = "" if lines == shouted else f"{_reported(familiarity, shouted, _same):.1f}"
        size = len(familiarity.to_json()) / 1000
        print(
            f"{name:16}{len(lines):7,}{shares[0]:7.1f}{shares[1]:10.1f}{shares[2]:9.1f}"
            f"{in_capitals:>9}{size:6.0f}"
        )


def _sources(path: Path) -> list[str]:
    if ".de" in path.suffixes:
        return [line.text for line in read_lines(str(path))]
    return [pair.source for pair in read_pairs(str(path), ReadOptions(report=lambda _: None))]


def _same(line: str, draw: random.Random) -> str:
    return line


def _shuffled(line: str, draw: random.Random) -> str:
    return "".join(draw.sample(line, len(line)))


def _foreign(line: str, draw: random.Random) -> str:
    """As many characters of another script, spaces where they were."""
    script = draw.choice(SCRIPTS)
    return "".join(c if c.isspace() else draw.choice(script) for c in line)


def _reported(
    familiarity: Familiarity, lines: Sequence[str], change: Callable[[str, random.Random], str]
) -> float:
    draw = random.Random(1)
    judged = familiarity.judge([change(line, draw) for line in lines])
    return 100 * sum(like != "ok" for like in judged) / len(judged)


if __name__ == "__main__":
    main()
