"""The documentation's own tools: `docs/refresh.py` and `docs/hooks.py`."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mkdocs.exceptions import PluginError

ROOT = Path(__file__).parents[2]

PAGE = """# Title

<!-- output of: examples/a.py -->
```text
old
```

<!-- measured output of: penstock info -->
```text
old
```

```text
<!-- output of: examples/a.py -->
```
"""


@pytest.fixture(scope="module")
def refresh() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "docs" / "refresh.py"))


@pytest.fixture(scope="module")
def hooks() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "docs" / "hooks.py"))


# outputs


def test_an_output_goes_into_the_block_of_its_command_only(refresh: dict[str, Any]) -> None:
    filled = refresh["fill"](PAGE, {"examples/a.py": r"new \1 $x$" + "\n\n"})
    assert filled == PAGE.replace("old", r"new \1 $x$", 1)
    assert refresh["fill"](filled, {"examples/b.py": "other"}) == filled
    both = refresh["fill"](PAGE, {"examples/a.py": "one\n", "penstock info": "two\n"})
    assert both == PAGE.replace("old", "one", 1).replace("old", "two", 1)


def test_a_figure_before_an_output_takes_nothing_of_it(refresh: dict[str, Any]) -> None:
    figure = "<!-- figure of: examples/c.py --out c.svg -->\n![c](c.svg)\n\n"
    filled = refresh["fill"](figure + PAGE, {"examples/a.py": "new"})
    assert filled == figure + PAGE.replace("old", "new", 1)


def test_each_command_runs_once(refresh: dict[str, Any]) -> None:
    commands = refresh["commands"]()
    assert "examples/beam_search.py" in commands
    assert len(commands) == len(set(commands))  # the Chinese pages have them all again


def test_a_command_that_fails_stops_the_refresh(refresh: dict[str, Any]) -> None:
    assert refresh["run"]("penstock --version").startswith("penstock ")
    with pytest.raises(SystemExit, match="exit code 2; the pages keep what they had"):
        refresh["run"]("penstock no-such-verb")


def test_what_a_command_depends_on_decides_if_it_runs_again(refresh: dict[str, Any]) -> None:
    fingerprint = refresh["fingerprint"]
    assert fingerprint("examples/bleu.py") == fingerprint("examples/bleu.py")
    assert fingerprint("examples/bleu.py") != fingerprint("examples/bleu.py --short")


# equations


def test_equations_become_mathml(hooks: dict[str, Any]) -> None:
    drawn = hooks["mathml"](r"\begin{aligned} a &= b_1 \\ c &< d \end{aligned}", "block", "page")
    assert drawn.startswith("<math")
    assert 'display="block"' in drawn
    assert drawn.count("<mtr>") == 2


@pytest.mark.parametrize("tex", ["a & b", r"\nosuch{x}"])
def test_an_equation_that_cannot_be_drawn_is_an_error(hooks: dict[str, Any], tex: str) -> None:
    with pytest.raises(PluginError, match=r"page\.md: cannot draw the equation"):
        hooks["mathml"](tex, "inline", "page.md")


# links


@pytest.mark.parametrize(
    ("on", "link", "target", "shown"),
    [
        ("chapter/a.md", "../using.md", "docs/using.md", "using.md"),
        ("chapter/zh/a.md", "../../../src/x.py", "src/x.py", "code/src/x.py.md"),
        ("start.md", "docs/using.md#serve", "docs/using.md", "using.md"),
        ("using.md", "../README.md", "README.md", "start.md"),
        ("code/examples.md", "examples/a.py", "examples/a.py", "code/examples/a.py.md"),
    ],
)
def test_links_are_resolved_in_the_repository(
    hooks: dict[str, Any], on: str, link: str, target: str, shown: str
) -> None:
    assert hooks["target_of"](on, link) == target
    assert hooks["page_of"](target) == shown


@pytest.mark.parametrize("link", ["https://example.org/a.md", "#heading", "mailto:a@b.c"])
def test_other_links_stay(hooks: dict[str, Any], link: str) -> None:
    assert hooks["target_of"]("using.md", link) is None


def test_links_in_code_are_no_links(hooks: dict[str, Any]) -> None:
    text = "[a](../a.py)\n\n````python\n[b](../b.py)\n```\n[c](../c.py)\n````\n\n[d](../d.py)\n"
    assert hooks["outside"]("using.md", text) == ["a.py", "d.py"]


def test_a_link_to_nothing_is_an_error(hooks: dict[str, Any]) -> None:
    with pytest.raises(PluginError, match=r"a page links to src/none\.py, which does not exist"):
        hooks["show"]("src/none.py")


# size


def test_code_is_left_without_spans_that_show_nothing(hooks: dict[str, Any]) -> None:
    code = '<span class="n">beam</span><span class="w"> </span><span class="o">=</span>'
    kept = hooks["on_page_content"](code, None, None, None)
    assert kept == 'beam <span class="o">=</span>'


def test_a_site_that_is_too_large_is_an_error(hooks: dict[str, Any], tmp_path: Path) -> None:
    config = SimpleNamespace(site_dir=str(tmp_path))
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(hooks["MOST_BYTES"])
    hooks["on_post_build"](config)
    (tmp_path / "page.html").write_text("<p>", encoding="utf-8")
    message = r"the site has 15\.0 MB, at most 15; the largest files: large\.png, page\.html"
    with pytest.raises(PluginError, match=message):
        hooks["on_post_build"](config)
