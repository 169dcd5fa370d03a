"""The results of a translator, as plain values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from penstock.tasks.translation.status import SEVERITY, Status


@dataclass(frozen=True, slots=True)
class Alternative:
    """One hypothesis as text.

    Attributes:
        text: the output.
        score: what alternatives are ranked by.
        log_probability: of the whole output with its end, in nats.
        tokens: target pieces.
        token_log_probabilities: one per piece, and one for EOS.
        alignment: for each piece the attention over the source pieces; None without attention.
        certified: by exact search: nothing scores higher. None from other searches.
        bound: by exact search: nothing scores above it.
        extended: by exact search: partial hypotheses extended for it.
    """

    text: str
    score: float
    log_probability: float
    tokens: list[str]
    token_log_probabilities: list[float]
    alignment: list[list[float]] | None
    certified: bool | None = None
    bound: float | None = None
    extended: int | None = None


@dataclass(frozen=True, slots=True)
class Translation:
    """The result for one line.

    Attributes:
        source: the line.
        text: its translation; empty for a blank line.
        status: `ok`; `empty` for a blank line; `split` when a long line was translated in parts;
            `unsure` when the confidence is below `min_confidence`; `unfamiliar` when the source is
            unlike the training text or has characters that training hardly saw; `unknown-heavy`
            when more than half the source is unknown; `repeated` when the output has a run of
            pieces three times in a row and the source has not; `length-capped` when the length
            limit ended the output; `truncated` when some of the source was left out. Of several,
            which a part of a line may bring in, the one named last here.
        source_tokens: source pieces, the end of sequence last, as the alignment counts them.
        alternatives: best first, samples as drawn; the first is `text`. Empty for blank and for
            split lines.
        score, log_probability: of the best; 0 for a blank line, summed over parts.
        parts: how many the line was translated in; 0 for a blank line.
        seconds: time that the line's batch took until the line was done, divided by its lines.
        confidence: calibrated probability that the text is exactly right. None where nothing says:
            the model has none (too few held-out lines, or an older model), the output was sampled
            or of several models, or the source is blank, unfamiliar or unknown.
        expected_chrf: the chrF (0 to 100) that such an output has on average; None likewise.
        read_as: the line in the case in which it was translated; None: as it is written.
    """

    source: str
    text: str
    status: Status
    source_tokens: list[str]
    alternatives: list[Alternative]
    score: float
    log_probability: float
    parts: int
    seconds: float
    confidence: float | None = None
    expected_chrf: float | None = None
    read_as: str | None = None


def of_parts(
    source: str, text: str, found: Sequence[Translation], *, least: Status = "ok"
) -> Translation:
    """The translation of a text whose parts were translated, `text` put together from theirs.

    Scores are summed, confidences multiplied; the status is the most severe one, and `least` if
    that is more severe. Alternatives, which belong to one part, are left out. Without parts the
    text is empty.
    """
    if not found:
        return Translation(source, text, "empty", [], [], 0.0, 0.0, 0, 0.0)
    confidences = [each.confidence for each in found if each.confidence is not None]
    chrfs = [each.expected_chrf for each in found if each.expected_chrf is not None]
    statuses: list[Status] = [least, *(each.status for each in found)]
    return Translation(
        source=source,
        text=text,
        status=max(statuses, key=SEVERITY.index),
        source_tokens=[token for each in found for token in each.source_tokens],
        alternatives=[],
        score=sum(each.score for each in found),
        log_probability=sum(each.log_probability for each in found),
        parts=sum(each.parts for each in found),
        seconds=sum(each.seconds for each in found),
        confidence=math.prod(confidences) if len(confidences) == len(found) else None,
        expected_chrf=sum(chrfs) / len(found) if len(chrfs) == len(found) else None,
        read_as="\n".join(each.read_as or each.source for each in found)
        if any(each.read_as for each in found)
        else None,
    )


@dataclass(frozen=True, slots=True)
class PairScore:
    """The probability of a target.

    Attributes:
        log_probability: of the target with its end, given the source, in nats.
        tokens: target pieces counted, the end included.
    """

    log_probability: float
    tokens: int

    @property
    def perplexity(self) -> float:
        """exp of the mean negative log-probability per token."""
        return math.exp(-self.log_probability / self.tokens)


def as_json_object(result: Translation) -> dict[str, Any]:
    """A result as `--format json` and `/v1/translate` write it; its alternatives but the best."""
    best = result.alternatives[0] if result.alternatives else None
    value: dict[str, Any] = {
        "source": result.source,
        "text": result.text,
        "status": result.status,
        "parts": result.parts,
        "score": result.score,
        "log_probability": result.log_probability,
        "confidence": result.confidence,
        "expected_chrf": result.expected_chrf,
        "read_as": result.read_as,
        "tokens": best.tokens if best else [],
        "token_log_probabilities": best.token_log_probabilities if best else [],
        "source_tokens": result.source_tokens,
        "alignment": best.alignment if best else None,
        "alternatives": [_plain(asdict(a)) for a in result.alternatives[1:]],
        "seconds": result.seconds,
    }
    if best is not None and best.certified is not None:
        value |= {"certified": best.certified, "bound": best.bound, "extended": best.extended}
    return value


def _plain(alternative: dict[str, Any]) -> dict[str, Any]:
    """Without what only exact search says, where it says nothing."""
    exact = ("certified", "bound", "extended")
    return {k: v for k, v in alternative.items() if k not in exact or v is not None}
