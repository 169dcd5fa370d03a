"""Does a line look like the training text? A cheap test that knows nothing of the network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal, Self, final

import numpy as np
from numpy.typing import NDArray

from penstock.errors import BundleError
from penstock.text.character_ngrams import BLOCK, CharacterCounts, CharacterNgrams, Numbers
from penstock.text.lines import is_blank

Likeness = Literal["ok", "unfamiliar", "unknown-heavy"]

_SEVERITY: tuple[Likeness, ...] = ("ok", "unfamiliar", "unknown-heavy")
RARE, SURPRISING = 0.005, 0.002  # held-out lines that each of the two tests may report
HARDLY_SEEN = 3  # characters with fewer occurrences are unknown, if held-out lines allow that
MOST_LINES = 1_000_000  # that are counted
_FEWEST_LINES, _ENOUGH_LINES = 10, 2000  # to calibrate on
_SAFE = 4.0  # standard deviations, where the largest of a few lines is no safe bound


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What is still familiar.

    Attributes:
        mean: surprisal per character of held-out text, in bits.
        within, between: a line of n characters has a mean surprisal of variance
            `within` / n + `between`.
        limit: standard deviations above `mean` that are familiar.
        most_unknown: unknown characters of a line that are familiar.
    """

    mean: float
    within: float
    between: float
    limit: float
    most_unknown: int

    @classmethod
    def of(cls, lengths: Numbers, unknown: Numbers, bits: Numbers) -> Self:
        """Thresholds that all but a few of the held-out lines pass.

        Args:
            lengths, unknown, bits: of each line, as `CharacterNgrams.measure` gives them.
        """
        mean = float(bits.sum() / lengths.sum())
        squares = (bits / lengths - mean) ** 2
        # squared deviations against 1 / n: the slope is within lines, the rest between them
        inverse = 1 / lengths
        weights = (inverse + inverse.mean()) ** -2
        weights /= weights.sum()
        apart = inverse - weights @ inverse
        slope = weights @ (apart * squares) / max(weights @ apart**2, 1e-12)
        within, between = float(slope), float(weights @ squares - slope * (weights @ inverse))
        if within <= 0 or between < 0:
            within, between = max(float((squares * lengths).mean()), 1e-6), 0.0
        deviations = np.sort((bits / lengths - mean) / np.sqrt(within / lengths + between))
        reported = int(SURPRISING * len(lengths))
        limit = float(deviations[-1 - reported])
        limit = limit if reported else max(limit, _SAFE)
        most_unknown = int(np.sort(unknown)[-1 - int(RARE * len(lengths))])
        return cls(mean, within, between, limit, most_unknown)

    def exceeded(self, lengths: Numbers, unknown: Numbers, bits: Numbers) -> NDArray[np.bool_]:
        """Which lines, none of them empty, exceed them."""
        deviations = (bits / lengths - self.mean) / np.sqrt(self.within / lengths + self.between)
        return (unknown > self.most_unknown) | (deviations > self.limit)


@final
@dataclass(frozen=True, eq=False)
class Familiarity:
    """The characters of the training text, and how far a line may be from them.

    Attributes:
        ngrams: the training text's.
        thresholds: of the test, calibrated on held-out text.
        before: of a model that this one's training went on from; what either knows is familiar.
    """

    ngrams: CharacterNgrams
    thresholds: Thresholds
    before: Familiarity | None = None

    @classmethod
    def fit(cls, training: Sequence[str], held_out: Sequence[str]) -> Self | None:
        """Count the training text, and calibrate so that under 1 % of new lines are unfamiliar.

        Where there are few held-out lines, some training lines are taken out of the counts and
        stand beside them.

        Args:
            training: source texts, as the tokenizer reads them.
            held_out: the same for held-out ones.

        Returns:
            None where there is too little text to calibrate on.
        """
        lines = [line for line in dict.fromkeys(training[:MOST_LINES]) if not is_blank(line)]
        new = [line for line in dict.fromkeys(held_out) if not is_blank(line)][:BLOCK]
        taken = min(max(_ENOUGH_LINES - len(new), 0), len(lines) // 10)
        apart = lines[:: len(lines) // taken][:taken] if taken else []
        if len(new) + taken < _FEWEST_LINES:
            return None
        whole = CharacterCounts.of(lines)
        rest = whole.without(CharacterCounts.of(apart))
        calibrated = {
            fewest: Thresholds.of(*CharacterNgrams.of(rest, fewest=fewest).measure([*new, *apart]))
            for fewest in range(1, HARDLY_SEEN + 1)
        }
        fewest = max((n for n, each in calibrated.items() if not each.most_unknown), default=1)
        return cls(CharacterNgrams.of(whole, fewest=fewest), calibrated[fewest])

    def judge(self, texts: Sequence[str]) -> list[Likeness]:
        """Compare each text with the training text.

        `unknown-heavy`: more than half of its characters, spaces not counted, are unknown.
        `unfamiliar`: some are, or their sequence is unlike the training text's. A blank text is
        `ok`.
        """
        found: list[Likeness] = ["ok"] * len(texts)
        places = [i for i, text in enumerate(texts) if not is_blank(text)]
        written = [texts[i].strip() for i in places]
        lengths, unknown, bits = self.ngrams.measure(written)
        odd = self.thresholds.exceeded(lengths, unknown, bits)
        spaces = np.array([sum(map(str.isspace, text)) for text in written])
        heavy = 2 * unknown > lengths - spaces
        for place, is_odd, is_heavy in zip(places, odd.tolist(), heavy.tolist(), strict=True):
            if is_odd or is_heavy:
                found[place] = "unknown-heavy" if is_heavy else "unfamiliar"
        if self.before is None:
            return found
        pairs = zip(found, self.before.judge(texts), strict=True)
        return [min(pair, key=_SEVERITY.index) for pair in pairs]

    def to_json(self) -> str:
        """Serialize to JSON."""
        before = {} if self.before is None else {"before": self.before.to_json()}
        return json.dumps(
            {"format": 1, **self.ngrams.to_json(), **asdict(self.thresholds), **before}
        )

    @classmethod
    def from_json(cls, text: str, *, place: str = "familiarity") -> Self:
        """Deserialize the result of `to_json`.

        Raises:
            BundleError: damaged.
        """
        try:
            value = json.loads(text)
            names = ("mean", "within", "between", "limit", "most_unknown")
            mean, within, between, limit, most_unknown = (float(value[name]) for name in names)
            finite = np.isfinite([mean, within, between, limit, most_unknown]).all()
            if not finite or within <= 0 or between < 0:
                raise ValueError(names)
            ngrams = CharacterNgrams.from_json(value)
            before = cls.from_json(value["before"], place=place) if "before" in value else None
        except (KeyError, TypeError, ValueError, OSError, OverflowError, RecursionError):
            raise BundleError(f"{place}: damaged; restore it or train again") from None
        return cls(ngrams, Thresholds(mean, within, between, limit, int(most_unknown)), before)
