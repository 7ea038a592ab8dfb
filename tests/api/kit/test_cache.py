"""The TTL cache: values are computed once, least recently used ones are removed first, and none outlives its time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from cachetools import TTLCache

from api.kit import cache as ttl_cache
from api.kit.cache import TtlCache


def fail() -> str:
    raise AssertionError("the value is in the cache")


def test_a_value_is_computed_once_until_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def timed(maxsize: int, ttl: float) -> TTLCache:
        return TTLCache(maxsize, ttl, timer=lambda: now)

    monkeypatch.setattr(ttl_cache, "TTLCache", timed)
    cache: TtlCache[str] = TtlCache(10)
    assert cache.get("a", lambda: "first") == "first"
    now = 599.9
    assert cache.get("a", fail) == "first"
    now = 600.0
    assert cache.get("a", lambda: "second") == "second"


def test_the_least_recently_used_value_is_removed_first() -> None:
    cache: TtlCache[str] = TtlCache(2)
    for key in ("a", "b", "a", "c"):
        cache.get(key, lambda key=key: key)
    assert [cache.get(key, fail) for key in ("a", "c")] == ["a", "c"]
    assert cache.get("b", lambda: "computed again") == "computed again"


def test_a_computation_that_fails_stores_nothing() -> None:
    cache: TtlCache[str] = TtlCache(2)
    with pytest.raises(AssertionError):
        cache.get("a", fail)
    assert cache.get("a", lambda: "a") == "a"


def test_threads_share_one_cache() -> None:
    cache: TtlCache[int] = TtlCache(20)

    def look_up(number: int) -> bool:
        compute: Callable[[], int] = lambda: number % 50  # noqa: E731
        return cache.get(number % 50, compute) == number % 50

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(look_up, range(2_000)))
