"""What the book gets wrong, each beside what we do: `docs/chapter/book-defects.md` lists them.

Functions named `book_…` are the chapter's own code in a few lines (d2l.ai, 'Modern Recurrent Neural
Networks', PyTorch). Each test shows the fault in them, then that ours has it not.
"""

from __future__ import annotations

import collections
import math
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from penstock.config import ModelConfig, TokenizerConfig, parse_config
from penstock.data.formats.readers import ReadOptions, read_pairs
from penstock.data.pair import Pair
from penstock.data.scoring_windows import scoring_windows
from penstock.data.split import split_corpus
from penstock.data.store import write_store
from penstock.data.token_stream import TextForm
from penstock.errors import ConfigError, DataError
from penstock.metrics import bleu
from penstock.metrics.text_scores import TextScores
from penstock.nn import Seq2Seq, State
from penstock.nn.attention import AttentionSizes
from penstock.nn.attention.additive import AdditiveAttention
from penstock.nn.cells import Cell
from penstock.search import (
    PLAIN,
    Limits,
    Ranking,
    StepOutput,
    beam_search,
    exhaustive_search,
    greedy_search,
)
from penstock.search.step import Ints
from penstock.tasks.language_model.network import LanguageModel
from penstock.text import BOS_ID, EOS_ID, PAD_ID, UNK_ID, Tokenizer, preprocess
from penstock.training.batches import Batch, collate
from penstock.training.corpus import prepare_corpus

ROOT = Path(__file__).parents[2]
V, E, H = 12, 6, 8  # vocabulary, embedding, hidden


@pytest.fixture(autouse=True)
def _same_numbers() -> None:
    torch.manual_seed(1)


def small_model(**options: Any) -> Seq2Seq:
    """The book's architecture: a GRU without attention."""
    book = {
        "cell": "gru",
        "embedding_size": E,
        "hidden_size": H,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "bidirectional": False,
        "attention": "none",
        "tie_embeddings": "none",
    }
    config = ModelConfig.model_validate(book | options)
    return Seq2Seq(config, source_size=V, target_size=V).eval()


def some_batch() -> Batch:
    """Sentences of unequal length, each ending with EOS."""
    sources = [[4, 5, 6, 7, EOS_ID], [8, 9, EOS_ID], [5, EOS_ID]]
    targets = [[6, 4, EOS_ID], [7, 8, 9, 10, EOS_ID], [11, EOS_ID]]
    return collate(sources, targets)


def word_tokenizer(*texts: str, **options: Any) -> Tokenizer:
    return Tokenizer.train(texts, TokenizerConfig(kind="word", min_frequency=1, **options))


# --- the network --------------------------------------------------------------------------------


class BookDecoder(nn.Module):
    """`Seq2SeqDecoder`: the context is the last layer's state, whatever state it is handed."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(V, E)
        self.rnn = nn.GRU(E + H, H, 2)
        self.dense = nn.Linear(H, V)

    def forward(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        x = self.embedding(tokens).permute(1, 0, 2)
        context = state[-1].repeat(x.shape[0], 1, 1)
        output, state = self.rnn(torch.cat((x, context), 2), state)
        return self.dense(output).permute(1, 0, 2), state


def test_context_drifts_during_decoding() -> None:
    """Step by step the book's context is the decoder's state; in training it was the encoder's."""
    tgt_in = torch.tensor([[BOS_ID, 4, 5, 6]])
    decoder, encoded = BookDecoder(), torch.randn(2, 1, H)
    trained, _ = decoder(tgt_in, encoded)
    state, steps = encoded, []
    for t in range(4):
        logits, state = decoder(tgt_in[:, t : t + 1], state)
        steps.append(logits)
    assert torch.allclose(steps[0], trained[:, :1], atol=1e-6)
    assert not torch.allclose(torch.cat(steps, 1), trained, atol=1e-3)

    model, batch = small_model(), some_batch()
    trained = model(batch.src, batch.src_lengths, batch.tgt_in)
    memory, state = model.encode(batch.src, batch.src_lengths)
    steps = []
    for t in range(batch.tgt_in.shape[1]):
        logits, state = model.decoder(batch.tgt_in[:, t : t + 1], state, memory)
        steps.append(logits)
    torch.testing.assert_close(torch.cat(steps, 1), trained)


def test_valid_lengths_of_the_source_are_ignored() -> None:
    """The book's encoder runs over the padding: its state depends on what shares the batch."""
    embedding, rnn = nn.Embedding(V, E), nn.GRU(E, H, 2)

    def book_encode(src: Tensor) -> Tensor:
        return rnn(embedding(src).permute(1, 0, 2))[1]

    alone, padded = torch.tensor([[8, 9, EOS_ID]]), torch.tensor([[8, 9, EOS_ID, PAD_ID, PAD_ID]])
    assert not torch.allclose(book_encode(alone), book_encode(padded), atol=1e-3)

    model, length = small_model(), torch.tensor([3])
    state, state_padded = model.encoder(alone, length)[1], model.encoder(padded, length)[1]
    torch.testing.assert_close(state.h, state_padded.h)


def test_from_scratch_and_library_gru_are_different_functions() -> None:
    """The book resets the state before the product, torch after it; both under the name GRU."""
    library = nn.GRU(E, H, batch_first=True)
    weights = library.state_dict()
    x, h = torch.randn(3, E), torch.randn(3, H)

    def book_gru() -> Tensor:
        w_xr, w_xz, w_xh = weights["weight_ih_l0"].chunk(3)
        w_hr, w_hz, w_hh = weights["weight_hh_l0"].chunk(3)
        b_r, b_z, b_h = (weights["bias_ih_l0"] + weights["bias_hh_l0"]).chunk(3)
        r = torch.sigmoid(x @ w_xr.T + h @ w_hr.T + b_r)
        z = torch.sigmoid(x @ w_xz.T + h @ w_hz.T + b_z)
        h_tilda = torch.tanh(x @ w_xh.T + (r * h) @ w_hh.T + b_h)
        return z * h + (1 - z) * h_tilda

    of_library = library(x[:, None], h[None])[1][0]
    assert not torch.allclose(book_gru(), of_library, atol=1e-3)

    for form, expected in (("before", book_gru()), ("after", of_library)):
        cell = Cell("gru", E, H, gru_form=form)  # pyright: ignore[reportArgumentType]
        cell.load_state_dict({name.removesuffix("_l0"): value for name, value in weights.items()})
        torch.testing.assert_close(cell(x, State(h[None])).h[0], expected)


def book_sequence_mask(x: Tensor, valid_len: Tensor, value: float = 0) -> Tensor:
    mask = torch.arange(x.size(1))[None, :] < valid_len[:, None]
    x[~mask] = value
    return x


def test_masking_changes_its_input() -> None:
    x, lengths = torch.ones(2, 3), torch.tensor([1, 2])
    book_sequence_mask(x, lengths)
    assert x.tolist() == [[1, 0, 0], [1, 1, 0]]  # it was all ones

    attention = AdditiveAttention(AttentionSizes(H, H, H))
    queries, values = torch.ones(2, 2, H), torch.ones(2, 3, H)
    mask = torch.arange(3) < lengths[:, None]
    weights = attention(queries, attention.keys(values), values, mask)[1]
    assert not weights[0, :, :, 1:].any()
    assert torch.equal(values, torch.ones(2, 3, H))
    assert torch.equal(queries, torch.ones(2, 2, H))


# --- loss and training --------------------------------------------------------------------------


def book_loss(logits: Tensor, labels: Tensor, valid_len: Tensor) -> Tensor:
    """`MaskedSoftmaxCELoss`: a mean over all positions, the padded too, a sentence."""
    weights = book_sequence_mask(torch.ones_like(labels, dtype=torch.float32), valid_len)
    unweighted = nn.functional.cross_entropy(logits.permute(0, 2, 1), labels, reduction="none")
    return (unweighted * weights).mean(dim=1)


def pad_target(batch: Batch, extra: int) -> Batch:
    """The same pairs with more padding behind the targets."""
    tgt_in, tgt_out = (
        nn.functional.pad(x, (0, extra), value=PAD_ID) for x in (batch.tgt_in, batch.tgt_out)
    )
    return Batch(batch.src, batch.src_lengths, tgt_in, tgt_out, batch.tgt_lengths)


def ours(model: Seq2Seq, b: Batch) -> tuple[Tensor, int]:
    return model.loss(b.src, b.src_lengths, b.tgt_in, b.tgt_out, b.tgt_lengths)


def test_the_loss_is_averaged_over_padding_then_divided_again() -> None:
    """A mean over T positions, then a division by the tokens: too small by a factor of T."""
    model, batch = small_model(), some_batch()

    def book_reported(b: Batch) -> float:
        losses = book_loss(model(b.src, b.src_lengths, b.tgt_in), b.tgt_out, b.tgt_lengths)
        return (losses.sum() / b.tgt_lengths.sum()).item()

    total, count = ours(model, batch)
    assert count == 10
    assert book_reported(batch) == pytest.approx(total.item() / count / 5)
    # more padding, and the same model seems better
    assert book_reported(pad_target(batch, 5)) == pytest.approx(book_reported(batch) / 2)

    padded, same_count = ours(model, pad_target(batch, 5))
    assert same_count == count
    assert padded.item() == pytest.approx(total.item())


def gradient_after_clipping(model: Seq2Seq, loss: Tensor, tokens: int = 1) -> Tensor:
    model.zero_grad()
    loss.backward()
    for parameter in model.parameters():
        if parameter.grad is not None:
            parameter.grad.div_(tokens)
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def test_clipping_acts_on_a_sum() -> None:
    """Twenty times the same batch has the same mean gradient, yet the book clips only the large."""
    model, batch = small_model(), some_batch()
    fields = (batch.src, batch.src_lengths, batch.tgt_in, batch.tgt_out, batch.tgt_lengths)
    large = Batch(*(torch.cat([x] * 20) for x in fields))

    def book_gradient(b: Batch) -> Tensor:
        losses = book_loss(model(b.src, b.src_lengths, b.tgt_in), b.tgt_out, b.tgt_lengths)
        return gradient_after_clipping(model, losses.sum() / 4)

    small_norm, large_norm = (float(book_gradient(b).norm()) for b in (batch, large))
    assert small_norm < 0.9
    assert large_norm == pytest.approx(1.0, abs=1e-4)  # cut, from twenty times the small one

    gradients = [gradient_after_clipping(model, *ours(model, b)) for b in (batch, large)]
    torch.testing.assert_close(*gradients)


def test_perplexity_is_averaged_over_batches_after_the_exponential() -> None:
    """The mean of exp is not exp of the mean: the book's number depends on the batches."""
    config = ModelConfig(
        cell="gru", embedding_size=E, hidden_size=H, attention="none", tie_embeddings="none"
    )
    model = LanguageModel(config, vocab_size=V).eval()
    with torch.no_grad():
        model.readout.output.bias[4] = 3.0  # a model that is sure of some tokens
    ids = np.array([EOS_ID, *[4] * 16, *range(4, 12), *range(4, 12)])

    def losses(window: int) -> list[tuple[float, int]]:
        found, state = [], None
        for scored in scoring_windows(ids, window=window):
            inputs, targets = torch.from_numpy(scored.inputs), torch.from_numpy(scored.targets)
            total, count, state = model.loss(inputs, targets, state)
            found.append((total.item(), count))
        return found

    def book_perplexity(window: int) -> float:
        batches = [math.exp(total / count) for total, count in losses(window)]
        return sum(batches) / len(batches)

    assert book_perplexity(4) > 1.05 * book_perplexity(16) > 1.1 * book_perplexity(32)

    def our_perplexity(window: int) -> float:
        total = sum(loss for loss, _ in losses(window))
        tokens = sum(count for _, count in losses(window))
        return TextScores(-total, tokens, tokens, right=0, unknown=0).perplexity

    assert our_perplexity(4) == pytest.approx(our_perplexity(32), rel=1e-5)


def test_a_bidirectional_model_carries_a_state_from_the_wrong_side() -> None:
    """Chunk after chunk, the backward direction starts from what stands before, not behind."""
    rnn = nn.GRU(E, H, bidirectional=True, batch_first=True)
    first, other, second = torch.randn(3, 1, 5, E)

    def book_backward(before: Tensor) -> Tensor:
        _, carried = rnn(before)
        outputs, _ = rnn(second, carried)
        return outputs[..., H:]

    # reading from the right, the second chunk cannot depend on the first; the book's does
    assert not torch.allclose(book_backward(first), book_backward(other), atol=1e-3)
    whole = [rnn(torch.cat([before, second], 1))[0][:, 5:, H:] for before in (first, other)]
    torch.testing.assert_close(*whole)

    with pytest.raises(ConfigError, match="the backward direction would read the answer"):
        parse_config(
            {
                "task": "language-model",
                "data": {"train": "text.txt"},
                "model": {"bidirectional": True},
            }
        )
    config = ModelConfig(
        cell="gru", embedding_size=E, hidden_size=H, attention="none", tie_embeddings="none"
    )
    model, ids = LanguageModel(config, vocab_size=V).eval(), torch.tensor([[4, 5, 6, 7, 8, 9]])
    before, state = model(ids[:, :3])
    after, _ = model(ids[:, 3:], state)
    torch.testing.assert_close(torch.cat([before, after], 1), model(ids)[0])


# --- data ---------------------------------------------------------------------------------------


def book_preprocess(text: str) -> str:
    def no_space(char: str, prev_char: str) -> bool:
        return char in set(",.!?") and prev_char != " "

    text = text.replace("\u202f", " ").replace("\xa0", " ").lower()
    out = [
        " " + char if i > 0 and no_space(char, text[i - 1]) else char for i, char in enumerate(text)
    ]
    return "".join(out)


def book_tokenize(
    text: str, num_examples: int | None = None
) -> tuple[list[list[str]], list[list[str]]]:
    source, target = [], []
    for i, line in enumerate(text.split("\n")):
        if num_examples and i > num_examples:
            break
        parts = line.split("\t")
        if len(parts) == 2:
            source.append(parts[0].split(" "))
            target.append(parts[1].split(" "))
    return source, target


def book_truncate_pad(line: list[int], num_steps: int, padding_token: int) -> list[int]:
    if len(line) > num_steps:
        return line[:num_steps]
    return line + [padding_token] * (num_steps - len(line))


def written(path: Path, lines: list[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_one_pair_too_many_is_read(tmp_path: Path) -> None:
    lines = [f"{i}\t{i}" for i in range(10)]
    assert len(book_tokenize("\n".join(lines), num_examples=3)[0]) == 4
    path = written(tmp_path / "pairs.tsv", lines)
    assert len(list(read_pairs(path, ReadOptions(max_pairs=3)))) == 3


def test_truncation_eats_the_end(tmp_path: Path) -> None:
    tokenizer = word_tokenizer("a b c d e f")
    ids = tokenizer.encode("a b c d e f")
    assert EOS_ID not in book_truncate_pad([*ids, EOS_ID], 4, PAD_ID)

    store = write_store(
        tmp_path / "pairs.arrow",
        [Pair("a b c d e f", ("a b c d e f",))],
        tokenizer,
        tokenizer,
        max_source_tokens=4,
        max_target_tokens=4,
    )
    for rows in store.read([0]):
        assert rows.row(0).tolist() == [*ids[:3], EOS_ID]
    assert store.counts.truncated_sources == store.counts.truncated_targets == 1


def test_the_first_lines_of_a_sorted_file_pass_for_a_sample(tmp_path: Path) -> None:
    """The book's file is sorted by length; its first 600 lines are its shortest sentences."""
    sentences = [" ".join([f"word{i}"] * (1 + i // 20)) for i in range(400)]
    lines = [f"{sentence}\t{sentence}" for sentence in sentences]
    path = written(tmp_path / "pairs.tsv", lines)

    def words(sources: list[list[str]]) -> float:
        return sum(len(source) for source in sources) / len(sources)

    sources, _ = book_tokenize("\n".join(lines))
    assert words(sources) == pytest.approx(10.5)
    assert words(sources[:40]) == pytest.approx(1.5)

    split_corpus(path, tmp_path / "data", valid=40, test=40)
    parts = [
        [pair.source.split() for pair in read_pairs(tmp_path / "data" / name, options)]
        for name, options in (
            ("train.tsv", ReadOptions(max_pairs=40)),
            ("valid.jsonl", ReadOptions()),
            ("test.jsonl", ReadOptions()),
        )
    ]
    for part in parts:
        assert len(part) == 40
        assert words(part) == pytest.approx(10.5, abs=2.5)


def test_train_and_validation_share_sources_and_a_vocabulary(tmp_path: Path) -> None:
    """One source has several translations on lines of its own: cutting by line divides them."""
    pairs = [(f"word{i} here", f"mot{i} {k}") for i in range(100) for k in "ab"]
    order = np.random.default_rng(1).permutation(len(pairs))
    lines = ["\t".join(pairs[i]) for i in order]
    sources, _ = book_tokenize("\n".join(lines))
    book_train, book_valid = sources[:160], sources[160:]
    book_vocabulary = {token for source in sources for token in source}
    assert {tuple(s) for s in book_train} & {tuple(s) for s in book_valid}
    assert all(token in book_vocabulary for source in book_valid for token in source)

    path = written(tmp_path / "pairs.tsv", lines)
    config = parse_config(
        {
            "data": {"train": str(path), "valid_pairs": 20},
            "text": {side: {"kind": "word", "min_frequency": 1} for side in ("source", "target")},
        }
    )
    corpus = prepare_corpus(config, tmp_path, lambda text: None)
    rows, _ = corpus.store.read(range(corpus.store.num_blocks))
    learnt = {tuple(rows.row(i)[:-1].tolist()) for i in range(len(corpus.store))}
    for pair in corpus.valid:
        ids = corpus.source.encode(pair.source)
        assert tuple(ids) not in learnt
        assert UNK_ID in ids  # its own word occurs nowhere in training
        assert len(pair.targets) == 2  # and no translation of it stayed behind


@pytest.mark.parametrize(
    ("raw", "book", "ours"),
    [
        ("It is 3.14!", "it is 3 .14 !", "it is 3.14 !"),
        ("the U.S.A. now", "the u .s .a . now", "the u.s.a. now"),
        ("Va\u2009!", "va\u2009 !", "va !"),
        ("in\u200bvisible", "in\u200bvisible", "invisible"),
        ("l’homme", "l’homme", "l'homme"),
    ],
)
def test_only_four_marks_are_split(raw: str, book: str, ours: str) -> None:
    assert book_preprocess(raw) == book
    assert preprocess(raw) == ours


def test_lines_with_a_third_column_vanish_silently(tmp_path: Path) -> None:
    """The chapter's corpus has had a third column, its licence, for years."""
    lines = ["Go.\tVa !\tCC-BY", "Hi.\tSalut !\tCC-BY"]
    assert book_tokenize("\n".join(lines)) == ([], [])
    told: list[str] = []
    path = written(tmp_path / "pairs.tsv", lines)
    pairs = list(read_pairs(path, ReadOptions(report=told.append)))
    assert [pair.source for pair in pairs] == ["Go.", "Hi."]
    assert "1 further column is ignored" in told[0]

    lines = ["Go.\tVa !", "Hi.\tSalut !\tCC-BY"]
    assert len(book_tokenize("\n".join(lines))[0]) == 1
    path = written(tmp_path / "pairs.tsv", lines)
    with pytest.raises(DataError, match="line 2: expected 2 columns, found 3"):
        list(read_pairs(path))


def test_words_are_glued_across_line_ends() -> None:
    """`read_time_machine` strips each line, and the corpus of characters joins them by nothing."""
    lines = ["The Time", "Traveller for so"]

    def book_corpus() -> str:
        cleaned = [re.sub("[^A-Za-z]+", " ", line).strip().lower() for line in lines]
        return "".join(token for line in cleaned for token in list(line))

    assert book_corpus() == "the timetraveller for so"

    characters = Tokenizer.train(
        [" the time traveller for so"], TokenizerConfig(kind="char", min_frequency=1)
    )
    for form, expected in (
        (TextForm(letters=True, joined=True), "the time traveller for so"),
        (TextForm(letters=True), "the time\ntraveller for so\n"),
    ):
        rows = form.encode(form.lines(lines), characters)
        assert form.decode([i for row in rows for i in row], characters) == expected


def test_prediction_skips_the_preprocessing() -> None:
    """The book trains on `go .` and predicts from `go.`, an unknown word."""
    tokenizer = word_tokenizer("Go.", "He's calm.")
    vocabulary = collections.defaultdict(lambda: UNK_ID)
    vocabulary.update((token, i) for i, token in enumerate(tokenizer.vocabulary()))

    def book_source(sentence: str) -> list[int]:
        return [vocabulary[token] for token in sentence.lower().split(" ")]

    assert book_source("Go.") == [UNK_ID]
    assert tokenizer.tokens(tokenizer.encode("Go.")) == ["go", "."]
    assert tokenizer.encode("Go.") == book_source("go .")


# --- prediction and scores ----------------------------------------------------------------------


class Rows:
    """A state that has nothing to remember."""

    def select(self, rows: Ints) -> Rows:
        return self


def test_unknown_is_emitted_and_never_blocked() -> None:
    """Where `<unk>` is the likeliest token the book writes it."""
    logits = torch.tensor([0.0, 5.0, 0.0, 1.0, 2.0])  # <pad> <unk> <bos> <eos> and a word

    def book_predict(num_steps: int) -> Iterator[int]:
        for _ in range(num_steps):
            token = int(logits.argmax())
            if token == EOS_ID:
                return
            yield token

    assert list(book_predict(3)) == [UNK_ID] * 3

    def step(tokens: Ints, state: Rows, /, *, top: int) -> StepOutput[Rows]:
        log_probs = torch.log_softmax(logits, -1).expand(len(tokens), -1).numpy().copy()
        return StepOutput(log_probs, None, state, None)

    limits = Limits(BOS_ID, EOS_ID, blocked=(PAD_ID, UNK_ID, BOS_ID), max_lengths=[3])
    [greedy] = greedy_search(step, Rows(), limits)
    [[best]] = beam_search(step, Rows(), limits, beam_size=2, ranking=PLAIN)
    for hypothesis in (greedy, best):
        assert UNK_ID not in hypothesis.tokens


def test_beam_and_exhaustive_search_have_no_code() -> None:
    """The book describes them and predicts greedily: it finds 0.048 where 0.054 is to be had."""
    example = runpy.run_path(str(ROOT / "examples" / "beam_search.py"))
    step, start = example["TableStep"](), example["Prefixes"]([""])
    tokens = example["TOKENS"]

    def book_predict() -> float:
        beginning, probability = "", 1.0
        while not beginning.endswith("<eos>"):
            row = torch.tensor(example["TABLE"][beginning])
            probability *= float(row.max())
            beginning += tokens[int(row.argmax())]
        return probability

    assert book_predict() == pytest.approx(0.048)
    limits = Limits(example["BOS"], example["EOS"], (example["BOS"],), max_lengths=[3])
    ranking = Ranking(alpha=0.75)
    [[by_beam]] = beam_search(step, start, limits, beam_size=2, ranking=ranking)
    [[best]] = exhaustive_search(step, start, limits, ranking=ranking)
    for hypothesis in (by_beam, best):
        assert math.exp(hypothesis.log_probability) == pytest.approx(0.054)
        assert [tokens[token] for token in hypothesis.tokens] == ["A", "C", "B"]


def book_bleu(pred_seq: str, label_seq: str, k: int, *, later_edition: bool = False) -> float:
    pred_tokens, label_tokens = pred_seq.split(" "), label_seq.split(" ")
    len_pred, len_label = len(pred_tokens), len(label_tokens)
    score = math.exp(min(0, 1 - len_label / len_pred))
    for n in range(1, (min(k, len_pred) if later_edition else k) + 1):
        num_matches, label_subs = 0, collections.defaultdict(int)
        for i in range(len_label - n + 1):
            label_subs[" ".join(label_tokens[i : i + n])] += 1
        for i in range(len_pred - n + 1):
            if label_subs[" ".join(pred_tokens[i : i + n])] > 0:
                num_matches += 1
                label_subs[" ".join(pred_tokens[i : i + n])] -= 1
        score *= math.pow(num_matches / (len_pred - n + 1), math.pow(0.5, n))
    return score


def test_bleu_divides_by_zero_on_short_predictions() -> None:
    """The later edition leaves out the orders that a prediction is too short for: it gains."""
    with pytest.raises(ZeroDivisionError):
        book_bleu("A", "A B", 2)
    assert book_bleu("A", "A B", 2, later_edition=True) == pytest.approx(math.exp(-1))
    assert book_bleu("A C", "A B", 2, later_edition=True) == 0.0  # more words, less
    assert bleu("A", "A B", 2) == bleu("A C", "A B", 2) == 0.0

    assert book_bleu("A B B C D", "A B C D E F", 3) == bleu("A B B C D", "A B C D E F", 3)
    assert bleu("", "A", 2) == 0.0
    assert bleu("A", "A", 4) == bleu("", "", 4) == 1.0


# --- the page -----------------------------------------------------------------------------------


@pytest.mark.parametrize("page", ["book-defects.md", "zh/book-defects.md"])
def test_the_page_lists_every_defect_with_its_test(page: str) -> None:
    text = (ROOT / "docs" / "chapter" / page).read_text(encoding="utf-8")
    listed = re.findall(r"\[`(test_\w+)`\]\([./]+/tests/docs/test_book_defects\.py\)", text)
    tests = re.findall(r"^def (test_\w+)", Path(__file__).read_text(encoding="utf-8"), re.M)
    assert sorted(listed) == sorted(set(tests) - {"test_the_page_lists_every_defect_with_its_test"})
