"""What the page says: the stored score and, of the model that made it, whatever its bundle tells. Pure.

Nothing is judged anew: the numbers are those of the signed answer. Where the model's bundle is not there any more, the
page says less and does not fail.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from api.errors import LedgerDamaged
from api.pictures.figures import figure
from api.report.standing import Standing, standing_of
from api.scores.assessed import assessment_of
from api.scores.moments import is_expired
from scoring import Advice, Assessment, Bundle, Outcome

_LACKED: Final = {
    Outcome.INSUFFICIENT_HISTORY: (
        "The seller's history is too short for a score.",
        "Ask again when it has grown; until then judge by other means. A short history is no sign of risk by itself.",
    ),
    Outcome.INSUFFICIENT_DATA: (
        "Data that the model needs was not delivered, so there is no score.",
        "Ask the platform to deliver it. Without it a score could be too good, so none is given.",
    ),
    Outcome.STALE_DATA: (
        "The seller's data end too long before the day of the score, so there is no score.",
        "Ask again after the platform's next delivery.",
    ),
}


@dataclass(frozen=True)
class Lacking:
    """An outcome without a number in plain words: what it is, what lacked, what to do."""

    said: str
    items: tuple[str, ...]
    to_do: str


@dataclass(frozen=True)
class Signature:
    """The receipt's signature, and the key that verifies it."""

    key: str
    algorithm: str
    value: str


@dataclass(frozen=True)
class Report:
    """All that the page shows. `envelope` is the signed answer; `signature` and its place are not in carried scores."""

    envelope: Mapping[str, Any]
    assessment: Assessment
    expired: bool
    lacking: Lacking | None
    standing: Standing | None
    advice: Advice | None
    signature: Signature | None
    model_kept: bool


def report_of(body: bytes, bundle: Bundle | None, advice: Advice | None, now: datetime) -> Report:
    """Return what the page on a score says.

    Args:
        body: the answer as it is stored.
        bundle: of the model that made it; None where it is not kept.
        advice: what would lead to the next band, if that is known.
        now: decides whether the score is expired.

    Raises:
        LedgerDamaged: the answer is no score.
    """
    assessment = assessment_of(body)
    try:
        envelope = json.loads(body)
        ended = is_expired(envelope["expires_at"], now)
        signature = _signature(envelope.get("receipt"))
    except (ValueError, KeyError, TypeError) as error:
        raise LedgerDamaged from error
    return Report(
        envelope=envelope,
        assessment=assessment,
        expired=ended,
        lacking=_lacking(assessment, bundle),
        standing=standing_of(assessment, bundle),
        advice=advice,
        signature=signature,
        model_kept=bundle is not None,
    )


def _lacking(assessment: Assessment, bundle: Bundle | None) -> Lacking | None:
    if assessment.outcome is Outcome.SCORED:
        return None
    said, to_do = _LACKED[assessment.outcome]
    return Lacking(said, tuple(_items(assessment, bundle)), to_do)


def _items(assessment: Assessment, bundle: Bundle | None) -> Iterator[str]:
    known = {entry.name: (entry.label, entry.unit) for entry in bundle.sheet.entries} if bundle else {}
    for each in assessment.shortfalls:
        if assessment.outcome is Outcome.INSUFFICIENT_DATA:
            yield f"The table “{each.what}” was not delivered."
        elif assessment.outcome is Outcome.STALE_DATA:
            yield f"The table “{each.what}” ends at {each.found}; needed: {each.needed}."
        else:
            label, unit = known.get(each.what, (each.what, ""))
            yield f"{label}: found {_written(each.found, unit)}, needed at least {_written(each.needed, unit)}."


def _written(value: float | str | None, unit: str) -> str:
    return figure(value, unit) if isinstance(value, int | float) else "nothing" if value is None else str(value)


def _signature(receipt: str | None) -> Signature | None:
    if receipt is None:
        return None
    header, _, value = receipt.split(".")
    said = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    return Signature(said["kid"], said["alg"], value)
