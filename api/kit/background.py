"""Background tasks that repeat in a thread, and the conditions that they report to the log and `/health/ready`."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

logger = logging.getLogger(__name__)

_CLOSE_SECONDS: Final = 2.0


class RepeatingTask:
    """Runs a function in a thread, waits the number of seconds that it returns, and runs it again.

    The thread starts at once. `wake` ends the wait. After an error the wait is at least a minute.

    Example: `RepeatingTask("reloader", reloader.reload, first=60.0)` runs for the first time in one minute.
    """

    def __init__(self, name: str, work: Callable[[], float], first: float = 0.0) -> None:
        self._name = name
        self._work = work
        self._first = first
        self._wake = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Run now. If the function is already running, run it once more afterwards."""
        self._wake.set()

    def close(self) -> None:
        """Stop. A run that takes longer than a few seconds is abandoned and ends with the process."""
        self._closed = True
        self._wake.set()
        self._thread.join(_CLOSE_SECONDS)

    def _run(self) -> None:
        pause = self._first
        while True:
            self._wake.wait(pause)
            if self._closed:
                return
            self._wake.clear()
            try:
                pause = self._work()
            except Exception:
                # an unexpected error must not end the thread silently
                logger.exception("%s failed", self._name)
                pause = max(pause, 60.0)


class DegradedConditions:
    """Problems that do not stop scoring, at most one per component of the service.

    Example: `degraded.report("model", "version 7 was rejected.")` logs a warning; repeating it logs nothing. Until
    `degraded.report("model", None)`, `degraded.all` is `["model: version 7 was rejected."]`.
    """

    def __init__(self) -> None:
        self._conditions: dict[str, tuple[str, str]] = {}

    def report(self, part: str, what: str | None, why: str = "") -> None:
        """Set or clear the condition of a component. Log it if it changed.

        Args:
            part: Name of the component.
            what: The condition as `/health/ready` shows it, or None if the component is healthy.
            why: The cause, for the log only.
        """
        before = self._conditions.get(part)
        if what is None:
            if self._conditions.pop(part, None) is not None:
                logger.info("%s: recovered", part)
            return
        self._conditions[part] = (what, why)
        if before != (what, why):
            logger.warning("%s: %s", part, f"{what} {why}".rstrip())

    @property
    def parts(self) -> list[str]:
        """The degraded components, in alphabetical order."""
        return sorted(self._conditions)

    @property
    def all(self) -> list[str]:
        """The conditions, each with its component, in alphabetical order."""
        return [f"{part}: {what}" for part, (what, _) in sorted(self._conditions.items())]
