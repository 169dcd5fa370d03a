"""The pages say what is so: their commands run, their files exist, their links lead somewhere.

A comment on the line before a block says how it is tested:

- `<!-- not run: reason -->`: only the verbs and flags of its commands are checked.
- `<!-- test: --set a.b=c -->`: added to the block's last command, to make it short; for Python
  `<!-- test: old -> new -->`, replaced in it.
- `<!-- file: name -->`: the block is written to a file that later commands use.
- `<!-- tree -->`: the file tree.
- `<!-- output of: examples/x.py -->`: what a command prints, written by `docs/refresh.py`; the
  command must still print it. `penstock …` works too.
- `<!-- measured output of: … -->`: likewise, but with times or trained weights in it, which differ
  from machine to machine: only the command is checked.
- `<!-- figure of: examples/x.py --out FILE -->`: before an image that the command draws.

`python examples/x.py` is not run here but, in its short form, by
`tests/docs/test_examples.py`. README
and each page of the chapter have a Chinese sister with the same commands, outputs, figures,
equations and links; of the two only the English one's commands run.

Those of the chapter run as notebooks (`tests/learn/test_notebooks.py`). All other `console` and
`python` blocks run as they stand, in the order of the pages, in one
temporary folder; what they print is not compared. `toml` blocks are loaded as configurations.
"""

from __future__ import annotations

import io
import posixpath
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import typer

from penstock.cli.app import app, run
from penstock.config import load_config, parse_config
from penstock.data.grammar import generate_pairs
from penstock.learn.notebook import TRAINED
from penstock.version import __version__

Capture = pytest.CaptureFixture[str]

ROOT = Path(__file__).parents[2]
CHAPTER = tuple(f"docs/chapter/{p.name}" for p in sorted((ROOT / "docs/chapter").glob("*.md")))
CHINESE = (
    "README.zh-CN.md",
    "docs/index.zh.md",
    "docs/configuration.zh.md",
    *(f"docs/chapter/zh/{p.name}" for p in sorted((ROOT / "docs/chapter/zh").glob("*.md"))),
)
SISTERS = {
    "README.md": "README.zh-CN.md",
    "docs/index.md": "docs/index.zh.md",
    "docs/configuration.md": "docs/configuration.zh.md",
    **{page: page.replace("docs/chapter/", "docs/chapter/zh/") for page in CHAPTER},
}
PAGES = (
    "README.md",
    "docs/index.md",
    "docs/using.md",
    "docs/export.md",
    "docs/serving.md",
    "docs/data.md",
    "docs/configuration.md",
    "docs/api.md",
    "docs/architecture.md",
    "docs/design.md",
    "docs/benchmarks.md",
    "docs/security.md",
    *CHAPTER,
)
LINKED = (*PAGES, *CHINESE, "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
WITH_COMMANDS = (*PAGES, *CHINESE, "CONTRIBUTING.md")

_BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[a-z ]+?)(?:: (?P<value>[^\n]*?))? -->\n)?"
    r"^```(?P<kind>[a-z]+)\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block, where it stands, and the comment before it."""

    page: str
    line: int
    kind: str
    body: str
    mark: str | None
    value: str

    @property
    def place(self) -> str:
        return f"{self.page}, line {self.line}"

    @property
    def commands(self) -> list[str]:
        joined = self.body.replace("\\\n", " ")
        return [line[2:] for line in joined.split("\n") if line.startswith("$ ")]


def blocks_of(page: str) -> Iterator[Block]:
    text = (ROOT / page).read_text(encoding="utf-8")
    for match in _BLOCK.finditer(text):
        line = text.count("\n", 0, match.start("kind")) + 1
        value = match["value"] or ""
        yield Block(page, line, match["kind"], match["body"], match["mark"], value)


OUTPUTS = ("output of", "measured output of")
_FIGURE = re.compile(r"^<!-- figure of: (?P<command>.+?) -->\n!\[[^\]]+\]\((?P<image>.+?)\)", re.M)

ALL_BLOCKS = [block for page in WITH_COMMANDS for block in blocks_of(page)]


def repository_files() -> list[str]:
    """Files that git tracks or would; those of the folders that matter where there is no git."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        found = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        places = [ROOT / place for place in ("src", "tests", "docs", "examples", ".ci")]
        paths = [path for place in places for path in place.rglob("*")] + list(ROOT.glob("*"))
        names = {str(path.relative_to(ROOT)) for path in paths if "__pycache__" not in path.parts}
    else:
        names = {name for name in found.stdout.decode().split("\0") if name}
    return sorted(name for name in names if (ROOT / name).is_file())


# --- commands and snippets ----------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files that the pages take for granted."""
    pairs = generate_pairs(300)
    rows = [(pair.source, pair.target) for pair in pairs]
    words = sorted({word for source, _ in rows for word in source.split()})
    files = {
        "words.tsv": "".join(f"{word}\t{' '.join(word)}\n" for word in words),
        "pairs.tsv": "".join(f"{s}\t{t}\n" for s, t in rows),
        "sources.txt": "".join(f"{s}\n" for s, _ in rows[:10]),
        "targets.txt": "".join(f"{t}\n" for _, t in rows[:10]),
        "table.csv": "id,fr,en\n" + "".join(f'{i},"{t}","{s}"\n' for i, (s, t) in enumerate(rows)),
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    return tmp_path


@pytest.mark.filterwarnings("default")  # other packages' warnings are not what is tested here
def test_pages_run(folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: Capture) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PENSTOCK_CACHE", str(folder / "cache"))
    ran = 0
    for page in PAGES:
        for block in blocks_of(page):
            if block.mark == "file":
                (folder / block.value).write_text(block.body, encoding="utf-8")
            for number, command in enumerate(to_run(block), start=1):
                with monkeypatch.context() as patch:
                    status = execute(command, block.kind, patch)
                errors = capfd.readouterr().err
                assert status == 0, f"{block.place}, command {number}: {command}\n{errors}"
                ran += 1
    assert ran > 10, "the pages have lost their commands, or their marks are misread"


def to_run(block: Block) -> list[str]:
    """The commands of a block, the last one made short; or its snippet."""
    if block.mark == "not run" or block.kind not in ("python", "console"):
        return []
    if block.page in CHAPTER and TRAINED not in block.body:
        return []  # tests/learn/test_notebooks.py runs it
    if block.kind == "python":
        old, arrow, new = block.value.partition(" -> ")
        assert not arrow or old in block.body, f"{block.place}: {old!r} is not in it"
        return [block.body.replace(old, new) if arrow else block.body]
    *others, last = block.commands
    return [*others, f"{last} {block.value}" if block.mark == "test" else last]


def execute(command: str, kind: str, patch: pytest.MonkeyPatch) -> int:
    """Run a snippet, or `[echo TEXT |] penstock …`, and give the exit code.

    Examples have a test of their own.

    The command runs in this process, through the function that the installed script calls:
    a process each would spend most of its time on importing torch.
    """
    if kind == "python":
        exec(compile(command, "<snippet>", "exec"), {})
        return 0
    before, pipe, after = command.rpartition("|")
    if pipe:
        fed = subprocess.run(["bash", "-c", before], capture_output=True, check=True).stdout
        patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(fed), encoding="utf-8"))
    program, *arguments = shlex.split(after, comments=True)
    if program == "python":
        return 0
    assert program == "penstock", f"{command!r}: only penstock is run; mark the block 'not run'"
    return run(arguments)


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_readme_is_short(page: str) -> None:
    assert (ROOT / page).read_text(encoding="utf-8").count("\n") <= 200


def test_installed_script_runs() -> None:
    script = Path(sys.executable).with_name("penstock")
    done = subprocess.run([script, "--version"], capture_output=True, check=True)
    assert done.stdout == f"penstock {__version__}\n".encode()


def test_marks_are_known() -> None:
    for block in ALL_BLOCKS:
        assert block.mark in (None, "not run", "test", "file", "tree", *OUTPUTS), block.place
        assert block.mark != "not run" or block.value, f"{block.place}: give the reason"
        assert block.kind != "console" or block.commands, f"{block.place}: no `$ ` line"


@pytest.mark.parametrize("block", ALL_BLOCKS, ids=lambda block: f"{block.page}:{block.line}")
def test_commands_are_known(block: Block) -> None:
    """Verbs and flags, also of what is not run."""
    for command in block.commands:
        check_command(command, block.place)
    if block.kind == "toml":
        parse_config(tomllib.loads(block.body), place=block.place)


@pytest.mark.parametrize("page", WITH_COMMANDS)
def test_commands_in_the_text_are_known(page: str) -> None:
    text = _BLOCK.sub("", (ROOT / page).read_text(encoding="utf-8"))
    for command in re.findall(r"`(penstock [^`\n]+)`", text):
        if "VERB" not in command:
            check_command(command.split("|")[0], page)


def check_command(command: str, place: str) -> None:
    """Each `penstock VERB` or example of a shell line exists and has the flags it is given."""
    for part in re.split(r"\|\|?|&&|;", command):
        words = shlex.split(part, comments=True)
        if words[:1] == ["penstock"]:
            check_flags(words[1:], f"{place}: {part.strip()!r}")
        elif words[:1] == ["python"]:
            check_example(words[1:], f"{place}: {part.strip()!r}")


def check_example(words: list[str], place: str) -> None:
    script = ROOT / words[0]
    assert script.is_file(), f"{place}: no such example"
    folders = (ROOT / "examples", ROOT / "benchmarks")
    assert script.parent in folders, f"{place}: only examples and benchmarks are run by python"
    text = script.read_text(encoding="utf-8")
    for flag in (word for word in words[1:] if word.startswith("-")):
        assert f'"{flag}"' in text, f"{place}: no flag {flag!r}"


def check_flags(words: list[str], place: str) -> None:
    command: Any = typer.main.get_command(app)  # typer brings a click of its own, without types
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        assert words[0] in command.commands, f"{place}: no verb {words[0]!r}"
        command, words = command.commands[words[0]], words[1:]
    flags = {flag for parameter in command.params for flag in parameter.opts} | {"--help", "-h"}
    for word in words:
        flag = word.partition("=")[0]
        if re.match(r"--?[a-z]", flag):
            assert flag in flags, f"{place}: no flag {flag!r}; it has {', '.join(sorted(flags))}"


# --- examples -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.toml")), ids=lambda p: p.name)
def test_examples_load(path: Path) -> None:
    load_config(path)


# --- outputs and figures ------------------------------------------------------------------------


def as_shown(command: str) -> str:
    """A mark's command as a page shows it to be typed."""
    return command if command.startswith("penstock ") else f"python {command}"


SHOWN = [block for block in ALL_BLOCKS if block.mark in OUTPUTS]
FIGURES = [
    (page, match["command"], match["image"])
    for page in WITH_COMMANDS
    for match in _FIGURE.finditer((ROOT / page).read_text(encoding="utf-8"))
]


@pytest.mark.parametrize("block", SHOWN, ids=lambda block: f"{block.page}:{block.line}")
def test_outputs_stand_behind_their_command(block: Block) -> None:
    assert block.kind == "text", f"{block.place}: an output is a text block"
    assert block.body.strip(), f"{block.place}: empty; run docs/refresh.py"
    shown = [command for other in blocks_of(block.page) for command in other.commands]
    assert as_shown(block.value) in shown, f"{block.place}: the page does not show this command"


@pytest.mark.parametrize(
    "command", sorted({block.value for block in SHOWN if block.mark == "output of"})
)
@pytest.mark.filterwarnings("default")
def test_outputs_are_what_the_command_prints(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    script, *arguments = shlex.split(command)
    monkeypatch.chdir(ROOT)
    if script == "penstock":
        assert run(arguments) == 0
    else:
        monkeypatch.setattr(sys, "argv", [script, *arguments])
        runpy.run_path(script, run_name="__main__")
    printed = capsys.readouterr().out.rstrip()
    for block in SHOWN:
        if block.value == command:
            assert block.body.rstrip() == printed, f"{block.place}: run docs/refresh.py"


@pytest.mark.parametrize(("page", "command", "image"), FIGURES)
def test_figures_are_drawn_by_their_command(page: str, command: str, image: str) -> None:
    check_command(as_shown(command), page)
    drawn = (ROOT / page).parent / image
    words = shlex.split(command)
    out = (ROOT / words[words.index("--out") + 1]).resolve()  # a figure, or a folder of figures
    assert drawn.resolve() in (out, out / drawn.name), page
    shown = [shell for block in blocks_of(page) for shell in block.commands]
    assert as_shown(command) in shown, f"{page}: {image}: the page does not show its command"


# --- Chinese pages ------------------------------------------------------------------------------


def said(page: str) -> dict[str, object]:
    """What a page and its sister have in common."""
    text = (ROOT / page).read_text(encoding="utf-8")
    plain = _BLOCK.sub("", text)
    blocks = [block for block in blocks_of(page) if block.mark != "tree"]  # a sister links to it
    return {
        "blocks": [(b.kind, b.mark, b.value, without_comments(b)) for b in blocks],
        "figures": [(command, where(page, image)) for _, command, image in FIGURES if _ == page],
        "equations": re.findall(r"\$\$.+?\$\$", plain, re.S),
        "headings": [len(marks) for marks in re.findall(r"^(#+) ", plain, re.M)],
        "links": sorted(
            where(page, link)
            for link in re.findall(r"\]\(([^)\s]+)\)", plain)
            if not re.match(r"[a-z]+:", link) and where(page, link) != where(page, Path(page).name)
        ),
    }


def without_comments(block: Block) -> str:
    """A block's body; comments on commands and keys may be translated."""
    if block.kind in ("console", "toml"):
        return re.sub(r" +# .*", "", block.body)
    return block.body


def where(page: str, link: str) -> str:
    """The file that a link leads to; a Chinese page and its sister are one."""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(page), link.partition("#")[0]))
    path = path.replace("docs/chapter/zh/", "docs/chapter/")
    return re.sub(r"\.zh(-CN)?\.md$", ".md", path)


@pytest.mark.parametrize("page", SISTERS)
def test_the_chinese_page_says_the_same(page: str) -> None:
    sister = SISTERS[page]
    assert sister in CHINESE, f"{page}: no Chinese page {sister}"
    english, chinese = said(page), said(sister)
    for part, value in english.items():
        assert chinese[part] == value, f"{sister}: not the {part} of {page}"


@pytest.mark.parametrize("page", [*SISTERS, *CHINESE])
def test_sisters_link_to_each_other(page: str) -> None:
    english = {chinese: english for english, chinese in SISTERS.items()}
    name, sister = ("English", english[page]) if page in CHINESE else ("中文", SISTERS[page])
    link = f"[{name}]({posixpath.relpath(sister, posixpath.dirname(page) or '.')})"
    title, blank, third, *_ = (ROOT / page).read_text(encoding="utf-8").split("\n")
    assert title.startswith("# ")
    assert (blank, third) == ("", link), f"{page}: line 3 should be {link}"


# --- the tree, links, paths ---------------------------------------------------------------------


def tree_paths() -> list[str]:
    (tree,) = (block for block in blocks_of("docs/architecture.md") if block.mark == "tree")
    paths, folders = [], [""]
    for line in tree.body.rstrip("\n").split("\n"):
        name = line.split()[0]
        depth = (len(line) - len(line.lstrip())) // 2
        path = folders[depth] + name
        paths.append(path)
        if name.endswith("/"):
            folders[depth + 1 :] = [path]
    return paths


def test_tree_names_only_what_exists() -> None:
    missing = [path for path in tree_paths() if not (ROOT / path).exists()]
    assert not missing, f"the tree of architecture.md names what does not exist: {missing}"


def test_tree_names_every_source_folder() -> None:
    named = set(tree_paths())
    for name in repository_files():
        if name.startswith("src/"):
            folder = f"{Path(name).parent}/"
            if "/page/" in folder:  # its modules say themselves what they are for
                folder = folder[: folder.index("/page/") + len("/page/")]
            assert folder in named, f"{folder}: give it a line in the tree of architecture.md"


@pytest.mark.parametrize("page", LINKED)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:", target):
            path, _, heading = target.partition("#")
            linked = (ROOT / page).parent / path if path else ROOT / page
            assert linked.exists(), f"{page}: {target}: no such file"
            assert not heading or heading in anchors(linked), f"{page}: {target}: no such heading"


@pytest.mark.parametrize("page", LINKED)
def test_modules_named_in_the_text_exist(page: str) -> None:
    files = repository_files()
    for line in (ROOT / page).read_text(encoding="utf-8").split("\n"):
        if page == "CHANGELOG.md" and line.startswith("| `"):  # the table of moves: what is now
            line = line.split("|")[2]
        for name in re.findall(r"`([\w/*]+\.py)`", line):
            # 'gru.py' may stand for 'nn/cells/gru.py'; the changelog names one file that is gone
            found = name == "config.py" or any(fnmatch(f"/{file}", f"*/{name}") for file in files)
            assert found or "NAME" in name, f"{page}: {name}: no such file"


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_no_paths_of_a_machine() -> None:
    """Nothing names the folders or package hosts of the machine that it was written on."""
    machine = re.compile(r"(?<![\w.~<])/(?:work|root|opt|home|Users)/[\w.-]|pypi-more")
    allowed = {"LICENSE", "tests/docs/test_docs.py"}
    for name in repository_files():
        if name in allowed:
            continue
        try:
            text = (ROOT / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found = machine.search(text)
        line = 0 if found is None else text.count("\n", 0, found.start()) + 1
        assert found is None, f"{name}, line {line}: {found[0]!r} names this machine"
