"""Settings chosen from the data: which, and that they yield to what the user sets."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from conftest import quiet_console
from penstock.config import RunConfig, load_config, parse_config
from penstock.config.section import automatic_keys
from penstock.config.training_config import MOST_UPDATES
from penstock.data.pair import Pair
from penstock.data.profile import Profile, profile_pairs
from penstock.errors import ConfigError, DataError
from penstock.training.automatic import KINDS, RULES, choose_settings, keys_set
from penstock.training.loop import train
from penstock.training.start_defaults import start_defaults

Pairs = list[tuple[str, str]]
Choose = Callable[..., tuple[RunConfig, str]]

PHONES: Pairs = [(f"ab{n}de", f"a b d e {n % 7} f {n // 7}") for n in range(60)]
WORDS: Pairs = [(f"walk{n} PST", f"walked{n}") for n in range(60)]
SENTENCES: Pairs = [
    (f"a very long sentence with the number {n}", f"une phrase longue avec le nombre {n}")
    for n in range(60)
]
CHINESE: Pairs = [(f"I like books and music {n}", f"我喜欢看书也喜欢听音乐{n}") for n in range(60)]


@pytest.fixture
def choose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Choose:
    """The settings for some pairs and overrides, and what was reported.

    With `times` there seem to be that many times as many pairs.
    """

    def chosen(pairs: Pairs, *overrides: str, times: int = 1) -> tuple[RunConfig, str]:
        def profile(stream: Iterable[Pair]) -> Profile | None:
            found = profile_pairs(stream)
            return found and replace(found, pairs=times * found.pairs)

        monkeypatch.setattr("penstock.training.automatic.profile_pairs", profile)
        path = tmp_path / "pairs.tsv"
        path.write_text("".join(f"{s}\t{t}\n" for s, t in pairs), encoding="utf-8")
        said: list[str] = []
        config = parse_config({}, overrides, values={"data.train": str(path)})
        return choose_settings(config, said.append), "\n".join(said)

    return chosen


@pytest.mark.parametrize(
    ("pairs", "times", "kinds", "metric"),
    [
        (PHONES, 1, ("char", "separator"), "exact_match"),
        (WORDS, 1, ("char", "char"), "exact_match"),
        ([(t, s) for s, t in PHONES], 1, ("separator", "char"), "exact_match"),
        ([(str(n), "one hundred twenty three") for n in range(99)], 1, ("char", "bpe"), "chrf"),
        (
            [(f"Ete a Paris, en {n}", f"Été à Paris, en {n}") for n in range(60)],
            1,
            ("char", "char"),
            "exact_match",
        ),
        (SENTENCES, 1, ("bpe", "bpe"), "chrf"),
        (SENTENCES, 60, ("bpe", "bpe"), "bleu"),
        (CHINESE, 60, ("bpe", "bpe"), "chrf"),
    ],
)
def test_tokenizers_and_metric(
    choose: Choose, pairs: Pairs, times: int, kinds: tuple[str, str], metric: str
) -> None:
    config, said = choose(pairs, times=times)
    assert (config.text.source.kind, config.text.target.kind) == kinds
    assert config.training.metric == metric
    assert len(said.splitlines()) <= 7


def test_letters_and_few_sentences_get_scaled_embeddings(choose: Choose) -> None:
    assert choose(PHONES)[0].model.scale_embeddings
    assert choose(SENTENCES)[0].model.scale_embeddings
    assert not choose(SENTENCES, times=400)[0].model.scale_embeddings


def test_few_pairs_get_a_small_network(choose: Choose) -> None:
    few, more = choose(SENTENCES)[0].model, choose(SENTENCES, times=400)[0].model
    assert few.hidden_size < more.hidden_size
    assert few.dropout > more.dropout


def test_hangul_is_read_letter_by_letter(choose: Choose) -> None:
    syllables = [chr(0xAC00 + n) for n in range(60)]
    text = choose([(s, "a b") for s in syllables])[0].text
    assert (text.source.unicode, text.target.unicode) == ("NFD", "none")
    assert choose([("ab" + s, s) for s in syllables])[0].text.target.unicode == "NFD"
    assert (
        choose([(f"{s} 나는 책을 읽는다", s * 50) for s in syllables])[0].text.source.unicode
        == "none"
    )


def test_outputs_may_be_as_long_as_targets_are(choose: Choose) -> None:
    pinyin = [(f"中国人{chr(0x4E00 + n)}", "zhong1 guo2 ren2 min2") for n in range(20)]
    assert choose(pinyin, "text.target.kind=char")[0].text.source.kind == "char"
    assert choose(pinyin, "text.target.kind=char")[0].search.max_length_ratio == 8  # 1.5 · 21 / 4
    assert choose(SENTENCES)[0].search.max_length_ratio == 2


def test_few_words_with_features_get_invented_stems(choose: Choose) -> None:
    pairs = [(f"walk{n}\tV;PST", f"walked{n}") for n in range(60)]
    columns = "data.columns=[[1, 2], 3]"
    assert choose(pairs, columns)[0].data.hallucination == 4
    assert choose(pairs, columns, "data.hallucination=1.5")[0].data.hallucination == 1.5
    assert choose(pairs, columns, times=100)[0].data.hallucination == 0
    assert choose(WORDS)[0].data.hallucination == 0


def test_what_the_user_sets_stays(choose: Choose) -> None:
    config, _ = choose(
        PHONES, "text.source.kind=bpe", "text.target.kind=bpe", "model.hidden_size=6",
        "training.metric=loss", "training.evaluate_every=7", times=400,
    )  # fmt: skip
    assert config.text.target.kind == "bpe"
    assert config.model.hidden_size == 6
    assert not config.model.scale_embeddings  # the rest follows the user's pieces
    assert (config.training.metric, config.training.evaluate_growth) == ("loss", 0)


def test_auto_is_the_same_as_leaving_a_key_out(choose: Choose) -> None:
    assert choose(PHONES, "model.hidden_size=auto", "text.source.kind=auto") == choose(PHONES)


def test_a_key_that_is_not_chosen_cannot_be_auto() -> None:
    with pytest.raises(ConfigError, match=r"unknown cell 'auto'"):
        parse_config({"model": {"cell": "auto"}})


def test_the_end_of_training(choose: Choose) -> None:
    endless, timed, counted = (
        choose(PHONES, *limits)[0].training
        for limits in ([], ["training.max_minutes=5"], ["training.max_updates=9"])
    )
    assert (endless.schedule, endless.max_updates) == ("plateau", MOST_UPDATES)
    assert endless.patience is not None
    assert (timed.schedule, timed.max_updates, timed.patience) == ("cosine", MOST_UPDATES, None)
    assert (counted.schedule, counted.max_updates) == ("cosine", 9)


@pytest.mark.parametrize("pairs", [PHONES, WORDS, SENTENCES, CHINESE])
def test_every_automatic_key_is_chosen(choose: Choose, pairs: Pairs) -> None:
    """A run's `config.toml` shows what was chosen, so nothing may be left to chance."""
    chosen = {key for rule in RULES for key in rule.settings} | {
        "text.source.kind", "text.target.kind", "search.max_length_ratio",
    }  # fmt: skip
    assert chosen == set(automatic_keys(RunConfig))
    config, _ = choose(pairs)
    assert config.training.patience


def test_the_last_line_of_kinds_always_applies() -> None:
    assert KINDS[-1].applies(None)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ([(f"a good film {n}", "good" if n % 2 else "bad") for n in range(60)],
         "note: only 2 different targets; if they are labels, --set task=classification fits"),
        ([("good" if n % 2 else "bad", f"a good film {n}") for n in range(60)],
         "note: only 2 different sources; if they are labels, the columns are swapped"),
        ([(f"text {n}", "same") for n in range(60)], "warning: every target is the same text"),
    ],
)  # fmt: skip
def test_what_looks_unlike_translation_is_said(choose: Choose, pairs: Pairs, said: str) -> None:
    assert said in choose(pairs)[1]


def test_odd_pairs_get_settings(choose: Choose) -> None:
    choose([("one", "un")])
    choose([("x" * 10_000, "y" * 10_000)] * 20)
    choose([(f"text {n}", f"label {n}") for n in range(300)])
    choose([("!?", "…")] * 20)


def test_one_column_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "one.tsv"
    path.write_text("only a source\n" * 20)
    with pytest.raises(DataError, match=r"line 1: expected 2 columns"):
        choose_settings(parse_config({}, values={"data.train": str(path)}), print)


def test_other_tasks_keep_their_defaults(choose: Choose) -> None:
    config, said = choose([(f"film {n}", "good") for n in range(20)], "task=classification")
    assert config.model.hidden_size == 512
    assert said == ""


def test_what_does_not_go_with_the_choice_is_an_error(choose: Choose) -> None:
    with pytest.raises(ConfigError, match=r"readout_size.*keys that you do not set are chosen"):
        choose(PHONES, "model.readout_size=256")


def test_a_run_records_and_a_resumed_one_keeps_the_choice(tmp_path: Path) -> None:
    data, run = tmp_path / "words.tsv", tmp_path / "run"
    data.write_text("".join(f"ab{n}de\ta b d e\n" for n in range(60)))
    few = {"data.train": str(data), "model.hidden_size": 8, "model.embedding_size": 8,
           "training.precision": "fp32", "threads": 1, "device": "cpu"}  # fmt: skip
    train(parse_config({}, values=few | {"training.max_updates": 2}), run, console=quiet_console())
    written = load_config(run / "config.toml")
    assert written.text.target.kind == "separator"
    assert keys_set(written) >= set(automatic_keys(RunConfig))
    console = quiet_console()
    again = parse_config({}, values=few | {"training.max_updates": 3})
    result = train(again, run, resume=True, console=console)
    assert result.progress.update == 3
    assert load_config(run / "config.toml").text == written.text
    assert isinstance(console.file, io.StringIO)
    assert "data:" not in console.file.getvalue()  # chosen once


@pytest.mark.parametrize(("updates", "inherited"), [(MOST_UPDATES, False), (500, True)])
def test_going_on_from_a_model_an_automatic_end_is_chosen_anew(
    updates: int, inherited: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = SimpleNamespace(config=RunConfig(training={"max_updates": updates}))
    monkeypatch.setattr("penstock.training.start_defaults.load_bundle", lambda _: bundle)
    training = start_defaults({"start": {"model": "run"}})["training"]
    assert ("schedule" in training, "patience" in training) == (inherited, inherited)
    assert training["batch_tokens"] == 400
