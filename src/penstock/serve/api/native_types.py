"""What `/v1` is asked and answers, as types."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from penstock.serve.api.openapi import LanguageCode, Texts
from penstock.tasks.language_model.text_generator import WritingOptions
from penstock.tasks.translation.search_options import Phrases, SearchOptions

Phrase = Annotated[str, Field(min_length=1, max_length=200)]
Positive = Annotated[int, Field(ge=1, le=1000)]


_OF_ONE_MODEL = "Name of the model; needed where several are served."


class Strict(BaseModel):
    """A request with these fields and no others."""

    model_config = ConfigDict(extra="forbid")


class SearchFields(Strict):
    """How to search; what is not given the model's configuration says."""

    search: Literal["beam", "greedy", "sample", "exact", "mbr"] | None = None
    beam_size: Annotated[int, Field(ge=1, le=16)] | None = None
    n_best: Annotated[int, Field(ge=1, le=32)] | None = None
    groups: Annotated[int, Field(ge=1, le=16)] | None = None
    diversity: Annotated[float, Field(ge=0, le=100)] | None = None
    samples: Annotated[int, Field(ge=1, le=32)] | None = None
    temperature: Annotated[float, Field(gt=0, le=100)] | None = None
    top_k: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    budget: Annotated[int, Field(ge=1, le=5000)] | None = None
    utility: Literal["chrf", "bleu"] | None = None
    mbr_from: Literal["sample", "beam"] | None = None
    normalization: Literal["none", "average", "book", "gnmt"] | None = None
    length_penalty: Annotated[float, Field(ge=0, le=100)] | None = None
    length_reward: Annotated[float, Field(ge=-100, le=100)] | None = None
    coverage_penalty: Annotated[float, Field(ge=0, le=100)] | None = None
    min_length: Annotated[int, Field(ge=0, le=1000)] | None = None
    max_length: Positive | None = None
    min_length_ratio: Annotated[float, Field(ge=0, le=10)] | None = None
    max_length_ratio: Annotated[float, Field(gt=0, le=10)] | None = None
    no_repeat_ngram: Annotated[int, Field(ge=0, le=20)] | None = None
    allow_unknown: bool | None = None
    replace_unknown: bool | None = None
    alignments: bool | None = None

    def options(self, *, phrases: Phrases | None = None) -> SearchOptions:
        """As the translator takes them.

        Raises:
            UsageError: values that do not go together.
        """
        given = self.model_dump(exclude_none=True, include=set(SearchFields.model_fields))
        return SearchOptions(phrases=phrases or Phrases(), **given)


class TranslateRequest(SearchFields):
    """Texts to translate, and how."""

    texts: Annotated[Texts, Field(description="A text, or a list of texts.")]
    source: Annotated[
        LanguageCode | None, Field(description="Language code; `auto` or none: detected.")
    ] = None
    target: Annotated[
        LanguageCode | None, Field(description="Language code; needed where several are served.")
    ] = None
    prefix: Annotated[
        str | None, Field(max_length=1000, description="Translations begin with this.")
    ] = None
    require: Annotated[list[Phrase], Field(max_length=4)] | None = None
    forbid: Annotated[list[Phrase], Field(max_length=50)] | None = None

    def all_options(self) -> SearchOptions:
        """With the phrases."""
        return self.options(
            phrases=Phrases(self.prefix or "", tuple(self.require or ()), tuple(self.forbid or ()))
        )


class InspectRequest(SearchFields):
    """A sentence whose translation is to be shown in the making."""

    text: Annotated[str, Field(description="A sentence.")]
    source: LanguageCode | None = None
    target: LanguageCode | None = None
    prefix: Annotated[
        list[Annotated[str, Field(max_length=200)]],
        Field(max_length=1000, description="Target pieces that the translation begins with."),
    ] = []
    exact: Annotated[bool, Field(description="Search for the exact optimum too.")] = False
    units: Annotated[bool, Field(description="Give single units of the gates.")] = False


class ClassifyRequest(Strict):
    """Texts to label."""

    texts: Texts
    model: Annotated[str | None, Field(max_length=200, description=_OF_ONE_MODEL)] = None


class FillRequest(Strict):
    """Texts with blanks to fill."""

    texts: Texts
    model: Annotated[str | None, Field(max_length=200, description=_OF_ONE_MODEL)] = None
    blank: Annotated[str, Field(min_length=1, max_length=20, description="The mark.")] = "___"
    n_best: Annotated[int, Field(ge=1, le=50, description="Candidates of a blank.")] = 1


class GenerateRequest(Strict):
    """What a text begins with, and how to go on."""

    prompt: str = ""
    model: Annotated[str | None, Field(max_length=200, description=_OF_ONE_MODEL)] = None
    length: Annotated[int, Field(ge=1, le=1000, description="The most tokens.")] = 200
    lines: Annotated[int, Field(ge=1, le=1000)] | None = None
    search: Literal["sample", "greedy"] = "sample"
    temperature: Annotated[float, Field(gt=0, le=100)] = 1.0
    top_k: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1

    def options(self) -> WritingOptions:
        """As the generator takes them."""
        return WritingOptions(**self.model_dump(exclude={"prompt", "model"}))


class Reason(BaseModel):
    """A word for programs, and a sentence for people."""

    code: str
    message: str


class Failure(BaseModel):
    """Why there is no answer."""

    error: Reason


class TranslatedText(BaseModel):
    """As `penstock translate --format json` gives it, and the languages."""

    source: str
    text: str
    status: str
    parts: int
    score: float
    log_probability: float
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
    """What is served."""

    pairs: list[Pair]
    classifiers: list[Named]
    fillers: list[Named]
    generators: list[Named]
    run: Annotated[str | None, Field(description="Name of the run whose curves are shown.")]
    max_characters: int


class LabelOf(BaseModel):
    """The label of one text."""

    source: str
    label: str
    probability: float
    probabilities: dict[str, float]
    status: str


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


class FillAnswer(BaseModel):
    """One for each text, in order."""

    filled: list[FilledText]


class RunAnswer(BaseModel):
    """What a training has written to its log."""

    name: str
    events: list[dict[str, Any]]
    next: Annotated[int, Field(description="Ask for this number next.")]
    finished: bool
