"""Those who ask at once are answered together: each in its place, each failing alone, no queue behind another's."""

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


class Asked:
    """Answers by a function, batch by batch, and keeps what was asked; the first waits to be let go."""

    def __init__(self, answer: Callable[[int], Any]) -> None:
        self.batches: list[list[int]] = []
        self.began, self.goes_on = threading.Event(), threading.Event()
        self._answer = answer

    def __call__(self, questions: Sequence[int]) -> list[Any]:
        self.batches.append(list(questions))
        self.began.set()
        assert self.goes_on.wait(PATIENCE)
        return [self._answer(each) for each in questions]


@pytest.fixture
def batches() -> Iterator[RequestBatcher]:
    made = RequestBatcher()
    yield made
    made.close()


def at_once(batches: RequestBatcher, asked: Asked, questions: Sequence[int]) -> list[Any]:
    """Let all wait behind one who is at work; return the results or errors of those who waited."""

    async def all_of_them() -> list[Any]:
        first = begun(batches, asked, 0)
        await until(asked.began.is_set)
        others = [begun(batches, asked, each) for each in questions]
        await asyncio.sleep(0)
        asked.goes_on.set()
        assert await first == 0
        return await asyncio.gather(*others, return_exceptions=True)

    return asyncio.run(all_of_them())


def begun(batches: RequestBatcher, asked: Asked, question: int, queue: str | int | None = None) -> asyncio.Task[int]:
    return asyncio.create_task(batches.submit(asked, question, queue))


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not is_so():
            await asyncio.sleep(0.001)


def test_those_who_wait_are_answered_together_and_in_their_places(batches: RequestBatcher) -> None:
    asked = Asked(lambda each: 2 * each)
    assert at_once(batches, asked, range(1, 13)) == list(range(2, 26, 2))
    assert asked.batches == [[0], list(range(1, 13))]


def test_a_batch_has_an_end(batches: RequestBatcher) -> None:
    asked = Asked(lambda each: each)
    many = range(1, 2 * MAX_BATCH + 2)
    assert at_once(batches, asked, many) == list(many)
    assert [len(each) for each in asked.batches] == [1, MAX_BATCH, MAX_BATCH, 1]


def test_one_who_is_refused_is_refused_alone(batches: RequestBatcher) -> None:
    asked = Asked(lambda each: ScoreUnknown() if each == 2 else each)
    found = at_once(batches, asked, [1, 2, 3])
    assert [type(each) for each in found] == [int, ScoreUnknown, int]
    assert len(asked.batches) == 2


def test_where_a_batch_fails_each_is_answered_alone(batches: RequestBatcher) -> None:
    asked = Asked(lambda each: each if each != 2 else 1 // 0)
    found = at_once(batches, asked, [1, 2, 3])
    assert [type(each) for each in found] == [int, ZeroDivisionError, int]
    assert asked.batches == [[0], [1, 2, 3], [1], [2], [3]]


def test_where_the_database_fails_all_are_told_and_nothing_is_tried_again(batches: RequestBatcher) -> None:
    def away(each: int) -> int:
        if each:
            raise DatabaseUnavailable
        return each

    asked = Asked(away)
    found = at_once(batches, asked, [1, 2, 3])
    assert [type(each) for each in found] == [DatabaseUnavailable] * 3
    assert len({id(each) for each in found}) == 3
    assert len(asked.batches) == 2


def test_a_queue_waits_for_no_other(batches: RequestBatcher) -> None:
    asked = Asked(lambda each: each)

    async def side_by_side() -> None:
        stuck = begun(batches, asked, 1, "one bank")
        await until(asked.began.is_set)
        swift = begun(batches, asked, 2, "another bank")
        await until(lambda: len(asked.batches) == 2)
        asked.goes_on.set()
        assert (await stuck, await swift) == (1, 2)

    asyncio.run(side_by_side())
    assert asked.batches == [[1], [2]]


def test_many_queues_are_all_worked_off(batches: RequestBatcher) -> None:
    asked = Asked(lambda each: each)
    asked.goes_on.set()

    async def many() -> list[int]:
        return await asyncio.gather(*(batches.submit(asked, number, number % 50) for number in range(2_000)))

    assert asyncio.run(many()) == list(range(2_000))


def test_who_gave_up_is_left_out(batches: RequestBatcher) -> None:
    asked = Asked(lambda each: each)

    async def give_up() -> None:
        first = begun(batches, asked, 0)
        await until(asked.began.is_set)
        one, other = begun(batches, asked, 1), begun(batches, asked, 2)
        await asyncio.sleep(0)
        assert one.cancel()
        await asyncio.wait([one])
        asked.goes_on.set()
        assert (await first, await other) == (0, 2)

    asyncio.run(give_up())
    assert asked.batches == [[0], [2]]


def test_who_gives_up_meanwhile_hinders_nobody(batches: RequestBatcher) -> None:
    asked = Asked(lambda each: each)

    async def give_up() -> None:
        first = begun(batches, asked, 0)
        await until(asked.began.is_set)
        second = begun(batches, asked, 1)
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        asked.goes_on.set()
        assert await second == 1

    asyncio.run(give_up())


def test_many_loops_share_batches(batches: RequestBatcher) -> None:
    asked = Asked(lambda each: each)
    asked.goes_on.set()
    with ThreadPoolExecutor(16) as pool:
        coming = [pool.submit(asyncio.run, batches.submit(asked, number)) for number in range(200)]
        assert [each.result(PATIENCE) for each in coming] == list(range(200))


def test_closing_answers_those_who_wait() -> None:
    batches, asked = RequestBatcher(), Asked(lambda each: each)

    async def closed() -> None:
        first = begun(batches, asked, 0)
        await until(asked.began.is_set)
        second = begun(batches, asked, 1)
        await asyncio.sleep(0)
        closing = asyncio.create_task(asyncio.to_thread(batches.close))
        await asyncio.sleep(0.1)
        asked.goes_on.set()
        assert (await first, await second) == (0, 1)
        await closing

    asyncio.run(closed())


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, StopIteration])
def test_whatever_is_raised_or_given_somebody_is_told(batches: RequestBatcher, error: type[BaseException]) -> None:
    """A future takes no StopIteration, and a thread that ended would leave its queue for ever."""

    def fails(_: Sequence[int]) -> list[int]:
        raise error

    def too_few(_: Sequence[int]) -> list[int]:
        return []

    async def told() -> list[Any]:
        coming = [batches.submit(answer, number) for answer in (fails, too_few) for number in range(3)]
        return await asyncio.wait_for(asyncio.gather(*coming, return_exceptions=True), PATIENCE)

    found = asyncio.run(told())
    assert [type(each) for each in found] == [RuntimeError] * 3 + [ValueError] * 3
    assert asyncio.run(batches.submit(lambda each: each, 4)) == 4


def test_where_no_thread_can_begin_the_next_one_tries_again(
    batches: RequestBatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Asked(lambda each: each)
    asked.goes_on.set()
    with monkeypatch.context() as full:

        def none_left(*_: object) -> None:
            raise RuntimeError("can't start new thread")

        full.setattr(ThreadPoolExecutor, "submit", none_left)
        with pytest.raises(RuntimeError, match="new thread"):
            asyncio.run(batches.submit(asked, 1))
    assert asyncio.run(batches.submit(asked, 2)) == 2


def test_who_has_waited_too_long_is_told_and_not_begun(
    batches: RequestBatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.kit.batching._MAX_WAIT_SECONDS", 0.05)
    asked = Asked(lambda each: each)

    async def stuck() -> list[Any]:
        first = begun(batches, asked, 0)
        await until(asked.began.is_set)
        others = [begun(batches, asked, each) for each in (1, 2)]
        await asyncio.sleep(0.2)
        late = begun(batches, asked, 3)
        await asyncio.sleep(0)
        asked.goes_on.set()
        return await asyncio.gather(first, *others, late, return_exceptions=True)

    found = asyncio.run(stuck())
    assert [type(each) for each in found] == [int, DatabaseUnavailable, DatabaseUnavailable, int]
    assert asked.batches == [[0], [3]]


def test_questions_of_one_kind_take_no_thread_from_another(batches: RequestBatcher) -> None:
    stuck, swift = Asked(lambda each: each), Asked(lambda each: each)
    swift.goes_on.set()

    async def side_by_side() -> None:
        many = [begun(batches, stuck, number, number) for number in range(100)]
        await until(stuck.began.is_set)
        assert await asyncio.wait_for(batches.submit(swift, 7), PATIENCE) == 7
        stuck.goes_on.set()
        assert await asyncio.gather(*many) == list(range(100))

    asyncio.run(side_by_side())
