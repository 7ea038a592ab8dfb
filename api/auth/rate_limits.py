"""Rate limits of API calls and of failed authentications: token buckets in memory.

Responses state them in the headers of draft-ietf-httpapi-ratelimit-headers: `RateLimit-Policy` and `RateLimit`.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final

_MAX_BUCKETS: Final = 20_000
"""Strangers can create any number of buckets. Beyond this, the least recently used bucket is dropped, hence full."""


@dataclass(frozen=True)
class Policy:
    """A bucket holds `quota` calls and refills evenly, from empty to full in `window` seconds.

    Example: 6000 calls in 60 seconds allow 100 per second on average, and a burst of 6000 after a pause.
    """

    name: str
    quota: int
    window: int


@dataclass(frozen=True)
class RateLimitStatus:
    """The result of a call: whether it is within the limit, and how many calls remain."""

    policy: Policy
    allowed: bool
    left: float

    @property
    def headers(self) -> dict[str, str]:
        """The headers of every response to the caller. `t` is the number of seconds until the bucket is full."""
        rate = self.policy.quota / self.policy.window
        full = math.ceil((self.policy.quota - self.left) / rate)
        headers = {
            "RateLimit-Policy": f'"{self.policy.name}";q={self.policy.quota};w={self.policy.window}',
            "RateLimit": f'"{self.policy.name}";r={math.floor(self.left)};t={full}',
        }
        if not self.allowed:
            headers["Retry-After"] = str(max(1, math.ceil((1 - self.left) / rate)))
        return headers


@dataclass
class _Bucket:
    left: float
    at: float


class Limiter:
    """The buckets of one policy, by caller.

    Example: `Limiter(Policy("client", 2, 60), clock).consume("bank-1").allowed` is true twice, then false for 30
    seconds.
    """

    def __init__(self, policy: Policy, clock: Callable[[], float] = time.monotonic) -> None:
        self.policy = policy
        self._clock = clock
        self._buckets: OrderedDict[Hashable, _Bucket] = OrderedDict()
        self._lock = threading.Lock()

    def consume(self, caller: Hashable) -> RateLimitStatus:
        """Count one call if one is left."""
        return self._check(caller, 1.0)

    def peek(self, caller: Hashable) -> RateLimitStatus:
        """Return whether a call would be within the limit, without counting it."""
        return self._check(caller, 0.0)

    def _check(self, caller: Hashable, cost: float) -> RateLimitStatus:
        with self._lock:
            bucket = self._refilled(caller)
            allowed = bucket.left >= 1
            bucket.left -= cost if allowed else 0
            return RateLimitStatus(self.policy, allowed, bucket.left)

    def _refilled(self, caller: Hashable) -> _Bucket:
        now = self._clock()
        bucket = self._buckets.get(caller)
        if bucket is None:
            bucket = self._buckets[caller] = _Bucket(float(self.policy.quota), now)
            if len(self._buckets) > _MAX_BUCKETS:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(caller)
        gained = (now - bucket.at) * self.policy.quota / self.policy.window
        bucket.left, bucket.at = min(float(self.policy.quota), bucket.left + gained), now
        return bucket


@dataclass(frozen=True)
class RateLimits:
    """The limits: calls per client, failed authentications per client and address, and per address.

    Failures under the ID of a bank from other addresses do not lock the bank out.
    """

    calls: Limiter
    failures: Limiter
    failures_of_address: Limiter
