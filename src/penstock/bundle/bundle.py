"""A model directory: safetensors weights, ONNX graphs, JSON for everything else, no pickle.

`bundle.json` names every other file with its SHA-256 and is replaced last, in one step: after a
power failure a bundle is either the old one or the new one, complete.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from penstock.bundle.bundle_files import (
    GRAPH_ROLES,
    INDEX,
    ROLES,
    TRANSFORMER_ROLES,
    count_numbers,
    find_bundle,
    read_files,
    read_index,
)
from penstock.config import RunConfig
from penstock.config.option_model import shorten
from penstock.errors import BundleError, BundleWarning
from penstock.files import atomic_write, remove, with_checksum
from penstock.metrics.confidence import Confidence
from penstock.special_tokens import RESERVED
from penstock.tasks import TASKS, Task
from penstock.text import Tokenizer, letters_only
from penstock.text.familiarity import Familiarity, Likeness
from penstock.version import __version__

_SUFFIXES = {
    "weights": "safetensors",
    "transformer_weights": "safetensors",
    **dict.fromkeys(GRAPH_ROLES, "onnx"),
}


@dataclass(frozen=True)
class Bundle:
    """A trained model with everything it needs.

    Attributes:
        config: the run's configuration as resolved.
        source_tokenizer, target_tokenizer: one object twice when shared, and where the task has
            one text; a classifier's target vocabulary is its labels.
        record: where it comes from: training data fingerprint, updates, evaluation with signature.
        files: the verified bytes of its network, by role; an engine is made from them (see
            `penstock.runtime`). Empty while a model is trained.
        place: the directory that it was read from, for messages.
        familiarity: tells lines that are unlike the training text; None while a model is trained,
            and of older models.
        confidence: makes an output's scores the probability that it is right; None while a model is
            trained, where too few lines were held out, and of older models.
    """

    config: RunConfig
    source_tokenizer: Tokenizer
    target_tokenizer: Tokenizer
    record: dict[str, Any] = field(default_factory=dict[str, Any])
    files: Mapping[str, bytes] = field(default_factory=dict[str, bytes], repr=False)
    place: Path = Path()
    familiarity: Familiarity | None = field(default=None, repr=False)
    confidence: Confidence | None = field(default=None, repr=False)

    @property
    def labels(self) -> list[str]:
        """A classifier's labels, in the order of its logits."""
        target = self.target_tokenizer
        return target.tokens(range(len(RESERVED), target.vocab_size))

    @property
    def target_languages(self) -> list[str]:
        """The languages between which a source's first symbol chooses; empty for one language."""
        columns = self.source_tokenizer.form.columns
        if columns is None or self.config.data.language_column is None:
            return []
        return sorted(columns.symbols)

    @property
    def parameters(self) -> int:
        """Trained numbers of the network, a frozen encoder's not counted."""
        self.require_files()
        if "weights" not in self.files:
            return int(self.record.get("parameters", 0))
        return sum(count_numbers(self.files["weights"]).values())

    @property
    def encoder(self) -> str:
        """The frozen encoder in a few words; empty where the model has none."""
        if self.config.model.transformer is None:
            return ""
        self.require_files()
        config = json.loads(self.files[TRANSFORMER_ROLES[0]])
        millions = sum(count_numbers(self.files[TRANSFORMER_ROLES[1]]).values()) / 1e6
        return f"{config['model_type']} of {millions:.1f} M parameters"

    def likeness(self, lines: Sequence[str]) -> list[Likeness]:
        """Whether each source line is like the training text; `ok` where that is not known."""
        if self.familiarity is None:
            return ["ok"] * len(lines)
        if self.config.data.normalize == "letters":
            lines = [letters_only(line) for line in lines]
        return self.familiarity.judge([self.source_tokenizer.normalized(line) for line in lines])

    def require_files(self) -> None:
        """Check that the network's bytes are there.

        Raises:
            BundleError: they were left out, as a loaded model leaves them.
        """
        if not self.files:
            raise BundleError(
                f"{self.place}: this bundle is without its network's files; read it by load_bundle"
            )

    def without_files(self) -> Bundle:
        """This bundle without the network's bytes, once an engine has been made from them."""
        return replace(self, files={})


def save_bundle(bundle: Bundle, directory: str | Path) -> None:
    """Write a bundle, replacing one that is there.

    Raises:
        BundleError: the bundle is without its network's files.
        PenstockError: the disk is full or not writable; the old bundle stays whole.
    """
    bundle.require_files()
    directory = Path(directory)
    contents = {**bundle.files, "source_tokenizer": bundle.source_tokenizer.to_json().encode()}
    if not TASKS[bundle.config.task].has_one_text:
        contents["target_tokenizer"] = bundle.target_tokenizer.to_json().encode()
    if bundle.familiarity is not None:
        contents["familiarity"] = bundle.familiarity.to_json().encode()
    if bundle.confidence is not None:
        features = TASKS[bundle.config.task].features
        contents["confidence"] = bundle.confidence.to_json(features).encode()
    digests = {role: hashlib.sha256(content).hexdigest() for role, content in contents.items()}
    # the content's hash in the name: new files never overwrite those that the old index names
    files = {
        role: {"name": f"{role}-{digest[:12]}.{_SUFFIXES.get(role, 'json')}", "sha256": digest}
        for role, digest in digests.items()
    }
    index = with_checksum(
        {
            "format": 1 if "weights" in bundle.files else 2,
            "penstock": __version__,
            "task": bundle.config.task,
            "files": files,
            "config": bundle.config.model_dump(),
            "record": bundle.record,
        }
    )
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
        if path.name.partition("-")[0] in ROLES and path.name not in named:
            remove(path)


def load_bundle(path: str | Path, *, task: Task | None = None) -> Bundle:
    """Read and verify a bundle; its network is built by an engine (`penstock.runtime`).

    Args:
        path: a bundle directory or a run directory.
        task: reject a bundle of another task.

    Raises:
        BundleError: a file missing, altered, truncated, outside the directory, of a newer format,
            or a model for another task.
    """
    directory = find_bundle(path)
    index, contents = read_files(directory)
    config = _configuration(index["config"], str(directory / INDEX))
    if config.task != index["task"]:
        raise BundleError(
            f"{directory / INDEX}: damaged: task is {index['task']!r}, config.task "
            f"{config.task!r}; restore it or train again"
        )
    if task is not None:
        _require_task(config, task, directory)
    text = contents.pop("source_tokenizer")
    other = contents.pop("target_tokenizer", text)
    source = _tokenizer(text, directory / "source_tokenizer")
    target = source if other == text else _tokenizer(other, directory / "target_tokenizer")
    if TASKS[config.task].target == "label" and target.vocab_size <= len(RESERVED):
        raise BundleError(f"{directory}: its target_tokenizer has no label; restore it")
    if source.special_tokens is not None and config.model.transformer is None:
        raise BundleError(f"{directory}: its tokenizer is a transformer's, and it has none")
    familiarity, confidence = None, None
    if fitted := contents.pop("familiarity", b"").decode("utf-8", "replace"):
        familiarity = Familiarity.from_json(fitted, place=str(directory / "familiarity"))
    if fitted := contents.pop("confidence", b"").decode("utf-8", "replace"):
        confidence = Confidence.from_json(
            fitted, features=TASKS[config.task].features, place=str(directory / "confidence")
        )
    return Bundle(
        config, source, target, index["record"], contents, directory, familiarity, confidence
    )


def _configuration(stored: Mapping[str, Any], place: str) -> RunConfig:
    """The configuration in an index.

    A number above a bound that came after the bundle becomes the bound, with a warning: of a run's
    settings, not of the model's sizes, which its weights have.
    """
    try:
        return RunConfig.model_validate(stored)
    except ValidationError as error:
        problems = error.errors()
    lowered = deepcopy(stored)
    for problem in problems:
        place_of, bound = problem["loc"], problem.get("ctx", {}).get("le")
        where = ".".join(map(str, place_of))
        if bound is None or place_of[0] == "model":
            raise BundleError(f"{place}: damaged configuration at {where}: {problem['msg']}")
        section: Any = lowered
        for name in place_of[:-1]:
            section = section[name]
        section[place_of[-1]] = bound
        found = shorten(problem["input"])
        warnings.warn(
            f"{place}: {where} = {found}: more than is allowed now; {bound:,} is used",
            BundleWarning,
            stacklevel=3,
        )
    return _configuration(lowered, place)


def _require_task(config: RunConfig, task: Task, place: str | Path) -> None:
    if config.task != task.name:
        raise BundleError(
            f"{place}: a model for {config.task}, asked to {task.verb}; use it with "
            f"'penstock {TASKS[config.task].verb}'"
        )


def _tokenizer(content: bytes, place: Path) -> Tokenizer:
    return Tokenizer.from_json(content.decode("utf-8", "replace"), place=str(place))


def _holds(path: Path, content: bytes) -> bool:
    return not path.is_symlink() and path.is_file() and path.read_bytes() == content


def _names_in_index(directory: Path) -> set[str]:
    """The files that the current index names; none when there is no readable index."""
    try:
        return {str(file["name"]) for file in read_index(directory)["files"].values()}
    except (BundleError, KeyError, TypeError):
        return set()
