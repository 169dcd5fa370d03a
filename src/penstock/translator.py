# pyright: reportUnknownVariableType=false
# (torch gives `tolist` no type: what comes of it is declared)
"""Text in, text out: the one obvious entry to a trained translation model."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from penstock.bundle import Bundle, load_bundle
from penstock.config import SearchConfig
from penstock.data.batches import collate, cut_by_tokens, pad
from penstock.errors import UsageError
from penstock.nn import Seq2Seq
from penstock.reserved import BOS_ID, EOS_ID, PAD_ID, UNK_ID
from penstock.search import Hypothesis, Limits, Ranking, beam_search, greedy_search
from penstock.search.decoding import decoding_step, start_decoding
from penstock.text.lines import cut_to_fit, in_buffers, is_blank
from penstock.translation import Alternative, PairScore, Status, Translation

SearchKind = Literal["greedy", "beam"]

_BATCH_SENTENCES = 64
_BATCH_TOKENS = 2048  # when scoring: the logits of a batch are kept whole


class Translator:
    """A trained model ready to translate.

    `Translator.load("runs/en-fr").translate(["Hello."])[0].text`

    Args:
        bundle: the model with its tokenizers.
        device: where it runs.
    """

    def __init__(self, bundle: Bundle, *, device: torch.device | str = "cpu") -> None:
        self.bundle = bundle
        self.device = torch.device(device)
        assert isinstance(bundle.model, Seq2Seq)
        self._model = bundle.model

    @classmethod
    def load(cls, path: str | Path, *, device: torch.device | str = "cpu") -> Translator:
        """Load a bundle or run directory (see `load_bundle` for its errors)."""
        return cls(load_bundle(path, device=device, task="translation"), device=device)

    def translate(
        self,
        lines: Sequence[str],
        *,
        search: SearchKind = "beam",
        beam_size: int | None = None,
        n_best: int = 1,
        length_penalty: float | None = None,
        alignments: bool = False,
    ) -> list[Translation]:
        """Translate lines, one result each, in order; blank in, blank out.

        Args:
            lines: source texts.
            search: `beam` or `greedy`.
            beam_size, length_penalty: default to the bundle's configuration.
            n_best: alternatives a line, at most `beam_size`.
            alignments: keep the attention of each piece.

        Raises:
            UsageError: an impossible option.
        """
        # types do not stop a caller who has no type checker
        strings = all(isinstance(x, str) for x in lines)  # pyright: ignore[reportUnnecessaryIsInstance]
        if isinstance(lines, str) or not strings:
            raise UsageError("translate takes a list of lines: translate(['Hello.'])")
        options = self._options(search, beam_size, length_penalty, n_best)
        with self._evaluating():
            return self._translate(lines, search, options, n_best, alignments)

    def translate_stream(
        self,
        lines: Iterable[str],
        *,
        search: SearchKind = "beam",
        beam_size: int | None = None,
        n_best: int = 1,
        length_penalty: float | None = None,
        alignments: bool = False,
    ) -> Iterator[Translation]:
        """`translate` for a stream of any length, in constant memory, in order."""
        for buffer in in_buffers(lines):
            yield from self.translate(
                buffer,
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
        sources = self._source_ids([source for source, _ in pairs])
        targets = [
            [*ids, EOS_ID]
            for ids in self.bundle.target_tokenizer.encode_batch([target for _, target in pairs])
        ]
        results: list[PairScore | None] = [None] * len(pairs)
        order = sorted(range(len(pairs)), key=lambda i: (len(targets[i]), len(sources[i])))
        lengths = np.array([len(targets[i]) for i in order])
        for cut in cut_by_tokens(np.array(order), lengths, _BATCH_TOKENS):
            rows: list[int] = cut.tolist()
            batch = collate([sources[i] for i in rows], [targets[i] for i in rows])
            batch = batch.to(self.device)
            with self._evaluating():
                logits = self._model(batch.src, batch.src_lengths, batch.tgt_in)
            log_probs = torch.log_softmax(logits.float(), -1)
            chosen = log_probs.gather(2, batch.tgt_out[:, :, None])[:, :, 0].cpu()
            ends: list[int] = batch.tgt_lengths.tolist()
            for row, values, length in zip(rows, chosen, ends, strict=True):
                results[row] = PairScore(float(values[:length].double().sum()), length)
        return [result for result in results if result is not None]

    @contextmanager
    def _evaluating(self) -> Generator[None]:
        was_training = self._model.training
        self._model.eval()
        try:
            yield
        finally:
            self._model.train(was_training)

    def _options(
        self,
        search: str,
        beam_size: int | None,
        length_penalty: float | None,
        n_best: int,
    ) -> SearchConfig:
        if search not in ("beam", "greedy"):
            raise UsageError(f"search {search!r}: choose beam or greedy")
        config = self.bundle.config.search
        beam_size = config.beam_size if beam_size is None else beam_size
        length_penalty = config.length_penalty if length_penalty is None else length_penalty
        if beam_size < 1:
            raise UsageError(f"beam_size {beam_size}: must be at least 1")
        if not 0 <= length_penalty < math.inf:
            raise UsageError(f"length_penalty {length_penalty}: must be a number of at least 0")
        most = beam_size if search == "beam" else 1
        if not 1 <= n_best <= most:
            raise UsageError(
                f"n_best {n_best}: must be between 1 and {most}, "
                + ("the beam size" if search == "beam" else "what greedy search gives")
            )
        return config.model_copy(update={"beam_size": beam_size, "length_penalty": length_penalty})

    def _translate(
        self,
        lines: Sequence[str],
        search: SearchKind,
        options: SearchConfig,
        n_best: int,
        alignments: bool,
    ) -> list[Translation]:
        """Split what is long, search all parts by length, join the parts again."""
        parts: list[list[int]] = []  # ids of every part of every line, EOS last
        owners: list[range] = []
        for line in lines:
            first = len(parts)
            parts += self._parts(line)
            owners.append(range(first, len(parts)))
        found, seconds = self._search(parts, search, options, n_best, alignments)
        return [
            self._join(line, [parts[i] for i in own], [found[i] for i in own],
                       sum(seconds[i] for i in own))
            for line, own in zip(lines, owners, strict=True)
        ]  # fmt: skip

    def _parts(self, line: str) -> list[list[int]]:
        """The line's ids in parts that fit the model, nothing left out; none for a blank line."""
        if is_blank(line):
            return []
        limit = self.bundle.config.data.max_source_tokens
        ids = self._source_ids([line])[0]
        if len(ids) <= limit:
            return [ids]
        parts: list[list[int]] = []
        for text in cut_to_fit(line, lambda text: len(self._source_ids([text])[0]) <= limit):
            *ids, _ = self._source_ids([text])[0]
            # a stretch without spaces may still be too long
            for start in range(0, len(ids), limit - 1):
                parts.append([*ids[start : start + limit - 1], EOS_ID])
        return parts

    def _source_ids(self, texts: Sequence[str]) -> list[list[int]]:
        return [[*ids, EOS_ID] for ids in self.bundle.source_tokenizer.encode_batch(texts)]

    @torch.no_grad()
    def _search(
        self,
        parts: list[list[int]],
        search: SearchKind,
        options: SearchConfig,
        n_best: int,
        alignments: bool,
    ) -> tuple[list[list[Hypothesis]], list[float]]:
        """Hypotheses and seconds of every part, searched in batches of like length."""
        results: list[list[Hypothesis]] = [[] for _ in parts]
        seconds = [0.0] * len(parts)
        order = sorted(range(len(parts)), key=lambda i: len(parts[i]))
        step = decoding_step(self._model)
        for start in range(0, len(order), _BATCH_SENTENCES):
            begun = time.perf_counter()
            rows = order[start : start + _BATCH_SENTENCES]
            src, lengths = pad([parts[i] for i in rows])
            source_counts: list[int] = lengths.tolist()
            limits = Limits(
                bos_id=BOS_ID,
                eos_id=EOS_ID,
                blocked=(PAD_ID, UNK_ID, BOS_ID),
                max_lengths=[
                    math.ceil(options.max_length_ratio * n) + options.max_length_extra
                    for n in source_counts
                ],
            )
            state = start_decoding(self._model, src.to(self.device), lengths)
            if search == "greedy":
                found = [
                    [h]
                    for h in greedy_search(
                        step,
                        state,
                        limits,
                        ranking=Ranking(alpha=options.length_penalty),
                        align=alignments,
                    )
                ]
            else:
                found = beam_search(
                    step,
                    state,
                    limits,
                    beam_size=options.beam_size,
                    n_best=n_best,
                    ranking=Ranking(alpha=options.length_penalty),
                    align=alignments,
                )
            spent = (time.perf_counter() - begun) / len(rows)
            for row, hypotheses in zip(rows, found, strict=True):
                results[row], seconds[row] = hypotheses, spent
        return results, seconds

    def _join(
        self,
        line: str,
        parts: list[list[int]],
        found: list[list[Hypothesis]],
        seconds: float,
    ) -> Translation:
        if not parts:
            return Translation(line, "", "empty", [], [], 0.0, 0.0, 0, 0.0)
        best = [hypotheses[0] for hypotheses in found]
        ids = [token for part in parts for token in part]
        status: Status = "ok"  # of several the gravest
        if not all(h.finished for h in best):
            status = "length-capped"
        elif any(2 * part.count(UNK_ID) > len(part) - 1 for part in parts):
            status = "unknown-heavy"
        elif len(parts) > 1:
            status = "split"
        alternatives = [self._alternative(h, len(ids)) for h in found[0]] if len(parts) == 1 else []
        return Translation(
            source=line,
            text=self._joiner().join(self._text(h) for h in best),
            status=status,
            source_tokens=self.bundle.source_tokenizer.tokens(ids),
            alternatives=alternatives,
            score=sum(h.score for h in best),
            log_probability=sum(h.log_probability for h in best),
            parts=len(parts),
            seconds=seconds,
        )

    def _joiner(self) -> str:
        target = self.bundle.target_tokenizer
        return target.separator if target.kind == "separator" else " "

    def _alternative(self, hypothesis: Hypothesis, source_length: int) -> Alternative:
        alignment: list[list[float]] | None = None
        if hypothesis.alignment is not None:
            # the batch was as wide as its longest source
            alignment = hypothesis.alignment[:, :source_length].tolist()
        return Alternative(
            text=self._text(hypothesis),
            score=hypothesis.score,
            log_probability=hypothesis.log_probability,
            tokens=self.bundle.target_tokenizer.tokens(hypothesis.tokens),
            token_log_probabilities=hypothesis.token_log_probabilities,
            alignment=alignment,
        )

    def _text(self, hypothesis: Hypothesis) -> str:
        """One line of text: what a model writes must not break the line count."""
        text = self.bundle.target_tokenizer.decode(hypothesis.tokens)
        return text.replace("\r", " ").replace("\n", " ")
