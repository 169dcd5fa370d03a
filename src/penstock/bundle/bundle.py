"""A model directory: safetensors weights, JSON for everything else, no pickle anywhere.

`bundle.json` names every other file with its SHA-256 and is replaced last, in one step: a bundle
that is being rewritten when the power goes is either the old one or the new one, whole.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import nn

from penstock.bundle.pretrained_encoder import ROLES as TRANSFORMER_ROLES
from penstock.bundle.pretrained_encoder import transformer_files, transformer_from_files
from penstock.config import RunConfig
from penstock.errors import BundleError
from penstock.files import atomic_write, remove
from penstock.json_types import is_object
from penstock.nn.frozen_transformer import FrozenTransformer, find_transformer
from penstock.special_tokens import RESERVED
from penstock.tasks import TASKS, Task
from penstock.text import Tokenizer
from penstock.version import __version__

FORMAT = 1
INDEX = "bundle.json"
_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_ROLES = ("weights", "source_tokenizer", "target_tokenizer", *TRANSFORMER_ROLES)


@dataclass(frozen=True)
class Bundle:
    """A trained model with everything it needs.

    Attributes:
        config: the run's configuration as resolved.
        model: the network of the configuration's task, in evaluation mode once loaded.
        source_tokenizer, target_tokenizer: one object twice when shared, and where the task has
            one text; a classifier's target vocabulary is its labels.
        record: where it comes from: training data fingerprint, updates, evaluation with signature.
    """

    config: RunConfig
    model: nn.Module
    source_tokenizer: Tokenizer
    target_tokenizer: Tokenizer
    record: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def labels(self) -> list[str]:
        """A classifier's labels, in the order of its logits."""
        target = self.target_tokenizer
        return target.tokens(range(len(RESERVED), target.vocab_size))

    @contextmanager
    def evaluating(self) -> Generator[None]:
        """The network without dropout and gradients; afterwards as it was."""
        was_training = self.model.training
        self.model.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            self.model.train(was_training)


def save_bundle(bundle: Bundle, directory: str | Path) -> None:
    """Write a bundle, replacing one that stands there.

    Raises:
        PenstockError: the disk is full or not writable; the old bundle stays whole.
    """
    directory = Path(directory)
    tensors = {name: p.detach().contiguous() for name, p in _unique_parameters(bundle.model)}
    contents = {
        "weights": save_tensors(tensors),
        "source_tokenizer": bundle.source_tokenizer.to_json().encode(),
    }
    if not TASKS[bundle.config.task].has_one_text:
        contents["target_tokenizer"] = bundle.target_tokenizer.to_json().encode()
    transformer = find_transformer(bundle.model)
    if transformer is not None:
        contents |= transformer_files(transformer)
    suffixes = {"weights": "safetensors", "transformer_weights": "safetensors"}
    digests = {role: hashlib.sha256(content).hexdigest() for role, content in contents.items()}
    # the content's hash in the name: new files never overwrite those that the old index names
    files = {
        role: {"name": f"{role}-{digest[:12]}.{suffixes.get(role, 'json')}", "sha256": digest}
        for role, digest in digests.items()
    }
    index = {
        "format": FORMAT,
        "penstock": __version__,
        "task": bundle.config.task,
        "files": files,
        "config": bundle.config.model_dump(),
        "record": bundle.record,
    }
    written: list[Path] = []
    try:
        for role, content in contents.items():
            path = directory / files[role]["name"]
            if not _holds(path, content):
                written.append(path)
                atomic_write(path, content)
        atomic_write(directory / INDEX, json.dumps(index, indent=1, ensure_ascii=False) + "\n")
    except BaseException:
        # an interruption may come when the new index stands already: what it names stays
        kept = _names_in_index(directory)
        for path in written:
            if path.name not in kept:
                remove(path)  # no index names it, and a full disk wants the room
        raise
    named = {file["name"] for file in files.values()}
    for path in directory.iterdir():
        if path.name.partition("-")[0] in _ROLES and path.name not in named:
            remove(path)


def _names_in_index(directory: Path) -> set[str]:
    """The files that the index now standing names; none when there is no readable index."""
    try:
        return {str(file["name"]) for file in _read_index(directory)["files"].values()}
    except (BundleError, KeyError, TypeError):
        return set()


def find_bundle(path: str | Path) -> Path:
    """The bundle directory at `path`: itself, or `path/model` of a run directory.

    Raises:
        BundleError: neither holds a bundle.
    """
    path = Path(path)
    for candidate in (path, path / "model"):
        if (candidate / INDEX).is_file():
            return candidate
    what = "no such directory" if not path.exists() else f"no {INDEX} in it or in its model/"
    raise BundleError(f"{path}: {what}; give a run directory or a bundle made by 'penstock train'")


def load_bundle(
    path: str | Path, *, device: torch.device | str = "cpu", task: Task | None = None
) -> Bundle:
    """Read and verify a bundle.

    Args:
        path: a bundle directory or a run directory.
        device: where the weights go.
        task: refuse a bundle of another task.

    Raises:
        BundleError: a file missing, altered, truncated, outside the directory, of a newer format,
            or a model for another task.
    """
    directory = find_bundle(path)
    index, contents = _read_files(directory)
    try:
        config = RunConfig.model_validate(index["config"])
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise BundleError(
            f"{directory / INDEX}: damaged configuration at {where}: {first['msg']}"
        ) from None
    if config.task != index["task"]:
        raise BundleError(
            f"{directory / INDEX}: damaged: task is {index['task']!r}, config.task "
            f"{config.task!r}; restore it or train again"
        )
    if task is not None:
        _require_task(config, task, directory)
    tokenizers = [
        Tokenizer.from_json(contents[role].decode("utf-8", "replace"), place=str(directory / role))
        for role in ("source_tokenizer", "target_tokenizer")
        if role in contents
    ]
    source, target = tokenizers[0], tokenizers[-1]
    if TASKS[config.task].target == "label" and target.vocab_size <= len(RESERVED):
        raise BundleError(f"{directory}: its target_tokenizer has no label; restore it")
    model = _build(config, source, target, contents, directory)
    model.eval().requires_grad_(requires_grad=False).to(device)
    return Bundle(config, model, source, target, index.get("record", {}))


def require_task(bundle: Bundle, task: Task, place: str | Path) -> None:
    """Refuse a model of another task.

    Raises:
        BundleError: with the verb that the model is for.
    """
    _require_task(bundle.config, task, place)


def _require_task(config: RunConfig, task: Task, place: str | Path) -> None:
    if config.task != task.name:
        raise BundleError(
            f"{place}: a model for {config.task}, asked to {task.verb}; use it with "
            f"'penstock {TASKS[config.task].verb}'"
        )


def _holds(path: Path, content: bytes) -> bool:
    return not path.is_symlink() and path.is_file() and path.read_bytes() == content


def _unique_parameters(model: nn.Module) -> list[tuple[str, torch.Tensor]]:
    return list(model.named_parameters())  # tied parameters are named once


def _read_index(directory: Path) -> dict[str, Any]:
    place = directory / INDEX
    try:
        index = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{place}: cannot be read: {error}; restore it or train again") from None
    if not is_object(index) or type(index.get("format")) is not int or index["format"] < 1:
        raise BundleError(f"{place}: not a penstock bundle (no format number)")
    version = index["format"]
    if version > FORMAT:
        raise BundleError(
            f"{place}: format {version}, written by penstock {index.get('penstock')}; this one "
            f"({__version__}) reads up to {FORMAT}: upgrade penstock"
        )
    for key, kind in (("files", dict), ("config", dict), ("record", dict), ("task", str)):
        if not isinstance(index.get(key), kind):
            raise BundleError(f"{place}: damaged: {key!r} is missing; restore it or train again")
    if index["task"] not in TASKS:
        raise BundleError(
            f"{place}: a model for task {index['task']!r}; this penstock has {', '.join(TASKS)}"
        )
    return index


def _read_files(directory: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The index and the files that it names."""
    index = _read_index(directory)
    while True:
        try:
            return index, {role: _read_file(directory, index, role) for role in _roles(index)}
        except BundleError:
            # a training that saves a better model meanwhile takes away the files of the one before
            before, index = index, _read_index(directory)
            if index == before:
                raise


def _roles(index: dict[str, Any]) -> tuple[str, ...]:
    """The files that a bundle of this kind has."""
    model = index["config"].get("model")
    roles = _ROLES[:2] if TASKS[index["task"]].has_one_text else _ROLES[:3]
    has_transformer = is_object(model) and model.get("transformer") is not None
    return (*roles, *TRANSFORMER_ROLES) if has_transformer else roles


def _read_file(directory: Path, index: dict[str, Any], role: str) -> bytes:
    entry = index["files"].get(role)
    name, expected = (entry.get("name"), entry.get("sha256")) if is_object(entry) else (None, None)
    if not isinstance(name, str) or not isinstance(expected, str):
        raise BundleError(f"{directory / INDEX}: damaged: files.{role} is missing")
    path = directory / name
    if not _SAFE_NAME.fullmatch(name) or path.is_symlink():
        raise BundleError(
            f"{directory / INDEX}: files.{role} = {name!r} leads outside the bundle; "
            "do not use this bundle"
        )
    try:
        if path.exists() and not path.is_file():
            raise BundleError(f"{path}: not a plain file; do not use this bundle")
        content = path.read_bytes()
    except PermissionError:
        raise BundleError(f"{path}: may not be read by this user; change its permissions") from None
    except OSError as error:
        raise BundleError(
            f"{path}: missing from the bundle ({error.strerror}); copy the whole directory"
        ) from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != expected:
        raise BundleError(
            f"{path}: altered or truncated: its SHA-256 is {digest[:12]}…, expected "
            f"{expected[:12]}…; restore it or train again"
        )
    return content


def _build(
    config: RunConfig,
    source: Tokenizer,
    target: Tokenizer,
    contents: dict[str, bytes],
    directory: Path,
) -> nn.Module:
    """The model with its weights."""
    try:
        tensors = load_tensors(contents["weights"])
    except SafetensorError as error:
        raise BundleError(f"{directory}: weights are not safetensors: {error}") from None
    sizes = {"source_size": source.vocab_size, "target_size": target.vocab_size}
    transformer = _transformer(config, source, contents, directory)
    wrong = _misfit(config, sizes, tensors, transformer)
    if wrong is not None:
        raise BundleError(
            f"{directory}: weights do not fit the configuration (first: {wrong}); "
            "bundle.json and the weights belong to different models"
        )
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise BundleError(
                f"{directory}: the weight {name} has numbers that are not finite; restore the "
                "bundle from its source or train again"
            )
    model = TASKS[config.task].learning().network(config, **sizes, transformer=transformer)
    with torch.no_grad():
        for name, parameter in _unique_parameters(model):
            parameter.copy_(tensors[name])
    return model


def _transformer(
    config: RunConfig, source: Tokenizer, contents: dict[str, bytes], directory: Path
) -> FrozenTransformer | None:
    if config.model.transformer is None:
        if source.own is None:
            return None
        raise BundleError(f"{directory}: its tokenizer is a transformer's, and it has none")
    try:
        limit = config.data.max_source_tokens
        return transformer_from_files(contents, source, max_tokens=limit)
    except ValueError as error:
        raise BundleError(
            f"{directory}: {error}; restore the bundle from its source or train again"
        ) from None


def _misfit(
    config: RunConfig,
    sizes: dict[str, int],
    tensors: dict[str, torch.Tensor],
    transformer: FrozenTransformer | None,
) -> str | None:
    """The first weight that is missing, too many or of another shape.

    Found on shapes alone, so that a configuration of absurd sizes takes no memory.
    """
    model = config.model
    most = max(len(tensors), 100)  # a task may have fewer weights than a key that it never reads
    if max(model.num_layers, model.encoder_layers, model.decoder_layers) > most:
        return "layers"
    plain = config.model_copy(
        update={"model": model.model_copy(update={"initialization": "uniform"})}
    )
    try:
        with torch.device("meta"):
            network = TASKS[config.task].learning().network(plain, **sizes, transformer=transformer)
        wanted = dict(_unique_parameters(network))
    except (RuntimeError, OverflowError, TypeError, ValueError):
        return "sizes"
    wrong = wanted.keys() ^ tensors.keys() or {
        name for name, tensor in tensors.items() if tensor.shape != wanted[name].shape
    }
    return min(wrong, default=None)
