"""A source sentence with its reference translations."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pair:
    """One example: a source text, one or more target texts, and its 1-based line number."""

    source: str
    targets: tuple[str, ...]
    line: int = 0

    @property
    def target(self) -> str:
        """The first reference."""
        return self.targets[0]
