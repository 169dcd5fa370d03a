"""The command line: exit codes, streams, messages, and nothing but results on stdout."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from conftest import tiny_config
from penstock.cli import app as app_module
from penstock.config import dump_toml, load_config, parse_config
from penstock.config.option_model import usable_threads
from penstock.data.grammar import generate_pairs
from penstock.errors import ConfigError, UsageError
from penstock.files import with_checksum

LINES = ["She sees them.", "", "Do you speak French?"]


class Ran(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Ran]


class Bytes(io.TextIOWrapper):
    """A stdout or stdin with a `buffer` that can be looked at."""

    def __init__(self, content: bytes = b"") -> None:
        self.raw_bytes = io.BytesIO(content)
        super().__init__(self.raw_bytes, encoding="utf-8", newline="\n", write_through=True)


@pytest.fixture
def penstock(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line in this process."""

    def run(*arguments: str | Path, stdin: str | bytes = b"") -> Ran:
        content = stdin.encode() if isinstance(stdin, str) else stdin
        out, err = Bytes(), Bytes()
        monkeypatch.setattr(sys, "stdin", Bytes(content))
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        code = app_module.run([str(argument) for argument in arguments])
        return Ran(code, out.raw_bytes.getvalue().decode(), err.raw_bytes.getvalue().decode())

    return run


def process(*arguments: str | Path, **options: object) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **options.pop("env", {})}  # type: ignore
    return subprocess.Popen(
        [sys.executable, "-m", "penstock", *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        **options,  # type: ignore
    )


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(dump_toml(tiny_config("training.max_updates=3")), encoding="utf-8")
    return path


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "test.tsv"
    path.write_text("She sees them.\tElle les voit.\nYes.\tOui.\n")
    return path


def refused(ran: Ran, code: int, says: str) -> None:
    assert ran.code == code, ran
    assert ran.out == ""
    assert says in ran.err
    assert "Traceback" not in ran.err


# --- used wrongly -------------------------------------------------------------------------------


def test_help_and_version(penstock: Run) -> None:
    ran = penstock("--help")
    assert (ran.code, ran.err) == (0, "")
    for command in ("train", "translate", "evaluate", "score", "data", "plot", "info", "doctor"):
        assert command in ran.out
    assert penstock("--version").out.startswith("penstock ")
    assert penstock("train", "-h").code == 0


def test_nothing_said_is_used_wrongly(penstock: Run) -> None:
    ran = penstock()
    assert ran.code == 2
    assert "Usage: penstock" in ran.out + ran.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["trian"], "Did you mean 'train'?"),
        (["train", "--ste", "x=1"], "No such option: --ste (Possible options: --out, --set)"),
        (["translate", "--model"], "requires an argument"),
        (["translate"], "Missing option '--model'"),
        (["translate", "-m", "x", "--search", "magic"], "magic"),
        (["translate", "-m", "x", "--beam-size", "many"], "Invalid value for '--beam-size'"),
        (["evaluate", "-m", "x"], "Missing argument 'data'"),
        (["train"], "give a configuration or a file of pairs"),
        (["train", "--resume"], "penstock train --resume --out RUN"),
        (["train", "a.toml", "b.tsv"], "'b.tsv': a configuration names its data itself"),
        (["train", "missing.toml"], "missing.toml: no such file; check the path"),
        (["train", "x.tsv", "--set", "model.hiden_size=3"], "did you mean 'hidden_size'?"),
        (["train", "x.tsv", "--set", "nonsense"], "write it as section.key=value"),
        (["train", "x.tsv", "--set", "device=warp"], "device 'warp': not available here"),
        (["translate", "-m", "x", "--n-best", "2"], "needs --format json or tsv"),
        (["demo", "--set", "training.max_update=3"], "did you mean 'max_updates'?"),
    ],
)
def test_used_wrongly(
    penstock: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    refused(penstock(*arguments), 2, says)


def test_resuming_what_is_no_run(penstock: Run, tmp_path: Path) -> None:
    refused(penstock("train", "--resume", "--out", tmp_path), 2, "no run to resume")


# --- failed -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["train", "missing.tsv"], "missing.tsv: no such file; check the path"),
        (["translate", "-m", "missing"], "missing: no such directory; give a run directory"),
        (["translate", "-m", "."], "no bundle.json in it or in its model/"),
        (["evaluate", "-m", "missing", "x.tsv"], "missing: no such directory"),
        (["score", "-m", "missing", "x.tsv"], "missing: no such directory"),
        (["info", "missing"], "missing: no such directory"),
        (["info", "x" * 5000], "File name too long"),
        (["plot", "."], "no evaluation in log.jsonl yet"),
        (["plot", "absent"], "absent: no such directory; give a run directory"),
    ],
)
def test_failed(
    penstock: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    refused(penstock(*arguments), 1, says)


def test_missing_input(penstock: Run, tiny_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    missing = penstock("translate", "-m", tiny_run, "-i", tmp_path / "none", "-o", out)
    refused(missing, 1, "none: no such file; check the path")
    assert not list(tmp_path.iterdir())
    refused(penstock("evaluate", "-m", tiny_run, tmp_path / "none"), 1, "none: no such file")
    refused(penstock("translate", "-m", tiny_run, stdin=b"\xff\n"), 1, "-, line 1: byte 0xff")


def test_an_unwritable_place(penstock: Run, tiny_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "file" / "out"
    (tmp_path / "file").write_text("x")
    ran = penstock("translate", "-m", tiny_run, "-o", out, stdin="Yes.\n")
    refused(ran, 1, "cannot write: File exists")
    ran = penstock("translate", "-m", tiny_run, "-o", tmp_path, stdin="Yes.\n")
    refused(ran, 1, "cannot write: ")


# --- translate ----------------------------------------------------------------------------------


def test_a_line_for_a_line(penstock: Run, tiny_run: Path) -> None:
    ran = penstock("translate", "-m", tiny_run, stdin="\n".join(LINES) + "\n\u00a0\n\u200b\nlast")
    lines = ran.out.split("\n")
    assert ran.code == 0
    assert len(lines) == 7
    assert lines[-1] == ""
    assert [bool(line) for line in lines[:6]] == [True, False, True, False, False, True]


def test_nothing_in_nothing_out(penstock: Run, tiny_run: Path) -> None:
    assert penstock("translate", "-m", tiny_run) == Ran(0, "", "")


def test_files_in_and_out(penstock: Run, tiny_run: Path, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes("\r\n".join(LINES).encode())
    ran = penstock("translate", "-m", tiny_run, "-i", tmp_path / "in", "-o", tmp_path / "out")
    assert (ran.code, ran.out) == (0, "")
    content = (tmp_path / "out").read_bytes().decode()
    assert content == penstock("translate", "-m", tiny_run, stdin="\n".join(LINES)).out
    assert content.count("\n") == 3
    before = (tmp_path / "in").read_bytes()
    same = penstock("translate", "-m", tiny_run, "-i", tmp_path / "in", "-o", tmp_path / "in")
    assert (same.code, (tmp_path / "in").read_bytes()) == (2, before)


def test_output_to_a_device_leaves_it_one(penstock: Run, tiny_run: Path) -> None:
    assert penstock("translate", "-m", tiny_run, "-o", "/dev/null", stdin="Yes.\n").code == 0
    assert Path("/dev/null").is_char_device()


def test_json(penstock: Run, tiny_run: Path) -> None:
    text = "\n".join([*LINES, "a\tb\u2028c"])
    ran = penstock(
        "translate", "-m", tiny_run, "--format", "json", "--n-best", "2", "--alignments", stdin=text
    )
    values = [json.loads(line) for line in ran.out.split("\n")[:-1]]
    assert [value["source"] for value in values] == text.split("\n")
    assert [value["status"] for value in values][1] == "empty"
    assert values[1]["text"] == ""
    first = values[0]
    assert first.keys() == {
        "source", "text", "status", "score", "log_probability", "confidence", "expected_chrf",
        "read_as", "tokens", "token_log_probabilities", "source_tokens", "alignment",
        "alternatives", "parts", "seconds",
    }  # fmt: skip
    assert len(first["alternatives"]) == 1
    assert len(first["alignment"]) == len(first["tokens"])
    assert all(len(row) == len(first["source_tokens"]) for row in first["alignment"])


def test_tsv_has_the_columns_that_it_should(penstock: Run, tiny_run: Path) -> None:
    text = "Yes.\na\tb\n"
    options = ["-m", tiny_run, "--format", "tsv", "--n-best", "2"]
    ran = penstock("translate", *options, stdin=text)
    rows = [line.split("\t") for line in ran.out.split("\n")[:-1]]
    assert [len(row) for row in rows] == [4, 4]
    assert [row[-1] for row in rows] == ["", ""]  # no confidence was fitted
    assert [row[0] for row in rows] == ["Yes.", "a b"]
    ran = penstock("translate", *options, "--scores", stdin=text)
    rows = [line.split("\t") for line in ran.out.split("\n")[:-1]]
    assert [len(row) for row in rows] == [6, 6]
    assert float(rows[0][1]) >= float(rows[0][3])


def test_scores_and_alignments_as_text(penstock: Run, tiny_run: Path) -> None:
    ran = penstock("translate", "-m", tiny_run, "--scores", stdin="Yes.\n")
    score, text = ran.out.rstrip("\n").split("\t")
    assert float(score) < 0
    ran = penstock("translate", "-m", tiny_run, "--alignments", stdin="Yes.\n\n")
    line, blank, _ = ran.out.split("\n")
    assert blank == ""
    assert line.split("\t")[0] == text
    assert re.fullmatch(r"(\d+-\d+ ?)*", line.split("\t")[1])


def test_what_is_not_plain_is_told_on_stderr(penstock: Run, tiny_run: Path) -> None:
    ran = penstock("translate", "-m", tiny_run, "--search", "greedy", stdin="she sees " * 400)
    assert ran.out.count("\n") == 1
    assert re.search(r"of 1 line: 1 (split|length-capped) \(--format json shows which\)", ran.err)


def test_a_long_stream_is_flushed_as_it_goes(
    penstock: Run, tiny_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from penstock.tasks.translation.translator import Translator

    events: list[str] = []
    translate = Translator.translate

    def watched(self: Translator, lines: list[str], *options: Any, **more: Any) -> object:
        events.append(f"translate {len(lines)}")
        return translate(self, lines, *options, **more)

    monkeypatch.setattr(Translator, "translate", watched)
    ran = penstock("translate", "-m", tiny_run, "--search", "greedy", stdin="\n" * 2050)
    assert ran.out == "\n" * 2050
    assert events == ["translate 1024", "translate 1024", "translate 2"]


def test_html_keeps_its_tags(penstock: Run) -> None:
    line = '<p>She does <b>not</b> see <a href="/x">them</a>.</p>'
    ran = penstock("translate", "-m", "demo", "--format", "html", stdin=f"{line}\n\n")
    assert re.sub(r"<[^>]*>", "", ran.out) == "Elle ne les voit pas.\n\n"
    assert sorted(re.findall(r"<[^>]*>", ran.out)) == sorted(re.findall(r"<[^>]*>", line))
    for flag in (["--alignments"], ["--n-best", "2"]):
        ran = penstock("translate", "-m", "demo", "--format", "html", *flag, stdin=line)
        refused(ran, 2, "--format html" if flag[0] == "--alignments" else "--n-best above 1")


def test_n_best_in_text_is_refused_as_its_help_says(penstock: Run, tiny_run: Path) -> None:
    ran = penstock("translate", "-m", tiny_run, "--n-best", "2", stdin="Yes.\n")
    refused(ran, 2, "--n-best above 1 needs --format json or tsv")
    assert "above 1 only with --format json" in re.sub(r"\s+", " ", penstock("translate", "-h").out)


@pytest.mark.parametrize(
    ("arguments", "redirection", "says"),
    [
        (["doctor"], ">&-", "Bad file descriptor"),
        (["data", "stats", "-"], "<&-", "-: cannot be read: Bad file descriptor"),
        (["data", "list"], "2>&- >&-", ""),
        (["data", "list"], ">/dev/full", "No space left on device"),
    ],
)
def test_closed_and_full_streams(arguments: list[str], redirection: str, says: str) -> None:
    line = f'"$0" -m penstock "$@" {redirection}'
    command = ["sh", "-c", line, sys.executable, *arguments]
    ran = subprocess.run(command, capture_output=True, check=False)
    assert ran.returncode == 1
    assert says in ran.stderr.decode()
    assert b"Traceback" not in ran.stderr
    assert b"Exception ignored" not in ran.stderr


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes")]
)
def test_too_little_memory(
    penstock: Run, tiny_run: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    from penstock.tasks.translation.translator import Translator

    def hungry(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Translator, "translate", hungry)
    ran = penstock("translate", "-m", tiny_run, stdin="Yes.\n")
    refused(ran, 1, "not enough memory; lower model.hidden_size")


# --- evaluate, score, info, doctor, plot --------------------------------------------------------


def test_evaluate_json(penstock: Run, tiny_run: Path, pairs: Path) -> None:
    ran = penstock("evaluate", "-m", tiny_run, pairs, "--json")
    assert (ran.code, ran.out.count("\n")) == (0, 1)
    value = json.loads(ran.out)
    wanted = {"bleu", "chrf", "exact_match", "ser", "wer", "signature", "sentences", "seconds"}
    assert wanted <= value.keys()
    assert value["sentences"] == 2
    assert "BLEU|nrefs:1" in value["signature"]


def test_phones_have_ser_and_per_while_training_and_after(
    penstock: Run, config: Path, tmp_path: Path
) -> None:
    data, run = tmp_path / "phones.tsv", tmp_path / "run"
    data.write_text("".join(f"{a}{b}\t{a.upper()} {b.upper()}\n" for a in "abcdefg" for b in "xyz"))
    sets = [f"data.train={data}", "text.target.kind=separator", "training.evaluate_every=1"]
    options = [part for each in sets for part in ("--set", each)]
    trained = penstock("train", config, "--out", run, *options)
    assert trained.code == 0, trained.err
    assert re.search(r"exact [\d.]+%  SER [\d.]+%  PER [\d.]+%", trained.err)
    events = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    shown = next(event for event in events if event["event"] == "evaluation")
    assert shown["ser"] == 100 - shown["exact_match"]
    assert "per" in shown
    assert "wer" not in shown
    table = penstock("evaluate", "-m", run, data).out
    assert re.search(r"exact %\t[\d.]+\nSER %\t[\d.]+\nPER %\t[\d.]+\nsearch\t", table)
    values = json.loads(penstock("evaluate", "-m", run, data, "--json").out)
    assert values["ser"] == 100 - values["exact_match"]
    assert "wer" not in values
    refused(penstock("evaluate", "-m", run, data, "--metrics", "cerr"), 2, "did you mean 'cer'?")


def test_evaluate_as_text_and_to_a_file(penstock: Run, tiny_run: Path, tmp_path: Path) -> None:
    data = tmp_path / "d.jsonl"
    data.write_text('{"source": "a\\tb", "targets": ["c\\td", "e"]}\n')
    out = tmp_path / "out.tsv"
    options = ["--metrics", "bleu,ter,exact", "--search", "greedy", "--out", out]
    ran = penstock("evaluate", "-m", tiny_run, data, *options)
    assert ran.code == 0
    names = [line.split("\t")[0] for line in ran.out.split("\n")[:-1]]
    assert names == ["BLEU", "TER", "exact %", "search", "signature", "sentences", "seconds"]
    (row,) = out.read_text().split("\n")[:-1]
    cells = row.split("\t")
    assert (cells[0], cells[2:]) == ("a b", ["c d", "e"])


def test_no_output_replaces_its_input(penstock: Run, tiny_run: Path, tmp_path: Path) -> None:
    data, linked, hard = tmp_path / "own.tsv", tmp_path / "link", tmp_path / "hard"
    kept = "a\tb\nc\td\n"
    data.write_text(kept)
    linked.symlink_to(data)
    hard.hardlink_to(data)
    says = "the output would replace its own input; choose another output"
    for out in (data, linked, hard):
        evaluated = ["-m", tiny_run, data, "--first", "1", "--out", out]
        refused(penstock("evaluate", *evaluated), 2, f"{out}: {says}")
        refused(penstock("translate", "-m", tiny_run, "-i", data, "-o", out), 2, f"{out}: {says}")
        phrases = ["--phrases", data, "-o", out]
        refused(penstock("translate", "-m", tiny_run, *phrases, stdin="a\n"), 2, says)
        refused(penstock("embed", "-m", tiny_run, "-i", data, "-o", out), 2, says)
        refused(penstock("data", "stats", data, "--held-out", data, "--figure", out), 2, "figure")
    own = tmp_path / "config.toml"
    own.write_text('[data]\ntrain = "builtin" # my remark\n')
    refused(penstock("train", own, "--out", tmp_path), 2, f"{own}: {says}")
    assert "my remark" in own.read_text()
    drawn = tmp_path / "drawn.svg"
    drawn.write_text(own.read_text())
    refused(penstock("draw", drawn, "--out", drawn), 2, f"{drawn}: {says}")
    own_model = ["export", "-m", tiny_run, "--out"]
    refused(penstock(*own_model, tiny_run), 2, "give another directory than the model's")
    train = data.rename(tmp_path / "train.tsv")
    split = ["data", "split", train, "--out", tmp_path, "--overwrite"]
    refused(penstock(*split), 2, f"{train}: {says}")
    assert train.read_text() == kept


def test_standard_output_is_no_input_either(tiny_run: Path, tmp_path: Path) -> None:
    data = tmp_path / "own.tsv"
    for words in (["translate", "-i"], ["evaluate"], ["score"]):
        data.write_text("a\tb\n")
        with data.open("ab") as out:
            command = [sys.executable, "-m", "penstock", words[0], "-m", tiny_run, *words[1:], data]
            ran = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, check=False)
        assert ran.returncode == 2
        assert b"standard output: the output would replace its own input" in ran.stderr
        assert data.read_text() == "a\tb\n"


@pytest.mark.parametrize("name", ["\x1b[31mred", "\u202egnal", "\x9b1m", "\a"])
def test_control_characters_of_a_name_reach_no_terminal(
    penstock: Run, tiny_run: Path, tmp_path: Path, name: str
) -> None:
    for words in (
        ["translate", "-m", tmp_path / name, "-i", "x"],
        ["translate", "-m", tiny_run, "-i", tmp_path / name],
        ["translate", "-m", tiny_run, f"--{name}"],
        ["train", tmp_path / name, "--out", tmp_path / f"run{name}"],
        [name],
    ):
        ran = penstock(*words)
        assert ran.code in (1, 2)
        assert name not in ran.err
        assert ascii(name)[1:-1] in ran.err


def test_a_loop_of_links_is_a_file_that_cannot_be_read(penstock: Run, tmp_path: Path) -> None:
    loop = tmp_path / "loop.tsv"
    loop.symlink_to(loop)
    for verb in ("split", "cut"):
        refused(penstock("data", verb, loop, "--out", tmp_path / "x"), 1, f"{loop}: cannot be read")
    refused(penstock("plot", loop), 1, f"{loop}: no such directory")
    refused(penstock("export", "-m", loop, "--out", tmp_path / "x"), 1, "loop.tsv")
    assert penstock("export", "-m", "demo", "--out", loop).code == 1


def test_training_data_from_a_pipe_and_an_empty_run_directory(
    penstock: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    refused(penstock("train", tmp_path / "pipe"), 2, "save them to a file, or send training pairs")
    refused(penstock("train", "builtin", "--valid", "pipe"), 2, "pipe: training reads its data sev")
    for command in (["train", "builtin"], ["demo"], ["data", "split", "x"], ["data", "cut", "x"]):
        refused(penstock(*command, "--out", ""), 2, "an empty path: name a directory or file")
    for key in ("data.train", "model.source_vectors", "data.cache"):
        with pytest.raises(ConfigError, match="has a NUL character; remove it"):
            parse_config({}, [f'{key}="a\\u0000b"'])
    assert not (tmp_path / "config.toml").exists()


def test_what_the_attack_found(penstock: Run, tmp_path: Path, pairs: Path) -> None:
    deep = tmp_path / "deep.jsonl"
    deep.write_text("[" * 100_000, encoding="utf-8")
    ran = penstock("translate", "-m", "demo", "--phrases", deep, stdin="Yes.\n")
    refused(ran, 1, f"{deep}, line 1: not JSON")
    sweep = ("sweep", pairs, "--set", "model.cell=gru,lstm", "--out", tmp_path / "\udcff")
    refused(penstock(*sweep), 2, "whose name is not UTF-8; rename that")
    assert usable_threads(1000) <= 4 * (os.cpu_count() or 1)
    ran = penstock("translate", "-m", "demo", "--threads", "1000", stdin="She sees them.\n")
    assert ran.out == "Elle les voit.\n"


def test_a_misspelt_metric_is_told_before_translating(
    penstock: Run, tiny_run: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from penstock.tasks.translation.translator import Translator

    monkeypatch.setattr(Translator, "translate", None)
    ran = penstock("evaluate", "-m", tiny_run, pairs, "--metrics", "blue")
    refused(ran, 2, "unknown metric 'blue'; did you mean 'bleu'?")
    ran = penstock("evaluate", "-m", tiny_run, pairs, "--metrics", "per")
    refused(ran, 2, "metric 'per'")


def test_nothing_to_evaluate(penstock: Run, tiny_run: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.tsv").write_text("")
    ran = penstock("evaluate", "-m", tiny_run, tmp_path / "empty.tsv")
    assert ran.code == 1
    assert "Traceback" not in ran.err


def test_score(penstock: Run, tiny_run: Path, pairs: Path) -> None:
    ran = penstock("score", "-m", tiny_run, pairs)
    rows = [line.split("\t") for line in ran.out.split("\n")[:-1]]
    assert [row[2:] for row in rows] == [["She sees them.", "Elle les voit."], ["Yes.", "Oui."]]
    assert all(float(row[0]) < 0 and float(row[1]) > 1 for row in rows)
    assert re.search(r"all: log-probability -\d+\.\d, perplexity \d", ran.err)
    ran = penstock("score", "-m", tiny_run, pairs, "--json")
    values = [json.loads(line) for line in ran.out.split("\n")[:-1]]
    assert values[0].keys() == {"source", "target", "log_probability", "tokens", "perplexity"}
    assert f"{values[0]['log_probability']:.4f}" == rows[0][0]


def test_info_of_a_foreign_record(penstock: Run, tiny_run: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(tiny_run / "model", tmp_path / "model"))
    index = json.loads((copy / "bundle.json").read_text())
    index["record"]["held_out"] = "none"
    (copy / "bundle.json").write_text(json.dumps(with_checksum(index)))
    ran = penstock("info", copy)
    assert ran.code == 0
    assert "held_out" not in ran.out


def test_info(penstock: Run, tiny_run: Path) -> None:
    ran = penstock("info", tiny_run)
    assert "cell\tgru\n" in ran.out
    assert "languages\tunknown\n" in ran.out
    value = json.loads(penstock("info", tiny_run / "model", "--json").out)
    assert value["source_vocabulary"] == "bpe 300"
    assert value["held_out_search"] == "greedy"
    assert (value["unfamiliar_lines"], value["confidence"]) == ("not reported", "none")
    assert "confidence\tfitted to 700 outputs, calibration error" in penstock("info", "demo").out


def test_doctor(penstock: Run) -> None:
    assert "torch\t" in penstock("doctor").out
    assert json.loads(penstock("doctor", "--json").out)["cores"] >= 1


def test_plot(penstock: Run, tiny_run: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "curves.svg"
    ran = penstock("plot", tiny_run, tiny_run, "--out", out)
    assert (ran.code, ran.out) == (0, f"{out}\n")
    assert out.read_text().startswith("<?xml")
    refused(penstock("plot", tiny_run, "--out", tmp_path / "x.doc"), 2, "a figure ends in .svg")
    refused(penstock("plot", tiny_run, "--out", tmp_path / "x"), 2, "a figure ends in .svg")
    into = tmp_path / "new" / "x.png"
    assert penstock("plot", tiny_run, "--out", into).code == 0
    assert into.read_bytes().startswith(b"\x89PNG")


# --- train and demo -----------------------------------------------------------------------------


def test_train_from_a_configuration(penstock: Run, config: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    ran = penstock("train", config, "--out", run, "--set", "training.max_updates=2")
    assert (ran.code, ran.out) == (0, f"{run}\n")
    assert "stopped at update 2 " in ran.err
    assert "3 evaluations" not in ran.err
    refused(penstock("train", config, "--out", run), 2, "holds a run already; add --resume")
    more = penstock("train", "--resume", "--out", run, "--set", "training.max_updates=4")
    assert more.code == 0
    assert "going on from update 2" in more.err


def test_a_flag_beats_set_beats_the_file(tmp_path: Path) -> None:
    from penstock.cli.train import run_config

    flags = {"data.valid": "flag.tsv"}
    path = tmp_path / "c.toml"
    path.write_text('seed = 2\n[data]\ntrain = "t.tsv"\nvalid = "v.tsv"\n')
    config, name = run_config([str(path)], {}, ["seed=3"], None)
    assert (config.seed, config.data.valid, name) == (3, "v.tsv", "c")
    config, _ = run_config([str(path)], {}, ["data.valid=set.tsv"], None)
    assert config.data.valid == "set.tsv"
    config, _ = run_config([str(path)], flags, ["data.valid=set.tsv"], None)
    assert config.data.valid == "flag.tsv"
    config, _ = run_config(["positional.tsv"], flags, ["data.train=set.tsv"], None)
    assert (config.data.train, config.data.valid) == ("positional.tsv", "flag.tsv")
    (tmp_path / "config.toml").write_text(path.read_text())
    assert run_config([], flags, [], tmp_path)[0].data.valid == "flag.tsv"


def test_flags_of_train_are_values_and_come_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from penstock.cli.train import data_flags, run_config

    monkeypatch.chdir(tmp_path)
    odd = 'a "b\\\n\udcff=[1].tsv'  # a name that would mean something in TOML
    Path(odd).touch()  # and is no glob where a file has it
    flags = data_flags(odd, "2,en", "skip")
    config, name = run_config([odd], flags, ["data.on_error=stop", "data.valid=x"], None)
    assert (config.data.train, config.data.valid, name) == (odd, odd, 'a "b\\\n\udcff=[1]')
    assert (config.data.columns, config.data.on_error) == ([2, "en"], "skip")
    config, _ = run_config(["a", "b"], data_flags("c,d", None, None), [], None)
    assert (config.data.train, config.data.valid) == (["a", "b"], ["c", "d"])
    with pytest.raises(UsageError, match=r"command line: data.train: 'data' is a value, not a sec"):
        run_config(["a"], {}, ["data=3"], None)


@pytest.mark.parametrize("name", ["😀 ü.tsv", 'quo"te\\.tsv', "a,b.tsv"])
def test_odd_file_names(tmp_path: Path, name: str) -> None:
    from penstock.cli.train import data_flags, run_config

    path = tmp_path / name
    path.write_text("x")
    config, _ = run_config([str(path)], data_flags(str(path), None, None), [], None)
    assert (config.data.train, config.data.valid) == (str(path), str(path))


DEMO_SIZE = ["--set", "training.max_updates=3", "--set", "data.max_pairs=200",
             "--set", "search.max_length_ratio=0.1", "--set", "search.max_length_extra=2",
             "--set", "search.beam_size=1", "--set", "training.evaluate_sentences=5",
             "--set", "model.hidden_size=16", "--set", "model.embedding_size=16"]  # fmt: skip


def test_demo(penstock: Run, tmp_path: Path) -> None:
    out = tmp_path / "demo"
    ran = penstock("demo", "--out", out, *DEMO_SIZE)
    assert ran.code == 0, ran.err
    unseen = [json.loads(line) for line in (out / "held-out.jsonl").read_text().split("\n")[:-1]]
    assert len(unseen) == 1000
    assert unseen[0].keys() == {"source", "targets"}
    assert "BLEU " in ran.out.split("\n")[-2]
    # once more: what it made is made again, what it did not make stays
    (out / "my notes.txt").write_text("dear")
    (out / "log.jsonl").write_text("")
    assert penstock("demo", "--out", out, *DEMO_SIZE).code == 0
    assert (out / "my notes.txt").read_text() == "dear"


def test_a_demo_does_not_overwrite_another_run(penstock: Run, tiny_run: Path) -> None:
    before = (tiny_run / "log.jsonl").read_bytes()
    refused(penstock("demo", "--out", tiny_run, *DEMO_SIZE), 2, "already holds a run")
    assert (tiny_run / "log.jsonl").read_bytes() == before
    assert not (tiny_run / "held-out.jsonl").exists()
    assert (tiny_run / "model").exists()


# --- as a process -------------------------------------------------------------------------------


def test_help_imports_no_torch_and_no_other_verb() -> None:
    code = (
        "import sys; from penstock.cli.app import VERBS, run; code = run(sys.argv[1:]);"
        "heavy = {'torch', 'pyarrow', 'numpy', 'tokenizers', 'matplotlib'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}') if heavy else None;"
        "others = {f'penstock.cli.{verb}' for verb in {*VERBS} - {*sys.argv}} & set(sys.modules);"
        "sys.exit(f'imported {others}' if others else code)"
    )
    for arguments in (["--help"], ["train", "--help"], ["translate", "--help"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert "Usage: penstock" in done.stdout


def test_utf8_whatever_the_locale(tiny_run: Path) -> None:
    odd = {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    out, err = process("translate", "--help", env=odd).communicate()
    assert "α" in out.decode()
    assert err == b""
    out, err = process("translate", "-m", tiny_run, "--format", "json", env=odd).communicate(
        "Ça va, 😀 ?\n".encode()
    )
    assert json.loads(out)["source"] == "Ça va, 😀 ?"
    assert "😀" in out.decode()


def test_a_reader_that_goes_away_is_no_error(tiny_run: Path) -> None:
    child = process("translate", "-m", tiny_run, "--search", "greedy", "--format", "json")
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdin.write(b"Yes.\n" * 1500)
    child.stdin.close()
    assert json.loads(child.stdout.readline())["source"] == "Yes."
    child.stdout.close()
    assert child.stderr.read() == b""
    assert child.wait(60) == 0
    child.stderr.close()


def test_control_c_during_training(config: Path, tmp_path: Path, penstock: Run) -> None:
    run = tmp_path / "run"
    endless = ["--set", "training.max_updates=1000000", "--set", "training.evaluate_every=5"]
    child = process("train", config, "--out", run, *endless)
    log = run / "log.jsonl"
    deadline = time.monotonic() + 120
    while not (log.exists() and log.stat().st_size):
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=120)
    said = err.decode()
    assert (child.returncode, out) == (130, b"")
    assert f"to resume: penstock train --resume --out {run}" in said
    assert "Traceback" not in said
    stopped = int(re.findall(r"stopped at update (\d+)", said)[0])
    more = f"training.max_updates={stopped + 2}"
    resumed = penstock("train", "--resume", "--out", run, "--set", more)
    assert resumed.code == 0
    assert f"going on from update {stopped}" in resumed.err


def test_an_interrupted_demo_says_how_to_go_on(
    penstock: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    step = torch.optim.AdamW.step

    def interrupt(self: object, *arguments: object, **options: object) -> object:
        os.kill(os.getpid(), signal.SIGINT)
        return step(self, *arguments, **options)  # type: ignore

    out = tmp_path / "demo"
    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", interrupt)
        ran = penstock("demo", "--out", out, *DEMO_SIZE)
    assert ran.code == 130
    assert f"to resume: penstock train --resume --out {out}" in ran.err
    assert penstock("train", "--resume", "--out", out).code == 0
    assert (out / "held-out.jsonl").is_file()


def test_control_c_while_importing_and_before_the_first_update(tmp_path: Path) -> None:
    """A slow import is where the signal comes, whatever the machine's speed."""
    for name, module in (("importing", "typer"), ("torch", "torch")):
        (tmp_path / name).mkdir()
        waits = "import time; open('reached', 'w').close(); time.sleep(60)"
        (tmp_path / name / f"{module}.py").write_text(waits)
        path = f"{tmp_path / name}{os.pathsep}{Path(app_module.__file__).parents[2]}"
        child = process(
            "train",
            "builtin",
            cwd=tmp_path / name,
            env={"PYTHONPATH": path},
            # a shell's background job, as these tests may be, ignores the signal
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        deadline = time.monotonic() + 60
        while not (tmp_path / name / "reached").exists():
            assert child.poll() is None, child.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
        assert (child.returncode, out) == (130, b""), err
        assert err.decode().strip() == "penstock: interrupted"


def test_control_c_elsewhere(
    penstock: Run, tiny_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from penstock.tasks.translation.translator import Translator

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Translator, "translate", interrupted)
    ran = penstock("translate", "-m", tiny_run, stdin="Yes.\n")
    assert (ran.code, ran.err) == (130, "penstock: interrupted\n")


def test_train_takes_columns_by_name_and_skips_bad_lines(penstock: Run, tmp_path: Path) -> None:
    rows = [f"{n}\twort {n}\tword {n}" for n in range(60)]
    data = tmp_path / "pairs.tsv"
    data.write_text("\n".join(["id\tde\ten", *rows, "60\tnur eins"]) + "\n", encoding="utf-8")
    ran = penstock(
        *("train", data, "--columns", "de,en", "--on-error", "skip", "--out", tmp_path / "run"),
        *("--set", "training.max_updates=1", "--set", "model.hidden_size=8"),
        *("--set", "text.source.vocab_size=270", "--set", "text.target.vocab_size=270"),
    )
    assert ran.code == 0
    assert "line 62: " in ran.err
    config = load_config(tmp_path / "run" / "config.toml")
    assert config.data.columns == ["de", "en"]
    assert config.data.on_error == "skip"


def test_a_run_goes_on_from_another_directory(
    penstock: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = [f"{pair.source}\t{pair.target}" for pair in generate_pairs(80)]
    (tmp_path / "pairs.tsv").write_text("\n".join(pairs) + "\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    small = ["--set", "training.max_updates=1", "--set", "model.hidden_size=8"]
    small += ["--set", "text.source.vocab_size=270", "--set", "text.target.vocab_size=270"]
    assert penstock("train", "pairs.tsv", "--out", "run", *small).code == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    more = ["--set", "training.max_updates=2"]
    assert penstock("train", "--resume", "--out", tmp_path / "run", *more).code == 0
