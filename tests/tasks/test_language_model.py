"""Language models: one long call is many short ones, nothing is scored twice, text streams out."""

from __future__ import annotations

import json
import math
import shutil
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy

from conftest import assert_resumes_exactly, english_lines, quiet_console, task_config
from penstock.bundle import INDEX, load_bundle
from penstock.cli.app import run as penstock
from penstock.config import CELLS, TokenizerConfig, parse_config
from penstock.data.scoring_windows import scoring_windows
from penstock.data.token_stream import (
    TextForm,
    between,
    characters,
    open_stream,
    write_stream,
)
from penstock.errors import BundleError, DataError, UsageError
from penstock.files import with_checksum
from penstock.runtime.engine import Engine
from penstock.runtime.network_engine import NetworkEngine
from penstock.special_tokens import EOS_ID, UNK_ID
from penstock.tasks.language_model import text_generator
from penstock.tasks.language_model.network import LanguageModel
from penstock.tasks.language_model.text_generator import (
    TextGenerator,
    WritingOptions,
    _Tail,  # pyright: ignore[reportPrivateUsage]
)
from penstock.text import Tokenizer
from penstock.training.loop import train
from penstock.training.windows import WindowSampler

Capture = pytest.CaptureFixture[str]

VOCABULARY = 20


def language_model(**changes: Any) -> LanguageModel:
    raw = {"embedding_size": 8, "hidden_size": 12, **changes}
    config = parse_config({"task": "language-model", "data": {"train": "x"}, "model": raw})
    torch.manual_seed(3)
    return LanguageModel(config.model, vocab_size=VOCABULARY).eval()


def some_ids(rows: int, length: int) -> torch.Tensor:
    return torch.randint(4, VOCABULARY, (rows, length), generator=torch.Generator().manual_seed(1))


# --- the network --------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS)
def test_a_long_call_is_many_short_ones(cell: str) -> None:
    model, ids = language_model(cell=cell, num_layers=2), some_ids(3, 10)
    whole, last = model(ids)
    state, parts = None, []
    for piece in ids.split([4, 1, 5], 1):
        logits, state = model(piece, state)
        parts.append(logits)
    torch.testing.assert_close(torch.cat(parts, 1), whole)
    assert state is not None
    torch.testing.assert_close(state.h, last.h)
    log_probs, _ = model.read(ids[:, :1])
    torch.testing.assert_close(log_probs, torch.log_softmax(whole[:, 0], -1))


@pytest.mark.parametrize("tie", ["none", "decoder"])
def test_the_loss_is_the_sum_over_all_tokens(tie: str) -> None:
    model, ids = language_model(tie_embeddings=tie), some_ids(3, 10)
    total, count, _ = model.loss(ids[:, :-1], ids[:, 1:])
    logits = model(ids[:, :-1])[0]
    expected = cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="sum")
    torch.testing.assert_close(total, expected)
    assert count == 27


def test_the_next_token_is_not_seen() -> None:
    model, ids = language_model(num_layers=2), some_ids(1, 8)
    changed = ids.clone()
    changed[0, 5] = (changed[0, 5] - 3) % 16 + 4
    same = (model(ids)[0] == model(changed)[0]).all(-1)[0]
    assert same.tolist() == [True] * 5 + [False] * 3


def test_dropped_recurrent_weights_come_back() -> None:
    model = language_model(weight_dropout=0.5).train()
    names = [name for name, _ in model.named_parameters()]
    before = model.recurrent.cells[0].weight_hh.clone()  # pyright: ignore
    total, _, _ = model.loss(some_ids(2, 5), some_ids(2, 5))
    total.backward()
    assert [name for name, _ in model.named_parameters()] == names
    after = model.recurrent.cells[0].weight_hh
    assert torch.equal(after, before)  # pyright: ignore[reportArgumentType]
    assert isinstance(after, torch.nn.Parameter)
    gradient = after.grad
    assert gradient is not None
    assert 0.2 < float((gradient == 0).float().mean()) < 0.8  # what was dropped learns nothing


# --- windows ------------------------------------------------------------------------------------


def text_of(length: int) -> np.ndarray:
    return np.arange(length, dtype=np.int32)


def test_sequential_windows_go_on_where_they_stopped() -> None:
    sampler = WindowSampler(text_of(203), window=7, rows=4, seed=5)
    windows = list(sampler.epoch(0))
    assert [w.resets_state for w in windows] == [True] + [False] * (len(windows) - 1)
    for window in windows:
        assert torch.equal(window.targets, window.inputs + 1)
    for one, other in pairwise(windows):
        assert torch.equal(one.targets[:, -1], other.inputs[:, 0])
    seen = torch.cat([window.inputs for window in windows], 1).flatten().tolist()
    assert len(set(seen)) == len(seen) >= 203 - 7 - 4


def test_random_windows_cover_the_text_once_each_from_a_zero_state() -> None:
    sampler = WindowSampler(text_of(203), window=7, rows=4, sampling="random", seed=5)
    windows = list(sampler.epoch(3))
    assert all(window.resets_state for window in windows)
    starts = torch.cat([window.inputs[:, 0] for window in windows]).tolist()
    assert starts != sorted(starts)
    assert {b - a for a, b in pairwise(sorted(starts))} == {7}
    assert len(starts) >= 28


@pytest.mark.parametrize("sampling", ["sequential", "random"])
def test_skipping_is_dropping_and_epochs_differ(sampling: Any) -> None:
    sampler = WindowSampler(text_of(300), window=8, rows=3, sampling=sampling, seed=5)

    def epoch(number: int, skip: int = 0) -> list[list[list[int]]]:
        return [window.inputs.tolist() for window in sampler.epoch(number, skip=skip)]

    whole = epoch(1)
    for skip in (1, len(whole) - 1, len(whole), len(whole) + 2):
        assert epoch(1, skip) == whole[skip:]
    assert epoch(0) != whole


def test_a_text_shorter_than_a_window_is_refused() -> None:
    with pytest.raises(DataError, match=r"5 tokens, fewer than one window of 8; .*training.window"):
        WindowSampler(text_of(6), window=8, rows=1)
    assert WindowSampler(text_of(40), window=8, rows=32).rows == 4


@given(st.integers(2, 400), st.integers(1, 9), st.integers(1, 5), st.integers(5, 60))
@settings(deadline=None, max_examples=60)
def test_every_token_is_scored_exactly_once(length: int, window: int, rows: int, part: int) -> None:
    places = np.concatenate(
        [
            scored.positions[scored.positions >= 0]
            for scored in scoring_windows(text_of(length), window=window, max_rows=rows, part=part)
        ]
    )
    assert sorted(places.tolist()) == list(range(1, length))
    for scored in scoring_windows(text_of(length), window=window, max_rows=rows, part=part):
        rows_of, columns = np.nonzero(scored.positions >= 0)
        targets = scored.targets[rows_of, columns]
        assert np.array_equal(targets, scored.positions[rows_of, columns])


# --- text ---------------------------------------------------------------------------------------


def tokenizer_of(lines: list[str], kind: str) -> Tokenizer:
    config = TokenizerConfig.model_validate({"kind": kind, "vocab_size": 400, "min_frequency": 1})
    return Tokenizer.train([f" {line}" for line in lines], config)


@pytest.mark.parametrize("kind", ["char", "bpe", "unigram", "word"])
@pytest.mark.parametrize("joined", [False, True])
def test_a_stream_reads_back(tmp_path: Path, kind: str, joined: bool) -> None:
    lines = ["the cat sat on the mat .", "", "it ran away !", "and the dog , too ."]
    form, tokenizer = TextForm(joined=joined), tokenizer_of(lines, kind)
    stream = write_stream(tmp_path / "x.ids", form.lines(lines), tokenizer, form)
    ids = stream.ids()[1:].tolist()
    kept = [line for line in lines if line] if joined else lines
    expected = " ".join(kept) if joined else "\n".join(kept) + "\n"
    read = form.decode(ids, tokenizer)
    if kind == "word":  # it writes marks close to their words
        read, expected = read.replace(" ", ""), expected.replace(" ", "")
    assert read == expected
    assert stream.ids()[0] == EOS_ID
    again = open_stream(tmp_path / "x.ids", lambda _: None)
    assert again is not None
    assert again.counts.tokens == len(ids)


@pytest.mark.parametrize("suffix", ["", ".seal"])
@pytest.mark.parametrize("kept", [0, 1, 4])
def test_a_damaged_stream_is_none(tmp_path: Path, suffix: str, kept: int) -> None:
    path, lines = tmp_path / "x.ids", ["the cat", "ran ."]
    told: list[str] = []
    assert open_stream(path, told.append) is None
    write_stream(path, lines, tokenizer_of(lines, "word"), TextForm())
    assert open_stream(path, told.append) is not None
    assert told == []
    damaged = path.with_name(path.name + suffix)
    damaged.write_bytes(damaged.read_bytes()[:kept])
    assert open_stream(path, told.append) is None
    assert told == [f"{path}: damaged since it was written; it is made again"]


def test_the_chapters_form_has_letters_only_and_glues_no_words() -> None:
    form = TextForm(letters=True, joined=True)
    lines = list(form.lines(["The Time Machine, by H. G. Wells [1898]", "", " I", "It's"]))
    assert lines == ["the time machine by h g wells", "i", "it s"]
    tokenizer = tokenizer_of(lines, "char")
    ids = [i for row in form.encode(lines, tokenizer) for i in row]
    assert form.decode(ids, tokenizer) == "the time machine by h g wells i it s"


@given(st.lists(st.text("ab ", max_size=5), max_size=8), st.integers(0, 30), st.integers(0, 30))
def test_parts_by_position_join_to_the_text(lines: list[str], one: int, other: int) -> None:
    begin, end = sorted((one, other))
    text = "".join(f"{line}\n" for line in lines)
    part = "\n".join(between(lines, begin, end))
    assert text[begin:end].removesuffix("\n") in (part, f"\n{part}")
    assert characters(lines) == len(text)


# --- training -----------------------------------------------------------------------------------


def test_it_learns_and_stands_beside_n_grams(language_model_run: Path) -> None:
    record = load_bundle(language_model_run).record["held_out"]
    assert record["perplexity"] == pytest.approx(math.exp(record["loss"]))
    assert record["baseline_perplexity"].keys() == {"unigram", "bigram", "5-gram"}
    assert record["perplexity"] < record["baseline_perplexity"]["unigram"]


def test_held_out_text_is_never_seen(tmp_path: Path, texts: Path) -> None:
    lines = [*english_lines(60), *(["zebra zebra"] * 6)]
    (tmp_path / "text.txt").write_text("".join(f"{x}\n" for x in lines), encoding="utf-8")
    config = task_config(
        "language-model",
        texts,
        f"data.train={tmp_path / 'text.txt'}",
        "training.max_updates=2",
        "data.valid_share=0.05",
    )
    console = quiet_console()
    train(config, tmp_path / "run", console=console)
    assert "zebra" not in load_bundle(tmp_path / "run").source_tokenizer.vocabulary()
    assert "held-out tokens" in console.file.getvalue()  # pyright: ignore


@pytest.mark.parametrize("overrides", [[], ["training.sampling=random"], ["model.cell=lstm"]])
def test_interrupted_and_resumed_is_uninterrupted(
    texts: Path, tmp_path: Path, overrides: list[str]
) -> None:
    """The carried state too, and the place in the text."""
    assert_resumes_exactly("language-model", texts, tmp_path, *overrides, stops=(5, 6))


@pytest.mark.parametrize("changed", ["training.window=8", "training.batch_sentences=3"])
def test_a_run_goes_on_with_other_windows(texts: Path, tmp_path: Path, changed: str) -> None:
    for updates, resume in ((3, False), (5, True)):
        overrides = [f"training.max_updates={updates}", *([changed] if resume else [])]
        config = task_config("language-model", texts, *overrides)
        result = train(config, tmp_path / "run", resume=resume, console=quiet_console())
        assert result.progress.update == updates


def test_a_lines_first_token_is_known_to_any_tokenizer(texts: Path, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("one,two\ntwo,one\n" * 30, encoding="utf-8")
    overrides = [f"data.train={tmp_path / 'text.txt'}", "training.max_updates=1"]
    kind = ["text.source.kind=separator", "text.source.separator=','"]
    config = task_config("language-model", texts, *overrides, *kind)
    train(config, tmp_path / "run", console=quiet_console())
    generator = TextGenerator.load(tmp_path / "run")
    assert generator.bundle.source_tokenizer.vocabulary()[4:] == ["one", "two"]
    assert [score.unknown for score in generator.score(["one,two", "two"])] == [0, 0]


def test_a_single_held_out_token_of_many_a_character(texts: Path, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("👩‍👩‍👧 日本\n" * 30, encoding="utf-8")
    overrides = [
        f"data.train={tmp_path / 'text.txt'}",
        "text.source.kind=bpe",
        "text.source.vocab_size=260",
        "training.evaluate_tokens=1",
        "training.max_updates=1",
    ]
    train(task_config("language-model", texts, *overrides), tmp_path / "x", console=quiet_console())
    assert math.isfinite(load_bundle(tmp_path / "x").record["held_out"]["bits_per_character"])


def test_text_held_out_that_is_the_training_text_is_said(texts: Path, tmp_path: Path) -> None:
    overrides = [f"data.valid={texts / 'lines.txt'}", "training.max_updates=1"]
    console = quiet_console()
    train(task_config("language-model", texts, *overrides), tmp_path / "run", console=console)
    said = console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
    assert "warning: the held-out text is the training text" in said


def test_only_the_first_characters(texts: Path, tmp_path: Path) -> None:
    config = task_config(
        "language-model",
        texts,
        "text.source.kind=char",
        "data.max_characters=400",
        "data.join_lines=true",
        "data.valid=rest",
        "training.max_updates=2",
    )
    train(config, tmp_path / "run", console=quiet_console())
    (path,) = (tmp_path / "run" / "data").glob("train-*.ids")
    stream = open_stream(path, lambda _: None)
    assert stream is not None
    assert stream.counts.tokens == 400
    with pytest.raises(UsageError, match=r"'rest' needs data\.max_characters"):
        train(
            task_config("language-model", texts, "data.valid=rest"),
            tmp_path / "other",
            console=quiet_console(),
        )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no text: every line is blank"),
        ("\n \n", "no text: every line is blank"),
        ("one line", "no line end to divide it at"),
        ("a b\nc d\n", "fewer than one window of 16"),
    ],
)
def test_texts_that_are_none(texts: Path, tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "text.txt").write_text(content, encoding="utf-8")
    config = task_config(
        "language-model", texts, f"data.train={tmp_path / 'text.txt'}", "data.join_lines=true"
    )
    with pytest.raises(DataError, match=message):
        train(config, tmp_path / "run", console=quiet_console())


@pytest.mark.parametrize(
    ("content", "override", "message"),
    [
        ("\n \n" * 20, "training.window=1", r"text\.txt: no text: every line is blank"),
        ("a b\nc d\n" * 20, "data.valid=rest", r"nothing but blank lines follows the first"),
        ("a b\nc d\n" * 20 + "\n" * 50, "training.window=1", r"valid_share = 0\.05 of the text is"),
        ("a b\nc d\n" * 20, "data.valid=blank.txt", r"blank\.txt: no text: every line is blank"),
    ],
)
def test_parts_without_text(
    texts: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: str,
    override: str,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text(content, encoding="utf-8")
    Path("blank.txt").write_text("\n\n", encoding="utf-8")
    overrides = ["data.train=text.txt", "text.source.kind=char", override]
    if override == "data.valid=rest":
        overrides.append("data.max_characters=1000")
    config = task_config("language-model", texts, *overrides)
    with pytest.raises(DataError, match=message):
        train(config, tmp_path / "run", console=quiet_console())


# --- writing and scoring ------------------------------------------------------------------------


def network_of(engine: Engine) -> nn.Module:
    assert isinstance(engine, NetworkEngine)
    return engine.network


@pytest.fixture(scope="module")
def generator(language_model_run: Path) -> TextGenerator:
    return TextGenerator.load(language_model_run)


def written(generator: TextGenerator, prompt: str = "", **options: Any) -> str:
    return "".join(generator.generate(prompt, WritingOptions(**options)))


def test_greedy_takes_the_likeliest_each_time(generator: TextGenerator) -> None:
    tokenizer, model = generator.bundle.source_tokenizer, network_of(generator.engine)
    assert isinstance(model, LanguageModel)
    ids = [EOS_ID, *tokenizer.encode("she is")]
    for _ in range(12):
        logits = model(torch.tensor([ids]))[0][0, -1]
        logits[[0, UNK_ID, 2]] = -math.inf
        ids.append(int(logits.argmax()))
    expected = generator.form.decode(ids[1:], tokenizer)
    assert "she is" + written(generator, "she is", search="greedy", length=12) == expected
    assert written(generator, "she is", top_k=1, length=12) == expected.removeprefix("she is")


def test_a_long_prompt_is_read_in_parts_and_others_may_come_between(
    generator: TextGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = "the man sees a dog and " * 8
    options = WritingOptions(length=12, search="greedy")
    whole = list(generator.generate(prompt, options))
    monkeypatch.setattr(text_generator, "_READ", 10)
    parts = list(generator.generate(prompt, options))
    assert "".join(parts) == "".join(whole)
    assert len(parts) > len(whole)
    assert not any(parts[: len(parts) - len(whole)])


def test_the_seed_decides(generator: TextGenerator) -> None:
    assert written(generator, seed=4) == written(generator, seed=4)
    assert written(generator, seed=4) != written(generator, seed=5)
    assert "<unk>" not in written(generator, seed=4, temperature=3.0)


def test_lines_end_it(generator: TextGenerator) -> None:
    text = written(generator, lines=2, length=500)
    assert text.count("\n") == 2
    assert text.endswith("\n")


def test_pieces_are_whole_characters() -> None:
    """Bytes of one character may come as several tokens: nothing is shown before the last."""
    tokenizer = _bytes_tokenizer()
    tail = _Tail(tokenizer)
    pieces = [tail.add(token) for token in tokenizer.encode("日本語")]
    assert pieces == ["", *["", "", "日"], *["", "", "本"], *["", "", "語"]]
    assert tail.rest() == ""


@given(st.lists(st.integers(4, 259), max_size=200))
def test_pieces_join_to_the_text_and_nothing_certain_is_held_back(ids: list[int]) -> None:
    """Also when the bytes never become characters; EOS is left out here."""
    tokenizer = _bytes_tokenizer()
    tail = _Tail(tokenizer)
    text = ""
    for i, token in enumerate(ids):
        text += tail.add(token)
        whole = tokenizer.decode(ids[: i + 1])
        assert text == whole.removesuffix("\ufffd")
    assert text + tail.rest() == tokenizer.decode(ids)


@cache
def _bytes_tokenizer() -> Tokenizer:
    """A token a byte, from id 4."""
    config = TokenizerConfig.model_validate({"kind": "bpe", "vocab_size": 260})
    return Tokenizer.train(["abc"], config)


@pytest.mark.parametrize(
    ("form", "kind", "prompt", "same"),
    [
        (TextForm(letters=True), "char", "The cat, ", "the cat "),
        (TextForm(letters=True), "char", "The cat", "the cat"),
        (TextForm(letters=True), "char", "It's\n\nthe ", "it s\nthe "),
        (TextForm(letters=True, joined=True), "char", "The cat\n\nran\n", "the cat ran "),
        (TextForm(joined=True), "char", "the cat\n", "the cat "),
        (TextForm(joined=True), "separator", "the\ncat ", "the cat"),
        (TextForm(), "separator", "the cat ", "the cat"),
        (TextForm(), "word", "the cat ", "the cat"),
        (TextForm(), "bpe", "the cat ", "the cat "),
        (TextForm(), "char", "the cat\n", "the cat\n"),
    ],
)
def test_what_a_prompt_is_read_as(form: TextForm, kind: str, prompt: str, same: str) -> None:
    tokenizer = tokenizer_of(["the cat ran .", "it s"], kind)
    expected: list[int] = []
    for number, line in enumerate(same.split("\n")):
        expected += [EOS_ID] * (number > 0) + tokenizer.encode(line)
    assert form.encode_prefix(prompt, tokenizer) == expected
    assert UNK_ID not in expected


def test_a_space_that_ends_the_prompt_is_not_written_again(generator: TextGenerator) -> None:
    assert f"she{written(generator, 'she')}" == f"she {written(generator, 'she ')}"
    assert written(generator, "she\n") == written(generator, "she \n")


def test_a_low_temperature_is_greedy(generator: TextGenerator) -> None:
    greedy = written(generator, "she", search="greedy", length=20)
    assert written(generator, "she", temperature=0.001, length=20) == greedy


@pytest.mark.parametrize("temperature", [1e-320, 1e-40, 1e308, float("nan")])
def test_a_temperature_out_of_bounds_is_rejected(temperature: float) -> None:
    with pytest.raises(UsageError, match=r"temperature = \S+: must be "):
        WritingOptions(temperature=temperature)


def test_a_prompt_that_is_no_text_is_refused_before_anything_is_written(
    language_model_run: Path, capfd: Capture
) -> None:
    assert penstock(["generate", "-m", str(language_model_run), "she \ud800"]) == 1
    told = capfd.readouterr()
    assert told.out == ""
    assert "lone surrogate" in told.err


def test_the_score_of_a_line_is_the_sum_of_its_tokens(generator: TextGenerator) -> None:
    lines = ["she is here .", "", "he sees the unknownword ."]
    scores = generator.score(lines)
    tokenizer, model = generator.bundle.source_tokenizer, network_of(generator.engine)
    assert isinstance(model, LanguageModel)
    for line, score in zip(lines, scores, strict=True):
        ids = [EOS_ID, *tokenizer.encode(line), EOS_ID]
        log_probs = torch.log_softmax(model(torch.tensor([ids[:-1]]))[0][0], -1)
        expected = sum(float(log_probs[t, token]) for t, token in enumerate(ids[1:]))
        assert score.log_probability == pytest.approx(expected, abs=1e-4)
        assert score.tokens == len(ids) - 1
    assert scores[2].unknown == 1


def test_long_texts_are_scored_in_rows_as_in_one(generator: TextGenerator) -> None:
    ids = np.array([EOS_ID, *([5, 6, 7, 8, 9, 10, EOS_ID] * 1300)])
    model = network_of(generator.engine)
    assert isinstance(model, LanguageModel)
    with torch.no_grad():
        logits = model(torch.tensor(ids[None, :-1]))[0][0]
    expected = torch.log_softmax(logits, -1).gather(1, torch.tensor(ids[1:, None]))[:, 0]
    found = torch.tensor(generator.log_probabilities(ids), dtype=torch.float32)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 0}, "length = 0: must be at least 1"),
        ({"lines": 0}, "lines = 0: must be at least 1"),
        ({"temperature": 0.0}, "temperature = 0.0: must be at least 0.001"),
        ({"temperature": math.inf}, "temperature = inf: must be a finite number"),
        ({"top_k": 0}, "top_k = 0: must be at least 1"),
        ({"top_p": 1.5}, "top_p = 1.5: must be at most 1"),
        ({"search": "beam"}, "search = 'beam': must be 'sample' or 'greedy'"),
        ({"seed": -1}, "seed = -1: must be at least 0"),
        ({"seed": 2**63}, "must be at most 9,223,372,036,854,775,807"),
    ],
)
def test_impossible_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        WritingOptions(**options)


# --- the command line ---------------------------------------------------------------------------


def test_generate_writes_the_prompt_and_goes_on(language_model_run: Path, capfd: Capture) -> None:
    arguments = ["generate", "-m", str(language_model_run), "she is", "--length", "10"]
    assert penstock(arguments) == 0
    first = capfd.readouterr().out
    assert first.startswith("she is")
    assert first.endswith("\n")
    assert penstock([*arguments, "--seed", "9", "--samples", "2", "--json"]) == 0
    told = capfd.readouterr()
    assert told.out.count('"prompt": "she is"') == told.out.count('"unknown": 0') == 2
    assert told.err == ""


def test_generate_says_that_a_prompt_has_unknown_symbols(
    language_model_run: Path, capfd: Capture
) -> None:
    command = ["generate", "-m", str(language_model_run), "--length", "1", "--json"]
    assert penstock([*command, "she \u2603 is \u2603"]) == 0
    told = capfd.readouterr()
    assert (
        told.err == "2 tokens of the prompt are unknown to the model, which reads <unk> instead\n"
    )
    assert json.loads(told.out)["unknown"] == 2


def test_evaluate_gives_baselines_from_the_run(
    language_model_run: Path, texts: Path, capfd: Capture, tmp_path: Path
) -> None:
    lines = str(texts / "lines.txt")
    assert penstock(["evaluate", "-m", str(language_model_run), lines]) == 0
    told = capfd.readouterr()
    assert "5-gram perplexity\t" in told.out
    bundle = language_model_run / "model"
    moved = tmp_path / "moved"
    moved.mkdir()
    for path in bundle.iterdir():
        (moved / path.name).write_bytes(path.read_bytes())
    assert penstock(["evaluate", "-m", str(moved), lines]) == 0
    told = capfd.readouterr()
    assert "gram" not in told.out
    assert "no n-gram baselines" in told.err


def test_a_record_of_another_shape_is_no_obstacle(
    language_model_run: Path, texts: Path, capfd: Capture, tmp_path: Path
) -> None:
    shutil.copytree(language_model_run / "model", tmp_path / "model")
    index = json.loads((tmp_path / "model" / INDEX).read_text())
    index["record"] = {"data": [1]}
    (tmp_path / "model" / INDEX).write_text(json.dumps(with_checksum(index)))
    assert penstock(["evaluate", "-m", str(tmp_path), str(texts / "lines.txt")]) == 0
    assert "no n-gram baselines" in capfd.readouterr().err


def test_score_gives_a_line_a_line(language_model_run: Path, texts: Path, capfd: Capture) -> None:
    assert penstock(["score", "-m", str(language_model_run), str(texts / "lines.txt")]) == 0
    told = capfd.readouterr()
    assert told.out.count("\n") == 300
    assert "all: log-probability" in told.err


def test_a_language_model_does_not_translate(language_model_run: Path, capfd: Capture) -> None:
    from penstock.tasks.translation.translator import Translator

    with pytest.raises(
        BundleError, match=r"a model for language-model, asked to translate.*penstock generate"
    ):
        Translator.load(language_model_run)
    assert penstock(["translate", "-m", str(language_model_run)]) == 1
    assert "penstock generate" in capfd.readouterr().err


def test_flags_about_translations_are_refused(
    language_model_run: Path, texts: Path, capfd: Capture
) -> None:
    command = ["evaluate", "-m", str(language_model_run), str(texts / "lines.txt")]
    assert penstock([*command, "--beam-size", "3"]) == 2
    assert "--beam-size applies to translation only" in capfd.readouterr().err
    assert penstock([*command, "--columns", "1,2"]) == 2
    assert "plain text, which has none" in capfd.readouterr().err
    assert penstock([*command, "--on-error", "skip"]) == 2
    assert "--on-error skip: this model reads the whole text" in capfd.readouterr().err
    assert penstock([*command, "--out", str(texts / "never.tsv")]) == 2
    assert "is a model for language-model, measured over a whole text" in capfd.readouterr().err
    command[0] = "score"
    assert penstock([*command, "-m", str(language_model_run)]) == 2
    assert "--model applies to translation only" in capfd.readouterr().err
    assert penstock([*command, "--weights", "1"]) == 2
    assert "--weights applies to translation only" in capfd.readouterr().err


def test_the_form_is_kept_in_the_bundle(
    texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = task_config(
        "language-model",
        texts,
        "data.normalize=letters",
        "data.join_lines=true",
        "text.source.kind=char",
        "training.max_updates=2",
    )
    train(config, tmp_path / "run", console=quiet_console())
    generator = TextGenerator.load(tmp_path / "run")
    one, other = generator.score(["It's, well!", "it s well"])
    assert one.log_probability == other.log_probability
    assert not set(written(generator, "She said: ", length=50)) - set("abcdefghijklmnopqrstuvwxyz ")
