"""What `penstock translate` does to lines, as a value: models, search, format of a line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from penstock.bundle import INDEX, find_bundle, load_bundle
from penstock.config import Precision
from penstock.runtime.engine_choice import EngineName, choose_engine
from penstock.tasks.translation.html_translation import translate_html
from penstock.tasks.translation.result import Translation, as_json_object
from penstock.tasks.translation.search_options import Phrases, SearchOptions
from penstock.tasks.translation.task import TRANSLATION
from penstock.tasks.translation.translator import Translator
from penstock.text.lines import as_cell, as_row

Layout = Literal["text", "html", "json", "tsv"]


@dataclass(frozen=True, kw_only=True)
class TranslationJob:
    """How lines are translated and written; can be sent to another process.

    Attributes:
        models: run directories or bundles; several form an ensemble.
        options: how to search.
        layout, scores: the format of a line; alignments are one of `options`.
        to: target language of a model that has several.
        weights, precision, device, engine, threads: see `Translator`.
    """

    models: tuple[str, ...]
    options: SearchOptions = field(default_factory=SearchOptions)
    layout: Layout = "text"
    scores: bool = False
    to: str | None = None
    weights: tuple[float, ...] | None = None
    precision: Precision = "fp32"
    device: str = "auto"
    engine: EngineName = "auto"
    threads: int | None = None

    def load(self) -> Translator:
        """Load the models.

        Raises:
            BundleError: see `load_bundle`.
            UsageError: the models do not fit each other, or `to` does not fit them.
        """
        translator = Translator.load(
            *self.models,
            device=self.device,
            weights=self.weights,
            precision=self.precision,
            engine=self.engine,
            threads=self.threads,
        )
        return translator if self.to is None else translator.to(self.to)

    def translate(
        self,
        translator: Translator,
        lines: Sequence[str],
        phrases: Sequence[Phrases] | None = None,
    ) -> list[Translation]:
        """Translate lines, or fragments of HTML, by a model that `load` gave."""
        if self.layout == "html":
            return translate_html(translator, lines, self.options)
        return translator.translate(lines, self.options, phrases=phrases)

    def line(self, result: Translation) -> str:
        """A result as a line of the output."""
        if self.layout == "json":
            return json.dumps(as_json_object(result), ensure_ascii=False)
        if self.layout == "tsv":
            rows = [(a.score, a.text) for a in result.alternatives]
            columns = [result.source]
            for score, text in rows or [(result.score, result.text)]:
                columns += [f"{score:.6f}", text] if self.scores else [text]
            return as_row([*columns, as_cell(result.confidence)])
        line = f"{result.score:.6f}\t{result.text}" if self.scores else result.text
        return f"{line}\t{_pharaoh(result)}" if self.options.alignments and result.text else line

    def checked(self) -> TranslationJob:
        """This job with the engine that `auto` chooses, its models found and verified.

        Raises:
            BundleError: see `load_bundle`.
            UsageError: an option that the models cannot have.
        """
        bundles = [load_bundle(path, task=TRANSLATION) for path in self.models]
        engines = {choose_engine(b, self.engine, self.device, self.threads) for b in bundles}
        for bundle in bundles:
            self.options.beam(bundle.config.search)
        models = tuple(str(find_bundle(path)) for path in self.models)
        engine = engines.pop() if len(engines) == 1 else self.engine
        return replace(self, models=models, engine=engine)

    def recipe(self) -> dict[str, Any]:
        """What decides an output's bytes, as JSON has it: models by checksum, and options.

        Batch size, device and threads are left out: outputs do not depend on them.
        """
        models = [
            hashlib.sha256((find_bundle(path) / INDEX).read_bytes()).hexdigest()
            for path in self.models
        ]
        search = self.options.model_dump(mode="json", exclude_defaults=True, exclude={"batch"})
        return {
            "models": models,
            "weights": self.weights and list(self.weights),
            "engine": self.engine,
            "precision": self.precision,
            "to": self.to,
            "format": self.layout,
            "scores": self.scores,
            "search": search,
        }


def _pharaoh(result: Translation) -> str:
    """Format the alignment as `0-0 1-2`: each target piece with its most attended source piece."""
    if not result.alternatives or result.alternatives[0].alignment is None:
        return ""
    links: list[str] = []
    for position, weights in enumerate(result.alternatives[0].alignment):
        links.append(f"{max(range(len(weights)), key=weights.__getitem__)}-{position}")
    return " ".join(links)
