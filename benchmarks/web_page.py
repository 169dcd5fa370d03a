"""A model as a web page: its size, how fast it answers, and whether it says what Python says.

    python benchmarks/web_page.py -m demo

Headless Chromium opens the page of `penstock export --web` from a server on this machine: once to
fill its cache, then timed from the navigation to the frame after the first translation. Then a
sentence is typed key by key, as in `page_latency.py`, and many lines are translated, in the page
and by ONNX Runtime in Python; both at the model's beam size. Needs a Chromium.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import json
import shutil
import statistics
import sys
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from page_latency import BROWSERS, PAUSE, TYPE, summary
from penstock.bundle import load_bundle
from penstock.data.grammar import builtin_split
from penstock.insight.web_page import web_files, write_web_page
from penstock.tasks.translation.translator import Translator

VISITS = 7
FIRST = """
new MutationObserver((_, watch) => {
  if (!document.querySelector("#told .badge")) return;
  watch.disconnect();
  requestAnimationFrame(() => { window.firstTranslation = performance.now(); });
}).observe(document, { childList: true, subtree: true });
"""
TRANSLATE = """
async (lines) => {
  const [field, output] = ["text", "output"].map((id) => document.getElementById(id));
  const found = [];
  for (const line of lines) {
    const changed = new Promise((done) => {
      const watch = new MutationObserver(() => { watch.disconnect(); done(); });
      watch.observe(output, { childList: true });
    });
    field.value = line;
    field.dispatchEvent(new InputEvent("input", { bubbles: true }));
    await changed;
    found.push(output.textContent);
  }
  return found;
}
"""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base's name)
        pass


@contextmanager
def hosting(directory: Path) -> Generator[str]:
    """Serve a directory; gives its address."""
    handler = functools.partial(_Quiet, directory=str(directory))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def measure(browser: Browser, url: str, text: str, lines: list[str]) -> dict[str, Any]:
    """Times in milliseconds, and what the page says of the lines."""
    context = browser.new_context()
    context.add_init_script(FIRST)
    starts: list[float] = []
    page = context.new_page()
    for _ in range(VISITS + 1):
        page.goto(url)
        page.wait_for_selector("#told .badge")
        page.wait_for_timeout(200)  # the frame after it is drawn
        starts.append(page.evaluate("window.firstTranslation"))
    page.wait_for_timeout(3000)  # the page's first look inside is over
    times: list[float] = page.evaluate(TYPE, [text, PAUSE])
    outputs: list[str] = page.evaluate(TRANSLATE, lines)
    context.close()
    first, *cached = starts
    return {
        "first_visit_ms": round(first),
        "first_translation_ms": round(statistics.median(cached)),
        "key_to_translation": summary(times),
        "outputs": outputs,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("-m", "--model", default="demo", help="with graphs")
    parser.add_argument("--text", default="She found my white hat and she washed it.")
    parser.add_argument("--lines", help="file of sources; default: the demo's unseen sentences")
    arguments = parser.parse_args()
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        sys.exit("no Chromium found; Debian and Ubuntu: apt install chromium")
    lines = [pair.source for pair in builtin_split().test]
    if arguments.lines:
        lines = Path(arguments.lines).read_text(encoding="utf-8").splitlines()[:1000]
    expected = Translator.load(arguments.model, engine="onnx").translate(lines)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        files = web_files(load_bundle(arguments.model), "model")
        size, compressed = write_web_page(files, Path(folder))
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        with hosting(Path(folder)) as url:
            result = measure(browser, url, arguments.text, lines)
        browser.close()
    pairs = zip(result.pop("outputs"), expected, strict=True)
    result["different"] = sum(own != other.text for own, other in pairs)
    result |= {"lines": len(lines), "bytes": size, "compressed": compressed}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
