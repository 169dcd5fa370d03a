"""The settings of a run that goes on from a model: the model's, with a lower rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock.bundle import Bundle, load_bundle
from penstock.config import RunConfig
from penstock.config.section import is_table
from penstock.config.training_config import MOST_UPDATES
from penstock.errors import ConfigError

# of the rate that the model was trained with
RATE = 0.25

# keys of [model] that change how a network learns, not what it is
_OF_LEARNING = {
    "dropout",
    "embedding_dropout",
    "token_dropout",
    "weight_dropout",
    "variational_dropout",
    "freeze_vectors",
    "initialization",
    "backend",
}

_OF_THE_END = {"schedule", "max_updates", "patience"}


def start_defaults(values: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults of a configuration that may name a model to go on from.

    Args:
        values: what the user set, by section.

    Raises:
        BundleError: there is no such model.
        ConfigError: it is one of another task.
    """
    start = values.get("start")
    path = start.get("model") if is_table(start) else None
    if not isinstance(path, str) or path == "none":
        return {}
    config = load_bundle(path).config
    task = values.get("task", config.task)
    if task != config.task:
        raise ConfigError(
            f"task = {task!r}: {path} is a model for {config.task}; leave it out, or train a new "
            "model without --from"
        )
    training = config.training.model_dump()
    if config.training.max_updates == MOST_UPDATES:  # its end was automatic, and so is the next one
        training = {key: value for key, value in training.items() if key not in _OF_THE_END}
    return {
        "task": config.task,
        "seed": config.seed,
        "data": config.data.model_dump(
            include={
                "source_language",
                "target_language",
                "max_source_tokens",
                "max_target_tokens",
                "normalize",
                "join_lines",
            }
        ),
        "text": config.text.model_dump(),
        "model": config.model.model_dump(),
        "training": {
            **training,
            "learning_rate": RATE * training["learning_rate"],
            "precision": "auto",  # the model's may be of another machine
        },
        "search": config.search.model_dump(),
    }


def require_same_network(config: RunConfig, start: Bundle) -> None:
    """Check that a configuration has the tokenizers and the network of the model it starts from.

    Raises:
        ConfigError: it has others.
    """
    if config.task != start.config.task:
        raise ConfigError(
            f"task = {config.task!r}: {start.place} is a model for {start.config.task}; leave it "
            "out"
        )
    for section, free in (("text", set[str]()), ("model", _OF_LEARNING)):
        wanted = getattr(config, section).model_dump(exclude=free)
        _require_equal(section, wanted, getattr(start.config, section).model_dump(), start)


def _require_equal(
    place: str, wanted: Mapping[str, Any], kept: Mapping[str, Any], start: Bundle
) -> None:
    for key, value in wanted.items():
        if is_table(value):
            _require_equal(f"{place}.{key}", value, kept[key], start)
        elif value != kept[key]:
            what = "tokenizers" if place.startswith("text") else "network"
            raise ConfigError(
                f"{place}.{key} = {value!r}: a run that goes on from a model has its {what}, and "
                f"{start.place} has {kept[key]!r}; leave the key out, or train a new model without "
                "--from"
            )
