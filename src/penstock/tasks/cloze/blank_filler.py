"""A trained cloze model ready to fill blanks in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from penstock.errors import DataError, UsageError
from penstock.metrics.confidence import Outcomes
from penstock.metrics.text_scores import TextScores
from penstock.runtime.engine import Array, as_ids, required
from penstock.search.cancellation import ShouldStop, check_stop
from penstock.special_tokens import EOS_ID, RESERVED, UNK_ID
from penstock.tasks.cloze.task import CLOZE
from penstock.tasks.loaded_model import LoadedModel
from penstock.tasks.sentence_encoder import SentenceBatch, in_batches
from penstock.tasks.sureness import odds_features, require_confidence
from penstock.text import letters_only
from penstock.text.lines import is_blank

BLANK = "___"

_POSITIONS = 512  # whose scores over the vocabulary are held at once


@dataclass(frozen=True, slots=True)
class Candidate:
    """A token for a blank and its probability, given everything else and what was filled before."""

    token: str
    probability: float


@dataclass(frozen=True, slots=True)
class Filled:
    """One line with its blanks filled.

    Attributes:
        source: the line.
        text: the line with its blanks filled.
        blanks: the likeliest tokens of each blank, best first.
        status: `ok`; `empty` for a blank line; `unsure` if a confidence is below
            `min_confidence`; `unfamiliar` if it is unlike the training text or
            has characters that it hardly has; `unknown-heavy` if more than half of the words
            around the blanks are unknown.
        confidences: for each blank the calibrated probability that its first token is right; a
            candidate's `probability` is the network's own. Empty where nothing says: the model has
            none (too little held-out text, or an older model), or the line is unfamiliar.
    """

    source: str
    text: str
    blanks: list[list[Candidate]]
    status: Literal["ok", "empty", "unsure", "unfamiliar", "unknown-heavy"]
    confidences: list[float] = field(default_factory=list[float])


@dataclass(slots=True)
class _Gapped:
    """A line in work: its ids with `<unk>` in the blanks, and which of them are open."""

    place: int
    ids: list[int]
    blanks: list[int]
    open: list[int]
    found: dict[int, list[tuple[int, float]]] = field(
        default_factory=dict[int, "list[tuple[int, float]]"]
    )
    features: dict[int, list[float]] = field(default_factory=dict[int, list[float]])


class BlankFiller(LoadedModel):
    """A cloze model with its tokenizer.

    `BlankFiller.load("runs/cloze").fill(["A man plays the ___ ."])[0].text`
    """

    task = CLOZE

    def fill(
        self,
        lines: Sequence[str],
        *,
        blank: str = BLANK,
        n_best: int = 1,
        min_confidence: float | None = None,
        should_stop: ShouldStop | None = None,
    ) -> list[Filled]:
        """Fill the blanks of each line, one result each, in order.

        Of several blanks in a line, the one with the most confident prediction is filled first, and
        the others are predicted given it.

        Args:
            lines: texts in which `blank` stands for one token each.
            blank: the mark.
            n_best: number of candidates per blank.
            min_confidence: lines with a blank less likely to be right get the status `unsure`.
            should_stop: called before each batch and each of its lines; cancels when it returns
                True.

        Raises:
            DataError: a line without a blank, or with one of four or five underscores; `line` is
                its number, from 1.
            UsageError: a string instead of a list of lines, an empty mark, `n_best` below 1, or a
                `min_confidence` where blanks have no confidence.
            SearchStoppedError: cancelled by `should_stop`.
        """
        if isinstance(lines, str):
            raise UsageError("fill takes a list of lines: fill(['A man plays the ___ .'])")
        if not blank.strip():
            raise UsageError("blank '': give a mark that stands for a missing word, like ___")
        if n_best < 1:
            raise UsageError(f"n_best {n_best}: must be at least 1")
        if min_confidence is not None:
            require_confidence(self.bundle.confidence)
        results = [Filled(line, line, [], "empty") for line in lines]
        gapped = [
            self._gapped(i, line, blank) for i, line in enumerate(lines) if not is_blank(line)
        ]
        remaining = gapped
        while remaining:
            self._fill_surest(remaining, n_best, should_stop)
            remaining = [line for line in remaining if line.open]
        found = [self._result(lines[line.place], line, blank) for line in gapped]
        likenesses = self.bundle.likeness([result.text for result in found])
        calibrated = self.bundle.confidence
        for line, result, likeness in zip(gapped, found, likenesses, strict=True):
            if result.status == "ok" and likeness != "ok":
                result = replace(result, status=likeness)
            elif result.status == "ok" and calibrated is not None:
                sure = [calibrated.probability(line.features[position]) for position in line.blanks]
                unsure = min_confidence is not None and min(sure) < min_confidence
                result = replace(result, confidences=sure, status="unsure" if unsure else "ok")
            results[line.place] = result
        return results

    def score(self, lines: Sequence[str]) -> list[TextScores]:
        """For each line, how probable each of its tokens is given all others.

        A line without a token counts none.
        """
        rows = self._sentences.encode_whole(lines)
        places = [i for i, row in enumerate(rows) if len(row) > 1]
        results = [TextScores(0.0, 0, len(line), 0, 0) for line in lines]
        for batch in in_batches([rows[i] for i in places]):
            chosen, right = self._score_tokens(batch)
            begin = 0
            for place in (places[index] for index in batch.rows):
                end = begin + len(rows[place]) - 1
                results[place] = TextScores(
                    log_probability=float(chosen[begin:end].sum()),
                    tokens=end - begin,
                    characters=len(lines[place]),
                    right=int(right[begin:end].sum()),
                    unknown=rows[place].count(UNK_ID),
                )
                begin = end
        return results

    def outcomes(self, lines: Sequence[str]) -> Outcomes:
        """Each token of lines as a blank: its score features, and whether it is filled rightly."""
        features: list[list[float]] = []
        right: list[bool] = []
        rows = [row for row in self._sentences.encode_whole(lines) if len(row) > 1]
        for batch in in_batches(rows):
            for answers, log_probs in self._blanks(batch):
                written = log_probs[:, len(RESERVED) :]
                best = np.argpartition(-written, 1, axis=1)[:, :2]
                values = np.take_along_axis(written, best, 1)
                highest = np.exp(np.sort(values, 1)[:, ::-1].astype(np.float64))
                features += [odds_features(*each) for each in highest.tolist()]
                right += (written.argmax(-1) + len(RESERVED) == answers).tolist()
        return Outcomes(np.array(features, np.float64), np.array(right, np.float64))

    def _score_tokens(self, batch: SentenceBatch) -> tuple[Array, Array]:
        """Of all tokens but EOS, row by row, (N,): log-probability; whether it is the likeliest."""
        chosen: list[Array] = []
        right: list[Array] = []
        for answers, log_probs in self._blanks(batch):
            chosen.append(log_probs[np.arange(len(log_probs)), answers].astype(np.float64))
            # reserved tokens may not be written
            best = log_probs[:, len(RESERVED) :].argmax(-1) + len(RESERVED)
            right.append(best == answers)
        return np.concatenate(chosen), np.concatenate(right)

    def _blanks(self, batch: SentenceBatch) -> Iterator[tuple[Array, Array]]:
        """All tokens but EOS, row by row, (N,), and what is probable in their places, (N, V)."""
        blanks = as_ids(range(batch.ids.shape[1])) < batch.lengths[:, None] - 1  # (B, S)
        contexts, answers = self._contexts(batch)[blanks], batch.ids[blanks]
        for start in range(0, len(answers), _POSITIONS):
            at = slice(start, start + _POSITIONS)
            yield answers[at], self._log_probs(contexts[at])

    def _gapped(self, place: int, line: str, blank: str) -> _Gapped:
        segments = line.split(blank)
        if len(segments) == 1:
            raise DataError(
                f"no blank in {line[:60]!r}; write {blank} where a word is missing", line=place + 1
            )
        if blank == BLANK and any(segment.startswith("_") for segment in segments[1:]):
            raise DataError(
                f"a blank of another length than {BLANK} in {line[:60]!r}; write {BLANK} once for "
                "each missing word",
                line=place + 1,
            )
        last = len(segments) - 1
        texts = [self._segment(s, i > 0, i < last) for i, s in enumerate(segments)]
        ids: list[int] = []
        blanks: list[int] = []
        for i, part in enumerate(self.bundle.source_tokenizer.encode_batch(texts)):
            ids += part
            if i < last:
                blanks.append(len(ids))
                ids.append(UNK_ID)
        return _Gapped(place, [*ids, EOS_ID], blanks, list(blanks))

    def _segment(self, text: str, follows: bool, precedes: bool) -> str:
        """What stands between two blanks as the tokenizer wants it: a blank is one token."""
        tokenizer = self.bundle.source_tokenizer
        if separator := tokenizer.symbol_separator:
            text = text.removeprefix(separator) if follows else text
            return text.removesuffix(separator) if precedes else text
        if self._sentences.normalized("A") == "A":
            return text
        inner = letters_only(text)  # takes the spaces beside a blank, which are tokens of a char
        before = " " if follows and inner and letters_only(text[0]) == "" else ""
        after = " " if precedes and inner and letters_only(text[-1]) == "" else ""
        return f"{before}{inner}{after}" if inner else " " * bool(text and follows and precedes)

    def _fill_surest(
        self, lines: list[_Gapped], n_best: int, should_stop: ShouldStop | None
    ) -> None:
        """Fill one blank of each line, in place."""
        for batch in in_batches([line.ids for line in lines]):
            check_stop(should_stop)
            contexts = self._contexts(batch)
            for row, index in enumerate(batch.rows):
                line = lines[index]
                first, log_probs = self._surest(contexts[row, line.open], should_stop)
                surest = line.open[first]
                best = np.argsort(-log_probs, kind="stable")[: max(n_best, 2)]
                tokens: list[int] = (best + len(RESERVED)).tolist()
                values: list[float] = np.exp(log_probs[best]).tolist()
                line.found[surest] = list(zip(tokens, values, strict=True))[:n_best]
                line.features[surest] = odds_features(*[*values, 0.0][:2])
                line.ids[surest] = tokens[0]
                line.open.remove(surest)

    def _surest(self, contexts: Array, should_stop: ShouldStop | None) -> tuple[int, Array]:
        """The blank whose likeliest token is most probable, and all its tokens that may be written.

        Args:
            contexts: of N blanks, (N, H).
            should_stop: see `fill`.
        """
        found: list[tuple[float, int, Array]] = []
        for start in range(0, len(contexts), _POSITIONS):
            check_stop(should_stop)
            log_probs = self._log_probs(contexts[start : start + _POSITIONS])[:, len(RESERVED) :]
            highest = log_probs.max(-1)
            first = int(highest.argmax())
            found.append((float(highest[first]), start + first, log_probs[first]))
        _, place, log_probs = max(found, key=lambda each: each[0])
        return place, log_probs

    def _result(self, source: str, line: _Gapped, blank: str) -> Filled:
        tokenizer = self.bundle.source_tokenizer
        blanks = [
            [Candidate(tokenizer.decode([token]), p) for token, p in line.found[position]]
            for position in line.blanks
        ]
        # blanks that touch are tokens of their own; what parts such is not in the line
        text, *segments = source.split(blank)
        for i, (candidates, segment) in enumerate(zip(blanks, segments, strict=True), start=1):
            text += candidates[0].token + (segment or tokenizer.joiner * (i < len(blanks)))
        around = len(line.ids) - 1 - len(blanks)
        heavy = 2 * line.ids.count(UNK_ID) > around > 0
        return Filled(source, text, blanks, "unknown-heavy" if heavy else "ok")

    def _contexts(self, batch: SentenceBatch) -> Array:
        """What surrounds each position, (B, S, H)."""
        return required(self.engine.run("contexts", batch.ids, batch.lengths)[0])

    def _log_probs(self, contexts: Array) -> Array:
        """Of every token, (N, V), from what surrounds N blanks, (N, H)."""
        return required(self.engine.run("log_probs", contexts)[0])
