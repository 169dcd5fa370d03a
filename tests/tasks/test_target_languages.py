"""Several target languages in one model: the symbol before the source, and who chooses it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import penstock as ps
from conftest import quiet_console
from penstock.cli.train import _trial
from penstock.config import parse_config
from penstock.data.grammar import generate_pairs
from penstock.errors import ConfigError, DataError, UsageError
from penstock.serve.models.model_paths import ModelPath
from penstock.serve.models.served_models import load_models
from penstock.tasks.model_export import export_bundle
from penstock.tasks.translation.translator import Translator
from penstock.training.loop import train

SETTINGS = [
    "threads=1", "device=cpu", "data.language_column=3", "data.source_language=en",
    "data.valid_pairs=12", "data.max_source_tokens=24",
    "text.source.kind=char", "text.target.kind=char", "text.case=keep",
    "model.embedding_size=16", "model.hidden_size=32", "model.encoder_layers=1",
    "model.decoder_layers=1", "model.dropout=0.0", "model.embedding_dropout=0.0",
    "training.max_updates=60", "training.learning_rate=0.02", "training.warmup_updates=5",
    "training.evaluate_every=60", "training.precision=fp32", "training.metric=loss",
    "training.average_decay=none", "training.export=none", "training.batch_tokens=400",
]  # fmt: skip
TAGS = ("up", "same")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`pairs.tsv`, whose third column says whether a word is written large, and the run `both`."""
    folder = tmp_path_factory.mktemp("languages")
    words = sorted(
        {w.lower() for p in generate_pairs(200) for w in p.source.split() if w.isalpha()}
    )
    rows = [f"{w}\t{w.upper() if tag == 'up' else w}\t{tag}\n" for w in words for tag in TAGS]
    (folder / "pairs.tsv").write_text("".join(rows), encoding="utf-8")
    config = parse_config({}, SETTINGS, values={"data.train": str(folder / "pairs.tsv")})
    train(config, folder / "both", console=quiet_console())
    return folder


@pytest.fixture(scope="module")
def translator(folder: Path) -> Translator:
    return Translator.load(folder / "both", engine="torch")


def test_the_language_is_one_symbol_before_the_source(translator: Translator) -> None:
    source = translator.bundle.source_tokenizer
    assert translator.languages == ["same", "up"]
    shown = source.tokens(source.encode("up\tcat"))
    assert shown[0] == "up"
    assert shown[-3:] == ["c", "a", "t"]
    assert len(shown) == 5  # the separator between


def test_it_chooses_the_output(translator: Translator) -> None:
    lines = ["the", "cats", " ", "read"]
    up, same = (translator.to(tag).translate(lines) for tag in ("up", "same"))
    assert [r.text.strip().isupper() for r in up] == [True, True, False, True]
    assert [r.text.strip().islower() for r in same] == [True, True, False, True]
    assert [r.source for r in up] == lines
    tagged = translator.translate([f"up\t{line}" for line in lines if line.strip()])
    assert [r.text for r in tagged] == [r.text for r in up if r.source.strip()]
    assert translator.to("up").translate(["a\tb"])[0].text.isupper()  # a tab is a space here
    score = translator.to("up").score([("the", "THE")])[0].log_probability
    assert score == translator.score([("up\tthe", "THE")])[0].log_probability
    assert score > translator.to("same").score([("the", "THE")])[0].log_probability


def test_each_segment_of_a_long_line_has_the_symbol(translator: Translator) -> None:
    (result,) = translator.to("up").translate(["the cats read. " * 4])
    assert result.parts > 1
    assert result.source_tokens.count("up") == result.parts


def test_a_language_must_be_chosen_and_known(folder: Path, tiny_run: Path) -> None:
    translator = Translator.load(folder / "both")
    with pytest.raises(UsageError, match=r"translates into same, up: choose one \(--to"):
        translator.translate(["the"])
    with pytest.raises(UsageError, match="to 'fr': the model translates into same, up"):
        translator.to("fr")
    with pytest.raises(UsageError, match="to 'fr': the model has one target language"):
        Translator.load(tiny_run).to("fr")
    values = {"data.train": str(folder / "pairs.tsv"), "text.source.features": [1]}
    with pytest.raises(ConfigError, match="the language is the only feature"):
        parse_config({}, SETTINGS, values=values)


def test_scores_of_each_language(
    folder: Path, penstock: Callable[..., tuple[int, str, str]]
) -> None:
    model = folder / "both"
    code, out, _ = penstock("evaluate", folder / "pairs.tsv", "-m", model, "--metrics", "exact")
    assert code == 0
    rows = dict(line.split("\t")[:2] for line in out.splitlines())
    assert float(rows["exact %"]) == pytest.approx(
        (float(rows["exact % up"]) + float(rows["exact % same"])) / 2, abs=0.02
    )
    code, out, _ = penstock("translate", "-m", model, "-i", folder / "pairs.tsv", "--to", "fr")
    assert code == 2


def test_evaluation_of_one_language_and_of_another_layout(
    folder: Path, penstock: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    model, rows = folder / "both", (folder / "pairs.tsv").read_text("utf-8").splitlines()
    bare, moved = tmp_path / "bare.tsv", tmp_path / "moved.tsv"
    bare.write_text("".join(row.removesuffix("\tup") + "\n" for row in rows if row.endswith("up")))
    moved.write_text("".join("\t".join(row.split("\t")[::-1]) + "\n" for row in rows))
    whole, one, other = (
        dict(line.split("\t")[:2] for line in out.splitlines())
        for code, out, _ in (
            penstock("evaluate", folder / "pairs.tsv", "-m", model, "--metrics", "exact"),
            penstock("evaluate", bare, "-m", model, "--metrics", "exact", "--to", "up"),
            penstock(
                *("evaluate", moved, "-m", model, "--metrics", "exact"),
                *("--columns", "3,2", "--language-column", "1"),
            ),
        )
        if code == 0
    )
    assert one["exact %"] == whole["exact % up"]
    assert other["exact %"] == whole["exact %"]
    tagged, plain = (
        [line.split("\t")[0] for line in penstock("score", *flags)[1].splitlines()]
        for flags in ((folder / "pairs.tsv", "-m", model), (bare, "-m", model, "--to", "up"))
    )
    assert plain == [row for row, line in zip(tagged, rows, strict=True) if line.endswith("up")]
    for flags, message in (
        (("--to", "fr"), "translates into same, up"),
        (("--to", "up", "--language-column", "3"), "--to and --language-column: give one"),
    ):
        code, _, err = penstock("evaluate", folder / "pairs.tsv", "-m", model, *flags)
        assert code == 2
        assert message in err


def test_the_hint_after_training_names_a_language(folder: Path) -> None:
    run = folder / "both"
    hint = _trial(Translator.load(run).bundle.config, run)
    assert hint == f"echo TEXT | penstock translate -m {run} --to same"


def test_served_by_language(folder: Path) -> None:
    served = load_models([ModelPath(folder / "both", None)])
    assert list(served.pairs) == [("en", "same"), ("en", "up")]
    assert served.translator("en", "up").translate(["the"])[0].text.isupper()
    assert served.translator("en", "same").translate(["the"])[0].text.islower()
    one = load_models([ModelPath(folder / "both", ("en", "up"))])
    assert list(one.pairs) == [("en", "up")]
    with pytest.raises(UsageError, match="it translates into same, up"):
        load_models([ModelPath(folder / "both", ("en", "fr"))])


def test_exported(folder: Path, translator: Translator) -> None:
    exported = export_bundle(ps.load_bundle(folder / "both"), precision="fp32")
    onnx = Translator(exported, engine="onnx")
    lines = ["the", "cats"]
    for tag in TAGS:
        texts = [r.text for r in onnx.to(tag).translate(lines)]
        assert texts == [r.text for r in translator.to(tag).translate(lines)]


def test_a_line_without_its_language_column(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "pairs.tsv").write_text("a\tb\n" * 30, encoding="utf-8")
    config = parse_config({}, SETTINGS, values={"data.train": str(tmp_path / "pairs.tsv")})
    with pytest.raises(DataError, match="expected 3 columns, found 2"):
        train(config, tmp_path / "run", console=quiet_console())
