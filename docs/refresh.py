"""Write into the pages what their commands print, and draw their figures.

A page has the command in a comment and its output in the block after it:

    <!-- output of: examples/beam_search.py -->
    ```text
    …
    ```

The command is a script or begins with `penstock`. With `--out FILE` in it, it draws
a figure too. `figure of:` instead, before an image, is for a command whose output is not shown.
`measured output of:` says that the output has times or trained weights in it, which differ from
machine to machine; the others are compared by
`tests/docs/test_docs.py`. Each command runs once, from
the repository's root, and fills its block on every page, whatever the language.

    python docs/refresh.py [--remember FILE] [WORD …]

With words, only the commands that contain one of them run. With `--remember`, a command does not
run again until its script or the package changes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
MARK = re.compile(
    r"^<!-- (?P<kind>(?:measured )?output|figure) of: (?P<command>[^\n]+?) -->$", re.M
)
BLOCK = re.compile(rf"({MARK.pattern}\n```text\n)(.*?)(^```$)", re.M | re.S)


def pages() -> list[Path]:
    """All Markdown of the documentation."""
    return [*sorted(ROOT.glob("README*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def commands() -> list[str]:
    """The commands of all marks, each once."""
    texts = (page.read_text(encoding="utf-8") for page in pages())
    return list(dict.fromkeys(mark["command"] for text in texts for mark in MARK.finditer(text)))


def run(command: str) -> str:
    """The standard output of a command; its figures are the same for the same data.

    Raises:
        SystemExit: it failed.
    """
    program, *arguments = shlex.split(command)
    module = ["-m", "penstock"] if program == "penstock" else [program]
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "matplotlibrc"
        settings.write_text("svg.hashsalt: penstock\n", encoding="utf-8")
        environment = os.environ | {
            "MATPLOTLIBRC": str(settings),
            "SOURCE_DATE_EPOCH": "0",
            "PYTHONWARNINGS": "ignore",
        }
        done = subprocess.run(
            [sys.executable, *module, *arguments],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            check=False,
        )
    if done.returncode:
        raise SystemExit(f"{command}: exit code {done.returncode}; the pages keep what they had")
    return done.stdout.decode("utf-8")


def fill(text: str, outputs: dict[str, str]) -> str:
    """A page with the outputs in its blocks."""

    def replace(block: re.Match[str]) -> str:
        output = outputs.get(block["command"])
        if output is None:
            return block[0]
        return f"{block[1]}{output.rstrip()}\n{block[5]}"

    return BLOCK.sub(replace, text)


def fingerprint(command: str) -> str:
    """What the output depends on: the command, its script, the package."""
    digest = hashlib.sha256(command.encode())
    sources = sorted((ROOT / "src").rglob("*.py"))
    script = ROOT / shlex.split(command)[0]
    for path in [*sources, *([script] if script.is_file() else [])]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def main() -> None:
    """Run what has to be run, then write the pages that change."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("words", nargs="*", metavar="WORD")
    parser.add_argument("--remember", type=Path, metavar="FILE")
    options = parser.parse_args()

    known: dict[str, str] = {}
    if options.remember and options.remember.exists():
        known = json.loads(options.remember.read_text(encoding="utf-8"))
    for command in commands():
        if options.words and not any(word in command for word in options.words):
            continue
        if known.get(command) == fingerprint(command):
            continue
        print(command, end=" ", flush=True)
        begun = time.perf_counter()
        output = run(command)
        print(f"({time.perf_counter() - begun:.0f} s)", flush=True)
        for page in pages():
            before = page.read_text(encoding="utf-8")
            after = fill(before, {command: output})
            if after != before:
                page.write_text(after, encoding="utf-8", newline="\n")
        known[command] = fingerprint(command)
        if options.remember:
            options.remember.write_text(json.dumps(known, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
