"""Festivals of the years that tests use. The query of 111 years' festivals takes a second to compile for each fold."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from features import tiles
from features.festivals import festival_days

YEARS = (2017, 2027)
"""First and last year of any row of a test."""


@pytest.fixture(scope="module", autouse=True)
def few_festivals() -> Iterator[None]:
    """Mark festivals of these years alone; `test_tile_store` folds those of all years."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "festival_days", lambda first=YEARS[0], last=YEARS[1]: festival_days(first, last))
        yield
