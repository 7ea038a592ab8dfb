"""A thread-safe TTL cache for values that are slow to compute and never change."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import suppress
from threading import Lock
from typing import Any, Final, Generic, TypeVar

from cachetools import TTLCache

T = TypeVar("T")

_SECONDS: Final = 600.0
"""How long a value stays in memory, also after its seller was erased by another process."""


class TtlCache(Generic[T]):
    """Values by key for ten minutes. If the cache is full, the least recently used value is removed.

    Example:
        >>> squares: TtlCache[int] = TtlCache(100)
        >>> squares.get(12, lambda: 12 * 12)
        144
    """

    def __init__(self, maxsize: int) -> None:
        self._values: Any = TTLCache(maxsize, _SECONDS)
        self._lock = Lock()

    def get(self, key: Hashable, compute: Callable[[], T]) -> T:
        """Return the value of a key. Compute it first if it is absent; two threads may both compute it."""
        # not `TTLCache.get`: it reads the clock twice and fails if the value expires in between
        with self._lock, suppress(KeyError):
            cached: T = self._values[key]
            return cached
        value = compute()
        with self._lock:
            self._values[key] = value
        return value
