"""LibreTranslate's API, by its real client and by hand."""

from __future__ import annotations

import json
import urllib.error
from pathlib import Path
from typing import Any

import pytest
from libretranslatepy import LibreTranslateAPI

from penstock.serve.middleware.api_keys import new_key
from penstock.serve.models.served_models import ServedModels
from penstock.serve.service_errors import DeadlineError, QueueFullError
from penstock.serve.settings import Settings
from penstock.tasks.translation.search_options import SearchOptions
from serving import (
    ENGLISH,
    GERMAN,
    PlainWorker,
    client_of,
    plain_app,
    real_service,
    small_serving,
)

LINE = GERMAN[0]


def translated(line: str, source: str = "de", target: str = "en") -> str:
    """By the translator itself."""
    return small_serving().translator(source, target).translate([line])[0].text


def ask(body: dict[str, Any], **settings: Any) -> tuple[int, dict[str, Any]]:
    response = client_of(plain_app(Settings(**settings))).post("/translate", json=body)
    return response.status_code, response.json()


def asked(**fields: Any) -> dict[str, Any]:
    return {"q": LINE, "source": "de", "target": "en", **fields}


# --- the real client ----------------------------------------------------------------------------


def test_the_real_client_works(tmp_path: Path) -> None:
    key, line = new_key("reader")
    file = tmp_path / "keys"
    file.write_text(f"{line}\n")
    with real_service(Settings(api_keys=file)) as url:
        client = LibreTranslateAPI(url, api_key=key)
        assert client.translate(LINE, "de", "en") == translated(LINE)
        assert client.translate(FAMILY, "auto", "de") == translated(FAMILY, "en", "de")
        assert client.detect("Die Frau liest ein gutes Buch.")[0]["language"] == "de"
        assert {x["code"]: x["targets"] for x in client.languages()} == {
            "de": ["en"],
            "en": ["de"],
            "fr": ["en"],
        }
        with pytest.raises(urllib.error.HTTPError) as refused:
            LibreTranslateAPI(url, api_key="wrong").translate(LINE, "de", "en")
        assert refused.value.code == 403
        with refused.value as answer:
            assert "unknown API key" in json.loads(answer.read())["error"]
        with pytest.raises(urllib.error.HTTPError) as without:
            LibreTranslateAPI(url).translate(LINE, "de", "en")
        with without.value as answer:
            assert answer.code == 403


FAMILY = "The woman reads the book to her children."


# --- forms of requests and answers --------------------------------------------------------------


@pytest.mark.parametrize("form", ["json", "urlencoded", "multipart"])
def test_one_text_gives_one_text(form: str) -> None:
    given: dict[str, Any] = {
        "json": {"json": asked()},
        "urlencoded": {"data": asked()},
        "multipart": {"files": {name: (None, value) for name, value in asked().items()}},
    }[form]
    response = client_of(plain_app()).post("/translate", **given)
    assert (response.status_code, response.json()) == (200, {"translatedText": translated(LINE)})


def test_a_list_gives_a_list_in_json_and_in_a_form() -> None:
    client = client_of(plain_app())
    wanted = {"translatedText": [translated(line) for line in GERMAN]}
    assert client.post("/translate", json=asked(q=GERMAN)).json() == wanted
    assert client.post("/translate", data=asked(q=GERMAN)).json() == wanted


def test_auto_says_what_it_detected_for_each_text() -> None:
    texts = ["Die Frau liest ein gutes Buch.", "La femme lit un bon livre à ses enfants."]
    status, answer = ask(asked(q=texts, source="auto"))
    assert status == 200
    assert [x["language"] for x in answer["detectedLanguage"]] == ["de", "fr"]
    assert all(50 < x["confidence"] <= 100 for x in answer["detectedLanguage"])
    assert answer["translatedText"] == [translated(texts[0]), translated(texts[1], "fr")]
    status, answer = ask(asked(q=texts[1], source="auto"))
    assert answer["detectedLanguage"]["language"] == "fr"
    assert answer["translatedText"] == translated(texts[1], "fr")


def test_alternatives_of_a_server_without_translators_are_refused() -> None:
    idle = client_of(plain_app(serving=ServedModels())).post(
        "/translate", json=asked(alternatives=2)
    )
    assert idle.status_code == 400
    assert idle.json()["error"].startswith("no model that translates is served")


def test_alternatives_are_others_by_falling_score() -> None:
    translator = small_serving().translator("de", "en")
    (wanted,) = translator.translate([LINE], SearchOptions(n_best=5, beam_size=5))
    texts = [each.text for each in wanted.alternatives]
    assert len(set(texts)) > 2  # else this shows nothing
    status, answer = ask(asked(alternatives=4))
    assert status == 200
    assert answer["translatedText"] == texts[0]
    assert answer["alternatives"] == [t for t in dict.fromkeys(texts) if t != texts[0]]
    status, several = ask(asked(q=[LINE, ""], alternatives=4))
    assert several["alternatives"] == [answer["alternatives"], []]


def test_line_structure_and_white_space_are_kept() -> None:
    worker = PlainWorker()
    text = f"\r\n  {GERMAN[0]}\t\r\n\n \n{GERMAN[1]}\n"
    response = client_of(plain_app(worker=worker)).post("/translate", json=asked(q=text))
    first, second = (translated(line) for line in GERMAN)
    assert response.json() == {"translatedText": f"\r\n  {first}\t\r\n\n \n{second}\n"}
    assert worker.lines == [[f"  {GERMAN[0]}\t", GERMAN[1]]]


@pytest.mark.parametrize("text", ["", " ", "\n", "\r\n \n", "\u200b"])
def test_blank_text_comes_back_and_costs_nothing(text: str) -> None:
    worker = PlainWorker()
    response = client_of(plain_app(worker=worker)).post("/translate", json=asked(q=text))
    assert response.json() == {"translatedText": text}
    assert worker.lines == []


def test_unknown_fields_are_ignored_and_codes_have_any_case() -> None:
    assert ask(asked(secret=1, source="DE", target="en_GB")) == ask(asked())


def test_what_a_page_must_know(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(new_key("reader")[1])
    for keys in (None, file):
        client = client_of(plain_app(Settings(max_characters=77, api_keys=keys)))
        settings = client.get("/frontend/settings").json()
        assert settings["charLimit"] == 77
        assert settings["keyRequired"] is settings["apiKeys"] is (keys is not None)
        assert settings["language"]["source"] == {"code": "de", "name": "German"}
    assert client.get("/health").json() == {"status": "ok"}


def test_detect_ranks_only_what_is_served() -> None:
    answer = client_of(plain_app()).post("/detect", data={"q": ENGLISH[1]}).json()
    assert answer[0]["language"] == "en"
    assert {x["language"] for x in answer} == {"de", "en", "fr"}
    assert sum(x["confidence"] for x in answer) == pytest.approx(100, abs=0.5)


def test_html_keeps_its_tags() -> None:
    status, answer = ask(asked(q=f"<p>{LINE}</p><hr>", format="html"))
    assert (status, answer) == (200, {"translatedText": f"<p>{translated(LINE)}</p><hr>"})
    words = LINE.split()
    marked = " ".join([f"<b>{words[0]}</b>", *words[1:]])
    _, answer = ask(asked(q=[marked], format="html", alternatives=1))
    for text in (answer["translatedText"][0], *answer["alternatives"][0]):
        assert (text.count("<b>"), text.count("</b>")) == (1, 1)


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"format": "rtf"}, "format = 'rtf': must be 'text' or 'html'"),
        ({"target": "xx"}, "no model translates de-xx; pairs served: de-en, fr-en, en-de"),
        (
            {"source": "auto", "target": "xx"},
            "no model translates into xx; pairs served: de-en, fr-en, en-de",
        ),
        ({"q": []}, "q: an empty list; give at least one text"),
        ({"q": None}, "q = None: give a text or a list of texts"),
        ({"q": ["a", 1]}, "q = ['a', 1]: give a text or a list of texts"),
        ({"q": "x" * 61}, "q: 61 characters; send at most 60 per text"),
        ({"q": ["a", "x" * 61]}, "q.1: 61 characters; send at most 60 per text"),
        ({"q": ["a"] * 4}, "q: 4 texts; send at most 3 at a time"),
        ({"q": ["a\r" * 10, *["a\n" * 30] * 2]}, "q: 70 lines; send at most 60 at a time"),
        ({"alternatives": -1}, "alternatives = -1: must be at least 0"),
        ({"alternatives": "1"}, "alternatives = '1': must be a valid integer"),
        ({"source": 5}, "source = 5: must be a valid string"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(fields: dict[str, Any], says: str) -> None:
    body = {"q": "Hund", "source": "de", "target": "en", **fields}
    status, answer = ask(body, max_texts=3, max_characters=60)
    assert status == 400
    assert answer.keys() == {"error"}
    assert says in answer["error"]


def test_a_missing_field_is_named() -> None:
    assert ask({"q": "a", "source": "de"}) == (400, {"error": "target: missing; give it"})


@pytest.mark.parametrize(
    ("error", "status", "retry"),
    [(QueueFullError("full", retry_after=2.2), 503, "3"), (DeadlineError("late"), 503, "1")],
)
def test_too_busy_is_503(error: Exception, status: int, retry: str) -> None:
    worker = PlainWorker()
    worker.error = error
    response = client_of(plain_app(worker=worker)).post("/translate", json=asked())
    assert (response.status_code, response.headers["retry-after"]) == (status, retry)
    assert response.json().keys() == {"error"}


def test_other_paths_and_methods_have_the_same_form() -> None:
    client = client_of(plain_app())
    missing, wrong = client.get("/nothing"), client.get("/translate")
    assert (missing.status_code, missing.json().keys()) == (404, {"error"})
    assert (wrong.status_code, wrong.json().keys()) == (405, {"error"})
    assert wrong.headers["allow"] == "POST"


def test_a_mistake_of_ours_tells_nothing_of_the_text() -> None:
    worker = PlainWorker()
    worker.error = RuntimeError(f"about {LINE}")
    response = client_of(plain_app(worker=worker)).post("/translate", json=asked())
    assert response.status_code == 500
    assert response.json() == {"error": "internal error; the server's log has the details"}
