"""Who goes first, who is interrupted, and who has asked for too much."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from penstock.search import ShouldStop
from penstock.serve.inference.cost import Cost, Speeds, count_pieces, units_per_piece
from penstock.serve.inference.fair_shares import FairShares, Share
from penstock.serve.inference.work import in_small_steps
from penstock.serve.inference.worker import Worker
from penstock.serve.middleware.api_keys import new_key
from penstock.serve.service_errors import OverBudgetError, QueueFullError
from penstock.serve.settings import Settings
from penstock.tasks.translation.search_options import SearchOptions
from serving import (
    ENGLISH,
    GERMAN,
    PlainWorker,
    client_of,
    plain_app,
    random_translator,
    real_service,
    until,
)


class Model:
    """Something to measure."""


# --- costs --------------------------------------------------------------------------------------


def test_speeds_are_measured_for_each_model_and_kind_and_follow_changes() -> None:
    speeds, model = Speeds(), Model()
    guess = speeds.seconds(Cost(model, "beam", 100))
    assert 0 < guess < 0.1
    speeds.record(Cost(model, "beam", 100), 5.0)
    assert speeds.seconds(Cost(model, "beam", 10)) == pytest.approx(0.5)
    assert speeds.seconds(Cost(model, "mbr", 100)) == guess
    assert speeds.seconds(Cost(Model(), "beam", 10)) == pytest.approx(0.5), "as the latest"
    for _ in range(40):
        speeds.record(Cost(model, "beam", 100), 1.0)
    assert speeds.seconds(Cost(model, "beam", 10)) == pytest.approx(0.1, rel=0.1)
    speeds.record(Cost(model, "beam", 0), 0.0)  # blank texts


def test_pieces_are_counted_a_little_at_a_time() -> None:
    tokenizer = random_translator(GERMAN, ENGLISH).bundle.source_tokenizer
    for texts in ([], ["a"], [GERMAN[0] * 300, "", GERMAN[1], "b " * 5000, *GERMAN], ["c"] * 3000):
        found = asyncio.run(count_pieces(tokenizer, texts))
        assert found == [len(tokenizer.encode(text)) + 1 for text in texts]


def test_an_estimate_that_rejects_is_tried_again() -> None:
    speeds, work = Speeds(), Cost(Model(), "mbr", 100)
    speeds.record(work, 500.0)
    for _ in range(50):
        speeds.doubt(work)
    assert 1.0 < speeds.seconds(work) < 8.0
    speeds.record(work, 500.0)
    assert speeds.seconds(work) > 200


def test_a_search_costs_what_it_extends() -> None:
    config = random_translator(GERMAN, ENGLISH).bundle.config.search

    def units(**options: Any) -> float:
        return units_per_piece(SearchOptions(**options), config, 100)

    assert units() == config.beam_size == 5
    assert units(search="greedy") == 1
    assert units(beam_size=16) == 16
    assert units(search="mbr") == units(search="sample", samples=32) == 32
    assert units(search="mbr", mbr_from="beam", beam_size=8) == 8
    assert units(search="exact") == 100
    assert units(max_length_ratio=10) > units()


@pytest.mark.parametrize(
    ("options", "batch"),
    [
        (SearchOptions(), 64),
        (SearchOptions(search="greedy"), 64),
        (SearchOptions(beam_size=16), 20),
        (SearchOptions(search="mbr"), 10),
    ],
)
def test_a_step_extends_no_more_than_a_usual_batch(options: SearchOptions, batch: int) -> None:
    config = random_translator(GERMAN, ENGLISH).bundle.config.search
    assert in_small_steps(options, config).batch == batch


# --- shares -------------------------------------------------------------------------------------


def shares(*, parallel: int = 1, deadline: float = 8.0) -> FairShares:
    return FairShares(parallel=parallel, deadline=deadline)


def admitted(fair: FairShares, name: str, cost: float, **rest: Any) -> Share:
    return fair.admit(name, cost=cost, deadline=None, **rest)


def finished(fair: FairShares, arrivals: list[tuple[float, str, float]]) -> list[float]:
    """When each request is done on one thread that computes 10 ms at a time of what is next.

    `arrivals` are times, clients and costs, in order of time.
    """
    done = [0.0] * len(arrivals)
    waiting: dict[Share, int] = {}
    now, coming = 0.0, 0
    while coming < len(arrivals) or waiting:
        while coming < len(arrivals) and (arrivals[coming][0] <= now or not waiting):
            now = max(now, arrivals[coming][0])
            waiting[admitted(fair, *arrivals[coming][1:])] = coming
            coming += 1
        share = min(waiting, key=lambda each: each.finish)
        now += 0.01
        fair.charge(share, 0.01)
        if share.had > share.cost - 1e-6:
            fair.release(share)
            done[waiting.pop(share)] = now
    return done


@pytest.mark.parametrize("client", ["ann", "bob"])
def test_a_small_request_goes_before_large_ones_of_any_client(client: str) -> None:
    large = [(0.0, "ann", 2.0), (0.0, "ann", 2.0)]
    small = [(0.5 + i / 2, client, 0.05) for i in range(6)]
    done = finished(shares(), large + small)
    assert all(end - arrival[0] <= 0.07 for end, arrival in zip(done[2:], small, strict=True))
    assert max(done) == pytest.approx(4.3, abs=0.05), "and nothing is wasted"


def test_no_request_waits_longer_than_if_all_were_computed_at_once() -> None:
    random = Random(1)
    for _ in range(20):
        costs = [random.randint(1, 60) / 100 for _ in range(8)]
        names = [random.choice("abc") for _ in costs]
        done = finished(shares(), [(0.0, *each) for each in zip(names, costs, strict=True)])
        clients = len(set(names))
        for name, cost, end in zip(names, costs, done, strict=True):
            own = sum(min(c, cost) for n, c in zip(names, costs, strict=True) if n == name)
            assert end <= clients * own + 0.02


def test_a_client_that_always_has_small_requests_does_not_stop_a_large_one() -> None:
    flood = [(0.05 * i, "bob", 0.05) for i in range(100)]
    done = finished(shares(), [(0.0, "ann", 1.0), *flood])
    assert 1.0 < done[0] < 2.2, "half of the machine each"


def test_nobody_saves_time_for_later() -> None:
    fair = shares()
    early = admitted(fair, "ann", 1.0)
    fair.charge(early, 0.9)
    late = admitted(fair, "bob", 0.5)
    assert late.client.used == pytest.approx(0.9)
    fair.release(early)
    fair.release(late)
    assert admitted(fair, "ann", 0.1).client.used == 0.0, "the machine was idle"


def test_streams_take_turns_and_a_sentence_goes_before_a_long_one() -> None:
    fair = shares()
    first, second = (admitted(fair, "ann", 1.0, is_stream=True) for _ in range(2))
    fair.charge(first, 0.5)
    assert second.finish < first.finish
    sentence = admitted(fair, "ann", 0.05)
    assert second.finish < first.finish
    fair.charge(second, 0.5)
    assert sentence.finish < second.finish


def test_what_takes_longer_than_estimated_is_large() -> None:
    fair = shares()
    wrong = admitted(fair, "ann", 0.01)
    fair.charge(wrong, 1.0)
    assert wrong.left == pytest.approx(1.0)
    assert admitted(fair, "ann", 0.5).finish < wrong.finish


def test_a_client_may_ask_for_its_share_and_others_are_admitted() -> None:
    fair = shares(parallel=2)
    with pytest.raises(OverBudgetError) as error:
        admitted(fair, "ann", 17.0)
    assert "this request takes about 17.0 s of computing; at most 16.0 s" in str(error.value)
    first = admitted(fair, "ann", 10.0)
    with pytest.raises(
        OverBudgetError, match=r"^10\.0 s are pending, and this request takes about"
    ):
        admitted(fair, "ann", 7.0)
    second = admitted(fair, "ann", 5.0)
    admitted(fair, "bob", 7.9)
    with pytest.raises(OverBudgetError, match=r"at most 8\.0 s per client"):
        admitted(fair, "ann", 0.1)
    with pytest.raises(QueueFullError, match="takes longer than a request may"):
        admitted(fair, "eve", 6.0)
    admitted(fair, "eve", 5.0)
    fair.release(first)
    fair.release(second)
    assert admitted(fair, "ann", 1.0).client.texts == 0


def test_a_stream_has_longer_and_may_cost_more() -> None:
    fair = shares()
    fair.admit("ann", cost=50.0, deadline=60.0, is_stream=True)
    with pytest.raises(OverBudgetError):
        fair.admit("ann", cost=50.0, deadline=60.0, is_stream=True)


# --- the threads --------------------------------------------------------------------------------


class Held:
    """A call that takes until a test lets it end, step by step."""

    def __init__(self) -> None:
        self.has_begun, self.may_end = threading.Event(), threading.Event()

    def __call__(self, stop: ShouldStop) -> str:
        self.has_begun.set()
        while not self.may_end.is_set():
            assert not stop()
            time.sleep(0.001)
        return "long"


def cost(seconds: float) -> Cost:
    return Cost(Model(), "call", seconds / Speeds().seconds(Cost(Model(), "call", 1)))


def with_worker(settings: Settings, body: Any) -> None:
    async def run() -> None:
        worker = Worker(settings)
        try:
            await asyncio.wait_for(body(worker), 20)
        finally:
            await worker.close(drain=False)

    asyncio.run(run())


@pytest.mark.parametrize("client", ["ann", "bob"])
def test_a_small_request_is_answered_in_the_middle_of_a_large_one(client: str) -> None:
    held = Held()
    translator = random_translator(GERMAN, ENGLISH)

    async def body(worker: Worker) -> None:
        large = asyncio.create_task(worker.call(held, cost=cost(4.0), client="ann"))
        await asyncio.to_thread(until, held.has_begun.is_set)
        (found,) = await worker.translate(translator, GERMAN[:1], SearchOptions(), client=client)
        assert found.text == translator.translate(GERMAN[:1])[0].text
        assert await worker.call(lambda _: 7, cost=cost(0.1), client=client) == 7
        assert not large.done()
        held.may_end.set()
        assert await large == "long"

    with_worker(Settings(), body)


def test_a_request_of_the_same_size_waits() -> None:
    held = Held()

    async def body(worker: Worker) -> None:
        large = asyncio.create_task(worker.call(held, cost=cost(2.0), client="ann"))
        await asyncio.to_thread(until, held.has_begun.is_set)
        other = asyncio.create_task(worker.call(lambda _: "other", cost=cost(1.9), client="bob"))
        await asyncio.sleep(0.1)
        assert not other.done()
        held.may_end.set()
        assert await large == "long"
        assert await other == "other"

    with_worker(Settings(), body)


def test_the_time_of_an_interruption_is_not_the_interrupted_one_s() -> None:
    held, nap = Held(), cost(0.01)

    async def body(worker: Worker) -> None:
        large = cost(4.0)
        task = asyncio.create_task(worker.call(held, cost=large, client="ann"))
        await asyncio.to_thread(until, held.has_begun.is_set)
        await worker.call(lambda _: time.sleep(0.3), cost=nap, client="bob")
        held.may_end.set()
        await task
        assert worker._speeds.seconds(large) < 0.25
        assert worker._speeds.seconds(nap) >= 0.25

    with_worker(Settings(), body)


def test_too_much_is_rejected_before_it_runs() -> None:
    async def body(worker: Worker) -> None:
        with pytest.raises(OverBudgetError, match=r"about 600\.0 s of computing; at most 8\.0 s"):
            await worker.call(lambda _: 1 // 0, cost=cost(600), deadline=8.0)
        assert b'penstock_refused_total{reason="over_budget"} 1.0' in worker.metrics.page(0)
        assert await worker.call(lambda _: 7, cost=cost(7), deadline=8.0) == 7

    with_worker(Settings(), body)


def test_a_queue_that_one_client_has_filled_takes_texts_of_another() -> None:
    held = Held()

    async def body(worker: Worker) -> None:
        large = asyncio.create_task(worker.call(held, client="ann"))
        await asyncio.to_thread(until, held.has_begun.is_set)
        calls = [
            asyncio.create_task(worker.call(lambda _: None, client="ann", texts=2, cost=cost(0.1)))
            for _ in range(2)
        ]
        while worker.waiting < 4:
            await asyncio.sleep(0.001)
        with pytest.raises(QueueFullError, match="4 of at most 4 texts are queued"):
            await worker.call(lambda _: None, client="ann", cost=cost(0.1))
        calls.append(
            asyncio.create_task(worker.call(lambda _: None, client="bob", texts=2, cost=cost(0.1)))
        )
        while worker.waiting < 6:
            await asyncio.sleep(0.001)
        held.may_end.set()
        await asyncio.gather(large, *calls)

    with_worker(Settings(queue=4, max_texts=4), body)


# --- over HTTP ----------------------------------------------------------------------------------


def test_a_request_that_costs_too_much_is_told_how_much() -> None:
    with real_service(Settings()) as url:
        fill = {"texts": ["___ " * 1200] * 20}
        answer = httpx.post(f"{url}/v1/fill", json=fill, timeout=20)
        assert answer.status_code == 429
        assert answer.json()["error"]["code"] == "over_budget"
        assert "at most 8.0 s per client" in answer.json()["error"]["message"]
        assert int(answer.headers["Retry-After"]) >= 1
        few = httpx.post(f"{url}/v1/fill", json={"texts": ["the ___ sees"]}, timeout=20)
        assert few.status_code == 200


def test_clients_are_told_apart_by_key_or_address(tmp_path: Path) -> None:
    key, line = new_key("ann")
    (tmp_path / "keys").write_text(line, encoding="utf-8")
    worker = PlainWorker()
    client = client_of(plain_app(Settings(api_keys=tmp_path / "keys"), worker=worker))
    body = {"q": GERMAN[0], "source": "de", "target": "en"}
    assert client.post("/translate", json=body | {"api_key": key}).status_code == 200
    header = {"Authorization": f"Bearer {key}"}
    assert client.post("/translate", json=body, headers=header).status_code == 200
    client = client_of(plain_app(worker=worker))
    assert client.post("/translate", json=body).status_code == 200
    assert worker.clients == ["key ann", "key ann", "testclient"]
