"""Rate limits of API calls and of failed authentications: token buckets in memory, shared through the database.

A request reads and changes only the buckets of its process. Once per second, `api.auth.shared_limits` exchanges what
was consumed with the other processes that use the database.

Responses state them in the headers of draft-ietf-httpapi-ratelimit-headers: `RateLimit-Policy` and `RateLimit`.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

from fastapi import Request

from api.errors import TooManyRequests

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
        self._consumed: dict[Hashable, float] = {}
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
            if allowed and cost:
                bucket.left -= cost
                self._consumed[caller] = self._consumed.get(caller, 0.0) + cost
            return RateLimitStatus(self.policy, allowed, bucket.left)

    def take_consumed(self) -> dict[Hashable, float]:
        """Return the calls by caller that were counted since the last time."""
        with self._lock:
            consumed, self._consumed = self._consumed, {}
            return consumed

    def set_left(self, left: Mapping[Hashable, float]) -> None:
        """Set how many calls are left to callers, without those that were counted since `take_consumed`."""
        with self._lock:
            for caller, calls in left.items():
                self._refilled(caller).left = calls - self._consumed.get(caller, 0.0)

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


class Proof(StrEnum):
    """What a caller can fail to prove. Failures of one kind do not count for another."""

    CLIENT = "client"
    TOKEN = "token"  # noqa: S105 - a word
    LOGIN = "login"
    SESSION = "session"


@dataclass(frozen=True)
class RateLimits:
    """The limits: calls per client, failed authentications per client and address, and per kind and address.

    Strangers cannot lock others out at other addresses: failures under the ID of a bank count only where they occur. A
    bank above its limit at an address gets 429 there, even with its valid secret. An address above its own limit gets
    429 only if a proof fails.
    """

    calls: Limiter
    failures: Limiter
    failures_of_address: Limiter

    def count_failure(self, proof: Proof, address: str) -> None:
        """Count a failed authentication of an address.

        Raises:
            TooManyRequests: The address has too many failures of this kind.
        """
        status = self.failures_of_address.consume((proof, address))
        if not status.allowed:
            raise TooManyRequests(headers=status.headers)


def address_of(request: Request) -> str:
    """Return the address by which failures of a caller are counted: of IPv6, the network of 64 bits that one owns."""
    return _network(request.client.host if request.client else "")


@lru_cache(4_096)
def _network(host: str) -> str:
    try:
        address: IPv4Address | IPv6Address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped or ip_network((int(address), 64), strict=False))
    return str(address)
