"""What is served: which model for which languages, and how newer models take their place."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from penstock.bundle import Bundle, save_bundle
from penstock.errors import BundleError, UsageError
from penstock.serve.models.model_paths import ModelPath, parse_model_path
from penstock.serve.models.model_set import Models
from penstock.serve.models.served_models import ServedModels, load_models
from penstock.serve.service_errors import NotReadyError, UnservedPairError
from serving import (
    ENGLISH,
    FRENCH,
    GERMAN,
    client_of,
    plain_app,
    random_translator,
    small_serving,
)


def in_languages(bundle: Bundle, source: str | None, target: str | None) -> Bundle:
    data = bundle.config.data.model_copy(
        update={"source_language": source, "target_language": target}
    )
    return replace(bundle, config=bundle.config.model_copy(update={"data": data}))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run directories of random models: `de-en`, `fr-en`, `silent` (no languages), other tasks."""
    folder = tmp_path_factory.mktemp("runs")
    german = random_translator(GERMAN, ENGLISH).bundle
    french = random_translator(FRENCH, ENGLISH, seed=2).bundle
    serving = small_serving()
    for name, bundle in {
        "de-en": in_languages(german, "de", "en"),
        "fr-en": in_languages(french, "FR", "en"),
        "silent": in_languages(german, None, None),
        "half": in_languages(german, "de", None),
        "odd": in_languages(german, "the German", "en"),
        "kinds": serving.classifier().bundle,
        "gaps": serving.filler().bundle,
        "novel": serving.generator().bundle,
    }.items():
        save_bundle(bundle, folder / name / "model")
    return folder


def loaded(runs: Path, *texts: str) -> ServedModels:
    """`-m` with the runs' folder in front of the path."""
    paths = [parse_model_path(text) for text in texts]
    return load_models([replace(path, path=runs / path.path) for path in paths])


# --- what -m says -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "path", "pair"),
    [
        ("runs/x", "runs/x", None),
        ("de-en=runs/x", "runs/x", ("de", "en")),
        ("DE-en=runs/x", "runs/x", ("de", "en")),
        ("en:pt_BR=runs/x", "runs/x", ("en", "pt-br")),
        ("de-en=runs/a=b", "runs/a=b", ("de", "en")),
        ("./de-en=runs/x", "de-en=runs/x", None),
        ("runs/a-b=c", "runs/a-b=c", None),
        ("lr=0.1", "lr=0.1", None),
    ],
)
def test_a_model_may_have_its_languages_before_its_path(
    text: str, path: str, pair: tuple[str, str] | None
) -> None:
    assert parse_model_path(text) == ModelPath(Path(path), pair)


@pytest.mark.parametrize("text", ["en_fr=runs/x", "EN>FR=runs/x", "en/fr=x"])
def test_languages_are_joined_by_a_hyphen_or_a_colon(text: str) -> None:
    with pytest.raises(UsageError, match=r"join the language codes by a hyphen, as in en-fr=RUN"):
        parse_model_path(text)


def test_a_model_is_called_as_its_run(tmp_path: Path) -> None:
    assert ModelPath(tmp_path / "novel").name == "novel"
    assert ModelPath(tmp_path / "novel" / "model").name == "novel"


# --- loading and routing ------------------------------------------------------------------------


def test_languages_lead_to_their_model(runs: Path) -> None:
    serving = loaded(runs, "de-en", "fr-en", "en:pt-br=silent", "kinds", "gaps", "novel")
    assert list(serving.pairs) == [("de", "en"), ("fr", "en"), ("en", "pt-br")]
    assert serving.names["fr", "en"] == "fr-en"
    wanted = random_translator(FRENCH, ENGLISH, seed=2)
    (found,) = serving.translator("FR", "en").translate(FRENCH[:1])
    assert found.text == wanted.translate(FRENCH[:1])[0].text
    assert serving.translator("en", "pt_BR") is serving.pairs["en", "pt-br"]
    assert serving.summary() == "de-en, fr-en, en:pt-br, kinds, gaps, novel"
    assert serving.classifier() is serving.classifier("kinds")
    assert serving.filler("gaps").fill(["the ___ sees"])[0].status == "ok"
    serving.warm_up()


def test_a_model_without_languages_is_served_from_any_to_any(runs: Path) -> None:
    serving = loaded(runs, "silent", "half", "fr-en")
    assert list(serving.pairs) == [("any", "any"), ("de", "any"), ("fr", "en")]
    assert serving.summary() == "silent (any-any), half (de-any), fr-en"
    client = client_of(plain_app(serving=loaded(runs, "silent")))
    assert client.get("/languages").json() == [
        {"code": "any", "name": "any language", "targets": ["any"]}
    ]
    (model,) = client.get("/v1/models").json()["pairs"]
    assert (model["name"], model["source"], model["target"]) == ("silent", "any", "any")
    wanted = random_translator(GERMAN, ENGLISH).translate(GERMAN[:1])[0].text
    for source in ("any", "auto"):
        asked = {"q": GERMAN[0], "source": source, "target": "any"}
        assert client.post("/translate", json=asked).json()["translatedText"] == wanted
    deepl = {"text": GERMAN[:1], "target_lang": "ANY"}
    assert client.post("/v2/translate", json=deepl).json()["translations"][0]["text"] == wanted
    own = client.post("/v1/translate", json={"texts": GERMAN[0]})
    assert own.json()["translations"][0]["text"] == wanted
    refused = client.post("/translate", json={"q": "a", "source": "de", "target": "en"})
    assert refused.status_code == 400
    assert "no model translates de-en; pairs served: any-any" in refused.json()["error"]


def test_a_pair_that_nobody_serves_is_named_with_those_that_are(runs: Path) -> None:
    serving = loaded(runs, "de-en", "fr-en")
    with pytest.raises(UnservedPairError, match=r"no model translates en-de; .*: de-en, fr-en"):
        serving.translator("en", "de")
    with pytest.raises(UnservedPairError, match="no classifier; none is served"):
        serving.classifier()
    with pytest.raises(UnservedPairError, match="no language model 'x'; models served: 'novel'"):
        small_serving().generator("x")


@pytest.mark.parametrize(
    ("models", "message"),
    [
        (["silent", "any-any=half"], "two models for any-any; leave one out, or set another"),
        (["odd"], "language 'the German': a code is letters.*-m de-en="),
        (["de-en", "de-en=silent"], "two models for de-en; leave one out, or set another"),
        (["kinds", "kinds/model"], "two models for classification named 'kinds'"),
        (["de-en=kinds"], "a model for classification has no pair of languages; give -m"),
    ],
)
def test_models_that_requests_could_not_tell_apart_or_ask_for(
    runs: Path, models: Sequence[str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        loaded(runs, *models)


def test_no_bundle_is_told_as_by_other_verbs(runs: Path) -> None:
    with pytest.raises(BundleError, match="no such directory; give a run directory or a bundle"):
        loaded(runs, "missing")


# --- reloading ----------------------------------------------------------------------------------


def test_nothing_is_served_before_it_is_loaded(runs: Path) -> None:
    models = Models([ModelPath(runs / "de-en")])
    with pytest.raises(NotReadyError, match="are still loading"):
        _ = models.current
    models.load()
    assert list(models.current.pairs) == [("de", "en")]


def test_a_reload_takes_what_stands_there_now(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(runs / "de-en", tmp_path / "run")
    models = Models([ModelPath(tmp_path / "run")])
    models.load()
    before = models.current
    other = in_languages(random_translator(GERMAN, ENGLISH, seed=9).bundle, "de", "en")
    save_bundle(other, tmp_path / "run" / "model")
    assert asyncio.run(models.reload()) == "done"
    (new,) = models.current.translator("de", "en").translate(GERMAN[:1])
    wanted = random_translator(GERMAN, ENGLISH, seed=9).translate(GERMAN[:1])[0]
    assert (new.text, new.score) == (wanted.text, wanted.score)
    (old,) = before.translator("de", "en").translate(GERMAN[:1])
    assert old.score != new.score, "what is in flight goes on with the old model"
    assert json.loads(capsys.readouterr().err)["event"] == "reloaded"


def test_a_failed_reload_leaves_the_old_models_and_says_why(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(runs / "de-en", tmp_path / "run")
    models = Models([ModelPath(tmp_path / "run")])
    models.load()
    before = models.current
    next((tmp_path / "run" / "model").glob("weights-*")).write_bytes(b"cut short")
    assert asyncio.run(models.reload()) == "failed"
    assert models.current is before
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["level"]) == ("reload_failed", "error")
    assert "altered or truncated" in line["why"]


def test_who_asks_during_a_reload_gets_one_more_and_no_third(runs: Path) -> None:
    models = Models([ModelPath(runs / "de-en")])
    models.load()

    async def body() -> list[str]:
        first = asyncio.create_task(models.reload())
        await asyncio.sleep(0)
        return list(await asyncio.gather(first, models.reload(), models.reload()))

    assert asyncio.run(body()) == ["done", "done", "joined"]
