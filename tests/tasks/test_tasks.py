"""Tasks: what each wants of the configuration, and what it refuses, with the reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from penstock.bundle import load_bundle
from penstock.config import parse_config
from penstock.errors import ConfigError, UsageError
from penstock.serve.models.model_paths import ModelPath
from penstock.serve.models.served_models import load_models
from penstock.tasks import TASKS
from penstock.tasks.cloze.task import CLOZE
from penstock.tasks.model_export import export_bundle
from penstock.tasks.unrolled_graph import unroll


def config_of(task: str, *overrides: str) -> Any:
    return parse_config({"task": task, "data": {"train": "text.txt"}}, overrides)


@pytest.mark.parametrize("task", TASKS)
def test_a_configuration_as_resolved_is_itself(task: str) -> None:
    config = config_of(task)
    assert parse_config(config.model_dump()) == config


def test_what_the_user_says_goes_before_what_the_task_wants() -> None:
    assert config_of("classification").text.source.kind == "word"
    changed = config_of("classification", "text.source.kind=char")
    assert changed.text.source.kind == "char"
    assert changed.text.target.separator == "\n"


def test_a_language_model_must_not_read_backward() -> None:
    with pytest.raises(ConfigError, match=r"bidirectional = true.*would read the answer.*cloze"):
        config_of("language-model", "model.bidirectional=true")


def test_a_cloze_must_read_both_ways() -> None:
    with pytest.raises(ConfigError, match=r"bidirectional = false.*language-model"):
        config_of("cloze", "model.bidirectional=false")


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_a_blank_is_no_piece_of_a_word(kind: str) -> None:
    with pytest.raises(ConfigError, match=f"'{kind}'.*a piece of a word is no blank"):
        config_of("cloze", f"text.source.kind={kind}")


@pytest.mark.parametrize(
    ("task", "override", "message"),
    [
        ("language-model", "model.attention=dot", "only a translation model attends"),
        ("language-model", "data.max_pairs=5", "set data.max_characters|is data.max_characters"),
        ("classification", "model.decoder_layers=3", "model.num_layers"),
        ("classification", "training.window=8", "reads windows"),
        ("classification", "text.target.kind=char", "one token as it stands"),
        ("classification", "data.max_target_tokens=8", "one token as it stands"),
        ("cloze", "model.pooling=mean", "only a classifier"),
        ("cloze", "data.columns=[1, 2]", "its lines are read whole"),
        ("cloze", "data.on_error=skip", "a text is read whole"),
        ("cloze", "search.length_penalty=0.5", "only a translation model searches"),
        ("language-model", "data.valid_pairs=5", "data.valid_share"),
        ("cloze", "text.target.kind=char", "there is one text"),
        ("translation", "model.num_layers=2", "model.encoder_layers"),
        ("translation", "data.join_lines=true", "one stream"),
    ],
)
def test_what_would_do_nothing_is_refused(task: str, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config_of(task, override)


@pytest.mark.parametrize(
    ("task", "metric"), [("language-model", "bleu"), ("translation", "accuracy"), ("cloze", "f1")]
)
def test_a_metric_of_another_task_is_refused(task: str, metric: str) -> None:
    with pytest.raises(ConfigError, match=f"training.metric = '{metric}'.*has loss"):
        config_of(task, f"training.metric={metric}")


@pytest.mark.parametrize("task", ["[1]", "{a = 1}", "3"])
def test_a_task_that_is_no_name(task: str) -> None:
    with pytest.raises(
        ConfigError, match=r"task.*unknown task; known: 'translation', 'language-model'"
    ):
        parse_config({"data": {"train": "text.txt"}}, [f"task={task}"])


def test_the_built_in_corpus_has_pairs_only() -> None:
    with pytest.raises(ConfigError, match=r"builtin.*sentence pairs.*give a file"):
        parse_config({"task": "cloze"})


def test_an_unknown_task_lists_the_known() -> None:
    with pytest.raises(ConfigError, match=r"task = 'tagging'.*'translation'.*'cloze'"):
        config_of("tagging")
    with pytest.raises(ConfigError, match=r"'clozes': unknown task; did you mean 'cloze'\?"):
        config_of("clozes")


def test_what_a_task_lacks_is_said(cloze_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing, service and export may be missing."""
    bare = replace(CLOZE, unroll=None, graphs=None, use=lambda: replace(use, service=None))
    use = CLOZE.use()
    monkeypatch.setitem(TASKS, "cloze", bare)
    config = config_of("cloze")
    with pytest.raises(UsageError, match="task = 'cloze': its network has no drawing"):
        unroll(config, 3)
    with pytest.raises(UsageError, match="a model for cloze, which cannot be served"):
        load_models([ModelPath(cloze_run)])
    with pytest.raises(UsageError, match="a model for cloze has no graphs to export"):
        export_bundle(load_bundle(cloze_run))
