"""The served models, selected by languages or by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from penstock.bundle import Bundle, load_bundle
from penstock.config import Precision
from penstock.errors import UsageError
from penstock.runtime.engine_choice import EngineName
from penstock.serve.models.model_paths import ANY, ModelPath, Pair, language_code, shown_pair
from penstock.serve.service_errors import UnservedPairError
from penstock.tasks import TASKS, Task
from penstock.tasks.classification.task import CLASSIFICATION
from penstock.tasks.cloze.task import CLOZE
from penstock.tasks.language_model.task import LANGUAGE_MODEL

if TYPE_CHECKING:
    from penstock.tasks.classification.text_classifier import TextClassifier
    from penstock.tasks.cloze.blank_filler import BlankFiller
    from penstock.tasks.language_model.text_generator import TextGenerator
    from penstock.tasks.translation.translator import Translator


@dataclass(frozen=True, slots=True)
class ServedModels:
    """An immutable set of loaded models.

    Attributes:
        pairs: translators by source and target language code, in lower case.
        names: run names of the same pairs.
        models: the other models, by task and then by run name.
    """

    pairs: Mapping[Pair, Translator] = field(default_factory=dict[Pair, Any])
    names: Mapping[Pair, str] = field(default_factory=dict[Pair, str])
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Any])

    def translator(self, source: str, target: str) -> Translator:
        """The translator of a language pair, in upper or lower case.

        Raises:
            UnservedPairError: there is none; the message lists the pairs that are served.
        """
        pair = (source.lower().replace("_", "-"), target.lower().replace("_", "-"))
        found = self.pairs.get(pair)
        if found is None:
            if not self.pairs:
                raise UnservedPairError(
                    "no model that translates is served; start the server with -m RUN"
                )
            served = ", ".join(map(shown_pair, self.pairs))
            requested = shown_pair(pair)
            if "auto" in pair:
                requested = f"into {pair[1]}" if pair[0] == "auto" else f"from {pair[0]}"
            raise UnservedPairError(f"no model translates {requested}; pairs served: {served}")
        return found

    def classifier(self, name: str | None = None) -> TextClassifier:
        """The classifier with this name; without a name, the only one.

        Raises:
            UnservedPairError: there is none, or there are several and no name.
        """
        return self._chosen(CLASSIFICATION, name)

    def filler(self, name: str | None = None) -> BlankFiller:
        """A cloze model, selected as in `classifier`."""
        return self._chosen(CLOZE, name)

    def generator(self, name: str | None = None) -> TextGenerator:
        """A language model, selected as in `classifier`."""
        return self._chosen(LANGUAGE_MODEL, name)

    def of(self, task: Task) -> Mapping[str, Any]:
        """The models of a task by name."""
        return self.models.get(task.name, {})

    def _chosen(self, task: Task, name: str | None) -> Any:
        models = self.of(task)
        if name is None and len(models) == 1:
            return next(iter(models.values()))
        if name is None or name not in models:
            service = task.use().service
            noun = service.noun if service else task.name
            requested = "" if name is None else f" {name!r}"
            served = ", ".join(map(repr, models))
            remedy = f"models served: {served}" if served else "none is served"
            no_name = name is None and models
            missing = f"which {noun}?" if no_name else f"no {noun}{requested}"
            raise UnservedPairError(f"{missing}; {remedy}")
        return models[name]

    def summary(self) -> str:
        """The language pairs, then the names of the other models."""
        pairs = [
            f"{self.names[pair]} ({shown_pair(pair)})" if ANY in pair else shown_pair(pair)
            for pair in self.pairs
        ]
        others = [name for models in self.models.values() for name in models]
        return ", ".join([*pairs, *others]) or "no model"

    def warm_up(self) -> None:
        """Run every model once, so that the first request finds it warm."""
        named = (model for models in self.models.values() for model in models.values())
        for model in (*self.pairs.values(), *named):
            service = TASKS[model.bundle.config.task].use().service
            assert service is not None
            service.warm_up(model)


def load_models(
    paths: Sequence[ModelPath],
    *,
    device: str = "cpu",
    precision: Precision = "fp32",
    engine: EngineName = "auto",
    threads: int | None = None,
) -> ServedModels:
    """Load every model; there may be none, as the page of a run's curves needs none.

    Raises:
        UsageError: an invalid language code, two models for one pair or with one name, or languages
            for a model that does not translate.
        BundleError: see `load_bundle`.
    """
    pairs: dict[Pair, Translator] = {}
    names: dict[Pair, str] = {}
    models: dict[str, dict[str, Any]] = {}
    paths_by_key: dict[object, ModelPath] = {}
    where = {"device": device, "engine": engine, "threads": threads}
    for model in paths:
        bundle = load_bundle(model.path)
        task = bundle.config.task
        use = TASKS[task].use()
        if use.service is None:
            raise UsageError(f"-m {model.path}: a model for {task}, which cannot be served")
        by_languages = use.service.by_languages
        chosen: dict[Pair, str | None] = _pairs(bundle, model) if by_languages else {}
        if not chosen and model.pair is not None:
            raise UsageError(
                f"-m {shown_pair(model.pair)}={model.path}: a model for {task} has no pair of "
                f"languages; give -m {model.path}"
            )
        for key in chosen or {(task, model.name): None}:
            _reject_second(paths_by_key, model, key)
        if not chosen:
            models.setdefault(task, {})[model.name] = use.model(bundle, **where)
            continue
        translator = use.model(bundle, precision=precision, **where)
        for pair, language in chosen.items():
            pairs[pair] = translator if language is None else translator.to(language)
            names[pair] = model.name
    return ServedModels(MappingProxyType(pairs), MappingProxyType(names), MappingProxyType(models))


def _pairs(bundle: Bundle, model: ModelPath) -> dict[Pair, str | None]:
    """The languages of a translation model, each pair with the target that `Translator.to` takes.

    None stands for a model that has one target language.
    """
    data, targets = bundle.config.data, bundle.target_languages
    try:
        of_code: dict[str, str | None] = {language_code(tag): tag for tag in targets}
        if model.pair is not None and not targets:
            return {model.pair: None}
        if model.pair is not None:
            if model.pair[1] not in of_code:
                raise UsageError(f"it translates into {', '.join(targets)}")
            return {model.pair: of_code[model.pair[1]]}
        source = language_code(data.source_language or ANY)
        of_code = of_code or {language_code(data.target_language or ANY): None}
        return {(source, code): tag for code, tag in of_code.items()}
    except UsageError as error:
        raise UsageError(
            f"{model.path}: {error}; set the pair, as in -m de-en={model.path}"
        ) from None


def _reject_second(paths_by_key: dict[object, ModelPath], model: ModelPath, key: Pair) -> None:
    """Register a model's pair, or its task and name; raise `UsageError` if another model has it."""
    before = paths_by_key.setdefault(key, model)
    if before is model:
        return
    if key[1] == model.name:
        raise UsageError(
            f"{before.path} and {model.path}: two models for {key[0]} named {model.name!r}; "
            "requests select by name: rename a directory or leave one out"
        )
    raise UsageError(
        f"{before.path} and {model.path}: two models for {shown_pair(key)}; leave one out, or set "
        f"another pair, as in -m de-en={model.path}"
    )
