"""Request batching: concurrent requests share a call, each gets its own response, and no queue blocks another."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from api.errors import DatabaseUnavailable, ScoreUnknown
from api.kit.batching import MAX_BATCH, RequestBatcher

PATIENCE = 30


class Handler:
    """Responds with a function, records the batches, and waits in each call until it is released."""

    def __init__(self, respond: Callable[[int], Any] = lambda number: number) -> None:
        self.batches: list[list[int]] = []
        self.started, self.released = threading.Event(), threading.Event()
        self._respond = respond

    def __call__(self, numbers: Sequence[int]) -> list[Any]:
        self.batches.append(list(numbers))
        self.started.set()
        assert self.released.wait(PATIENCE)
        return [self._respond(number) for number in numbers]


@pytest.fixture
def batcher() -> Iterator[RequestBatcher]:
    batcher = RequestBatcher()
    yield batcher
    batcher.close()


def submit(batcher: RequestBatcher, handler: Handler, number: int, queue: str | int | None = None) -> asyncio.Task[int]:
    return asyncio.create_task(batcher.submit(handler, number, queue))


async def wait_until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.001)


async def submit_waiting(batcher: RequestBatcher, handler: Handler, numbers: Sequence[int]) -> list[asyncio.Task[int]]:
    """Submit 0, which the handler starts with, and then numbers, which wait for it."""
    first = submit(batcher, handler, 0)
    await wait_until(handler.started.is_set)
    tasks = [first, *(submit(batcher, handler, number) for number in numbers)]
    await asyncio.sleep(0)
    return tasks


def responses(batcher: RequestBatcher, handler: Handler, numbers: Sequence[int]) -> list[Any]:
    """Return the responses or errors of requests that waited for the handler together."""

    async def run() -> list[Any]:
        tasks = await submit_waiting(batcher, handler, numbers)
        handler.released.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    return asyncio.run(run())[1:]


@pytest.mark.parametrize(("count", "sizes"), [(12, [1, 12]), (2 * MAX_BATCH + 1, [1, MAX_BATCH, MAX_BATCH, 1])])
def test_waiting_requests_form_batches_of_limited_size(batcher: RequestBatcher, count: int, sizes: list[int]) -> None:
    handler = Handler(lambda number: 2 * number)
    assert responses(batcher, handler, range(1, count + 1)) == [2 * number for number in range(1, count + 1)]
    assert [len(batch) for batch in handler.batches] == sizes


def failing(error: type[Exception], numbers: Sequence[int]) -> Callable[[int], int]:
    def respond(number: int) -> int:
        if number in numbers:
            raise error
        return number

    return respond


@pytest.mark.parametrize(
    ("respond", "expected", "batches"),
    [
        (lambda number: ScoreUnknown() if number == 2 else number, [int, ScoreUnknown, int], [[0], [1, 2, 3]]),
        (failing(ZeroDivisionError, [2]), [int, ZeroDivisionError, int], [[0], [1, 2, 3], [1], [2], [3]]),
        (failing(DatabaseUnavailable, [2]), [DatabaseUnavailable] * 3, [[0], [1, 2, 3]]),
    ],
    ids=["returned for one request", "raised by the batch, which is handled one by one", "not retried on the database"],
)
def test_an_error_reaches_the_requests_that_it_belongs_to(
    batcher: RequestBatcher, respond: Callable[[int], Any], expected: list[type], batches: list[list[int]]
) -> None:
    handler = Handler(respond)
    results = responses(batcher, handler, [1, 2, 3])
    assert [type(result) for result in results] == expected
    assert len({id(result) for result in results}) == 3
    assert handler.batches == batches


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, StopIteration])
def test_no_exception_leaves_a_request_without_response(batcher: RequestBatcher, error: type[BaseException]) -> None:
    """A future accepts no StopIteration, and a thread that ended would leave its queue for ever."""

    def fails(_: Sequence[int]) -> list[int]:
        raise error

    def too_few(_: Sequence[int]) -> list[int]:
        return []

    async def run() -> list[Any]:
        requests = [batcher.submit(handler, number) for handler in (fails, too_few) for number in range(3)]
        return await asyncio.wait_for(asyncio.gather(*requests, return_exceptions=True), PATIENCE)

    assert [type(result) for result in asyncio.run(run())] == [RuntimeError] * 3 + [ValueError] * 3
    assert asyncio.run(batcher.submit(lambda numbers: numbers, 4)) == 4


def test_queues_and_handlers_do_not_wait_for_one_another(batcher: RequestBatcher) -> None:
    stuck, quick = Handler(), Handler()
    quick.released.set()

    async def run() -> None:
        tasks = [submit(batcher, stuck, number, number) for number in range(100)]
        await wait_until(lambda: len(stuck.batches) >= 2)
        assert await asyncio.wait_for(batcher.submit(quick, 7), PATIENCE) == 7
        stuck.released.set()
        assert await asyncio.gather(*tasks) == list(range(100))

    asyncio.run(run())


def test_many_queues_and_event_loops_share_the_threads(batcher: RequestBatcher) -> None:
    handler = Handler()
    handler.released.set()

    async def run() -> list[int]:
        return await asyncio.gather(*(batcher.submit(handler, number, number % 50) for number in range(2_000)))

    assert asyncio.run(run()) == list(range(2_000))
    with ThreadPoolExecutor(16) as pool:
        loops = [pool.submit(asyncio.run, batcher.submit(handler, number)) for number in range(200)]
        assert [loop.result(PATIENCE) for loop in loops] == list(range(200))


def test_cancelled_requests_are_left_out_and_delay_nobody(batcher: RequestBatcher) -> None:
    handler = Handler()

    async def run() -> None:
        running, waiting, other = await submit_waiting(batcher, handler, [1, 2])
        for task in (running, waiting):
            assert task.cancel()
        await asyncio.wait([running, waiting])
        handler.released.set()
        assert await other == 2

    asyncio.run(run())
    assert handler.batches == [[0], [2]]


def test_requests_that_wait_when_the_batcher_closes_are_handled() -> None:
    batcher, handler = RequestBatcher(), Handler()

    async def run() -> None:
        tasks = await submit_waiting(batcher, handler, [1])
        closing = asyncio.create_task(asyncio.to_thread(batcher.close))
        await asyncio.sleep(0.1)
        handler.released.set()
        assert await asyncio.gather(*tasks) == [0, 1]
        await closing

    asyncio.run(run())


def test_a_request_for_which_no_thread_can_start_fails_alone(
    batcher: RequestBatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_thread(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    handler = Handler()
    handler.released.set()
    with monkeypatch.context() as patch:
        patch.setattr(ThreadPoolExecutor, "submit", no_thread)
        with pytest.raises(RuntimeError, match="new thread"):
            asyncio.run(batcher.submit(handler, 1))
    assert asyncio.run(batcher.submit(handler, 2)) == 2


def test_requests_that_waited_too_long_fail_unhandled(batcher: RequestBatcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.kit.batching._MAX_WAIT_SECONDS", 0.05)
    handler = Handler()

    async def run() -> list[Any]:
        tasks = await submit_waiting(batcher, handler, [1, 2])
        await asyncio.sleep(0.2)
        tasks.append(submit(batcher, handler, 3))
        await asyncio.sleep(0)
        handler.released.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(result) for result in asyncio.run(run())] == [int, DatabaseUnavailable, DatabaseUnavailable, int]
    assert handler.batches == [[0], [3]]
