"""The types of `/v1`'s requests and answers."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from penstock.config.option_model import MinConfidence, Options
from penstock.serve.api.openapi import LanguageCode, Texts, Written
from penstock.serve.api.option_fields import served_names, with_option_fields
from penstock.tasks.language_model.writing_options import WritingOptions
from penstock.tasks.translation.search_options import Phrases, SearchOptions

Kind = TypeVar("Kind", bound=Options)

_OF_ONE_MODEL = "Name of the model; required if several are served."


class Strict(BaseModel):
    """A request that rejects unknown fields."""

    model_config = ConfigDict(extra="forbid")

    def options(self, kind: type[Kind]) -> Kind:
        """Build an option model from its fields.

        Raises:
            UsageError: inconsistent values.
        """
        return kind.offered({name: getattr(self, name) for name in served_names(kind)})


@with_option_fields(SearchOptions, Phrases)
class TranslateRequest(Strict):
    """Texts to translate, and how."""

    texts: Annotated[Texts, Field(description="A text, or a list of texts.")]
    source: Annotated[
        LanguageCode | None, Field(description="Language code; detected by default or if `auto`.")
    ] = None
    target: Annotated[
        LanguageCode | None, Field(description="Language code; required if several are served.")
    ] = None


@with_option_fields(SearchOptions)
class InspectRequest(Strict):
    """A sentence whose translation to inspect."""

    text: Annotated[Written, Field(description="A sentence.")]
    source: LanguageCode | None = None
    target: LanguageCode | None = None
    prefix: Annotated[
        list[Annotated[str, Field(max_length=200)]],
        Field(max_length=1000, description="Target pieces that the translation must begin with."),
    ] = []
    exact: Annotated[bool, Field(description="Also search for the exact optimum.")] = False
    units: Annotated[bool, Field(description="Include single gate units.")] = False


class ClassifyRequest(Strict):
    """Texts to label."""

    texts: Texts
    model: Annotated[str | None, Field(max_length=200, description=_OF_ONE_MODEL)] = None
    min_confidence: MinConfidence = None


class FillRequest(Strict):
    """Texts with blanks to fill."""

    texts: Texts
    model: Annotated[str | None, Field(max_length=200, description=_OF_ONE_MODEL)] = None
    blank: Annotated[
        str, Field(min_length=1, max_length=20, description="Mark of a missing word.")
    ] = "___"
    n_best: Annotated[int, Field(ge=1, le=50, description="Candidates per blank.")] = 1
    min_confidence: MinConfidence = None


@with_option_fields(WritingOptions)
class GenerateRequest(Strict):
    """A prompt, and how to continue it."""

    prompt: str = ""
    model: Annotated[str | None, Field(max_length=200, description=_OF_ONE_MODEL)] = None


class Reason(BaseModel):
    """A code for programs, and a message for people."""

    code: str
    message: str


class Failure(BaseModel):
    """An error."""

    error: Reason


class TranslatedText(BaseModel):
    """The output of `penstock translate --format json`, with the languages."""

    source: str
    text: str
    status: str
    parts: int
    score: float
    log_probability: float
    confidence: Annotated[
        float | None, Field(description="Calibrated probability that the text is exactly right.")
    ]
    expected_chrf: float | None
    read_as: Annotated[
        str | None, Field(description="The text in the case in which it was read, if in another.")
    ]
    tokens: list[str]
    token_log_probabilities: list[float]
    source_tokens: list[str]
    alignment: list[list[float]] | None
    alternatives: list[dict[str, Any]]
    seconds: float
    source_language: str
    target_language: str
    certified: bool | None = None
    bound: float | None = None
    extended: int | None = None


class TranslateAnswer(BaseModel):
    """One translation for each text, in order."""

    translations: list[TranslatedText]


class Pair(BaseModel):
    """A pair of languages and the model that translates it."""

    source: str
    target: str
    name: str
    cell: str
    attention: str
    beam_size: int


class Named(BaseModel):
    """A model of another task."""

    name: str


class ModelsAnswer(BaseModel):
    """The served models."""

    pairs: list[Pair]
    classifiers: list[Named]
    fillers: list[Named]
    generators: list[Named]
    run: Annotated[str | None, Field(description="Name of the run whose curves the page shows.")]
    max_characters: int


class LabelOf(BaseModel):
    """The label of one text."""

    source: str
    label: str
    probability: float
    probabilities: dict[str, float]
    status: str
    confidence: Annotated[
        float | None, Field(description="Calibrated probability that the label is right.")
    ]


class ClassifyAnswer(BaseModel):
    """One label for each text, in order."""

    labels: list[LabelOf]


class CandidateOf(BaseModel):
    """A token for a blank."""

    token: str
    probability: float


class FilledText(BaseModel):
    """One text with its blanks filled."""

    source: str
    text: str
    blanks: list[list[CandidateOf]]
    status: str
    confidences: Annotated[
        list[float],
        Field(description="For each blank the calibrated probability that it is filled rightly."),
    ]


class FillAnswer(BaseModel):
    """One result for each text, in order."""

    filled: list[FilledText]


class RunAnswer(BaseModel):
    """Events of a training log."""

    name: str
    events: list[dict[str, Any]]
    next: Annotated[int, Field(description="Number of the next event to request.")]
    finished: bool
