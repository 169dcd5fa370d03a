"""Shared by the tests of the verbs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from penstock.cli.app import run


@pytest.fixture
def penstock(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command line: exit code, stdout, stderr."""

    def command(*arguments: object) -> tuple[int, str, str]:
        code = run([*map(str, arguments)])
        out, err = capfd.readouterr()
        return code, out, err

    return command
