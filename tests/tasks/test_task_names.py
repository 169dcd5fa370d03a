"""A task is one value: nobody outside `tasks/` asks which one it is."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.tasks import TASKS

SOURCE = Path(__file__).parents[2] / "src" / "penstock"
OUTSIDE = [p for p in sorted(SOURCE.rglob("*.py")) if "tasks" not in p.relative_to(SOURCE).parts]
CLASSES = {task.use().model.__name__ for task in TASKS.values()} | {
    *("Seq2Seq", "LanguageModel", "Classifier", "Cloze")
}


def named(node: ast.AST | None) -> bool:
    """Whether a task's name stands here, alone or in a tuple, list or set."""
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return any(named(element) for element in node.elts)
    return isinstance(node, ast.Constant) and node.value in TASKS


def dispatches(tree: ast.AST) -> Iterator[str]:
    """Where code depends on a task's name, or on which class a model has."""
    asserted = {id(n) for a in ast.walk(tree) if isinstance(a, ast.Assert) for n in ast.walk(a)}
    for node in ast.walk(tree):
        match node:
            case ast.Compare(left=left, comparators=others):
                found = any(named(side) for side in (left, *others))
            case ast.MatchValue(value=value) | ast.keyword(arg="task", value=value):
                found = named(value)
            case ast.Dict(keys=keys):
                found = any(named(key) for key in keys)
            case ast.MatchClass(cls=ast.Name(id=name)):
                found = name in CLASSES
            case ast.Call(func=ast.Name(id="isinstance" | "issubclass"), args=[_, classes]):
                names = {n.id for n in ast.walk(classes) if isinstance(n, ast.Name)}
                found = id(node) not in asserted and bool(names & CLASSES)
            case _:
                continue
        if found:
            yield f"line {node.lineno}: {ast.unparse(node)[:80]}"


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: str(path.relative_to(SOURCE)))
def test_nobody_outside_asks_which_task_it_is(path: Path) -> None:
    assert not list(dispatches(ast.parse(path.read_text(encoding="utf-8"))))


@pytest.mark.parametrize(
    "code",
    [
        "config.task == 'cloze'",
        "'translation' != task",
        "task in ('cloze', 'language-model')",
        "match task:\n    case 'classification': pass",
        "verbs = {'cloze': 'fill'}",
        "load_bundle(path, task='cloze')",
        "if isinstance(model, Cloze | LanguageModel): pass",
        "match model:\n    case Translator(): pass",
    ],
)
def test_this_test_finds_what_it_looks_for(code: str) -> None:
    assert list(dispatches(ast.parse(code)))
    assert not list(dispatches(ast.parse("assert isinstance(model, Cloze)\nhelp = 'cloze'")))
