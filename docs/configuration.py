"""Write the configuration reference, in English and Chinese, from the models of the configuration.

    python docs/configuration.py

English descriptions are the docstrings of the keys in `src/penstock/config`, Chinese ones stand in
`docs/configuration.zh.toml`.
"""

from __future__ import annotations

import ast
import inspect
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from tomli_w import dumps

from penstock.config import ATTENTIONS, CELLS, TOKENIZERS, RunConfig, selection_metrics
from penstock.config.section import AUTO, Section, automatic_keys, sections_of
from penstock.tasks import TASKS

FOLDER = Path(__file__).parent
CHINESE = FOLDER / "configuration.zh.toml"
_AUTOMATIC = automatic_keys(RunConfig)
_BOUNDS = {Ge: ("ge", "≥"), Gt: ("gt", ">"), Le: ("le", "≤"), Lt: ("lt", "<")}


@dataclass(frozen=True)
class Key:
    """A key of the configuration, `model.cell`."""

    path: str
    field: FieldInfo
    description: str

    @property
    def name(self) -> str:
        """Its last part."""
        return self.path.rpartition(".")[2]

    @property
    def choices(self) -> tuple[str, ...]:
        """The values that it can have, where they are few."""
        tables: dict[str, Mapping[str, Any]] = {
            "task": TASKS,
            "model.cell": CELLS,
            "model.attention": ATTENTIONS,
            "text.source.kind": TOKENIZERS,
            "text.target.kind": TOKENIZERS,
            "training.metric": selection_metrics(),
        }
        return tuple(tables.get(self.path, literals(self.field.annotation)))

    def default_of(self, task: str) -> Any:
        """What the key is for a task where the user says nothing."""
        if self.is_automatic and TASKS[task].target == "text":
            return AUTO
        value: Any = TASKS[task].defaults
        for name in self.path.split("."):
            if not isinstance(value, Mapping) or name not in value:
                return self.field.default
            value = value[name]
        return value

    @property
    def is_automatic(self) -> bool:
        """Whether it may be `auto`."""
        return self.path in _AUTOMATIC

    @property
    def tasks(self) -> list[str]:
        """The tasks that use it."""
        sections = [self.path.rsplit(".", cut)[0] for cut in range(self.path.count(".") + 1)]
        return [name for name, task in TASKS.items() if not task.unused.keys() & set(sections)]


def keys() -> dict[str, list[Key]]:
    """All keys by section, those outside any section first."""
    found: dict[str, list[Key]] = {"": []}
    for section, model in [("", RunConfig), *sections(RunConfig)]:
        inner = sections_of(model)
        prefix = f"{section}." if section else ""
        described = docstrings(model)
        found[section] = [
            Key(f"{prefix}{name}", field, described.get(name, ""))
            for name, field in model.model_fields.items()
            if name not in inner
        ]
    return found


def docstrings(model: type) -> dict[str, str]:
    """The string after each key of a section."""
    base = model.__base__
    inherited = docstrings(base) if base and base not in (object, Section, BaseModel) else {}
    (source,) = ast.parse(inspect.getsource(model)).body
    assert isinstance(source, ast.ClassDef)
    return inherited | {
        key.target.id: inspect.cleandoc(text.value.value)
        for key, text in pairwise(source.body)
        if isinstance(key, ast.AnnAssign)
        and isinstance(key.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def sections(model: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every section inside a model with its path."""
    for name, inner in sections_of(model).items():
        yield f"{path}{name}", inner
        yield from sections(inner, f"{path}{name}.")


def literals(annotation: Any) -> tuple[str, ...]:
    """The values that a type lists."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return tuple(value for inner in get_args(annotation) for value in literals(inner))


# --- as text ------------------------------------------------------------------------------------


def toml(value: Any) -> str:
    """A value as it stands in a file."""
    return "`none`" if value is None else f"`{dumps({'x': value}).strip().removeprefix('x = ')}`"


def kind(key: Key, words: Mapping[str, str]) -> str:
    """Type and bounds."""
    automatic = [toml(AUTO)] if key.is_automatic else []
    inner = get_args(key.field.annotation) or (key.field.annotation,)
    if key.choices:
        lists = [words[str(part)] for part in inner if get_origin(part) is list]
        return ", ".join([*map(toml, key.choices), *lists, *automatic])
    names = [
        words[str(part) if get_args(part) else part.__name__]
        for part in inner
        if part is not NoneType
    ]
    bounds = [
        f"{sign} {getattr(bound, name):,}" if getattr(bound, name) < 2**53 else f"{sign} 2⁶³ - 1"
        for bound in key.field.metadata
        for cls, (name, sign) in _BOUNDS.items()
        if isinstance(bound, cls) and (name != "lt" or getattr(bound, name) < 2**53)
    ]
    optional = [words["none"]] if NoneType in inner else []
    return ", ".join([f" {words['or']} ".join(names), *bounds, *optional, *automatic])


def default(key: Key, words: Mapping[str, str]) -> str:
    """The default, and those of tasks that have another."""
    others: dict[str, list[str]] = {}
    for task in key.tasks:
        value = toml(key.default_of(task))
        if value != toml(key.field.default):
            others.setdefault(value, []).append(task)
    shown = toml(key.field.default)
    if len(others) == 1 and list(others.values()) == [key.tasks]:
        return next(iter(others))
    return "; ".join([shown, *(f"{', '.join(names)}: {v}" for v, names in others.items())])


def page(words: Mapping[str, Any], descriptions: Mapping[str, str]) -> str:
    """The reference in one language."""
    parts = [words["introduction"].strip()]
    for section, listed in keys().items():
        if not listed:
            continue
        title = f"[{section}]" if section else words["top"]
        parts.append(f"## {title}")
        rows = [" | ".join(words["columns"]), " | ".join(["---"] * len(words["columns"]))]
        for key in listed:
            tasks = words["all"] if len(key.tasks) == len(TASKS) else ", ".join(key.tasks)
            meaning = descriptions[shared_path(key)].replace("\n", " ")
            cells = [f"`{key.name}`", kind(key, words), default(key, words), tasks, meaning]
            rows.append(" | ".join(cells).replace("`\\n`", '`"\\n"`'))
        parts.append("\n".join(f"| {row} |" for row in rows))
    return "\n\n".join(parts) + "\n"


def shared_path(key: Key) -> str:
    """Where the key's description is found: both tokenizers have one."""
    return key.path.replace("text.target.", "text.source.")


def english() -> dict[str, str]:
    """The docstrings of the keys."""
    listed = [key for section in keys().values() for key in section]
    return {shared_path(key): key.description for key in listed}


def pages() -> dict[Path, str]:
    """Each page's file and what it should hold."""
    chinese = tomllib.loads(CHINESE.read_text(encoding="utf-8"))
    return {
        FOLDER / "configuration.md": page(ENGLISH, english()),
        FOLDER / "configuration.zh.md": page(chinese["words"], chinese["keys"]),
    }


ENGLISH: dict[str, Any] = {
    "columns": ["key", "type", "default", "tasks", "meaning"],
    "str": "string", "int": "integer", "float": "number", "bool": "true or false",
    "list[str]": "list of strings", "list[int]": "list of integers",
    "list[float]": "list of numbers",
    "list[int | str | list[int | str]]": "list of two integers or strings, the first also a list",
    "none": "`none`", "or": "or", "all": "all", "top": "Outside any section",
    "introduction": """
# Configuration reference

[中文](configuration.zh.md)

<!-- written by docs/configuration.py -->

A run is described by one TOML file, `penstock train run.toml`. Every key has a default. `--set
model.cell=gru` overrides a key of the file; in Python the same keys make a
`penstock.RunConfig(model={"cell": "gru"})`. An unknown key is an error that names the nearest known
one, and so is a key that the task has no use for. `none` switches an optional key off. The resolved
configuration of a run, every key, is in its `config.toml`.

[`auto` is chosen from the data](using.md#settings-that-choose-themselves) when a run starts; a key
that you set keeps your value. The column *tasks* lists the tasks that use a key, and the column
*default* the tasks that have a default of their own.
""",
}  # fmt: skip


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
