"""The TTL cache: values are computed once, least recently used ones are removed first, and none outlives its time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from cachetools import TTLCache

from api.kit import cache as ttl_cache
from api.kit.cache import TtlCache


def fail() -> str:
    raise AssertionError("the value is in the cache")


def test_a_value_is_computed_once_until_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(ttl_cache, "TTLCache", partial(TTLCache, timer=lambda: now))
    cache: TtlCache[str] = TtlCache(10)
    with pytest.raises(AssertionError):
        cache.get("a", fail)
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
    assert cache.get("b", lambda: "computed twice") == "computed twice"


def test_threads_share_one_cache() -> None:
    cache: TtlCache[int] = TtlCache(20)
    with ThreadPoolExecutor(8) as pool:
        values = pool.map(lambda number: cache.get(number % 50, lambda: number % 50), range(2_000))
        assert list(values) == [number % 50 for number in range(2_000)]
