# pyright: reportUnknownVariableType=false
# (torch gives `tolist` no type: what comes of it is declared)
"""From target ids to text, unknown words copied from the source."""

from __future__ import annotations

from penstock.errors import UsageError
from penstock.search import Hypothesis
from penstock.special_tokens import UNK_ID
from penstock.tasks.translation.result import Alternative
from penstock.tasks.translation.search_options import SearchOptions
from penstock.tasks.translation.segmentation import Segment
from penstock.text import Tokenizer


class OutputText:
    """Decodes hypotheses of segments.

    Args:
        source: tokenizer of the source language.
        target: tokenizer of the target language.
    """

    def __init__(self, source: Tokenizer, target: Tokenizer) -> None:
        self._source, self._target = source, target

    def decode(self, hypothesis: Hypothesis, segment: Segment, options: SearchOptions) -> str:
        """Decode to one line of text; line breaks become spaces, to keep the line count.

        The output of a line in capitals gets them, if it was read in other case.

        Raises:
            UsageError: unknown words are to be copied, and the model has no attention.
        """
        if options.replace_unknown and UNK_ID in hypothesis.tokens:
            copied = self._copied(hypothesis, segment, options)
            text = self._target.decode_with(hypothesis.tokens, copied)
        else:
            text = self._target.decode(hypothesis.tokens)
        text = text.replace("\r", " ").replace("\n", " ")
        case = self._source.form.case
        return case.capitals(text, segment.verbatim) if case and segment.capitals else text

    def alternative(
        self, hypothesis: Hypothesis, segment: Segment, options: SearchOptions
    ) -> Alternative:
        """Convert a hypothesis to an alternative of the result."""
        alignment: list[list[float]] | None = None
        if hypothesis.alignment is not None and options.alignments:
            # the batch was as wide as its longest source
            alignment = hypothesis.alignment[:, : segment.size].tolist()
        return Alternative(
            text=self.decode(hypothesis, segment, options),
            score=hypothesis.score,
            log_probability=hypothesis.log_probability,
            tokens=self._target.tokens(hypothesis.tokens),
            token_log_probabilities=hypothesis.token_log_probabilities,
            alignment=alignment,
            certified=hypothesis.certified,
            bound=hypothesis.bound,
            extended=hypothesis.extended,
        )

    def _copied(
        self, hypothesis: Hypothesis, segment: Segment, options: SearchOptions
    ) -> list[str]:
        """For each unknown token of the output the source word that it attends to most."""
        if hypothesis.alignment is None:
            raise UsageError(
                "replace_unknown copies through the attention, which this model lacks; leave it out"
            )
        words = self._source.surfaces(segment.text)[: segment.size - 1]
        copied: list[str] = []
        for position, token in enumerate(hypothesis.tokens):
            if token == UNK_ID:
                weights = hypothesis.alignment[position, : len(words)]
                word = words[int(weights.argmax())] if words else ""
                copied.append(options.dictionary.get(word, word))
        return copied
