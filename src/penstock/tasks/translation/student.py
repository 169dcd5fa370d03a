"""The configuration of a distilled student: its teacher's, with a smaller network."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from penstock.bundle import Bundle
from penstock.config import RunConfig, TokenizerConfig, load_config, parse_config
from penstock.errors import ConfigError
from penstock.files import atomic_write

Student = Mapping[str, Any] | str | Path  # a configuration, nested or a file


def student_config(teacher: Bundle, chosen: Student, overrides: Iterable[str]) -> RunConfig:
    """The student's configuration, but for its training data.

    Args:
        teacher: the first one.
        chosen: what it lacks `student_defaults` has.
        overrides: see `parse_config`.

    Raises:
        ConfigError: unknown key or impossible value; training data of its own, or held-out data
            that would be distilled ones.
    """
    defaults = student_defaults(teacher.config)
    if isinstance(chosen, str | Path):
        config = load_config(chosen, overrides, defaults=defaults)
    else:
        config = parse_config(chosen, overrides, defaults=defaults, place="student")
    if "train" in config.data.model_fields_set:
        raise ConfigError("data.train: a student learns what its teachers write; leave it out")
    if config.data.valid == "rest":
        raise ConfigError("data.valid = 'rest': a student is measured on references; name a file")
    return config


def student_defaults(teacher: RunConfig) -> dict[str, Any]:
    """The teacher's settings with one decoder layer and a beam of 2.

    A teacher of one decoder layer has a student of half its hidden size. docs/benchmarks.md,
    'Distillation', has what other sizes and beams give.
    """
    model = teacher.model
    hidden = model.hidden_size
    if model.decoder_layers == 1:
        hidden = max(2, hidden // 4 * 2)
    smaller = {
        "hidden_size": hidden,
        "decoder_layers": 1,
        "attention_size": None,
        "attention_heads": math.gcd(model.attention_heads, hidden),
        "transformer": None,
        "source_vectors": None,
        "target_vectors": None,
        "freeze_vectors": False,
    }
    data = teacher.data.model_dump(
        include={"source_language", "target_language", "max_source_tokens", "max_target_tokens"}
    )
    return {
        "seed": teacher.seed,
        "data": data,
        "text": teacher.text.model_dump(),
        "model": {**model.model_dump(), **smaller},
        "training": {
            **teacher.training.model_dump(exclude={"export"}),
            "precision": "auto",  # the teacher's may be of another machine
        },
        "search": {**teacher.search.model_dump(), "beam_size": min(2, teacher.search.beam_size)},
    }


def with_tokenizers(student: RunConfig, teacher: Bundle, folder: Path) -> RunConfig:
    """The configuration with the teacher's tokenizers, which are saved in a folder.

    Its own, trained on its data, where `[text]` differs from the teacher's.
    """
    text = student.text
    if text != teacher.config.text:
        return student
    tokenizers = {"target": teacher.target_tokenizer}
    if student.model.transformer is None and teacher.source_tokenizer.special_tokens is None:
        tokenizers["source"] = teacher.source_tokenizer  # its ids are then the teacher's
    named: dict[str, TokenizerConfig] = {}
    for side, tokenizer in tokenizers.items():
        path = folder / f"{side}_tokenizer.json"
        atomic_write(path, tokenizer.to_json())
        named[side] = getattr(text, side).model_copy(update={"file": str(path)})
    return student.model_copy(update={"text": text.model_copy(update=named)})
