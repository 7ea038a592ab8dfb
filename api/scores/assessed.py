"""The assessment in a stored score, as the typed value that it was written from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from api.errors import LedgerDamaged, ScoreOfEarlierFormat
from scoring import Assessment


def assessment_of(body: bytes) -> Assessment:
    """Return the assessment that a score object holds.

    Example: `serialize_assessment(assessment_of(score.body))` are bytes of `score.body`.

    Raises:
        ScoreOfEarlierFormat: it was stored by an earlier version.
        LedgerDamaged: it holds none.
    """
    try:
        plain = json.loads(body)["assessment"]
        require_format(plain)
        found: Assessment = _adapter().validate_python(plain)
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise LedgerDamaged from error
    return found


def require_current(body: bytes) -> None:
    """Check that a score object holds an assessment of this version.

    Raises:
        ScoreOfEarlierFormat: it was stored by an earlier version.
        LedgerDamaged: it holds none.
    """
    try:
        require_format(json.loads(body)["assessment"])
    except (ValueError, KeyError, TypeError) as error:
        raise LedgerDamaged from error


def require_format(assessment: Mapping[str, Any]) -> None:
    """Check that an assessment has the fields of this version.

    Raises:
        ScoreOfEarlierFormat: it was stored before the date of the request was part of it.
    """
    if "requested_on" not in assessment:
        raise ScoreOfEarlierFormat


@cache
def _adapter() -> TypeAdapter[Any]:
    return TypeAdapter(Assessment)
