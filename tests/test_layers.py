"""CONTRIBUTING.md's layers: a module imports from its own part or from a lower layer only."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "penstock"

LAYERS = {
    **dict.fromkeys(("errors", "files", "hub", "special_tokens", "version", "figure"), 0),
    **dict.fromkeys(("config", "task table"), 0),
    **dict.fromkeys(("text", "nn", "metrics", "baselines"), 1),
    **dict.fromkeys(("data", "search", "bundle"), 2),
    "runtime": 3,
    **dict.fromkeys(("export", "training"), 4),
    "tasks": 5,
    **dict.fromkeys(("insight", "bench", "bulk", "api", "learn"), 6),
    **dict.fromkeys(("serve", "ray"), 7),
    "cli": 8,
}

# the table of tasks and what it imports; a task imports the rest of its folder when it is used
TASK_TABLE = ("tasks/__init__.py", "tasks/task.py", "tasks/shared_settings.py")


def modules() -> list[Path]:
    found = sorted(SOURCE.rglob("*.py"))
    return [path for path in found if path.relative_to(SOURCE) != Path("__init__.py")]


def part_of(path: Path) -> str:
    inside = path.relative_to(SOURCE)
    if inside == PurePath("__main__.py"):
        return "cli"  # its entry point
    return "task table" if is_table(inside) else inside.parts[0].removesuffix(".py")


def is_table(inside: PurePath) -> bool:
    return inside.as_posix() in TASK_TABLE or inside.match("tasks/*/task.py")


def imported_parts(nodes: Iterable[ast.AST]) -> Iterator[tuple[int, str]]:
    """Line and part of every import of ours."""
    for node in nodes:
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
    own, tree = part_of(path), ast.parse(path.read_text(encoding="utf-8"))
    # those for type checking and inside functions too; of the table those that import it
    nodes = tree.body if own == "task table" else ast.walk(tree)
    wrong = [
        f"line {line}: {own} (layer {LAYERS[own]}) imports {other} (layer {LAYERS[other]})"
        for line, other in imported_parts(nodes)
        if other != own and not (LAYERS[other] < LAYERS[own] or LAYERS[own] == LAYERS[other] == 0)
    ]
    assert not wrong


def test_search_knows_ids_and_no_text() -> None:
    for path in (SOURCE / "search").glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imports = {part for _, part in imported_parts(ast.walk(tree))}
        assert not imports & {"text", "data"}, path


def test_a_task_imports_when_used_nothing_but_its_own_room() -> None:
    for path in modules():
        if part_of(path) != "task table":
            continue
        inside = [
            node
            for function in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(function, ast.FunctionDef)
            for node in ast.walk(function)
        ]
        assert {part for _, part in imported_parts(inside)} <= {"tasks", "task table"}, path


def test_search_knows_numpy_and_no_torch() -> None:
    for path in (SOURCE / "search").glob("*.py"):
        assert "torch" not in _imported_packages(path), path


def _imported_packages(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    return names
