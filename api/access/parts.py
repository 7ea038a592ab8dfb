"""What access holds while the service runs: keys, limits, and the few threads that may hash at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

import anyio.to_thread
from anyio import CapacityLimiter

from api.access.limits import Limiter, Limits, Policy
from api.access.tokens import Tokens
from api.keys.rings import Use, opened
from api.settings import Settings

_HASHING_AT_ONCE: Final = 2
"""Hashing takes a core and 19 MiB for 20 ms: more at once would only keep scores waiting."""

_FAILURES_PER_ADDRESS: Final = 10
"""Times as many for an address as for one client there, since banks may share one."""

T = TypeVar("T")


@dataclass(frozen=True)
class Access:
    """The parts by which callers prove themselves and are counted."""

    tokens: Tokens
    limits: Limits
    _hashing: CapacityLimiter = field(default_factory=partial(CapacityLimiter, _HASHING_AT_ONCE))

    async def hash_in_thread(self, work: Callable[[], T]) -> T:
        """Do work that hashes, in one of the few threads for it; other requests go on meanwhile."""
        return await anyio.to_thread.run_sync(work, limiter=self._hashing)


def open_access(settings: Settings, clock: Callable[[], float] = time.monotonic) -> Access:
    """Read the keys of tokens, making the first where there is none.

    Raises:
        KeyRingError: the keys cannot be used.
    """
    calls = Policy("client", settings.rate_limit_calls, settings.rate_limit_seconds)
    failed = Policy("failures", settings.failed_logins, settings.failed_logins_seconds)
    everyone = Policy("address", failed.quota * _FAILURES_PER_ADDRESS, failed.window)
    limits = Limits(*(Limiter(policy, clock) for policy in (calls, failed, everyone)))
    return Access(Tokens(opened(settings, Use.TOKENS), settings.issuer), limits)
