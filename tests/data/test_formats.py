"""Readers: every error's message, every trap of real text, and the round trip."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.data.formats import input_lines
from penstock.data.formats.column_choice import Columns, parse_columns
from penstock.data.formats.input_lines import read_lines
from penstock.data.formats.readers import ReadOptions, read_pairs
from penstock.errors import DataError, UsageError

SHARED = Path(__file__).parents[3] / "shared" / "data"

Write = Callable[[str, str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def texts(source: Any, **options: Any) -> list[tuple[str, str]]:
    return [(pair.source, pair.target) for pair in read_pairs(source, ReadOptions(**options))]


def compress(kind: str, content: bytes) -> bytes:
    if kind == "zst":
        return pyarrow.compress(content, codec="zstd", asbytes=True)
    return gzip.compress(content) if kind == "gz" else lzma.compress(content)


# --- lines --------------------------------------------------------------------------------------


def test_only_newline_ends_a_line(write: Write) -> None:
    odd = "a\u0085b\u2028c\x0bd\x0ce\x1cf\rg"
    path = write("x.txt", f"{odd}\r\nsecond\n\nlast")
    assert list(read_lines(path)) == [(1, odd), (2, "second"), (3, ""), (4, "last")]


def test_bom_is_dropped_only_at_the_start(write: Write) -> None:
    path = write("x.txt", "\ufeffone\n\ufefftwo\n")
    assert [line.text for line in read_lines(path)] == ["one", "\ufefftwo"]


@pytest.mark.parametrize("kind", ["gz", "xz", "zst"])
def test_compressed_files_read_as_plain(write: Write, kind: str) -> None:
    content = "".join(f"línea {i}\tligne {i}\n" for i in range(5000)).encode()
    packed = write(f"x.tsv.{kind}", compress(kind, content))
    assert texts(packed) == texts(write("x.tsv", content))


@pytest.mark.parametrize("kind", ["gz", "xz", "zst"])
def test_several_members_in_one_compressed_file(write: Write, kind: str) -> None:
    path = write(f"x.{kind}", compress(kind, b"a\tb\n") + compress(kind, b"c\td\n"))
    assert texts(path) == [("a", "b"), ("c", "d")]


@pytest.mark.parametrize("kind", ["gz", "xz", "zst"])
def test_damaged_compressed_files(write: Write, kind: str) -> None:
    content = "".join(f"{i * 7919 % 10007}\tx{i * i}\n" for i in range(20000)).encode()
    packed = compress(kind, content)
    with pytest.raises(DataError, match="are cut short"):
        texts(write(f"cut.{kind}", packed[: len(packed) // 2]))
    with pytest.raises(DataError, match="0 bytes, cut short"):
        texts(write(f"empty.{kind}", b""))
    with pytest.raises(DataError, match=rf"plain\.{kind}: the compressed data are damaged"):
        texts(write(f"plain.{kind}", b"not\tcompressed\n"))
    if kind == "zst":
        return  # Arrow writes no checksum, so altered contents pass for other contents
    half = len(packed) // 2
    with pytest.raises(DataError, match="the compressed data are damaged"):
        texts(
            write(f"bad.{kind}", packed[:half] + b"\xaa" * 200 + packed[half + 200 :]),
            on_error="skip",
        )


def test_files_that_cannot_be_opened(tmp_path: Path, write: Write) -> None:
    for name in ("gone.tsv", "gone.tsv.gz", "gone.tsv.zst"):
        with pytest.raises(DataError, match=f"{name}: no such file; check the path"):
            texts(tmp_path / name)
    with pytest.raises(DataError, match=r"a directory without \.parquet files; name files"):
        texts(tmp_path)
    with pytest.raises(DataError, match="bzip2 is not read; unpack it"):
        texts(tmp_path / "x.tsv.bz2")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("a\tb\n".encode("utf-16"), "UTF-16 text; convert it: iconv"),
        (
            gzip.compress(b"a\tb\n", mtime=0),
            r"gzip data; unpack it, or give the file the suffix \.gz",
        ),
        (lzma.compress(b"a\tb\n"), r"xz data; .*suffix \.xz"),
        (b"PK\x03\x04abc", "a zip archive; unpack it first"),
    ],
)
def test_a_file_that_is_something_else(write: Write, content: bytes, what: str) -> None:
    with pytest.raises(DataError, match=rf"x\.tsv, line 1: this is {what}"):
        texts(write("x.tsv", content))


def test_undecodable_bytes_and_nul(write: Write) -> None:
    path = write("x.tsv", b"a\tb\ncaf\xe9\tcoffee\n")
    with pytest.raises(
        DataError, match=r"x\.tsv, line 2: byte 0xe9 at byte 4 is not UTF-8; convert the file"
    ):
        texts(path)
    with pytest.raises(DataError, match=r"x\.tsv, line 2: a NUL byte at byte 2; remove it"):
        texts(write("x.tsv", b"a\tb\nc\0\td\n"))
    with pytest.raises(DataError, match="line 2: byte 0xed"):  # a surrogate, encoded
        texts(write("x.tsv", b"a\tb\n\xed\xa0\x80\td\n"))


def test_a_text_without_line_ends_is_refused_in_bounded_memory(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(input_lines, "MAX_LINE_BYTES", 2**20)
    path = write("x.tsv.gz", gzip.compress(b"x" * 50 * 2**20, compresslevel=1))
    tracemalloc.start()
    with pytest.raises(DataError, match=r"line 1: longer than 1 MiB; is it a text"):
        texts(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * 2**20


def test_reading_streams(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"source sentence {i}\ttarget sentence {i}\n" for i in range(100_000))
    tracemalloc.start()
    assert sum(1 for _ in read_pairs(path)) == 100_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * 2**20


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"a\tb\nc\n")))
    with pytest.raises(DataError, match=r"^-, line 2: expected 2 columns, found 1"):
        texts("-")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"a\tb\nc\td")))
    assert texts("-") == [("a", "b"), ("c", "d")]


# --- TSV ----------------------------------------------------------------------------------------


def test_tsv_has_no_quotes_no_escapes_no_missing_values(write: Write) -> None:
    path = write("x.tsv", '"a\tb\\n\nNA\tnull\n"nan"\t""\n\'\tNone\n')
    assert texts(path) == [('"a', "b\\n"), ("NA", "null"), ('"nan"', '""'), ("'", "None")]


def test_tsv_with_bom_and_crlf(write: Write) -> None:
    assert texts(write("x.tsv", "\ufeffa\tb\r\nc\td\r\n")) == [("a", "b"), ("c", "d")]


def test_unknown_suffix_is_tsv(write: Write) -> None:
    assert texts(write("fra.txt", "Go.\tVa !\n")) == [("Go.", "Va !")]
    assert texts(write("noext", "Go.\tVa !\n")) == [("Go.", "Va !")]


def test_missing_column(write: Write) -> None:
    path = write("train.tsv", "a\tb\n" * 16 + "alone\n")
    with pytest.raises(
        DataError,
        match=r"train\.tsv, line 17: expected 2 columns, found 1; separate source and target by a "
        "tab",
    ):
        texts(path)
    with pytest.raises(DataError, match="line 2: expected 2 columns, found a blank line; remove"):
        texts(write("x.tsv", "a\tb\n\n"))


def test_a_stray_separator_is_not_cut_off_silently(write: Write) -> None:
    path = write("x.tsv", "a\tb\nc\td\te\n")
    with pytest.raises(DataError, match="line 2: expected 2 columns, found 3; remove the stray"):
        texts(path)
    assert texts(path, columns=(1, 2)) == [("a", "b"), ("c", "d")]  # the user has said so


def test_further_columns_are_told_once(write: Write) -> None:
    told: list[str] = []
    path = write("fra.txt", "Go.\tVa !\tCC-BY\nRun!\tCours !\tCC-BY\n")
    assert texts(path, report=told.append) == [("Go.", "Va !"), ("Run!", "Cours !")]
    assert told == [
        f"{path}: 1 further column is ignored; source is column 1, target column 2 of 3"
    ]


def test_columns_by_number_and_name(write: Write) -> None:
    path = write("x.tsv", "en\tfr\tde\none\tun\teins\n")
    assert texts(path, columns=(3, 1), header="no") == [("de", "en"), ("eins", "one")]
    assert texts(path, columns=("de", "en")) == [("eins", "one")]
    assert texts(path, columns=("de", 2)) == [("eins", "un")]
    with pytest.raises(DataError, match="expected 4 columns, found 3"):
        texts(path, columns=(1, 4))


def test_columns_that_are_not_there(write: Write) -> None:
    path = write("x.tsv", "english\tfrench\none\tun\n")
    with pytest.raises(
        DataError, match=r"line 1: no column 'englsh' in the header.*did you mean 'english'\?"
    ):
        texts(path, columns=("englsh", "french"))
    with pytest.raises(
        DataError, match="'zz' in the header, which has 'english', 'french'; choose"
    ):
        texts(path, columns=("english", "zz"))
    with pytest.raises(DataError, match="header names the column 'a' more than once"):
        texts(write("y.tsv", "a\ta\tb\n1\t2\t3\n"), columns=("a", "b"))
    with pytest.raises(DataError, match="empty; a header with the column names was expected"):
        texts(write("z.tsv", ""), columns=("a", "b"))
    with pytest.raises(UsageError, match="source and target must differ"):
        texts(path, columns=("english", 1))


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"columns": (0, 1)}, "columns are counted from 1"),
        ({"columns": (2, 2)}, "must differ"),
        ({"columns": ("", "b")}, "an empty column name"),
        ({"columns": (1, 2, 3)}, "two are needed"),
        ({"max_pairs": 0}, "max_pairs 0: must be at least 1"),
        ({"on_error": "ignore"}, "on_error 'ignore': choose stop or skip"),
    ],
)
def test_impossible_options(options: dict[str, Any], what: str) -> None:
    with pytest.raises(UsageError, match=what):
        ReadOptions(**options)


@pytest.mark.parametrize("header", ["source\ttarget", "en\tfr", "Text_1\tLabel", "English\tpt-BR"])
@pytest.mark.parametrize("columns", [None, (1, 2)])
def test_a_header_is_recognised_and_reported(
    write: Write, header: str, columns: Columns | None
) -> None:
    told: list[str] = []
    path = write("x.tsv", f"{header}\na\tb\n")
    assert texts(path, report=told.append, columns=columns) == [("a", "b")]
    shown = header.replace("\t", ", ")
    assert f"the first row is a header and is left out: {shown} (--header no" in told[0]
    first, second = header.split("\t")
    assert texts(path, header="no", columns=columns) == [(first, second), ("a", "b")]
    assert texts(path, report=told.append, columns=(first, second)) == [("a", "b")]
    assert len(told) == 1


def test_header_yes_leaves_out_any_first_row(write: Write) -> None:
    assert texts(write("x.tsv", "uno\tdos\na\tb\n"), header="yes") == [("a", "b")]
    with pytest.raises(UsageError, match="columns en, fr: names need a header"):
        ReadOptions(columns=("en", "fr"), header="no")
    jsonl = write("x.jsonl", '{"source": "a", "target": "b"}\n')
    with pytest.raises(UsageError, match="JSONL has keys and no header; leave --header out"):
        texts(jsonl, header="yes")
    with pytest.raises(UsageError, match="line-parallel files have no header; remove their first"):
        list(read_pairs(["a.de", "a.en"], ReadOptions(header="yes")))


@pytest.mark.parametrize("columns", [((1, 3), 2), (("lemma", "features"), "form")])
def test_several_columns_make_one_source(write: Write, columns: Columns) -> None:
    told: list[str] = []
    path = write("x.tsv", "lemma\tform\tfeatures\tn\nav\tavda\tN;LOC\t7\n")
    found = texts(path, columns=columns, report=told.append)
    assert found == [("av\tN;LOC", "avda")]
    assert "1 further column is ignored; source is columns 1 and 3, target column 2" in told[0]


def test_a_column_that_looks_like_features_is_hinted_at(write: Write) -> None:
    told: list[str] = []
    path = write("x.tsv", "av\tavda\tN;LOC\n")
    assert texts(path, report=told.append) == [("av", "avda")]
    assert "(column 3 looks like features: --columns 1,3:2 reads it too)" in told[0]


def test_several_keys_make_one_source(write: Write) -> None:
    columns = (("lemma", "features"), "form")
    path = write("x.jsonl", '{"lemma": "av", "features": "N", "form": "avda"}\n')
    assert texts(path, columns=columns) == [("av\tN", "avda")]
    # as `penstock data split` writes held-out pairs
    path = write(
        "y.jsonl", '{"source": "av\\tN", "targets": ["avda"]}\n{"source": "a", "target": "b"}'
    )
    with pytest.raises(
        DataError, match=r"line 2: expected a source of 2 columns, .* found 1; name"
    ):
        texts(path, columns=((1, 2), 3))
    assert texts(path, columns=((1, 2), 3), max_pairs=1) == [("av\tN", "avda")]


def test_a_tab_inside_one_of_several_columns_is_an_error(write: Write) -> None:
    path = write("x.csv", '"a\tb",c,d\n')
    with pytest.raises(DataError, match=r"x\.csv, line 1: a tab inside a column of the source"):
        texts(path, columns=((1, 2), 3))
    assert texts(path, columns=(1, 3)) == [("a\tb", "d")]


@pytest.mark.parametrize(
    ("text", "columns"),
    [("1,2", (1, 2)), ("en,fr", ("en", "fr")), ("1,3:2", ((1, 3), 2)), ("a : b", ("a", "b"))],
)
def test_columns_as_they_are_typed(text: str, columns: Columns) -> None:
    assert parse_columns(text) == columns


@pytest.mark.parametrize("text", ["1", "1,2,3", "1:2:3", "1:2,3"])
def test_columns_that_cannot_be_read(text: str) -> None:
    with pytest.raises(UsageError, match="write two, as in 1,2 or en,fr; with several columns of"):
        parse_columns(text)


@pytest.mark.parametrize("row", ["No\tNon", "it\tit", "source\tla source", "text\tgood"])
def test_a_first_pair_is_no_header(write: Write, row: str) -> None:
    told: list[str] = []
    assert len(texts(write("x.tsv", f"{row}\na\tb\n"), report=told.append)) == 2
    assert told == []


@pytest.mark.parametrize(
    ("line", "side"), [("\tb", "source"), ("a\t", "target"), ("a\t \u00a0", "target")]
)
def test_empty_side(write: Write, line: str, side: str) -> None:
    with pytest.raises(DataError, match=rf"x\.tsv, line 2: the {side} is empty; fill or remove"):
        texts(write("x.tsv", f"a\tb\n{line}\n"))


# --- skip, max_pairs ----------------------------------------------------------------------------


def test_skip_counts_and_lists_the_first_ten(write: Write) -> None:
    told: list[str] = []
    path = write("x.tsv", "good\tbon\n" + "bad\n" * 12 + "fine\tbien\n")
    assert texts(path, on_error="skip", report=told.append) == [("good", "bon"), ("fine", "bien")]
    (report,) = told
    assert report.startswith("skipped 12 lines:\n")
    assert "line 2: expected 2 columns" in report
    assert "line 11:" in report
    assert "line 12:" not in report
    assert report.endswith("and 2 more")


def test_skip_goes_on_after_every_kind_of_bad_line(write: Write) -> None:
    path = write("x.tsv", b"a\tb\n\xff\tx\nn\0l\tx\n\tx\n\nx\na\tb\tc\nlast\tdernier\n")
    told: list[str] = []
    assert texts(path, on_error="skip", report=told.append) == [("a", "b"), ("last", "dernier")]
    assert told[0].startswith("skipped 6 lines:")


def test_skip_does_not_pass_over_damage(write: Write) -> None:
    packed = gzip.compress("".join(f"{i}\t{i * i}\n" for i in range(9999)).encode())
    with pytest.raises(DataError, match="cut short"):
        texts(write("x.tsv.gz", packed[:-100]), on_error="skip")


@pytest.mark.parametrize("wanted", [1, 2, 600, 1000])
def test_max_pairs_reads_exactly_that_many(write: Write, wanted: int) -> None:
    path = write("x.tsv", "".join(f"{i}\t{i}\n" for i in range(700)))
    assert len(texts(path, max_pairs=wanted)) == min(wanted, 700)


def test_max_pairs_counts_good_pairs_and_reads_no_further(write: Write) -> None:
    path = write("x.tsv", "a\tb\nbad\nc\td\nworse\n")
    told: list[str] = []
    assert len(texts(path, max_pairs=2, on_error="skip", report=told.append)) == 2
    assert told[0].startswith("skipped 1 line:")
    assert len(texts(path, max_pairs=1)) == 1


# --- CSV ----------------------------------------------------------------------------------------


def test_csv_quotes_and_embedded_lines(write: Write) -> None:
    path = write("x.csv", 'a,b\r\n"say ""hi"", now","two\r\nlines"\r\nc\u2028d,e\x0cf\r\n')
    pairs = list(read_pairs(path))
    assert [(p.source, p.target, p.line) for p in pairs] == [
        ("a", "b", 1),
        ('say "hi", now', "two\nlines", 2),
        ("c\u2028d", "e\x0cf", 4),
    ]


def test_csv_errors_stand_at_the_first_line_of_the_record(write: Write) -> None:
    with pytest.raises(
        DataError, match=r"x\.csv, line 2: not valid CSV \(in lines 2 to 4\).*quote"
    ):
        texts(write("x.csv", 'a,b\n"open,b\nc,d\n'))
    with pytest.raises(DataError, match=r"line 3: expected 2 columns, found 1; .* by a comma"):
        texts(write("x.csv", '"a\nb",c\nalone\n'))
    with pytest.raises(DataError, match="line 1: not valid CSV: ',' expected after"):
        texts(write("x.csv", '"a"b,c\n'))


def test_csv_skip_goes_on(write: Write) -> None:
    path = write("x.csv", b'a,b\n"x"y,z\nc\xff,d\n,e\nlast,one\n')
    assert texts(path, on_error="skip") == [("a", "b"), ("last", "one")]


def test_an_unclosed_quote_does_not_swallow_memory(write: Write) -> None:
    path = write("x.csv", 'a,b\n"open,b\n' + "some words,quelques mots\n" * 20_000)
    with pytest.raises(DataError, match=r"line 2: not valid CSV.*field larger than field limit"):
        texts(path)


def test_csv_columns_by_name(write: Write) -> None:
    path = write("x.csv.gz", gzip.compress(b"id,en,fr\n7,one,un\n"))
    assert texts(path, columns=("en", "fr")) == [("one", "un")]


# --- JSONL --------------------------------------------------------------------------------------


def test_jsonl_target_and_targets(write: Write) -> None:
    lines = ['{"source": "a", "target": "b"}', '{"source": "c", "targets": ["d", "é"]}']
    pairs = list(read_pairs(write("x.jsonl", "\n".join(lines))))
    assert [(p.source, p.targets, p.line) for p in pairs] == [
        ("a", ("b",), 1),
        ("c", ("d", "é"), 2),
    ]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (
            '{"source": "a", "target"',
            "not valid JSON: .* at character 25; write one object per line",
        ),
        ("", "found a blank line; remove it"),
        ('["a", "b"]', "expected a JSON object, found a list"),
        ('"a"', "expected a JSON object, found a str"),
        ('{"target": "b"}', "no key 'source'; found 'target'"),
        ('{"source": "a"}', "no key 'target' or 'targets'; found 'source'"),
        ('{"source": 1, "target": "b"}', "'source' must be a string, found 1"),
        ('{"source": "a", "target": null}', "'target' must be a string, found null"),
        ('{"source": "a", "target": ["b"]}', "for a list, the key is 'targets'"),
        ('{"source": "a", "targets": "b"}', "'targets' must be a list of strings, found \"b\""),
        ('{"source": "a", "targets": []}', r"one or more strings, found \[\]"),
        ('{"source": "a", "targets": ["b", 2]}', r"one or more strings, found \[\"b\", 2\]"),
        ('{"source": "a", "target": "b", "targets": ["b"]}', "both 'target' and 'targets'"),
        ('{"source": "a", "targets": ["b", " "]}', "the target is empty"),
        ('{"source": "a\\u0000", "target": "b"}', "a NUL character; remove it"),
        ('{"source": "\\ud800", "target": "b"}', "half a surrogate pair"),
        ("[" * 200_000, "not usable JSON: too deep"),
        ('{"source": ' + "9" * 5000 + "}", "not usable JSON"),
    ],
)
def test_jsonl_errors(write: Write, line: str, what: str) -> None:
    path = write("x.jsonl", '{"source": "a", "target": "b"}\n' + line + "\n")
    with pytest.raises(DataError, match=rf"x\.jsonl, line 2: .*{what}"):
        texts(path)


def test_jsonl_keys_by_name_and_further_keys(write: Write) -> None:
    told: list[str] = []
    path = write("x.jsonl", '{"en": "a", "fr": ["b"], "id": 1}\n' * 2)
    assert texts(path, columns=("en", "fr"), report=told.append) == [("a", "b")] * 2
    assert told == [f"{path}: further keys are ignored: id"]
    with pytest.raises(UsageError, match="JSONL has keys, not numbered columns"):
        texts(path, columns=(1, 2))


# --- line-parallel files ------------------------------------------------------------------------


def test_parallel_files(write: Write) -> None:
    de = write("a.de", "eins\tx\nzwei\u2028\n")
    en = write("a.en.gz", gzip.compress(b"one\r\ntwo"))
    assert texts([de, en]) == [("eins\tx", "one"), ("zwei\u2028", "two")]


@pytest.mark.parametrize("turn", [1, -1])
def test_unequal_line_counts(write: Write, turn: int) -> None:
    files = [write("a.de", "1\n2\n3\n"), write("a.en", "1\n2\n3\n4\n5\n")]
    what = r"a\.de, line 3: the file ends here, and .*a\.en has 5 lines; .* equally many"
    for on_error in ("stop", "skip"):
        with pytest.raises(DataError, match=what):
            texts(files[::turn], on_error=on_error)
    assert len(texts(files, max_pairs=3)) == 3


def test_parallel_files_keep_step_over_bad_lines(write: Write) -> None:
    de = write("a.de", b"eins\n\xff\n\nvier\n\n")
    en = write("a.en", b"one\ntwo\n\nfour\nfive\n")
    told: list[str] = []
    found = texts([de, en], on_error="skip", report=told.append)
    assert found == [("eins", "one"), ("vier", "four")]
    assert told[0].startswith("skipped 3 lines:")
    with pytest.raises(DataError, match=r"a\.en, line 1: the target is empty"):
        texts([write("b.de", "a\n"), write("a.en", "\n")])
    with pytest.raises(DataError, match=r"a\.de, line 1: the source is empty"):
        texts([write("a.de", "\n"), write("a.en", "\n")])


def test_parallel_misuse(write: Write) -> None:
    path = write("a.de", "a\n")
    with pytest.raises(UsageError, match="standard input cannot be both sides"):
        texts(["-", "-"])
    with pytest.raises(UsageError, match="line-parallel files have no columns"):
        texts([path, path], columns=(1, 2))


# --- properties and real data -------------------------------------------------------------------

side = st.text(st.characters(exclude_characters="\t\n\r\0", exclude_categories=["Cs"]), min_size=1)
visible = side.filter(lambda text: not text.isspace())


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pairs=st.lists(st.tuples(visible, visible)))
def test_any_pairs_come_back(tmp_path: Path, pairs: list[tuple[str, str]]) -> None:
    tsv, jsonl = tmp_path / "x.tsv", tmp_path / "x.jsonl"
    with tsv.open("w", encoding="utf-8-sig", newline="\n") as file:
        file.writelines(f"{source}\t{target}\n" for source, target in pairs)
    with jsonl.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps({"source": s, "target": t}) + "\n" for s, t in pairs)
    assert texts(tsv) == pairs
    assert texts(jsonl) == pairs


MULTI30K = [SHARED / "multi30k" / "train.de.gz", SHARED / "multi30k" / "train.en.gz"]


@pytest.mark.parametrize(
    ("source", "count"),
    [
        pytest.param(SHARED / "tatoeba-en-fr" / "train.tsv.gz", 159_134, id="tatoeba-train"),
        pytest.param(SHARED / "tatoeba-en-fr" / "test.jsonl.gz", 1_980, id="tatoeba-test"),
        pytest.param(SHARED / "book-fra-eng" / "fra.txt", 1_000, id="book"),
        pytest.param(SHARED / "g2p-fr" / "train.tsv", 3_600, id="g2p"),
        pytest.param(SHARED / "sst2" / "dev.tsv.gz", 872, id="sst2"),
        pytest.param(MULTI30K, 29_000, id="multi30k"),
    ],
)
def test_real_data(source: Any, count: int) -> None:
    if not SHARED.exists():
        pytest.skip(f"the shared data are not at {SHARED}")
    told: list[str] = []
    assert sum(1 for _ in read_pairs(source, ReadOptions(report=told.append))) == count
    assert told == []
