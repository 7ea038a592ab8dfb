"""Work that is done again and again beside the requests, in a thread that never holds up a start or an end.

What is wrong and does not stop scoring: told in the log once when it begins, changes and ends, and by readiness.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

logger = logging.getLogger(__name__)


_CLOSE_SECONDS: Final = 2.0


class RepeatingTask:
    """Does its work, waits the seconds that the work returns, and does it again; `soon` wakes it at once.

    Example: `Repeating("watch", watch.look, first=60.0)` looks a minute from now for the first time.
    """

    def __init__(self, name: str, work: Callable[[], float], first: float = 0.0) -> None:
        self._name = name
        self._work = work
        self._first = first
        self._wake = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def soon(self) -> None:
        """Do the work now; where it is being done, once more after that."""
        self._wake.set()

    def close(self) -> None:
        """End; work that takes longer than some seconds is left alone and ends with the process."""
        self._ended = True
        self._wake.set()
        self._thread.join(_CLOSE_SECONDS)

    def _run(self) -> None:
        pause = self._first
        while True:
            self._wake.wait(pause)
            if self._ended:
                return
            self._wake.clear()
            try:
                pause = self._work()
            except Exception:
                # what nobody foresaw must not end the thread unseen; it is tried again
                logger.exception("%s failed", self._name)
                pause = max(pause, 60.0)


class DegradedConditions:
    """At most one trouble a part of the service.

    Example: `troubles.tell("model", "version 7 is refused.")` logs a warning; the same again logs nothing, and
    `troubles.tell("model", None)` that it is over. `troubles.all` is `["model: version 7 is refused."]` meanwhile.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, str]] = {}

    def tell(self, part: str, what: str | None, why: str = "") -> None:
        """Say how a part stands: `what` is for whoever asks, `why` for the log alone; None that all is well."""
        before = self._known.get(part)
        if what is None:
            if self._known.pop(part, None) is not None:
                logger.info("%s: well again", part)
            return
        self._known[part] = (what, why)
        if before != (what, why):
            logger.warning("%s: %s", part, f"{what} {why}".rstrip())

    @property
    def parts(self) -> list[str]:
        """The parts that have a trouble, in order."""
        return sorted(self._known)

    @property
    def all(self) -> list[str]:
        """Every trouble in a sentence, the part before it, in order of part."""
        return [f"{part}: {what}" for part, (what, _) in sorted(self._known.items())]
