"""Text in, text out: the one obvious entry to a trained translation model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from itertools import islice
from pathlib import Path

from penstock.bundle import Bundle, load_bundle
from penstock.config import Precision
from penstock.errors import UsageError
from penstock.runtime.decoder_engine import TranslationEngine, load_translation_engine
from penstock.runtime.engine_choice import EngineName
from penstock.search import Hypothesis, SearchTrace, ShouldStop
from penstock.search.ensemble import shares
from penstock.special_tokens import EOS_ID
from penstock.tasks.sureness import require_confidence
from penstock.tasks.translation.joined_translation import Joiner
from penstock.tasks.translation.line_results import LineResults, OnTranslation
from penstock.tasks.translation.pair_scores import score_pairs
from penstock.tasks.translation.result import PairScore, Translation
from penstock.tasks.translation.search_options import Phrases, SearchKind, SearchOptions
from penstock.tasks.translation.segment_search import OnSegment, search_segments
from penstock.tasks.translation.segmentation import Segment, Segmenter
from penstock.tasks.translation.source_encoder import SourceEncoder
from penstock.tasks.translation.task import TRANSLATION
from penstock.text.input_columns import COLUMN_SEPARATOR
from penstock.text.lines import in_chunks


class Translator:
    """A trained model ready to translate, or several that decide together.

    `Translator.load("runs/en-fr").translate(["Hello."])[0].text`

    Args:
        bundle: the model with its tokenizers.
        device: where it runs.
        others: further models with the same target vocabulary; they may split sources otherwise.
        weights: one for each model; default: equal ones.
        precision: `bf16` makes torch's products of a search in bfloat16: faster where the processor
            has it, and scores are then good to two or three digits.
        engine: `onnx` or `torch`; `auto` is ONNX Runtime on a CPU where the bundle has graphs.
        threads: on the CPU; default: all cores for torch, one for ONNX Runtime.
        engines: what runs each model; default: made from the bundles' files.

    Raises:
        UsageError: the models have different target vocabularies, or the weights do not fit.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        device: str = "cpu",
        others: Sequence[Bundle] = (),
        weights: Sequence[float] | None = None,
        precision: Precision = "fp32",
        engine: EngineName = "auto",
        threads: int | None = None,
        engines: Sequence[TranslationEngine] | None = None,
    ) -> None:
        bundles = [bundle, *others]
        self._weights = shares(weights, len(bundles))
        vocabulary = bundle.target_tokenizer.to_json()
        for number, other in enumerate(others, start=2):
            if other.target_tokenizer.to_json() != vocabulary:
                raise UsageError(
                    f"model {number} has another target vocabulary than the first; models that "
                    "decide together must share it: train them with the same tokenizer"
                )
        self.engines = engines or [
            load_translation_engine(
                each, device=device, precision=precision, engine=engine, threads=threads
            )
            for each in bundles
        ]
        self.bundle = bundle
        self._encoder = SourceEncoder(bundles)
        self._form = bundle.source_tokenizer.form
        self._segmenter = Segmenter(self._encoder, bundle)
        # an ensemble's probabilities are not those that the first model's confidence was fitted to
        self.confidence = None if others else bundle.confidence
        self._language = ""
        self._joiner = Joiner(bundle.source_tokenizer, bundle.target_tokenizer, self.confidence)

    @classmethod
    def load(
        cls,
        path: str | Path,
        *others: str | Path,
        device: str = "cpu",
        weights: Sequence[float] | None = None,
        precision: Precision = "fp32",
        engine: EngineName = "auto",
        threads: int | None = None,
    ) -> Translator:
        """Load one bundle or run directory, or several (see `load_bundle` for its errors)."""
        bundles = [load_bundle(each, task=TRANSLATION) for each in (path, *others)]
        engines = [
            load_translation_engine(
                each, device=device, precision=precision, engine=engine, threads=threads
            )
            for each in bundles
        ]
        first, *rest = (each.without_files() for each in bundles)
        return cls(first, others=rest, weights=weights, engines=engines)

    @property
    def languages(self) -> list[str]:
        """The languages that it translates into, one of which `to` chooses; empty for one alone."""
        return [] if self._language else self.bundle.target_languages

    def to(self, language: str) -> Translator:
        """This model, translating into one of its languages.

        Raises:
            UsageError: it has no such language, or one language only.
        """
        known = self.bundle.target_languages
        if not known:
            only = self.bundle.config.data.target_language or "the one of its training data"
            raise UsageError(
                f"to {language!r}: the model has one target language, {only}; leave it out"
            )
        if language not in known:
            raise UsageError(f"to {language!r}: the model translates into {', '.join(known)}")
        chosen = copy(self)
        chosen._language = language
        return chosen

    def _tagged(self, lines: Iterable[str]) -> list[str]:
        """Sources as the model reads them: with the symbol of the target's language, if chosen.

        Raises:
            UsageError: a line has none, and no language is chosen.
        """
        if self._language:
            # a tab of the text would be the end of a column
            bare = (line.replace(COLUMN_SEPARATOR, " ").strip() for line in lines)
            return [line and f"{self._language}{COLUMN_SEPARATOR}{line}" for line in bare]
        sources = [self._form.trimmed(line) for line in lines]
        if self.languages and any(x and COLUMN_SEPARATOR not in x for x in sources):
            raise UsageError(
                f"the model translates into {', '.join(self.languages)}: choose one (--to, "
                "Translator.to), or put it in front of each line, with a tab between"
            )
        return sources

    def warm_up(self, rows: int) -> None:
        """Make the first batches as fast as later ones, and memory what it will stay.

        Args:
            rows: hypotheses that a batch will extend together: sentences times beam size.
        """
        for engine in self.engines:
            engine.warm_up(rows)

    def translate(
        self,
        lines: Sequence[str],
        options: SearchOptions | None = None,
        *,
        phrases: Sequence[Phrases] | None = None,
        search: SearchKind | None = None,
        beam_size: int | None = None,
        n_best: int | None = None,
        length_penalty: float | None = None,
        alignments: bool | None = None,
        on_result: OnTranslation | None = None,
        should_stop: ShouldStop | None = None,
    ) -> list[Translation]:
        """Translate lines, one result each, in order; blank in, blank out.

        Args:
            lines: source texts.
            options: how to search; what is not said there the bundle's configuration says.
            phrases: for each line what its translation must and must not contain, beside those
                of `options`.
            search, beam_size, n_best, length_penalty, alignments: shorter than `options` for the
                usual ones, and before them.
            on_result: called with each line's number and result as soon as it is known, while
                others are still searched.
            should_stop: asked before every step; cancels the search when it returns True.

        Raises:
            DataError: a line lacks columns that the model reads.
            UsageError: an impossible option, phrases that no translation can have, or a
                `min_confidence` where outputs have no confidence.
            SearchStoppedError: cancelled by `should_stop`.
        """
        _require_texts(lines)
        if phrases is not None and len(phrases) != len(lines):
            raise UsageError(f"phrases for {len(phrases)} lines, but there are {len(lines)}")
        given = {
            "search": search,
            "beam_size": beam_size,
            "n_best": n_best,
            "length_penalty": length_penalty,
            "alignments": alignments,
        }
        chosen = {name: value for name, value in given.items() if value is not None}
        options = (options or SearchOptions()).changed(**chosen)
        options.beam(self.bundle.config.search)
        if options.min_confidence is not None:
            require_confidence(self.confidence if options.seeks_the_likeliest else None)
        common = options.phrases
        wanted = [common] * len(lines) if phrases is None else [p.beside(common) for p in phrases]
        segments = self._segmenter.split(self._tagged(lines), wanted, options)
        results = LineResults(lines, segments, self._joiner, options, on_result)
        self._search(results.segments, options, results.add, should_stop=should_stop)
        return results.in_order()

    def translate_stream(
        self,
        lines: Iterable[str],
        options: SearchOptions | None = None,
        *,
        search: SearchKind | None = None,
        beam_size: int | None = None,
        n_best: int | None = None,
        length_penalty: float | None = None,
        alignments: bool | None = None,
    ) -> Iterator[Translation]:
        """`translate` for a stream of any length, in constant memory, in order."""
        for buffer in in_chunks(lines):
            yield from self.translate(
                buffer,
                options,
                search=search,
                beam_size=beam_size,
                n_best=n_best,
                length_penalty=length_penalty,
                alignments=alignments,
            )

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[PairScore]:
        """Log-probability of each target given its source, in order.

        Equals the `log_probability` that a search reports for the same tokens. Sources are read in
        the case in which `translate` reads them, targets as they are written.
        """
        lines = self._tagged(source for source, _ in pairs)
        self._form.check(lines)
        sources = self._encoder.encode([self._form.read(line).text for line in lines])
        targets = self.bundle.target_tokenizer.encode_batch([target for _, target in pairs])
        ended = [[*ids, EOS_ID] for ids in targets]
        return score_pairs(self.engines, self._weights, sources, ended)

    def with_hypotheses(
        self, lines: Sequence[str]
    ) -> list[tuple[Translation, Sequence[Hypothesis]]]:
        """Each line translated by the model's own search, and the best output of its segments."""
        options = SearchOptions()
        phrases = [options.phrases] * len(lines)
        segments = self._segmenter.split(self._tagged(lines), phrases, options)
        results = LineResults(lines, segments, self._joiner, options, None)
        best: dict[int, Hypothesis] = {}

        def add(number: int, hypotheses: Sequence[Hypothesis], seconds: float) -> None:
            best[number] = hypotheses[0]
            results.add(number, hypotheses, seconds)

        self._search(results.segments, options, add)
        in_order = iter(best[number] for number in sorted(best))
        found = [list(islice(in_order, len(own))) for own in segments]
        return list(zip(results.in_order(), found, strict=True))

    def fits(self, text: str) -> bool:
        """Whether the models read a text at once, not in parts."""
        return self._encoder.fits(self._encoder.encode(self._tagged([text]))[0])

    def segment(self, text: str, options: SearchOptions | None = None) -> Segment:
        """One sentence as a search takes it.

        Args:
            text: not blank.
            options: with the phrases that its output must and must not contain.

        Raises:
            UsageError: the text is blank, or too long to be read at once.
        """
        return self._segmenter.whole(self._tagged([text])[0], options or SearchOptions())

    def search(
        self,
        segment: Segment,
        options: SearchOptions | None = None,
        *,
        trace: SearchTrace | None = None,
        should_stop: ShouldStop | None = None,
    ) -> tuple[list[Hypothesis], Translation]:
        """What a search finds for one segment: as ids, best first, and as `translate` gives it.

        Args:
            segment: what `segment` gave.
            options: how to search.
            trace: filled by a beam search.
            should_stop: cancels the search when it returns True.

        Raises:
            UsageError: an impossible option, or limits that no output meets.
        """
        options = options or SearchOptions()
        options.beam(self.bundle.config.search)
        results = LineResults(
            [segment.line or segment.text], [[segment]], self._joiner, options, None
        )
        found: list[Hypothesis] = []

        def add(number: int, hypotheses: Sequence[Hypothesis], seconds: float) -> None:
            found.extend(hypotheses)
            results.add(number, hypotheses, seconds)

        self._search([segment], options, add, trace, should_stop)
        return found, results.in_order()[0]

    def _search(
        self,
        segments: Sequence[Segment],
        options: SearchOptions,
        on_result: OnSegment,
        trace: SearchTrace | None = None,
        should_stop: ShouldStop | None = None,
    ) -> None:
        search_segments(
            self.engines,
            self._weights,
            segments,
            options,
            self.bundle.config.search,
            self.bundle.target_tokenizer.decode,
            on_result=on_result,
            trace=trace,
            should_stop=should_stop,
        )


def _require_texts(lines: Sequence[str]) -> None:
    # types do not stop a caller who has no type checker
    strings = all(isinstance(x, str) for x in lines)  # pyright: ignore[reportUnnecessaryIsInstance]
    if isinstance(lines, str) or not strings:
        raise UsageError("translate takes a list of lines: translate(['Hello.'])")
