"""The reference pages: every key of the configuration, every public name of the package."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

import penstock as ps

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(DOCS / "configuration.py"))


def test_every_key_is_described_in_english(script: dict[str, Any]) -> None:
    described = script["english"]()
    assert len(described) > 80
    assert [key for key, text in described.items() if not text.endswith(".")] == []


def test_every_key_is_described_in_chinese(script: dict[str, Any]) -> None:
    chinese = script["tomllib"].loads((DOCS / "configuration.zh.toml").read_text("utf-8"))["keys"]
    assert chinese.keys() == script["english"]().keys()
    assert [key for key, text in chinese.items() if not text.endswith("。")] == []


def test_the_pages_are_what_the_script_writes(script: dict[str, Any]) -> None:
    for path, text in script["pages"]().items():
        assert path.read_text("utf-8") == text, f"{path.name}: run python docs/configuration.py"


def test_the_pages_say_what_the_models_do(script: dict[str, Any]) -> None:
    """Rows checked by hand, against a mistake in the script itself."""
    page = (DOCS / "configuration.md").read_text("utf-8")
    for row in (
        '| `hidden_size` | integer, ≥ 1, ≤ 65,536, `"auto"` | `512`; translation: `"auto"` | all |',
        '| `average_decay` | number, > 0, < 1, `none`, `"auto"` | `0.998`; translation: `"auto"` |',
        '| `encoder_layers` | integer, ≥ 1, ≤ 100, `"auto"` | `"auto"` | translation |',
        "| `window` | integer, ≥ 1, ≤ 1,000,000 | `64` | language-model |",
        "| `bidirectional` | true or false | `true`; language-model: `false` | all |",
        '| `optimizer` | `"adamw"`, `"adam"`, `"sgd"` | `"adamw"` |',
        "| `train` | string or list of strings | ",
    ):
        assert row in page, row


def test_the_api_page_has_every_public_name_once() -> None:
    page = (DOCS / "api.md").read_text("utf-8")
    assert sorted([*re.findall(r"^::: penstock\.(\w+)$", page, re.M), "__version__"]) == sorted(
        ps.__all__
    )
