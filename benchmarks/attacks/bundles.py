"""Models with altered files: found out, or, signed again by whoever altered them, harmless.

A model altered without a signature must be rejected or give the same output. One that is signed
again is its author's: it may answer what it likes, but must not crash, hang or take memory.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
from collections.abc import Generator
from pathlib import Path
from random import Random
from typing import Any

from attacks import hostile
from attacks.extremes import FLOATS, INTEGERS, TEXTS
from attacks.trial import HANG_SECONDS, Trial
from attacks.worker import Worker
from penstock.bundle import INDEX
from penstock.bundle.bundle_files import DEMO_MODEL
from penstock.files import with_checksum

_FIXTURES = Path(__file__).parents[2] / "tests" / "fixtures" / "format-1"
# a model and the command that uses it; the older format has weights for torch instead of graphs
_MODELS = (
    (DEMO_MODEL, ("translate", "--search", "greedy", "--max-length", "20")),
    (_FIXTURES / "translation", ("translate", "--search", "greedy", "--max-length", "20")),
    (_FIXTURES / "classification", ("classify", "--format", "json")),
    (_FIXTURES / "cloze", ("fill", "--format", "json")),
    (_FIXTURES / "language-model", ("generate", "the", "--length", "9", "--search", "greedy")),
)
_TEXTS = b"She sees the ___ .\n\nthe ___ is here\n"


def attack(folder: Path, random: Random) -> Generator[Trial]:
    """One altered copy of a model after another."""
    with Worker(folder) as worker:
        whole = {}
        for model, (verb, *rest) in _MODELS:
            ending = worker.run([verb, "-m", model, *rest], stdin=_TEXTS, seconds=10 * HANG_SECONDS)
            assert ending.code == 0, ending
            whole[model] = ending.out
        while True:
            model, (verb, *rest) = random.choice(_MODELS)
            copy = folder / "model"
            shutil.copytree(model, copy)
            signed = random.random() < 0.7
            what = _alter_and_sign(copy, random) if signed else _alter(copy, random)
            ending = worker.run([verb, "-m", copy, *rest], stdin=_TEXTS)
            broke = ending.broke
            if not broke and not signed and ending.code == 0 and ending.out != whole[model]:
                broke = "another output without a word"
            yield Trial(f"{model.name}: {what}", broke)
            shutil.rmtree(copy)


def _alter(copy: Path, random: Random) -> str:
    path = random.choice(sorted(copy.iterdir()))
    if random.random() < 0.1:
        path.unlink()
        return f"{path.name} is gone"
    path.write_bytes(hostile.mutated(path.read_bytes(), random))
    return f"{path.name} altered"


def _alter_and_sign(copy: Path, random: Random) -> str:
    index = json.loads((copy / INDEX).read_text("utf-8"))
    if random.random() < 0.4:
        what = _alter_settings(index, random)
    else:
        role = random.choice(sorted(index["files"]))
        path = copy / index["files"][role]["name"]
        content = path.read_bytes()
        if role == "weights":
            what, content = _alter_weights(content, random)
        elif role.startswith("onnx") or random.random() < 0.5:
            what, content = "bytes", hostile.mutated(content, random)
        else:
            what, content = _alter_json(content, random)
        what = f"{what} of {role}"
        path.write_bytes(content)
        index["files"][role]["sha256"] = hashlib.sha256(content).hexdigest()
    (copy / INDEX).write_text(json.dumps(with_checksum(index)), "utf-8")
    return f"{what}, signed again"


def _alter_settings(index: dict[str, Any], random: Random) -> str:
    place = index["config"]
    path = ["config"]
    while isinstance(place, dict):
        parent, key = place, random.choice(sorted(place))
        place = place[key]
        path.append(key)
    parent[key] = _any_value(random)
    return f"{'.'.join(path)} = {str(parent[key])[:40]!r}"


def _any_value(random: Random) -> Any:
    return random.choice((*INTEGERS[:-1], *FLOATS, *TEXTS[:-1], None, True, [], {}, [[]] * 3))


def _alter_json(content: bytes, random: Random) -> tuple[str, bytes]:
    """One value somewhere in a JSON file."""
    value = json.loads(content)
    place: Any = value
    while True:
        keys = sorted(place) if isinstance(place, dict) else range(len(place))
        key = random.choice(keys)
        if not isinstance(place[key], dict | list) or not place[key] or random.random() < 0.2:
            break
        place = place[key]
    place[key] = _any_value(random)
    return f"value {key}", json.dumps(value).encode()


def _alter_weights(content: bytes, random: Random) -> tuple[str, bytes]:
    """The header of a safetensors file, or its numbers."""
    (size,) = struct.unpack("<Q", content[:8])
    header, numbers = json.loads(content[8 : 8 + size]), bytearray(content[8 + size :])
    name = random.choice([key for key in header if key != "__metadata__"])
    tensor = header[name]
    match random.randrange(5):
        case 0:
            tensor["dtype"] = what = random.choice(("I32", "U32", "BF16", "F64", "F16", "BOOL"))
        case 1:
            what = "shape"
            tensor["shape"] = random.choice(
                (tensor["shape"][::-1], [], [2**40], [-1], [2**63, 2], [0, *tensor["shape"]])
            )
        case 2:
            what = "offsets"
            tensor["data_offsets"] = random.choice(([0, 4], [0, 2**63], [-4, 0], [8, 4], []))
        case 3:
            value = random.choice((3e38, -3e38, float("nan"), float("inf"), 1e-45, 1e30))
            what = f"a number {value}"
            begin, end = tensor["data_offsets"]
            numbers[begin:end] = struct.pack("<f", value) * ((end - begin) // 4)
        case _:
            what = "bytes"
            return what, hostile.mutated(content, random)
    text = json.dumps(header).encode()
    return f"{what} in {name}", struct.pack("<Q", len(text)) + text + bytes(numbers)
