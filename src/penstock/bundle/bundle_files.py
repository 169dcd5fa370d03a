"""The files of a bundle: found, read, and checked against the index that names them."""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from penstock.config.json_types import is_object
from penstock.errors import BundleError
from penstock.files import checksum_holds
from penstock.hub import (
    HubAddress,
    exact,
    fetch_files,
    in_hub_cache,
    is_hub_address,
    parse_hub_address,
)
from penstock.tasks import TASKS
from penstock.version import __version__

FORMAT = 2  # 1: with weights; 2: an export, which has graphs alone
INDEX = "bundle.json"
TRANSFORMER_ROLES = ("transformer_config", "transformer_weights")
GRAPH_ROLES = ("onnx_encoder", "onnx_step", "onnx_graph")  # an export's network; see `runtime.onnx`
FITTED_ROLES = (
    "familiarity",
    "confidence",
)  # fitted when training has ended; older bundles lack them
ROLES = ("weights", "source_tokenizer", "target_tokenizer", *TRANSFORMER_ROLES, *GRAPH_ROLES,
         *FITTED_ROLES)  # fmt: skip
DEMO_MODEL = Path(__file__).parents[1] / "demo_model"
_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def find_bundle(path: str | Path) -> Path:
    """The bundle directory at `path`: itself, or `path/model` of a run directory.

    `demo` is the model that comes with the package, where no directory has that name, and
    `hf://owner/name[@revision]` one of the hub, fetched into its cache.

    Raises:
        BundleError: neither holds a bundle.
        HubError: see `penstock.hub.fetch_files`.
    """
    if is_hub_address(path):
        return _fetched(parse_hub_address(path))
    path = Path(path)
    packaged = (DEMO_MODEL,) if path == Path("demo") and not path.exists() else ()
    for candidate in (path, path / "model", *packaged):
        if (candidate / INDEX).is_file():
            return candidate
    what = "no such directory" if not path.exists() else f"no {INDEX} in it or in its model/"
    raise BundleError(f"{path}: {what}; give a run directory or a bundle made by 'penstock train'")


@cache  # a command, or a service, keeps to the revision that it found first
def _fetched(address: HubAddress) -> Path:
    """The bundle of a repository, in the hub's cache: its index first, then what that names."""
    if address.kind != "model":
        raise BundleError(f"{address}: is for data; give hf://owner/name")
    directory = fetch_files(address, [exact(INDEX)])
    if not (directory / INDEX).is_file():
        raise BundleError(
            f"{address}: no {INDEX} in it, so it is no model of penstock's; give one that "
            "'penstock push' has made"
        )
    files = read_index(directory)["files"].values()
    names = [file.get("name") for file in files if is_object(file)]
    found = [exact(name) for name in names if isinstance(name, str) and _SAFE_NAME.fullmatch(name)]
    return fetch_files(replace(address, revision=directory.name), found)


def read_index(directory: Path) -> dict[str, Any]:
    """The index of a bundle, with its structure checked."""
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
    if not checksum_holds(index):
        raise BundleError(f"{place}: altered since it was written; restore it or train again")
    for key, kind in (("files", dict), ("config", dict), ("record", dict), ("task", str)):
        if not isinstance(index.get(key), kind):
            raise BundleError(f"{place}: damaged: {key!r} is missing; restore it or train again")
    if index["task"] not in TASKS:
        raise BundleError(
            f"{place}: a model for task {index['task']!r}; this penstock has {', '.join(TASKS)}"
        )
    return index


def read_files(directory: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The index and the files that it names."""
    index = read_index(directory)
    while True:
        try:
            return index, {role: _read_file(directory, index, role) for role in _roles(index)}
        except BundleError:
            # a training that saves a better model meanwhile takes away the files of the one before
            before, index = index, read_index(directory)
            if index == before:
                raise


def _roles(index: dict[str, Any]) -> tuple[str, ...]:
    """The files that a bundle of this kind has."""
    model = index["config"].get("model")
    graphs = tuple(role for role in GRAPH_ROLES if role in index["files"])
    fitted = tuple(role for role in FITTED_ROLES if role in index["files"])
    tokenizers = ROLES[1:2] if TASKS[index["task"]].has_one_text else ROLES[1:3]
    if graphs and "weights" not in index["files"]:
        return (*tokenizers, *fitted, *graphs)
    roles = ("weights", *tokenizers, *fitted, *graphs)
    has_transformer = is_object(model) and model.get("transformer") is not None
    return (*roles, *TRANSFORMER_ROLES) if has_transformer else roles


def _read_file(directory: Path, index: dict[str, Any], role: str) -> bytes:
    entry = index["files"].get(role)
    name, expected = (entry.get("name"), entry.get("sha256")) if is_object(entry) else (None, None)
    if not isinstance(name, str) or not isinstance(expected, str):
        raise BundleError(f"{directory / INDEX}: damaged: files.{role} is missing")
    path = directory / name
    if not _SAFE_NAME.fullmatch(name) or (path.is_symlink() and not in_hub_cache(path)):
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


def count_numbers(safetensors: bytes) -> dict[str, int]:
    """How many numbers each tensor of a safetensors file has, by its header."""
    length = int.from_bytes(safetensors[:8], "little")
    header: dict[str, Any] = json.loads(safetensors[8 : 8 + length])
    return {n: math.prod(t["shape"]) for n, t in header.items() if n != "__metadata__"}
