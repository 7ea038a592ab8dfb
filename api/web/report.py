"""`GET /v1/scores/{id}/report`: a printable report of a stored score for a credit officer.

The numbers are those of the signed score; nothing is computed again except advice. Without the bundle of the model the
report omits what only the bundle has: the comparison with tested loans, letter sentences and advice.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final

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
from api.web.charts import CURRENT, add, render, svg
from api.web.documents import render_document
from api.web.outcome_texts import OutcomeText, for_bank
from api.web.translations import translator_for
from api.web.waterfall import narrow_waterfall_svg, waterfall_svg
from scoring import Advice, Assessment, Bundle, Outcome, ScoringError, advise
from scoring.formatting import Language
from scoring.track_record import TrackRecord

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
    report = build_report(score.body, bundle, _advice(score, bundle), datetime.now(UTC))
    charts = waterfalls(score.seller_id, report.assessment)
    return render_document("report.html", report=report, bank_name=bank.name, **charts)


@dataclass(frozen=True)
class Signature:
    """The signature of the receipt, and the key that verifies it."""

    key: str
    algorithm: str
    value: str


@dataclass(frozen=True)
class Report:
    """The contents of a report. `envelope` is the signed score.

    `letters` are the principal reasons in English and Chinese, as sentences for an adverse-action letter.
    """

    envelope: Mapping[str, Any]
    assessment: Assessment
    expired: bool
    without_score: OutcomeText | None
    standing: ScorePosition | None
    letters: tuple[tuple[str, str], ...]
    advice: Advice | None
    signature: Signature
    model_kept: bool


def build_report(body: bytes, bundle: Bundle | None, advice: Advice | None, now: datetime) -> Report:
    """Return the contents of the report of a score.

    Args:
        body: the stored response.
        bundle: the bundle of its model; None if it is not stored.
        advice: changes that lead to the next band, if known.
        now: the time that decides whether the score has expired.

    Raises:
        LedgerDamaged: the response is not a score.
    """
    assessment = parse_assessment(body)
    try:
        envelope = json.loads(body)
        expired = is_expired(envelope["expires_at"], now)
        signature = _signature(envelope["receipt"])
    except (ValueError, KeyError, TypeError) as error:
        raise LedgerDamaged from error
    return Report(
        envelope=envelope,
        assessment=assessment,
        expired=expired,
        without_score=_missing_score(assessment, bundle),
        standing=score_position(assessment, bundle),
        letters=tuple(_letters(assessment, bundle)),
        advice=advice,
        signature=signature,
        model_kept=bundle is not None,
    )


def waterfalls(seller_id: str, assessment: Assessment) -> dict[str, str]:
    """Return the waterfalls for wide and narrow screens by their names in the template."""
    explanation, score = assessment.explanation, assessment.score
    narrow = "" if explanation is None or score is None else narrow_waterfall_svg(explanation, score)
    return {"waterfall": waterfall_svg(seller_id, assessment), "narrow_waterfall": narrow}


def _letters(assessment: Assessment, bundle: Bundle | None) -> Iterator[tuple[str, str]]:
    if assessment.explanation is None or bundle is None:
        return
    for reason in assessment.explanation.reasons:
        english, chinese = (bundle.reasons.statement(reason, "letter", language) for language in Language)
        yield english, chinese


def _missing_score(assessment: Assessment, bundle: Bundle | None) -> OutcomeText | None:
    if assessment.outcome is Outcome.SCORED:
        return None
    labels = {entry.name: entry.label for entry in bundle.sheet.entries} if bundle else {}
    return for_bank(assessment, labels, translator_for(Language.ENGLISH))


def _signature(receipt: str) -> Signature:
    header, _, value = receipt.split(".")
    fields = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    return Signature(fields["kid"], fields["alg"], value)


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


@dataclass(frozen=True)
class BandView:
    """A band of the tested loans: its share of the loans and its default rate (None without loans)."""

    name: str
    up_to: float
    loans: int
    share: float
    bad: int
    rate: float | None
    here: bool


@dataclass(frozen=True)
class ScorePosition:
    """The position of a score among the tested loans: `lower` of 100 loans had a lower score."""

    score: int
    lower: int
    record: TrackRecord
    bands: tuple[BandView, ...]

    @property
    def svg(self) -> str:
        """The chart: range, middle half and median of the tested scores, and this score."""
        return _position_chart(self.score, self.record.scores)


def score_position(assessment: Assessment, bundle: Bundle | None) -> ScorePosition | None:
    """Return the position of a score; None without a score or without tested loans in the bundle."""
    record = bundle.reference.track_record if bundle else None
    if assessment.score is None or bundle is None or record is None:
        return None
    limits = {band.name: band.up_to for band in bundle.policy.bands.items}
    bands = tuple(
        BandView(
            name=band.name,
            up_to=limits[band.name],
            loans=band.loans,
            share=band.loans / record.count,
            bad=band.bad,
            rate=band.bad / band.loans if band.loans else None,
            here=band.name == assessment.band,
        )
        for band in record.bands
    )
    return ScorePosition(assessment.score, record.percent_below(assessment.score), record, bands)


_WIDTH, _HEIGHT, _LEFT, _RIGHT = 760, 96, 40, 720
_AXIS: Final = 52
_LABEL_MARGIN: Final = 60
_MARK, _GREY = "#1f5fa8", "#6b7280"


def _position_chart(score: int, tested: tuple[int, ...]) -> str:
    ends = (min(tested[0], score), max(tested[-1], score))

    def x_of(points: int) -> float:
        return _LEFT + (points - ends[0]) / max(ends[1] - ends[0], 1) * (_RIGHT - _LEFT)

    low, first, middle, third, high = (tested[percent] for percent in (5, 25, 50, 75, 95))
    label = (
        f"This score is {score}. Of 100 tested loans, 5 have at most {low}, half have at most {middle}, and 95 have at "
        f"most {high}. The middle half is between {first} and {third}."
    )
    drawing = svg(_WIDTH, _HEIGHT, label, font_family="system-ui, sans-serif", font_size="12", fill=CURRENT)

    def text(points: int, y: float, words: str, **style: str) -> None:
        inside = min(max(x_of(points), _LABEL_MARGIN), _WIDTH - _LABEL_MARGIN)
        add(drawing, "text", words, x=inside, y=y, text_anchor="middle", **style)

    for begin, end, width in ((tested[0], tested[-1], 1), (low, high, 3)):
        style = {"stroke": _GREY, "stroke_width": str(width), "stroke_linecap": "round"}
        add(drawing, "line", x1=x_of(begin), x2=x_of(end), y1=_AXIS, y2=_AXIS, **style)
    left, right = x_of(first), x_of(third)
    add(drawing, "rect", x=left, y=_AXIS - 9, width=max(right - left, 2), height=18, rx=3, fill=_GREY,
        fill_opacity="0.35", stroke=_GREY)  # fmt: skip
    add(drawing, "rect", x=x_of(middle) - 1, y=_AXIS - 12, width=2, height=24)
    for points, words in ((low, f"5 in 100: {low}"), (middle, f"median: {middle}"), (high, f"95 in 100: {high}")):
        text(points, _AXIS + 32, words)
    add(drawing, "path", d=f"M{x_of(score):.1f} {_AXIS - 12} l-7 -12 h14 z", fill=_MARK)
    text(score, _AXIS - 30, f"this score: {score}", font_weight="600")
    return render(drawing)
