"""What can be asked of a search in text: phrases, placeholders, unknowns, several models."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics.chrf import CHRF

from penstock.bundle import Bundle, load_bundle
from penstock.config import TokenizerConfig, parse_config
from penstock.errors import UsageError
from penstock.metrics.consensus import expected_utilities
from penstock.nn import Seq2Seq
from penstock.runtime.torch_network import load_network, network_files
from penstock.search import Hypothesis, StepOutput
from penstock.search.step import Ints
from penstock.special_tokens import EOS_ID, UNK_ID
from penstock.tasks.translation.result import Translation
from penstock.tasks.translation.search_options import Phrases, SearchOptions
from penstock.tasks.translation.segment_search import search_segments
from penstock.tasks.translation.segmentation import Segment
from penstock.tasks.translation.translator import Translator
from penstock.text import Tokenizer
from penstock.text.lines import cut_to_fit, outer_space
from penstock.text.repetition import has_loop

LINES = ["She sees them.", "Do you speak French?", "I am not going to see her today.", "Yes."]
EVERY = ["greedy", "beam", "sample", "exact", "mbr"]


@pytest.fixture(scope="module")
def translator(tiny_run: Path) -> Translator:
    return Translator.load(tiny_run)


def options(**given: Any) -> SearchOptions:
    return SearchOptions(**{"budget": 60, "samples": 4, **given})


def test_a_wide_beam_searches_few_lines_at_once(
    translator: Translator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory grows with the beam and not with the beam times the batch; outputs are the same."""
    (engine,) = translator.engines
    sizes: list[int] = []

    def start(sources: Any) -> Any:
        sizes.append(len(sources))
        return started(sources)

    started = engine.start
    asked = options(beam_size=4)
    together = translator.translate(LINES, asked)
    monkeypatch.setattr(engine, "start", start)
    monkeypatch.setattr("penstock.tasks.translation.segment_search._ROWS", 11)
    assert [r.text for r in translator.translate(LINES, asked)] == [r.text for r in together]
    assert sizes == [2, 2]


# --- phrases and limits -------------------------------------------------------------------------


@pytest.mark.parametrize("search", EVERY)
def test_phrases_stand_in_the_text_and_forbidden_ones_do_not(
    translator: Translator, search: str
) -> None:
    asked = options(
        search=search,
        phrases=Phrases(prefix="Vous", required=("maison", "chat"), forbidden=("ne",)),
        max_length=40,
    )
    for result in translator.translate(LINES, asked):
        assert result.text.startswith("Vous")
        assert "maison" in result.text
        assert "chat" in result.text
        assert " ne" not in result.text


@pytest.mark.parametrize("search", EVERY)
def test_a_line_has_phrases_of_its_own(translator: Translator, search: str) -> None:
    plain = translator.translate(LINES, options(search=search))
    own = [Phrases(), Phrases(required=("maison",)), Phrases(), Phrases(prefix="Oui,")]
    found = translator.translate(LINES, options(search=search), phrases=own)
    assert "maison" in found[1].text
    assert found[3].text.startswith("Oui,")
    for i in (0, 2):
        assert (found[i].text, found[i].score) == (plain[i].text, plain[i].score)


@pytest.mark.parametrize("search", EVERY)
def test_lengths_are_kept(translator: Translator, search: str) -> None:
    asked = options(search=search, min_length=4, max_length_ratio=0.9, max_length=9)
    for result in translator.translate(LINES[:3], asked):
        most = min(9, math.ceil(0.9 * len(result.source_tokens)))
        assert 4 <= len(result.alternatives[0].tokens) <= most
    [short] = translator.translate(LINES[:1], options(search=search, min_length_ratio=2.0))
    assert len(short.alternatives[0].tokens) >= 2 * len(short.source_tokens)


def test_placeholders_pass_through_unchanged(translator: Translator) -> None:
    lines = ["See ⟨1⟩ and ⟨12⟩.", "http://a.b/c?d=3 is 3.14 wide", "nothing"]
    patterns = (r"⟨\d+⟩", r"https?://\S+", r"\d+(?:\.\d+)?")
    plain = translator.translate(lines, options())
    found = translator.translate(lines, options(placeholders=patterns, max_length=60))
    assert "⟨1⟩" in found[0].text
    assert "⟨12⟩" in found[0].text
    assert "http://a.b/c?d=3" in found[1].text
    assert "3.14" in found[1].text
    assert found[2].text == plain[2].text


def test_rankings_choose_among_the_same_outputs(translator: Translator) -> None:
    long, short = (
        translator.translate(
            LINES, options(normalization="none", length_reward=reward, beam_size=40, max_length=8)
        )
        for reward in (3.0, -3.0)
    )
    for one, other in zip(long, short, strict=True):
        assert len(one.alternatives[0].tokens) > len(other.alternatives[0].tokens)
        for result, reward in ((one, 3.0), (other, -3.0)):
            best = result.alternatives[0]
            expected = best.log_probability + reward * (len(best.tokens) + 1)
            assert best.score == pytest.approx(expected)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"phrases": Phrases(prefix="a" * 300)}, "take at least .* tokens, but at most"),
        ({"groups": 2}, "groups 2: must divide the beam size, 5"),
        ({"groups": 0}, "groups = 0: must be at least 1"),
        ({"samples": 0}, "samples = 0: must be at least 1"),
        ({"budget": 0}, "budget = 0: must be at least 1"),
        ({"max_length_ratio": -1.0}, "max_length_ratio = -1.0: must be above 0"),
        ({"placeholders": ("(",)}, "placeholders.0 = '\\(': not a regular expression"),
        ({"utility": "bleurt"}, "utility = 'bleurt': must be 'chrf' or 'bleu'"),
        ({"search": "mbr", "n_best": 40}, "n_best 40: must be between 1 and 4, its candidates"),
        ({"min_length": 90}, "the least length 90 is above the greatest"),
        ({"phrases": Phrases(required=("",))}, "a phrase is empty"),
        (
            {"normalization": "l2"},
            "normalization = 'l2': must be 'none', 'average', 'book' or 'gnmt'",
        ),
        ({"search": "exhaustive", "max_length": 9}, "possible outputs .* more than"),
    ],
)
def test_impossible_wishes(translator: Translator, given: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        translator.translate(LINES, options(**given))


def test_phrases_cannot_be_asked_of_a_line_in_parts(translator: Translator) -> None:
    with pytest.raises(UsageError, match=r"in \d+ segments: phrases cannot be asked of it"):
        translator.translate(["She sees them. " * 700], options(phrases=Phrases(prefix="Elle")))


def test_phrases_are_one_a_line(translator: Translator) -> None:
    with pytest.raises(UsageError, match="phrases for 1 lines, but there are 4"):
        translator.translate(LINES, phrases=[Phrases()])


# --- unknown words ------------------------------------------------------------------------------


def word_bundle(*, attention: str = "general") -> Bundle:
    """An untrained model over words, which writes `<unk>` gladly."""
    tokenizer = TokenizerConfig(kind="word", min_frequency=1)
    source = Tokenizer.train(["the cat sees a dog"], tokenizer)
    target = Tokenizer.train(["le chat voit un chien"], tokenizer)
    config = parse_config(
        {
            "text": {"source": {"kind": "word"}, "target": {"kind": "word"}},
            "model": {"hidden_size": 8, "embedding_size": 8, "attention": attention},
        }
    )
    torch.manual_seed(3)
    model = Seq2Seq(config.model, source_size=source.vocab_size, target_size=target.vocab_size)
    with torch.no_grad():
        model.decoder.output.bias[UNK_ID] = 2.0
    return Bundle(config, source, target, files=network_files(model))


@pytest.mark.parametrize("search", ["greedy", "beam", "exact"])
def test_unknown_words_are_written_only_when_asked_and_then_copied(search: str) -> None:
    translator = Translator(word_bundle())
    line = "the Zebra sees a gnu ."
    asked = options(search=search, max_length=6)
    [plain] = translator.translate([line], asked)
    assert "<unk>" not in plain.text
    [free] = translator.translate([line], asked.changed(allow_unknown=True))
    assert "<unk>" in free.text
    [copied] = translator.translate([line], asked.changed(replace_unknown=True))
    assert copied.alternatives[0].tokens == free.alternatives[0].tokens
    words = {"the", "zebra", "sees", "a", "gnu", "."}
    assert "<unk>" not in copied.text
    assert set(copied.text.replace(".", " .").split()) & words
    dictionary = dict.fromkeys(words, "mot")
    [known] = translator.translate(
        [line], asked.changed(replace_unknown=True, dictionary=dictionary)
    )
    assert known.text.split().count("mot") == free.alternatives[0].tokens.count("<unk>")


def test_an_unknown_word_is_copied_from_where_it_was_read() -> None:
    """The word of the greatest attention, by the attention matrix itself."""
    translator = Translator(word_bundle())
    line = "the Zebra sees a gnu ."
    asked = options(replace_unknown=True, max_length=6, alignments=True)
    [result] = translator.translate([line], asked)
    best = result.alternatives[0]
    assert best.alignment is not None
    words = ["the", "zebra", "sees", "a", "gnu", "."]
    expected = [
        words[max(range(6), key=row.__getitem__)] if token == "<unk>" else token
        for token, row in zip(best.tokens, best.alignment, strict=True)
    ]
    assert result.text.replace(".", " .").split() == " ".join(expected).split()


def test_copying_needs_attention() -> None:
    translator = Translator(word_bundle(attention="none"))
    with pytest.raises(UsageError, match="copies through the attention, which this model lacks"):
        translator.translate(["the gnu ."], options(replace_unknown=True, max_length=6))


def test_a_phrase_that_the_vocabulary_cannot_write_is_refused() -> None:
    translator = Translator(word_bundle())
    with pytest.raises(UsageError, match="phrase 'zèbre': the target vocabulary cannot write it"):
        translator.translate(["the ."], options(phrases=Phrases(required=("zèbre",))))
    forbidden = options(phrases=Phrases(forbidden=("zèbre",)))  # nothing to forbid
    texts = [translator.translate(["the ."], o)[0].text for o in (forbidden, options())]
    assert texts[0] == texts[1]


# --- white space, long lines, statuses ----------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(st.text(" \t\u00a0\u3000\u2028\r\n", max_size=3), st.text(" \t\n", max_size=3))
def test_outer_space_is_restored_and_line_ends_are_not(before: str, behind: str) -> None:
    got = outer_space(f"{before}a b{behind}")
    kept = [text.translate({10: None, 13: None, 0x2028: None}) for text in (before, behind)]
    assert list(got) == kept
    assert outer_space(before) == ("", "")


def test_white_space_around_a_line_stays(translator: Translator) -> None:
    lines = ["Yes.", "  Yes.", "\tYes. ", "\u3000Yes.\u00a0", "Yes.\r\n"]
    found = [result.text for result in translator.translate(lines)]
    text = found[0]
    assert found == [text, f"  {text}", f"\t{text} ", f"\u3000{text}\u00a0", text]


def test_a_line_cut_short_says_so(translator: Translator) -> None:
    [result] = translator.translate(["She sees them. " * 700], options(long_lines="truncate"))
    assert (result.status, result.parts) == ("truncated", 1)
    [same] = translator.translate(["She sees them."], options(long_lines="truncate"))
    assert same.status != "truncated"


@settings(max_examples=100, deadline=None)
@given(st.text("ab. ", max_size=60), st.integers(1, 7))
def test_pieces_of_a_line_fit_and_leave_nothing_out(line: str, most: int) -> None:
    pieces = list(cut_to_fit(line, lambda text: len(text) <= most))
    assert all(len(piece) <= most for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(line.split())


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from("ab"), max_size=14))
def test_a_loop_is_a_run_three_times_in_a_row(tokens: list[str]) -> None:
    loops = any(
        tokens[i : i + n] == tokens[i + n : i + 2 * n] == tokens[i + 2 * n : i + 3 * n]
        for n in range(1, 5)
        for i in range(len(tokens) - 3 * n + 1)
    )
    assert has_loop(tokens) == loops


def test_an_output_that_goes_round_in_circles_says_so(translator: Translator) -> None:
    [oui] = translator.bundle.target_tokenizer.encode_batch(["oui"])
    again = Hypothesis(oui * 3, -1.0, -1.0, [-0.1] * (3 * len(oui) + 1), finished=True)
    [yes, three] = translator.bundle.source_tokenizer.encode_batch(["yes", "yes yes yes"])
    for ids, status in ((yes, "repeated"), (three, "ok")):
        part = Segment("yes", ([*ids, EOS_ID],))
        result = translator._joiner.join("yes", [part], [[again]], 0.0, SearchOptions())
        assert result.status == status


@pytest.fixture(scope="module")
def bundle(tiny_run: Path) -> Bundle:
    return load_bundle(tiny_run)


# --- several models -----------------------------------------------------------------------------


def shaken(bundle: Bundle, seed: int) -> Bundle:
    """A sibling of a model: the same vocabulary, other weights."""
    model = load_network(bundle)
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=random)
    return replace(bundle, files=network_files(model))


def test_a_model_twice_is_the_model_itself(bundle: Bundle, translator: Translator) -> None:
    twice = Translator(bundle, others=[bundle], weights=[3, 1])
    for search in ("greedy", "beam", "exact"):
        one = translator.translate(LINES, options(search=search))
        other = twice.translate(LINES, options(search=search))
        assert [r.text for r in one] == [r.text for r in other]
        assert [r.score for r in one] == pytest.approx([r.score for r in other], abs=1e-5)


@pytest.mark.parametrize("search", EVERY)
def test_an_ensembles_scores_are_the_mean_of_probabilities(bundle: Bundle, search: str) -> None:
    bundles = [bundle, shaken(bundle, 1)]
    ensemble = Translator(bundles[0], others=bundles[1:], weights=[1, 3])
    for result in ensemble.translate(LINES, options(search=search)):
        source = bundles[0].source_tokenizer.encode(result.source)
        best = result.alternatives[0]
        ids = [bundles[0].target_tokenizer.vocabulary().index(t) for t in best.tokens]
        total = torch.zeros(len(ids) + 1, dtype=torch.double)
        for weight, bundle in zip((0.25, 0.75), bundles, strict=True):
            with torch.no_grad():
                src, model = torch.tensor([[*source, EOS_ID]]), load_network(bundle)
                logits = model(src, torch.tensor([src.shape[1]]), torch.tensor([[2, *ids]]))
            each = torch.softmax(logits[0].double(), -1)
            total += weight * each.gather(1, torch.tensor([*ids, EOS_ID])[:, None])[:, 0]
        assert best.token_log_probabilities == pytest.approx(total.log().tolist(), abs=1e-4)


def test_score_of_an_ensemble_is_that_of_its_search(bundle: Bundle) -> None:
    ensemble = Translator(bundle, others=[shaken(bundle, 2)])
    tokenizer = bundle.target_tokenizer
    checked = 0
    for result in ensemble.translate(LINES, n_best=5):
        for a in result.alternatives:
            if tokenizer.tokens(tokenizer.encode(a.text)) == a.tokens:
                [score] = ensemble.score([(result.source, a.text)])
                assert score.log_probability == pytest.approx(a.log_probability, abs=1e-4)
                checked += 1
    assert checked >= 5


def test_models_of_other_vocabularies_and_wrong_weights_are_refused(
    bundle: Bundle,
) -> None:
    with pytest.raises(UsageError, match="model 2 has another target vocabulary than the first"):
        Translator(bundle, others=[word_bundle()])
    with pytest.raises(UsageError, match="1 weights for 2 models"):
        Translator(bundle, others=[bundle], weights=[1])
    with pytest.raises(UsageError, match="each must be between 1e-9 and 1e9"):
        Translator(bundle, others=[bundle], weights=[1, 0])


# --- minimum Bayes risk -------------------------------------------------------------------------

texts = st.text("ab c", max_size=12)


@settings(max_examples=100, deadline=None)
@given(st.lists(texts, min_size=1, max_size=5))
def test_expected_utility_is_the_mean_of_sacrebleus_chrf(candidates: list[str]) -> None:
    found = expected_utilities(candidates)
    for candidate, value in zip(candidates, found, strict=True):
        scores = [
            100.0
            if candidate == other and not candidate.strip()
            else CHRF().sentence_score(candidate, [other]).score
            for other in candidates
        ]
        assert value == pytest.approx(sum(scores) / len(scores), abs=1e-6)


@pytest.mark.parametrize("utility", ["chrf", "bleu"])
@pytest.mark.parametrize("mbr_from", ["sample", "beam"])
def test_mbr_takes_the_candidate_of_the_highest_expected_utility(
    translator: Translator, utility: Any, mbr_from: Any
) -> None:
    asked = options(samples=6, seed=5)
    pool = asked.changed(search=mbr_from, n_best=5 if mbr_from == "beam" else 1)
    drawn = translator.translate(LINES, pool)
    chosen = translator.translate(
        LINES, asked.changed(search="mbr", mbr_from=mbr_from, utility=utility, n_best=2)
    )
    for candidates, result in zip(drawn, chosen, strict=True):
        every = [a.text for a in candidates.alternatives]
        values = dict(zip(every, expected_utilities(every, utility), strict=True))
        assert result.score == pytest.approx(max(values.values()))
        assert result.score == pytest.approx(values[result.text])
        assert [a.score for a in result.alternatives] == sorted(
            (a.score for a in result.alternatives), reverse=True
        )


def test_mbr_may_be_stopped_between_two_candidates(translator: Translator) -> None:
    """Comparing long candidates takes longer than a step."""
    found: dict[str, tuple[int, Translation]] = {}
    for search in ("sample", "mbr"):
        asked: list[bool] = []
        [result] = translator.translate(
            LINES[:1],
            options(search=search, samples=6, seed=5),
            should_stop=lambda asked=asked: asked.append(False) or False,
        )
        found[search] = len(asked), result
    different = {alternative.text for alternative in found["sample"][1].alternatives}
    assert len(different) > 2
    assert found["mbr"][0] == found["sample"][0] + len(different)


def test_a_draw_depends_on_its_line_and_seed_alone(translator: Translator) -> None:
    asked = options(search="sample", samples=3, seed=7)
    together = translator.translate([*LINES, *LINES], asked)
    for line, result in zip([*LINES, *LINES], together, strict=True):
        [alone] = translator.translate([line], asked)
        assert [a.text for a in alone.alternatives] == [a.text for a in result.alternatives]
    other = translator.translate(LINES, asked.changed(seed=8))
    assert [r.text for r in other] != [r.text for r in together[:4]]


# --- what the search says -----------------------------------------------------------------------


def test_exact_search_says_whether_it_is_certain(translator: Translator) -> None:
    plain = options(search="exact", normalization="none", budget=3000, max_length=6)
    for result in translator.translate(LINES[3:], plain):
        best = result.alternatives[0]
        assert best.certified is not None
        assert best.bound is not None
        assert best.bound >= best.score
        assert best.extended is not None
    [beam] = translator.translate(LINES[:1])
    assert beam.alternatives[0].certified is None


def test_no_segments_give_nothing(translator: Translator) -> None:
    bundle = translator.bundle
    decode = bundle.target_tokenizer.decode

    def reported(*_: object) -> None:
        raise AssertionError("there is nothing to report")

    search_segments(
        translator.engines, [1.0], [], options(), bundle.config.search, decode, on_result=reported
    )


@pytest.mark.parametrize("search", EVERY)
def test_each_line_is_told_once_as_it_is_returned(translator: Translator, search: str) -> None:
    lines = [*LINES, "", " ".join(LINES * 20), LINES[0]]
    told: dict[int, Translation] = {}

    def tell(number: int, result: Translation) -> None:
        assert number not in told
        told[number] = result

    results = translator.translate(lines, options(search=search), on_result=tell)
    assert [told[number] for number in range(len(lines))] == results
    untold = translator.translate(lines, options(search=search))
    assert [result.text for result in results] == [result.text for result in untold]


@pytest.mark.parametrize("search", ["beam", "greedy"])
def test_a_line_is_told_while_others_are_searched(
    translator: Translator, search: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, at_step = 0, dict[int, int]()

    step = translator.engines[0].step

    def counted(tokens: Ints, before: Any, /, *, top: int) -> StepOutput[Any]:
        nonlocal steps
        steps += 1
        return step(tokens, before, top=top)

    monkeypatch.setattr(translator.engines[0], "step", counted)
    asked = options(search=search, min_length_ratio=1.0, max_length_ratio=1.0)
    lines = [LINES[0], " ".join(LINES[:3])]

    def tell(line: int, _: Translation) -> None:
        at_step[line] = steps

    translator.translate(lines, asked, on_result=tell)
    assert at_step[0] < at_step[1] == steps
