"""Cutting a text: the parts joined are the text, and nothing is overwritten unasked."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.cli.app import run as penstock
from penstock.data.cut import NAMES, cut_text
from penstock.errors import DataError, PenstockError, UsageError


def read_parts(folder: Path) -> list[str]:
    return [(folder / name).read_bytes().decode() for name in NAMES]


@given(
    lines=st.lists(st.text("ab é\u2028\r", max_size=9), min_size=1, max_size=12),
    shares=st.tuples(*[st.floats(0.1, 100)] * 3),
)
def test_the_parts_are_the_text(
    lines: list[str], shares: tuple[float, ...], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    lines = [line.rstrip("\r") for line in lines]
    text = "".join(f"{line}\n" for line in lines)
    (folder / "text").write_bytes(text.encode())
    try:
        parts = cut_text(folder / "text", folder / "out", shares=shares)
    except DataError:  # too short for three parts
        assert not any((folder / "out" / name).exists() for name in NAMES)
        return
    assert "".join(read_parts(folder / "out")) == text
    assert sum(part.lines for part in parts) == len(lines)
    longest = max(len(line) + 1 for line in lines)
    for part, share in zip(parts, shares, strict=True):  # each end is at most a line too far
        assert abs(part.characters - len(text) * share / sum(shares)) <= longest


def test_windows_text(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"\xef\xbb\xbfa\r\nb\r\nc")
    cut_text(tmp_path / "text", tmp_path, shares=(1, 1, 1))
    assert read_parts(tmp_path) == ["a\n", "b\n", "c\n"]


@pytest.mark.parametrize(
    "shares", [(1, 1), (1, 1, 0), (1, -1, 1), (math.nan, 1, 1), (math.inf,) * 3]
)
def test_shares_that_are_none(tmp_path: Path, shares: tuple[float, ...]) -> None:
    (tmp_path / "text").write_text("a\nb\nc\n")
    with pytest.raises(UsageError, match=r"shares .*: give three above zero, as in 90,5,5"):
        cut_text(tmp_path / "text", tmp_path, shares=shares)


def test_what_stands_there_stays(tmp_path: Path) -> None:
    text = tmp_path / "train.txt"
    text.write_text("a\nb\nc\n")
    with pytest.raises(UsageError, match=r"train\.txt: the output would replace its own input"):
        cut_text(text, tmp_path, shares=(1, 1, 1), overwrite=True)
    text = text.rename(tmp_path / "text")
    (tmp_path / "test.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"test\.txt: already exists; add --overwrite"):
        cut_text(text, tmp_path, shares=(1, 1, 1))
    assert (tmp_path / "test.txt").read_text() == "mine"
    cut_text(text, tmp_path, shares=(1, 1, 1), overwrite=True)
    assert read_parts(tmp_path) == ["a\n", "b\n", "c\n"]


def test_a_stream_cannot_be_read_twice(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for source in ("-", tmp_path / "pipe"):
        with pytest.raises(UsageError, match="save the stream to a file first"):
            cut_text(source, tmp_path, shares=(1, 1, 1))


def test_a_text_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PenstockError, match="no such file"):
        cut_text(tmp_path / "none", tmp_path, shares=(1, 1, 1))


def test_cut_on_the_command_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text").write_text("a\nb\nc\nd\n")
    command = ["data", "cut", str(tmp_path / "text"), "--out", str(tmp_path / "out")]
    assert penstock([*command, "--shares", "2,1,1"]) == 0
    told = capfd.readouterr()
    assert "train.txt" in told.out
    assert told.err == "--shares 2,1,1 sum to 4: they count as 50.0 %, 25.0 %, 25.0 %\n"
    for shares in ("0.4,0.3,0.3", "40,30,30", "33.3,33.3,33.4"):
        assert penstock([*command, "--shares", shares, "--overwrite"]) == 0
        assert capfd.readouterr().err == ""
    assert penstock([*command, "--shares", "a"]) == 2
    assert "--shares 'a': write three numbers" in capfd.readouterr().err
