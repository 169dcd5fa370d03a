"""Settings that choose themselves: two short tables of rules over a profile of the data.

A key of the configuration that may be `auto` and is not set is chosen here, when a run starts; the
run's `config.toml` has the values. Of `KINDS` the first line that applies gives the tokenizers. Of
`RULES` every line that applies sets its keys, later ones over earlier ones.
`benchmarks/defaults.py` tries the choices and their alternatives; docs/benchmarks.md has what was
measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from pydantic import BaseModel

from penstock.config import RunConfig, parse_config
from penstock.config.section import automatic_keys
from penstock.config.training_config import MOST_UPDATES
from penstock.data.profile import Profile, SideProfile, profile_pairs
from penstock.errors import ConfigError
from penstock.tasks import TASKS
from penstock.training.examples import Report, training_pairs


@dataclass(frozen=True, slots=True)
class Kinds:
    """One line of the table: where it applies, the tokenizers of source and target, and why."""

    applies: Callable[[Profile], object]
    source: str
    target: str
    because: str


KINDS: tuple[Kinds, ...] = (
    Kinds(lambda d: d.source.symbols and d.target.symbols,
          "separator", "separator", "both sides are symbols between spaces"),
    Kinds(lambda d: d.target.symbols and d.source.characters <= 150,
          "char", "separator", "targets are symbols between spaces"),
    Kinds(lambda d: d.target.symbols,
          "bpe", "separator", "targets are symbols between spaces"),
    Kinds(lambda d: d.source.symbols and d.target.words <= 3,
          "separator", "char", "sources are symbols between spaces"),
    Kinds(lambda d: d.source.symbols,
          "separator", "bpe", "sources are symbols between spaces"),
    Kinds(lambda d: d.target.words <= 2.2 and d.target.characters <= 40
          and d.source.characters <= 80,
          "char", "char", "texts are words rather than sentences"),
    Kinds(lambda d: d.likeness >= 0.75 and max(d.source.characters, d.target.characters) <= 100,
          "char", "char", "targets are spelt much like their sources"),
    Kinds(lambda d: d.source.characters <= 20 and (d.source.words <= 1.5 or not d.source.spaced),
          "char", "bpe", "sources are words, numbers or few characters"),
    Kinds(lambda d: True, "bpe", "bpe", "texts are sentences"),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What the rules ask about.

    Attributes:
        data: the profile.
        source, target: kinds of tokenizer, the user's or those that fit the data.
        limited: whether the user limits updates or time, so that a schedule can end there.
        timed: whether the limit is a time.
        columns: whether a source has several columns, such as a word and its features.
    """

    data: Profile
    source: str
    target: str
    limited: bool
    timed: bool
    columns: bool

    @property
    def letters(self) -> bool:
        """Whether targets are written letter by letter, or symbol by symbol."""
        return self.target in _LETTERS

    def has(self, fewest: float, most: float = float("inf")) -> bool:
        """Whether there are at least `fewest` pairs and fewer than `most`."""
        return fewest <= self.data.pairs < most


_LETTERS = ("char", "separator")


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table: where it applies, and what it sets."""

    applies: Callable[[Case], bool]
    settings: Mapping[str, Any]


RULES: tuple[Rule, ...] = (
    # every letter counts, rare ones too
    Rule(lambda c: c.source in _LETTERS, {"text.source.min_frequency": 1}),
    Rule(lambda c: c.target in _LETTERS, {"text.target.min_frequency": 1}),
    # a syllable of Hangul is two or three letters
    Rule(lambda c: True, {"text.source.unicode": "none", "text.target.unicode": "none"}),
    Rule(lambda c: c.source == "char" and c.data.source.script == "Hangul",
         {"text.source.unicode": "NFD"}),
    Rule(lambda c: c.target == "char" and c.data.target.script == "Hangul",
         {"text.target.unicode": "NFD"}),
    # the more text, the more pieces are seen often enough
    Rule(lambda c: c.has(0, 3_000),
         {"text.source.vocab_size": 1_000, "text.target.vocab_size": 1_000}),
    Rule(lambda c: c.has(3_000, 20_000),
         {"text.source.vocab_size": 2_000, "text.target.vocab_size": 2_000}),
    Rule(lambda c: c.has(20_000, 300_000),
         {"text.source.vocab_size": 8_000, "text.target.vocab_size": 8_000}),
    Rule(lambda c: c.has(300_000),
         {"text.source.vocab_size": 16_000, "text.target.vocab_size": 16_000}),
    # symbols of unknown widths need none of their own where they stay whole
    Rule(lambda c: c.source in _LETTERS, {"text.source.vocab_size": 8_000}),
    Rule(lambda c: c.target in _LETTERS, {"text.target.vocab_size": 8_000}),
    # both sides write some words alike: one vocabulary
    Rule(lambda c: c.source == c.target == "bpe" and c.data.copied >= 0.2
         and c.data.source.script == c.data.target.script, {"text.shared": True}),
    # letters: a small network whose inputs have unit variance, deeper where there are many
    Rule(lambda c: c.letters and c.has(0, 3_000),
         {"model.encoder_layers": 1, "model.decoder_layers": 1, "model.scale_embeddings": True}),
    Rule(lambda c: c.letters and c.has(3_000),
         {"model.encoder_layers": 2, "model.decoder_layers": 2, "model.scale_embeddings": True}),
    Rule(lambda c: c.letters and c.has(0, 1_000),
         {"model.embedding_size": 64, "model.hidden_size": 128, "model.dropout": 0.4}),
    Rule(lambda c: c.letters and c.has(1_000, 30_000),
         {"model.embedding_size": 128, "model.hidden_size": 256, "model.dropout": 0.3}),
    Rule(lambda c: c.letters and c.has(30_000),
         {"model.embedding_size": 128, "model.hidden_size": 384, "model.dropout": 0.2}),
    # a word and features to another form of it: few examples teach more with other stems
    Rule(lambda c: True, {"data.hallucination": 0}),
    Rule(lambda c: c.columns and c.target == "char" and c.has(0, 5_000), {"data.hallucination": 4}),
    # few sentences: a network as small as can be; many: a wide one, whose inputs begin near zero
    Rule(lambda c: not c.letters and c.has(0, 20_000),
         {"model.encoder_layers": 1, "model.decoder_layers": 1, "model.scale_embeddings": True,
          "model.embedding_size": 128, "model.hidden_size": 256, "model.dropout": 0.3}),
    Rule(lambda c: not c.letters and c.has(0, 3_000), {"model.dropout": 0.4}),
    Rule(lambda c: not c.letters and c.has(20_000),
         {"model.encoder_layers": 1, "model.decoder_layers": 2, "model.scale_embeddings": False}),
    Rule(lambda c: not c.letters and c.has(20_000, 60_000),
         {"model.embedding_size": 256, "model.hidden_size": 512, "model.dropout": 0.3}),
    Rule(lambda c: not c.letters and c.has(60_000, 300_000),
         {"model.embedding_size": 256, "model.hidden_size": 512, "model.dropout": 0.2}),
    Rule(lambda c: not c.letters and c.has(300_000),
         {"model.embedding_size": 256, "model.hidden_size": 512, "model.dropout": 0.1}),
    Rule(lambda c: True,
         {"model.attention": "general", "model.embedding_dropout": 0.1,
          "model.tie_embeddings": "decoder"}),
    # many small updates, the average of whose weights is the model
    Rule(lambda c: True,
         {"training.batch_tokens": 400, "training.learning_rate": 0.002,
          "training.warmup_updates": 100, "training.beta2": 0.98,
          "training.label_smoothing": 0.1, "training.average_decay": 0.998}),
    Rule(lambda c: c.letters or c.has(0, 3_000), {"training.average_decay": 0.995}),
    # a word is right or wrong; BLEU counts words, and sees nothing in the outputs of a weak model
    Rule(lambda c: c.letters, {"training.metric": "exact_match"}),
    Rule(lambda c: not c.letters, {"training.metric": "bleu"}),
    Rule(lambda c: not c.letters and (c.has(0, 3_000) or not c.data.target.spaced),
         {"training.metric": "chrf"}),
    # the rate falls until the given end, or when scores stop rising, which later ends training
    Rule(lambda c: True, {"training.evaluate_every": 150, "training.evaluate_growth": 0.1}),
    Rule(lambda c: c.limited, {"training.schedule": "cosine"}),
    Rule(lambda c: c.timed, {"training.patience": None, "training.max_updates": MOST_UPDATES}),
    Rule(lambda c: not c.limited,
         {"training.schedule": "plateau", "training.patience": 6,
          "training.max_updates": MOST_UPDATES}),
)  # fmt: skip


def choose_settings(config: RunConfig, report: Report) -> RunConfig:
    """Choose what the user left open from the training data, and report it.

    A task without pairs of texts keeps its defaults.

    Raises:
        DataError: unreadable data.
        ConfigError: what the user set does not go with what was chosen.
    """
    if TASKS[config.task].target != "text":
        return config
    set_keys = keys_set(config)
    open_keys = {key for key in automatic_keys(RunConfig) if key not in set_keys}
    open_keys = {key for key in open_keys if not _decided_otherwise(config, key)}
    if "training.evaluate_every" in set_keys:
        open_keys.discard("training.evaluate_growth")
    data = profile_pairs(training_pairs(config)()) if open_keys else None
    if data is None:
        return config  # nothing to choose, or reading the examples says what is wrong with them
    for line in _doubts(data):
        report(line)
    if data.source.distinct < 10 and config.data.valid is None:
        return config  # likewise: too few sources to hold some out
    kinds = next(kinds for kinds in KINDS if kinds.applies(data))
    case = _case(config, data, kinds, open_keys)
    chosen: dict[str, Any] = {"text.source.kind": case.source, "text.target.kind": case.target}
    for rule in RULES:
        if rule.applies(case):
            chosen |= rule.settings
    chosen["search.max_length_ratio"] = _length_ratio(case)
    resolved = _with_keys(config, {key: v for key, v in chosen.items() if key in open_keys})
    for line in _description(resolved, data, kinds, open_keys):
        report(line)
    return resolved


def keep_choices(config: RunConfig, earlier: RunConfig) -> RunConfig:
    """Take what `config` leaves open from the run's earlier configuration."""
    kept = keys_set(earlier) & set(automatic_keys(RunConfig)) - keys_set(config)
    return _with_keys(config, {key: attrgetter(key)(earlier) for key in sorted(kept)})


def _with_keys(config: RunConfig, values: Mapping[str, Any]) -> RunConfig:
    """A configuration with further keys, checked as a whole."""
    try:
        return parse_config(config.model_dump(exclude_unset=True), values=values, place="settings")
    except ConfigError as error:
        raise ConfigError(f"{error} (keys that you do not set are chosen from the data)") from None


def keys_set(section: BaseModel, prefix: str = "") -> set[str]:
    """The dotted keys that were given a value."""
    found: set[str] = set()
    for key in section.model_fields_set:
        value = getattr(section, key)
        inner = isinstance(value, BaseModel)
        found |= keys_set(value, f"{prefix}{key}.") if inner else {f"{prefix}{key}"}
    return found


def _decided_otherwise(config: RunConfig, key: str) -> bool:
    """Whether a key has no effect, or saved tokenizers or word vectors decide it."""
    task, model, text = TASKS[config.task], config.model, config.text
    unused = [*task.unused, *(task.unused_with_transformer if model.transformer else ())]
    if any(key == name or key.startswith(f"{name}.") for name in unused):
        return True
    if model.source_vectors or model.target_vectors:
        return key.startswith("text.") or key == "model.embedding_size"
    return key.startswith("text.") and (text.source.file or text.target.file) is not None


def _case(config: RunConfig, data: Profile, kinds: Kinds, open_keys: set[str]) -> Case:
    text, timed = config.text, config.training.max_minutes is not None
    source = kinds.source if "text.source.kind" in open_keys else text.source.kind
    target = kinds.target if "text.target.kind" in open_keys else text.target.kind
    if text.shared:
        if source != target and "text.source.kind" in open_keys:
            source = "bpe"
        target = source
    limited = timed or "training.max_updates" not in open_keys
    return Case(
        data=data,
        source=source,
        target=target,
        limited=limited,
        timed=timed,
        columns=bool(config.data.source_columns) and config.data.language_column is None,
    )


def _length_ratio(case: Case) -> float:
    """Room for targets half as long again as the longest: a Chinese character is six letters."""
    counted = [("characters" if kind == "char" else "words") for kind in (case.source, case.target)]
    growth = case.data.growth[counted[0], counted[1]]
    return max(2.0, float(math.ceil(1.5 * growth))) if case.letters else 2.0


_UNITS = {"char": "characters", "separator": "symbols", "bpe": "BPE pieces"}


def _description(
    config: RunConfig, data: Profile, kinds: Kinds, open_keys: set[str]
) -> Iterator[str]:
    """A few lines about the data and what was chosen for them."""
    text, model, training = config.text, config.model, config.training
    yield f"data: {data.pairs:,} pairs, {_size(data.source)} to {_size(data.target)}"
    units = [_UNITS.get(side.kind, side.kind) for side in (text.source, text.target_side)]
    why = f": {kinds.because}" if {"text.source.kind", "text.target.kind"} <= open_keys else ""
    sections = {key.partition(".")[0] for key in open_keys}
    if "text" in sections:
        yield f"text: {units[0]} to {units[1]}{', one vocabulary' if text.shared else ''}{why}"
    if "model" in sections:
        yield (
            f"model: {model.encoder_layers} + {model.decoder_layers} layers of "
            f"{model.hidden_size}, {'scaled ' if model.scale_embeddings else ''}embeddings of "
            f"{model.embedding_size}, dropout {model.dropout:g}: for {units[1]} and "
            f"{data.pairs:,} pairs"
        )
    end = {
        "cosine": "the rate falls until the end",
        "plateau": "the rate falls when scores stop rising",
    }.get(training.schedule, f"rate {training.schedule}")
    yield (
        f"training: batches of {training.batch_tokens} tokens, rate {training.learning_rate:g}; "
        f"{end}; the best model by {training.metric}"
    )
    yield "all settings are in the run's config.toml; --set KEY=VALUE overrides one"


def _doubts(data: Profile) -> Iterator[str]:
    """What looks unlike pairs of texts to translate."""
    sides = (("source", data.source, data.target), ("target", data.target, data.source))
    for name, side, other in sides:
        if side.distinct == 1 and data.sampled > 1:
            yield f"warning: every {name} is the same text: there is nothing to learn from it"
        elif side.distinct <= 50 and other.distinct >= 20 * side.distinct:
            remedy = "--set task=classification fits"
            if name == "source":
                remedy = f"the columns are swapped (--columns 2,1), and {remedy}"
            yield f"note: only {side.distinct} different {name}s; if they are labels, {remedy}"


def _size(side: SideProfile) -> str:
    if side.symbols:
        return f"{side.symbols:.0f} symbols"
    if side.words < 1.5:
        letters = round(side.characters)
        return f"a word of {letters} character{'s' * (letters != 1)}"
    return f"{side.words:.0f} words"
