"""A real browser's visit of a page, and what must not happen on it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import axe_core_python
import pytest
from playwright.sync_api import Page, expect

expect.set_options(timeout=30_000)  # all cores test at once

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

AXE = Path(axe_core_python.__file__).parent / "axe.min.js"

in_browser = pytest.mark.skipif(
    BROWSER is None, reason="no Chromium found; Debian and Ubuntu: apt install chromium"
)


class Visit:
    """A page, and what must not happen on it.

    Attributes:
        expected: console messages that contain this are meant to come.
    """

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        self.expected = "nothing is expected"
        self.messages: list[str] = []
        self.elsewhere: list[str] = []
        page.on("console", lambda message: self.messages.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.messages.append(f"error: {error}"))
        page.on("request", lambda request: self._note(request.url))
        page.set_default_timeout(30_000)

    def _note(self, url: str) -> None:
        if not url.startswith((self.url, "data:", "blob:")):
            self.elsewhere.append(url)

    def open(self, fragment: str = "") -> Page:
        self.page.goto(f"{self.url}/{fragment}")
        return self.page

    def check(self) -> None:
        wrong = [message for message in self.messages if self.expected not in message]
        assert wrong == []
        assert self.elsewhere == []


def barriers(page: Page, within: str = "document", options: str = "{}") -> list[str]:
    """What axe-core calls serious or critical; `within` and `options` are JavaScript."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found: dict[str, Any] = page.evaluate(f"axe.run({within}, {options})")
    assert found["passes"], "nothing was looked at"
    return [
        f"{rule['id']}: {node['html'][:150]} {node['failureSummary'][:200]}"
        for rule in found["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]
