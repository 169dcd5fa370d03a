"""The chapter's pages as notebooks: text, code blocks, scripts and exercises, as cells."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from penstock.errors import UsageError
from penstock.files import atomic_write
from penstock.learn.exercise import Question
from penstock.learn.exercise_table import exercises_of

REPOSITORY = "https://github.com/penstock/penstock/blob/main/"
TRAINED = "runs/pairs"  # a model that a page takes for granted, and a notebook has not
MOST_MINUTES = 0.3  # of a training

_PACKAGED, _ROOT = Path(__file__).parent, Path(__file__).parents[3]
_BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[a-z ]+?)(?:: (?P<value>[^\n]*?))? -->\n)?"
    r"^```(?P<kind>[a-z]+)\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_LIVE = re.compile(r"^<(live-[a-z]+).*?</\1>\n+", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)\s#]+)")

# what the pages' commands take for granted
_CORPUS = """\
from pathlib import Path

from penstock.data.grammar import generate_pairs

pairs = generate_pairs(300)
Path("pairs.tsv").write_text("".join(f"{p.source}\\t{p.target}\\n" for p in pairs), "utf-8")
Path("sources.txt").write_text("".join(f"{p.source}\\n" for p in pairs), "utf-8")
Path("targets.txt").write_text("".join(f"{p.target}\\n" for p in pairs), "utf-8")"""


def write_notebooks(out: Path) -> list[Path]:
    """Write a notebook for each page in both languages, and the figures; nothing is overwritten.

    A code cell's metadata may have `short`: other lines that show the same in less time.

    Raises:
        UsageError: a notebook is there already.
    """
    pages = chapter()
    written: list[Path] = []
    for page in sorted([*pages.glob("*.md"), *pages.glob("zh/*.md")]):
        target = out / page.relative_to(pages).with_suffix(".ipynb")
        if target.exists():
            raise UsageError(f"{target} exists, and may have your answers; give another --out")
        written.append(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(notebook(page), ensure_ascii=False, indent=1)
        atomic_write(target, f"{text}\n".encode())
    for figure in sorted((pages / "figures").iterdir()):
        (out / "figures").mkdir(exist_ok=True)
        atomic_write(out / "figures" / figure.name, figure.read_bytes())
    return written


def chapter() -> Path:
    """The directory of the chapter's pages: in the package, or in the clone that it runs from.

    Raises:
        UsageError: in neither; an image of the service leaves them out.
    """
    for place in (_PACKAGED / "chapter", _ROOT / "docs" / "chapter"):
        if place.is_dir():
            return place
    raise UsageError(
        "this installation has no pages of the chapter; install penstock from its wheel"
    )


def notebook(page: Path) -> dict[str, Any]:
    """A page as nbformat 4.5 has it."""
    language = "zh" if page.parent.name == "zh" else "en"
    cells = [*_cells(page, language), *_exercises(page.stem, language)]
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    return {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _cells(page: Path, language: str) -> Iterator[dict[str, Any]]:
    text = _LIVE.sub("", page.read_text(encoding="utf-8"))
    code: dict[str, Any] | None = None  # the last that printed nothing yet
    needs_corpus, end = bool(re.search(r"\b(pairs\.tsv|sources\.txt|targets\.txt)\b", text)), 0
    for block in _BLOCK.finditer(text):
        yield from _markdown(text[end : block.start()], language)
        end = block.end()
        made = list(_code(block))
        if made and needs_corpus:
            needs_corpus = False
            yield _cell(_CORPUS)
        yield from made
        if made:
            code = made[-1]
        elif block["mark"] in ("output of", "measured output of") and code is not None:
            code["outputs"] = [{"name": "stdout", "output_type": "stream", "text": block["body"]}]
            code = None
        else:
            yield from _markdown(f"```{block['kind']}\n{block['body']}```", language)
    yield from _markdown(text[end:], language)


def _markdown(text: str, language: str) -> Iterator[dict[str, Any]]:
    if text.strip():
        source = _LINK.sub(lambda link: _target(link[0], language), text.strip())
        yield {"cell_type": "markdown", "metadata": {}, "source": source}


def _target(link: str, language: str) -> str:
    """Where a link leads from a notebook: to another, to a figure or into the repository."""
    here = "docs/chapter/zh" if language == "zh" else "docs/chapter"
    path = posixpath.normpath(posixpath.join(here, link))
    if not path.startswith("docs/chapter/"):
        return REPOSITORY + path
    return link.removesuffix(".md") + ".ipynb" if link.endswith(".md") else link


def _code(block: re.Match[str]) -> Iterator[dict[str, Any]]:
    """A block's code cells; none if it is not to be run here."""
    kind, mark, value, body = block["kind"], block["mark"], block["value"] or "", block["body"]
    if mark == "not run" or TRAINED in body:
        return
    if mark == "file":
        yield _cell(
            f'from pathlib import Path\n\nPath("{value}").write_text("""{body}""", "utf-8")'
        )
    elif kind == "python":
        yield _cell(body.rstrip())
    elif kind == "console":
        *others, last = [
            line[2:] for line in body.replace("\\\n", " ").split("\n") if line[:1] == "$"
        ]
        for command, more in [*((other, "") for other in others), (last, value)]:
            if command.startswith("python "):
                yield from _script(command.split()[1:])
                continue
            if command.startswith("penstock train "):
                command += f" --set training.max_minutes={MOST_MINUTES}"
            yield _cell(f"!{command}", short=f"!{command} {more}" if more else None)


def _script(words: list[str]) -> Iterator[dict[str, Any]]:
    """A script with its arguments; what it draws goes beside the notebook."""
    name, *arguments = words
    script = next(path for path in (_PACKAGED / name, _ROOT / name) if path.is_file())
    argv = [posixpath.basename(word) if "/" in word else word for word in (name, *arguments)]
    start = "import sys\n\nsys.argv = "
    yield _cell(f"{start}{argv!r}", short=f"{start}{[*argv, '--short']!r}")
    yield _cell(script.read_text(encoding="utf-8").rstrip())


def _exercises(page: str, language: str) -> Iterator[dict[str, Any]]:
    exercises = exercises_of(page)
    if exercises:
        yield from _markdown("## " + {"en": "Exercises", "zh": "练习"}[language], language)
        yield _cell("from penstock.learn.verdict import check_answer")
    for each in exercises:
        yield from _markdown(f"**{each.name}.** {getattr(each.prompt, language)}", language)
        if isinstance(each, Question):
            yield _cell(f'check_answer("{each.name}", None)  # {_HINT[language]}')
        else:
            yield _cell(
                f'{each.signature}:\n    ...\n\n\ncheck_answer("{each.name}", {each.function})'
            )


_HINT = {"en": "your number in place of None", "zh": "把 None 换成你的答案"}


def _cell(source: str, *, short: str | None = None) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {} if short is None else {"short": short},
        "outputs": [],
        "source": source,
    }
