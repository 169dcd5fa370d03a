# pyright: reportUnknownVariableType=false
# (torch gives `tolist` no type: what comes of it is declared)
"""Text in, text out: the one obvious entry to a trained translation model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from penstock.bundle import Bundle, load_bundle
from penstock.config import Precision
from penstock.data.batches import collate, cut_by_tokens
from penstock.errors import UsageError
from penstock.nn import Seq2Seq
from penstock.runtime.decoder_step import warm_up
from penstock.runtime.torch_engine import InferenceModel
from penstock.search import Hypothesis, SearchTrace, ShouldStop
from penstock.search.ensemble import mix, shares
from penstock.search.step import Singles
from penstock.special_tokens import EOS_ID
from penstock.tasks.translation.joined_translation import Joiner
from penstock.tasks.translation.phrase_constraints import constraints_of
from penstock.tasks.translation.result import PairScore, Translation
from penstock.tasks.translation.search_options import Phrases, SearchKind, SearchOptions
from penstock.tasks.translation.segment_search import Part, TellPart, search_parts
from penstock.tasks.translation.task import TRANSLATION
from penstock.text.lines import cut_to_fit, in_buffers, is_blank

_BATCH_TOKENS = 2048  # when scoring: the logits of a batch are kept whole


class Translator:
    """A trained model ready to translate, or several that decide together.

    `Translator.load("runs/en-fr").translate(["Hello."])[0].text`

    Args:
        bundle: the model with its tokenizers.
        device: where it runs.
        others: further models with the same target vocabulary; sources may be cut otherwise.
        weights: one for each model; default: equal ones.
        precision: `bf16` makes the products of a search in bfloat16: faster where the processor
            has it, and scores are then good to two or three digits.

    Raises:
        UsageError: the models have different target vocabularies, or the weights do not fit.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        device: torch.device | str = "cpu",
        others: Sequence[Bundle] = (),
        weights: Sequence[float] | None = None,
        precision: Precision = "fp32",
    ) -> None:
        self.bundle = bundle
        self.device = torch.device(device)
        self._bundles = [bundle, *others]
        self._joiner = Joiner(bundle.source_tokenizer, bundle.target_tokenizer)
        self._weights = shares(weights, len(self._bundles))
        vocabulary = bundle.target_tokenizer.to_json()
        for number, other in enumerate(others, start=2):
            if other.target_tokenizer.to_json() != vocabulary:
                raise UsageError(
                    f"model {number} has another target vocabulary than the first; models that "
                    "decide together must share it: train them with the same tokenizer"
                )
        self._models: list[Seq2Seq] = []
        for each in self._bundles:
            assert isinstance(each.model, Seq2Seq)
            self._models.append(each.model)
        self._precision = precision
        self._prepared: list[InferenceModel] | None = None

    @classmethod
    def load(
        cls,
        path: str | Path,
        *others: str | Path,
        device: torch.device | str = "cpu",
        weights: Sequence[float] | None = None,
        precision: Precision = "fp32",
    ) -> Translator:
        """Load one bundle or run directory, or several (see `load_bundle` for its errors)."""
        bundles = [load_bundle(p, device=device, task=TRANSLATION) for p in (path, *others)]
        return cls(
            bundles[0], device=device, others=bundles[1:], weights=weights, precision=precision
        )

    def warm_up(self, rows: int) -> None:
        """Make the first batches as fast as later ones, and memory what it will stay.

        Args:
            rows: hypotheses that a batch will extend together: sentences times beam size.
        """
        if self.device.type == "cpu":  # a GPU compiles nothing for a number of rows
            for model in self._inference():
                warm_up(model, rows)

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
        tell: Callable[[int, Translation], None] | None = None,
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
            tell: called with each line's number and result as soon as it is known, while others
                are still searched.
            should_stop: asked before every step; cancels the search when it returns True.

        Raises:
            UsageError: an impossible option, or phrases that no translation can have.
            SearchStoppedError: cancelled by `should_stop`.
        """
        # types do not stop a caller who has no type checker
        strings = all(isinstance(x, str) for x in lines)  # pyright: ignore[reportUnnecessaryIsInstance]
        if isinstance(lines, str) or not strings:
            raise UsageError("translate takes a list of lines: translate(['Hello.'])")
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
        return self._translate(lines, options, phrases, tell, should_stop)

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
        for buffer in in_buffers(lines):
            yield from self.translate(
                buffer,
                options,
                search=search,
                beam_size=beam_size,
                n_best=n_best,
                length_penalty=length_penalty,
                alignments=alignments,
            )

    @torch.no_grad()
    def score(self, pairs: Sequence[tuple[str, str]]) -> list[PairScore]:
        """Log-probability of each target given its source, in order.

        Equals the `log_probability` that a search reports for the same tokens.
        """
        sources = [
            self._source_ids(index, [s.strip() for s, _ in pairs]) for index in self._numbers
        ]
        targets = [
            [*ids, EOS_ID]
            for ids in self.bundle.target_tokenizer.encode_batch([target for _, target in pairs])
        ]
        results: list[PairScore | None] = [None] * len(pairs)
        order = sorted(range(len(pairs)), key=lambda i: (len(targets[i]), len(sources[0][i])))
        lengths = np.array([len(targets[i]) for i in order])
        for cut in cut_by_tokens(np.array(order), lengths, _BATCH_TOKENS):
            rows: list[int] = cut.tolist()
            wanted = [targets[i] for i in rows]
            every: list[Singles] = []
            with ExitStack() as stack:
                for index, model in enumerate(self._models):
                    stack.enter_context(self._bundles[index].evaluating())
                    batch = collate([sources[index][i] for i in rows], wanted).to(self.device)
                    logits = model(batch.src, batch.src_lengths, batch.tgt_in)
                    every.append(torch.log_softmax(logits.float(), -1).cpu().numpy())
            batch = collate(wanted, wanted)
            log_probs = mix(every, self._weights)
            chosen = np.take_along_axis(log_probs, batch.tgt_out.numpy()[:, :, None], 2)[:, :, 0]
            ends: list[int] = batch.tgt_lengths.tolist()
            for row, values, length in zip(rows, chosen, ends, strict=True):
                results[row] = PairScore(float(values[:length].astype(np.float64).sum()), length)
        return [result for result in results if result is not None]

    @property
    def models(self) -> Sequence[Seq2Seq]:
        """The networks that decide together."""
        return self._models

    def part(self, text: str, options: SearchOptions | None = None) -> Part:
        """One sentence as a search takes it.

        Args:
            text: not blank.
            options: with the phrases that its output must and must not contain.

        Raises:
            UsageError: the text is blank, or too long to be read at once.
        """
        text = text.strip()
        if is_blank(text):
            raise UsageError("the text is blank; give a sentence")
        options = options or SearchOptions()
        ids = [self._source_ids(index, [text])[0] for index in self._numbers]
        for own, limit in zip(ids, self._limits, strict=True):
            if len(own) > limit:
                raise UsageError(
                    f"the text has {len(own):,} source pieces, and the model reads {limit:,} at "
                    "once; give one sentence of it"
                )
        return self._part(text, ids, options.phrases, options)

    def search(
        self,
        part: Part,
        options: SearchOptions | None = None,
        *,
        trace: SearchTrace | None = None,
        should_stop: ShouldStop | None = None,
    ) -> tuple[list[Hypothesis], Translation]:
        """What a search finds for one part: as ids, best first, and as `translate` gives it.

        Args:
            part: what `part` gave.
            options: how to search.
            trace: filled by a beam search.
            should_stop: cancels the search when it returns True.

        Raises:
            UsageError: an impossible option, or limits that no output meets.
        """
        options = options or SearchOptions()
        options.beam(self.bundle.config.search)
        result: list[tuple[list[Hypothesis], Translation]] = []

        def tell(_: int, found: Sequence[Hypothesis], seconds: float) -> None:
            whole = self._joiner.join(part.text, [part], [found], seconds, options)
            result.append((list(found), whole))

        self._search([part], options, tell, trace, should_stop)
        return result[0]

    @property
    def _numbers(self) -> range:
        return range(len(self._bundles))

    def _inference(self) -> list[InferenceModel]:
        """The models laid out for use: once when their weights are frozen, as loaded ones are."""
        if self._prepared is not None:
            return self._prepared
        kind = "bf16" if self._precision == "bf16" else "fp32"
        models = [InferenceModel(model, precision=kind) for model in self._models]
        if not any(p.requires_grad for model in self._models for p in model.parameters()):
            self._prepared = models
        return models

    def _translate(
        self,
        lines: Sequence[str],
        options: SearchOptions,
        phrases: Sequence[Phrases] | None,
        tell: Callable[[int, Translation], None] | None,
        should_stop: ShouldStop | None,
    ) -> list[Translation]:
        """Split what is long, search all parts by length, join the parts again."""
        texts = [line.strip() for line in lines]
        encoded = zip(*(self._source_ids(index, texts) for index in self._numbers), strict=True)
        parts: list[Part] = []
        owners: list[range] = []
        for number, (text, ids) in enumerate(zip(texts, encoded, strict=True)):
            first = len(parts)
            own = options.phrases if phrases is None else phrases[number].beside(options.phrases)
            parts += self._parts(text, ids, own, options)
            owners.append(range(first, len(parts)))
        line_of = [line for line, own in enumerate(owners) for _ in own]
        missing = [len(own) for own in owners]
        found: list[Sequence[Hypothesis]] = [[] for _ in parts]
        seconds = [0.0] * len(lines)
        results: list[Translation | None] = [None] * len(lines)

        def finish(line: int) -> None:
            own = owners[line]
            result = self._joiner.join(
                lines[line],
                [parts[i] for i in own],
                [found[i] for i in own],
                seconds[line],
                options,
            )
            results[line] = result
            if tell is not None:
                tell(line, result)

        def tell_part(part: int, hypotheses: Sequence[Hypothesis], spent: float) -> None:
            line = line_of[part]
            found[part] = hypotheses
            seconds[line] += spent
            missing[line] -= 1
            if not missing[line]:
                finish(line)

        for line, own in enumerate(owners):
            if not own:  # blank
                finish(line)
        self._search(parts, options, tell_part, should_stop=should_stop)
        return [result for result in results if result is not None]

    def _search(
        self,
        parts: Sequence[Part],
        options: SearchOptions,
        tell: TellPart,
        trace: SearchTrace | None = None,
        should_stop: ShouldStop | None = None,
    ) -> None:
        with ExitStack() as stack:
            for bundle in self._bundles:
                stack.enter_context(bundle.evaluating())
            search_parts(
                self._inference(),
                self._weights,
                parts,
                options,
                self.bundle.config.search,
                self.bundle.target_tokenizer.decode,
                tell=tell,
                trace=trace,
                should_stop=should_stop,
            )

    def _parts(
        self, text: str, ids: Sequence[list[int]], phrases: Phrases, options: SearchOptions
    ) -> list[Part]:
        """A line in parts that fit the models; none for a blank one."""
        if is_blank(text):
            return []
        if all(len(own) <= limit for own, limit in zip(ids, self._limits, strict=True)):
            return [self._part(text, ids, phrases, options)]
        pieces = list(cut_to_fit(text, self._fits))
        if options.long_lines == "split" and len(pieces) > 1 and phrases != Phrases():
            raise UsageError(
                f"a line of {len(text):,} characters is translated in {len(pieces)} parts: "
                "phrases cannot be asked of it; split it, or leave them out"
            )
        if options.long_lines == "truncate":
            return [replace(self._encoded(pieces[0], phrases, options), was_cut=True)]
        return [self._encoded(piece, phrases, options) for piece in pieces]

    def _encoded(self, text: str, phrases: Phrases, options: SearchOptions) -> Part:
        ids = [self._source_ids(index, [text])[0] for index in self._numbers]
        return self._part(text, ids, phrases, options)

    def _part(
        self, text: str, ids: Sequence[list[int]], phrases: Phrases, options: SearchOptions
    ) -> Part:
        fitting = [
            own if len(own) <= limit else [*own[: limit - 1], EOS_ID]  # one long character
            for own, limit in zip(ids, self._limits, strict=True)
        ]
        constraints = constraints_of(
            phrases, options.placeholders, text, self.bundle.target_tokenizer
        )
        return Part(text, tuple(fitting), constraints, was_cut=fitting != list(ids))

    @property
    def _limits(self) -> list[int]:
        return [bundle.config.data.max_source_tokens for bundle in self._bundles]

    def _fits(self, text: str) -> bool:
        return all(
            len(self._source_ids(index, [text])[0]) <= bundle.config.data.max_source_tokens
            for index, bundle in enumerate(self._bundles)
        )

    def _source_ids(self, index: int, texts: Sequence[str]) -> list[list[int]]:
        tokenizer = self._bundles[index].source_tokenizer
        return [[*ids, EOS_ID] for ids in tokenizer.encode_batch(texts)]
