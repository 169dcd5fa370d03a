"""Take the pictures of the page that the docs show: docs/figures/page-*.png.

    python docs/screenshots.py http://127.0.0.1:8000
    python docs/screenshots.py runs/multi30k

Given a run directory, it serves that by itself, with the run's curves. Needs a Chromium; Debian and
Ubuntu: apt install chromium.
"""

from __future__ import annotations

import argparse
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, FloatRect, Page, sync_playwright

FIGURES = Path(__file__).parent / "figures"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SENTENCE = "Zwei Hunde spielen mit einem Ball im Schnee."
MARGIN = 28  # px around a view
VIEWS = ("translate", "attention", "tree", "gates", "what-if", "training")
IN_DARK = ("attention", "tree")
PATIENCE = 60.0  # s until a served run must be ready


def main() -> None:
    """Read the arguments, take all pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("server", help="URL of a running server, or a run directory to serve")
    parser.add_argument("--text", default=SENTENCE, help="what is translated")
    parser.add_argument("--out", type=Path, default=FIGURES, help="directory of the pictures")
    arguments = parser.parse_args()
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit("no Chromium found; Debian and Ubuntu: apt install chromium")
    with serving(arguments.server) as url, sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        for theme, views in (("light", VIEWS), ("dark", IN_DARK)):
            take(opened, url, arguments.text, arguments.out, dark=theme == "dark", views=views)
        opened.close()


@contextmanager
def serving(server: str) -> Generator[str, None, None]:
    """The URL of a server; that of one of our own while the `with` lasts, given a directory."""
    if server.startswith(("http://", "https://")):
        yield server
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "penstock"]
    command = ["penstock"] if shutil.which("penstock") else command
    arguments = ["serve", "-m", server, "--run", server, "--port", str(port)]
    process = subprocess.Popen([*command, *arguments])
    try:
        wait_until_ready(f"http://127.0.0.1:{port}", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    """Return once the server answers; end the program when it does not."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up and process.poll() is None:
        try:
            urllib.request.urlopen(f"{url}/ready").close()
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.3)
        else:
            return
    sys.exit("the server did not become ready")


def take(
    browser: Browser, url: str, text: str, out: Path, *, dark: bool, views: tuple[str, ...]
) -> None:
    """Take the pictures of some views in one theme."""
    context = browser.new_context(
        viewport={"width": 1180, "height": 900},
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",
        locale="en-GB",
    )
    page = context.new_page()
    page.goto(url)
    page.get_by_label("Text to translate").fill(text)
    page.wait_for_selector("#attention-figure[aria-busy=false] svg")
    # the bar at the top would lie over what is scrolled to
    page.evaluate("document.querySelector('.top').hidden = true")
    page.evaluate("document.activeElement.blur()")
    for view in views:
        prepare(page, view)
        picture = out / f"page-{view}{'-dark' if dark else ''}.png"
        page.screenshot(path=picture, clip=around(page, view), full_page=True)
    context.close()


def around(page: Page, view: str) -> FloatRect:
    """What of the whole page a view's picture shows: from its heading to its end."""
    heading = page.locator("#title" if view == "translate" else f"#{view}")
    top = heading.bounding_box()
    box = page.locator("section", has=heading).bounding_box()
    assert top is not None
    assert box is not None
    scrolled = page.evaluate("window.scrollY")
    return {
        "x": box["x"] - MARGIN,
        "y": top["y"] + scrolled - MARGIN,
        "width": box["width"] + 2 * MARGIN,
        "height": box["y"] + box["height"] - top["y"] + 2 * MARGIN,
    }


def prepare(page: Page, view: str) -> None:
    """Bring a view into the state that its picture shows."""
    if view == "attention":
        page.locator(".alignment [data-side=target]").nth(3).hover()
    elif view == "tree":
        page.get_by_role("button", name="Find the exact optimum").click()
        page.wait_for_selector(".certificate.certified, .certificate.open")
        page.mouse.move(0, 0)
    elif view == "what-if":
        page.locator(".piece-button").nth(2).click()


if __name__ == "__main__":
    main()
