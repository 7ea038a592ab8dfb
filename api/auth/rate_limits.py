"""How often one may call: token buckets in memory, one a client, and for failed proofs one an address too.

Said in the headers of draft-ietf-httpapi-ratelimit-headers: `RateLimit-Policy` is the rule, `RateLimit` what is left.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final

_MOST_BUCKETS: Final = 20_000
"""Of strangers there may be any number: those unheard of for longest are forgotten, and begin with a full bucket."""


@dataclass(frozen=True)
class Policy:
    """A bucket holds `quota` calls and fills evenly, from empty to full in `window` seconds.

    Example: 6000 calls in 60 seconds are 100 a second in the long run, and 6000 at once after a pause.
    """

    name: str
    quota: int
    window: int


@dataclass(frozen=True)
class RateLimitStatus:
    """Where a caller stands after a call: whether it was within the limit, and what is left."""

    policy: Policy
    allowed: bool
    left: float

    @property
    def headers(self) -> dict[str, str]:
        """What every answer to the caller carries; `t` is the seconds until the bucket is full."""
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
    """Buckets of one policy, by whoever calls.

    Example: `Limiter(Policy("client", 2, 60), clock).spend("bank-1").allowed` is true twice, then not for 30 seconds.
    """

    def __init__(self, policy: Policy, clock: Callable[[], float] = time.monotonic) -> None:
        self.policy = policy
        self._clock = clock
        self._buckets: OrderedDict[Hashable, _Bucket] = OrderedDict()
        self._lock = threading.Lock()

    def spend(self, who: Hashable) -> RateLimitStatus:
        """Count one call, if there is one left."""
        return self._look(who, 1.0)

    def look(self, who: Hashable) -> RateLimitStatus:
        """Say whether a call would be within the limit, without counting one."""
        return self._look(who, 0.0)

    def _look(self, who: Hashable, cost: float) -> RateLimitStatus:
        with self._lock:
            bucket = self._filled(who)
            allowed = bucket.left >= 1
            bucket.left -= cost if allowed else 0
            return RateLimitStatus(self.policy, allowed, bucket.left)

    def _filled(self, who: Hashable) -> _Bucket:
        now = self._clock()
        bucket = self._buckets.get(who)
        if bucket is None:
            bucket = self._buckets[who] = _Bucket(float(self.policy.quota), now)
            if len(self._buckets) > _MOST_BUCKETS:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(who)
        gained = (now - bucket.at) * self.policy.quota / self.policy.window
        bucket.left, bucket.at = min(float(self.policy.quota), bucket.left + gained), now
        return bucket


@dataclass(frozen=True)
class RateLimits:
    """All limits: of calls by a client, and of failed proofs by a client at an address, and by an address.

    A bank cannot be locked out by others who fail under its id elsewhere: they have buckets of their own.
    """

    calls: Limiter
    failures: Limiter
    failures_of_address: Limiter
