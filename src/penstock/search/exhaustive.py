"""Exhaustive search: every output there is, for small vocabularies and lengths.

The other searches are tested against it: it defines what they approximate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from penstock.errors import UsageError
from penstock.search.cancellation import ShouldStop, check_stop
from penstock.search.hypothesis import Hypothesis, require_found
from penstock.search.limits import Limits
from penstock.search.ranking import Ranking, covered
from penstock.search.rules import ConstraintState, Rules
from penstock.search.step import Ints, S, Singles, Step

_ROWS = 4096  # stepped together: bounds the memory that log-probabilities take


@dataclass(frozen=True, slots=True)
class _Block:
    """N partial hypotheses of T tokens each.

    Attributes:
        sentences: (N,) which sentence each belongs to.
        tokens, log_probs: (N, T).
        attention: (N, T, S) of the steps, or None.
        constraints: the progress of each on them; empty where the limits are plain.
    """

    sentences: Ints
    tokens: Ints
    log_probs: Singles
    attention: Singles | None
    constraints: list[ConstraintState]

    def extend(
        self,
        rows: Ints,
        tokens: Ints,
        log_probs: Singles,
        attention: Singles | None,
        constraints: list[ConstraintState],
    ) -> _Block:
        """The given rows, each with one more token."""
        longer = None
        if attention is not None:
            before = np.zeros((len(rows), 0, attention.shape[1]), dtype=np.float32)
            before = before if self.attention is None else self.attention[rows]
            longer = np.concatenate([before, attention[rows, None]], 1)
        return _Block(
            self.sentences[rows],
            np.concatenate([self.tokens[rows], tokens[:, None]], 1),
            np.concatenate([self.log_probs[rows], log_probs[:, None]], 1),
            longer,
            constraints,
        )

    def slice(self, start: int) -> _Block:
        """At most `_ROWS` of them."""
        rows = slice(start, start + _ROWS)
        attention = None if self.attention is None else self.attention[rows]
        return _Block(
            self.sentences[rows],
            self.tokens[rows],
            self.log_probs[rows],
            attention,
            self.constraints[rows],
        )


def exhaustive_search(
    step: Step[S],
    state: S,
    limits: Limits,
    *,
    n_best: int = 1,
    ranking: Ranking | None = None,
    align: bool = False,
    most: int = 1_000_000,
    should_stop: ShouldStop | None = None,
) -> list[list[Hypothesis]]:
    """Score every output of every sentence.

    Args:
        step: the model's step.
        state: of B rows, before BOS.
        limits: special ids, B maximum lengths and what else an output must be.
        n_best: hypotheses returned per sentence.
        ranking: of outputs; default: the book's, α = 1.
        align: keep the attention of each step.
        most: reject a sentence that has more outputs than this.
        should_stop: cancels the search when it returns True.

    Returns:
        For each of the B sentences up to `n_best` distinct hypotheses, best first; of equal
        scores the one of lower ids first.

    Raises:
        UsageError: there are too many outputs to score.
        SearchStoppedError: cancelled by `should_stop`.
    """
    ranking = ranking or Ranking()
    count = len(limits.max_lengths)
    kept: list[list[Hypothesis]] = [[] for _ in range(count)]
    if not count:
        return kept
    rows = np.arange(count)
    first = _Block(rows, np.zeros((count, 0), np.int64), np.zeros((count, 0), np.float32), None, [])
    # blocks to extend, each with the state of the step before and the rows of it to go on from
    blocks = [(first, state, rows, np.full(count, limits.bos_id))]
    rules: Rules | None = None
    keeps_attention = align or ranking.coverage_penalty > 0
    while blocks:
        check_stop(should_stop)
        block, before, parents, last = blocks.pop()
        output = step(last, before.select(parents), top=0)
        log_probs = output.log_probs
        limits.block(log_probs)
        attention = output.attention if keeps_attention else None
        if rules is None:
            _require_few(log_probs, limits, most)
            rules = Rules(limits, log_probs.shape[1])
            block = replace(block, constraints=rules.start())
        wanted: list[bool] = (log_probs.argmax(-1) == limits.eos_id).tolist()
        length = block.tokens.shape[1]
        sentences: list[int] = block.sentences.tolist()
        at_limit = [length == limits.max_lengths[i] for i in sentences]
        rules.restrict(log_probs, block.constraints, at_limit)
        _keep_finished(
            kept, block, log_probs, attention, wanted, limits, n_best, ranking, align=align
        )
        log_probs[:, limits.eos_id] = -np.inf
        extended, tokens = (log_probs > -np.inf).nonzero()
        constraints: list[ConstraintState] = []
        if block.constraints:
            pairs = zip(extended.tolist(), tokens.tolist(), strict=True)
            constraints = [rules.extend(block.constraints[row], token) for row, token in pairs]
        longer = block.extend(extended, tokens, log_probs[extended, tokens], attention, constraints)
        for start in range(0, len(tokens), _ROWS):
            few = slice(start, start + _ROWS)
            blocks.append((longer.slice(start), output.state, extended[few], tokens[few]))
    require_found(kept, "exhaustive")
    return [sorted(found, key=_rank)[:n_best] for found in kept]


def _require_few(log_probs: Singles, limits: Limits, most: int) -> None:
    possible: list[int] = (log_probs > -np.inf).sum(1).tolist()
    for sentence, (tokens, length) in enumerate(zip(possible, limits.max_lengths, strict=True)):
        choices = tokens - 1  # EOS
        # a long sentence has more outputs than a float can tell
        digits = length * math.log10(max(choices, 1))
        outputs = sum(choices**n for n in range(length + 1)) if digits < 300 else math.inf
        if outputs > most:
            shown = f"{outputs:.2g}" if digits < 300 else f"about 10^{digits:.0f}"
            raise UsageError(
                f"exhaustive search: sentence {sentence + 1} has {shown} possible outputs "
                f"({choices} tokens, at most {length} long), more than {most:,}; lower the length "
                "limit, or use exact search"
            )


def _keep_finished(
    kept: list[list[Hypothesis]],
    block: _Block,
    log_probs: Singles,
    attention: Singles | None,
    wanted: list[bool],
    limits: Limits,
    n_best: int,
    ranking: Ranking,
    *,
    align: bool,
) -> None:
    """Finish every hypothesis that may end here; keep the best per sentence."""
    length = block.tokens.shape[1] + 1
    ends = log_probs[:, limits.eos_id].astype(np.float64)
    totals: list[float] = (block.log_probs.astype(np.float64).sum(1) + ends).tolist()
    sentences: list[int] = block.sentences.tolist()
    for row, (sentence, total) in enumerate(zip(sentences, totals, strict=True)):
        if total == -np.inf:
            continue
        read = block.attention[row] if block.attention is not None else None
        coverage = 0.0
        if ranking.coverage_penalty > 0 and attention is not None:
            last = attention[row, None]
            steps = last if read is None else np.concatenate([read, last])
            coverage = covered(steps, limits.source_length(sentence))
        kept[sentence].append(
            Hypothesis(
                tokens=block.tokens[row].tolist(),
                score=ranking.score(total, length, coverage),
                log_probability=total,
                token_log_probabilities=[*block.log_probs[row].tolist(), float(ends[row])],
                finished=length <= limits.max_lengths[sentence] or wanted[row],
                alignment=read if align else None,
            )
        )
    for sentence in set(sentences):
        kept[sentence] = sorted(kept[sentence], key=_rank)[:n_best]


def _rank(hypothesis: Hypothesis) -> tuple[float, list[int]]:
    return -hypothesis.score, hypothesis.tokens
