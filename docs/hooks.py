"""What the site needs beside its theme; mkdocs calls these functions (see mkdocs.yml).

- README is a page of the site; on the first page the model in the box translates.
- A link to a file outside `docs/` leads to a page that shows the file, so that the site is whole
  without network.
- Chinese pages stand in the navigation in the order of the English ones, under the theme's
  Chinese words.
- Each page of the chapter gets its exercises (src/penstock/learn).
- Equations become MathML: browsers draw it without scripts.
- The whole site is at most 15 MB; the build ends with an error if it is more.
"""

from __future__ import annotations

import html
import posixpath
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

from penstock.bundle import load_bundle
from penstock.insight.web_page import model_digest, web_files
from penstock.learn.exercise_table import section

ROOT = Path(__file__).parent.parent
# in the repository, and on the site
READMES = {"README.md": "start.md", "README.zh-CN.md": "start.zh.md"}
CHINESE_TITLES = {"index.zh.md": "首页", "start.zh.md": "从这里开始"}  # theirs is the name alone
CHAPTER, CHINESE = "chapter/", "chapter/zh/"
SHOWN = "code/"  # where files from outside `docs/` are shown
MOST_BYTES = 15_000_000  # of the whole site
DEMO_PAGE = "demo-page/"  # the demo model as `penstock export --web` makes it
LIVE_MARK = "<!-- live model -->"
LIVE = {  # in place of the mark
    "index.md": ("The model in the box, computing in your browser", "On a page of its own"),
    "index.zh.md": ("包里的模型，在你的浏览器里计算", "单独打开"),
}

# of the theme's own files: maps for its developers, and search in languages that the site lacks
_UNUSED = re.compile(r"^assets/(?:javascripts|stylesheets)/(?:.*\.map$|lunr/)")
# spans of code that the theme gives no colour of their own: names and spaces
_PLAIN_SPAN = re.compile(r'<span class="(?:n|w)">([^<]*)</span>')
_FENCED = re.compile(r"^(`{3,}|~{3,})[^\n]*\n.*?^\1$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<=\]\()([^)\s]+)(?=\))")
_EQUATION = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\\[(\[](?P<tex>.*?)\\[)\]]</(?P=tag)>', re.DOTALL
)


# --- navigation ---------------------------------------------------------------------------------


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the Chinese pages, in the order of the English ones."""
    assert config.nav is not None
    listed = [entry for section in config.nav for entry in _entries(section)]
    sisters = [
        entry.replace(CHAPTER, CHINESE) if entry.startswith(CHAPTER) else f"{entry[:-3]}.zh.md"
        for entry in listed
    ]
    pages = [p for p in sisters if (ROOT / "docs" / p).exists() or p in READMES.values()]
    if pages:
        config.nav.append({"中文": [_titled(page) for page in pages]})
    return config


def _titled(page: str) -> str | dict[str, str]:
    return {CHINESE_TITLES[page]: page} if page in CHINESE_TITLES else page


def _entries(section: Any) -> list[str]:
    if isinstance(section, str):
        return [section]
    parts = section.values() if isinstance(section, dict) else section
    return [entry for part in parts for entry in _entries(part)]


def on_page_context(context: Any, page: Page, config: MkDocsConfig, nav: Any) -> None:
    """The theme's own words in the language of the page."""
    chinese = page.file.src_uri.startswith(CHINESE) or page.file.src_uri.endswith(".zh.md")
    config.theme["language"] = "zh" if chinese else "en"


# --- links out of docs/ -------------------------------------------------------------------------


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add README and a page for each file outside `docs/` that a page links to."""
    for file in list(files):
        if _UNUSED.search(file.src_uri):
            files.remove(file)
    for name, page in READMES.items():
        if (ROOT / name).exists():
            text = (ROOT / name).read_text(encoding="utf-8")
            files.append(File.generated(config, page, content=text))
    demo = web_files(load_bundle("demo"), "demo")
    for name, text in demo.items():
        files.append(File.generated(config, DEMO_PAGE + name, content=text))
    config.extra["demo_digest"] = model_digest(demo)
    shown: set[str] = set()
    waiting = [file for file in files if file.is_documentation_page()]
    while waiting:
        file = waiting.pop()
        for target in outside(file.src_uri, file.content_string):
            if target not in shown:
                shown.add(target)
                page = File.generated(config, page_of(target), content=show(target))
                page.inclusion = InclusionLevel.NOT_IN_NAV
                files.append(page)
                waiting.append(page)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let each link lead to the page that stands for its file; put the live model on the first."""
    if page.file.src_uri in LIVE:
        page.meta["hide"] = ["navigation", "toc"]
        title, link = LIVE[page.file.src_uri]
        index = f"{DEMO_PAGE}index.html"
        frame = (
            f'<div class="live-model"><iframe src="{index}" title="{title}"></iframe>'
            f'<p>{title}. <a href="{index}">{link}</a></p></div>'
        )
        assert LIVE_MARK in markdown
        markdown = markdown.replace(LIVE_MARK, frame)
    digest = f'<live-translation data-sha256="{config.extra["demo_digest"]}"'
    markdown = markdown.replace("<live-translation", digest)
    markdown = with_exercises(markdown, page.file.src_uri)
    start = posixpath.dirname(page.file.src_uri) or "."

    def lead(link: re.Match[str]) -> str:
        target = target_of(page.file.src_uri, link[0])
        if target is None:
            return link[0]
        _, hash_, heading = link[0].partition("#")
        return posixpath.relpath(page_of(target), start) + hash_ + heading

    return _outside_fences(markdown, lambda text: _LINK.sub(lead, text))


def with_exercises(markdown: str, page: str) -> str:
    """A page of the chapter with its exercises before its last line, the link to the next."""
    if not page.startswith(CHAPTER):
        return markdown
    exercises = section(posixpath.basename(page)[:-3], "zh" if page.startswith(CHINESE) else "en")
    text, _, last = markdown.rstrip().rpartition("\n\n")
    return f"{text}\n\n{exercises}\n{last}\n" if exercises else markdown


def outside(page: str, markdown: str) -> list[str]:
    """The files outside `docs/` that a page links to, as the repository names them."""
    links: list[str] = []
    _outside_fences(markdown, lambda text: links.extend(_LINK.findall(text)) or "")
    targets = (target_of(page, link) for link in links)
    return [t for t in targets if t and not t.startswith("docs/") and t not in READMES]


def _outside_fences(markdown: str, change: Callable[[str], str]) -> str:
    parts: list[str] = []
    end = 0
    for fence in _FENCED.finditer(markdown):
        parts += [change(markdown[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, change(markdown[end:])])


def target_of(page: str, link: str) -> str | None:
    """What a link on a page leads to, from the repository's root; None for another kind of link."""
    path = link.partition("#")[0]
    if not path or re.match(r"[a-z]+:", path):
        return None
    sources = {shown: source for source, shown in READMES.items()}
    if page in sources:
        name = sources[page]
    elif page.startswith(SHOWN):
        name = page.removeprefix(SHOWN).removesuffix(".md")
    else:
        name = f"docs/{page}"
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), path))


def page_of(target: str) -> str:
    """The page that stands for a file of the repository."""
    if target in READMES:
        return READMES[target]
    if target.startswith("docs/"):
        return target.removeprefix("docs/")
    return f"{SHOWN}{target}.md"


def show(target: str) -> str:
    """A page that shows a file, or lists a folder; not in the search, which would drown in it."""
    path = ROOT / target
    head = f"---\ntitle: {target}\nsearch: {{exclude: true}}\n---\n\n# `{target}`\n\n"
    if path.is_dir():
        names = sorted(child.name for child in path.iterdir() if child.is_file())
        return head + "".join(f"- [{name}]({path.name}/{name})\n" for name in names)
    if not path.is_file():
        raise PluginError(f"a page links to {target}, which does not exist")
    kind = {".py": "python", ".toml": "toml", ".md": "markdown"}.get(path.suffix, "text")
    return f"{head}````{kind}\n{path.read_text(encoding='utf-8').rstrip()}\n````\n"


# --- equations ----------------------------------------------------------------------------------


def on_page_content(html_: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """LaTeX as the Markdown extension left it, to MathML; code without spans that show nothing."""

    def draw(equation: re.Match[str]) -> str:
        display = "block" if equation["tag"] == "div" else "inline"
        drawn = mathml(html.unescape(equation["tex"]), display, page.file.src_uri)
        return drawn if display == "inline" else f'<div class="equation">{drawn}</div>'

    return _EQUATION.sub(draw, _PLAIN_SPAN.sub(r"\1", html_))


def mathml(tex: str, display: str, place: str) -> str:
    """One equation; `aligned` is what GitHub knows, `align*` what the converter does.

    Raises:
        PluginError: the converter does not understand it.
    """
    known = tex.replace("{aligned}", "{align*}").strip()
    try:
        drawn = convert(known, display=display)
        # what it does not know it lets through: a bare &, an unknown command
        unknown = [text for text in ElementTree.fromstring(drawn).itertext() if "\\" in text]
        if unknown:
            raise ValueError(f"unknown command {unknown[0]}")
    except Exception as error:  # noqa: BLE001 - the converter has many
        raise PluginError(f"{place}: cannot draw the equation {tex.strip()!r}: {error}") from None
    return drawn


# --- what the theme leaves open -----------------------------------------------------------------

_SEARCH = 'class="md-search" data-md-component="search" role="dialog"'


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """The search dialog gets a name."""
    assert _SEARCH in output
    name = "搜索" if config.theme["language"] == "zh" else "Search"
    return output.replace(_SEARCH, f'{_SEARCH} aria-label="{name}"')


# --- size ---------------------------------------------------------------------------------------


def on_post_build(config: MkDocsConfig) -> None:
    """Keep the site small enough to be carried about.

    Raises:
        PluginError: it is larger than it may be.
    """
    sizes = {
        path: path.stat().st_size for path in Path(config.site_dir).rglob("*") if path.is_file()
    }
    if sum(sizes.values()) > MOST_BYTES:
        largest = sorted(sizes, key=lambda path: sizes[path])[:-4:-1]
        raise PluginError(
            f"the site has {sum(sizes.values()) / 1e6:.1f} MB, at most {MOST_BYTES / 1e6:.0f}; the "
            f"largest files: {', '.join(path.name for path in largest)}"
        )
