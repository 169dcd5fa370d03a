"""Generate and score text with a trained language model."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np

from penstock.config import DataConfig
from penstock.data.scoring_windows import scoring_windows
from penstock.data.token_stream import TextForm
from penstock.metrics.text_scores import TextScores
from penstock.runtime.engine import Array, as_ids, required
from penstock.search.sampling import draw, shape
from penstock.special_tokens import BOS_ID, EOS_ID, PAD_ID, UNK_ID
from penstock.tasks.language_model.task import LANGUAGE_MODEL
from penstock.tasks.language_model.writing_options import WritingOptions
from penstock.tasks.loaded_model import LoadedModel
from penstock.text import Tokenizer

_READ = 256  # tokens of a prompt that are read at once
_REMEMBERED = 32  # tokens that the next piece of text may depend on


class TextGenerator(LoadedModel):
    """A language model with its tokenizer.

    `"".join(TextGenerator.load("runs/novel").generate("The time"))`
    """

    task = LANGUAGE_MODEL

    @cached_property
    def form(self) -> TextForm:
        """How the model's texts are read."""
        return text_form(self.bundle.config.data)

    def generate(self, prompt: str = "", options: WritingOptions | None = None) -> Iterator[str]:
        """Continue a prompt piece by piece; the prompt is not repeated.

        Reserved tokens, including the unknown token, are never written. The same seed gives the
        same text on the same machine. A space at the end of the prompt is not written again.

        Raises:
            DataError: the prompt has a lone surrogate; raised at once, not with the first piece.
        """
        begun = self.form.encode_prefix(prompt, self._tokenizer)
        pieces = self._write(begun, options or WritingOptions())
        implied = self._tokenizer.joiner
        if implied and begun and prompt.endswith((implied, "\n")):
            return _without_first(pieces, implied)
        return pieces

    def unknown(self, prompt: str) -> int:
        """Count the tokens of a prompt that the model does not know."""
        return self.form.encode_prefix(prompt, self._tokenizer).count(UNK_ID)

    def _write(self, begun: list[int], options: WritingOptions) -> Iterator[str]:
        stream = random.Random(options.seed)
        tail = _Tail(self._tokenizer)
        for token in begun[-_REMEMBERED:]:
            tail.add(token)
        # in joined text no line ends
        never = [PAD_ID, UNK_ID, BOS_ID, *([EOS_ID] if self.form.joined else [])]
        written, ended = 0, 0
        ids, log_probs = [EOS_ID, *begun], None
        state: Sequence[Array | None] = ()
        for start in range(0, len(ids), _READ):
            if start:
                yield ""  # whoever computes for several may turn to another
            log_probs, *state = self.engine.run(
                "read", as_ids([ids[start : start + _READ]]), *state
            )
        while written < options.length:
            token = _choose(required(log_probs), never, options, stream)
            written += 1
            yield tail.add(token)
            ended += token == EOS_ID
            if options.lines is not None and ended >= options.lines:
                break
            log_probs, *state = self.engine.run("read", as_ids([[token]]), *state)
        yield tail.rest()

    def log_probabilities(self, ids: np.ndarray) -> np.ndarray:
        """Log-probability of each token given those before it, in nats.

        Args:
            ids: (N,) a stream; the first is only read.

        Returns:
            (N - 1,) float64.
        """
        return self._score(ids)[0]

    def score(self, lines: Sequence[str]) -> list[TextScores]:
        """Score each line alone, with its line end unless the model reads joined lines."""
        scores: list[TextScores] = []
        for line in lines:
            formed = list(self.form.lines([line]))
            ids = [i for row in self.form.encode(formed, self._tokenizer) for i in row]
            scores.append(self.score_ids(np.array([EOS_ID, *ids]), len(line) + 1))
        return scores

    def score_ids(self, ids: np.ndarray, characters: int) -> TextScores:
        """Score all tokens after the first; `characters` is the text's length."""
        log_probs, right = self._score(ids)
        return TextScores(
            log_probability=float(log_probs.sum()),
            tokens=len(ids) - 1,
            characters=characters,
            right=int(right.sum()),
            unknown=int((ids[1:] == UNK_ID).sum()),
        )

    @property
    def _tokenizer(self) -> Tokenizer:
        return self.bundle.source_tokenizer

    def _score(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log-probability of each token, and whether it was the likeliest."""
        log_probs = np.zeros(len(ids) - 1)
        right = np.zeros(len(ids) - 1, dtype=bool)
        state: Sequence[Array | None] = ()
        for scored in scoring_windows(ids):
            chosen, best, *state = self.engine.run("score", scored.inputs, scored.targets, *state)
            counted = scored.positions >= 0
            places = scored.positions[counted] - 1
            log_probs[places] = required(chosen)[counted]
            right[places] = (best == scored.targets)[counted]
        return log_probs, right


def text_form(data: DataConfig) -> TextForm:
    """The form that a run's data section asks for."""
    return TextForm(letters=data.normalize == "letters", joined=data.join_lines)


def _choose(
    log_probs: Array, never: list[int], options: WritingOptions, stream: random.Random
) -> int:
    """The next token from log-probabilities (1, V), none of those that are never written."""
    log_probs = log_probs.copy()
    log_probs[:, never] = -math.inf
    if options.search == "greedy":
        return int(log_probs.argmax())
    shaped = shape(
        log_probs,
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
    )
    return int(draw(shaped, [stream.random()])[0])


def _without_first(pieces: Iterator[str], implied: str) -> Iterator[str]:
    """The pieces without what stands between tokens before the first of them."""
    for piece in pieces:
        yield piece.removeprefix(implied)
        if piece:
            break
    yield from pieces


class _Tail:
    """The last tokens of a growing text, which releases each piece as soon as it is final."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._shown = ""

    def add(self, token: int) -> str:
        """The text that a token adds; empty while a character's bytes are not complete."""
        if token == EOS_ID:
            rest = self.rest()
            self._ids, self._shown = [], ""
            return f"{rest}\n"
        self._ids.append(token)
        text = self._certain()
        added, self._shown = text[len(self._shown) :], text
        if len(self._ids) > 2 * _REMEMBERED:
            self._ids = self._ids[-_REMEMBERED:]
            self._shown = self._certain()
        return added

    def _certain(self) -> str:
        """The text but for bytes at its end that may yet become a character."""
        return self._tokenizer.decode(self._ids).removesuffix("\ufffd")

    def rest(self) -> str:
        """What was held back."""
        text = self._tokenizer.decode(self._ids)
        added, self._shown = text[len(self._shown) :], text
        return added
