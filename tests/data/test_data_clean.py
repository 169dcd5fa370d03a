"""What `clean_corpus` and `penstock data clean` reject, and that they lose nothing."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from penstock.cli.corpora import app
from penstock.data.clean import CleaningReport, clean_corpus
from penstock.data.filters import duplicates
from penstock.data.filters.filter_options import FilterOptions
from penstock.data.filters.filter_table import FILTERS
from penstock.data.formats.readers import ReadOptions, read_pairs
from penstock.errors import DataError, PenstockError, UsageError
from penstock.text.mojibake import find_mojibake

SOUND = [
    ("Where is the station?", "Où est la gare ?"),
    ("I'm 19.", "J'ai 19 ans."),
    ("Tom has a terrible secret.", "Tom a un terrible secret."),
    ("The CAFÉ…", "Le «\u00a0CAFÉ\u00a0» à «\u00a0Paris\u00a0»…"),
    ("the children", "हिन्दी में बच्चे"),
    ("Oh.", "Ô."),
]

Clean = Callable[..., tuple[CleaningReport, list[str], dict[int, tuple[str, str]]]]


@pytest.fixture
def clean(tmp_path: Path) -> Clean:
    """Clean pairs; gives the report, the lines kept, and reason and detail by rejected line."""

    def run(
        pairs: Sequence[tuple[str, ...]],
        score: Callable[[Sequence[tuple[str, str]]], Sequence[float]] | None = None,
        options: ReadOptions | None = None,
        **bounds: Any,
    ) -> tuple[CleaningReport, list[str], dict[int, tuple[str, str]]]:
        path, out, rejected = (tmp_path / name for name in ("in.tsv", "out.tsv", "rejected.tsv"))
        path.write_text("".join("\t".join(row) + "\n" for row in pairs), "utf-8", newline="\n")
        found = clean_corpus(
            path,
            out,
            rejected=rejected,
            filters=FilterOptions(**bounds),
            score=score,
            options=options,
        )
        rows = [line.split("\t") for line in rejected.read_text("utf-8").split("\n")[1:-1]]
        kept = out.read_text("utf-8").split("\n")[:-1]
        return found, kept, {int(row[0]): (row[1], row[2]) for row in rows}

    return run


@pytest.mark.parametrize(
    ("pair", "reason", "detail"),
    [
        (("a" * 1001, "b" * 900), "length", "source: 1,001 characters"),
        (("go\x07 on", "va"), "characters", "source: U+0007 at character 3"),
        (("the \ue123 sign", "le signe"), "characters", "source: U+E123 at character 5"),
        (("caf\ufffd", "café"), "characters", "source: U+FFFD at character 4"),
        (("naive", "naÃ¯ve"), "mojibake", "target: Ã¯ for ï"),
        (("12:30 -- 14:30", "de midi et demie"), "letters", "source: 0% letters"),
        (("Yes.", "Oui, c'est exactement ce que je voulais dire."), "ratio", "times as long"),
        (("That is exactly what I wanted to say.", "Oui."), "ratio", "times as short"),
        (("Click here to go on", "click here to go on"), "copy", "5 of 5 words"),
        (("¡¡¡ 3!!!", "¡¡¡ 3!!!"), "copy", "1 of 1 words"),
        (("It is a warm day today.", "Heute ist ein sehr warmer Tag."), "language", "like de"),
        (
            ("Il fait très chaud ici.", "Il fait vraiment chaud."),
            "language",
            "source: looks like fr",
        ),
        (("where is  the STATION?", "Où est la gare\u202f?"), "duplicate", "as in line 1"),
        (("Where is the station!", "Ou est la gare"), "near-duplicate", "as in line 1"),
    ],
)
def test_what_is_rejected(clean: Clean, pair: tuple[str, str], reason: str, detail: str) -> None:
    bounds: dict[str, Any] = {"min_letters": 0.0} if reason == "copy" else {}
    if reason == "language":
        bounds["languages"] = "en,fr"
    report, kept, rejected = clean([*SOUND, pair], **bounds)
    number = len(SOUND) + 1
    assert rejected[number][0] == reason
    assert detail in rejected[number][1]
    assert report.removed[reason].examples[-1].line == number
    _, kept, _ = clean([*SOUND, pair], without=(reason, "near-duplicate", "copy"), **bounds)
    assert "\t".join(pair) in kept


def test_sound_pairs_stay(clean: Clean) -> None:
    report, kept, rejected = clean(SOUND, languages="en,")
    assert not rejected
    assert kept == ["\t".join(pair) for pair in SOUND]
    assert (report.read, report.kept, report.off) == (6, 6, ["score"])


def test_ratios_are_compared_with_the_usual_one(clean: Clean) -> None:
    chinese = [(f"This is sentence {word} of a text.", f"第{word}句") for word in "abcdefghij"]
    report, kept, rejected = clean([*chinese, ("Yes, that is how it is.", "是" * 23)])
    assert report.usual_ratio == pytest.approx((3 + 5) / (29 + 5), abs=0.001)
    assert rejected == {11: ("ratio", "target: 4.3 times as long as usual")}
    assert len(kept) == 10


def test_a_pair_below_the_least_score_goes_out(clean: Clean) -> None:
    seen: list[tuple[str, str]] = []

    def score(pairs: Sequence[tuple[str, str]]) -> list[float]:
        seen.extend(pairs)
        return [-0.5 * len(source.split()) for source, _ in pairs]

    pairs = [("one two three", "un deux"), ("one", "un"), ("ONE", "un")]
    _, kept, rejected = clean(pairs, score, min_score=-1)
    assert rejected == {1: ("score", "-1.50 per token"), 3: ("duplicate", "as in line 2")}
    assert kept == ["one\tun"]
    assert seen == pairs[:2]  # what has gone out already costs no time


def test_unusable_lines_are_rejected_with_their_reason(tmp_path: Path) -> None:
    path = tmp_path / "in.tsv"
    path.write_bytes(b"a\tb\nonly one\n\xff\tb\nc\t \nd\te\n")
    report = clean_corpus(path, tmp_path / "out.tsv", rejected=tmp_path / "no.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "no.jsonl").read_text("utf-8").splitlines()]
    assert [(row["line"], row["reason"]) for row in rows] == [(n, "unusable") for n in (2, 3, 4)]
    assert "expected 2 columns" in rows[0]["detail"]
    assert (report.read, report.kept) == (5, 2)
    with pytest.raises(DataError, match="line 2: expected 2 columns"):
        clean_corpus(path, tmp_path / "x.tsv", rejected=tmp_path / "y.tsv", options=ReadOptions())
    assert not list(tmp_path.glob(".*"))


def test_every_line_goes_to_one_of_two_files_in_order(
    clean: Clean, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duplicates, "_HELD", 16)
    monkeypatch.setattr(duplicates, "_BLOCK", 32)
    draw = random.Random(5)
    words = [*"ab", "a.", "B", "á", "1", "2", "1.", "a\u00a0b"]
    pairs = [(draw.choice(words), draw.choice(words)) for _ in range(500)]
    off = ("copy", "letters", "ratio")
    _, kept, rejected = clean(pairs, without=off)
    numbered = {n: "\t".join(pair) for n, pair in enumerate(pairs, 1)}
    assert kept == [line for n, line in numbered.items() if n not in rejected]
    # the independent truth, for an alphabet this small
    exact, near = str.maketrans("B\u00a0", "b "), str.maketrans("áB2", "ab1", ".\u00a0 ")
    first_exact: dict[str, int] = {}
    first_near: dict[tuple[str, ...], int] = {}
    for n, pair in enumerate(pairs, 1):
        plain = tuple(x.translate(near) if x[0] not in "12" else x for x in pair)
        earlier = first_near.setdefault(plain, n)
        again = first_exact.setdefault(numbered[n].translate(exact), n) < n
        reason = "duplicate" if again else "near-duplicate" if earlier < n else ""
        assert rejected.get(n) == ((reason, f"as in line {earlier}") if reason else None)
    _, all_near, _ = clean(pairs, without=(*off, "duplicate"))
    assert all_near == kept
    _, only_exact, _ = clean(pairs, without=(*off, "near-duplicate"))
    assert len(only_exact) == len(first_exact)
    _, everything, none = clean(pairs, without=(*off, "duplicate", "near-duplicate"))
    assert everything == list(numbered.values())
    assert not none


def test_mojibake_of_any_script_is_found() -> None:
    for text in (
        "déjà vu",
        "“quoted”",
        "Größe",
        "Привет",
        "日本語の文",
        "שלום",
        "it’s 🙂",
        "à toi",
    ):
        for encoding in ("cp1252", "latin-1"):
            try:
                broken = text.encode().decode(encoding)
            except UnicodeDecodeError:
                continue
            found = find_mojibake(broken)
            assert found is not None, (text, encoding)
            assert found[1] in text
        assert find_mojibake(text) is None


def test_formats_of_input_and_output(tmp_path: Path) -> None:
    path, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl.gz"
    rows = [{"source": "un\tdeux", "targets": ["a\nb", "c d"]}, {"source": "x y", "target": "z z"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = clean_corpus(path, out, rejected=tmp_path / "rejected.tsv")
    assert [(pair.source, pair.target) for pair in read_pairs(out)] == [
        ("un\tdeux", "a\nb"),
        ("un\tdeux", "c d"),
        ("x y", "z z"),
    ]
    assert report.cleaned_texts == 0
    report = clean_corpus(out, tmp_path / "out.tsv.gz", rejected=tmp_path / "rejected.tsv")
    text = gzip.decompress((tmp_path / "out.tsv.gz").read_bytes()).decode()
    assert text == "un deux\ta b\nun deux\tc d\nx y\tz z\n"
    assert report.cleaned_texts == 3


def test_lines_of_several_files_have_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.tsv").write_text("one two\tun deux\nx\n")
    Path("b.tsv").write_text("three\ttrois\none two\tun deux\n")
    report = clean_corpus("?.tsv", "out.jsonl", rejected="no.tsv")
    rows = [line.split("\t")[:3] for line in Path("no.tsv").read_text().split("\n")[1:-1]]
    assert rows[0][:2] == ["a.tsv:2", "unusable"]
    assert rows[1] == ["b.tsv:2", "duplicate", "as in a.tsv:1"]
    assert report.removed["duplicate"].examples[0].line == "b.tsv:2"


def test_several_columns_of_the_source_stay_columns(clean: Clean) -> None:
    rows = [("V;1;SG", "put", "put"), ("V;3;SG", "puts", "put"), ("V;3;SG", "puts", "put")]
    options = ReadOptions(columns=((3, 1), 2), on_error="skip")
    _, kept, rejected = clean(rows, options=options, without=("ratio", "letters", "copy"))
    assert kept == ["put\tV;1;SG\tput", "put\tV;3;SG\tputs"]
    assert rejected == {3: ("duplicate", "as in line 2")}


def test_nothing_left_is_an_error_that_leaves_the_reasons(tmp_path: Path) -> None:
    path, out, rejected = (tmp_path / name for name in ("in.tsv", "out.tsv", "rejected.tsv"))
    path.write_text("a\tA\n")
    out.write_text("before")
    with pytest.raises(DataError, match=r"none of 1 lines is left; .*rejected.tsv says why"):
        clean_corpus(path, out, rejected=rejected)
    assert out.read_text() == "before"
    assert "\tcopy\t" in rejected.read_text()
    path.write_text("")
    with pytest.raises(DataError, match="no sentence pairs found"):
        clean_corpus(path, out, rejected=rejected)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in.tsv", "out.tsv", "rejected.tsv"]


@pytest.mark.parametrize(
    ("out", "rejected", "bounds", "message"),
    [
        ("in.tsv", "r.tsv", {}, "would replace its own input"),
        ("o.tsv", "in.tsv", {}, "would replace its own input"),
        ("o.tsv", "o.tsv", {}, "need two files"),
        ("-", "r.tsv", {}, "standard output is not written here"),
        ("o.csv", "r.tsv", {}, r"\.csv is not written here"),
        ("o.tsv", "r.tsv.bz2", {}, "bzip2 is not read"),
        ("o.tsv", "r.tsv", {"without": ("letter",)}, "did you mean 'letters'"),
        ("o.tsv", "r.tsv", {"without": ("unusable",)}, "unknown filter 'unusable'"),
        ("o.tsv", "r.tsv", {"min_score": -2}, "belong together"),
        ("o.tsv", "r.tsv", {"languages": "en,tlh"}, "language 'tlh': the detector does not know"),
        ("o.tsv", "r.tsv", {"languages": "en"}, "languages"),
        ("o.tsv", "r.tsv", {"max_ratio": 1}, "max_ratio = 1: must be above 1"),
    ],
)
def test_impossible_calls(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    out: str,
    rejected: str,
    bounds: dict[str, Any],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.tsv").write_text("a\tb\n")
    with pytest.raises(UsageError, match=message):
        clean_corpus("in.tsv", out, rejected=rejected, filters=FilterOptions(**bounds))
    assert [file.name for file in tmp_path.iterdir()] == ["in.tsv"]


def test_each_bound_belongs_to_one_filter() -> None:
    bounds = [bound for each in FILTERS.values() for bound in each.bounds]
    assert sorted([*bounds, "without"]) == sorted(FilterOptions.model_fields)


def test_the_command_reports_what_went_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pairs = [("She sees them.", "Elle les voit."), ("Go on", "Go on"), ("a\x1b", "b")]
    Path("in.tsv").write_text("".join("\t".join(pair) + "\n" for pair in pairs))
    files = ["in.tsv", "-o", "out.tsv", "--rejected", "rejected.tsv"]
    done = CliRunner().invoke(app, ["clean", *files])
    assert done.exit_code == 0
    assert "1 of 3 pairs kept: " in done.output
    assert "copy                    1  33.33%  a target that copies its source" in done.output
    assert "    line 2: 2 of 2 words on both sides · Go on | Go on\n" in done.output
    assert "off: language, score" in done.output
    assert "\x1b" not in done.output
    done = CliRunner().invoke(app, ["clean", *files, "--json", "--report", "report.json"])
    report = json.loads(done.output)
    assert report == json.loads(Path("report.json").read_text())
    assert report["removed"]["copy"]["count"] == 1
    assert report["removed"]["length"]["bounds"] == {"min_length": 1, "max_length": 1000}
    model = ["--model", "demo", "--min-score", "-20"]
    done = CliRunner().invoke(app, ["clean", *files, *model])
    assert done.exit_code == 0, done.exception
    assert "score                   0" in done.output
    for wrong in (["-m", "demo"], ["--to", "fr"], ["--report", "out.tsv"]):
        failed = CliRunner().invoke(app, ["clean", *files, *wrong])
        assert isinstance(failed.exception, PenstockError)


def test_the_page_lists_the_filters_in_their_order() -> None:
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text("utf-8")
    rows = page.partition("## clean")[2].partition("\n## ")[0].split("\n")
    names = [row.split("`")[1] for row in rows if row.startswith("| `")]
    assert names == list(FILTERS)
