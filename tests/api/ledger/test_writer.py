"""Many who append at once share commits: each gets its own row, and fails alone; a database that fails tells all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.exc import OperationalError

from api.errors import DatabaseUnavailable, ScoreUnknown
from api.ledger.chain import Row, Tip
from api.ledger.service import Draft, Seller
from api.ledger.writer import Work, Writer
from tests.api.ledger.conftest import CHAINS, NOW, Made

Run = Callable[[Connection, Seller, Tip], tuple[Row, int]]


def appends(made: Made, chain: str, number: int) -> Run:
    def run(connection: Connection, seller: Seller, tip: Tip) -> tuple[Row, int]:
        return made.ledger.append(connection, seller, Draft(chain, "note", b'{"n":%d}' % number, NOW), tip), number

    return run


def refuses(error: Exception) -> Callable[[Connection, Seller, Tip], Any]:
    def run(*_: object) -> None:
        raise error

    return run


def commits(made: Made) -> list[int]:
    found: list[int] = []
    event.listen(made.engine, "commit", lambda _: found.append(1))
    return found


def at_once(made: Made, works: list[Work[Any]], held: Writer) -> list[Any]:
    """Let all wait behind one who is at work, so that they are in one transaction; return results or errors."""
    goes_on, began = threading.Event(), threading.Event()
    first = appends(made, CHAINS[0], 0)

    def slow(connection: Connection, seller: Seller, tip: Tip) -> tuple[Row, int]:
        began.set()
        assert goes_on.wait(30)
        return first(connection, seller, tip)

    def told(work: Work[Any]) -> Any:
        try:
            return held.append(work)
        except Exception as error:  # noqa: BLE001 - looked at by the test
            return error

    with ThreadPoolExecutor(len(works) + 1) as pool:
        leader = pool.submit(held.append, Work("S-0", CHAINS[0], slow))
        assert began.wait(30)
        others = [pool.submit(told, work) for work in works]
        queue = held._queues["" if held._is_one else CHAINS[0]]
        while len(queue.waiting) < len(works):
            time.sleep(0.001)
        goes_on.set()
        leader.result(30)
        return [each.result(30) for each in others]


def test_those_who_wait_share_one_commit(empty: Made) -> None:
    writer, done = Writer(empty.engine, empty.ledger), commits(empty)
    works = [Work(f"S-{number % 3}", CHAINS[0], appends(empty, CHAINS[0], number)) for number in range(1, 13)]
    assert at_once(empty, works, writer) == list(range(1, 13))
    assert len(done) == 2
    assert [row.header.position for row in empty.rows(CHAINS[0])] == list(range(1, 14))
    assert empty.verify().faults == ()


def test_one_who_fails_fails_alone(empty: Made) -> None:
    writer = Writer(empty.engine, empty.ledger)
    works: list[Work[Any]] = [Work("S-1", CHAINS[0], appends(empty, CHAINS[0], number)) for number in range(1, 6)]
    works.insert(2, Work("S-2", CHAINS[0], refuses(ScoreUnknown())))
    works.insert(4, Work("S-2", CHAINS[0], refuses(ZeroDivisionError())))
    found = at_once(empty, works, writer)
    assert [type(each) for each in found] == [int, int, ScoreUnknown, int, ZeroDivisionError, int, int]
    report = empty.verify()
    assert (report.rows, report.faults) == (6, ())


def test_where_the_database_fails_all_are_told_and_nothing_is_tried_again(empty: Made) -> None:
    writer, runs = Writer(empty.engine, empty.ledger), []

    def run(connection: Connection, seller: Seller, tip: Tip) -> tuple[Row, int]:
        runs.append(1)
        return appends(empty, CHAINS[0], 7)(connection, seller, tip)

    def away(*_: object) -> tuple[Row, int]:
        raise OperationalError("", {}, Exception("gone"))

    works: list[Work[Any]] = [Work("S-1", CHAINS[0], run) for _ in range(3)]
    found = at_once(empty, [*works, Work("S-1", CHAINS[0], away)], writer)
    assert [type(each) for each in found] == [DatabaseUnavailable] * 4
    assert len({id(each) for each in found}) == 4
    assert len(runs) == 3
    report = empty.verify()
    assert (report.rows, report.faults) == (1, ())
    assert writer.append(Work("S-1", CHAINS[0], run)) == 7


@pytest.mark.parametrize("writers", [1, 2])
def test_many_at_once_with_erasures_between_leave_it_whole(empty: Made, writers: int) -> None:
    """Two writers are two processes."""
    ways = [Writer(empty.engine, empty.ledger) for _ in range(writers)]

    def work(caller: int) -> None:
        for number in range(10):
            if caller == 0 and number % 3 == 0:
                empty.erase("S-0")
                continue
            chain = CHAINS[(caller + number) % 2]
            ways[caller % writers].append(Work(f"S-{number % 3}", chain, appends(empty, chain, number)))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert empty.verify().faults == ()
    notes = [row for chain in CHAINS for row in empty.rows(chain) if row.header.kind == "note"]
    assert len(notes) == 7 * 10 + 6
