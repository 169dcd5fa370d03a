"""What `check_corpus` and `penstock data check` find, and where."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from penstock.cli.data import app
from penstock.data.check import check_corpus
from penstock.data.formats.readers import ReadOptions
from penstock.errors import DataError, UsageError

SHARED = Path(__file__).parents[3] / "shared" / "data"

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, content: str) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode())
        return path

    return write


def test_repetitions_by_line(write: Write) -> None:
    path = write("x.tsv", "a\t1\nb\t1\na\t1\na\t2\nb\t1\nc\t3\na\t1\n")
    report = check_corpus(path)
    assert (report.pairs, report.sources) == (7, 3)
    assert (report.duplicate_pairs.count, report.duplicate_pairs.lines) == (3, [3, 5, 7])
    assert (report.repeated_sources.count, report.repeated_sources.lines) == (4, [3, 4, 5, 7])
    assert (report.several_targets.count, report.several_targets.lines) == (1, [1])


def test_repetitions_agree_with_a_plain_count(write: Write) -> None:
    draw = random.Random(3)
    pairs = [(f"s{draw.randrange(40)}", f"t{draw.randrange(5)}") for _ in range(500)]
    path = write("x.tsv", "".join(f"{source}\t{target}\n" for source, target in pairs))
    report = check_corpus(path)
    targets: dict[str, set[str]] = {}
    for source, target in pairs:
        targets.setdefault(source, set()).add(target)
    assert report.sources == len(targets)
    assert report.duplicate_pairs.count == len(pairs) - len(set(pairs))
    assert report.repeated_sources.count == len(pairs) - len(targets)
    assert report.several_targets.count == sum(len(found) > 1 for found in targets.values())


def test_references_of_one_object_are_several_targets(write: Write) -> None:
    report = check_corpus(write("x.jsonl", '{"source": "a", "targets": ["b", "c"]}\n'))
    assert (report.pairs, report.sources, report.several_targets.lines) == (2, 1, [1])


def test_empty_and_unusable_lines_are_counted(write: Write) -> None:
    report = check_corpus(write("x.tsv", "a\tb\n\tb\na\t \nalone\nc\0\td\n"))
    assert (report.empty.count, report.empty.lines) == (2, [2, 3])
    assert (report.unusable.count, report.unusable.lines) == (2, [4, 5])
    assert "expected 2 columns, found 1" in report.unusable.examples[0]
    with pytest.raises(DataError, match="line 2: the source is empty"):
        check_corpus(write("x.tsv", "a\tb\n\tb\n"), options=ReadOptions())


def test_a_finding_lists_ten_lines_and_says_if_there_are_more(write: Write) -> None:
    eleven = check_corpus(write("x.tsv", "a\tb\n" * 12)).duplicate_pairs
    assert (eleven.count, len(eleven.lines), eleven.more) == (11, 10, True)
    ten = check_corpus(write("x.tsv", "\tb\n" * 10)).empty
    assert (ten.count, len(ten.lines), ten.more) == (10, 10, False)
    assert check_corpus(write("x.tsv", "\tb\n" * 11)).empty.more


def test_outliers_of_length_and_ratio(write: Write) -> None:
    lines = [f"{'word ' * (5 + i % 7)}\t{'mot ' * (5 + i % 7)}\n" for i in range(200)]
    lines[41] = f"{'word ' * 400}\t{'mot ' * 400}\n"
    lines[99] = f"{'word ' * 8}\tmot\n"
    report = check_corpus(write("x.tsv", "".join(lines)))
    assert report.long_sources.lines == [42]
    assert report.long_targets.lines == [42]
    assert report.ratio_outliers.lines == [100]


def test_odd_characters_by_side(write: Write) -> None:
    text = "It’s\tC’est\u202f!\u00a0Oui\u202f!\nab\u00ad\tx\u2009y\u200bz\nplain\tété\n"
    found = check_corpus(write("x.tsv", text)).odd_characters
    assert {name: (finding.count, finding.lines) for name, finding in found.items()} == {
        "source: U+2019 right single quotation mark": (1, [1]),
        "target: U+2019 right single quotation mark": (1, [1]),
        "target: U+202F narrow no-break space": (2, [1]),
        "target: U+00A0 no-break space": (1, [1]),
        "source: U+00AD soft hyphen": (1, [2]),
        "target: U+2009 thin space": (1, [2]),
        "target: U+200B zero width space": (1, [2]),
    }


def test_mixed_scripts_within_a_word_only(write: Write) -> None:
    path = write("x.tsv", "the cаt\tкот\nthe word кот\tx\nα-particle\ty\nété\tβeta\n")
    found = check_corpus(path).mixed_scripts
    assert found.lines == [1, 4]
    assert found.examples == ["cаt (Latin, Cyrillic)", "βeta (Latin, Greek)"]


def test_leakage_sees_through_case_and_spaces(write: Write) -> None:
    train = write("train.tsv", "Go !\tVa !\nRun.\tCours.\nStop.\tVA !\nWalk.\tMarche.\n")
    test = write("test.jsonl", '{"source": "go\u202f!", "targets": ["Va\u00a0!", "Allez !"]}\n')
    other = write("valid.tsv", "Sleep.\tDors.\nalone\n")
    first, second = check_corpus(train, held_out=[test, other]).leakage
    assert (first.file, first.sentences, first.sources) == (str(test), 1, 1)
    assert (first.train_sources.lines, first.train_targets.lines) == ([1], [1, 3])
    assert (second.sources, second.train_targets.count, second.unusable) == (0, 0, 1)


def test_the_command_prints_a_table_or_json(write: Write) -> None:
    train = write("train.tsv", "a\t1\na\t1\ncаt\t2\n")
    held = write("test.tsv", "A\t9\n")
    run = CliRunner().invoke(app, ["check", str(train), "--held-out", str(held)])
    assert run.exit_code == 0
    assert "duplicate pairs" in run.stdout
    assert "cаt (Latin, Cyrillic)" in run.stdout
    run = CliRunner().invoke(app, ["check", str(train), "--held-out", str(held), "--json"])
    report = json.loads(run.stdout)
    assert report["duplicate_pairs"] == {"count": 1, "lines": [2], "more": False, "examples": []}
    assert report["leakage"][0]["train_sources"]["lines"] == [1, 2]


def test_a_file_without_pairs_is_an_error(write: Write) -> None:
    for text in ("", "no tab here\n"):
        result = CliRunner().invoke(app, ["check", str(write("x.tsv", text))])
        assert isinstance(result.exception, DataError)
        assert "no sentence pairs found" in str(result.exception)
        assert result.exception.exit_code == 1


def test_the_command_takes_parallel_files_and_columns(write: Write) -> None:
    de, en = write("a.de", "eins\nzwei\n"), write("a.en", "one\ntwo\n")
    table = write("t.csv", "id,en,de\n1,one,eins\n")
    both = ["check", str(de), str(en), "--held-out", f"{de},{en}", "--json"]
    run = CliRunner().invoke(app, both)
    assert json.loads(run.stdout)["leakage"][0]["sources"] == 2
    run = CliRunner().invoke(app, ["check", str(table), "--columns", "de,en", "--json"])
    assert json.loads(run.stdout)["pairs"] == 1
    assert "1 further column is ignored" in run.stderr
    run = CliRunner().invoke(app, ["check", "-", "--json"], input="a\tb\n")
    assert json.loads(run.stdout)["pairs"] == 1


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["a.tsv", "--columns", "1"], "--columns '1': write two, as in 1,2 or en,fr"),
        (["a.tsv", "--columns", "0,1"], "column 0: columns are counted from 1"),
    ],
)
def test_the_command_used_wrongly(arguments: list[str], what: str) -> None:
    run = CliRunner().invoke(app, ["check", *arguments])
    assert isinstance(run.exception, UsageError)
    assert what in str(run.exception)


def test_real_corpus() -> None:
    folder = SHARED / "tatoeba-en-fr"
    if not folder.exists():
        pytest.skip(f"the shared data are not at {SHARED}")
    held = [folder / "valid.jsonl.gz", folder / "test.jsonl.gz"]
    report = check_corpus(folder / "train.tsv.gz", held_out=held)
    assert report.pairs == 159_134
    assert [leak.sources for leak in report.leakage] == [0, 0]
    assert report.odd_characters["target: U+202F narrow no-break space"].count == 5983
    assert report.mixed_scripts.examples == ["capitаl (Latin, Cyrillic)"]
