"""Detection of repetition loops in model outputs."""

from __future__ import annotations

from collections.abc import Sequence

_LONGEST = 12
_TIMES = 3


def has_loop(tokens: Sequence[str]) -> bool:
    """Whether a run of up to 12 tokens occurs three times in a row.

    >>> has_loop("a very very very old man".split()), has_loop("a very very old man".split())
    (True, False)
    """
    count = len(tokens)
    for size in range(1, min(_LONGEST, count // _TIMES) + 1):
        equal = 0  # tokens in a row that equal the one `size` before them
        for i in range(size, count):
            equal = equal + 1 if tokens[i] == tokens[i - size] else 0
            if equal >= size * (_TIMES - 1):
                return True
    return False
