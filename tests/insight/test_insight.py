"""An inspection is of the translation that is given, number for number."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from conftest import network_of
from penstock.bundle import Bundle
from penstock.config import ModelConfig
from penstock.errors import UsageError
from penstock.insight import Inspection, as_json, inspect_sentence
from penstock.nn import Seq2Seq
from penstock.runtime.torch_network import network_files
from penstock.special_tokens import BOS_ID, EOS_ID, PAD_ID, UNK_ID
from penstock.tasks.translation.search_options import Phrases, SearchOptions
from penstock.tasks.translation.translator import Translator

SENTENCE = "I am not going to see her today."
KINDS = list(
    itertools.product(("gru", "lstm", "rnn"), ("none", "dot", "general", "additive", "multihead"))
)


@pytest.fixture(scope="module")
def trained(tiny_run: Path) -> Translator:
    return Translator.load(tiny_run)


def untrained(bundle: Bundle, cell: str, attention: str) -> Translator:
    """The same vocabularies, a random network of two layers."""
    torch.manual_seed(7)
    config = ModelConfig.model_validate(
        {
            "cell": cell, "attention": attention, "attention_heads": 2, "embedding_size": 8,
            "hidden_size": 12, "encoder_layers": 2, "decoder_layers": 2, "tie_embeddings": "none",
        }
    )  # fmt: skip
    sizes = bundle.source_tokenizer.vocab_size, bundle.target_tokenizer.vocab_size
    model = Seq2Seq(config, source_size=sizes[0], target_size=sizes[1])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-1.5, 1.5)
        model.decoder.output.bias[EOS_ID] += 3  # some outputs end before the limit
    model = model.eval().requires_grad_(requires_grad=False)
    changed = bundle.config.model_copy(update={"model": config})
    return Translator(replace(bundle, config=changed, files=network_files(model)))


@pytest.mark.parametrize(("cell", "attention"), KINDS)
@pytest.mark.parametrize(
    "asked",
    [
        {"beam_size": 4, "min_length": 2, "max_length": 14},
        {"beam_size": 3, "n_best": 3, "max_length": 9, "normalization": "gnmt", "min_length": 3},
    ],
    ids=["plain", "options"],
)
def test_tokens_scores_and_attention_are_the_translations(
    trained: Translator, cell: str, attention: str, asked: dict[str, Any]
) -> None:
    translator = untrained(trained.bundle, cell, attention)
    options = SearchOptions(**asked)
    seen = inspect_sentence(translator, SENTENCE, options)
    (given,) = translator.translate([SENTENCE], options.changed(alignments=True))
    best = given.alternatives[0]
    assert (seen.source, seen.text, seen.status) == (SENTENCE, given.text, given.status)
    assert (seen.score, seen.log_probability) == (given.score, given.log_probability)
    assert seen.source_tokens == given.source_tokens
    assert seen.target_tokens == [*best.tokens, "<eos>"]
    assert seen.token_log_probabilities == best.token_log_probabilities
    ends = [node for node in seen.tree.nodes if node.state == "best"]
    assert [node.score for node in ends] == [given.score]
    assert seen.search.beam_size == asked["beam_size"]
    if attention == "none":
        assert seen.attention is None
        return
    assert seen.attention is not None
    assert best.alignment is not None
    assert len(best.alignment) >= 2
    heads, mean = torch.tensor(seen.attention.heads), torch.tensor(seen.attention.mean)
    places = len(seen.target_tokens), len(seen.source_tokens)
    assert heads.shape == (2 if attention == "multihead" else 1, *places)
    assert mean.shape == places
    torch.testing.assert_close(heads.mean(0), mean)
    torch.testing.assert_close(mean.sum(1), torch.ones(places[0]))
    torch.testing.assert_close(mean[:-1], torch.tensor(best.alignment), rtol=0, atol=1e-4)
    assert mean.max() - mean.min() > 0.04, "it looks everywhere alike: nothing is tested"
    if attention == "multihead":
        assert (heads[0] - heads[1]).abs().max() > 0.01


@pytest.mark.parametrize(("cell", "attention"), KINDS[::2])
def test_choices_are_the_models_own_likeliest(
    trained: Translator, cell: str, attention: str
) -> None:
    translator = untrained(trained.bundle, cell, attention)
    target = translator.bundle.target_tokenizer
    vocabulary = target.vocabulary()
    unlikely = 77
    seen = inspect_sentence(
        translator, SENTENCE, SearchOptions(max_length=8), prefix=[vocabulary[unlikely]]
    )
    ids = [vocabulary.index(token) for token in seen.target_tokens]
    assert ids[0] == unlikely
    source = torch.tensor([[*translator.bundle.source_tokenizer.encode(SENTENCE), EOS_ID]])
    logits = network_of(translator)(
        source, torch.tensor([source.shape[1]]), torch.tensor([[BOS_ID, *ids[:-1]]])
    )
    log_probs = torch.log_softmax(logits[0], -1)
    written = [i for i in range(len(vocabulary)) if i not in (PAD_ID, UNK_ID, BOS_ID)]
    assert len(seen.choices) == len(ids)
    for place, choices in enumerate(seen.choices):
        ranked = sorted(written, key=lambda i: -log_probs[place, i].item())
        expected = ranked[:8]
        if ids[place] not in expected:
            expected[-1] = ids[place]
        assert [choice.token for choice in choices] == [vocabulary[i] for i in expected]
        numbers = [choice.log_probability for choice in choices]
        assert numbers == pytest.approx(log_probs[place, expected].tolist(), abs=1e-4)
        taken = numbers[[choice.token for choice in choices].index(seen.target_tokens[place])]
        assert taken == pytest.approx(seen.token_log_probabilities[place], abs=1e-4)
    first = sorted(written, key=lambda i: -log_probs[0, i].item())
    assert unlikely not in first[:8], "the forced piece is likely: nothing is tested"


def test_a_prefix_of_pieces_is_a_prefix_of_text(trained: Translator) -> None:
    target = trained.bundle.target_tokenizer
    (plain,) = trained.translate([SENTENCE])
    text = "Elles sont"
    assert not plain.text.startswith(text)
    pieces = target.tokens(target.encode(text))
    seen = inspect_sentence(trained, SENTENCE, prefix=pieces)
    options = SearchOptions(phrases=Phrases(prefix=text))
    (given,) = trained.translate([SENTENCE], options)
    assert seen.prefix == pieces
    assert seen.target_tokens[: len(pieces)] == pieces
    assert (seen.text, seen.score) == (given.text, given.score)
    assert seen.status == given.status
    for node in seen.tree.nodes[1:]:
        assert node.step > len(pieces) or node.token == pieces[node.step - 1]
    # asked for as text, it is the same search
    assert inspect_sentence(trained, SENTENCE, options).tree == seen.tree


def test_the_whole_output_forced_is_itself(trained: Translator) -> None:
    free = inspect_sentence(trained, SENTENCE)
    forced = inspect_sentence(trained, SENTENCE, prefix=free.target_tokens[:-1])
    assert forced.target_tokens == free.target_tokens
    assert forced.score == pytest.approx(free.score, abs=1e-5)


def test_the_optimum_is_that_of_exact_search(trained: Translator) -> None:
    options = SearchOptions(beam_size=2, normalization="none", budget=400)
    seen = inspect_sentence(trained, SENTENCE, options, exact=True)
    (given,) = trained.translate([SENTENCE], options.changed(search="exact"))
    best, optimum = given.alternatives[0], seen.exact
    assert optimum is not None
    assert (optimum.text, optimum.score) == (given.text, given.score)
    assert optimum.tokens == [*best.tokens, "<eos>"]
    assert optimum.log_probability == best.log_probability
    assert (optimum.certified, optimum.bound, optimum.extended) == (
        best.certified,
        best.bound,
        best.extended,
    )
    marked = [node.token for node in seen.tree.nodes if node.exact]
    assert sorted(marked) == sorted(["<bos>", *optimum.tokens])
    assert inspect_sentence(trained, SENTENCE, options).exact is None


def test_the_json_has_the_agreed_shape(trained: Translator) -> None:
    seen = inspect_sentence(trained, SENTENCE, exact=True, units=True)
    told = as_json(seen)
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert list(told) == [
        "source", "text", "status", "score", "log_probability", "search", "prefix",
        "source_tokens", "target_tokens", "token_log_probabilities", "attention", "choices",
        "tree", "exact", "gates",
    ]  # fmt: skip
    assert told["search"] == {"beam_size": 5, "normalization": "book", "length_penalty": 1.0}
    assert told["attention"].keys() == {"heads", "mean"}
    assert told["choices"][0][0].keys() == {"token", "log_probability"}
    assert told["tree"]["nodes"][0] == {
        "id": 0, "parent": None, "step": 0, "token": "<bos>", "log_probability": 0.0,
        "total": 0.0, "score": None, "state": "kept", "exact": True,
    }  # fmt: skip
    assert told["exact"].keys() == {
        "text", "tokens", "score", "log_probability", "certified", "bound", "extended",
    }  # fmt: skip
    steps = len(seen.target_tokens)
    assert [own["side"] for own in told["gates"]][-1] == "decoder"
    for own in told["gates"]:
        assert own.keys() == {"side", "layer", "direction", "cell", "size", "tokens", "values"}
        count = steps if own["side"] == "decoder" else len(seen.source_tokens)
        assert len(own["tokens"]) == count
        for signal in own["values"].values():
            assert len(signal["mean"]) == len(signal["units"]) == count
            assert {len(row) for row in signal["units"]} == {own["size"]}
    assert told["gates"][-1]["tokens"] == ["<bos>", *seen.target_tokens[:-1]]


def test_an_inspection_leaves_the_translator_as_it_was(trained: Translator) -> None:
    (before,) = trained.translate([SENTENCE])
    network_of(trained).train()
    try:
        seen = inspect_sentence(trained, SENTENCE)
        assert network_of(trained).training
    finally:
        network_of(trained).eval()
    assert seen == inspect_sentence(trained, SENTENCE)
    (after,) = trained.translate([SENTENCE])
    assert (after.text, after.score) == (before.text, before.score)


def test_space_around_a_sentence_is_not_inspected(trained: Translator) -> None:
    padded, plain = (inspect_sentence(trained, text) for text in (f"  {SENTENCE}\n", SENTENCE))
    assert padded.source == f"  {SENTENCE}\n"
    assert replace(padded, source=SENTENCE) == plain


@pytest.mark.parametrize(
    ("text", "given", "says"),
    [
        ("", {}, "the text is blank; give a sentence"),
        (" \u200b\n", {}, "the text is blank; give a sentence"),
        ("She sees them. " * 700, {}, r"has [\d,]+ source pieces, and the model reads 256 at once"),
        (SENTENCE, {"prefix": ["▁", "qqq"]}, r"prefix, piece 2: 'qqq' is not in the"),
        (SENTENCE, {"prefix": ["▁ell"]}, r"piece 1: '▁ell' is not in .* did you mean '▁"),
        (SENTENCE, {"prefix": ["<eos>"]}, r"prefix, piece 1: '<eos>' ends the output"),
        (SENTENCE, {"prefix": ["<pad>"]}, r"prefix, piece 1: '<pad>' is never written"),
        (SENTENCE, {"prefix": ["<unk>"]}, r"prefix, piece 1: '<unk>' is never written"),
        (SENTENCE, {"prefix": "▁"}, r"a prefix is a list of target pieces, such as"),
        (SENTENCE, {"options": SearchOptions(search="sample")}, "search 'sample': an inspection"),
        (SENTENCE, {"options": SearchOptions(groups=5)}, "groups 5: an inspection shows one beam"),
        (SENTENCE, {"options": SearchOptions(n_best=9)}, "n_best 9: must be between 1 and 5"),
        (
            SENTENCE,
            {"prefix": ["▁"] * 9, "options": SearchOptions(max_length=8)},
            "take at least 9 tokens, but at most 8 are allowed",
        ),
    ],
)
def test_what_cannot_be_inspected_is_refused(
    trained: Translator, text: str, given: dict[str, Any], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        inspect_sentence(trained, text, **given)


def test_several_models_are_refused(trained: Translator) -> None:
    both = Translator(
        trained.bundle, others=[trained.bundle], engines=[*trained.engines, *trained.engines]
    )
    with pytest.raises(UsageError, match="2 models: an inspection shows one; load a single model"):
        inspect_sentence(both, SENTENCE)


def test_all_numbers_are_finite(trained: Translator) -> None:
    def check(value: Any) -> None:
        if isinstance(value, dict):
            for own in value.values():
                check(own)
        elif isinstance(value, list):
            for own in value:
                check(own)
        elif isinstance(value, float):
            assert math.isfinite(value)

    seen: Inspection = inspect_sentence(trained, "文 \x07 👩‍👩‍👧 $", exact=True)
    check(as_json(seen))
    assert seen.text
