"""The models that are served, found by languages or by name: loaded and tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from types import MappingProxyType
from typing import TypeVar

from penstock.bundle import Bundle, load_bundle
from penstock.config import Precision
from penstock.errors import UsageError
from penstock.serve.models.model_paths import ANY, ModelPath, Pair, language_code, shown_pair
from penstock.serve.service_errors import UnservedPairError
from penstock.tasks.classification.text_classifier import TextClassifier
from penstock.tasks.cloze.blank_filler import BLANK, BlankFiller
from penstock.tasks.language_model.text_generator import TextGenerator
from penstock.tasks.language_model.writing_options import WritingOptions
from penstock.tasks.translation.translator import Translator

T = TypeVar("T")
_WARM_UP = "A short text."
_WARM_ROWS = 512  # larger batches are rare; their products are compiled when one comes


@dataclass(frozen=True, slots=True)
class Serving:
    """What is served; it never changes, a reload makes another one.

    Attributes:
        pairs: translators by the codes of source and target language, in lower case.
        names: of the same pairs, the names of their run directories.
        classifiers, fillers, generators: by the name of their run directory.
    """

    pairs: Mapping[Pair, Translator] = field(default_factory=dict[Pair, Translator])
    names: Mapping[Pair, str] = field(default_factory=dict[Pair, str])
    classifiers: Mapping[str, TextClassifier] = field(default_factory=dict[str, TextClassifier])
    fillers: Mapping[str, BlankFiller] = field(default_factory=dict[str, BlankFiller])
    generators: Mapping[str, TextGenerator] = field(default_factory=dict[str, TextGenerator])

    def translator(self, source: str, target: str) -> Translator:
        """The translator of a pair of language codes, in any case.

        Raises:
            UnservedPairError: none; the message names the pairs that are served.
        """
        pair = (source.lower().replace("_", "-"), target.lower().replace("_", "-"))
        found = self.pairs.get(pair)
        if found is None:
            if not self.pairs:
                raise UnservedPairError(
                    "no model that translates is served; start the server with -m RUN"
                )
            served = ", ".join(map(shown_pair, self.pairs))
            asked = shown_pair(pair)
            if "auto" in pair:
                asked = f"into {pair[1]}" if pair[0] == "auto" else f"from {pair[0]}"
            raise UnservedPairError(f"no model translates {asked}; pairs served: {served}")
        return found

    def classifier(self, name: str | None = None) -> TextClassifier:
        """A classifier by name; without a name the only one.

        Raises:
            UnservedPairError: no such, or several and no name.
        """
        return _chosen(self.classifiers, name, "classifier")

    def filler(self, name: str | None = None) -> BlankFiller:
        """A cloze model; as `classifier`."""
        return _chosen(self.fillers, name, "cloze model")

    def generator(self, name: str | None = None) -> TextGenerator:
        """A language model; as `classifier`."""
        return _chosen(self.generators, name, "language model")

    def summary(self) -> str:
        """What is served, in a few words: the pairs, then the names of other models."""
        pairs = [
            f"{self.names[pair]} ({shown_pair(pair)})" if ANY in pair else shown_pair(pair)
            for pair in self.pairs
        ]
        return ", ".join([*pairs, *self.classifiers, *self.fillers, *self.generators]) or "no model"

    def warm_up(self) -> None:
        """Use every model once: what is slow or fails the first time does so now."""
        for translator in self.pairs.values():
            translator.warm_up(_WARM_ROWS)
            translator.translate([_WARM_UP])
        for classifier in self.classifiers.values():
            classifier.classify([_WARM_UP])
        for filler in self.fillers.values():
            filler.fill([f"A {BLANK}"])
        for generator in self.generators.values():
            list(islice(generator.generate("A", WritingOptions(length=2)), 2))


def _chosen(models: Mapping[str, T], name: str | None, kind: str) -> T:
    if name is None and len(models) == 1:
        return next(iter(models.values()))
    if name is None or name not in models:
        asked = "" if name is None else f" {name!r}"
        served = ", ".join(map(repr, models))
        remedy = f"models served: {served}" if served else "none is served"
        missing = f"no {kind}{asked}" if name is not None or not models else f"which {kind}?"
        raise UnservedPairError(f"{missing}; {remedy}")
    return models[name]


def load_serving(
    paths: Sequence[ModelPath], *, device: str = "cpu", precision: Precision = "fp32"
) -> Serving:
    """Load every model; of no paths, nothing (a page of curves needs none).

    Raises:
        UsageError: a language that is no code, two models for one pair or of one name, languages
            for a model that translates nothing.
        BundleError: see `load_bundle`.
    """
    pairs: dict[Pair, Translator] = {}
    names: dict[Pair, str] = {}
    classifiers: dict[str, TextClassifier] = {}
    fillers: dict[str, BlankFiller] = {}
    generators: dict[str, TextGenerator] = {}
    places: dict[object, ModelPath] = {}
    for model in paths:
        bundle = load_bundle(model.path, device=device)
        task = bundle.config.task
        pair = _pair(bundle, model)
        _refuse_second(places, model, pair or (task, model.name))
        if pair is not None:
            pairs[pair] = Translator(bundle, device=device, precision=precision)
            names[pair] = model.name
        elif task == "classification":
            classifiers[model.name] = TextClassifier(bundle, device=device)
        elif task == "cloze":
            fillers[model.name] = BlankFiller(bundle, device=device)
        else:
            generators[model.name] = TextGenerator(bundle, device=device)
    return Serving(
        MappingProxyType(pairs),
        MappingProxyType(names),
        MappingProxyType(classifiers),
        MappingProxyType(fillers),
        MappingProxyType(generators),
    )


def _pair(bundle: Bundle, model: ModelPath) -> Pair | None:
    """The languages of a translation model; None for a model of another task."""
    if bundle.config.task != "translation":
        if model.pair is not None:
            raise UsageError(
                f"-m {shown_pair(model.pair)}={model.path}: a model for {bundle.config.task} has "
                f"no pair of languages; give -m {model.path}"
            )
        return None
    if model.pair is not None:
        return model.pair
    data = bundle.config.data
    try:
        return language_code(data.source_language or ANY), language_code(
            data.target_language or ANY
        )
    except UsageError as error:
        raise UsageError(
            f"{model.path}: {error}; give the pair by hand, as in -m de-en={model.path}"
        ) from None


def _refuse_second(places: dict[object, ModelPath], model: ModelPath, key: Pair) -> None:
    """Note who has a pair, or a name within a task; one has it only."""
    before = places.setdefault(key, model)
    if before is model:
        return
    if key[1] == model.name:
        raise UsageError(
            f"{before.path} and {model.path}: two models for {key[0]} named {model.name!r}; "
            "requests choose by name: rename a directory or leave one out"
        )
    raise UsageError(
        f"{before.path} and {model.path}: two models for {shown_pair(key)}; leave one out, or give "
        f"one another pair by hand, as in -m de-en={model.path}"
    )
