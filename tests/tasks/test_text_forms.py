"""A model with several input columns, a Unicode form and the training text's case, end to end."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest
from typer.testing import CliRunner

import penstock as ps
from conftest import quiet_console
from penstock.bundle import load_bundle, save_bundle
from penstock.cli.app import app
from penstock.config import parse_config
from penstock.errors import DataError, UsageError
from penstock.tasks.model_export import export_bundle
from penstock.tasks.translation.search_options import Phrases, SearchOptions
from penstock.training.loop import train

LETTERS = "abcdéfğhıklmnoprsştuvyz"
ROWS = [
    (f"{a}{b}al", f"{a}{b}al{'lar' if plural else ''}", f"N;{'PL' if plural else 'SG'};NOM")
    for a in LETTERS
    for b in "aeio"
    for plural in (False, True)
]
GREEDY = SearchOptions(search="greedy")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "forms.tsv"
    rows = ["lemma\tform\tfeatures", *("\t".join(row) for row in ROWS)]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def run(table: Path) -> Path:
    side = {"kind": "char", "unicode": "NFD", "min_frequency": 1}
    config = parse_config(
        {
            "threads": 1,
            "device": "cpu",
            "data": {"train": str(table), "columns": [["lemma", "features"], "form"]},
            "text": {"source": side, "target": side},
            "model": {"embedding_size": 8, "hidden_size": 16},
            "training": {"max_updates": 4, "evaluate_every": 4, "export": "none"},
        }
    )
    train(config, table.parent / "run", console=quiet_console())
    return table.parent / "run"


@pytest.fixture(scope="module")
def translator(run: Path) -> ps.Translator:
    return ps.Translator.load(run)


def test_features_are_recognised_and_text_is_decomposed(translator: ps.Translator) -> None:
    (result,) = translator.translate(["éal\tN;PL;NEW"], GREEDY)
    assert result.source_tokens == ["e", "́", "a", "l", "⇥", "N", "PL", "<unk>", "<eos>"]
    assert unicodedata.is_normalized("NFC", result.text)


def test_the_user_may_write_any_form_and_case(translator: ps.Translator) -> None:
    composed, decomposed, shouted = translator.translate(
        ["éal\tN;PL", unicodedata.normalize("NFD", "éal\tN;PL"), "FÉAL\tN;PL"], GREEDY
    )
    assert (composed.text, composed.read_as) == (decomposed.text, None)
    assert shouted.read_as == "féal\tN;PL"
    assert shouted.text == shouted.text.lower()  # the training text has no capitals
    assert shouted.source == "FÉAL\tN;PL"
    (alone,) = translator.score([("FÉAL\tN;PL", "féallar")])
    assert alone == translator.score([("féal\tN;PL", "féallar")])[0]


def test_phrases_are_in_the_models_form(translator: ps.Translator) -> None:
    phrases = [Phrases(required=("şé",)), Phrases(prefix="ğ")]
    required, prefixed = translator.translate(["bal\tN", "bal\tN"], GREEDY, phrases=phrases)
    assert "şé" in required.text
    assert prefixed.text.startswith("ğ")


def test_blank_lines_stay_and_a_wrong_number_of_columns_is_an_error(
    translator: ps.Translator,
) -> None:
    message = "expected 2 columns, found 1; give lemma and features as in the training data"
    assert translator.translate(["", " \t "])[1].status == "empty"
    with pytest.raises(DataError, match=f"line 2: {message}, separated by a tab"):
        translator.translate(["bal\tN", "bal"])
    with pytest.raises(DataError, match=message):
        translator.segment("bal")
    with pytest.raises(DataError, match="line 1: expected 2 columns, found 3"):
        translator.score([("a\tb\tc", "x")])


def test_a_long_source_with_columns_is_cut_and_says_so(translator: ps.Translator) -> None:
    (result,) = translator.translate(["bal" * 200 + "\tN"], GREEDY)
    assert (result.status, result.parts) == ("truncated", 1)


def test_an_exported_model_reads_the_same(run: Path, translator: ps.Translator) -> None:
    exported = run.parent / "exported"
    bundle = load_bundle(run)
    save_bundle(export_bundle(bundle, precision="fp32", pairs=None), exported)
    lines = ["éal\tN;PL", "FÉAL\tN;SG"]
    found = ps.Translator.load(exported, engine="onnx").translate(lines, GREEDY)
    wanted = translator.translate(lines, GREEDY)
    assert [(r.text, r.read_as) for r in found] == [(r.text, r.read_as) for r in wanted]


def test_evaluation_takes_the_columns_of_the_training(
    run: Path, table: Path, translator: ps.Translator
) -> None:
    assert ps.evaluate(translator, table).examples == len(ROWS)
    runner = CliRunner()
    done = runner.invoke(app, ["score", "-m", str(run), str(table), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout.splitlines()[0])["source"] == "aaal\tN;SG;NOM"
    done = runner.invoke(app, ["score", "-m", str(run), str(table), "--columns", "1,2"])
    assert isinstance(done.exception, UsageError)
    assert "columns: 1 for the source, and the model reads 2" in str(done.exception)


def test_translate_names_the_line_and_counts_lines_in_other_case(run: Path) -> None:
    runner = CliRunner()
    done = runner.invoke(app, ["translate", "-m", str(run)], input="bal\tN\n\nbal\n")
    assert "-, line 3: expected 2 columns, found 1" in str(done.exception)
    done = runner.invoke(app, ["translate", "-m", str(run)], input="bal\tN\nKBAL\tN\n")
    assert "1 line was read in other case (--format json shows which)" in done.stderr
