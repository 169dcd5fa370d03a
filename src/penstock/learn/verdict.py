"""A reader's file against a task: run in a process of its own, within a time limit."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from penstock.errors import UsageError, look_up
from penstock.learn.exercise import CodingTask, Function, Question
from penstock.learn.exercise_table import EXERCISES

TIME_LIMIT = 10.0  # s for all cases, start of Python included
TOLERANCE = 1e-6

# what runs in the reader's process: results go to a file, what it prints to standard error
_RUNNER = """
import json, runpy, sys
file, function, cases, out = sys.argv[1:]
given = json.loads(cases)
def plain(value):
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is neither a number nor a list")
def report(**found):
    with open(out, "w", encoding="utf-8") as to:
        json.dump(found, to, default=plain)
try:
    names = runpy.run_path(file)
    if not callable(names.get(function)):
        report(missing=True)
        raise SystemExit
    results = []
    for case in given:
        results.append(names[function](*case))
    report(results=results)
except Exception as error:
    line = None
    trace = error.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    line = error.lineno if isinstance(error, SyntaxError) else line
    report(error=f"{type(error).__name__}: {error}", line=line)
"""


@dataclass(frozen=True)
class Verdict:
    """Whether a file solves its task, and if not what is wrong and why."""

    right: bool
    reason: str


def check_file(task: CodingTask, file: Path, *, time_limit: float = TIME_LIMIT) -> Verdict:
    """Run the reader's function on the task's cases and compare.

    The process runs with the reader's rights; it is not a sandbox.

    Raises:
        UsageError: the file does not exist.
    """
    if not file.is_file():
        raise UsageError(f"{file}: no such file; write `{task.signature}:` into it")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "results.json"
        arguments = [str(file), task.function, json.dumps(task.cases), str(out)]
        try:
            done = subprocess.run(
                [sys.executable, "-c", _RUNNER, *arguments],
                stdin=subprocess.DEVNULL, stdout=2, check=False, timeout=time_limit,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return Verdict(
                right=False,
                reason=f"it ran longer than {time_limit:g} s: is there an endless loop?",
            )
        if not out.is_file() or not out.stat().st_size:
            return Verdict(
                right=False, reason=f"Python ended with status {done.returncode} and no result"
            )
        found = cast(dict[str, Any], json.loads(out.read_text(encoding="utf-8")))
    return _judge(task, file, found)


def check_answer(name: str, answer: Any) -> None:
    """Print whether a number, or a function, answers an exercise; what a notebook calls.

    Raises:
        UsageError: there is no such exercise.
    """
    found = look_up(EXERCISES, "exercise", name)
    if isinstance(found, Question):
        verdict = _judge_number(found, answer)
    else:
        results = json.loads(json.dumps(_outcomes(answer, found.cases), default=_plain))
        verdict = _judge(found, Path("the notebook"), {"results": results})
    print(f"{'right' if verdict.right else 'wrong'}: {verdict.reason}")


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _judge_number(question: Question, answer: Any) -> Verdict:
    """As the page's script judges (docs/assets/live/question.js)."""
    if not isinstance(answer, int | float):
        return Verdict(right=False, reason="put a number in place of None, such as 0.25 or 1 / 4")
    known = ((question.answer, question.why), *question.mistakes)
    for number, why in known:
        if abs(answer - number) <= question.tolerance:
            return Verdict(right=number == question.answer, reason=why.en)
    return Verdict(right=False, reason="try it with smaller numbers, by hand")


def _judge(task: CodingTask, file: Path, found: dict[str, Any]) -> Verdict:
    if "missing" in found:
        reason = f"{file} defines no function {task.function}; begin with `{task.signature}:`"
        return Verdict(right=False, reason=reason)
    if "error" in found:
        place = f", line {found['line']}" if found["line"] else ""
        return Verdict(right=False, reason=f"{file}{place}: {found['error']}")
    results: list[Any] = found["results"]
    expected = _outcomes(task.truth, task.cases)
    if same(results, expected):
        return Verdict(right=True, reason=f"all {len(results)} cases are right")
    for mistake, why in task.mistakes:
        if same(results, _outcomes(mistake, task.cases)):
            return Verdict(right=False, reason=f"{_first(task, results, expected)}. {why.en}")
    return Verdict(right=False, reason=_first(task, results, expected))


def _outcomes(function: Function, cases: Sequence[tuple[Any, ...]]) -> list[Any]:
    return [function(*case) for case in cases]


def _first(task: CodingTask, results: list[Any], expected: list[Any]) -> str:
    number = next(
        i for i, (a, b) in enumerate(zip(results, expected, strict=True)) if not same(a, b)
    )
    case = ", ".join(map(_shown, task.cases[number]))
    return (
        f"{task.function}({case}) is {_shown(results[number])}; {_shown(expected[number])} is right"
    )


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, cast(list[Any], value)))}]"
    return f"{value:.6g}" if isinstance(value, float) else repr(value)


def same(found: Any, expected: Any) -> bool:
    """Whether two results are the same, numbers within a tolerance."""
    if isinstance(expected, list):
        wanted = cast(list[Any], expected)
        if not isinstance(found, list) or len(cast(list[Any], found)) != len(wanted):
            return False
        return all(map(same, cast(list[Any], found), wanted))
    if isinstance(expected, float) or isinstance(found, float):
        numbers = isinstance(found, int | float) and not isinstance(found, bool)
        return numbers and math.isclose(found, expected, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return found == expected
