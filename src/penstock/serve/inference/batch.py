"""Texts of several requests, searched together, and each given back to its own."""

from __future__ import annotations

from collections.abc import Callable

from penstock.errors import PenstockError
from penstock.search import SearchStoppedError, ShouldStop
from penstock.serve import json_log
from penstock.serve.inference.queue import WorkQueue
from penstock.serve.inference.work import Taken, Translating
from penstock.tasks.translation.result import Translation

Outcome = Translation | Exception


def translate_batch(
    taken: Taken, tell: Callable[[int, Outcome], None], should_stop: ShouldStop
) -> None:
    """Tell a result or an error for each text; one that fails does not fail the others.

    Raises:
        SearchStoppedError: cancelled by `should_stop`.
    """
    left = dict.fromkeys(range(len(taken)))

    def tell_once(number: int, outcome: Outcome) -> None:
        del left[number]
        tell(number, outcome)

    if len(taken) > 1:
        first = taken[0][0]
        texts = [work.texts[place] for work, place in taken]
        try:
            first.translator.translate(
                texts, first.options, on_result=tell_once, should_stop=should_stop
            )
        except SearchStoppedError:
            raise
        except Exception:  # noqa: BLE001 (whose fault it is shows one by one)
            pass
    # a request fails with the first of its texts that does: the others are not searched again
    failed: dict[Translating, Exception] = {}
    for number in list(left):
        work, place = taken[number]
        outcome = failed.get(work) or _translated(work, place, should_stop)
        if isinstance(outcome, Exception):
            failed[work] = outcome
        tell_once(number, outcome)


def _translated(work: Translating, place: int, should_stop: ShouldStop) -> Outcome:
    """The result or the error of one text."""
    try:
        return work.translator.translate(
            [work.texts[place]], work.options, should_stop=should_stop
        )[0]
    except SearchStoppedError:
        raise
    except Exception as error:  # noqa: BLE001 (who asked gets it, the thread goes on)
        if not isinstance(error, PenstockError):
            json_log.write_failure("translation_failed", error)
        return error


def deliver(work: Translating, place: int, outcome: Outcome, queue: WorkQueue) -> None:
    """Give a request one of its results, in the event loop; it is answered when it has all."""
    if work.future.done():
        return
    if isinstance(outcome, Exception):
        queue.drop(work)
        work.future.set_exception(outcome)
        return
    work.results[place] = outcome
    work.missing -= 1
    if work.missing == 0:
        work.future.set_result([result for result in work.results if result is not None])
