"""The circuit breaker, with a clock of its own."""

from __future__ import annotations

from api.kit.circuit_breaker import FAILURES, PAUSE_SECONDS, CircuitBreaker


def test_it_opens_after_failures_in_a_row_and_admits_one_call_after_each_pause() -> None:
    now = [100.0]
    breaker = CircuitBreaker(lambda: now[0])
    for ok in (False, False, True, *[False] * FAILURES):
        assert breaker.admits()
        breaker.record(ok=ok)
    assert breaker.is_open
    for _ in range(2):
        assert not breaker.admits()
        now[0] += PAUSE_SECONDS
        assert [breaker.admits(), breaker.admits()] == [True, False], "one call tests the service"
        breaker.record(ok=False)
    now[0] += PAUSE_SECONDS
    assert breaker.admits()
    breaker.record(ok=True)
    assert not breaker.is_open
    assert [breaker.admits(), breaker.admits()] == [True, True]
