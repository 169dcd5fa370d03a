"""Hostile files for every command that reads one."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from pathlib import Path
from random import Random

from attacks import hostile
from attacks.trial import Trial
from attacks.worker import Worker

# each with the hostile file as FILE; what it writes goes to `out`
_COMMANDS = (
    "translate -m demo -i FILE",
    "translate -m demo -i FILE -o out.txt --search greedy --format json",
    "translate -m demo --phrases FILE",
    "translate -m demo --replace-unknown --dictionary FILE",
    "translate -m FILE",
    "evaluate -m demo FILE",
    "evaluate -m demo FILE --out out.tsv --on-error skip",
    "evaluate -m demo FILE --columns source,target",
    "score -m demo FILE",
    "data check FILE",
    "data check good.tsv --held-out FILE",
    "data stats FILE",
    "data split FILE --out out",
    "data cut FILE --out out",
    "data get timemachine --from FILE",
    "export -m demo --out out --verify FILE",
    "info FILE",
    "plot FILE",
    "draw FILE --out out.svg",
    "train FILE --out out --set training.max_updates=1 --set training.export=none",
    "train good.tsv --valid FILE --out out --set training.max_updates=1 --set training.export=none",
    "train FILE --out out --set task=language-model --set training.max_updates=1",
    "train FILE --out out --set task=classification --set training.max_updates=1",
    "train FILE --out out --set task=cloze --set training.max_updates=1",
    "train good.tsv --out out --set training.max_updates=1 --set model.source_vectors=FILE",
    "train good.tsv --out out --set training.max_updates=1 --set text.source.file=FILE",
)
_SMALL = (
    "threads=1", "device=cpu", "model.embedding_size=8", "model.hidden_size=8",
    "training.max_minutes=0.05", "training.evaluate_sentences=2", "training.metric=loss",
)  # fmt: skip
_SUFFIXES = (".tsv", ".txt", ".csv", ".jsonl", ".json", ".toml", ".gz", ".xz", ".zst", ".zip", "")
_GOOD = "".join(f"{word}s\t{word}e\n" for word in ("dog", "cat", "cow", "pig", "hen") * 4)


def attack(folder: Path, random: Random) -> Generator[Trial]:
    """One file and one command after another."""
    (folder / "good.tsv").write_text(_GOOD, encoding="utf-8")
    with Worker(folder) as worker:
        while True:
            command = random.choice(_COMMANDS)
            name = f"hostile{random.choice(('', '.tsv', '.jsonl'))}{random.choice(_SUFFIXES)}"
            content = _make(folder / name, random)
            words = [name if word == "FILE" else word for word in command.split()]
            words = [word.replace("=FILE", f"={name}") for word in words]
            if words[0] == "train":
                words += [word for setting in _SMALL for word in ("--set", setting)]
            ending = worker.run(words, stdin=b"A dog.\n___\n")
            broke = ending.broke
            if not broke and content is not None and (folder / name).read_bytes() != content:
                broke = "its input was changed"
            if not broke and (folder / "good.tsv").read_text(encoding="utf-8") != _GOOD:
                broke = "another input was changed"
            shown = "a link or folder" if content is None else f"{len(content)} bytes"
            yield Trial(f"{' '.join(words)} ({shown}: {(content or b'')[:60]!r})", broke)
            _clear(folder)


def _make(path: Path, random: Random) -> bytes | None:
    """A hostile file, link or folder; returns the content of a file."""
    kind = random.random()
    if kind < 0.02:
        path.symlink_to(path)
        return None
    if kind < 0.04:
        path.mkdir()
        return None
    if kind < 0.05:
        path.symlink_to("/dev/null")
        return None
    if path.suffix == ".zip":
        content = hostile.archive(random)
    elif path.suffix == ".toml":
        content = _configuration(random)
    else:
        content = hostile.packed(hostile.text(random), path.suffix, random)
    path.write_bytes(content)
    return content


def _configuration(random: Random) -> bytes:
    good = b'task = "translation"\nthreads = 1\n[data]\ntrain = "good.tsv"\n[training]\n'
    good += b"max_updates = 1\n[model]\nhidden_size = 8\nembedding_size = 8\n"
    return hostile.mutated(good, random) if random.random() < 0.8 else hostile.text(random)


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name == "good.tsv":
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
