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
from typing import Any

from api.errors import LedgerDamaged
from api.outcomes import OutcomeText, for_bank
from api.report.standing import Standing, standing_of
from api.scores.assessed import assessment_of
from api.scores.moments import is_expired
from api.seller_pages.words import words_of
from scoring import Advice, Assessment, Bundle, Outcome
from scoring.formatting import Language


@dataclass(frozen=True)
class Signature:
    """The receipt's signature, and the key that verifies it."""

    key: str
    algorithm: str
    value: str


@dataclass(frozen=True)
class Report:
    """All that the page shows. `envelope` is the signed score.

    `letters` are the principal reasons in English and Chinese, as sentences for an adverse-action letter.
    """

    envelope: Mapping[str, Any]
    assessment: Assessment
    expired: bool
    without_score: OutcomeText | None
    standing: Standing | None
    letters: tuple[tuple[str, str], ...]
    advice: Advice | None
    signature: Signature
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
        signature = _signature(envelope["receipt"])
    except (ValueError, KeyError, TypeError) as error:
        raise LedgerDamaged from error
    return Report(
        envelope=envelope,
        assessment=assessment,
        expired=ended,
        without_score=_without_score(assessment, bundle),
        standing=standing_of(assessment, bundle),
        letters=tuple(_letters(assessment, bundle)),
        advice=advice,
        signature=signature,
        model_kept=bundle is not None,
    )


def _letters(assessment: Assessment, bundle: Bundle | None) -> Iterator[tuple[str, str]]:
    """Yield each principal reason as a sentence for an adverse-action letter, in English and in Chinese."""
    if assessment.explanation is None or bundle is None:
        return
    for reason in assessment.explanation.reasons:
        english, chinese = (bundle.reasons.statement(reason, "letter", language) for language in Language)
        yield english, chinese


def _without_score(assessment: Assessment, bundle: Bundle | None) -> OutcomeText | None:
    if assessment.outcome is Outcome.SCORED:
        return None
    labels = {entry.name: entry.label for entry in bundle.sheet.entries} if bundle else {}
    return for_bank(assessment.to_dict(), labels, words_of(Language.ENGLISH))


def _signature(receipt: str) -> Signature:
    header, _, value = receipt.split(".")
    said = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    return Signature(said["kid"], said["alg"], value)
