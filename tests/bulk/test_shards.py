"""Files translated into a folder: one out for one in, whole or not at all, nothing twice."""

from __future__ import annotations

import errno
import gzip
import json
import lzma
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pyarrow
import pytest

from penstock import files
from penstock.bulk.bulk_run import translate_shards
from penstock.bulk.shard_manifest import open_manifest
from penstock.bulk.worker_pool import translate_in_processes
from penstock.bundle import load_bundle, save_bundle
from penstock.data.formats.input_lines import open_bytes
from penstock.errors import PenstockError
from penstock.tasks.translation.translation_job import TranslationJob

Penstock = Callable[..., tuple[int, str, str]]

LINES = ["She does not see them.", "", "  A dog runs.\tHere.", "Is he happy?", "Zzxq ☃ qqq"]


def write(path: Path, lines: list[str] = LINES) -> Path:
    content = "".join(f"{line}\n" for line in lines).encode()
    if path.suffix == ".gz":
        content = gzip.compress(content)
    elif path.suffix == ".xz":
        content = lzma.compress(content)
    elif path.suffix == ".zst":
        content = pyarrow.compress(content, "zstd", asbytes=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def read(path: Path) -> bytes:
    with open_bytes(path) as stream:
        return stream.read()


@pytest.fixture
def crawl(tmp_path: Path) -> Path:
    for number, suffix in enumerate(("", ".gz", ".xz", ".zst")):
        write(tmp_path / "crawl" / f"{number}.txt{suffix}", [*LINES, f"I have {number} dogs."])
    return tmp_path / "crawl"


@pytest.fixture
def bulk(penstock: Penstock, crawl: Path) -> Penstock:
    """`translate --inputs` with the crawl, unless `inputs` names others."""

    def command(*options: object, inputs: str = "*.txt*") -> tuple[int, str, str]:
        out = crawl.parent / "out"
        own = () if "--out-dir" in options else ("--out-dir", out)
        model = () if "-m" in options else ("-m", "demo")
        return penstock("translate", *model, "--inputs", crawl / inputs, *own, *options)

    return command


def test_a_file_out_for_a_file_in_with_the_bytes_of_one_command_each(
    bulk: Penstock, penstock: Penstock, crawl: Path
) -> None:
    code, out, err = bulk("--scores")
    assert (code, out) == (0, "")
    assert f"{crawl / '1.txt.gz'}: 6 lines, 3 unfamiliar, 1 unknown-heavy" in err
    assert "4 shards; 24 lines translated" in err
    assert "of 24 lines: 12 unfamiliar, 4 unknown-heavy (--format json shows which)" in err
    for source in crawl.iterdir():
        code, out, _ = penstock("translate", "-m", "demo", "-i", source, "--scores")
        assert code == 0
        assert read(crawl.parent / "out" / source.name) == out.encode()
    raw = {path.name: path.read_bytes() for path in (crawl.parent / "out").glob("*.txt*")}
    for path in raw:
        (crawl.parent / "out" / path).unlink()
    assert bulk("--scores")[0] == 0
    again = {path.name: path.read_bytes() for path in (crawl.parent / "out").glob("*.txt*")}
    assert again == raw  # compressed too


def test_the_same_command_does_what_is_missing_and_a_bad_shard_stops_no_other(
    bulk: Penstock, crawl: Path
) -> None:
    whole = (crawl / "3.txt.zst").read_bytes()
    (crawl / "3.txt.zst").write_bytes(whole[: len(whole) // 2])
    (crawl / "0.txt").write_bytes(b"fine\n\xff\n")
    code, _, err = bulk()
    assert code == 1
    end = err[err.index("penstock: ") :]
    assert end.startswith("penstock: not translated: 2 of 4 shards; the others are there\n  ")
    assert f"{crawl / '0.txt'}, line 2: byte 0xff at byte 1 is not UTF-8" in end
    assert f"{crawl / '3.txt.zst'}: the compressed data are cut short" in end
    out = crawl.parent / "out"
    assert {path.name for path in out.iterdir()} == {"1.txt.gz", "2.txt.xz", "manifest.jsonl"}
    (crawl / "3.txt.zst").write_bytes(whole)
    write(crawl / "0.txt")
    code, _, err = bulk()
    assert code == 0
    assert "4 shards (2 were there already); 11 lines translated" in err
    (out / "1.txt.gz").unlink()
    manifest = out / "manifest.jsonl"
    # the end of the record is lost in a crash
    manifest.write_bytes(manifest.read_bytes()[:-9])
    assert "(2 were there already)" in bulk()[2]
    code, _, err = bulk()
    assert (code, err) == (0, "4 shards (4 were there already); 0 lines translated\n")
    assert len(manifest.read_bytes().splitlines()) == 6


def test_what_was_changed_since_is_reported_and_not_mixed(bulk: Penstock, crawl: Path) -> None:
    assert bulk()[0] == 0
    out = crawl.parent / "out"
    before = (out / "0.txt").read_bytes()
    write(crawl / "0.txt", [*LINES, "I have 9 dogs."])  # of the same size
    os.utime(crawl / "1.txt.gz", (1, 1))  # touched, and the same
    (out / "2.txt.xz").write_bytes(b"other")
    code, _, err = bulk()
    assert code == 1
    assert f"{crawl / '0.txt'}: not what was translated to {out / '0.txt'}; remove that" in err
    assert f"{out / '2.txt.xz'}: altered: 5 bytes, written with" in err
    assert "2 of 4 shards" in err
    assert (out / "0.txt").read_bytes() == before


def test_outputs_of_another_model_or_of_other_options_are_not_mixed(
    bulk: Penstock, crawl: Path, tmp_path: Path
) -> None:
    bundle = load_bundle("demo")
    save_bundle(replace(bundle, record={**bundle.record, "updates": 1}), tmp_path / "other")
    assert bulk(inputs="0.txt")[0] == 0
    code, _, err = bulk("-m", tmp_path / "other")
    assert code == 2
    assert "out: holds translations of another model; choose another --out-dir, or remove" in err
    code, _, err = bulk("--beam-size", "2")
    assert code == 2
    assert "made with beam_size = the default, and this command has 2; choose another" in err
    code, _, err = bulk("--format", "tsv")
    assert code == 2
    assert "made with format = 'text', and this command has 'tsv'" in err
    assert bulk("--batch", "7", "--threads", "2")[0] == 0  # these change no output


def test_wrong_use_is_one_clear_line(bulk: Penstock, penstock: Penstock, crawl: Path) -> None:
    write(crawl / "deep" / "0.txt")
    (crawl / "a.zip").write_bytes(b"")
    cases = {
        ("*.tsv",): "no file matches; check the pattern, and quote it",
        ("",): "a folder; give a pattern of its files:",
        ("**/*.txt",): "both translations would be",
        ("*.zip",): "zip is not read; unpack it, or compress with gzip, xz or zstd",
        ("0.txt", "--out-dir", crawl): "is in it, and the next run would translate the transl",
        ("deep/*.txt", "--out-dir", crawl.parent): "is in it, and the next",
        ("**/0.tx[t]", "--out-dir", crawl / "new"): "would match the translations in it",
        ("*.txt", "--out-dir", crawl / "0.txt"): "0.txt: not a folder; choose another --out-dir",
        ("*.txt", "-i", "x.txt"): "--inputs goes without --input, --output and --phrases",
        ("*.txt", "-m", "nowhere"): "nowhere: no such directory",
        ("*.txt", "--to", "fr"): "the model has one target language",
    }
    (crawl / "deep" / "0.txt").rename(crawl / "deep" / "5.txt")
    for (inputs, *options), message in cases.items():
        if inputs == "**/*.txt":
            write(crawl / "deeper" / "0.txt")
        code, out, err = bulk(*options, inputs=inputs)
        assert code in (1, 2), inputs
        assert message in err, inputs
        assert err.count("\n") == 1, err
        assert out == ""
        if inputs == "**/*.txt":
            (crawl / "deeper" / "0.txt").unlink()
    assert not list(crawl.parent.glob("out/*.txt"))
    code, _, err = penstock("translate", "-m", "demo", "--inputs", crawl / "*")
    assert (code, "--inputs and --out-dir go together" in err) == (2, True)
    code, _, err = penstock("translate", "-m", "demo", "--processes", "2")
    assert (code, "--processes and --ray are for many files" in err) == (2, True)


def test_a_folder_with_files_of_others_is_left_alone(bulk: Penstock, crawl: Path) -> None:
    mine = write(crawl.parent / "out" / "0.txt", ["mine"])
    code, _, err = bulk()
    assert code == 2
    assert "out/0.txt: exists, and no manifest.jsonl says how it was made; remove it" in err
    assert mine.read_text() == "mine\n"
    mine.unlink()
    (crawl.parent / "out" / "manifest.jsonl").write_text("[1]\n")
    code, _, err = bulk()
    assert (code, "manifest.jsonl: damaged; remove it and the translations" in err) == (1, True)


def test_a_full_disk_ends_the_command_and_leaves_nothing_half(
    bulk: Penstock, crawl: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = files.place

    def full(partial: Path, path: Path) -> None:
        if path.name == "1.txt.gz":
            raise OSError(errno.ENOSPC, "No space left on device")
        usual(partial, path)

    with monkeypatch.context() as patch:
        patch.setattr(files, "place", full)
        code, _, err = bulk()
    assert code == 1
    assert err.endswith("(what stood there before is whole)\n")
    assert "out/1.txt.gz: cannot write: No space left on device; free some space" in err
    names = {path.name for path in (crawl.parent / "out").iterdir()}
    assert names == {"0.txt", "manifest.jsonl"}
    assert "(1 were there already)" in bulk()[2]


def test_one_command_at_a_time_writes_a_folder(bulk: Penstock, crawl: Path) -> None:
    job = TranslationJob(models=("demo",)).checked()
    with open_manifest(crawl.parent / "out", job.recipe(), []):
        code, _, err = bulk()
    assert (code, "another command is translating into it; wait for it" in err) == (1, True)


@pytest.mark.skipif(os.name != "posix", reason="kills by signal")
def test_a_process_that_dies_is_replaced_and_a_shard_that_kills_twice_given_up(
    tmp_path: Path,
) -> None:
    lines = [f"I have {n} dogs and she does not see the cats." for n in range(300)]
    for name in ("always", "once"):
        write(tmp_path / "in" / f"{name}.txt", lines)
    out = tmp_path / "out"
    job = TranslationJob(models=("demo",))
    killed: list[str] = []
    finished = threading.Event()

    def kill() -> None:
        while not finished.is_set():
            for path in out.glob(".*.txt.*-*"):
                name, pid = path.name.split(".")[1], int(path.suffix[1:].partition("-")[0])
                if name == "always" or name not in killed:
                    os.kill(pid, signal.SIGKILL)
                    killed.append(name)
                    path.unlink(missing_ok=True)
            time.sleep(0.002)

    killer = threading.Thread(target=kill)
    killer.start()
    notes: list[str] = []
    execute = partial(translate_in_processes, processes=2)
    try:
        with pytest.raises(PenstockError) as caught:
            translate_shards(job, [str(tmp_path / "in" / "*")], out, execute, notes.append)
    finally:
        finished.set()
        killer.join()
    assert sorted(killed) == ["always", "always", "once"]
    message = str(caught.value)
    assert "not translated: 1 of 2 shards; the others are there" in message
    assert "always.txt: the process that translated it was killed by SIGKILL, twice" in message
    assert {path.name for path in out.iterdir()} == {"once.txt", "manifest.jsonl"}
    translator = job.load()
    expected = [result.text for result in translator.translate(lines)]
    assert read(out / "once.txt").decode().split("\n") == [*expected, ""]
    record = json.loads((out / "manifest.jsonl").read_text().splitlines()[1])
    assert (record["shard"], sum(record["statuses"].values())) == ("once.txt", 300)
