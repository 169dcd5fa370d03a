"""A model put on the Hugging Face hub, in one commit."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import reduce
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from penstock.bundle import ROLES, load_bundle, save_bundle
from penstock.config import RunConfig
from penstock.errors import UsageError
from penstock.hub import HubAddress, hub_client, hub_errors, parse_hub_address
from penstock.tasks.model_card import front_matter, model_card

CARD = "README.md"
_FILES = ("data.train", "data.valid", "data.cache", "start.model", "start.valid", "start.replay",
          "text.source.file", "text.target.file", "model.source_vectors",
          "model.target_vectors", "model.transformer")  # fmt: skip
_LICENCE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,60}")


def push(
    model: str | Path,
    repository: str,
    *,
    private: bool = False,
    licence: str | None = None,
    message: str = "Model",
) -> str:
    """Put a model on the hub: its bundle, as it is loaded from there, and a card.

    The repository is made where there is none. Files of a model that was there before go; others
    stay. The configuration is put there without the folders of its files.

    Args:
        model: a run directory or a bundle.
        repository: `owner/name`, or `owner/name@branch` for a branch that is there.
        private: make a new repository private.
        licence: of the model, by the hub's name: `apache-2.0`, `cc-by-4.0` …
        message: of the commit.

    Returns:
        The address to load it from: `hf://owner/name`.

    Raises:
        BundleError: see `load_bundle`.
        UsageError: not the name of a repository, or of a licence.
        HubError: there is no access token that may write there, or the hub cannot be reached;
            nothing has changed there.
        MissingExtraError: huggingface_hub is not installed.
    """
    address = parse_hub_address(f"hf://{repository.removeprefix('hf://')}")
    if address.kind != "model":
        raise UsageError(f"{repository}: is for data; give owner/name")
    if licence is not None and not _LICENCE.fullmatch(licence):
        raise UsageError(f"licence {licence!r}: give the hub's name of one, as in apache-2.0")
    hub = hub_client()
    bundle = load_bundle(model)
    with TemporaryDirectory() as folder:
        directory = Path(folder)
        save_bundle(replace(bundle, config=_without_folders(bundle.config)), directory)
        card = front_matter(bundle, licence) + model_card(bundle, str(address))
        (directory / CARD).write_text(card, encoding="utf-8")
        with hub_errors(address, writes=True):
            _commit(hub, address, directory, private=private, message=message)
    return str(address)


def _commit(hub: Any, address: HubAddress, directory: Path, *, private: bool, message: str) -> None:
    api = hub.HfApi(library_name="penstock")
    api.create_repo(address.repository, private=private, exist_ok=True)
    there = api.list_repo_files(address.repository, revision=address.revision)
    files = sorted(directory.iterdir())
    names = {file.name for file in files}
    api.create_commit(
        address.repository,
        [
            *(hub.CommitOperationAdd(file.name, str(file)) for file in files),
            *(hub.CommitOperationDelete(name) for name in there if _is_earlier(name, names)),
        ],
        commit_message=message,
        revision=address.revision,
    )


def _is_earlier(name: str, names: set[str]) -> bool:
    """Whether a file belongs to a model that was there before."""
    return name not in names and name.partition("-")[0] in ROLES


def _without_folders(config: RunConfig) -> RunConfig:
    """The configuration with names for paths: they say nothing elsewhere, and much of a user."""
    plain = config.model_dump()
    for key in _FILES:
        *sections, last = key.split(".")
        section = reduce(lambda found, name: found[name], sections, plain)
        section[last] = _name(section[last])
    return RunConfig.model_validate(plain)


def _name(value: Any) -> Any:
    if isinstance(value, list):
        return [_name(each) for each in cast(list[Any], value)]
    return Path(value).name if isinstance(value, str) else value
