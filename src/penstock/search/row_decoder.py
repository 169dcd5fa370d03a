"""One output per row, a token at a time: what greedy search and sampling share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from penstock.errors import UsageError
from penstock.search.cancellation import ShouldStop, check_stop
from penstock.search.hypothesis import Hypothesis, OnResult
from penstock.search.limits import Limits
from penstock.search.ranking import Ranking, covered
from penstock.search.rules import ConstraintState, Rules
from penstock.search.step import Ints, S, Singles, Step

# (log-probabilities (N, V), which outputs they belong to) -> an id per row, (N,)
Choose = Callable[[Singles, Sequence[int]], Ints]


@dataclass(slots=True)
class _Output:
    """A growing output; the last attention is that of the step that emits EOS."""

    sentence: int
    tokens: list[int] = field(default_factory=list[int])
    log_probs: list[float] = field(default_factory=list[float])
    attention: list[Singles] = field(default_factory=list[Singles])
    finished: bool = True


def decode_rows(
    step: Step[S],
    state: S,
    limits: Limits,
    sentences: Sequence[int],
    choose: Choose | None,
    *,
    ranking: Ranking,
    align: bool,
    on_result: OnResult | None = None,
    should_stop: ShouldStop | None = None,
) -> list[Hypothesis]:
    """Decode all rows together; a finished row leaves the batch.

    Args:
        step: the model's step.
        state: of N rows, before BOS.
        limits: of B sentences.
        sentences: (N,) which sentence each row's output is for.
        choose: the next tokens; None: the likeliest.
        ranking: only used for the reported score.
        align: keep the attention of each step.
        on_result: called with each row's number and output as soon as it is finished.
        should_stop: cancels the search when it returns True.

    Raises:
        UsageError: limits that no output meets, or that this one led away from.
        SearchStoppedError: cancelled by `should_stop`.
    """
    outputs = [_Output(sentence) for sentence in sentences]
    keeps_attention = align or ranking.coverage_penalty > 0
    is_plain = choose is None and limits.are_plain
    rules: Rules | None = None
    states: list[ConstraintState] = []
    rows = list(range(len(outputs)))
    last = np.full(len(rows), limits.bos_id)
    length = 0
    while rows:
        check_stop(should_stop)
        at_limit = [length == limits.max_lengths[outputs[row].sentence] for row in rows]
        few = is_plain and not any(at_limit)
        log_probs, ids, after, attention = step(
            last, state, top=1 + len(limits.blocked) if few else 0
        )
        wanted: list[int] = []
        if ids is not None:
            limits.block(log_probs, ids)
            picked = log_probs.argmax(1)
            choices = ids[np.arange(len(rows)), picked]
            values: list[float] = log_probs[np.arange(len(rows)), picked].tolist()
        else:
            limits.block(log_probs)
            if rules is None:
                rules = Rules(limits, log_probs.shape[1])
                starts = rules.start()
                states = [starts[sentence] for sentence in sentences] if starts else []
            if any(at_limit):
                wanted = log_probs.argmax(-1).tolist()
            rules.restrict(log_probs, states, at_limit)
            choices = log_probs.argmax(-1) if choose is None else choose(log_probs, rows)
            values = log_probs[np.arange(len(rows)), choices].tolist()
        chosen: list[int] = choices.tolist()
        alive: list[int] = []
        for i, (row, token, value) in enumerate(zip(rows, chosen, values, strict=True)):
            output = outputs[row]
            if value == -np.inf:
                raise UsageError(
                    f"sentence {output.sentence + 1}: its limits leave no token to go on with; use "
                    "beam or exact search, or ask for less"
                )
            output.log_probs.append(value)
            if keeps_attention and attention is not None:
                output.attention.append(attention[i])
            if token == limits.eos_id:
                output.finished = not at_limit[i] or wanted[i] == token
                if on_result is not None:
                    on_result(row, [_hypothesis(output, limits, ranking, align=align)])
                continue
            output.tokens.append(token)
            alive.append(i)
        if states:
            assert rules is not None
            states = [rules.extend(states[i], chosen[i]) for i in alive]
        state, last = after, choices
        if alive and len(alive) < len(rows):
            kept = np.array(alive)
            state, last = state.select(kept), last[kept]
        rows = [rows[i] for i in alive]
        length += 1
    return [_hypothesis(output, limits, ranking, align=align) for output in outputs]


def _hypothesis(output: _Output, limits: Limits, ranking: Ranking, *, align: bool) -> Hypothesis:
    total = sum(output.log_probs)
    attention = np.stack(output.attention) if output.attention else None
    coverage = 0.0
    if ranking.coverage_penalty > 0 and attention is not None:
        coverage = covered(attention, limits.source_length(output.sentence))
    return Hypothesis(
        tokens=output.tokens,
        score=ranking.score(total, len(output.log_probs), coverage),
        log_probability=total,
        token_log_probabilities=output.log_probs,
        finished=output.finished,
        alignment=attention[:-1] if align and output.tokens and attention is not None else None,
    )
