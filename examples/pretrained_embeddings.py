"""Pretrained word vectors: much text without labels helps where few labelled sentences are.

Vectors are made by counting: which words stand near each other in 20,000 sentences, in proportion
to chance, and of that table the largest singular vectors (Levy and Goldberg 2014, of what word2vec
approximates). They go into a file as word2vec writes it, and a classifier of sentences begins with
them: does a sentence name something to eat or drink? Half a minute on one core.

    python examples/pretrained_embeddings.py
"""

from __future__ import annotations

import argparse
import io
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from rich.console import Console

from penstock.config import parse_config
from penstock.data.grammar import builtin_split
from penstock.data.word_vectors.initial_vectors import read_vectors
from penstock.tasks.classification.text_classifier import TextClassifier
from penstock.text import preprocess
from penstock.training.loop import train

SIZE = 32
WINDOW = 3
FOOD = """apple apples orange oranges egg eggs cake cakes banana bananas tomato tomatoes carrot
    carrots sandwich sandwiches lobster lobsters salad salads bread cheese soup rice meat water
    coffee tea milk wine beer"""
SETTINGS: dict[str, object] = {"embedding_size": SIZE, "hidden_size": 32, "dropout": 0.2}
ROWS: dict[str, dict[str, object]] = {
    "random": {},
    "vectors": {"source_vectors": "words.vec"},
    "vectors, frozen": {"source_vectors": "words.vec", "freeze_vectors": True},
}


def count_vectors(texts: list[str]) -> tuple[list[str], np.ndarray]:
    """Positive pointwise mutual information of words at most WINDOW apart, and its largest part."""
    sentences = [preprocess(text).split() for text in texts]
    counts = Counter(word for words in sentences for word in words)
    frequent = [word for word, n in counts.most_common() if n >= len(texts) / 400]
    index = {word: i for i, word in enumerate(frequent)}
    together = np.zeros((len(index), len(index)))
    for words in sentences:
        for i, word in enumerate(words):
            for other in words[i + 1 : i + 1 + WINDOW]:
                if word in index and other in index:
                    together[index[word], index[other]] += 1
                    together[index[other], index[word]] += 1
    margins = together.sum(1, keepdims=True)
    expected = margins * margins.T / together.sum()
    information = np.log(np.maximum(together, 1e-9) / np.maximum(expected, 1e-9))
    u, values, _ = np.linalg.svd(np.maximum(information, 0), hermitian=True)
    vectors = u[:, :SIZE] * np.sqrt(values[:SIZE])
    return frequent, vectors / np.linalg.norm(vectors, axis=1).mean() * np.sqrt(SIZE)


def write_word2vec(path: Path, words: list[str], vectors: np.ndarray) -> None:
    """The text format: how many and how wide, then a word and its numbers on each line."""
    lines = [f"{len(words)} {SIZE}"]
    lines += [f"{w} {' '.join(f'{x:.4f}' for x in v)}" for w, v in zip(words, vectors, strict=True)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def nearest(word: str, words: list[str], vectors: np.ndarray) -> str:
    """The four words whose vectors point most nearly the same way."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    order = np.argsort(-unit @ unit[words.index(word)])
    return ", ".join(words[i] for i in order[1:5])


def label(text: str) -> str:
    """What the classifier is to learn."""
    return "other" if set(FOOD.split()).isdisjoint(preprocess(text).split()) else "food"


def balanced(texts: list[str], count: int) -> list[str]:
    """The first texts of each label, half of `count` each."""
    kinds = ("food", "other")
    return [t for k in kinds for t in [t for t in texts if label(t) == k][: count // 2]]


def learn(
    folder: Path, name: str, model: dict[str, object], *, seed: int, short: bool
) -> tuple[TextClassifier, list[str]]:
    """A classifier trained on the folder's files, and what training said."""
    config = parse_config(
        {
            "task": "classification",
            "seed": seed,
            "threads": 1,
            "device": "cpu",
            "data": {"train": str(folder / "train.tsv"), "valid": str(folder / "valid.tsv")},
            "text": {"source": {"min_frequency": 1}},
            "model": model,
            "training": {
                "max_updates": 5 if short else 150,
                "evaluate_every": 150,
                "warmup_updates": 20,
                "learning_rate": 0.005,
                "keep": "last",
                "precision": "fp32",
            },
        }
    )
    told = io.StringIO()
    train(config, folder / name, console=Console(file=told, width=200))
    return TextClassifier.load(folder / name), told.getvalue().split("\n")


def main() -> None:
    """Make vectors, look at them, and train the same classifier with and without."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--short", action="store_true", help="learn little, for tests")
    short = parser.parse_args().short

    split = builtin_split(train=6_000 if short else 20_000, test=200 if short else 3_000)
    texts = [pair.source for pair in split.train]
    labelled, unseen = balanced(texts, 100), balanced([p.source for p in split.test], 600)
    words, vectors = count_vectors(texts)
    print(f"{len(words)} words of {len(texts):,} sentences, {SIZE} numbers each")
    for word in ("coffee", "horse", "paris"):
        print(f"  near {word}: {nearest(word, words, vectors)}")

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_word2vec(folder / "words.vec", words, vectors)
        known = read_vectors(
            folder / "words.vec", ["tea", "Tea", "lobsters", "xylophone"], size=SIZE
        )
        print(f"\nread again, of tea, Tea, lobsters, xylophone: {known.ways}")
        for part, lines in (("train", labelled), ("valid", unseen)):
            rows = "".join(f"{text}\t{label(text)}\n" for text in lines)
            (folder / f"{part}.tsv").write_text(rows, encoding="utf-8")

        print(
            f"\n{len(labelled)} labelled sentences; right of {len(unseen)} unseen (mean of seeds)"
        )
        coverage = ""
        for row, choice in ROWS.items():
            shares: list[float] = []
            for seed in range(1 if short else 3):
                chosen = SETTINGS | choice
                if "source_vectors" in chosen:
                    chosen["source_vectors"] = str(folder / "words.vec")
                classifier, told = learn(folder, f"{row}{seed}", chosen, seed=seed, short=short)
                results = classifier.classify(unseen)
                shares.append(sum(r.label == label(r.source) for r in results) / len(unseen))
                coverage = next((t for t in told if t.startswith("words.vec")), coverage)
            print(f"  {row:<16}{sum(shares) / len(shares):6.1%}")
        print(f"\n{coverage}")


if __name__ == "__main__":
    main()
