"""Circuit breaker: stops calls to another service that does not respond, so that callers do not wait for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

FAILURES: Final = 3
"""Failures in a row that open the breaker."""

PAUSE_SECONDS: Final = 30.0
"""Pause after which one call tests the service."""


class CircuitBreaker:
    """Admits calls until several in a row failed; then admits one call after each pause until one succeeds.

    It is used by one event loop and has no lock.

    Example: after `breaker.record(ok=False)` three times, `breaker.admits()` is False for 30 seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._next_test = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the last calls failed."""
        return self._failures >= FAILURES

    def admits(self) -> bool:
        """Return whether a call may start now. The test call also starts a pause, so that there is one at a time."""
        if not self.is_open:
            return True
        now = self._clock()
        if now < self._next_test:
            return False
        self._next_test = now + PAUSE_SECONDS
        return True

    def record(self, *, ok: bool) -> None:
        """Record the result of a call."""
        self._failures = 0 if ok else self._failures + 1
        if self._failures == FAILURES:
            self._next_test = self._clock() + PAUSE_SECONDS
