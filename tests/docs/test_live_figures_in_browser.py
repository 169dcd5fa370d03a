"""The figures of the chapter in a browser: all on one page, both languages, from a folder."""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from browsing import barriers, in_browser
from penstock.bundle import load_bundle
from penstock.insight.inspection_builder import inspect_sentence
from penstock.insight.web_page import model_digest, web_files
from penstock.learn.exercise_table import section
from penstock.tasks.translation.translator import Translator

ROOT = Path(__file__).parents[2]
ASSETS = ROOT / "docs/assets"
PAGES = sorted(ROOT.glob("docs/chapter/**/*.md"))


@pytest.fixture(scope="module")
def page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """All figures on one page of a folder like the site's, with the demo model beside them."""
    site = tmp_path_factory.mktemp("live")
    shutil.copytree(ASSETS, site / "assets")
    demo = web_files(load_bundle("demo"), "demo")
    (site / "demo-page").mkdir()
    for name, content in demo.items():
        (site / "demo-page" / name).write_text(content, encoding="utf-8")
    texts = [path.read_text(encoding="utf-8") for path in PAGES]
    texts += [section("gru", language) for language in ("en", "zh")]
    figures = [each[0] for text in texts for each in re.finditer(r"<(live-[a-z]+).*?</\1>", text)]
    digest = f'<live-translation data-sha256="{model_digest(demo)}"'
    content = "".join(figures).replace("<live-translation", digest)
    sheets = "".join(
        f'<link rel=stylesheet href="assets/{name}">' for name in ("colours.css", "live/live.css")
    )
    file = site / "page.html"
    file.write_text(
        f"<!doctype html><html lang=en><meta charset=utf-8><title>live</title>{sheets}"
        "<body data-md-color-scheme=default><style>body { color: var(--md-default-fg-color);"
        "background: var(--md-default-bg-color); font-family: sans-serif }</style>"
        f'<main><h1>All</h1>{content}</main><script src="assets/iframe-worker.js"></script>'
        '<script src="assets/live/live.js"></script>',
        encoding="utf-8",
    )
    opened = browser.new_page(viewport={"width": 320, "height": 700}, reduced_motion="reduce")
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda message: errors.append(message.text))
    opened.goto(file.as_uri())
    opened.wait_for_function(
        "[...document.querySelectorAll('*')].every((n) =>"
        "!n.localName.startsWith('live-') || n.classList.contains('live'))"
    )
    yield opened
    assert not errors
    opened.close()


@in_browser
def test_bleu_follows_what_is_typed(page: Page) -> None:
    figure = page.locator("live-bleu:not([lang])")
    expect(figure.locator(".live-score")).to_have_text("BLEU 0.000")
    figure.locator("input[type=range]").fill("3")
    score = math.exp(1 - 6 / 5) * 0.8**0.5 * 0.75**0.25 * (1 / 3) ** 0.125
    expect(figure.locator(".live-score")).to_have_text(f"BLEU {score:.3f}")
    assert figure.locator("li.matched").count() == 4 + 3 + 1
    figure.locator("input[type=text]").nth(1).fill("A B C D E F")
    expect(figure.locator(".live-score")).to_have_text("BLEU 1.000")
    page.locator("live-bleu[lang=zh]").get_by_role("button", name="太短").click()
    expect(page.locator("live-bleu[lang=zh] .live-score")).to_have_text("BLEU 0.000")


@in_browser
def test_a_gate_changes_the_state(page: Page) -> None:
    figure = page.locator("live-cell[cell=gru]:not([starts]):not([lang])")
    before = figure.locator("svg").get_attribute("aria-label")
    figure.get_by_role("button", name="keeps its state").click()
    kept = figure.locator("svg").get_attribute("aria-label")
    assert kept != before
    assert kept is not None
    assert kept.count("0.70") == 10
    figure.get_by_label("update Z").fill("0.5")
    assert figure.locator("svg").get_attribute("aria-label") not in (kept, before)


@in_browser
def test_a_beam_of_two_finds_what_greedy_search_misses(page: Page) -> None:
    figure = page.locator("live-search:not([lang])")
    expect(figure).to_contain_text("Finds A B C ⏎, P 0.048, and misses A C B ⏎, P 0.054. 4 of 40")
    figure.get_by_label("beam size k").focus()
    page.keyboard.press("ArrowRight")
    expect(figure).to_contain_text("Finds A C B ⏎, P 0.054: the best output. 7 of 40")


@in_browser
def test_messages_meet_where_the_reader_chooses(page: Page) -> None:
    figure = page.locator("live-hmm:not([view]):not([lang])")
    expect(figure).to_contain_text("Where the messages meet, at ___: adverb 0.75")
    figure.get_by_label("position").fill("1")
    expect(figure).to_contain_text("at I: pronoun 1.00")
    figure.get_by_label("sentence", exact=True).fill("xylophones can fish .")
    expect(figure).to_contain_text("read as a blank: xylophones")


@in_browser
def test_a_click_chooses_a_value_of_the_network(page: Page) -> None:
    figure = page.locator("live-unrolled[kind=bidirectional]:not([lang])")
    expect(figure).to_contain_text("The answer X3 is not among them.")
    figure.get_by_role("button", name="both directions, a blank").click()
    expect(figure).to_contain_text("The answer X3 is among them: the blank is no blank.")
    figure.locator("circle").first.click()
    expect(figure).to_contain_text("X1 is computed from no input")


@in_browser
def test_large_weights_explode_where_small_ones_vanish(page: Page) -> None:
    figure = page.locator("live-lag:not([lang])")
    left = figure.locator("tbody tr", has_text="RNN").locator("td").first
    before = float(left.text_content() or "nan")
    figure.get_by_label("recurrent weights times").fill("0.4")
    assert float(left.text_content() or "nan") > 1 > before


@in_browser
def test_a_language_model_trains_pauses_and_starts_anew(page: Page) -> None:
    figure = page.locator("live-training:not([lang])")
    figure.get_by_label("units").fill("16")
    figure.get_by_label("Text to learn").fill("short")
    figure.get_by_role("button", name="Start").click()
    expect(figure).to_contain_text("At least 100 characters are needed.")
    figure.get_by_label("Text to learn").fill("abcdefgh " * 40)
    figure.get_by_role("button", name="Start").click()
    expect(figure).to_contain_text(re.compile(r"[1-9]\d* updates"))
    figure.get_by_role("button", name="Pause").click()
    expect(figure.locator(".live-written")).to_contain_text("a")
    figure.get_by_role("button", name="Reset").click()
    expect(figure.locator(".live-written")).to_have_text("–")


@in_browser
def test_typed_numbers_pairs_and_texts_are_read(page: Page) -> None:
    figure = page.locator("live-scan:not([lang])")
    expect(figure).to_contain_text("After round 3 of 3, position 7 holds positions 1 to 7")
    figure.get_by_label("forget gates").fill("1 1, 1")
    expect(figure).to_contain_text("After round 2 of 2, position 3 holds positions 1 to 3")
    figure = page.locator("live-pipeline:not([lang])")
    figure.get_by_label("Pairs").fill("Go.\tVa.\nGo.\tVa.")
    expect(figure).to_contain_text("0 % of the positions")
    figure = page.locator("live-neighbours:not([lang])")
    figure.get_by_label("Plain text").fill("red tea\nred tea\nred coffee\nred coffee")
    figure.locator("select").select_option("tea")
    expect(figure.locator("figure").first).to_contain_text("coffee1.00")


@in_browser
def test_a_sentence_goes_through_the_demo_model_as_in_python(page: Page) -> None:
    """Last but one, so that all figures have drawn when their barriers are looked for."""
    translator = Translator(load_bundle("demo"))
    sentence = "She found my white hat."

    def figure(view: str) -> Locator:
        own = page.locator(f"live-translation[view={view}]:not([lang])")
        own.scroll_into_view_if_needed()
        expect(own.get_by_role("button", name="The phone that they lost")).to_be_visible()
        own.get_by_label("sentence", exact=True).fill(sentence)
        return own

    expected = inspect_sentence(translator, sentence)
    expect(figure("gates")).to_contain_text(expected.text)
    own = figure("attention")
    assert expected.attention is not None
    for step, weights in enumerate(expected.attention.mean[:2], start=1):
        own.locator("input[type=range]").fill(str(step))
        most = max(range(len(weights)), key=weights.__getitem__)
        piece, read = expected.target_tokens[step - 1], expected.source_tokens[most]
        told = f"Writing {piece}, the decoder looks at {read} most: {100 * weights[most]:.0f} %."
        expect(own).to_contain_text(told)
    own = figure("steps")
    expect(own).to_contain_text(f"The encoder has read 3 of {len(expected.source_tokens)} pieces")
    own.locator("input[type=range]").fill(str(len(expected.source_tokens) + 1))
    expect(own).to_contain_text(f"The decoder writes {expected.target_tokens[0]}")
    own = figure("writing")
    expect(own).to_contain_text(f"it writes: {expected.text}")
    other = expected.choices[0][1].token
    own.get_by_role("button", name=f"{other} ").first.click()
    forced = inspect_sentence(translator, sentence, prefix=[other])
    expect(own).to_contain_text(f"Loss so far {-forced.token_log_probabilities[0]:.2f}")
    expect(own).to_contain_text(f"it writes: {forced.text}")


@in_browser
def test_no_figure_is_wider_than_a_phone_or_keeps_anyone_out(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    # without contrast, which takes longest: the colours' is held below
    options = "{rules: {'color-contrast': {enabled: false}}}"
    assert barriers(page, "'.live:not([lang])'", options) == []


def test_colours_of_text_stand_out_in_both_themes() -> None:
    live, site = ((ASSETS / name).read_text("utf-8") for name in ("live/live.css", "colours.css"))
    blocks = re.findall(r"(?:^:root|slate\"\]) \{(.*?)\}", live, re.M | re.S)
    grounds = re.findall(r"--md-default-bg-color: (#\w+)", site)
    for block, ground in zip(blocks, grounds, strict=True):
        colours = dict(re.findall(r"--live-([\w-]+): (#\w+)", block)) | {"ground": ground}
        on_ground = [(name, "ground") for name in ("accent", "warm", "third")]
        on_others = [("accent", "wash"), ("wash", "accent"), ("warm", "warm-wash")]
        for text, behind in on_ground + on_others:
            assert contrast(colours[text], colours[behind]) >= 4.5, (text, behind)


def contrast(one: str, other: str) -> float:
    """WCAG 2's contrast ratio."""

    def luminance(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@in_browser
def test_a_question_says_right_or_wrong_and_why(page: Page) -> None:
    question = page.locator("live-question[lang=en]")
    said = question.get_by_role("status")
    question.get_by_label("your answer").fill("0.008")
    question.get_by_role("button", name="Check").click()
    expect(said).to_have_text(re.compile("^Not right. That is 0.2³"))
    question.get_by_label("your answer").fill("64/125")
    expect(said).to_be_empty()
    page.keyboard.press("Enter")
    expect(said).to_have_text(re.compile("^Right. Each step keeps 0.8"))
    chinese = page.locator("live-question[lang=zh]")
    chinese.get_by_role("button", name="检查").click()
    expect(chinese.get_by_role("status")).to_have_text(re.compile("请输入一个数"))
