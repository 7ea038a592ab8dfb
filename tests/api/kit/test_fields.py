"""A moment is a date and a time with a zone; what else could be read as one is refused."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import TypeAdapter, ValidationError

from api.kit.fields import Moment

MOMENT = TypeAdapter(Moment)


@pytest.mark.parametrize("given", ["2026-02-01T09:30:00Z", "2026-02-01T17:30:00+08:00", "2026-02-01 09:30:00Z"])
def test_a_date_and_time_with_a_zone_is_one(given: str) -> None:
    assert MOMENT.validate_python(given) == datetime(2026, 2, 1, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "given",
    [90, 90.5, True, "90", "-1e9", "2026-02-01", "2026-02-01T09:30:00", "", "soon", None, "0001-01-01T00:00:00+14:00"],
)
def test_nothing_else_is(given: object) -> None:
    with pytest.raises(ValidationError):
        MOMENT.validate_python(given)
