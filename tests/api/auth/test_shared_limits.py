"""Rate limits across processes that use one database: after an exchange, a limit holds for all of them together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from sqlalchemy import Engine, func, select

from api.auth import shared_limits
from api.auth.rate_limits import Limiter, Policy, RateLimits
from api.auth.shared_limits import SharedLimits
from api.errors import DatabaseUnavailable
from api.kit.database import open_database, transaction


class Time:
    """The clock of all processes of a test."""

    now = 1_000_000.0

    def time(self) -> float:
        return self.now


@dataclass
class Process:
    """The limits of one process."""

    engine: Engine
    clock: Time
    limits: RateLimits = field(init=False)
    shared: SharedLimits = field(init=False)

    def __post_init__(self) -> None:
        policies = (Policy("client", 60, 60), Policy("failures", 6, 60), Policy("address", 60, 60))
        self.limits = RateLimits(*(Limiter(policy, self.clock.time) for policy in policies))
        self.shared = SharedLimits(self.engine, self.limits)

    def call(self, count: int, caller: str = "bank-1") -> int:
        """Return how many of some calls were allowed."""
        return sum(self.limits.calls.consume(caller).allowed for _ in range(count))


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = open_database(database)
    yield engine
    engine.dispose()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    clock = Time()
    monkeypatch.setattr(shared_limits, "time", clock)
    return clock


def rows(engine: Engine) -> int:
    with transaction(engine) as connection:
        return connection.scalar(select(func.count()).select_from(shared_limits._buckets)) or 0


@pytest.mark.databases
def test_processes_share_the_calls_of_a_client(engine: Engine, clock: Time) -> None:
    first, second, third = (Process(engine, clock) for _ in range(3))
    assert first.call(40) == 40
    first.shared.exchange()
    assert second.call(10) == 10
    second.shared.exchange()
    assert second.limits.calls.peek("bank-1").left == 10
    assert (second.call(20), second.call(5, "bank-2")) == (10, 5)
    second.shared.exchange()
    # a process that has just started gets the bucket with its first exchange
    assert third.call(1) == 1
    third.shared.exchange()
    assert third.call(5) == 0
    clock.now += 30
    assert third.call(60) == 30


@pytest.mark.databases
def test_calls_during_an_exchange_count(engine: Engine, clock: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    process = Process(engine, clock)
    assert process.call(20) == 20
    taken = process.limits.calls.take_consumed
    monkeypatch.setattr(process.limits.calls, "take_consumed", lambda: (taken(), process.call(30))[0])
    process.shared.exchange()
    assert process.limits.calls.peek("bank-1").left == 10


@pytest.mark.databases
def test_full_buckets_are_deleted_and_an_idle_process_writes_nothing(engine: Engine, clock: Time) -> None:
    process = Process(engine, clock)
    process.shared.exchange()
    assert rows(engine) == 0
    process.call(1)
    process.limits.failures.consume(("bank-1", "203.0.113.7"))
    process.shared.exchange()
    assert rows(engine) == 2
    clock.now += 61
    process.shared.exchange()
    assert rows(engine) == 2
    process.call(1, "bank-2")
    process.shared.exchange()
    assert rows(engine) == 1


def test_strangers_cannot_fill_the_database(engine: Engine, clock: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_limits, "_MAX_BUCKETS", 10)
    process = Process(engine, clock)
    process.call(5, "busy")
    for number in range(100):
        process.call(1, f"stranger {number}")
    process.shared.exchange()
    assert rows(engine) == 10
    other = Process(engine, clock)
    other.call(1, "busy")
    other.shared.exchange()
    assert other.limits.calls.peek("busy").left == 54


def test_a_clock_that_is_set_back_gives_no_calls(engine: Engine, clock: Time) -> None:
    first, second = Process(engine, clock), Process(engine, clock)
    first.call(60)
    first.shared.exchange()
    clock.now -= 30
    second.call(1)
    second.shared.exchange()
    assert second.call(1) == 0


def test_without_the_database_the_limits_of_the_process_hold(
    engine: Engine, clock: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise DatabaseUnavailable

    monkeypatch.setattr(shared_limits, "transaction", fail)
    process = Process(engine, clock)
    assert process.call(70) == 60
    process.shared.exchange()
    assert process.call(1) == 0
