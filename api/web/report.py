"""`GET /v1/scores/{id}/report`: a printable report of a stored score for a credit officer.

The numbers are those of the signed score; nothing is computed again except advice. Without the bundle of the model the
report omits what only the bundle has: the comparison with tested loans, letter sentences and advice.
"""

from __future__ import annotations

import base64
import json
import logging
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse

from api.auth.callers import AuthenticatedRoute, Bank, require_scope
from api.auth.scopes import Scope
from api.errors import BundleNotKept, LedgerDamaged
from api.kit.fields import ScoreId
from api.kit.openapi import responses
from api.models.bundle_store import find_bundle
from api.scores.endpoints import READ_PROBLEMS
from api.scores.envelope import is_expired, parse_assessment
from api.scores.inputs import parse_vector
from api.scores.repository import StoredScore
from api.scores.service import get_score
from api.services import Services, ServicesDep
from api.web.documents import render_document
from api.web.outcome_texts import for_bank
from api.web.translations import translator_for
from api.web.waterfall import narrow_waterfall_svg, waterfall_svg
from scoring import Advice, Bundle, ScoringError, advise
from scoring.formatting import Language

logger = logging.getLogger(__name__)

router = APIRouter(prefix="/v1/scores", tags=["scores"], route_class=AuthenticatedRoute)


@router.get(
    "/{score_id}/report",
    operation_id="getScoreReport",
    summary="Read a score as a printable page",
    response_class=HTMLResponse,
    responses=responses(
        200,
        "The report.",
        *READ_PROBLEMS,
        content={"text/html": {"schema": {"type": "string"}}},
    ),
)
def get_report(
    bank: Annotated[Bank, require_scope(Scope.SCORES_READ)], services: ServicesDep, score_id: ScoreId
) -> Response:
    """Return one HTML file for screen and A4 paper that loads nothing else.

    It shows the score, its reasons, its waterfall, its position among the loans that the model was tested on, and how
    to verify the receipt. A note marks an expired score. An outcome without a number lists what is missing.
    """
    score = get_score(services, bank.id, str(score_id))
    bundle = _find_bundle(services, score)
    return report_document(score.body, bundle, _advice(score, bundle), bank.name, datetime.now(UTC))


def report_document(
    body: bytes, bundle: Bundle | None, advice: Advice | None, bank_name: str, now: datetime
) -> Response:
    """Return the report of a score.

    Args:
        body: the stored response.
        bundle: the bundle of its model; None if it is not stored.
        advice: changes that lead to the next band, if known.
        bank_name: the name of the bank.
        now: the time that decides whether the score has expired.

    Raises:
        LedgerDamaged: the response is not a score.
    """
    assessment = parse_assessment(body)
    explanation, score = assessment.explanation, assessment.score
    try:
        envelope = json.loads(body)
        expired = is_expired(envelope["expires_at"], now)
        header, _, signature = envelope["receipt"].split(".")
        key = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
        values = {"envelope": envelope, "expired": expired, "signature": signature, "key": (key["kid"], key["alg"])}
    except (ValueError, KeyError, TypeError) as error:
        raise LedgerDamaged from error
    labels = {entry.name: entry.label for entry in bundle.sheet.entries} if bundle else {}
    return render_document(
        "report.html",
        **values,
        assessment=assessment,
        bundle=bundle,
        advice=advice,
        bank_name=bank_name,
        languages=Language,
        unscored=for_bank(assessment, labels, translator_for(Language.ENGLISH)) if score is None else None,
        waterfall=waterfall_svg(envelope["seller_id"], assessment),
        narrow_waterfall=narrow_waterfall_svg(explanation, score) if explanation and score is not None else "",
    )


def _find_bundle(services: Services, score: StoredScore) -> Bundle | None:
    try:
        return find_bundle(services.champion, services.settings, score.bundle)
    except BundleNotKept:
        logger.warning("bundle %s is missing or damaged; reports of its scores are shorter", score.bundle)
        return None


def _advice(score: StoredScore, bundle: Bundle | None) -> Advice | None:
    if bundle is None:
        return None
    try:
        return advise(bundle, parse_vector(json.loads(score.inputs)))
    except (ScoringError, ValueError, KeyError, TypeError):
        # a replay reports what is wrong with the inputs
        return None
