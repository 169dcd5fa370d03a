"""The service says how sure a model is, and what it does not know."""

from __future__ import annotations

from typing import Any

from penstock.serve.models.served_models import ServedModels
from penstock.tasks.translation.translator import Translator
from serving import client_of, plain_app, small_serving


def ask(path: str, body: Any, serving: ServedModels | None = None) -> tuple[int, Any]:
    response = client_of(plain_app(serving=serving)).post(path, json=body)
    return response.status_code, response.json()


def test_translations_are_sure_unsure_or_unfamiliar() -> None:
    pair = ("en", "fr")
    demo = ServedModels(pairs={pair: Translator.load("demo")}, names={pair: "demo"}, models={})
    texts = ["Do you like coffee?", "The weather is nice today.", "xqzt vrrp", "日本語"]
    status, answer = ask("/v1/translate", {"texts": texts, "min_confidence": 0.9}, demo)
    assert status == 200
    found = answer["translations"]
    assert [each["status"] for each in found] == ["ok", "unsure", "unfamiliar", "unknown-heavy"]
    assert found[0]["confidence"] > 0.9 > found[1]["confidence"]
    assert [each["confidence"] for each in found[2:]] == [None, None]
    _, answer = ask("/v1/translate", {"texts": f"{texts[0]}\n{texts[1]}"}, demo)
    product = found[0]["confidence"] * found[1]["confidence"]
    assert abs(answer["translations"][0]["confidence"] - product) < 1e-4


def test_models_without_confidence_say_so() -> None:
    serving = small_serving()
    for path, body in (("/v1/classify", {"texts": "x"}), ("/v1/fill", {"texts": "___"})):
        status, answer = ask(path, body, serving)
        (result,) = next(iter(answer.values()))
        assert status == 200
        assert result.get("confidence") is None
        assert result.get("confidences", []) == []
        status, answer = ask(path, body | {"min_confidence": 0.5}, serving)
        assert status == 400
        assert "min_confidence: outputs have no confidence here" in answer["error"]["message"]
        assert ask(path, body | {"min_confidence": 1.5}, serving)[0] == 400
