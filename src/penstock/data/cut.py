"""Division of a text by position into training, validation and test files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from penstock.data.formats.input_lines import STDIN, read_lines
from penstock.errors import DataError, UsageError
from penstock.files import replacing, require_no_input

NAMES = ("train.txt", "valid.txt", "test.txt")


@dataclass(frozen=True, slots=True)
class TextPart:
    """One of the files that a text was divided into."""

    file: str
    lines: int
    characters: int

    def to_dict(self) -> dict[str, str | int]:
        """As plain data, for JSON."""
        return asdict(self)


def cut_text(
    source: str | Path, folder: str | Path, *, shares: Sequence[float], overwrite: bool = False
) -> list[TextPart]:
    """Divide a text at line ends into train.txt, valid.txt and test.txt, in this order.

    Args:
        source: the text, plain or compressed; read twice, so not a stream.
        folder: output folder.
        shares: of the characters, one per file, in any unit.
        overwrite: replace existing files.

    Raises:
        UsageError: not three positive shares, a stream, existing files, or an output that would
            replace the text itself.
        DataError: a text too short for three parts.
    """
    if len(shares) != len(NAMES) or not all(0 < share < math.inf for share in shares):
        shown = ",".join(f"{share:g}" for share in shares)
        raise UsageError(f"shares {shown}: give three above zero, as in 90,5,5")
    if str(source) == STDIN or Path(source).is_fifo():
        raise UsageError("a cut reads its text twice; save the stream to a file first")
    paths = [Path(folder) / name for name in NAMES]
    for path in paths:
        require_no_input(path, [source])
        if path.exists() and not overwrite:
            raise UsageError(f"{path}: already exists; add --overwrite or another folder")
    total = sum(len(line.text) + 1 for line in read_lines(source))
    ends = [total * sum(shares[: i + 1]) / sum(shares) for i in range(len(shares))]
    lines, characters = [0] * len(paths), [0] * len(paths)
    with ExitStack() as stack:
        files = [
            stack.enter_context(stack.enter_context(replacing(path)).open("wb")) for path in paths
        ]
        part, position = 0, 0
        for line in read_lines(source):
            while position >= ends[part] and part < len(paths) - 1:
                part += 1
            files[part].write(f"{line.text}\n".encode())
            lines[part] += 1
            characters[part] += len(line.text) + 1
            position += len(line.text) + 1
        if not all(lines):
            raise DataError(
                f"{total:,} characters are too few for the three parts: one would be empty; give "
                "more text, in more than one line",
                path=source,
            )
    return [
        TextPart(str(path), count, size)
        for path, count, size in zip(paths, lines, characters, strict=True)
    ]
