# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# (RE2 brings no types: what leaves this module is declared)
"""Regular expressions from users, in an engine that cannot backtrack.

RE2's time is linear in the text and its memory bounded, whatever the expression. It has neither
look-around nor back-references (https://github.com/google/re2/wiki/Syntax).
"""

from __future__ import annotations

import functools
from typing import Any


def check_pattern(pattern: str) -> None:
    """Check a regular expression.

    Raises:
        ValueError: RE2 does not take it.
    """
    _compiled(pattern)


def match_spans(pattern: str, text: str) -> list[tuple[int, int]]:
    """Where a regular expression matches, from left to right."""
    return [match.span() for match in _compiled(pattern).finditer(text)]


@functools.lru_cache(maxsize=256)
def _compiled(pattern: str) -> Any:
    import re2

    options = re2.Options()
    options.log_errors = False  # we report them
    try:
        return re2.compile(pattern, options)
    except (re2.error, UnicodeError) as error:
        reason = error.args[0]
        reason = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else reason
        raise ValueError(
            f"not a regular expression of RE2 ({reason}), which has no look-around and no "
            "back-references"
        ) from None
