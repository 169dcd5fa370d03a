"""What a model can be trained for, and what each task wants of the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Task = Literal["translation", "language-model", "classification", "cloze"]
Metric = Literal["loss", "bleu", "chrf", "exact_match", "accuracy", "f1"]

# what a model may be chosen by, on held-out data
METRICS: Mapping[Task, tuple[Metric, ...]] = {
    "translation": ("loss", "bleu", "chrf", "exact_match"),
    "language-model": ("loss", "accuracy"),
    "classification": ("loss", "accuracy", "f1"),
    "cloze": ("loss", "accuracy"),
}

# how to use a model of the task, for messages
VERBS: Mapping[Task, str] = {
    "translation": "translate",
    "language-model": "generate",
    "classification": "classify",
    "cloze": "fill",
}

# small stacks learn nothing for long from inputs that are nearly zero (docs/benchmarks.md)
_ONE_STACK = {"attention": "none", "scale_embeddings": True}
_LEARNS_BY_LOSS = {"metric": "loss", "label_smoothing": 0.0, "batch_tokens": 1024}

# what a task has otherwise than translation, where the user says nothing
DEFAULTS: Mapping[Task, Mapping[str, Mapping[str, Any]]] = {
    "translation": {},
    "language-model": {
        "model": {**_ONE_STACK, "bidirectional": False},
        "training": _LEARNS_BY_LOSS,
    },
    "classification": {
        "text": {
            "source": {"kind": "word"},
            # a label is one token, whatever it is made of: no label has a line end
            "target": {"kind": "separator", "separator": "\n", "min_frequency": 1},
        },
        "model": {**_ONE_STACK, "tie_embeddings": "none", "token_dropout": 0.1},
        "training": {**_LEARNS_BY_LOSS, "metric": "accuracy"},
    },
    "cloze": {
        "text": {"source": {"kind": "word"}},
        "model": {**_ONE_STACK, "token_dropout": 0.1},
        "training": _LEARNS_BY_LOSS,
    },
}


def wrong_directions(task: Task, *, bidirectional: bool) -> str:
    """Why the task cannot read in these directions; empty when it can."""
    if task == "language-model" and bidirectional:
        return (
            "model.bidirectional = true: a language model predicts each token from those before "
            "it, and the backward direction would read the answer; its training perplexity would "
            "fall towards 1 and mean nothing (docs/chapter/bidirectional.md shows it). To fill "
            "blanks from both sides choose task = 'cloze'"
        )
    if task == "cloze" and not bidirectional:
        return (
            "model.bidirectional = false: a cloze reads both sides of a blank; what reads the left "
            "alone is task = 'language-model'"
        )
    return ""


_TRANSLATION_ONLY = {
    "model.encoder_layers": "there is one stack, whose depth is model.num_layers",
    "model.decoder_layers": "there is one stack, whose depth is model.num_layers",
    "model.attention": "only a translation model attends",
    "model.attention_size": "only a translation model attends",
    "text.shared": "there is one text to tokenise",
    "search.beam_size": "only a translation model searches",
    "search.length_penalty": "only a translation model searches",
    "search.max_length_ratio": "only a translation model searches",
    "search.max_length_extra": "only a translation model searches",
}
_ONE_TEXT = {
    "data.columns": "a text has no columns, its lines are read whole",
    "data.on_error": "a text is read whole; mend the lines that are unusable",
    "data.max_target_tokens": "there is one text, whose lines have data.max_source_tokens",
    "text.target": "there is one text, and text.source is its tokenizer",
    "model.target_vectors": "there is one text, and model.source_vectors are its vectors",
}
_STREAM_ONLY = {
    "data.max_characters": "only a language model reads its text as one stream",
    "data.valid_share": "only a language model reads its text as one stream",
    "data.join_lines": "only a language model reads its text as one stream",
    "training.window": "only a language model reads windows",
    "training.sampling": "only a language model reads windows",
    "training.evaluate_tokens": "the held-out part is training.evaluate_sentences",
}
_POOLING = {"model.pooling": "only a classifier makes one vector of a sentence"}

# keys that a task has no use for, and why: setting one is an error, for it would do nothing
UNUSED: Mapping[Task, Mapping[str, str]] = {
    "translation": {
        **_STREAM_ONLY,
        **_POOLING,
        "data.normalize": "text.source.kind = 'word' normalises as the chapter does",
        "model.num_layers": "the depths are model.encoder_layers and model.decoder_layers",
        "model.token_dropout": "a translation model reads its text whole",
    },
    "language-model": {
        **_TRANSLATION_ONLY,
        **_ONE_TEXT,
        **_POOLING,
        "model.transformer": "a Transformer encoder reads what follows a token too, so its "
        "features hold the answer",
        "data.max_pairs": "a text has no pairs; a part of it is data.max_characters",
        "data.valid_pairs": "a text has no pairs; the part held out is data.valid_share",
        "training.evaluate_sentences": "the held-out part is training.evaluate_tokens",
    },
    "classification": {
        **_TRANSLATION_ONLY,
        **_STREAM_ONLY,
        "text.target": "a label is one token as it stands",
        "data.max_target_tokens": "a label is one token as it stands",
        "model.tie_embeddings": "labels have no embeddings",
        "model.target_vectors": "labels have no embeddings",
        "model.readout_size": "the output layer reads the pooled states",
    },
    "cloze": {
        **_TRANSLATION_ONLY,
        **_ONE_TEXT,
        **_STREAM_ONLY,
        **_POOLING,
        "model.transformer": "a Transformer encoder reads every token, the blank's too, so its "
        "features hold the answer",
    },
}

_TRANSFORMER = {
    "text.source": "model.transformer brings the source's tokenizer",
    "model.source_vectors": "model.transformer gives the source's vectors",
}

# the same with model.transformer
UNUSED_WITH_TRANSFORMER: Mapping[Task, Mapping[str, str]] = {
    "translation": _TRANSFORMER,
    "language-model": {},
    "classification": {
        **_TRANSFORMER,
        "model.embedding_size": "model.transformer has a width of its own",
        "model.scale_embeddings": "model.transformer gives the vectors",
    },
    "cloze": {},
}
