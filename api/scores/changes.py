"""Why a bank's score of a seller is not what an earlier one was; both as they were given, none made again but one.

Where two models made them, the earlier figures are scored by the later one: that is the only thing worked out here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from api.errors import LedgerDamaged, ScoreErased, ScoreNotReplayable, ScoresNotComparable, ScoreUnknown
from api.kit.database import transaction
from api.models.bundle_store import find_bundle
from api.scores import repository
from api.scores.envelope import parse_assessment
from api.scores.inputs import parse_vector
from api.scores.repository import ScoreRow, StoredScore, open_score
from api.scores.schemas import Basis, Compared, FeatureMoved, ScoreChanges
from api.services import Services
from scoring import Assessment, Changes, ScoringError, assess, changes

_BASIS_TEXTS: Final = {
    Basis.SAME_MODEL: "The same model made both scores, so all of the difference is by feature.",
    Basis.RESTATED: "Another model made the later score; by_model is what it says of the earlier figures, the rest is "
    "by feature.",
    Basis.MODEL_ONLY: "The later model cannot score the earlier figures, so all of the difference is the model's.",
    Basis.NO_NUMBER: "A score without a number has no points, so there is no difference to tell.",
}


@dataclass(frozen=True)
class _OpenedScore:
    """A stored score and the assessment in it."""

    stored: StoredScore
    assessment: Assessment

    @classmethod
    def of(cls, stored: StoredScore) -> _OpenedScore:
        return cls(stored, parse_assessment(stored.body))


def compare_scores(services: Services, bank_id: str, score_id: str, since: str) -> ScoreChanges:
    """Compare a stored score of a bank with an earlier one of the same seller.

    Args:
        services: the parts.
        bank_id: whose scores both are.
        score_id: of the later one.
        since: id of the earlier one.

    Raises:
        ScoreUnknown: there is no such score, or it is another bank's.
        ScoreErased: the seller was erased.
        ScoresNotComparable: they are of two sellers, or `since` is not the earlier one.
        BundleNotKept: the later model, which must score the earlier figures, is gone or damaged.
        ScoreNotReplayable: the earlier inputs do not meet it although they should.
        LedgerDamaged: what is stored is not what was.
        DatabaseUnavailable: the database does not answer.
    """
    with transaction(services.engine) as connection:
        found = [repository.select_score(connection, bank_id, each) for each in (since, score_id)]
    earlier, later = _find(found[0], "No score is stored under the id in `since`."), _find(found[1])
    before, now = _open(services, earlier, "in `since`"), _open(services, later, "in the path")
    _expect_in_order(before, now, earlier.index.position, later.index.position)
    if before.assessment.score is None or now.assessment.score is None:
        return _response(before, now, Basis.NO_NUMBER, None)
    restated = _restated(services, before, now)
    basis = _basis(before, now, restated)
    return _response(before, now, basis, changes(before.assessment, now.assessment, restated))


def _find(kept: ScoreRow | None, otherwise: str | None = None) -> ScoreRow:
    if kept is None:
        raise ScoreUnknown(otherwise)
    return kept


def _open(services: Services, kept: ScoreRow, place: str) -> _OpenedScore:
    try:
        return _OpenedScore.of(open_score(services.ledger, kept))
    except ScoreErased as gone:
        # of the same kind, since one that is past its time is told from one that was erased
        raise type(gone)(f"It is the score {place} that cannot be read. {gone.detail}") from gone


def _expect_in_order(before: _OpenedScore, now: _OpenedScore, earlier: int, later: int) -> None:
    if before.stored.seller_id != now.stored.seller_id:
        raise ScoresNotComparable("The two scores are of two sellers; give in `since` an earlier one of the same.")
    if earlier >= later:
        raise ScoresNotComparable(
            "The score in `since` is not earlier than the one in the path; give the later one in the path, the "
            "earlier one in `since`."
        )
    if now.assessment.as_of < before.assessment.as_of:
        raise ScoresNotComparable(
            f"The later score rests on older data, as of {now.assessment.as_of}, than the one in `since`, as of "
            f"{before.assessment.as_of}; changes lead from older data to newer."
        )


def _restated(services: Services, before: _OpenedScore, now: _OpenedScore) -> Assessment | None:
    """Return what the later model says of the earlier figures; None where one model made both, or it cannot."""
    one, other = before.assessment.versions, now.assessment.versions
    if one.bundle == other.bundle or one.catalogue != other.catalogue:
        return None
    bundle = find_bundle(services.champion, services.settings, now.stored.bundle)
    try:
        return assess(bundle, [parse_vector(json.loads(before.stored.inputs))])[0]
    except ScoringError as error:
        raise ScoreNotReplayable from error
    except (ValueError, KeyError, TypeError) as error:
        raise LedgerDamaged from error


def _basis(before: _OpenedScore, now: _OpenedScore, restated: Assessment | None) -> Basis:
    if before.stored.bundle == now.stored.bundle:
        return Basis.SAME_MODEL
    return Basis.MODEL_ONLY if restated is None or restated.score is None else Basis.RESTATED


def _response(before: _OpenedScore, now: _OpenedScore, basis: Basis, found: Changes | None) -> ScoreChanges:
    return ScoreChanges(
        seller_id=now.stored.seller_id,
        before=_compared(before),
        now=_compared(now),
        basis=basis,
        statement=_BASIS_TEXTS[basis],
        difference=None if found is None else found.now - found.before,
        by_model=None if found is None else found.by_model,
        features=[] if found is None else [FeatureMoved(**vars(each)) for each in found.features],
    )


def _compared(told: _OpenedScore) -> Compared:
    assessment = told.assessment
    return Compared(
        id=told.stored.id,
        scored_at=json.loads(told.stored.body)["scored_at"],
        as_of=assessment.as_of,
        outcome=assessment.outcome,
        score=assessment.score,
        band=assessment.band,
        bundle=told.stored.bundle,
    )
