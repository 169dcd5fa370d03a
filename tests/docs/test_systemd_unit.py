"""The systemd unit of docs/serving.md: valid, hardened, installable, with flags that exist."""

from __future__ import annotations

import re
import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest
import typer

from penstock.cli.app import app
from penstock.serve.models.model_paths import parse_model_path

ROOT = Path(__file__).parents[2]


def unit() -> str:
    page = (ROOT / "docs/serving.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"```ini\n(\[Unit\].*?)```", page, re.DOTALL)
    return text


def test_the_unit_has_what_systemd_needs_to_start_and_enable_it() -> None:
    parser = ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore
    parser.read_string(unit())
    assert parser["Install"]["WantedBy"] == "multi-user.target"
    service = parser["Service"]
    assert {"DynamicUser", "ProtectHome", "RestrictNamespaces", "SystemCallFilter"} <= {*service}
    program, verb, *arguments = service["ExecStart"].split()
    assert (Path(program).name, verb) == ("penstock", "serve")
    command = typer.main.get_command(app).commands["serve"]  # type: ignore
    context = command.make_context("serve", arguments)
    (model,) = map(parse_model_path, context.params["model"])
    assert model.path.is_absolute()
    assert model.pair == ("en", "fr")  # training as README says gives a model no languages


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_finds_no_fault_in_the_unit(tmp_path: Path) -> None:
    path = tmp_path / "penstock.service"
    path.write_text(unit().replace("/srv/penstock/bin/penstock", "/bin/true"))
    ran = subprocess.run(
        ["systemd-analyze", "verify", path], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout + ran.stderr) == (0, "")
