"""Input shards and their outputs."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from penstock.data.formats.output_stream import require_writable_suffix
from penstock.errors import UsageError
from penstock.files import real_path

MANIFEST = "manifest.jsonl"


@dataclass(frozen=True)
class Shard:
    """A file of lines, and the file of their translations: same name, same compression.

    Attributes:
        source, output: absolute paths.
        shown: the source as the user wrote it, for messages.
    """

    source: Path
    output: Path
    shown: str

    @property
    def name(self) -> str:
        """The name that both files have."""
        return self.output.name


def find_shards(patterns: Sequence[str], out_dir: str | Path) -> list[Shard]:
    """The shards that match patterns such as `crawl/*.txt.zst` and `crawl/**/*.txt`, sorted.

    Raises:
        UsageError: a pattern matches nothing, two files have one name, a compression that is not
            written, or an output would be an input.
    """
    folder = real_path(out_dir)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{out_dir}: not a folder; choose another --out-dir")
    shards: dict[str, Shard] = {}
    for shown in dict.fromkeys(name for pattern in patterns for name in _matches(pattern)):
        source = real_path(shown)
        name = Path(shown).name
        if source.is_relative_to(folder):
            raise UsageError(
                f"{out_dir}: the input {shown} is in it, and the next run would translate the "
                "translations; choose an --out-dir that has no inputs"
            )
        other = shards.setdefault(name, Shard(source, folder / name, shown))
        if other.source != source:
            raise UsageError(
                f"{other.shown} and {shown}: both translations would be "
                f"{Path(out_dir) / name}; translate them into different folders"
            )
        require_writable_suffix(shown)
    if MANIFEST in shards:
        raise UsageError(
            f"{shards[MANIFEST].shown}: {MANIFEST} is the name of the record in {out_dir}; "
            "rename the input"
        )
    _require_outputs_unmatched(patterns, shards.values(), out_dir)
    return [shards[name] for name in sorted(shards)]


def partial_files(shard: Shard) -> list[Path]:
    """What processes that were killed left of a shard's output."""
    return list(shard.output.parent.glob(f".{glob.escape(shard.name)}.*-*"))


def _matches(pattern: str) -> Iterable[str]:
    if not pattern:
        raise UsageError("--inputs: an empty pattern; give one, as in 'crawl/*.txt.zst'")
    if Path(pattern).is_dir():
        raise UsageError(
            f"{pattern}: a folder; give a pattern of its files: '{Path(pattern) / '*.txt'}'"
        )
    found = [pattern] if Path(pattern).exists() else glob.glob(pattern, recursive=True)  # noqa: PTH207 (takes any pattern)
    files = sorted(name for name in found if not Path(name).is_dir())
    if not files:
        raise UsageError(f"{pattern}: no file matches; check the pattern, and quote it")
    return files


def _require_outputs_unmatched(
    patterns: Sequence[str], shards: Iterable[Shard], out_dir: str | Path
) -> None:
    """Check that the patterns will not match the outputs, which the next run would translate."""
    for pattern in patterns:
        wanted = _absolute_parts(pattern)
        for shard in shards:
            if _fit((*_absolute_parts(out_dir), shard.name), wanted):
                raise UsageError(
                    f"{out_dir}: {pattern} would match the translations in it; choose an --out-dir "
                    "that the pattern does not match"
                )


def _absolute_parts(path: str | Path) -> tuple[str, ...]:
    return Path(os.path.abspath(path)).parts  # noqa: PTH100 (follows no links: it may be a pattern)


def _fit(parts: Sequence[str], wanted: Sequence[str]) -> bool:
    if not wanted or not parts:
        return not wanted and not parts
    if wanted[0] == "**":
        return _fit(parts, wanted[1:]) or _fit(parts[1:], wanted)
    return fnmatch(parts[0], wanted[0]) and _fit(parts[1:], wanted[1:])
