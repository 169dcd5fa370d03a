"""All exercises by name, in the order of the chapter's pages, and as the pages show them."""

from __future__ import annotations

import html
import json

from penstock.learn.coding_table import CODING_TASKS
from penstock.learn.exercise import Exercise, Question
from penstock.learn.question_table import QUESTIONS

EXERCISES: dict[str, Exercise] = {each.name: each for each in (*QUESTIONS, *CODING_TASKS)}

_WORDS = {
    "en": ("Exercises", "Answer", "Write", "check it with"),
    "zh": ("练习", "答案", "写出", "检查："),
}


def exercises_of(page: str) -> list[Exercise]:
    """Those of a page of the chapter, by its name without `.md`."""
    return [each for each in EXERCISES.values() if each.page == page]


def section(page: str, language: str) -> str:
    """The Markdown of a page's exercises; empty if it has none.

    A question's element holds its answer, folded up: without JavaScript it is there to be read.
    """
    heading, answer, write, check = _WORDS[language]
    parts: list[str] = []
    for each in exercises_of(page):
        prompt = f"**{each.name}.** {getattr(each.prompt, language)}"
        if isinstance(each, Question):
            data = html.escape(json.dumps(each.as_json(language), ensure_ascii=False))
            parts.append(
                f'{prompt}\n\n<div><live-question lang="{language}" name="{each.name}" check="{data}">'
                f"<details><summary>{answer}</summary>"
                f"<p>{each.answer:g}. {html.escape(getattr(each.why, language))}</p></details>"
                "</live-question></div>"
            )
        else:
            end = "" if language == "zh" else ":"
            parts.append(
                f"{prompt}\n\n{write} `{each.signature.removeprefix('def ')}`; {check}{end}\n\n"
                f"```console\n$ penstock learn check {each.name} answer.py\n```"
            )
    return "\n\n".join([f"## {heading}", *parts]) + "\n" if parts else ""
