"""What was made lately and never changes, kept for a while: for what takes longer to make than to look up."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Final, Generic, TypeVar

T = TypeVar("T")

_AGE: Final = 600.0
"""Seconds: what was erased elsewhere is not kept in memory for longer."""


class Remembered(Generic[T]):
    """Values by names that mean one value for ever; the least used go first, and all after ten minutes.

    Example:
        >>> squares: Remembered[int] = Remembered(100)
        >>> squares.of(12, lambda: 12 * 12)
        144
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._known: OrderedDict[Hashable, tuple[float, T]] = OrderedDict()
        self._lock = Lock()

    def of(self, name: Hashable, make: Callable[[], T]) -> T:
        """Return the value of a name, made now if it is not known; of two at once both may make it."""
        now = self._clock()
        with self._lock:
            found = self._known.get(name)
            if found is not None and found[0] > now:
                self._known.move_to_end(name)
                return found[1]
        made = make()
        with self._lock:
            self._known[name] = (now + _AGE, made)
            self._known.move_to_end(name)
            while len(self._known) > self._most or next(iter(self._known.values()))[0] <= now:
                self._known.popitem(last=False)
        return made
