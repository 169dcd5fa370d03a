"""From key press to translation on the page: a sentence typed into the page of a running server.

    penstock serve -m runs/multi30k &
    python benchmarks/page_latency.py http://127.0.0.1:8000

Each key is pressed when the translation of the one before stands there and a pause is over. Time is
taken in the browser, from the key's event to the frame after the new translation is in the page.
Needs a Chromium; Debian and Ubuntu: apt install chromium.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
from typing import Any

from playwright.sync_api import sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SENTENCE = "Ein Mann in einem blauen Hemd steht auf einer Leiter und putzt ein Fenster."
PAUSE = 120  # ms between an answer and the next key
TYPE = """
async ([text, pause]) => {
  const [field, output] = ["text", "output"].map((id) => document.getElementById(id));
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  const input = (value) => {
    field.value = value;
    field.dispatchEvent(new InputEvent("input", { bubbles: true }));
  };
  const changed = () => new Promise((done) => {
    const watch = new MutationObserver(() => { watch.disconnect(); requestAnimationFrame(done); });
    watch.observe(output, { childList: true, characterData: true, subtree: true });
  });
  input("");
  await wait(1000);
  const times = [];
  for (let length = 1; length <= text.length; length += 1) {
    const shown = changed();
    const start = performance.now();
    input(text.slice(0, length));
    await shown;
    times.push(performance.now() - start);
    await wait(pause);
  }
  return times;
}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("url", help="of a running server on this machine")
    parser.add_argument("--text", default=SENTENCE)
    arguments = parser.parse_args()
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit("no Chromium found; Debian and Ubuntu: apt install chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = opened.new_page()
        page.goto(arguments.url)
        page.wait_for_selector("#output:not([aria-busy])")
        page.wait_for_timeout(3000)  # the page's first look inside is over
        times: list[float] = page.evaluate(TYPE, [arguments.text, PAUSE])
        opened.close()
    print(json.dumps(summary(times)))


def summary(times: list[float]) -> dict[str, Any]:
    ordered = sorted(times)
    return {
        "keys": len(ordered),
        "median_ms": round(statistics.median(ordered), 1),
        "p90_ms": round(ordered[int(0.9 * len(ordered))], 1),
        "p99_ms": round(ordered[int(0.99 * len(ordered))], 1),
    }


if __name__ == "__main__":
    main()
