"""Configuration: frozen models, read from TOML, overridden by dotted keys, checked once.

A run is described by one `RunConfig`. Every key has a default except the data; an unknown key is
refused with the nearest known one. Precedence: flag, `--set`, file, default.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Self, TypeGuard, cast, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from penstock.errors import ConfigError
from penstock.json_types import is_object
from penstock.tasks import (
    DEFAULTS,
    METRICS,
    UNUSED,
    UNUSED_WITH_TRANSFORMER,
    Metric,
    Task,
    wrong_directions,
)

TokenizerKind = Literal["word", "char", "separator", "bpe", "unigram"]
Precision = Literal["auto", "fp32", "bf16"]


class _Section(BaseModel):
    # strict: `max_updates = true` is no 1, and `bidirectional = "no"` no False
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _none_by_name(cls, values: Any) -> Any:
        """TOML has no null: `none` in an optional key means it."""
        if not _is_table(values):
            return values
        fields = cls.model_fields
        return {
            key: None if value == "none" and key in fields and _is_optional(fields[key]) else value
            for key, value in values.items()
        }


def _is_table(value: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, Mapping)


def _is_optional(field: FieldInfo) -> bool:
    return type(None) in get_args(field.annotation)


class DataConfig(_Section):
    """Where the examples come from.

    Translation: one file of pairs (TSV, CSV, JSONL), a list of two line-parallel files, or
    `builtin` for the built-in corpus. Classification: a file of texts with their labels, in the
    same formats. Language model and cloze: a file of text lines.

    `valid` may also be `rest`: what follows the first `max_pairs` pairs (without sources that
    occur in them), or the first `max_characters` of a text.
    """

    train: str | list[str] = "builtin"
    valid: str | list[str] | None = None
    valid_pairs: int = Field(
        default=1000,
        ge=1,
        description="held out by source (lines of a cloze by their text) when `valid` is absent",
    )
    valid_share: float = Field(
        default=0.05,
        gt=0,
        lt=1,
        description="language model: the last part of the text, held out when `valid` is absent",
    )
    max_characters: int | None = Field(
        default=None, ge=2, description="language model: only the first characters of the text"
    )
    normalize: Literal["none", "letters"] = Field(
        default="none",
        description="letters: only a-z in lower case, anything else a space, as the chapter reads "
        "The Time Machine",
    )
    join_lines: bool = Field(
        default=False, description="language model: running text, line ends are spaces"
    )
    columns: list[int | str] | None = Field(default=None, min_length=2, max_length=2)
    on_error: Literal["stop", "skip"] = "stop"
    max_pairs: int | None = Field(default=None, ge=1)
    max_source_tokens: int = Field(default=256, ge=2)
    max_target_tokens: int = Field(default=256, ge=2)
    source_language: str | None = None
    target_language: str | None = None
    cache: str | None = Field(
        default=None, description="folder for tokenised data; default: in the run"
    )


class TokenizerConfig(_Section):
    """How one side's text becomes tokens."""

    kind: TokenizerKind = "bpe"
    vocab_size: int = Field(default=8000, ge=8)
    min_frequency: int = Field(default=2, ge=1)
    separator: str = Field(default=" ", min_length=1)


class TextConfig(_Section):
    """The tokenizers of both sides."""

    source: TokenizerConfig = TokenizerConfig()
    target: TokenizerConfig = TokenizerConfig()
    shared: bool = Field(
        default=False, description="one tokenizer, trained on both sides as `source` says"
    )


class ModelConfig(_Section):
    """The network.

    Translation has a recurrent encoder and decoder, with or without attention; the other tasks
    have one recurrent stack of `num_layers`. A bidirectional stack gives each direction half of
    `hidden_size`.
    """

    cell: Literal["rnn", "gru", "lstm"] = "lstm"
    gru_form: Literal["after", "before"] = Field(
        default="after",
        description="where the reset gate acts: after the product (cuDNN) or before (book)",
    )
    embedding_size: int = Field(default=256, ge=1)
    hidden_size: int = Field(default=512, ge=1)
    num_layers: int = Field(default=1, ge=1, description="of the one stack of other tasks")
    encoder_layers: int = Field(default=1, ge=1)
    decoder_layers: int = Field(default=2, ge=1)
    bidirectional: bool = True
    residual: bool = False
    layer_norm: bool = False
    attention: Literal["none", "dot", "general", "additive", "multihead"] = "general"
    attention_size: int | None = Field(default=None, ge=1, description="default: hidden_size")
    attention_heads: int = Field(default=4, ge=1)
    readout_size: int | None = Field(
        default=None,
        ge=0,
        description="layer before the output; default: embedding_size with attention or tied "
        "embeddings, else none (0)",
    )
    scale_embeddings: bool = Field(
        default=False,
        description="inputs of unit variance: table of N(0, 1/E), times √E on the way in",
    )
    tie_embeddings: Literal["none", "decoder", "all"] = "decoder"
    source_vectors: str | None = Field(
        default=None,
        description="file of word vectors that the source's embedding begins with; the one text's "
        "where there is one",
    )
    target_vectors: str | None = Field(default=None, description="the same for the target")
    freeze_vectors: bool = Field(
        default=False, description="embeddings that begin with a file's vectors are not trained"
    )
    transformer: str | None = Field(
        default=None,
        description="folder of a pretrained encoder, whose vectors, never trained, take the place "
        "of the source's embedding; it brings its tokenizer (extra `transformers`)",
    )
    pooling: Literal["final", "mean", "max"] = Field(
        default="max", description="classification: how a sentence's states become one vector"
    )
    dropout: float = Field(default=0.3, ge=0, lt=1)
    embedding_dropout: float = Field(default=0.1, ge=0, lt=1)
    token_dropout: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="input tokens that are <unk> in training; not in translation",
    )
    weight_dropout: float = Field(
        default=0.0, ge=0, lt=1, description="of the recurrent weights (DropConnect)"
    )
    variational_dropout: bool = True
    initialization: Literal["uniform", "xavier", "orthogonal", "normal"] = "uniform"
    backend: Literal["fused", "reference"] = "fused"

    @property
    def resolved_readout_size(self) -> int:
        """The readout's width, 0 for none."""
        if self.readout_size is not None:
            return self.readout_size
        plain = self.attention == "none" and self.tie_embeddings == "none"
        return 0 if plain else self.embedding_size

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.bidirectional and self.hidden_size % 2:
            raise ValueError(
                f"hidden_size {self.hidden_size} must be even: a bidirectional encoder gives each "
                "direction half of it"
            )
        width = self.attention_size or self.hidden_size
        if self.attention == "multihead" and width % self.attention_heads:
            raise ValueError(
                f"attention_size {width} is not divisible by attention_heads {self.attention_heads}"
            )
        if self.tie_embeddings != "none" and self.resolved_readout_size != self.embedding_size:
            raise ValueError(
                f"tie_embeddings {self.tie_embeddings!r} needs readout_size = embedding_size "
                f"({self.embedding_size}), found {self.resolved_readout_size}"
            )
        if self.freeze_vectors and self.source_vectors is None and self.target_vectors is None:
            raise ValueError(
                "freeze_vectors = true without vectors: name a file of them as source_vectors or "
                "target_vectors"
            )
        if self.tie_embeddings == "all" and self.target_vectors is not None:
            raise ValueError(
                "tie_embeddings 'all' makes one table for both sides: name its vectors as "
                "source_vectors alone"
            )
        if self.backend == "fused" and self.layer_norm:
            raise ValueError("layer_norm inside the cell needs backend = 'reference'")
        if self.backend == "fused" and self.cell == "gru" and self.gru_form == "before":
            raise ValueError(
                "gru_form 'before' needs backend = 'reference' (torch has only 'after')"
            )
        return self


class TrainingConfig(_Section):
    """The loop: batches, optimizer, schedule, evaluation, stopping.

    The defaults are what learned best in equal time on Multi30k (docs/benchmarks.md): small
    batches, a high rate, and the moving average of the weights instead of the last ones.
    """

    max_updates: int = Field(default=20_000, ge=1)
    max_epochs: int | None = Field(default=None, ge=1)
    max_minutes: float | None = Field(default=None, gt=0)
    batch_tokens: int = Field(
        default=400,
        ge=1,
        description="target tokens a batch, padding included; source tokens "
        "where there is no target",
    )
    batch_sentences: int | None = Field(
        default=None, ge=1, description="a fixed number instead of tokens"
    )
    window: int = Field(
        default=64, ge=1, description="language model: tokens that the gradient flows back"
    )
    sampling: Literal["sequential", "random"] = Field(
        default="sequential",
        description="language model: windows follow each other and the state is carried, "
        "detached; or they come in random order and begin at zero",
    )
    accumulate: int = Field(default=1, ge=1)
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    learning_rate: float = Field(default=2e-3, gt=0)
    schedule: Literal["constant", "cosine", "inverse-sqrt", "plateau"] = "cosine"
    warmup_updates: int = Field(default=200, ge=0)
    weight_decay: float = Field(default=0.0, ge=0)
    beta2: float = Field(default=0.98, gt=0, lt=1)
    clip_norm: float = Field(default=1.0, gt=0)
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    average_decay: float | None = Field(
        default=0.998,
        gt=0,
        lt=1,
        description="of the moving average of the weights that is evaluated and "
        "kept; none: the weights themselves",
    )
    precision: Precision = "auto"
    metric: Metric = "bleu"
    keep: Literal["best", "last"] = Field(
        default="best", description="which weights `model/` holds"
    )
    evaluate_every: int | None = Field(
        default=500, ge=1, description="updates; none: once an epoch"
    )
    evaluate_sentences: int = Field(default=500, ge=1)
    evaluate_tokens: int = Field(
        default=50_000, ge=1, description="language model: of the held-out text, from its beginning"
    )
    patience: int | None = Field(default=10, ge=1, description="evaluations without a better score")
    plateau_factor: float = Field(default=0.5, gt=0, lt=1)
    plateau_patience: int = Field(default=2, ge=1)
    checkpoint_minutes: float = Field(default=10.0, gt=0)


class SearchConfig(_Section):
    """How a trained model searches unless told otherwise."""

    beam_size: int = Field(default=5, ge=1)
    length_penalty: float = Field(default=1.0, ge=0)
    max_length_ratio: float = Field(default=2.0, gt=0, le=1000)
    max_length_extra: int = Field(default=10, ge=1, le=100_000)


class RunConfig(_Section):
    """One training run from data to model."""

    task: Task = "translation"
    seed: int = Field(default=1, ge=0, lt=2**63)
    threads: int | None = Field(default=None, ge=1)
    device: str = "auto"
    data: DataConfig = DataConfig()
    text: TextConfig = TextConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    search: SearchConfig = SearchConfig()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.model.tie_embeddings == "all" and not self.text.shared:
            raise ValueError(
                "model.tie_embeddings = 'all' needs text.shared = true: both sides use one "
                "vocabulary"
            )
        if self.task != "translation" and self.data.train == "builtin":
            raise ValueError(
                "data.train = 'builtin': the built-in corpus has sentence pairs, for task = "
                f"'translation'; give a file for task = {self.task!r}"
            )
        if self.task == "cloze" and self.text.source.kind in ("bpe", "unigram"):
            raise ValueError(
                f"text.source.kind = {self.text.source.kind!r}: a blank of a cloze is one token, "
                "and a piece of a word is no blank; choose word, char or separator"
            )
        if self.training.metric not in METRICS[self.task]:
            raise ValueError(
                f"training.metric = {self.training.metric!r}: task = {self.task!r} has "
                f"{', '.join(METRICS[self.task])}"
            )
        wrong = wrong_directions(self.task, bidirectional=self.model.bidirectional)
        if wrong:
            raise ValueError(wrong)
        if self.model.transformer is not None and self.text.shared:
            raise ValueError(
                "text.shared = true: the source has the transformer's own vocabulary; leave it out"
            )
        self._refuse_unused()
        return self

    def _refuse_unused(self) -> None:
        """What the task has no use for must not be set: it would be ignored in silence."""
        unused = dict(UNUSED[self.task])
        if self.model.transformer is not None:
            unused |= UNUSED_WITH_TRANSFORMER[self.task]
        for path, reason in unused.items():
            section, _, key = path.partition(".")
            usual = _SECTIONS[section].model_validate(DEFAULTS[self.task].get(section, {}))
            value = getattr(getattr(self, section), key)
            if value != getattr(usual, key):
                shown = "" if isinstance(value, BaseModel) else f" = {value!r}"
                raise ValueError(f"{path}{shown}: {reason}; leave it out")


_SECTIONS: dict[str, type[_Section]] = {
    "data": DataConfig,
    "text": TextConfig,
    "model": ModelConfig,
    "training": TrainingConfig,
    "search": SearchConfig,
}


def load_config(path: str | Path, overrides: Iterable[str] = ()) -> RunConfig:
    """Read a TOML configuration; `overrides` are `a.b=value` strings, applied last.

    Raises:
        ConfigError: unreadable file, syntax error, unknown key, impossible value.
    """
    path = Path(path)
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # Windows editors put a BOM
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the configuration: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    return parse_config(raw, overrides, place=str(path))


def parse_config(
    raw: Mapping[str, Any], overrides: Iterable[str] = (), *, place: str = "config"
) -> RunConfig:
    """Validate a nested mapping after applying `a.b=value` overrides.

    What neither says is as the task wants it (`penstock.tasks.DEFAULTS`), then as the sections
    above have it.
    """
    merged = _copy(raw)
    for override in overrides:
        _apply_override(merged, override)
    _refuse_unknown(merged, RunConfig, place, ())
    task = merged.get("task", "translation")
    usual = DEFAULTS.get(cast(Task, task if isinstance(task, str) else ""), {})
    try:
        return RunConfig.model_validate(_laid_over(usual, merged))
    except ValidationError as error:
        raise ConfigError(f"{place}: {_first_problem(error)}") from None


def dump_toml(config: RunConfig) -> str:
    """The configuration as resolved, every key present, as TOML; null is written `none`."""
    import tomli_w

    return tomli_w.dumps(_without_null(config.model_dump()))


def _without_null(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_null(value) if _is_table(value) else "none" if value is None else value
        for key, value in raw.items()
    }


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings as one, `above` before `below`."""
    joined = dict(below)
    for key, value in above.items():
        under = joined.get(key)
        if _is_table(value) and _is_table(under):
            joined[key] = _laid_over(under, value)
        else:
            joined[key] = value
    return joined


def _copy(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {k: _copy(v) if _is_table(v) else v for k, v in raw.items()}


def _apply_override(raw: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    key = key.strip()
    if not equals or not key:
        raise ConfigError(f"--set {override!r}: write it as section.key=value")
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        parsed = {}
    # what is not one TOML value is a string as it stands: --set model.cell=gru
    value = parsed["value"] if parsed.keys() == {"value"} else text.strip()
    *sections, last = key.split(".")
    for section in sections:
        child = raw.setdefault(section, {})
        if not is_object(child):
            raise ConfigError(f"--set {override!r}: {section!r} is a value, not a section")
        raw = child
    raw[last] = value


def _refuse_unknown(
    raw: Mapping[str, Any], section: type[BaseModel], place: str, path: tuple[str, ...]
) -> None:
    known = section.model_fields
    for key, value in raw.items():
        where = f"[{'.'.join(path)}]" if path else "the configuration"
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            home = next((name for name, s in _SECTIONS.items() if key in s.model_fields), None)
            if not path and home is not None:
                remedy = f"did you mean '{home}.{key}'?"
            elif close:
                remedy = f"did you mean {close[0]!r}?"
            else:
                remedy = f"known: {', '.join(known)}"
            raise ConfigError(f"{place}: unknown key {key!r} in {where}; {remedy}")
        inner = known[key].annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            if not _is_table(value):
                raise ConfigError(f"{place}: {key!r} in {where} must be a section, found {value!r}")
            _refuse_unknown(value, inner, place, (*path, key))


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    message = problem["msg"].removeprefix("Value error, ")
    where = ".".join(str(part) for part in problem["loc"])
    value = problem["input"]
    shown = "" if isinstance(value, Mapping | BaseModel) else f" = {value!r}"
    place = f"{where}{shown}: " if where else ""
    return f"{place}{message[0].lower() if where else message[0]}{message[1:]}"
