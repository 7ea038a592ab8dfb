"""A stored assessment as the value that it was written from, for whoever compares or draws it."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from api.errors import LedgerDamaged
from scoring import Assessment


def assessment_of(body: bytes) -> Assessment:
    """Return the assessment that an answer holds.

    Example: `assessment_of(score.body).canonical_bytes` are bytes of `score.body`.

    Raises:
        LedgerDamaged: it holds none.
    """
    try:
        found: Assessment = _adapter().validate_python(json.loads(body)["assessment"])
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise LedgerDamaged from error
    return found


@cache
def _adapter() -> TypeAdapter[Any]:
    return TypeAdapter(Assessment)
