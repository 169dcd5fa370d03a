"""Translate texts of several requests in one batch, and return each to its request."""

from __future__ import annotations

from collections.abc import Callable

from penstock.errors import PenstockError
from penstock.search import SearchStoppedError, ShouldStop
from penstock.serve import json_log
from penstock.serve.inference.queue import WorkQueue
from penstock.serve.inference.work import Batch, TranslationWork
from penstock.tasks.translation.result import Translation

Outcome = Translation | Exception


def translate_batch(
    batch: Batch, on_result: Callable[[int, Outcome], None], should_stop: ShouldStop
) -> None:
    """Report a result or an error for each text; a text that fails does not fail the others.

    Raises:
        SearchStoppedError: cancelled by `should_stop`.
    """
    left = dict.fromkeys(range(len(batch)))

    def report(number: int, outcome: Outcome) -> None:
        del left[number]
        on_result(number, outcome)

    if len(batch) > 1:
        first = batch[0][0]
        texts = [work.texts[index] for work, index in batch]
        try:
            first.translator.translate(
                texts, first.options, on_result=report, should_stop=should_stop
            )
        except SearchStoppedError:
            raise
        except Exception:  # noqa: BLE001 (retried one by one to find the text at fault)
            pass
    # a request fails with its first failing text; its other texts are not retried
    failed: dict[TranslationWork, Exception] = {}
    for number in list(left):
        work, index = batch[number]
        outcome = failed.get(work) or _translate_one(work, index, should_stop)
        if isinstance(outcome, Exception):
            failed[work] = outcome
        report(number, outcome)


def _translate_one(work: TranslationWork, index: int, should_stop: ShouldStop) -> Outcome:
    try:
        return work.translator.translate(
            [work.texts[index]], work.options, should_stop=should_stop
        )[0]
    except SearchStoppedError:
        raise
    except Exception as error:  # noqa: BLE001 (the request gets it, the thread continues)
        if not isinstance(error, PenstockError):
            json_log.write_failure("translation_failed", error)
        return error


def deliver(work: TranslationWork, index: int, outcome: Outcome, queue: WorkQueue) -> None:
    """Store one result of a request, in the event loop; the last one completes its future."""
    if work.future.done():
        return
    if isinstance(outcome, Exception):
        queue.drop(work)
        work.future.set_exception(outcome)
        return
    work.results[index] = outcome
    work.missing -= 1
    if work.missing == 0:
        work.future.set_result([result for result in work.results if result is not None])
