"""The page on a stored score: read the score, find the model that made it, and fill the page in."""

from __future__ import annotations

import json
import logging
from datetime import datetime

from fastapi import Response

from api.access.callers import Bank
from api.errors import BundleNotKept
from api.pages.documents import document
from api.pictures.narrow import narrow_waterfall_svg
from api.pictures.svg import waterfall_svg
from api.report.contents import report_of
from api.scores.replay import bundle_of, vector_of
from api.scores.service import get
from api.scores.stored import StoredScore
from api.services import Services
from scoring import Advice, Assessment, Bundle, ScoringError, advise

logger = logging.getLogger(__name__)


def report(services: Services, bank: Bank, score_id: str, now: datetime) -> Response:
    """Return the page on a bank's stored score.

    Raises:
        ScoreUnknown: there is none under the id, or it is another bank's.
        ScoreErased: the seller was erased.
        LedgerDamaged: what is stored is not what was.
        DatabaseUnavailable: the database does not answer.
    """
    score = get(services, bank.id, score_id)
    bundle = _bundle(services, score)
    found = report_of(score.body, bundle, _advice(score, bundle), now)
    return document("report.html", report=found, bank_name=bank.name, **waterfalls(score.seller_id, found.assessment))


def waterfalls(seller_id: str, assessment: Assessment) -> dict[str, str]:
    """Return the waterfall for paper and wide screens and the one for narrow screens, by their names in the page."""
    explanation, score = assessment.explanation, assessment.score
    narrow = "" if explanation is None or score is None else narrow_waterfall_svg(explanation, score)
    return {"waterfall": waterfall_svg(seller_id, assessment), "narrow_waterfall": narrow}


def _bundle(services: Services, score: StoredScore) -> Bundle | None:
    try:
        return bundle_of(services, score.bundle)
    except BundleNotKept:
        logger.warning("the bundle %s is not kept whole; reports on its scores say less", score.bundle)
        return None


def _advice(score: StoredScore, bundle: Bundle | None) -> Advice | None:
    if bundle is None:
        return None
    try:
        return advise(bundle, vector_of(json.loads(score.inputs)))
    except (ScoringError, ValueError, KeyError, TypeError):
        # what is wrong with the inputs is for the replay to tell
        return None
