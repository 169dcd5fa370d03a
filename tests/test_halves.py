"""The use half of the house runs where torch is not installed."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from penstock.bundle import load_bundle, save_bundle
from penstock.tasks.model_export import export_bundle
from service_process import served

SOURCE = Path(__file__).parents[1] / "src" / "penstock"
FIXTURES = Path(__file__).parent / "fixtures" / "format-1"
TRAIN = {"torch", "safetensors", "pyarrow", "onnx"}  # what the extra `train` brings
LEARN = ("nn", "training", "export", "baselines", "bench")
LEARN_FILES = ("network.py", "learner.py", "graphs.py")  # in a task's folder
TORCH_FILES = (
    "decoder_step.py",
    "device.py",
    "engine_choice.py",  # asks torch for a GPU where there may be one
    "network_engine.py",
    "packed_layers.py",
    "pretrained_encoder.py",
)
NEEDS_TRAIN = (
    "data/store.py",  # token stores
    "data/pair_shards.py",
    "data/formats/input_lines.py",  # zstandard
    "data/formats/output_stream.py",  # likewise
    "data/formats/parquet.py",
)


def use_half() -> Iterator[Path]:
    for path in sorted(SOURCE.rglob("*.py")):
        inside = path.relative_to(SOURCE)
        is_learner = inside.parts[0] == "tasks" and path.name in LEARN_FILES
        runs_torch = inside.parts[0] == "runtime" and (
            path.name in TORCH_FILES or path.name.startswith("torch_")
        )
        if not (
            inside.parts[0] in LEARN or is_learner or runs_torch or inside.as_posix() in NEEDS_TRAIN
        ):
            yield path


def imported(path: Path) -> set[str]:
    """The packages a module imports, inside functions too, but for type checking."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in list(ast.walk(tree)):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    return names


@pytest.mark.parametrize("path", list(use_half()), ids=lambda path: str(path.relative_to(SOURCE)))
def test_the_use_half_imports_no_torch(path: Path) -> None:
    assert not imported(path) & TRAIN


# --- a process in which what `train` brings is not installed ------------------------------------

_PRELUDE = f"""
import sys
for package in {sorted(TRAIN)}:
    sys.modules[package] = None  # as if it were not installed
"""


def without_torch(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", _PRELUDE + program, *map(str, arguments)],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip


def penstock(*arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    program = "from penstock.__main__ import main\nmain()"
    ran = without_torch(program, *arguments)
    return ran.returncode, ran.stdout, ran.stderr


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The fixtures of all tasks, exported."""
    folder = tmp_path_factory.mktemp("exports")
    found: dict[str, Path] = {}
    for task in ("translation", "classification", "cloze", "language-model"):
        found[task] = folder / task
        save_bundle(export_bundle(load_bundle(FIXTURES / task), precision="fp32"), found[task])
    return found


def test_every_module_of_the_use_half_can_be_imported() -> None:
    names = [
        ".".join(("penstock", *path.relative_to(SOURCE).with_suffix("").parts))
        for path in use_half()
        if path.name != "__main__.py"
    ]
    program = "from importlib import import_module\nfor name in sys.argv[1:]: import_module(name)"
    ran = without_torch(program, *(name.removesuffix(".__init__") for name in names))
    assert (ran.returncode, ran.stderr) == (0, "")


def test_every_verb_has_its_help() -> None:
    program = """
from penstock.cli.app import app, run
import typer
commands = typer.main.get_command(app).commands
for name, command in commands.items():
    for inner in getattr(command, "commands", None) or [None]:
        assert run([name, *([inner] if inner else []), "--help"]) == 0
assert not any(sys.modules.get(package) for package in ("torch", "pyarrow"))
"""
    ran = without_torch(program)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_the_text_side_of_any_bundle_loads(exports: dict[str, Path]) -> None:
    program = """
import penstock as ps
bundle = ps.load_bundle(sys.argv[1])
print(bundle.target_tokenizer.decode(bundle.target_tokenizer.encode(sys.argv[2])))
"""
    for path in (FIXTURES / "translation", exports["translation"]):
        ran = without_torch(program, path, "il est")
        assert (ran.returncode, ran.stdout) == (0, "il est\n"), ran.stderr


_USE = """
import io, json, contextlib, traceback
from penstock.cli.app import run
results = []
for arguments in json.loads(sys.argv[1]):
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    sys.stdout = out
    code = run(arguments)
    out.flush()
    results.append((code, out.buffer.getvalue().decode()))
sys.stdout = sys.__stdout__
print(json.dumps(results))
"""


def test_every_verb_that_uses_a_model_runs(exports: dict[str, Path], tmp_path: Path) -> None:
    lines = FIXTURES / "source.txt"
    first = lines.read_text(encoding="utf-8").splitlines()[:5]
    pairs, labels = tmp_path / "pairs.tsv", tmp_path / "labels.tsv"
    pairs.write_text(
        "".join(f"{line}\til est {i} .\n" for i, line in enumerate(first)), encoding="utf-8"
    )
    labels.write_text("".join(f"{line}\tstatement\n" for line in first), encoding="utf-8")
    models = {task: ["-m", str(path)] for task, path in exports.items()}
    translation, text = models["translation"], str(lines)
    commands: dict[str, list[str]] = {
        "greedy": ["translate", *translation, "-i", text, "--search", "greedy"],
        "beam": ["translate", *translation, "-i", text, "--format", "json"],
        "sample": ["translate", *translation, "-i", text, "--search", "sample", "--seed", "3"],
        "evaluate": ["evaluate", str(pairs), *translation, "--json"],
        "report": ["evaluate", str(pairs), *translation, "--search-report"],
        "score": ["score", str(pairs), *translation],
        "inspect": ["inspect", *translation, first[0]],
        "classify": ["classify", *models["classification"], "-i", text],
        "labels": ["evaluate", str(labels), *models["classification"]],
        "fill": ["fill", *models["cloze"], "-i", str(FIXTURES / "blanks.txt")],
        "generate": ["generate", *models["language-model"], "She"],
        "perplexity": ["evaluate", text, *models["language-model"]],
        "embed": ["embed", *models["cloze"], "-i", text],
        "info": ["info", str(exports["translation"])],
        "doctor": ["doctor"],
        "check": ["data", "check", str(pairs)],
        "split": ["data", "split", str(pairs), "--out", str(tmp_path / "split")],
    }
    ran = without_torch(_USE, json.dumps(list(commands.values())))
    assert ran.returncode == 0, ran.stderr
    results: dict[str, Any] = dict(zip(commands, json.loads(ran.stdout), strict=True))
    assert {name: code for name, (code, _) in results.items() if code} == {}, ran.stderr
    expected = (FIXTURES / "greedy.txt").read_text(encoding="utf-8")
    assert results["greedy"][1] == expected
    assert "threads" not in results["doctor"][1]  # torch says how many
    assert all(printed for name, (_, printed) in results.items() if name != "split")


def test_translating_an_export_imports_no_torch_where_it_is_installed(
    exports: dict[str, Path],
) -> None:
    program = """
import sys
from penstock.cli.app import run
code = run(sys.argv[1:])
print(code, sorted({"torch", "pyarrow", "onnx", "safetensors"} & sys.modules.keys()))
"""
    arguments = ["translate", "-m", str(exports["translation"]), "-i", str(FIXTURES / "source.txt")]
    ran = subprocess.run(
        [sys.executable, "-c", program, *arguments, "-o", os.devnull, "--threads", "1"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ran.stdout == "0 []\n"


def test_the_service_answers_for_every_task(exports: dict[str, Path]) -> None:
    models = [
        f"en-fr={exports['translation']}",
        *(str(exports[task]) for task in ("classification", "cloze", "language-model")),
    ]
    main = "from penstock.__main__ import main\nmain()"
    command = [sys.executable, "-c", _PRELUDE + main, "serve"]
    for model in models:
        command += ["-m", model]
    text = "When did Marie and Lucas work?"
    with served(command, {**os.environ, "OMP_NUM_THREADS": "1"}) as address:

        def post(path: str, **asked: object) -> Any:
            answer = httpx.post(f"{address}{path}", json=asked, timeout=30)
            assert answer.status_code == 200, answer.text
            return answer.json()

        translated = post("/translate", q=text, source="en", target="fr")["translatedText"]
        assert (
            translated == json.loads((FIXTURES / "beam.jsonl").read_text().splitlines()[1])["text"]
        )
        inspected = post("/v1/inspect", text=text, source="en", target="fr")
        assert inspected["attention"]
        assert [layer["side"] for layer in inspected["gates"]] == ["encoder"] * 2 + ["decoder"]
        assert all("update" in layer["values"] for layer in inspected["gates"])
        assert post("/v1/classify", texts=[text])
        assert post("/v1/fill", texts=["When ___ Marie and Lucas work?"])
        generated = httpx.post(f"{address}/v1/generate", json={"prompt": "She"}, timeout=30)
        assert generated.status_code == 200


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "pairs.tsv"],
        ["demo"],
        ["distill", "-m", "demo", "pairs.tsv", "--out", "student"],
        ["export", "-m", str(FIXTURES / "translation"), "--out", "export"],
        ["bench", "train"],
        ["bench", "translate"],
        ["bench", "hmm"],
    ],
    ids=" ".join,
)
def test_a_verb_that_lacks_torch_says_so_in_a_line(arguments: list[str], tmp_path: Path) -> None:
    program = f"import os\nos.chdir({str(tmp_path)!r})\nfrom penstock.__main__ import main\nmain()"
    (tmp_path / "pairs.tsv").write_text("a b\tc d\n" * 9, encoding="utf-8")
    ran = without_torch(program, *arguments)
    assert ran.returncode == 1
    assert ran.stdout == ""
    assert ran.stderr.count("\n") == 1
    assert "needs torch: pip install 'penstock[train]'\n" in ran.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["pairs.tsv"]


def test_a_model_without_graphs_says_how_to_make_them(tmp_path: Path) -> None:
    model = FIXTURES / "translation"
    code, out, err = penstock("translate", "-m", model, "-i", FIXTURES / "source.txt")
    assert (code, out) == (1, "")
    assert err == (
        f"penstock: {model}: this model needs torch: pip install 'penstock[train]'; make a model "
        "without it by 'penstock export', where torch is installed\n"
    )


def test_training_from_python_lacks_torch_with_an_error_of_ours() -> None:
    program = """
import penstock as ps
try:
    ps.train("pairs.tsv")
except ps.PenstockError as error:
    print(error)
"""
    ran = without_torch(program)
    assert ran.stdout == "training needs torch: pip install 'penstock[train]'\n", ran.stderr


def test_a_compressed_text_that_needs_arrow_says_so(tmp_path: Path) -> None:
    path = tmp_path / "text.zst"
    path.write_bytes(b"x")
    code, _, err = penstock("data", "check", path)
    assert code == 1
    assert f"{path}: zstandard needs pyarrow: pip install 'penstock[train]'\n" in err
