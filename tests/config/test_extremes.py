"""Every key of the configuration and every flag of every command has bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer

from attacks.extremes import FLOATS, INTEGERS, TEXTS, Flag, flags, keys
from penstock.cli.app import app, run
from penstock.config import RunConfig, parse_config
from penstock.errors import ConfigError

KEYS = list(keys())
FLAGS = list(flags())
BEYOND = (10**20, -(10**20))
NO_NUMBER = ("nan", "inf", "-inf", "1e308", "-1e308")


def parsed(key: str, value: Any) -> RunConfig | None:
    """The configuration with one key set, None if it is rejected."""
    try:
        return parse_config({"data": {"train": "pairs.tsv"}}, values={key: value})
    except ConfigError:
        return None


def test_every_number_of_the_configuration_has_bounds() -> None:
    numbers = {key.name: key.kinds for key in KEYS if key.kinds & {"integer", "number"}}
    assert len(numbers) > 40
    for name, kinds in numbers.items():
        beyond = BEYOND if "integer" in kinds else tuple(map(float, NO_NUMBER))
        for value in beyond:
            assert parsed(name, value) is None, f"{name} = {value} is accepted"


def test_no_text_of_the_configuration_holds_nul() -> None:
    for key in KEYS:
        if key.kinds & {"string", "array"}:
            for value in ("\0", "a\0b", ["a\0b", "c"]):
                assert parsed(key.name, value) is None, f"{key.name} = {value!r} is accepted"


def test_an_extreme_value_of_any_key_is_taken_or_rejected() -> None:
    accepted = 0
    for key in KEYS:
        for value in (*INTEGERS, *FLOATS, *TEXTS, True, None, [], {}, ["", 10**20], [0, 0]):
            accepted += parsed(key.name, value) is not None
    assert accepted > len(KEYS)


@pytest.fixture
def _built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.cli.app.app", typer.main.get_command(app))


def command(flag: Flag, value: str) -> list[str]:
    words = flag.words([value])
    if flag.command == ("serve",) and flag.name != "--model":
        words += ["--model", "x"]  # or else it serves a run's curves
    return words


@pytest.mark.usefixtures("_built_once")
@pytest.mark.parametrize("kind", [int, float])
def test_every_number_on_the_command_line_has_bounds(
    kind: type, capfd: pytest.CaptureFixture[str]
) -> None:
    """Checked before anything is read: the model and the files named beside them do not exist."""
    *_, checked = (flag for flag in FLAGS if flag.command == ("learn", "check"))
    assert checked.words(["f.py"]) == ["learn", "check", "x", "f.py"]
    numbers = [flag for flag in FLAGS if flag.kind is kind]
    assert len(numbers) > 15
    for flag in numbers:
        for value in map(str, BEYOND) if kind is int else NO_NUMBER:
            words = command(flag, value)
            assert run(words) == 2, words
            printed = capfd.readouterr()
            assert printed.out == ""
            assert "Traceback" not in printed.err


@pytest.mark.usefixtures("_built_once")
def test_no_path_on_the_command_line_is_empty(capfd: pytest.CaptureFixture[str]) -> None:
    for flag in FLAGS:
        if flag.kind is Path:
            assert run(command(flag, "")) == 2, flag
            assert "an empty path: name a directory or file" in capfd.readouterr().err


def test_no_argument_has_a_nul(capfd: pytest.CaptureFixture[str]) -> None:
    for words in (["data", "stats", "a\0b"], ["translate", "-m", "demo", "--output", "\0"]):
        assert run(words) == 2
        found = capfd.readouterr().err.rsplit(": ", 1)
        assert found[1] == "has a NUL character; remove it\n"
        assert "\0" not in found[0]
