"""A source sentence with its reference translations."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pair:
    """One example: a source text, one or more target texts, and the line it stood on (1-based)."""

    source: str
    targets: tuple[str, ...]
    line: int = 0

    @property
    def target(self) -> str:
        """The first reference."""
        return self.targets[0]
