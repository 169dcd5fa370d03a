"""Texts of several requests, searched together, and each given back to its own."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.errors import PenstockError
from penstock.serve import logs
from penstock.serve.inference.queue import WorkQueue
from penstock.serve.inference.work import Taken, Translating
from penstock.translation import Translation

Outcome = Translation | Exception


def translate_batch(taken: Taken) -> list[Outcome]:
    """A result or an error for each text; one that fails does not fail the others."""
    first = taken[0][0]
    texts = [work.texts[place] for work, place in taken]
    try:
        return list(first.translator.translate(texts, first.options))
    except Exception as error:  # noqa: BLE001 (who asked gets it, the thread goes on)
        if len(taken) == 1:
            if not isinstance(error, PenstockError):
                logs.write_failure("translation_failed", error)
            return [error]
    # a request fails with the first of its texts that does: the others are not searched again
    failed: dict[Translating, Outcome] = {}
    outcomes: list[Outcome] = []
    for work, place in taken:
        known = failed.get(work)
        (outcome,) = translate_batch([(work, place)]) if known is None else (known,)
        if isinstance(outcome, Exception):
            failed[work] = outcome
        outcomes.append(outcome)
    return outcomes


def deliver(taken: Taken, outcomes: Sequence[Outcome], queue: WorkQueue) -> None:
    """Give each request what is there of it, in the event loop; it is answered when it has all."""
    for (work, place), outcome in zip(taken, outcomes, strict=True):
        if work.future.done():
            continue
        if isinstance(outcome, Exception):
            queue.drop(work)
            work.future.set_exception(outcome)
            continue
        work.results[place] = outcome
        work.missing -= 1
        if work.missing == 0:
            work.future.set_result([result for result in work.results if result is not None])
