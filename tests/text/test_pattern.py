"""Regular expressions from users end, whatever they are."""

from __future__ import annotations

import pytest

from penstock.text.pattern import check_pattern, match_spans


@pytest.mark.timeout(10)
@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(a|aa)*c", r"(.*a){20}", r"(?:a?){900}a{900}"])
def test_no_pattern_runs_away(pattern: str) -> None:
    assert match_spans(pattern, "a" * 3000 + "b") in ([], [(0, 3000)], [(0, 1800), (1800, 3000)])


def test_spans_count_characters() -> None:
    assert match_spans(r"\d+|\p{Greek}", "ééé 12 ü 5 α") == [(4, 6), (9, 10), (11, 12)]


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("(", r"missing \)"),
        (r"(a)\1", "has no look-around and no back-references"),
        ("(?=a)", "has no look-around"),
        ("((a{100}){100}){100}", "invalid repetition size"),
        ("\udcff", "not a regular expression of RE2"),
    ],
)
def test_what_is_no_pattern(pattern: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        check_pattern(pattern)
