"""Festival days of only the years that tests use: the query for 111 years takes a second to compile for each fold."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from features import tiles
from features.festivals import festival_days

YEARS = (2017, 2027)
"""First and last year of any row of a test."""


@pytest.fixture(scope="module", autouse=True)
def few_festivals() -> Iterator[None]:
    """Use only the festivals of these years; `test_tile_store` uses those of all years."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "festival_days", lambda first=YEARS[0], last=YEARS[1]: festival_days(first, last))
        yield
