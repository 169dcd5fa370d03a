"""Defaults and unused keys that several tasks share."""

from __future__ import annotations

# small stacks learn nothing for long from inputs that are nearly zero (docs/benchmarks.md)
ONE_STACK = {"attention": "none", "scale_embeddings": True}
LEARNS_BY_LOSS = {
    "metric": "loss",
    "label_smoothing": 0.0,
    "batch_tokens": 1024,
    "export": "none",
}

TRANSLATION_ONLY = {
    "model.encoder_layers": "there is one stack, whose depth is model.num_layers",
    "model.decoder_layers": "there is one stack, whose depth is model.num_layers",
    "model.attention": "only a translation model attends",
    "model.attention_size": "only a translation model attends",
    "text.shared": "there is one text to tokenise",
    "data.hallucination": "only a translation model has a target that shares its source's letters",
    "search.beam_size": "only a translation model searches",
    "search.length_penalty": "only a translation model searches",
    "search.max_length_ratio": "only a translation model searches",
    "search.max_length_extra": "only a translation model searches",
}
ONE_TEXT = {
    "data.columns": "a text has no columns, its lines are read whole",
    "data.language_column": "only a translation model has target languages",
    "data.header": "a text has no columns, its lines are read whole",
    "text.source.unicode": "a text is read as it is written; convert the file",
    "text.source.features": "a text has no columns, its lines are read whole",
    "text.source.feature_delimiter": "a text has no columns, its lines are read whole",
    "text.case": "a text is read as it is written; data.normalize = 'letters' makes it lower case",
    "data.on_error": "a text is read whole; mend the lines that are unusable",
    "data.max_target_tokens": "there is one text, whose lines have data.max_source_tokens",
    "text.target": "there is one text, and text.source is its tokenizer",
    "model.target_vectors": "there is one text, and model.source_vectors are its vectors",
}
STREAM_ONLY = {
    "data.max_characters": "only a language model reads its text as one stream",
    "data.valid_share": "only a language model reads its text as one stream",
    "data.join_lines": "only a language model reads its text as one stream",
    "training.window": "only a language model reads windows",
    "training.sampling": "only a language model reads windows",
    "training.evaluate_tokens": "the held-out part is training.evaluate_sentences",
}
POOLING = {"model.pooling": "only a classifier makes one vector of a sentence"}
TRANSFORMER = {
    "text.source": "model.transformer brings the source's tokenizer",
    "model.source_vectors": "model.transformer gives the source's vectors",
}
