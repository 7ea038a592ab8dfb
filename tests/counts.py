"""Repetitions of random tests such as kills and races: few in `make test`, many in `make soak`.

A test that uses a count is marked `repeated`, so that `make soak` picks it.
"""

from __future__ import annotations

import os
from typing import Final

SOAKING: Final = bool(os.environ.get("SELLERSCORE_SOAK"))


def repeat(default: int, soaking: int) -> int:
    """Return `default`, or `soaking` in `make soak`.

    Example: `@settings(max_examples=repeat(30, 500))`.
    """
    return soaking if SOAKING else default


KILLS: Final = repeat(1, 50)
"""Times that the service is killed under load, on each database."""

CRASHES: Final = repeat(1, 20)
"""Times that PostgreSQL crashes under load and restarts."""

SWAPS: Final = repeat(1, 41)
"""Times that the champion changes under load, on each database."""

EXAMPLES: Final = repeat(1, 5_000)
"""Requests that Schemathesis sends to all operations together."""

STATES: Final = repeat(3, 200)
"""Runs of the state machine over consents, scores, revocations, rotations and erasures."""

REPLAYS: Final = repeat(60, 10_000)
"""Stored scores that are replayed, on each database."""
