"""Cloze: the answer is never seen, whatever the depth; every blank is filled in its place."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from conftest import assert_resumes_exactly, quiet_console, task_config
from penstock.cli.app import run as penstock
from penstock.config import CELLS, parse_config
from penstock.errors import DataError, UsageError
from penstock.runtime.engine import Engine
from penstock.runtime.network_engine import NetworkEngine
from penstock.search import SearchStoppedError
from penstock.special_tokens import EOS_ID, PAD_ID, RESERVED
from penstock.tasks.cloze import blank_filler
from penstock.tasks.cloze.blank_filler import BlankFiller
from penstock.tasks.cloze.network import Cloze
from penstock.training.loop import train

Capture = pytest.CaptureFixture[str]


def cloze(**changes: Any) -> Cloze:
    raw = {"embedding_size": 8, "hidden_size": 12, **changes}
    config = parse_config({"task": "cloze", "data": {"train": "x"}, "model": raw})
    torch.manual_seed(3)
    return Cloze(config.model, vocab_size=20).eval()


def sentences() -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.randint(4, 20, (3, 8), generator=torch.Generator().manual_seed(1))
    lengths = torch.tensor([8, 5, 2])
    for row, length in enumerate(lengths.tolist()):
        ids[row, length - 1] = EOS_ID
        ids[row, length:] = PAD_ID
    return ids, lengths


# --- the network --------------------------------------------------------------------------------


@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("cell", CELLS)
def test_the_answer_is_never_seen_and_all_else_is(cell: str, num_layers: int) -> None:
    model = cloze(cell=cell, num_layers=num_layers)
    ids, lengths = sentences()
    before = model(ids, lengths)
    for place in range(7):
        changed = ids.clone()
        changed[0, place] = (ids[0, place] - 3) % 16 + 4
        moved = (model(changed, lengths) != before)[0, :7].any(-1)
        assert moved.tolist() == [other != place for other in range(7)]


def test_a_padded_sentence_is_the_sentence_alone() -> None:
    model = cloze(num_layers=2)
    ids, lengths = sentences()
    together = model(ids, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = model(ids[row : row + 1, :length], lengths[row : row + 1])
        torch.testing.assert_close(together[row, : length - 1], alone[0, : length - 1])


def test_the_loss_counts_every_token_but_the_end() -> None:
    model = cloze()
    ids, lengths = sentences()
    total = model.loss(ids, lengths)
    logits = model(ids, lengths)
    expected = sum(
        cross_entropy(logits[row, : n - 1], ids[row, : n - 1], reduction="sum")
        for row, n in enumerate(lengths.tolist())
    )
    torch.testing.assert_close(total, torch.as_tensor(expected))


# --- training -----------------------------------------------------------------------------------


def test_it_learns(cloze_run: Path, texts: Path) -> None:
    lines = (texts / "lines.txt").read_text(encoding="utf-8").split("\n")
    scores = BlankFiller.load(cloze_run).score(lines)
    share = sum(score.right for score in scores) / sum(score.tokens for score in scores)
    commonest = sum(line.endswith(".") for line in lines) / sum(s.tokens for s in scores)
    assert share > 1.5 * commonest


def test_interrupted_and_resumed_is_uninterrupted(texts: Path, tmp_path: Path) -> None:
    assert_resumes_exactly("cloze", texts, tmp_path)


def test_a_file_of_pairs_is_no_text(texts: Path, tmp_path: Path) -> None:
    config = task_config("cloze", texts, "data.train='pairs.jsonl.gz'")
    with pytest.raises(UsageError, match="reads plain text, and this is a file of pairs"):
        train(config, tmp_path / "run", console=quiet_console())


@pytest.mark.parametrize(
    ("lines", "override", "message"),
    [
        (["1 2"] * 40, "data.normalize=letters", r"no training lines: the file is empty"),
        ([" "], "data.normalize=none", r"no training lines: the file is empty"),
        (["a b"] * 40, "data.normalize=none", r"these 40 lines have fewer than ten"),
        (["a b"] * 40, "data.valid=rest", r"nothing new follows the first data\.max_pairs = 9"),
    ],
)
def test_texts_that_are_too_little(
    texts: Path, tmp_path: Path, lines: list[str], override: str, message: str
) -> None:
    (tmp_path / "text.txt").write_text("".join(f"{x}\n" for x in lines), encoding="utf-8")
    overrides = [f"data.train={tmp_path / 'text.txt'}", override]
    if override == "data.valid=rest":
        overrides.append("data.max_pairs=9")
    with pytest.raises(DataError, match=message):
        train(task_config("cloze", texts, *overrides), tmp_path / "run", console=quiet_console())


# --- use ----------------------------------------------------------------------------------------


def network_of(engine: Engine) -> nn.Module:
    assert isinstance(engine, NetworkEngine)
    return engine.network


@pytest.fixture(scope="module")
def filler(cloze_run: Path) -> BlankFiller:
    return BlankFiller.load(cloze_run)


def test_blanks_are_filled_in_their_places(filler: BlankFiller) -> None:
    lines = ["She is  ___ today .", "", "___ , ___ ___ !", "it is ___"]
    results = filler.fill(lines, n_best=3)
    assert [result.source for result in results] == lines
    assert [result.status for result in results] == ["ok", "empty", "ok", "ok"]
    assert results[1].text == ""
    for result in results:
        assert len(result.blanks) == result.source.count("___")
        text = result.source
        for candidates in result.blanks:
            assert len(candidates) == 3
            values = [c.probability for c in candidates]
            assert values == sorted(values, reverse=True)
            assert not {c.token for c in candidates} & set(RESERVED)
            text = text.replace("___", candidates[0].token, 1)
        assert result.text == text


def test_a_blank_gets_the_models_first_choice(filler: BlankFiller) -> None:
    tokenizer, model = filler.bundle.source_tokenizer, network_of(filler.engine)
    assert isinstance(model, Cloze)
    ids = [*tokenizer.encode("she is"), 1, *tokenizer.encode("."), EOS_ID]
    logits = model(torch.tensor([ids]), torch.tensor([len(ids)]))[0, 2]
    probabilities = torch.softmax(logits, -1)
    (best,) = filler.fill(["she is ___ ."])[0].blanks
    expected = int(probabilities[len(RESERVED) :].argmax()) + len(RESERVED)
    assert best[0].token == tokenizer.decode([expected])
    assert best[0].probability == pytest.approx(float(probabilities[expected]), abs=1e-6)


def test_alone_and_together_are_the_same(filler: BlankFiller) -> None:
    lines = ["she ___ .", "why ___ you here ?", "___", "the man ___ the ___ in the house ."]
    for together, line in zip(filler.fill(lines), lines, strict=True):
        assert filler.fill([line])[0].text == together.text


def test_the_score_is_that_of_every_blank(filler: BlankFiller) -> None:
    lines = ["she is working .", "", "unknownword is working ."]
    scores = filler.score(lines)
    tokenizer, model = filler.bundle.source_tokenizer, network_of(filler.engine)
    assert isinstance(model, Cloze)
    ids = [*tokenizer.encode(lines[0]), EOS_ID]
    log_probs = torch.log_softmax(model(torch.tensor([ids]), torch.tensor([len(ids)]))[0], -1)
    expected = sum(float(log_probs[t, token]) for t, token in enumerate(ids[:-1]))
    assert scores[0].log_probability == pytest.approx(expected, abs=1e-4)
    assert [score.tokens for score in scores] == [4, 0, 4]
    assert scores[2].unknown == 1


@pytest.mark.parametrize(("kind", "line"), [("char", "she i___ here"), ("separator", "she ___ x")])
def test_other_tokens_than_words(texts: Path, tmp_path: Path, kind: str, line: str) -> None:
    config = task_config("cloze", texts, f"text.source.kind={kind}", "training.max_updates=2")
    train(config, tmp_path / "run", console=quiet_console())
    result = BlankFiller.load(tmp_path / "run").fill([line])[0]
    before, after = line.split("___")
    assert result.text.startswith(before)
    assert result.text.endswith(after)
    token = result.text.removeprefix(before).removesuffix(after)
    assert len(token) == 1 if kind == "char" else " " not in token


def test_blanks_that_touch_are_two_words(filler: BlankFiller) -> None:
    apart, touching = filler.fill(["she ___ ___ .", "she ______ ."])
    assert touching.text == apart.text
    assert touching.blanks == apart.blanks


def test_a_long_line_is_scored_whole_in_parts(
    filler: BlankFiller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than training reads; the parts of its scores are as the whole."""
    line = "she is here , he said . " * 60
    (whole,) = filler.score([line])
    assert whole.tokens == 7 * 60
    monkeypatch.setattr(blank_filler, "_POSITIONS", 13)
    (parts,) = filler.score([line])
    assert parts.log_probability == pytest.approx(whole.log_probability)
    assert parts.right == whole.right


@pytest.mark.parametrize(
    ("kind", "line", "shown", "answer"),
    [
        ("word", "a ___ is a mark .", "a ___ is ___ mark .", "a"),
        ("char", "she is", "she___is", " "),
        ("separator", "she is in", "she ___ in", "is"),
        ("char", "\u200bx\u200b", "\u200b___\u200b", "x"),  # a line that is blank without it
    ],
)
def test_a_sample_leaves_one_token_out(
    texts: Path, tmp_path: Path, kind: str, line: str, shown: str, answer: str
) -> None:
    """Also in a line that has the mark of a blank itself."""
    (tmp_path / "valid.txt").write_text(f"{line}\n", encoding="utf-8")
    overrides = [f"text.source.kind={kind}", f"data.valid={tmp_path / 'valid.txt'}"]
    console = quiet_console()
    config = task_config("cloze", texts, *overrides, "training.max_updates=1")
    train(config, tmp_path / "run", console=console)
    said = console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
    assert re.search(rf"^ *{re.escape(shown)}\n *= {re.escape(answer)}\n", said, re.MULTILINE)


def test_wrong_calls(filler: BlankFiller) -> None:
    with pytest.raises(UsageError, match="takes a list of lines"):
        filler.fill("a ___")
    with pytest.raises(UsageError, match="give a mark that stands for a missing word"):
        filler.fill(["a"], blank=" ")
    with pytest.raises(UsageError, match="n_best 0: must be at least 1"):
        filler.fill(["a ___"], n_best=0)
    with pytest.raises(SearchStoppedError):
        filler.fill(["a ___"], should_stop=lambda: True)
    asked: list[bool] = []
    filler.fill(["a ___", "___ b"], should_stop=lambda: asked.append(False) or False)
    assert len(asked) == 3, "before the batch, and before each line: others wait for each"
    for line in ("a ____ b", "a _____", "a ___ b ____"):
        with pytest.raises(DataError, match="line 1: a blank of another length than ___ in 'a "):
            filler.fill([line])
    with pytest.raises(DataError, match="line 2: no blank in 'no gap'; write ___ where a word"):
        filler.fill(["a ___", "no gap"])


def test_many_blanks_are_compared_in_parts(
    filler: BlankFiller, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = "she ___ the ___ and ___ a ___ with ___ ."
    whole = filler.fill([line], n_best=3)
    monkeypatch.setattr(blank_filler, "_POSITIONS", 2)
    (found,) = filler.fill([line], n_best=3)
    assert found.text == whole[0].text
    for parts, together in zip(found.blanks, whole[0].blanks, strict=True):
        assert [each.token for each in parts] == [each.token for each in together]


# --- the command line ---------------------------------------------------------------------------


def test_fill_on_the_command_line(cloze_run: Path, tmp_path: Path, capfd: Capture) -> None:
    (tmp_path / "in.txt").write_text("she is [?] .\n\n", encoding="utf-8")
    command = ["fill", "-m", str(cloze_run), "-i", str(tmp_path / "in.txt"), "--blank", "[?]"]
    assert penstock(command) == 0
    first, second, _ = capfd.readouterr().out.split("\n")
    assert first.startswith("she is ")
    assert "[?]" not in first
    assert second == ""
    assert penstock([*command, "--format", "json", "--n-best", "2"]) == 0
    row = json.loads(capfd.readouterr().out.split("\n")[0])
    assert row.keys() == {"source", "text", "blanks", "confidences", "status"}
    assert len(row["blanks"][0]) == 2
    assert penstock([*command, "--format", "tsv"]) == 0
    assert capfd.readouterr().out.split("\n")[0].count(":") == 5


def test_a_text_without_blanks_names_its_line(
    cloze_run: Path, tmp_path: Path, capfd: Capture
) -> None:
    content = "she is ___ .\n" * 1500 + "no gap here\n"
    (tmp_path / "in.txt").write_text(content, encoding="utf-8")
    assert penstock(["fill", "-m", str(cloze_run), "-i", str(tmp_path / "in.txt")]) == 1
    told = capfd.readouterr()
    assert "in.txt, line 1501: no blank in 'no gap here'; write ___" in told.err


def test_evaluate_and_score(cloze_run: Path, texts: Path, capfd: Capture) -> None:
    lines = str(texts / "lines.txt")
    assert penstock(["evaluate", "-m", str(cloze_run), lines, "--json"]) == 0
    scores = json.loads(capfd.readouterr().out)
    assert scores["lines"] == 300
    assert 0 < scores["accuracy"] <= 100
    assert penstock(["score", "-m", str(cloze_run), lines]) == 0
    assert capfd.readouterr().out.count("\n") == 300


def test_a_cloze_does_not_generate(cloze_run: Path, capfd: Capture) -> None:
    assert penstock(["generate", "-m", str(cloze_run)]) == 1
    assert "a model for cloze, asked to generate; use it with 'penstock fill'" in (
        capfd.readouterr().err
    )
