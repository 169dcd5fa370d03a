"""From source text to ids, for each of the models that decide together."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.bundle import Bundle
from penstock.special_tokens import EOS_ID

SourceIds = tuple[list[int], ...]  # per model, EOS last


class SourceEncoder:
    """Encodes sources with each model's tokenizer.

    Args:
        bundles: of the models.
    """

    def __init__(self, bundles: Sequence[Bundle]) -> None:
        self._tokenizers = [bundle.source_tokenizer for bundle in bundles]
        self.limits = [bundle.config.data.max_source_tokens for bundle in bundles]

    def encode(self, texts: Sequence[str]) -> list[SourceIds]:
        """The ids of each text."""
        if not texts:
            return []
        every = [tokenizer.encode_batch(texts) for tokenizer in self._tokenizers]
        return [tuple([*ids, EOS_ID] for ids in own) for own in zip(*every, strict=True)]

    def fits(self, ids: SourceIds) -> bool:
        """Whether every model reads the text at once."""
        return all(len(own) <= limit for own, limit in zip(ids, self.limits, strict=True))

    def cut(self, ids: SourceIds) -> SourceIds:
        """As much of a text as every model reads at once."""
        return tuple(
            own if len(own) <= limit else [*own[: limit - 1], EOS_ID]
            for own, limit in zip(ids, self.limits, strict=True)
        )
