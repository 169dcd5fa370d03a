"""The page in a real browser, against canned answers; and what its files may hold."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from browsing import Visit, barriers, in_browser
from fake_service import PAGE, FakeServer, FakeService

OUTPUT = "A man is cleaning a window."
VIEWS = ("attention", "tree", "gates", "what-if", "training")


@pytest.fixture
def service() -> Iterator[FakeService]:
    with FakeServer() as service:  # its own: what the page of the test before still asks is lost
        yield service


@pytest.fixture
def visit(browser: Browser, service: FakeService) -> Iterator[Visit]:
    context = browser.new_context(reduced_motion="reduce", locale="en-GB")
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=service.url)
    visit = Visit(context.new_page(), service.url)
    yield visit
    context.close()
    visit.check()


def inspected(visit: Visit) -> Page:
    """Opened, with the figures drawn."""
    visit.page.clock.install()
    page = visit.open()
    expect(page.locator("#output")).to_have_text(OUTPUT)
    page.clock.fast_forward(1000)  # the page waits for a rest before it looks inside
    page.wait_for_selector("#attention-figure[aria-busy=false] svg")
    return page


@in_browser
def test_one_types_and_reads_the_translation(visit: Visit, service: FakeService) -> None:
    page = visit.open()
    page.get_by_label("Text to translate").fill("Ein Mann putzt ein Fenster.")
    expect(page.locator("#output")).to_have_text(OUTPUT)
    expect(page.locator("#told")).to_contain_text("Translated whole.")
    expect(page.locator("#told")).to_contain_text("Exactly right with a probability of 87 %.")
    alternatives = page.locator("#alternatives li")
    expect(alternatives).to_have_count(4)
    expect(alternatives.nth(1)).to_contain_text("−0.40")
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == OUTPUT
    assert service.bodies("/v1/translate")[-1]["texts"] == "Ein Mann putzt ein Fenster."
    page.get_by_role("button", name="Copy link").click()
    expect(page.locator("#link")).to_have_text("Copied")
    link = page.evaluate("navigator.clipboard.readText()")
    assert link == page.url
    assert "text=Ein+Mann+putzt" in link


@in_browser
def test_the_models_are_named(visit: Visit) -> None:
    expect(visit.open().locator("#models")).to_have_text(
        "Models on this server: de-en (LSTM, with attention), fr-en (LSTM, without attention)."
    )


@in_browser
def test_a_text_that_the_model_does_not_know_is_marked(visit: Visit) -> None:
    page = visit.open()
    page.get_by_label("Text to translate").fill("Xyzzy")
    expect(page.locator("#told .badge.warn")).to_have_text("many unknown words")
    expect(page.locator("#told")).to_contain_text("Do not trust")
    expect(page.locator("#told")).not_to_contain_text("probability")


@in_browser
def test_the_link_restores_text_and_languages_and_stays_in_the_browser(
    visit: Visit, service: FakeService
) -> None:
    page = visit.open("#source=fr&target=en&text=Un+Mann+%26+moi")
    expect(page.locator("#output")).to_have_text(OUTPUT)
    expect(page.get_by_label("Text to translate")).to_have_value("Un Mann & moi")
    assert service.bodies("/v1/translate")[-1]["source"] == "fr"
    page.get_by_label("Text to translate").fill("Der Mann")
    expect(page).to_have_url(re.compile("#.*text=Der[+]Mann"))
    page.reload()
    expect(page.get_by_label("Text to translate")).to_have_value("Der Mann")
    assert "Der" not in "".join(path for path, _ in service.asked)


@in_browser
def test_the_detected_language_is_told(visit: Visit) -> None:
    page = visit.open("#source=auto&target=en&text=Mann")
    expect(page.locator("#from option:checked")).to_have_text("Detected: German")


@in_browser
def test_an_answer_that_comes_late_does_not_replace_a_newer_one(
    visit: Visit, service: FakeService
) -> None:
    page = visit.open()
    expect(page.locator("#output")).to_have_text(OUTPUT)
    service.delay = 0.5
    page.get_by_label("Text to translate").fill("old")
    expect(page.locator("#output")).to_have_attribute("aria-busy", "true")
    page.wait_for_timeout(100)  # the first request is under way
    service.delay = 0.0
    page.get_by_label("Text to translate").fill("newer")
    expect(page.locator("#output")).to_have_text("NEWER")
    page.wait_for_timeout(600)
    expect(page.locator("#output")).to_have_text("NEWER")


@in_browser
def test_pointing_at_a_piece_links_it_in_both_drawings(visit: Visit) -> None:
    page = inspected(visit)
    page.locator(".alignment [data-side=target][data-index='3']").hover()
    linked = page.locator(".alignment .piece.linked[data-side=source]")
    weights = page.locator(".alignment .lines .linked")
    assert {one.get_attribute("data-index") for one in linked.all()} >= {"3"}
    assert {one.get_attribute("data-target") for one in weights.all()} == {"3"}
    expect(page.locator("#attention-figure .heat text.linked")).to_have_text("cleaning")
    expect(page.locator("#attention-figure .readout")).to_contain_text("“cleaning” looks at")
    box = page.locator(".heat .field").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 12, box["y"] + 12)  # the first row
    expect(page.locator("#attention-figure .heat text.linked")).to_have_text("A")


@in_browser
def test_pieces_are_linked_by_the_keyboard_and_heads_are_chosen(visit: Visit) -> None:
    page = inspected(visit)
    page.locator(".alignment [data-side=target][data-index='0']").focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator("#attention-figure .readout")).to_contain_text("“man” looks at")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#attention-figure .readout")).to_contain_text("“Mann” is looked at by")
    before = page.locator(".alignment .lines path").first.get_attribute("d")
    page.get_by_role("radio", name="2").check(force=True)
    assert page.locator(".alignment .lines path").first.get_attribute("d") != before


@in_browser
def test_one_steps_through_the_beam_tree(visit: Visit) -> None:
    page = inspected(visit)
    figure = page.locator("#tree-figure")
    expect(figure.locator(".where")).to_have_text("step 8 of 8")
    expect(figure.locator(".stage .node.finished")).to_have_count(1)
    figure.get_by_role("button", name="To the start").click()
    expect(figure.locator(".where")).to_have_text("step 0 of 8")
    expect(figure.locator(".stage .node")).to_have_count(1)
    figure.get_by_role("button", name="One step on").click()
    expect(figure.locator(".stage .pruned .mark")).to_have_count(3)
    expect(figure.locator(".readout")).to_contain_text("Kept: “A” 82%, “One” 25%. Pruned: 3.")
    figure.locator(".stage").focus()
    page.keyboard.press("ArrowRight")
    expect(figure.locator(".where")).to_have_text("step 2 of 8")
    page.keyboard.press("ArrowDown")
    expect(figure.locator(".readout")).to_contain_text("A man – “man”: 82% here, 67% with all")
    page.keyboard.press("End")
    expect(figure.locator(".readout")).to_contain_text("Finished: ⟨end⟩")


@in_browser
def test_the_exact_optimum_is_marked_with_its_certificate(
    visit: Visit, service: FakeService
) -> None:
    page = inspected(visit)
    page.get_by_role("button", name="Find the exact optimum").click()
    certificate = page.locator(".certificate.certified")
    expect(certificate).to_contain_text("The beam missed the optimum")
    expect(certificate).to_contain_text("1,243")
    assert page.locator(".stage .unseen .exact-mark").count() == 7
    assert service.bodies("/v1/inspect")[-1]["exact"] is True


@in_browser
def test_gates_are_shown_for_each_layer_and_unit(visit: Visit, service: FakeService) -> None:
    page = inspected(visit)
    figure = page.locator("#gates-figure")
    expect(figure.locator(".gate-block")).to_have_count(2)
    # the forget gate is 0.5 + 0.45 sin(place + 1)
    expect(figure.locator(".gate-block .reading").first).to_have_text(
        "Forgets most at “Fenster” (0.07), keeps most at “Mann” (0.91)."
    )
    figure.get_by_role("radio", name="Decoder, writing").check(force=True)
    expect(figure.locator(".gate-block")).to_have_count(1)
    expect(figure.locator("h3")).to_contain_text("Layer 1")
    figure.get_by_role("button", name="Show single units").click()
    figure.get_by_label("Unit (1 to 12)").fill("6")
    page.keyboard.press("Enter")
    expect(figure.locator("h3")).to_contain_text("unit 6")
    # the unit has half the mean's value: 0.5 at the first token
    expect(figure.locator(".strips .in-cell").first).to_have_text(".25")
    assert service.bodies("/v1/inspect")[-1]["units"] is True


@in_browser
def test_a_forced_prefix_is_searched_on_from_and_taken_back(
    visit: Visit, service: FakeService
) -> None:
    page = inspected(visit)
    figure = page.locator("#what-if-figure")
    figure.locator(".piece-button").nth(1).click()
    expect(figure.locator(".choices-here li")).to_have_count(4)
    figure.get_by_role("button", name="woman", exact=True).click()
    expect(figure.locator(".forced-note")).to_contain_text("A woman is cleaning a window.")
    assert service.bodies("/v1/inspect")[-1]["prefix"] == ["▁A", "▁woman"]
    expect(page.locator("#forced")).to_contain_text("A woman is")
    figure.locator(".piece-button").nth(2).click()
    figure.get_by_role("button", name="cleans").click()
    expect(figure.locator(".forced-note")).to_contain_text("A woman cleans")
    figure.get_by_role("button", name="One back").click()
    expect(figure.locator(".forced-note")).to_contain_text("A woman is cleaning a window.")
    figure.get_by_role("button", name="Back to the model's own").click()
    expect(figure.locator(".forced-note")).to_have_count(0)
    assert service.bodies("/v1/inspect")[-1]["prefix"] == []


@in_browser
def test_language_and_theme_are_switched_and_kept(visit: Visit) -> None:
    page = inspected(visit)
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Dark").click()
    page.get_by_role("button", name="中文").click()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert dark != paper
    for _ in range(2):
        expect(page.locator("html")).to_have_attribute("lang", "zh-Hans")
        expect(page.get_by_role("heading", name="束搜索树")).to_have_count(0)
        expect(page.get_by_role("heading", name="它如何搜索")).to_be_visible()
        expect(page.locator("#attention-figure svg").first).to_be_visible()
        expect(page.locator("#told")).to_contain_text("整句翻译完成")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark
        page.reload()


@in_browser
def test_training_is_followed_until_it_ends(visit: Visit, service: FakeService) -> None:
    visit.page.clock.install()
    page = visit.open()
    figure = page.locator("#training-figure")
    expect(figure.locator(".badge")).to_have_text("training now")
    loss = figure.locator("figure").first
    expect(loss.locator(".series.solid circle")).to_have_count(6)
    service.events.append({"event": "evaluation", **_later_evaluation(service)})
    page.clock.fast_forward(2100)
    expect(loss.locator(".series.solid circle")).to_have_count(7)
    service.finished = True
    page.clock.fast_forward(2100)
    expect(figure.locator(".badge")).to_have_text("finished")
    asked = len(service.bodies("/v1/run"))
    page.clock.fast_forward(10_000)
    page.wait_for_timeout(100)
    assert len(service.bodies("/v1/run")) == asked
    assert service.bodies("/v1/run")[:2] == [0, 6]


def _later_evaluation(service: FakeService) -> dict[str, Any]:
    return {**service.events[-1], "update": 3500, "seconds": 700, "best": False}


@in_browser
def test_other_tasks_have_their_panel(visit: Visit) -> None:
    page = visit.open()
    page.get_by_label("Label a text").fill("what a day")
    page.get_by_role("button", name="Label").click()
    expect(page.locator("#tasks li").first).to_contain_text("glad")
    page.get_by_label("Fill the blanks").fill("In the ___ .")
    page.get_by_role("button", name="Fill").click()
    expect(page.locator("#tasks")).to_contain_text("In the house .")
    page.get_by_label("Write on").fill("Once")
    page.get_by_role("button", name="Write").click()
    expect(page.locator("#tasks .written")).to_have_text("Once on and on")


@in_browser
def test_a_server_error_is_told_in_its_place_and_overcome(
    visit: Visit, service: FakeService
) -> None:
    visit.expected = "the server responded with a status of 5"
    page = inspected(visit)
    page.get_by_label("Text to translate").fill("Ein Mann")
    expect(page.locator("#tree-figure")).to_have_attribute("aria-busy", "true")
    service.failure = (503, "overloaded", "256 texts wait")
    page.get_by_label("Text to translate").fill("Der Mann")
    expect(page.locator("#translate-trouble")).to_contain_text("The server is busy.")
    expect(page.locator("#output")).to_have_text(OUTPUT)
    expect(page.locator("#output")).to_have_attribute("aria-busy", "true")
    expect(page.locator("#tree-figure")).to_have_attribute("aria-busy", "false")
    service.failure = None
    page.locator("#translate-trouble").get_by_role("button", name="Try again").click()
    expect(page.locator("#translate-trouble")).to_be_empty()
    expect(page.locator("#attention-figure")).to_have_attribute("aria-busy", "false")
    service.failure = (500, "internal", "")
    page.get_by_role("button", name="Find the exact optimum").click()
    expect(page.locator("#tree-note")).to_contain_text("Something went wrong on the server")
    assert page.locator("#tree-figure svg").count() > 0, "what was there stays"


@in_browser
def test_a_key_is_asked_for_and_kept_for_the_tab(visit: Visit, service: FakeService) -> None:
    visit.expected = "the server responded with a status of 403"
    service.key = "secret"
    page = visit.open()
    field = page.get_by_label("API key")
    field.fill("secret")
    field.press("Enter")
    expect(page.locator("#output")).to_have_text(OUTPUT)
    page.reload()
    expect(page.locator("#output")).to_have_text(OUTPUT)
    assert "secret" not in page.url


@in_browser
def test_a_server_that_is_not_there_is_told(visit: Visit) -> None:
    visit.expected = "net::ERR_"
    page = inspected(visit)
    page.context.set_offline(True)
    page.get_by_label("Text to translate").fill("Der Mann")
    expect(page.locator("#translate-trouble")).to_contain_text("cannot be reached")
    page.context.set_offline(False)
    expect(page.locator("#translate-trouble")).to_be_empty()


@in_browser
def test_a_slow_server_is_told(visit: Visit, service: FakeService) -> None:
    page = inspected(visit)
    service.delay = 1.2
    page.get_by_label("Text to translate").fill("Der Mann")
    expect(page.locator("#told")).to_have_text("This takes a while…")
    expect(page.locator("#told")).to_contain_text("Translated whole.")


@in_browser
@pytest.mark.parametrize(
    "text",
    [
        "<img src=x onerror=\"document.title='broken'\"> <script>1</script>",
        "مرحبا بالعالم, שלום עולם",
        "Wort " * 1000,
        "W" * 5000,
    ],
    ids=["markup", "right-to-left", "5,000 characters", "one long word"],
)
def test_hostile_texts_are_texts(visit: Visit, text: str) -> None:
    page = inspected(visit)
    page.set_viewport_size({"width": 360, "height": 700})
    page.get_by_label("Text to translate").fill(text)
    expect(page.locator("#output")).to_have_text(text.upper())
    page.clock.fast_forward(1000)
    page.wait_for_selector("#attention-figure[aria-busy=false] svg")
    assert page.title() == "penstock"
    assert page.locator("main img, main script").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    direction = page.evaluate("getComputedStyle(document.querySelector('#output')).direction")
    assert direction == ("rtl" if "مرحبا" in text else "ltr")


@in_browser
def test_a_text_in_parts_has_no_figures_and_a_text_too_long_is_not_sent(
    visit: Visit, service: FakeService
) -> None:
    page = inspected(visit)
    looked = len(service.bodies("/v1/inspect"))
    page.get_by_label("Text to translate").fill("Der Mann geht. " * 380)
    expect(page.locator("#told .badge")).to_have_text("split")
    expect(page.locator("#attention-note")).to_contain_text("The figures show one sentence")
    expect(page.locator("#attention-figure")).to_be_empty()
    translated = len(service.bodies("/v1/translate"))
    page.get_by_label("Text to translate").fill("x" * 6001)
    expect(page.locator("#translate-trouble")).to_contain_text("too long for this server")
    expect(page.locator("#counter")).to_have_text("6,001 of 6,000 characters")
    page.wait_for_timeout(900)
    assert len(service.bodies("/v1/translate")) == translated
    assert len(service.bodies("/v1/inspect")) == looked


@in_browser
def test_of_several_lines_the_first_is_looked_into(visit: Visit, service: FakeService) -> None:
    page = inspected(visit)
    page.get_by_label("Text to translate").fill("\n  Der Mann.\n\nDie Frau.")
    expect(page.locator("#attention-figure")).to_have_attribute("aria-busy", "true")
    expect(page.locator("#attention-figure")).to_have_attribute("aria-busy", "false")
    assert service.bodies("/v1/inspect")[-1]["text"] == "Der Mann."
    assert service.bodies("/v1/translate")[-1]["texts"] == "\n  Der Mann.\n\nDie Frau."


@in_browser
def test_the_keyboard_is_enough(visit: Visit, service: FakeService) -> None:
    page = inspected(visit)
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to the text field")
    page.keyboard.press("Enter")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("Der Mann")
    expect(page.locator("#output")).to_have_text(OUTPUT)
    expect(page.locator("#attention-figure")).to_have_attribute("aria-busy", "false")
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.locator(".piece-button:focus").count():
            break
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    while page.locator(".piece-button:focus").count():
        page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("One")
    page.keyboard.press("Enter")
    expect(page.locator("#forced")).to_contain_text("One man")
    assert page.evaluate("document.activeElement !== document.body"), "the focus is not lost"


@in_browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_serious_barrier_is_found(visit: Visit, theme: str) -> None:
    page = visit.page
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light", reduced_motion="reduce")
    inspected(visit)
    page.get_by_role("button", name="Find the exact optimum").click()
    expect(page.locator(".certificate.certified")).to_be_visible()
    page.locator(".piece-button").nth(1).click()
    page.get_by_role("button", name="woman", exact=True).click()
    expect(page.locator(".forced-note")).to_be_visible()
    page.locator(".piece-button").nth(2).click()
    page.locator(".alignment [data-side=target]").nth(2).hover()
    for summary in page.locator("details summary").all():
        summary.click()
    if theme == "dark":
        page.set_viewport_size({"width": 360, "height": 700})
        page.get_by_role("button", name="中文").click()
    assert barriers(page) == []


@in_browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_description_of_the_api_is_drawn(
    visit: Visit, service: FakeService, theme: str
) -> None:
    page = visit.page
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    page.goto(f"{service.url}/docs")
    expect(page.get_by_role("heading", name="POST /v1/translate")).to_be_visible()
    expect(page.locator("table").first).to_contain_text("beam_size")
    expect(page.locator("table").first).to_contain_text("≤ 16")
    assert barriers(page) == []


def modules() -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in PAGE.glob("js/*.js")}


def test_no_file_makes_markup_or_code_from_text() -> None:
    assert len(modules()) > 10
    for name, text in modules().items():
        found = re.findall(
            r"innerHTML|outerHTML|insertAdjacent|\beval\b|\.style\b|document\.write", text
        )
        assert found == [], name
    for path in PAGE.glob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(
            r'\sstyle="|\son\w+="|<style|<script(?! (type="module" )?src=)', text
        ), path
        assert "//" not in re.sub(r"'http://www.w3.org/2000/svg'", "", text), path


def strings_of(language: str) -> dict[str, str]:
    text = modules()["strings.js"]
    block = re.search(rf"^const {language} = \{{\n(.*?)^\}};", text, re.MULTILINE | re.DOTALL)
    assert block is not None
    return dict(re.findall(r'^  "?([\w-]+)"?: "(.*)",$', block[1], re.MULTILINE))


def test_both_languages_say_the_same_things() -> None:
    english, chinese = strings_of("ENGLISH"), strings_of("CHINESE")
    assert len(english) > 150
    assert list(english) == list(chinese)
    for key, text in english.items():
        places = sorted(set(re.findall(r"\{\w+\}", text)))
        assert sorted(set(re.findall(r"\{\w+\}", chinese[key]))) == places, key


def test_each_string_is_used_and_each_used_string_exists() -> None:
    english = strings_of("ENGLISH")
    code = "\n".join(text for name, text in modules().items() if name != "strings.js")
    html = {path.name: path.read_text("utf-8") for path in PAGE.glob("*.html")}
    said = set(re.findall(r'data-say(?:-[\w-]+)?="([\w-]+)"', "\n".join(html.values())))
    said |= set(re.findall(r'\bsay\("([\w-]+)"', code))
    assert said - set(english) == set()
    # other keys are chosen by what happens: `x ? "a" : "b"`, or made: `state_${kind}`
    quoted = set(re.findall(r'"([\w-]+)"', code))
    made = [
        re.compile(f"{before}.+{behind}")
        for before, behind in re.findall(r"`(\w*)\$\{[^`}]*\}(\w*)`", code)
        if before or behind
    ]
    assert len(made) > 8
    unused = [
        key for key in set(english) - said - quoted if not any(form.fullmatch(key) for form in made)
    ]
    assert unused == []
    for name, text in html.items():
        for key, words in re.findall(r'data-say="([\w-]+)"[^>]*>([^<]+)<', text):
            assert words.strip() == english[key], f"{name}: {key}"
