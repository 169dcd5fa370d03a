"""The page in a real browser, on the real service: both speak of the same things."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from browsing import Visit, in_browser
from conftest import network_of
from penstock.insight import inspect_sentence
from penstock.insight.html_document import make_document
from penstock.serve.settings import Settings
from penstock.tasks.translation.search_options import SearchOptions
from penstock.tasks.translation.translator import Translator
from serving import ENGLISH, FRENCH, GERMAN, random_translator, real_service, small_serving


@pytest.fixture(scope="module")
def translator() -> Translator:
    translator = random_translator(
        GERMAN, ENGLISH, seed=7, cell="gru", attention="multihead", attention_heads=2
    )
    for parameter in network_of(translator).parameters():
        parameter *= 5  # or all that it weighs would be about equal
    return translator


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("novel")
    (run / "log.jsonl").write_text(evaluation(100), encoding="utf-8")
    return run


@pytest.fixture(scope="module")
def url(translator: Translator, run: Path) -> Iterator[str]:
    pairs = {
        ("de", "en"): translator,
        ("fr", "en"): random_translator(FRENCH, ENGLISH, cell="lstm", attention="none"),
    }
    serving = replace(
        small_serving(), pairs=pairs, names={("de", "en"): "heads", ("fr", "en"): "plain"}
    )
    with real_service(Settings(run=run), serving) as url:
        yield url


@pytest.fixture
def visit(browser: Browser, url: str) -> Iterator[Visit]:
    context = browser.new_context(reduced_motion="reduce", locale="en-GB")
    visit = Visit(context.new_page(), url)
    yield visit
    context.close()
    visit.check()


def evaluation(update: int) -> str:
    fields = {"update": update, "epoch": 0, "seconds": update / 2, "loss": 90 / update}
    return json.dumps({"event": "evaluation", "train_loss": 2.0, "best": True} | fields) + "\n"


def looked_into(visit: Visit, text: str, language: str = "de") -> Page:
    page = visit.open(f"#source={language}&target=en&text={text}")
    page.wait_for_selector("#gates-figure[aria-busy=false] svg")
    return page


@in_browser
def test_it_shows_what_the_model_says(visit: Visit, translator: Translator) -> None:
    (said,) = translator.translate([GERMAN[0]], SearchOptions(n_best=4))
    page = looked_into(visit, GERMAN[0])
    assert page.locator("#output").inner_text() == said.text
    assert page.locator("#alternatives li .words").all_inner_texts()[1:] == [
        other.text for other in said.alternatives[1:]
    ]
    expect(page.locator("#models")).to_contain_text("heads (GRU, with attention), plain (LSTM")


@in_browser
def test_each_head_has_its_own_weights(visit: Visit) -> None:
    page = looked_into(visit, GERMAN[0])
    figure = page.locator("#attention-figure")
    expect(figure.get_by_role("radio")).to_have_count(3)
    cells = figure.locator(".heat .cells rect")
    shades: list[list[str | None]] = []
    for name in ("Mean", "1", "2"):
        figure.get_by_role("radio", name=name, exact=True).check(force=True)
        shades.append([cell.get_attribute("fill-opacity") for cell in cells.all()])
    assert shades[1] != shades[2]
    assert shades[0] not in shades[1:]


@in_browser
def test_tree_optimum_gates_and_what_if_are_the_models(visit: Visit) -> None:
    page = looked_into(visit, GERMAN[1])
    page.get_by_role("button", name="Find the exact optimum").click()
    expect(page.locator(".certificate")).to_contain_text("ertified.")
    assert page.locator(".stage .exact-mark").count() > 1
    gates = page.locator("#gates-figure")
    expect(gates.locator(".gate-block").first.locator("h3")).to_contain_text("GRU, 6 units")
    names = gates.locator(".strips").first.locator("g > text:first-child").all_text_contents()
    assert names == ["reset", "update", "candidate", "hidden"]
    gates.get_by_role("button", name="Show single units").click()
    gates.get_by_label("Unit (1 to 6)").fill("2")
    page.keyboard.press("Enter")
    expect(gates.locator("h3").first).to_contain_text("unit 2")
    choices = page.locator("#what-if-figure")
    choices.locator(".piece-button").first.click()
    other = choices.locator(".choices-here button").first
    word = other.inner_text()
    other.click()
    expect(page.locator("#forced")).to_contain_text(word)
    expect(choices.locator(".piece-button.forced")).to_have_count(1)


@in_browser
def test_a_model_without_attention_says_so(visit: Visit) -> None:
    page = looked_into(visit, FRENCH[0], "fr")
    expect(page.locator("#attention-figure")).to_contain_text("This model has no attention")
    names = page.locator("#gates-figure .strips").first.locator("g > text:first-child")
    assert names.all_text_contents() == ["input", "forget", "output", "candidate", "cell", "hidden"]


@in_browser
def test_a_run_that_grows_is_followed(visit: Visit, run: Path) -> None:
    log = run / "log.jsonl"
    log.write_text(evaluation(100), encoding="utf-8")
    page = visit.open()
    figure = page.locator("#training-figure")
    points = figure.locator("figure").first.locator(".series.solid circle")
    expect(points).to_have_count(1)
    expect(figure.locator(".badge")).to_have_text("training now")
    with log.open("a", encoding="utf-8") as file:
        file.write(evaluation(200) + evaluation(300))
    expect(points).to_have_count(3)
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"event": "stop", "reason": "patience"}) + "\n")
    expect(figure.locator(".badge")).to_have_text("finished")


@in_browser
def test_other_tasks_and_the_description(visit: Visit, url: str) -> None:
    page = visit.open()
    page.get_by_label("Label a text").fill(ENGLISH[0])
    page.get_by_role("button", name="Label").click()
    expect(page.locator("#tasks .ranked li")).to_have_count(2)
    page.get_by_label("Fill the blanks").fill("the ___ sees a cat .")
    page.get_by_role("button", name="Fill").click()
    expect(page.locator("#tasks .ranked").nth(1).locator("li")).to_have_count(5)
    page.get_by_label("Write on").fill("the dog")
    page.get_by_role("button", name="Write").click()
    expect(page.locator("#tasks .written")).to_have_text(re.compile(r"^the dog\W"))
    page.goto(f"{url}/docs")
    for path in ("/translate", "/v2/translate", "/v1/inspect"):
        expect(page.get_by_role("heading", name=f"POST {path}", exact=True)).to_be_visible()


@in_browser
def test_a_document_needs_no_server(
    browser: Browser, translator: Translator, tmp_path: Path
) -> None:
    text = "der Hund </script> <!-- sieht"
    inspection = inspect_sentence(translator, text, exact=True, units=True)
    path = tmp_path / "inspection.html"
    path.write_text(make_document(inspection), encoding="utf-8")
    context = browser.new_context(offline=True)
    visit = Visit(context.new_page(), path.as_uri())
    page = visit.page
    page.goto(path.as_uri())
    for figure in ("attention", "tree", "gates"):
        expect(page.locator(f"#{figure}-figure svg").first).to_be_visible()
    assert page.locator("#source").inner_text() == text
    expect(page.locator(".certificate")).to_contain_text("ertified.")
    expect(page.locator(".piece-button")).to_have_count(len(inspection.target_tokens))
    page.locator(".piece-button").first.click()
    expect(page.locator(".choices-here li").first).to_be_visible()
    expect(page.locator(".choices-here button")).to_have_count(0)
    page.get_by_role("button", name="中文").click()
    expect(page.get_by_role("heading", name="它如何搜索")).to_be_visible()
    context.close()
    visit.check()
