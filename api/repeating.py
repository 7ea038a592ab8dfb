"""Work that is done again and again beside the requests, in a thread that never holds up a start or an end."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

logger = logging.getLogger(__name__)

_CLOSE_SECONDS: Final = 2.0


class Repeating:
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
