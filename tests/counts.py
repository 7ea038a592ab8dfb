"""How often the tests repeat what chance plays a part in: a few times each here, and many in `make soak`.

The variables stand in the Makefile beside their full counts; who adds a test with a count adds both.
"""

from __future__ import annotations

import os
from typing import Final


def _count(name: str, usual: int) -> int:
    return int(os.environ.get(f"SELLERSCORE_TEST_{name}", usual))


KILLS: Final = _count("KILLS", 3)
"""Times that the service is killed under load, on each database."""

CRASHES: Final = _count("CRASHES", 2)
"""Times that PostgreSQL crashes under load and comes back."""

SWAPS: Final = _count("SWAPS", 3)
"""Times that the champion changes under load, on each database."""

EXAMPLES: Final = _count("EXAMPLES", 500)
"""Requests that Schemathesis makes, shared out over all operations."""

STATES: Final = _count("STATES", 8)
"""Runs of the state machine over consents, scores, revocations, rotations and erasures."""

REPLAYS: Final = _count("REPLAYS", 300)
"""Stored scores that are made again, on each database."""
