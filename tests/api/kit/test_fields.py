"""The type of timestamps in requests: a date and time with a time zone, and nothing else that could be read as one."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import TypeAdapter, ValidationError

from api.kit.fields import Moment

MOMENT = TypeAdapter(Moment)


@pytest.mark.parametrize("text", ["2026-02-01T09:30:00Z", "2026-02-01T17:30:00+08:00", "2026-02-01 09:30:00Z"])
def test_a_date_and_time_with_a_zone_is_converted_to_utc(text: str) -> None:
    assert MOMENT.validate_python(text) == datetime(2026, 2, 1, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [90, 90.5, True, "90", "-1e9", "2026-02-01", "2026-02-01T09:30:00", "", "soon", None, "0001-01-01T00:00:00+14:00"],
)
def test_other_values_are_rejected(value: object) -> None:
    with pytest.raises(ValidationError):
        MOMENT.validate_python(value)
