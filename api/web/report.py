"""Where a score stands among the loans that its model was tested on, in numbers and as a picture.

What the page says: the stored score and, of the model that made it, whatever its bundle tells. Pure.

Nothing is judged anew: the numbers are those of the signed answer. Where the model's bundle is not there any more, the
page says less and does not fail.

The page on a stored score: read the score, find the model that made it, and fill the page in.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from xml.etree import ElementTree as Xml

from fastapi import Response

from api.auth.callers import Bank
from api.errors import BundleNotKept, LedgerDamaged
from api.models.bundle_store import find_bundle
from api.scores.envelope import is_expired, parse_assessment
from api.scores.inputs import parse_vector
from api.scores.repository import StoredScore
from api.scores.service import get_score
from api.services import Services
from api.web.documents import render_document
from api.web.outcome_texts import OutcomeText, for_bank
from api.web.translations import translator_for
from api.web.waterfall import narrow_waterfall_svg, waterfall_svg
from scoring import Advice, Assessment, Bundle, Outcome, ScoringError, advise
from scoring.formatting import Language
from scoring.track_record import TrackRecord

_WIDTH, _HEIGHT, _FROM, _TO = 760, 96, 40, 720


_AXIS: Final = 52


_MARK, _PLAIN = "#1f5fa8", "#6b7280"


@dataclass(frozen=True)
class BandView:
    """A band of the tested loans: the share of them in it, and the share of those that went bad (None of none)."""

    name: str
    up_to: float
    loans: int
    share: float
    bad: int
    rate: float | None
    here: bool


@dataclass(frozen=True)
class ScorePosition:
    """A score among the tested loans: of 100 of them, `lower` had a lower score."""

    score: int
    lower: int
    record: TrackRecord
    bands: tuple[BandView, ...]

    @property
    def svg(self) -> str:
        """The picture: the middle half of the tested scores, its median, all but the ends, and this score."""
        return _draw(self.score, self.record.scores)


def score_position(assessment: Assessment, bundle: Bundle | None) -> ScorePosition | None:
    """Return where a score stands; None without a number, or where the bundle knows no tested loans."""
    record = bundle.reference.track_record if bundle else None
    if assessment.score is None or bundle is None or record is None:
        return None
    limits = {band.name: band.up_to for band in bundle.policy.bands.items}
    bands = tuple(
        BandView(
            name=each.name,
            up_to=limits[each.name],
            loans=each.loans,
            share=each.loans / record.count,
            bad=each.bad,
            rate=each.bad / each.loans if each.loans else None,
            here=each.name == assessment.band,
        )
        for each in record.bands
    )
    return ScorePosition(assessment.score, record.percent_below(assessment.score), record, bands)


def _draw(score: int, tested: tuple[int, ...]) -> str:
    ends = (min(tested[0], score), max(tested[-1], score))

    def at(points: int) -> float:
        return _FROM + (points - ends[0]) / max(ends[1] - ends[0], 1) * (_TO - _FROM)

    low, first, middle, third, high = (tested[each] for each in (5, 25, 50, 75, 95))
    said = (
        f"This score is {score}. Of 100 tested loans 5 have at most {low}, half at most {middle}, 95 at most {high}; "
        f"the middle half lies between {first} and {third}."
    )
    picture = Xml.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {_WIDTH} {_HEIGHT}",
            "role": "img",
            "aria-label": said,
            "font-family": "system-ui, sans-serif",
            "font-size": "12",
            "fill": "currentColor",
        },
    )
    _line(picture, at(tested[0]), at(tested[-1]), _AXIS, "1")
    _line(picture, at(low), at(high), _AXIS, "3")
    left, right = at(first), at(third)
    box = {"x": f"{left:.1f}", "y": f"{_AXIS - 9}", "width": f"{max(right - left, 2):.1f}", "height": "18", "rx": "3"}
    Xml.SubElement(picture, "rect", {**box, "fill": _PLAIN, "fill-opacity": "0.35", "stroke": _PLAIN})
    tick = {"x": f"{at(middle) - 1:.1f}", "y": f"{_AXIS - 12}", "width": "2", "height": "24"}
    Xml.SubElement(picture, "rect", tick)
    for points, words in ((low, f"5 in 100: {low}"), (middle, f"half: {middle}"), (high, f"95 in 100: {high}")):
        _text(picture, at(points), _AXIS + 32, words)
    x = at(score)
    Xml.SubElement(picture, "path", {"d": f"M{x:.1f} {_AXIS - 12} l-7 -12 h14 z", "fill": _MARK})
    _text(picture, x, _AXIS - 30, f"this score: {score}", **{"font-weight": "600"})
    return Xml.tostring(picture, encoding="unicode")


def _line(picture: Xml.Element, left: float, right: float, y: float, width: str) -> None:
    place = {"x1": f"{left:.1f}", "x2": f"{right:.1f}", "y1": f"{y}", "y2": f"{y}"}
    Xml.SubElement(picture, "line", {**place, "stroke": _PLAIN, "stroke-width": width, "stroke-linecap": "round"})


def _text(picture: Xml.Element, x: float, y: float, words: str, **style: str) -> None:
    # kept inside of the picture, however far out its place is
    inside = min(max(x, 60), _WIDTH - 60)
    Xml.SubElement(picture, "text", {"x": f"{inside:.1f}", "y": f"{y}", "text-anchor": "middle", **style}).text = words


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
    standing: ScorePosition | None
    letters: tuple[tuple[str, str], ...]
    advice: Advice | None
    signature: Signature
    model_kept: bool


def build_report(body: bytes, bundle: Bundle | None, advice: Advice | None, now: datetime) -> Report:
    """Return what the page on a score says.

    Args:
        body: the answer as it is stored.
        bundle: of the model that made it; None where it is not kept.
        advice: what would lead to the next band, if that is known.
        now: decides whether the score is expired.

    Raises:
        LedgerDamaged: the answer is no score.
    """
    assessment = parse_assessment(body)
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
        without_score=_missing_score(assessment, bundle),
        standing=score_position(assessment, bundle),
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


def _missing_score(assessment: Assessment, bundle: Bundle | None) -> OutcomeText | None:
    if assessment.outcome is Outcome.SCORED:
        return None
    labels = {entry.name: entry.label for entry in bundle.sheet.entries} if bundle else {}
    return for_bank(assessment.to_dict(), labels, translator_for(Language.ENGLISH))


def _signature(receipt: str) -> Signature:
    header, _, value = receipt.split(".")
    said = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    return Signature(said["kid"], said["alg"], value)


logger = logging.getLogger(__name__)


def report_page(services: Services, bank: Bank, score_id: str, now: datetime) -> Response:
    """Return the page on a bank's stored score.

    Raises:
        ScoreUnknown: there is none under the id, or it is another bank's.
        ScoreErased: the seller was erased.
        LedgerDamaged: what is stored is not what was.
        DatabaseUnavailable: the database does not answer.
    """
    score = get_score(services, bank.id, score_id)
    bundle = _bundle(services, score)
    found = build_report(score.body, bundle, _advice(score, bundle), now)
    return render_document(
        "report.html", report=found, bank_name=bank.name, **waterfalls(score.seller_id, found.assessment)
    )


def waterfalls(seller_id: str, assessment: Assessment) -> dict[str, str]:
    """Return the waterfall for paper and wide screens and the one for narrow screens, by their names in the page."""
    explanation, score = assessment.explanation, assessment.score
    narrow = "" if explanation is None or score is None else narrow_waterfall_svg(explanation, score)
    return {"waterfall": waterfall_svg(seller_id, assessment), "narrow_waterfall": narrow}


def _bundle(services: Services, score: StoredScore) -> Bundle | None:
    try:
        return find_bundle(services.champion, services.settings, score.bundle)
    except BundleNotKept:
        logger.warning("the bundle %s is not kept whole; reports on its scores say less", score.bundle)
        return None


def _advice(score: StoredScore, bundle: Bundle | None) -> Advice | None:
    if bundle is None:
        return None
    try:
        return advise(bundle, parse_vector(json.loads(score.inputs)))
    except (ScoringError, ValueError, KeyError, TypeError):
        # what is wrong with the inputs is for the replay to tell
        return None
