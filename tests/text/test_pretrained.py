"""Training that begins with word vectors: what is set, what stays, what is said."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from conftest import TINY, quiet_console, tiny_config
from penstock.bundle import Bundle, load_bundle
from penstock.config import RunConfig, parse_config
from penstock.data.grammar import generate_pairs
from penstock.errors import ConfigError, DataError
from penstock.nn import Seq2Seq
from penstock.nn.embedding import TokenEmbedding
from penstock.runtime.torch_network import load_network
from penstock.special_tokens import RESERVED
from penstock.text import Tokenizer
from penstock.training.loop import train

SIZE = 16
SENTENCES = [pair.source for pair in generate_pairs(300)]


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Vectors for half of the words of the built-in corpus, both languages."""
    words = sorted({w for pair in generate_pairs(300) for s in (pair.source, pair.target)
                    for w in s.lower().rstrip(".?!").split()})[::2]  # fmt: skip
    table = np.random.default_rng(1).normal(size=(len(words), SIZE)).astype(np.float32)
    lines = [f"{word} {' '.join(map(str, row))}" for word, row in zip(words, table, strict=True)]
    path = tmp_path_factory.mktemp("vectors") / "words.vec"
    path.write_text(f"{len(words)} {SIZE}\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return path


def rows_of(path: Path) -> dict[str, list[float]]:
    lines = path.read_text(encoding="utf-8").split("\n")[1:-1]
    return {word: list(map(float, row)) for word, *row in (line.split(" ") for line in lines)}


# --- the configuration --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.freeze_vectors=true"], "freeze_vectors = true without vectors: name a file"),
        (
            ["model.target_vectors=v", "model.tie_embeddings=all", "text.shared=true"],
            "makes one table for both sides: name its vectors as source_vectors alone",
        ),
        (["model.transformer=d", "text.shared=true"], "the source has the transformer's own vocab"),
        (
            ["model.transformer=d", "model.source_vectors=v"],
            "model.source_vectors = 'v': model.transformer gives the source's vectors",
        ),
        (
            ["model.transformer=d", "text.source.kind=char"],
            "text.source: model.transformer brings the source's tokenizer; leave it out",
        ),
        (
            ["task=language-model", "data.train=t", "model.transformer=d"],
            "model.transformer = 'd': a Transformer encoder reads what follows a token too, so its "
            "features hold the answer; leave it out",
        ),
        (
            ["task=cloze", "data.train=t", "model.transformer=d"],
            "model.transformer = 'd': a Transformer encoder reads every token, the blank's too",
        ),
        (
            ["task=cloze", "data.train=t", "model.target_vectors=v"],
            "model.target_vectors = 'v': there is one text, and model.source_vectors are its",
        ),
        (
            ["task=classification", "data.train=t", "model.target_vectors=v"],
            "model.target_vectors = 'v': labels have no embeddings",
        ),
        (
            [
                "task=classification",
                "data.train=t",
                "model.transformer=d",
                "model.embedding_size=9",
            ],
            "model.embedding_size = 9: model.transformer has a width of its own",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_config({}, overrides)
    assert message in str(error.value)


# --- training from word vectors -----------------------------------------------------------------


def vectors_config(vectors: Path, *overrides: str) -> RunConfig:
    words = ["text.source.kind=word", "text.target.kind=word", "text.source.min_frequency=1",
             "text.target.min_frequency=1"]  # fmt: skip
    return tiny_config(
        *words,
        f"model.embedding_size={SIZE}",
        f"model.source_vectors={vectors}",
        "training.max_updates=8",
        "training.evaluate_every=8",
        "training.weight_decay=0.1",
        *overrides,
    )


def run_quietly(config: RunConfig, run: Path, **options: Any) -> str:
    console = quiet_console()
    train(config, run, console=console, **options)
    return console.file.getvalue()  # pyright: ignore


def tables_of(bundle: Bundle) -> tuple[TokenEmbedding, TokenEmbedding]:
    network = load_network(bundle)
    assert isinstance(network, Seq2Seq)
    source, target = network.encoder.embedding, network.decoder.embedding
    assert isinstance(source, TokenEmbedding)
    assert isinstance(target, TokenEmbedding)
    return source, target


def assert_begins_with(table: TokenEmbedding, tokenizer: Tokenizer, path: Path) -> None:
    words, known = tokenizer.words(), rows_of(path)
    found = [index for index, word in enumerate(words) if word in known]
    expected = torch.tensor([known[str(words[index])] for index in found])
    assert len(found) > 20
    torch.testing.assert_close(table(torch.tensor(found)), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("tie", ["none", "decoder"])
@pytest.mark.parametrize("average", ["none", "0.9"])
def test_frozen_vectors_stay_as_they_were_read(
    vectors: Path, tmp_path: Path, tie: str, average: str
) -> None:
    config = vectors_config(
        vectors,
        f"model.target_vectors={vectors}",
        "model.freeze_vectors=true",
        "model.scale_embeddings=true",
        f"model.tie_embeddings={tie}",
        f"training.average_decay={average}",
    )
    said = run_quietly(config, tmp_path / "run")
    bundle = load_bundle(tmp_path / "run")
    sides = ((bundle.source_tokenizer, "source"), (bundle.target_tokenizer, "target"))
    for table, (tokenizer, _) in zip(tables_of(bundle), sides, strict=True):
        assert_begins_with(table, tokenizer, vectors)
    # every row, also those that the file lacks, is what one update made of it: nothing
    run_quietly(config.model_copy(update={"training": config.training.model_copy(
        update={"max_updates": 1})}), tmp_path / "short")  # fmt: skip
    for long, short in zip(
        tables_of(bundle), tables_of(load_bundle(tmp_path / "short")), strict=True
    ):
        assert torch.equal(long.weight, short.weight)
    checkpoint = next((tmp_path / "run" / "checkpoints").glob("*.safetensors"))
    assert not [
        name for name in load_file(checkpoint)
        if name.startswith("optimizer.") and name.endswith("embedding.weight")
    ]  # fmt: skip
    assert "M frozen)" in said


def test_vectors_that_are_not_frozen_learn(vectors: Path, tmp_path: Path) -> None:
    said = run_quietly(vectors_config(vectors), tmp_path / "run")
    bundle = load_bundle(tmp_path / "run")
    table, known = tables_of(bundle)[0], rows_of(vectors)
    words = bundle.source_tokenizer.words()
    found = [index for index, word in enumerate(words) if word in known]
    moved = table(torch.tensor(found)) - torch.tensor([known[str(words[i])] for i in found])
    assert 0 < moved.abs().max() < 0.2
    assert "frozen" not in said


def test_coverage_is_reported_as_it_is(vectors: Path, tmp_path: Path) -> None:
    said = run_quietly(vectors_config(vectors), tmp_path / "run")
    tokenizer = load_bundle(tmp_path / "run").source_tokenizer
    known = rows_of(vectors)
    types = [word in known for word in tokenizer.words()[len(RESERVED) :]]
    line = next(line for line in said.split("\n") if line.startswith("words.vec: "))
    share = sum(types) / len(types)
    assert line.startswith(
        f"words.vec: {sum(types)} of {len(types)} tokens of the vocabulary ({share:.1%}), "
    )
    assert line.endswith(f"% of the running text; {sum(types)} exactly")
    running = float(line.partition("%), ")[2].partition("%")[0])
    ids = [i for pair in training_pairs() for i in tokenizer.encode(pair)]
    assert running == pytest.approx(
        100 * sum(tokenizer.words()[i] in known for i in ids) / len(ids), abs=0.051
    )


def training_pairs() -> list[str]:
    from penstock.data.grammar import builtin_split

    return [pair.source for pair in builtin_split(train=TINY["data"]["max_pairs"]).train for _ in
            pair.targets]  # fmt: skip


def test_one_table_for_both_sides(vectors: Path, tmp_path: Path) -> None:
    config = vectors_config(
        vectors, "text.shared=true", "model.tie_embeddings=all", "model.freeze_vectors=true"
    )
    run_quietly(config, tmp_path / "run")
    bundle = load_bundle(tmp_path / "run")
    source, target = tables_of(bundle)
    assert source is target
    assert_begins_with(source, bundle.source_tokenizer, vectors)


def test_pieces_that_begin_a_word_are_looked_up(vectors: Path, tmp_path: Path) -> None:
    config = vectors_config(vectors, "text.source.kind=bpe", "text.source.vocab_size=400")
    said = run_quietly(config, tmp_path / "run")
    found, _, types = said.partition("words.vec: ")[2].partition(" tokens")[0].partition(" of ")
    assert 0 < int(found) < int(types) / 2


@pytest.mark.parametrize("task", ["language-model", "cloze", "classification"])
def test_other_tasks_begin_with_vectors_too(vectors: Path, tmp_path: Path, task: str) -> None:
    text = "\n".join(SENTENCES)
    if task == "classification":
        text = "\n".join(f"{s}\t{'question' if s.endswith('?') else 'other'}" for s in SENTENCES)
    path = tmp_path / ("text.tsv" if task == "classification" else "text.txt")
    path.write_text(text + "\n", encoding="utf-8")
    config = parse_config(
        {
            "task": task,
            "threads": 1,
            "device": "cpu",
            "data": {"train": str(path)},
            "text": {"source": {"kind": "word"}},
            "model": {
                "embedding_size": SIZE,
                "hidden_size": 16,
                "source_vectors": str(vectors),
                "freeze_vectors": True,
            },
            "training": {"max_updates": 2, "evaluate_every": 2, "precision": "fp32"},
        }
    )
    assert "words.vec: " in run_quietly(config, tmp_path / "run")
    vectors_gone = load_bundle(tmp_path / "run")
    network = load_network(vectors_gone)
    table = next(m for m in network.modules() if isinstance(m, TokenEmbedding))
    assert_begins_with(table, vectors_gone.source_tokenizer, vectors)


def test_vectors_are_read_when_training_begins_and_never_again(
    vectors: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copy(vectors, tmp_path / "words.vec"))
    config = vectors_config(path, "model.freeze_vectors=true", "training.average_decay=0.9")
    run_quietly(config, tmp_path / "whole")
    halfway = {"training": config.training.model_copy(update={"max_updates": 3})}
    run_quietly(config.model_copy(update=halfway), tmp_path / "halves")
    path.unlink()
    said = run_quietly(config, tmp_path / "halves", resume=True)
    assert "going on from update 3" in said
    assert "words.vec" not in said
    runs = (tmp_path / "whole", tmp_path / "halves")
    whole, halves = (load_network(load_bundle(run)) for run in runs)
    for one, other in zip(whole.parameters(), halves.parameters(), strict=True):
        assert torch.equal(one, other)


def test_faults_of_vectors_stop_before_training(vectors: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"vectors of 16 numbers, but model\.embedding_size is 24"):
        run_quietly(vectors_config(vectors, "model.embedding_size=24"), tmp_path / "a")
    with pytest.raises(DataError, match=r"gone\.vec: no such file; check the path"):
        run_quietly(vectors_config(tmp_path / "gone.vec"), tmp_path / "b")
    assert not (tmp_path / "a" / "log.jsonl").exists()
