"""The site: it builds, is whole without network, and looks as it should in a browser."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest
from playwright.sync_api import Browser, expect

from browsing import BROWSER, Visit, barriers

ROOT = Path(__file__).parents[2]

# page, width, theme: each language, width and theme with each other
LOOKS = (
    ("index.html", 320, "dark"),
    ("index.zh.html", 1280, "light"),
    ("chapter/gru.html", 360, "light"),
    ("chapter/zh/bleu.html", 360, "dark"),
    ("code/src/penstock/search/beam.py.html", 1280, "dark"),
)


def test_the_site_is_whole_without_network(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """One test, as building takes seconds."""
    site = tmp_path / "site"
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pages = sorted(site.rglob("*.html"))
    written = list(ROOT.glob("docs/**/*.md"))
    assert len(pages) > len(written)
    for page in pages:
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|iframe)[^>]+src=.?(https?:[^\s>]+)", text)
        loaded += re.findall(r"<link[^>]+href=.?(https?:[^\s>]+)", text)
        assert not loaded, f"{page.relative_to(site)} loads {loaded}"
        assert "arithmatex" not in text, f"{page.relative_to(site)}: an equation was not drawn"
    chinese = (site / "chapter" / "zh" / "search.html").read_text(encoding="utf-8")
    assert '<html lang="zh"' in chinese
    assert "<math" in chinese
    assert (site / "search" / "search_index.js").exists()
    assert (site / "demo-page" / "model.js").exists()
    if BROWSER is None:
        pytest.skip("the pages were built, not looked at: no Chromium found")
    browser: Browser = request.getfixturevalue("browser")
    for page, width, theme in LOOKS:
        look(browser, site, page, width, theme)


def look(browser: Browser, site: Path, name: str, width: int, theme: str) -> None:
    """A page opened from a folder: nothing is missing, nothing cut, all of it accessible."""
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if theme == "dark" else "light",
        reduced_motion="reduce",
    )
    visit = Visit(context.new_page(), site.as_uri())
    failed: list[str] = []
    visit.page.on("requestfailed", lambda request: failed.append(unquote(request.url)))
    page = visit.open(name)
    if "index" in name:
        translated = page.frame_locator(".live-model iframe").locator("#output")
        expect(translated).to_have_text(re.compile(r"\w"))
    assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{name} is cut"
    assert barriers(page, options="{ iframes: false }") == [], f"{name}, {width} px, {theme}"
    assert failed == []
    context.close()
    visit.check()


def test_the_page_of_the_service_has_the_logo_of_the_site() -> None:
    logo = (ROOT / "docs/assets/logo.svg").read_text(encoding="utf-8")
    shapes = re.sub(r">\s+<", "><", logo.partition(">")[2].strip()).replace('"', "'")
    page = ROOT / "src/penstock/insight/page"
    for name in ("index.html", "docs.html", "css/base.css"):
        assert shapes in unquote((page / name).read_text(encoding="utf-8")), name
