"""How often tests repeat what is random, such as kills and races: little in `make test`, much in `make soak`.

A test that uses a count is marked `repeated`, so that `make soak` picks it.
"""

from __future__ import annotations

import os
from typing import Final

SOAKING: Final = bool(os.environ.get("SELLERSCORE_SOAK"))


def repeat(usual: int, soaking: int) -> int:
    """Return how often to repeat: `usual` times, or `soaking` times in `make soak`.

    Example: `@settings(max_examples=repeat(30, 500))`.
    """
    return soaking if SOAKING else usual


KILLS: Final = repeat(1, 50)
"""Times that the service is killed under load, on each database."""

CRASHES: Final = repeat(1, 20)
"""Times that PostgreSQL crashes under load and comes back."""

SWAPS: Final = repeat(1, 41)
"""Times that the champion changes under load, on each database."""

EXAMPLES: Final = repeat(1, 5_000)
"""Requests that Schemathesis makes, shared out over all operations."""

STATES: Final = repeat(3, 200)
"""Runs of the state machine over consents, scores, revocations, rotations and erasures."""

REPLAYS: Final = repeat(60, 10_000)
"""Stored scores that are made again, on each database."""
