"""DeepL's API, by the official client and by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import deepl
import pytest

from penstock.serve.middleware.api_keys import new_key
from penstock.serve.models.served_models import ServedModels
from penstock.serve.service_errors import DeadlineError
from penstock.serve.settings import Settings
from serving import (
    ENGLISH,
    GERMAN,
    PlainWorker,
    client_of,
    plain_app,
    random_translator,
    real_service,
    small_serving,
)

KEY, LINE_OF_KEY = new_key("official")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    file = tmp_path_factory.mktemp("keys") / "keys"
    file.write_text(f"# who may ask\n\n{LINE_OF_KEY}\n{new_key('other')[1]}\n")
    with real_service(Settings(api_keys=file, max_characters=100)) as url:
        yield url


@pytest.fixture
def client(url: str) -> Iterator[deepl.DeepLClient]:
    client = deepl.DeepLClient(KEY, server_url=url)
    yield client
    client.close()


def translated(line: str, source: str = "de", target: str = "en") -> str:
    """By the translator itself."""
    return small_serving().translator(source, target).translate([line])[0].text


def ask(body: dict[str, Any], **settings: Any) -> tuple[int, Any]:
    response = client_of(plain_app(Settings(**settings))).post("/v2/translate", json=body)
    return response.status_code, response.json()


# --- the official client ------------------------------------------------------------------------


def test_one_text_and_many(client: deepl.DeepLClient) -> None:
    one = client.translate_text(GERMAN[0], source_lang="DE", target_lang="EN-US")
    assert isinstance(one, deepl.TextResult)
    assert (one.text, one.detected_source_lang) == (translated(GERMAN[0]), "DE")
    assert one.billed_characters == len(GERMAN[0])
    many = client.translate_text(
        GERMAN, target_lang="EN-GB", preserve_formatting=True, split_sentences="nonewlines"
    )
    assert isinstance(many, list)
    assert [each.text for each in many] == [translated(line) for line in GERMAN]


def test_the_source_language_is_detected(client: deepl.DeepLClient) -> None:
    text = "La femme lit un bon livre à ses enfants."
    result = client.translate_text(text, target_lang="EN-US")
    assert isinstance(result, deepl.TextResult)
    assert (result.detected_source_lang, result.text) == ("FR", translated(text, "fr"))


def test_languages_and_usage_are_told_by_post_too() -> None:
    client = client_of(plain_app())
    for path in ("/v2/languages", "/v2/usage"):
        assert client.post(path).json() == client.get(path).json()
    targets = client.post("/v2/languages", data={"type": "target"}).json()
    assert [each["language"] for each in targets] == ["DE", "EN-GB", "EN-US"]


def test_usage_counts_the_characters_of_the_key(client: deepl.DeepLClient) -> None:
    before = client.get_usage()
    client.translate_text([GERMAN[0], "Hund"], source_lang="DE", target_lang="EN-US")
    after = client.get_usage()
    assert before.character.count is not None
    assert after.character.count == before.character.count + len(GERMAN[0]) + 4
    assert not after.any_limit_reached


def test_languages(client: deepl.DeepLClient) -> None:
    assert [(x.code, x.name) for x in client.get_source_languages()] == [
        ("DE", "German"),
        ("EN", "English"),
        ("FR", "French"),
    ]
    targets = client.get_target_languages()
    assert [x.code for x in targets] == ["DE", "EN-GB", "EN-US"]
    assert not any(x.supports_formality for x in targets)


def test_a_wrong_key_is_an_authorization_failure(url: str) -> None:
    stranger = deepl.DeepLClient("wrong", server_url=url)
    with pytest.raises(deepl.AuthorizationException, match="unknown API key"):
        stranger.get_usage()
    with pytest.raises(deepl.AuthorizationException, match="unknown API key"):
        stranger.translate_text("Hund", target_lang="EN-US")
    stranger.close()


def test_refusals_reach_the_client(client: deepl.DeepLClient) -> None:
    refusals: list[tuple[dict[str, Any], str]] = [
        ({"text": "x" * 101, "target_lang": "EN-US"}, "101 characters; send at most 100"),
        ({"text": "Hund", "target_lang": "FI", "source_lang": "DE"}, "no model translates de-fi"),
        ({"text": "Hund", "target_lang": "EN-US", "formality": "more"}, "not supported"),
    ]
    for given, says in refusals:
        with pytest.raises(deepl.DeepLException, match=says) as refused:
            client.translate_text(**given)
        assert refused.value.http_status_code == 400


# --- by hand ------------------------------------------------------------------------------------


def test_a_form_with_repeated_texts_and_the_key_in_it(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(LINE_OF_KEY)
    client = client_of(plain_app(Settings(api_keys=file)))
    form = {"text": GERMAN, "target_lang": "EN", "source_lang": "DE", "auth_key": KEY}
    response = client.post("/v2/translate", data=form)
    assert [x["text"] for x in response.json()["translations"]] == [translated(x) for x in GERMAN]
    wrong = client.post("/v2/translate", data=form | {"auth_key": "wrong"})
    assert (wrong.status_code, wrong.json().keys()) == (403, {"message"})


def test_a_served_variant_goes_before_its_base() -> None:
    pairs = {
        ("de", "en"): random_translator(GERMAN, ENGLISH, seed=7),
        ("de", "en-us"): random_translator(GERMAN, ENGLISH, seed=8),
    }
    client = client_of(plain_app(serving=ServedModels(pairs=pairs)))
    texts: list[str] = []
    for target in ("EN-GB", "EN-US"):
        body = {"text": [GERMAN[0]], "target_lang": target}
        texts.append(client.post("/v2/translate", json=body).json()["translations"][0]["text"])
    wanted = [pairs["de", code].translate([GERMAN[0]])[0].text for code in ("en", "en-us")]
    assert texts == wanted
    assert wanted[0] != wanted[1]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"text": []}, "text: an empty list"),
        ({"target_lang": None}, "target_lang = None: must be a valid string"),
        ({"tag_handling": "tex"}, "tag_handling = 'tex': must be 'html', 'xml' or ''"),
        ({"glossary_id": "x"}, "glossary_id: not supported; leave it out"),
        ({"formality": "more"}, "formality = 'more': not supported; leave it out"),
        ({"target_lang": "de", "source_lang": "fr"}, "no model translates fr-de"),
    ],
)
def test_what_cannot_be_done_is_refused(fields: dict[str, Any], says: str) -> None:
    status, answer = ask({"text": ["Hund"], "target_lang": "EN", **fields})
    assert (status, answer.keys()) == (400, {"message"})
    assert says in answer["message"]


@pytest.mark.parametrize("kind", ["html", "xml"])
def test_markup_is_kept(kind: str) -> None:
    given = {"text": ["<p>Hund <x id='1'/></p>"], "target_lang": "EN-US", "source_lang": "DE"}
    status, answer = ask({**given, "tag_handling": kind})
    assert status == 200, answer
    (found,) = answer["translations"]
    assert found["text"].startswith("<p>")
    assert found["text"].endswith("</p>")
    assert found["text"].count("<x id='1'/>") == 1


def test_what_makes_no_difference_is_ignored() -> None:
    plain = ask({"text": ["Hund"], "target_lang": "EN-US", "source_lang": "DE"})
    more = {"formality": "prefer_more", "context": "x", "model_type": "latency_optimized"}
    assert plain[0] == 200
    assert plain == ask({"text": "Hund", "target_lang": "en-us", "source_lang": "de", **more})


def test_the_kind_of_languages_is_checked() -> None:
    client = client_of(plain_app())
    assert client.get("/v2/languages?type=target").json()[0]["supports_formality"] is False
    wrong = client.get("/v2/languages?type=both")
    assert (wrong.status_code, wrong.json().keys()) == (400, {"message"})


def test_too_late_is_503_and_other_paths_are_404() -> None:
    worker = PlainWorker()
    worker.error = DeadlineError("late")
    client = client_of(plain_app(worker=worker))
    late = client.post("/v2/translate", json={"text": ["Hund"], "target_lang": "EN"})
    assert (late.status_code, late.json().keys()) == (503, {"message"})
    missing = client.post("/v2/document")
    assert (missing.status_code, missing.json().keys()) == (404, {"message"})
