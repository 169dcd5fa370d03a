"""DESIGN.md's layers: a module imports from its own part or from a lower layer only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path, PurePath

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "penstock"

LAYERS = {
    **dict.fromkeys(
        ("errors", "files", "json_types", "options", "special_tokens", "version", "figure"), 0
    ),
    **dict.fromkeys(("config", "task table"), 0),
    **dict.fromkeys(("text", "nn", "metrics", "baselines"), 1),
    **dict.fromkeys(("data", "search"), 2),
    **dict.fromkeys(("bundle", "runtime"), 3),
    "training": 4,
    "tasks": 5,
    **dict.fromkeys(("insight", "bench", "api"), 6),
    "serve": 7,
    "cli": 8,
    "__main__": 9,
}
# Upward imports that are left: the networks moved to tasks/ before the table that builds them.
# Each goes when a task is one value; no other may come.
KNOWN = {
    ("bundle/bundle.py", "tasks"),
    ("training/loop.py", "tasks"),
    ("training/pretrained_vectors.py", "tasks"),
}


# the table of tasks and what it imports; each of these imports the rest of its folder when used
TASK_TABLE = ("tasks/__init__.py", "tasks/task.py", "tasks/shared_settings.py")


def modules() -> list[Path]:
    found = sorted(SOURCE.rglob("*.py"))
    return [path for path in found if path.relative_to(SOURCE) != Path("__init__.py")]


def part_of(path: Path) -> str:
    inside = path.relative_to(SOURCE)
    return "task table" if is_table(inside) else inside.parts[0].removesuffix(".py")


def is_table(inside: PurePath) -> bool:
    return inside.as_posix() in TASK_TABLE or inside.match("tasks/*/task.py")


def imported_parts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and part of every import of ours, those for type checking and inside functions too."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: write imports from the root"
            module = node.module or ""
            names = (
                [f"penstock.{alias.name}" for alias in node.names]
                if module == "penstock"
                else [module]
            )
        for name in names:
            root, _, rest = name.partition(".")
            assert isinstance(node, ast.Import | ast.ImportFrom)
            if root == "penstock" and rest:
                file = PurePath(*rest.split(".")).with_suffix(".py")
                in_table = rest == "tasks" or is_table(file)
                yield node.lineno, "task table" if in_table else rest.split(".")[0]


def test_every_part_has_a_layer() -> None:
    assert {part_of(path) for path in modules()} <= LAYERS.keys()


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_module_imports_only_lower_layers(path: Path) -> None:
    own = part_of(path)
    wrong = [
        f"line {line}: {own} (layer {LAYERS[own]}) imports {other} (layer {LAYERS[other]})"
        for line, other in imported_parts(ast.parse(path.read_text(encoding="utf-8")))
        if other != own
        and (str(path.relative_to(SOURCE)), other) not in KNOWN
        and not (LAYERS[other] < LAYERS[own] or LAYERS[own] == LAYERS[other] == 0)
    ]
    assert not wrong


def test_search_knows_ids_and_no_text() -> None:
    for path in (SOURCE / "search").glob("*.py"):
        imports = {part for _, part in imported_parts(ast.parse(path.read_text(encoding="utf-8")))}
        assert not imports & {"text", "data"}, path
