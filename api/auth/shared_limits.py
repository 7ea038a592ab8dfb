"""Rate limits across processes: the buckets of all processes that use one database, exchanged once per second.

Each process counts in memory and, once per second, subtracts what it counted from the buckets in the database and
takes over what is left in them. So a limit holds across processes, except for the calls of one second in each of them.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Hashable, Mapping, Sequence
from typing import Final

from sqlalchemy import Column, Connection, Engine, Float, String, Table, bindparam, delete, select, text

from api.auth.rate_limits import Limiter, RateLimits
from api.errors import DatabaseUnavailable
from api.kit.database import metadata, transaction

_PAUSE_SECONDS: Final = 1.0

_MAX_BUCKETS: Final = 500
"""Buckets of a limit that are exchanged at once, those with the most calls first: strangers can create any number."""

_buckets = Table(
    "rate_limits",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("calls", Float(), nullable=False),
    Column("at", Float(), nullable=False, index=True),
)

# in a fixed order, so that two processes cannot deadlock
_SELECT = (
    select(_buckets).where(_buckets.c.key.in_(bindparam("keys", expanding=True))).order_by(_buckets.c.key)
).with_for_update()

# the syntax that both databases support
_UPSERT = text(
    "INSERT INTO rate_limits (key, calls, at) VALUES (:key, :calls, :at) "
    "ON CONFLICT (key) DO UPDATE SET calls = excluded.calls, at = excluded.at"
)


class SharedLimits:
    """Exchanges the buckets of this process with those in the database.

    Example: `RepeatingTask("rate limits", SharedLimits(engine, auth.limits).exchange)`.
    """

    def __init__(self, engine: Engine, limits: RateLimits) -> None:
        self._engine = engine
        self._limiters = (limits.calls, limits.failures, limits.failures_of_address)

    def exchange(self) -> float:
        """Exchange the buckets that calls have changed since the last time; return the seconds until the next time.

        Without calls, the database is not accessed. If it does not respond, the limits of this process still hold.
        """
        consumed = {limiter: limiter.take_consumed() for limiter in self._limiters}
        if any(consumed.values()):
            try:
                with transaction(self._engine, writes=True) as connection:
                    left = {limiter: _subtract(connection, limiter, calls) for limiter, calls in consumed.items()}
                    longest = max(limiter.policy.window for limiter in self._limiters)
                    # such buckets are full again
                    connection.execute(delete(_buckets).where(_buckets.c.at < time.time() - longest))
            except DatabaseUnavailable:
                return _PAUSE_SECONDS
            for limiter, calls in left.items():
                limiter.set_left(calls)
        return _PAUSE_SECONDS


def _subtract(connection: Connection, limiter: Limiter, consumed: Mapping[Hashable, float]) -> dict[Hashable, float]:
    """Subtract calls from the stored buckets, and return what is left in them."""
    most = sorted(consumed, key=lambda caller: -consumed[caller])[:_MAX_BUCKETS]
    callers = {_key(limiter, caller): caller for caller in most}
    if not callers:
        return {}
    policy, now = limiter.policy, time.time()
    stored = {key: (left, at) for key, left, at in connection.execute(_SELECT, {"keys": list(callers)})}
    changed: list[dict[str, str | float]] = []
    remaining: dict[Hashable, float] = {}
    for key, caller in sorted(callers.items()):
        left, at = stored.get(key, (float(policy.quota), now))
        # clocks of machines differ, and a bucket must not lose calls by that
        gained = max(0.0, now - at) * policy.quota / policy.window
        remaining[caller] = max(0.0, min(float(policy.quota), left + gained) - consumed[caller])
        changed.append({"key": key, "calls": remaining[caller], "at": max(now, at)})
    connection.execute(_UPSERT, changed)
    return remaining


def _key(limiter: Limiter, caller: Hashable) -> str:
    # a digest, because a caller may be an address or a seller; the row is deleted when its bucket is full
    parts: Sequence[object] = caller if isinstance(caller, tuple) else (caller,)
    return hashlib.sha256("\0".join([limiter.policy.name, *map(str, parts)]).encode()).hexdigest()
