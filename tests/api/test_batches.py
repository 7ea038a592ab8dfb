"""Those who ask at once are answered together: each in its place, each failing alone, no queue behind another's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from typing import Any

import pytest

from api.batches import AT_ONCE, Batches
from api.errors import DatabaseUnavailable, ScoreUnknown

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
def batches() -> Iterator[Batches]:
    made = Batches()
    yield made
    made.close()


def at_once(batches: Batches, asked: Asked, questions: Sequence[int]) -> list[Any]:
    """Let all wait behind one who is at work; return the results or errors of those who waited."""
    first = batches.ask(asked, 0)
    assert asked.began.wait(PATIENCE)
    others = [batches.ask(asked, each) for each in questions]
    asked.goes_on.set()
    assert first.result(PATIENCE) == 0
    return [each.exception(PATIENCE) or each.result() for each in others]


def test_those_who_wait_are_answered_together_and_in_their_places(batches: Batches) -> None:
    asked = Asked(lambda each: 2 * each)
    assert at_once(batches, asked, range(1, 13)) == list(range(2, 26, 2))
    assert asked.batches == [[0], list(range(1, 13))]


def test_a_batch_has_an_end(batches: Batches) -> None:
    asked = Asked(lambda each: each)
    many = range(1, 2 * AT_ONCE + 2)
    assert at_once(batches, asked, many) == list(many)
    assert [len(each) for each in asked.batches] == [1, AT_ONCE, AT_ONCE, 1]


def test_one_who_is_refused_is_refused_alone(batches: Batches) -> None:
    asked = Asked(lambda each: ScoreUnknown() if each == 2 else each)
    found = at_once(batches, asked, [1, 2, 3])
    assert [type(each) for each in found] == [int, ScoreUnknown, int]
    assert len(asked.batches) == 2


def test_where_a_batch_fails_each_is_answered_alone(batches: Batches) -> None:
    asked = Asked(lambda each: each if each != 2 else 1 // 0)
    found = at_once(batches, asked, [1, 2, 3])
    assert [type(each) for each in found] == [int, ZeroDivisionError, int]
    assert asked.batches == [[0], [1, 2, 3], [1], [2], [3]]


def test_where_the_database_fails_all_are_told_and_nothing_is_tried_again(batches: Batches) -> None:
    def away(each: int) -> int:
        if each:
            raise DatabaseUnavailable
        return each

    asked = Asked(away)
    found = at_once(batches, asked, [1, 2, 3])
    assert [type(each) for each in found] == [DatabaseUnavailable] * 3
    assert len({id(each) for each in found}) == 3
    assert len(asked.batches) == 2


def test_a_queue_waits_for_no_other(batches: Batches) -> None:
    stuck, swift = Asked(lambda each: each), Asked(lambda each: each)
    swift.goes_on.set()
    waiting = batches.ask(stuck, 1, "one bank")
    assert stuck.began.wait(PATIENCE)
    assert batches.ask(swift, 2, "another bank").result(PATIENCE) == 2
    assert batches.ask(stuck, 3, "one bank").running() is waiting.done() is False
    stuck.goes_on.set()


def test_many_queues_are_all_worked_off(batches: Batches) -> None:
    asked = Asked(lambda each: each)
    asked.goes_on.set()
    coming = [batches.ask(asked, number, number % 50) for number in range(2_000)]
    assert [each.result(PATIENCE) for each in coming] == list(range(2_000))


def test_who_gave_up_is_left_out(batches: Batches) -> None:
    asked = Asked(lambda each: each)
    first = batches.ask(asked, 0)
    assert asked.began.wait(PATIENCE)
    one, other = batches.ask(asked, 1), batches.ask(asked, 2)
    assert one.cancel()
    asked.goes_on.set()
    assert (first.result(PATIENCE), other.result(PATIENCE)) == (0, 2)
    assert asked.batches == [[0], [2]]
    with pytest.raises(CancelledError):
        one.result(PATIENCE)


def test_closing_answers_those_who_wait() -> None:
    batches, asked = Batches(), Asked(lambda each: each)
    first = batches.ask(asked, 0)
    assert asked.began.wait(PATIENCE)
    second = batches.ask(asked, 1)
    closing = threading.Thread(target=batches.close)
    closing.start()
    asked.goes_on.set()
    closing.join(PATIENCE)
    assert (first.result(PATIENCE), second.result(PATIENCE)) == (0, 1)
