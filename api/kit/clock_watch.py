"""Detection of a clock that is set forward while the service runs: rows with a time in the future stop the ledger."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

MAX_STEP_SECONDS: Final = 60.0

# it also counts the time while the computer sleeps
_STEADY_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class ClockWatch:
    """Compares the clock of the system with one that nobody can set. Without `running`, it detects nothing.

    Example: within `with watch.running():`, `watch.step()` is 3600.0 after the clock was set forward by one hour. It is
    0.0 again after the clock was corrected.
    """

    def __init__(self) -> None:
        self._offset: float | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Watch the clock until the end of the block."""
        self._offset = _current_offset()
        try:
            yield
        finally:
            self._offset = None

    def step(self) -> float:
        """Return the seconds by which the clock was set forward at once; 0.0 if it is at most a minute."""
        offset = _current_offset()
        if self._offset is None:
            return 0.0
        if offset - self._offset > MAX_STEP_SECONDS:
            return offset - self._offset
        # a slow drift moves the reference; a step back does not, so the way back is no step forward
        self._offset = max(self._offset, offset)
        return 0.0


def _current_offset() -> float:
    return time.time() - time.clock_gettime(_STEADY_CLOCK)


watch: Final = ClockWatch()
"""The watch of this process. Only a server runs it: a command is too short."""
