"""The worker: who shares a batch, who waits, who is refused, and what nobody waits for."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, TypeVar, cast

import pytest

from penstock.errors import UsageError
from penstock.runtime.torch_engine import InferenceModel
from penstock.search import ShouldStop
from penstock.serve.inference.freed_memory import Trimmer
from penstock.serve.inference.worker import Worker
from penstock.serve.service_errors import DeadlineError, NotReadyError, QueueFullError
from penstock.serve.settings import Settings
from penstock.tasks.translation.result import Translation
from penstock.tasks.translation.search_options import Phrases, SearchKind, SearchOptions
from penstock.tasks.translation.translator import Translator
from serving import ENGLISH, GERMAN, random_translator, until

T = TypeVar("T")
OPTIONS = SearchOptions()


class Told:
    """Stands in for a translator: notes its batches, and works as long as a test says.

    Attributes:
        batches: the texts of each call.
        go: calls wait for it.
        hold: a batch waits for it after the text "held".
    """

    def __init__(self) -> None:
        self.bundle = random_translator(GERMAN, ENGLISH).bundle
        self.batches: list[list[str]] = []
        self.go, self.hold = threading.Event(), threading.Event()
        self.go.set()

    def translate(
        self,
        texts: Sequence[str],
        options: SearchOptions,
        *,
        on_result: Callable[[int, Translation], None] = lambda *_: None,
        should_stop: ShouldStop | None = None,
    ) -> list[Translation]:
        self.batches.append(list(texts))
        assert self.go.wait(10)
        if "impossible" in texts:
            raise UsageError("impossible")
        if "broken" in texts:
            raise RuntimeError("a bug")
        results = [
            Translation(t, t.upper(), "ok", t.split(), [], 0.0, 0.0, 1, options.seed) for t in texts
        ]
        for number, result in enumerate(results):
            on_result(number, result)
            assert result.source != "held" or self.hold.wait(10)
        return results

    @property
    def translator(self) -> Translator:
        return cast(Translator, self)


def with_worker(body: Coroutine[Any, Any, T], worker: Worker) -> T:
    async def run() -> T:
        try:
            return await asyncio.wait_for(body, 20)
        finally:
            await worker.close(drain=False)

    return asyncio.run(run())


async def began(told: Told, batches: int) -> None:
    """Until the thread is in its n-th batch."""
    await asyncio.to_thread(until, lambda: len(told.batches) >= batches)


async def queued(worker: Worker, texts: int) -> None:
    while worker.waiting < texts:
        await asyncio.sleep(0.001)


def ask(
    worker: Worker,
    told: Told,
    *texts: str,
    options: SearchOptions = OPTIONS,
    client: str = "",
    deadline: float | None = None,
) -> asyncio.Task[list[Translation]]:
    asked = worker.translate(told.translator, texts, options, client=client, deadline=deadline)
    return asyncio.create_task(asked)


def words(results: Sequence[Translation]) -> list[str]:
    return [result.text for result in results]


# --- batches ------------------------------------------------------------------------------------


def test_each_request_gets_what_the_translator_says_of_its_texts() -> None:
    translator = random_translator(GERMAN, ENGLISH)
    lines = [" ".join(GERMAN[0].split()[: 1 + i % 6]) for i in range(24)] + ["", GERMAN[1]]
    requests = [lines[i : i + 1 + i % 3] for i in range(0, 24, 2)] + [["", GERMAN[1]]]
    worker = Worker(Settings())

    async def body() -> list[list[Translation]]:
        asked = [worker.translate(translator, texts, OPTIONS) for texts in requests]
        return list(await asyncio.gather(*asked))

    found = with_worker(body(), worker)
    for texts, results in zip(requests, found, strict=True):
        alone = [translator.translate([text])[0] for text in texts]
        assert words(results) == words(alone)
        assert [r.source for r in results] == texts
        assert [r.score for r in results] == pytest.approx([r.score for r in alone], abs=1e-4)


def test_what_came_while_the_thread_was_busy_is_taken_at_once_together() -> None:
    told, worker = Told(), Worker(Settings())

    async def body() -> None:
        told.go.clear()
        tasks = [ask(worker, told, "first")]
        await began(told, 1)
        tasks += [ask(worker, told, name) for name in "abcde"]
        await queued(worker, 5)
        told.go.set()
        assert [words(await task) for task in tasks] == [["FIRST"], *([c] for c in "ABCDE")]

    with_worker(body(), worker)
    assert told.batches == [["first"], ["a", "b", "c", "d", "e"]]


def test_only_equal_options_and_translators_share_a_batch() -> None:
    told, other, worker = Told(), Told(), Worker(Settings())
    drawn = SearchOptions(seed=2)

    async def body() -> None:
        told.go.clear()
        tasks = [ask(worker, told, "first")]
        await began(told, 1)
        tasks.append(ask(worker, told, "a", options=SearchOptions()))
        tasks.append(ask(worker, told, "b", options=drawn))
        tasks.append(ask(worker, other, "c"))
        tasks.append(ask(worker, told, "d", options=SearchOptions()))
        tasks.append(ask(worker, told, "e", options=SearchOptions(seed=2)))
        await queued(worker, 5)
        told.go.set()
        results = await asyncio.gather(*tasks)
        assert [r.seconds for (r,) in results] == [1, 1, 2, 1, 1, 2]

    with_worker(body(), worker)
    assert told.batches == [["first"], ["a", "d"], ["b", "e"]]
    assert other.batches == [["c"]]


def test_a_batch_has_no_more_padded_pieces_than_allowed() -> None:
    budget = 40
    told, worker = Told(), Worker(Settings(batch_tokens=budget))
    texts = [" ".join(["Hund"] * (1 + i % 13)) for i in range(30)]

    async def body() -> None:
        assert words(await ask(worker, told, *texts)) == [text.upper() for text in texts]

    with_worker(body(), worker)
    # a word is a piece here, and the end is one
    sizes = [len(b) * (1 + max(len(t.split()) for t in b)) for b in told.batches]
    assert max(sizes) <= budget
    assert min(sizes[:-1]) > budget / 4, "batches are filled"
    assert [text for batch in told.batches for text in batch] == texts


@pytest.mark.parametrize(
    ("options", "most"),
    [
        (SearchOptions(beam_size=20), 8),
        (SearchOptions(search="sample", samples=5), 8),
        (SearchOptions(max_length_ratio=4), 16),  # instead of 2 and a few pieces
        (SearchOptions(max_length_ratio=10), 1),
        (SearchOptions(beam_size=21), 1),
    ],
)
def test_a_search_with_more_to_do_takes_fewer_texts(options: SearchOptions, most: int) -> None:
    told, worker = Told(), Worker(Settings(batch_tokens=64))
    assert told.bundle.config.search.beam_size == 5

    async def body() -> None:
        await ask(worker, told, *["Hund"] * 32)  # 2 pieces each
        await ask(worker, told, *["Hund"] * 32, options=options)

    with_worker(body(), worker)
    assert [len(batch) for batch in told.batches][:3] == [32, most, most]


@pytest.mark.parametrize("search", ["exact", "mbr"])
def test_a_slow_search_takes_one_text_a_turn(search: SearchKind) -> None:
    told, worker = Told(), Worker(Settings())

    async def body() -> None:
        await ask(worker, told, "a", "b", options=SearchOptions(search=search))

    with_worker(body(), worker)
    assert told.batches == [["a"], ["b"]]


# --- waiting for a batch to fill ----------------------------------------------------------------


def test_a_single_client_never_waits_for_others() -> None:
    told, worker = Told(), Worker(Settings(max_wait=1))

    async def body() -> float:
        begun = time.monotonic()
        for _ in range(10):
            await ask(worker, told, "a", "b")
        return time.monotonic() - begun

    assert with_worker(body(), worker) < 1


def test_clients_that_were_answered_together_are_expected_together() -> None:
    told, worker = Told(), Worker(Settings(max_wait=1))

    async def body() -> None:
        told.go.clear()
        tasks = [ask(worker, told, "first")]
        await began(told, 1)
        tasks += [ask(worker, told, name) for name in "abc"]
        await queued(worker, 3)
        told.go.set()
        await asyncio.gather(*tasks)
        await asyncio.sleep(0.3)  # answers go out before the thread looks for work again
        begun = time.monotonic()
        tasks = []
        for name in "abc":
            tasks.append(ask(worker, told, name))
            await asyncio.sleep(0.02)
        await asyncio.gather(*tasks)
        assert time.monotonic() - begun < 0.5, "they are all there: nothing to wait for"
        await asyncio.sleep(0.3)
        begun = time.monotonic()
        await ask(worker, told, "alone")
        assert time.monotonic() - begun >= 0.9, "the others were expected"
        begun = time.monotonic()
        await ask(worker, told, "alone")
        assert time.monotonic() - begun < 0.5, "they are no more"

    with_worker(body(), worker)
    assert told.batches[2:] == [["a", "b", "c"], ["alone"], ["alone"]]


# --- fairness and limits ------------------------------------------------------------------------


def test_many_texts_of_one_request_do_not_keep_single_ones_waiting() -> None:
    told, worker = Told(), Worker(Settings())
    options = SearchOptions(batch=8)

    async def body() -> None:
        told.go.clear()
        many = ask(worker, told, *[f"m{i}" for i in range(50)], options=options)
        await began(told, 1)
        tasks = [ask(worker, told, name, options=options) for name in "xyz"]
        await queued(worker, 45)
        told.go.set()
        await asyncio.gather(*tasks)
        assert words(await many) == [f"M{i}" for i in range(50)]

    with_worker(body(), worker)
    assert {"x", "y", "z"} < set(told.batches[1])
    assert len(told.batches) == 7  # 53 texts by 8


def test_a_full_queue_refuses_and_says_when_to_come_back() -> None:
    told, worker = Told(), Worker(Settings(queue=4, max_texts=4))

    async def body() -> None:
        told.go.clear()
        tasks = [ask(worker, told, "first")]
        await began(told, 1)
        tasks.append(ask(worker, told, "a", "b", "c"))
        await queued(worker, 3)
        with pytest.raises(QueueFullError, match="3 of at most 4 texts are queued") as refusal:
            await ask(worker, told, "d", "e")
        assert 1 <= refusal.value.retry_after <= 60
        tasks.append(ask(worker, told, "f"))
        await queued(worker, 4)
        told.go.set()
        await asyncio.gather(*tasks)
        assert worker.waiting == 0
        assert words(await ask(worker, told, "d", "e")) == ["D", "E"]

    with_worker(body(), worker)
    assert b'penstock_refused_total{reason="queue_full"} 1.0' in worker.metrics.page(0)


def test_many_lines_of_a_request_count_as_its_texts_may() -> None:
    told, worker = Told(), Worker(Settings(queue=4, max_texts=4))

    async def body() -> None:
        told.go.clear()
        first = ask(worker, told, "first")
        await began(told, 1)
        lines = ask(worker, told, *"abcdefghij")
        await queued(worker, 4)
        told.go.set()
        await first
        assert words(await lines) == list("ABCDEFGHIJ")
        assert worker.waiting == 0

    with_worker(body(), worker)


def test_what_is_not_done_in_time_is_not_done_later_either() -> None:
    told, worker = Told(), Worker(Settings())

    async def body() -> None:
        told.go.clear()
        first = ask(worker, told, "first")
        await began(told, 1)
        late = ask(worker, told, "late", deadline=0.05)
        with pytest.raises(DeadlineError, match=r"not done within 0\.05 s"):
            await late
        assert worker.waiting == 0
        told.go.set()
        assert words(await first) == ["FIRST"]
        assert words(await ask(worker, told, "next")) == ["NEXT"]

    with_worker(body(), worker)
    assert told.batches == [["first"], ["next"]]


def test_work_whose_client_is_gone_is_dropped_before_decoding() -> None:
    told, worker = Told(), Worker(Settings())

    async def body() -> None:
        told.go.clear()
        first = ask(worker, told, "first")
        await began(told, 1)
        gone = [ask(worker, told, "gone", "too"), ask(worker, told, "gone")]
        kept = ask(worker, told, "kept")
        await queued(worker, 4)
        first.cancel()  # this one is being decoded
        for task in gone:
            task.cancel()
        await asyncio.wait([first, *gone])
        assert worker.waiting == 1
        told.go.set()
        assert words(await kept) == ["KEPT"]

    with_worker(body(), worker)
    assert told.batches == [["first"], ["kept"]]


@pytest.mark.parametrize("kind", ["translate", "call"])
def test_a_search_that_nobody_waits_for_ends(
    kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    translator = random_translator(GERMAN, ENGLISH)
    told, worker = Told(), Worker(Settings())
    steps = 0
    step = InferenceModel.step

    def slow(*arguments: Any) -> Any:
        nonlocal steps
        steps += 1
        time.sleep(0.02)
        return step(*arguments)

    monkeypatch.setattr(InferenceModel, "step", slow)
    options = SearchOptions(search="greedy", min_length=500, max_length=500, max_length_ratio=100)

    async def body() -> None:
        if kind == "translate":
            asked = worker.translate(translator, GERMAN, options, deadline=0.2)
        else:
            asked = worker.call(
                lambda stop: translator.translate(GERMAN, options, should_stop=stop), deadline=0.2
            )
        with pytest.raises(DeadlineError):
            await asked
        assert words(await ask(worker, told, "next", deadline=2)) == ["NEXT"]

    with_worker(body(), worker)
    assert 0 < steps < 50, "of 500"
    assert capsys.readouterr().err == "", "it is no failure"


# --- errors -------------------------------------------------------------------------------------


def test_an_impossible_text_fails_alone() -> None:
    translator = random_translator(GERMAN, ENGLISH)
    limit = translator.bundle.config.data.max_source_tokens
    options = SearchOptions(phrases=Phrases(prefix="the dog"))
    too_long = " ".join([GERMAN[0]] * limit)
    worker = Worker(Settings(batch_tokens=10**6))

    async def body() -> list[Any]:
        asked = [[GERMAN[0]], [too_long, GERMAN[0]], [GERMAN[1], GERMAN[0]]]
        tasks = [worker.translate(translator, texts, options) for texts in asked]
        return list(await asyncio.gather(*tasks, return_exceptions=True))

    first, second, third = with_worker(body(), worker)
    assert isinstance(second, UsageError)
    assert "phrases cannot be asked of it" in str(second)
    assert words(first) == words(translator.translate([GERMAN[0]], options))
    assert words(third) == words(translator.translate([GERMAN[1], GERMAN[0]], options))


@pytest.mark.parametrize(("text", "kind"), [("impossible", UsageError), ("broken", RuntimeError)])
def test_the_thread_outlives_every_error(
    text: str, kind: type[Exception], capsys: pytest.CaptureFixture[str]
) -> None:
    told, worker = Told(), Worker(Settings())

    async def body() -> None:
        told.go.clear()
        first = ask(worker, told, "first")
        await began(told, 1)
        bad, good = ask(worker, told, "a", text, "secret"), ask(worker, told, "b")
        await queued(worker, 4)
        told.go.set()
        with pytest.raises(kind):
            await bad
        assert words(await good) == ["B"]
        assert words(await first) == ["FIRST"]
        assert words(await ask(worker, told, "c")) == ["C"]

    with_worker(body(), worker)
    assert ["secret"] not in told.batches, "its request has failed already"
    logged = capsys.readouterr().err
    assert ("translation_failed" in logged) == (kind is RuntimeError)
    assert "secret" not in logged


# --- other work ---------------------------------------------------------------------------------


def test_other_work_is_done_in_the_same_thread() -> None:
    worker = Worker(Settings())

    async def body() -> None:
        assert await worker.call(lambda _: threading.current_thread().name) == "inference 0"
        with pytest.raises(ZeroDivisionError):
            await worker.call(lambda _: 1 // 0)
        assert await worker.call(lambda _: 7) == 7

    with_worker(body(), worker)


def test_others_are_served_between_the_pieces_of_a_stream() -> None:
    told, worker = Told(), Worker(Settings())
    threads: set[str] = set()

    def pieces() -> Iterator[str]:
        for letter in "abcdef":
            threads.add(threading.current_thread().name)
            yield letter

    async def body() -> str:
        written = ""
        async for piece in worker.stream(pieces):
            written += piece
            if piece == "b":
                assert words(await ask(worker, told, "between")) == ["BETWEEN"]
        return written

    assert with_worker(body(), worker) == "abcdef"
    assert threads == {"inference 0"}


def test_two_streams_advance_in_turn() -> None:
    worker = Worker(Settings())
    order: list[str] = []

    def pieces(name: str) -> Iterator[str]:
        for _ in range(4):
            order.append(name)
            time.sleep(0.002)
            yield name

    async def read(name: str) -> None:
        async for _ in worker.stream(lambda: pieces(name)):
            pass

    async def body() -> None:
        await asyncio.gather(read("x"), read("y"))

    with_worker(body(), worker)
    assert "xxx" not in "".join(order)
    assert "yyy" not in "".join(order)


def test_a_stream_that_nobody_reads_is_closed_in_the_thread() -> None:
    worker = Worker(Settings())
    closed: list[str] = []

    def pieces() -> Iterator[str]:
        try:
            while True:
                yield "again"
        finally:
            closed.append(threading.current_thread().name)

    async def body() -> None:
        stream = worker.stream(pieces)
        assert await anext(stream) == "again"
        await cast(Any, stream).aclose()
        await asyncio.to_thread(until, lambda: bool(closed))
        with pytest.raises(DeadlineError):
            async for _ in worker.stream(pieces, deadline=0.05):
                pass
        await asyncio.to_thread(until, lambda: len(closed) == 2)

    with_worker(body(), worker)
    assert closed == ["inference 0", "inference 0"]


# --- the end ------------------------------------------------------------------------------------


def test_draining_finishes_what_was_taken_and_takes_no_more() -> None:
    told, worker = Told(), Worker(Settings())

    async def body() -> None:
        told.go.clear()
        tasks = [ask(worker, told, "first")]
        await began(told, 1)
        tasks += [ask(worker, told, name) for name in "ab"]
        await queued(worker, 2)
        closing = asyncio.create_task(worker.close())
        await asyncio.sleep(0.02)
        with pytest.raises(NotReadyError, match="shutting down"):
            await ask(worker, told, "late")
        assert not closing.done()
        told.go.set()
        await closing
        assert [words(await task) for task in tasks] == [["FIRST"], ["A"], ["B"]]

    with_worker(body(), worker)
    assert not any(thread.is_alive() for thread in worker._threads)


def test_closing_without_draining_tells_those_who_wait() -> None:
    told, worker = Told(), Worker(Settings())

    async def body() -> None:
        told.go.clear()
        first, waiting = ask(worker, told, "first"), ask(worker, told, "a", options=OPTIONS)
        await began(told, 1)
        closing = asyncio.create_task(worker.close(drain=False))
        if "a" not in told.batches[0]:
            with pytest.raises(NotReadyError, match="shutting down"):
                await waiting
        told.go.set()
        await closing
        assert words(await first) == ["FIRST"]

    with_worker(body(), worker)


# --- what is counted ----------------------------------------------------------------------------


def test_batches_pieces_and_statuses_are_counted_and_texts_are_not() -> None:
    translator = random_translator(GERMAN, ENGLISH)
    worker = Worker(Settings())
    texts = [GERMAN[0], "", GERMAN[1]]

    async def body() -> list[Translation]:
        return await worker.translate(translator, texts, OPTIONS)

    results = with_worker(body(), worker)
    page = worker.metrics.page(3).decode()
    read = sum(len(result.source_tokens) for result in results)
    written = sum(len(result.alternatives[0].tokens) for result in results if result.text)
    assert f'penstock_pieces_total{{direction="in"}} {float(read)}' in page
    assert f'penstock_pieces_total{{direction="out"}} {float(written)}' in page
    assert 'penstock_translations_total{status="empty"} 1.0' in page
    assert "penstock_batch_texts_sum 3.0" in page
    assert "penstock_queue_texts 3.0" in page
    assert "Hund" not in page


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"queue": 0}, "queue 0: must be at least 1"),
        ({"queue": 10}, "queue 10: must hold a request of max_texts 50"),
        ({"max_wait": 2.0}, "max_wait 2.0: must be between 0 and 1"),
        ({"deadline": 0.0}, "deadline 0.0: must be above 0"),
        ({"rate": float("inf")}, "rate inf: must be above 0 and finite"),
    ],
)
def test_impossible_limits(limits: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Settings(**limits)


def test_an_answer_does_not_wait_for_the_others_of_its_batch() -> None:
    told, worker = Told(), Worker(Settings())
    told.go.clear()

    async def body() -> None:
        before = ask(worker, told, "before")
        await began(told, 1)
        tasks = [ask(worker, told, text) for text in ("held", "later")]
        await queued(worker, 2)
        told.go.set()
        assert words(await tasks[0]) == ["HELD"]
        assert not tasks[1].done()
        told.hold.set()
        assert words(await tasks[1]) == ["LATER"]
        await before

    with_worker(body(), worker)
    assert told.batches == [["before"], ["held", "later"]]


# --- several threads ----------------------------------------------------------------------------


def test_two_batches_are_computed_at_the_same_time_each_its_share() -> None:
    told, worker = Told(), Worker(Settings(parallel=2))
    told.go.clear()

    async def body() -> list[list[Translation]]:
        tasks = [ask(worker, told, *(f"{request} {n}" for n in range(4))) for request in "ab"]
        await began(told, 2)  # neither has ended
        told.go.set()
        return list(await asyncio.gather(*tasks))

    found = with_worker(body(), worker)
    assert [words(results) for results in found] == [
        [f"{request} {n}" for n in range(4)] for request in "AB"
    ]
    assert sorted(text for batch in told.batches for text in batch) == sorted(
        f"{request} {n}" for request in "ab" for n in range(4)
    )
    assert max(map(len, told.batches)) <= 4


def test_a_single_text_is_computed_while_a_long_batch_is() -> None:
    told, worker = Told(), Worker(Settings(parallel=2))

    async def body() -> None:
        long = ask(worker, told, "held", "more")
        await began(told, 1)
        assert words(await ask(worker, told, "single")) == ["SINGLE"]
        assert not long.done()
        told.hold.set()
        assert words(await long) == ["HELD", "MORE"]

    with_worker(body(), worker)


def test_results_do_not_depend_on_the_threads() -> None:
    translator = random_translator(GERMAN, ENGLISH)
    lines = [" ".join(GERMAN[i % 2].split()[: 1 + i % 6]) for i in range(40)]
    worker = Worker(Settings(parallel=3))

    async def body() -> list[list[Translation]]:
        asked = [worker.translate(translator, [line], OPTIONS) for line in lines]
        return list(await asyncio.gather(*asked))

    found = with_worker(body(), worker)
    alone = [translator.translate([line], OPTIONS)[0] for line in lines]
    assert [(r.text, r.score) for (r,) in found] == [(r.text, r.score) for r in alone]


def test_freed_memory_is_given_back_now_and_then() -> None:
    trimmer = Trimmer(seconds=0.05)
    assert not trimmer.trim_if_due()
    time.sleep(0.06)
    assert trimmer.trim_if_due()
    assert not trimmer.trim_if_due()
