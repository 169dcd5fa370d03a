"""Configurations written in Python: the messages and the defaults are those of the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from penstock.config import DataConfig, ModelConfig, RunConfig, TokenizerConfig, parse_config
from penstock.errors import ConfigError

written: Any = RunConfig  # as a caller without a type checker writes it


def problem(**values: object) -> str:
    with pytest.raises(ConfigError) as caught:
        written(**values)
    error = caught.value
    assert error.__suppress_context__ or error.__context__ is None, "no traceback of pydantic"
    return str(error)


@pytest.mark.parametrize(
    "values",
    [
        {"modle": {"hidden_size": 3}},
        {"cell": "gru"},
        {"model": {"hiden_size": 3}},
        {"text": {"source": {"kindd": "bpe"}}},
        {"search": {"zzzzzz": 1}},
        {"model": "lstm"},
        {"model": {"hidden_size": 0}},
        {"model": {"cell": "gruu"}},
        {"model": {"hidden_size": 3}},
        {"training": {"max_updates": True}},
        {"task": "language-model"},
        {"task": "chess"},
        {"model": {"num_layers": 3}},
    ],
    ids=repr,
)
def test_errors_are_those_of_the_command_line(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(values, place="RunConfig")
    assert problem(**values) == str(caught.value)


def test_a_misspelt_key_of_a_section_object_gets_a_suggestion() -> None:
    section: Any = ModelConfig
    with pytest.raises(ConfigError) as caught:
        section(hiden_size=3)
    assert str(caught.value) == (
        "ModelConfig: unknown key 'hiden_size'; did you mean 'hidden_size'?"
    )
    with pytest.raises(ConfigError, match=r"^ModelConfig: hidden_size = 0: must be at least 1"):
        ModelConfig(hidden_size=0)


def test_section_objects_and_mappings_say_the_same() -> None:
    sections = RunConfig(
        task="classification",
        data=DataConfig(train="labels.tsv"),
        model=ModelConfig(hidden_size=64),
        text={"source": TokenizerConfig(vocab_size=400)},
    )
    mappings = RunConfig(
        task="classification",
        data={"train": "labels.tsv"},
        model={"hidden_size": 64},
        text={"source": {"vocab_size": 400}},
    )
    assert sections == mappings


def test_the_task_sets_what_a_section_object_leaves_out() -> None:
    config = RunConfig(
        task="language-model",
        data=DataConfig(train="text.txt"),
        model=ModelConfig(hidden_size=64),
    )
    assert config == parse_config(
        {"task": "language-model", "data": {"train": "text.txt"}, "model": {"hidden_size": 64}}
    )
    assert not config.model.bidirectional
    assert config.training.metric == "loss"


def test_paths_and_tuples_are_taken() -> None:
    config = written(data={"train": (Path("a.en"), Path("a.fr")), "valid": Path("v.tsv")})
    assert config.data.train == ["a.en", "a.fr"]
    assert config.data.valid == "v.tsv"


def test_a_section_of_another_run_is_taken_whole() -> None:
    first = RunConfig(task="cloze", data={"train": "text.txt"}, model={"hidden_size": 64})
    second = RunConfig(task="cloze", data={"train": "other.txt"}, model=first.model)
    assert second.model == first.model
