"""Every key of the configuration and every flag of every command, with extreme values."""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator
from pathlib import Path
from random import Random

from attacks.extremes import FLOATS, INTEGERS, NOT_FINITE, TEXTS, Flag, Key, flags, keys
from attacks.trial import Trial
from attacks.worker import Worker
from penstock.data.grammar import generate_pairs

# they serve, download, or train for minutes; tests try their values without running them
_NOT_RUN = {("serve",), ("demo",), ("sweep",), ("data", "get")}
_TINY = """
threads = 1
device = "cpu"
[data]
train = "pairs.tsv"
[text.source]
kind = "word"
[text.target]
kind = "char"
[model]
embedding_size = 8
hidden_size = 8
[training]
max_updates = 1
max_minutes = 0.05
evaluate_sentences = 2
warmup_updates = 1
metric = "loss"
export = "none"
precision = "fp32"
"""


def attack(folder: Path, random: Random) -> Generator[Trial]:
    """Keys and flags in turn."""
    pairs = generate_pairs(60, seed=1)
    rows = "".join(f"{pair.source}\t{pair.target}\n" for pair in pairs)
    (folder / "pairs.tsv").write_text(rows, encoding="utf-8")
    (folder / "few.tsv").write_text("".join(rows.splitlines(keepends=True)[:3]), encoding="utf-8")
    (folder / "tiny.toml").write_text(_TINY, encoding="utf-8")
    kept = _content(folder)
    every_key = list(keys())
    every_flag = [f for f in flags() if f.command not in _NOT_RUN and f.command[0] != "bench"]
    with Worker(folder) as worker:
        while True:
            if random.random() < 0.5:
                chosen = random.sample(every_key, random.choice((1, 1, 2)))
                if sum(key.name.startswith("training.max_") for key in chosen) == 2:
                    continue  # one of them must end the run
                words = _training(chosen, random)
            else:
                words = _command(random.choice(every_flag), random)
            ending = worker.run(words, stdin=b"A dog.\nShe sees them.\n")
            broke = ending.broke
            if not broke and not kept.items() <= _content(folder).items():
                broke = "an input was changed"
            yield Trial(" ".join(_shown(word) for word in words), broke)
            _clear(folder, kept)


def _training(chosen: list[Key], random: Random) -> list[str]:
    words = ["train", "tiny.toml", "--out", "run"]
    for key in chosen:
        words += ["--set", f"{key.name}={_literal(key, random)}"]
    return words


def _literal(key: Key, random: Random) -> str:
    """A value as TOML."""
    kind = random.choice(sorted(key.kinds))
    if random.random() < 0.1:
        kind = random.choice(("integer", "number", "string", "boolean", "array", "null"))
    if kind == "integer":
        return str(random.choice(INTEGERS))
    if kind == "number":
        return str(random.choice((*FLOATS, *NOT_FINITE)))
    if kind == "boolean":
        return random.choice(("true", "false"))
    if kind == "null":
        return "none"
    if kind == "array":
        return json.dumps([random.choice((*TEXTS, *INTEGERS[:-1])) for _ in range(2)])
    return json.dumps(random.choice(TEXTS))


def _command(flag: Flag, random: Random) -> list[str]:
    """A command with one flag of an extreme value, and what it needs besides."""
    if flag.kind is int:
        value = str(random.choice(INTEGERS))
    elif flag.kind is float:
        value = str(random.choice((*FLOATS, *NOT_FINITE)))
    else:
        value = random.choice(TEXTS)
    given = [] if flag.kind is bool else [value]
    # a beam of a thousand is allowed, and takes two seconds a line
    data = "few.tsv" if flag.command[0] in ("evaluate", "compare") else "pairs.tsv"
    return flag.words(given, lambda words: _needed(words, data))


def _needed(words: tuple[str, ...], data: str) -> list[str]:
    if words[0] == "--model":
        return ["--model", "demo"]
    if words[0] == "--out":
        return ["--out", "out.svg"]
    return [*words[:-1], data]


def _shown(word: str) -> str:
    return repr(word if len(word) < 60 else word[:60] + "…")


def _content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.t*") if path.is_file()}


def _clear(folder: Path, kept: dict[str, bytes]) -> None:
    """Leave the inputs as they were, and nothing else."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name not in kept:
            path.unlink()
    for name, content in kept.items():
        (folder / name).write_bytes(content)
