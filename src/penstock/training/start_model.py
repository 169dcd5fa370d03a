"""What a run keeps of the model that it goes on from: held-out examples, tokenizers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from penstock.bundle import Bundle, load_bundle
from penstock.config import RunConfig, TokenizerConfig
from penstock.data.pair import Pair
from penstock.data.sealed_file import verified
from penstock.errors import DataError
from penstock.text import Tokenizer

FOLDER, VALID = "start", "valid.jsonl"

Report = Callable[[str], None]
Texts = Callable[[], Iterable[str]]

_LISTED = 10


@dataclass(frozen=True)
class Start:
    """What a run keeps of the model that it goes on from.

    Attributes:
        bundle: tokenizers and weights.
        valid: held-out examples of its data; may be empty.
    """

    bundle: Bundle
    valid: list[Pair]


def read_start(config: RunConfig) -> Start | None:
    """What the run has kept; None for a run that begins with random weights.

    Raises:
        BundleError: the copy is damaged.
        DataError: so are its held-out examples.
    """
    if config.start.model is None:
        return None
    folder = Path(config.start.model)
    valid = folder / VALID
    if verified(valid) is None:
        raise DataError("altered since the run was begun; begin a new run", path=valid)
    rows = map(json.loads, valid.read_text(encoding="utf-8").split("\n")[:-1])
    pairs = [Pair(row["source"], tuple(row["targets"])) for row in rows]
    return Start(load_bundle(folder), pairs)


def start_tokenizer(
    config: RunConfig,
    kept: Tokenizer,
    texts: Texts,
    side: str,
    own: TokenizerConfig,
    report: Report,
) -> Tokenizer:
    """A tokenizer of the model, extended by the symbols of new texts where the run asks for it.

    Symbols that the vocabulary lacks are reported.

    Args:
        config: the run's.
        kept: the model's tokenizer.
        texts: reads the new texts.
        side: what they are, for messages.
        own: `min_frequency` and `vocab_size` limit what is added.
        report: called with what is missing.

    Raises:
        ConfigError: the tokenizer cannot be extended.
    """
    missing = kept.missing(texts())
    if not missing:
        return kept
    number = f"{len(missing):,} symbol{'s' if len(missing) > 1 else ''}"
    found = f"{side}: the vocabulary lacks {number} of the new data"
    if not config.start.extend_vocabulary:
        how = "spelled in bytes" if kept.is_byte_level else "unknown"
        report(
            f"{found}, {how} so far: {_listed(missing)}; --extend-vocabulary adds what occurs "
            f"{own.min_frequency} times"
        )
        return kept
    chosen = sorted(s for s, count in missing.items() if count >= own.min_frequency)
    chosen = sorted(chosen, key=lambda s: -missing[s])[: own.vocab_size]
    extended = kept.extended(chosen)
    rest = Counter({s: n for s, n in missing.items() if s not in set(chosen)})
    left = f", {len(rest):,} too rare ({_listed(rest)})" if rest else ""
    report(f"{found}: {len(chosen):,} added{left}")
    return extended


def _listed(counts: Counter[str]) -> str:
    shown = [f"{symbol!r} {count:,}" for symbol, count in counts.most_common(_LISTED)]
    return ", ".join([*shown, *(["…"] if len(counts) > _LISTED else [])])
