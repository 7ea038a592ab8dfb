"""Comparison of a bank's score with an earlier score of the same seller: points by feature and by model.

Both scores are read as stored. If two models issued them, the later model also scores the earlier values.
"""

from __future__ import annotations

import json
from typing import Final

from api.errors import LedgerDamaged, ScoreErased, ScoreNotReplayable, ScoresNotComparable, ScoreUnknown
from api.kit.database import transaction
from api.models.bundle_store import find_bundle
from api.scores import repository
from api.scores.inputs import parse_vector
from api.scores.repository import ScoreRow, StoredScore, open_score
from api.scores.schemas import Basis, Compared, FeatureMoved, ScoreChanges
from api.services import Services
from scoring import Assessment, Changes, ScoringError, assess, changes

_STATEMENTS: Final = {
    Basis.SAME_MODEL: "The same model issued both scores, so the features explain the whole difference.",
    Basis.RESTATED: "Two models issued the scores. by_model is the difference that the later model makes for the "
    "earlier values; the features explain the rest.",
    Basis.MODEL_ONLY: "The later model cannot score the earlier values, so the model explains the whole difference.",
    Basis.NO_NUMBER: "One of the scores has no number, so there is no difference in points.",
}


def compare_scores(services: Services, bank_id: str, score_id: str, since: str) -> ScoreChanges:
    """Compare a stored score of a bank with an earlier score of the same seller; `since` is the ID of the earlier one.

    Raises:
        ScoreUnknown: the bank has no such score.
        ScoreErased: the seller was erased.
        ScoresNotComparable: the scores are of two sellers, or `since` is not the earlier score.
        BundleNotKept: the bundle of the later model is missing or damaged.
        ScoreNotReplayable: the later model cannot score the earlier inputs.
        LedgerDamaged: a stored score does not match its commitment.
        DatabaseUnavailable: the database is not available.
    """
    with transaction(services.engine) as connection:
        earlier, later = (repository.select_score(connection, bank_id, name) for name in (since, score_id))
    before = _open(services, earlier, "in `since`")
    now = _open(services, later, "in the path")
    _require_order(before, now)
    if before.assessment.score is None or now.assessment.score is None:
        return _response(before, now, Basis.NO_NUMBER, None)
    restated = _restate(services, before, now)
    return _response(before, now, _basis(before, now, restated), changes(before.assessment, now.assessment, restated))


def _open(services: Services, row: ScoreRow | None, place: str) -> StoredScore:
    if row is None:
        raise ScoreUnknown(f"No score is stored under the ID {place}.")
    try:
        return open_score(services.ledger, row)
    except ScoreErased as error:
        # keep the type: a score past retention is another problem than an erased one
        raise type(error)(f"The score {place} cannot be read. {error.detail}") from error


def _require_order(before: StoredScore, now: StoredScore) -> None:
    if before.seller_id != now.seller_id:
        raise ScoresNotComparable("The two scores are of different sellers. Name an earlier score of the same seller.")
    if before.fields["ledger"]["position"] >= now.fields["ledger"]["position"]:
        raise ScoresNotComparable(
            "The score in `since` is not earlier than the score in the path. Put the later score in the path and the "
            "earlier one in `since`."
        )
    if now.assessment.as_of < before.assessment.as_of:
        raise ScoresNotComparable(
            f"The later score uses data as of {now.assessment.as_of}, which are older than the data of the score in "
            f"`since`, as of {before.assessment.as_of}. Compare with a score on older data."
        )


def _restate(services: Services, before: StoredScore, now: StoredScore) -> Assessment | None:
    """Score the earlier values with the later model; None if the model is the same or the catalogues differ."""
    earlier, later = before.assessment.versions, now.assessment.versions
    if earlier.bundle == later.bundle or earlier.catalogue != later.catalogue:
        return None
    bundle = find_bundle(services.champion, services.settings, now.bundle)
    try:
        return assess(bundle, [parse_vector(json.loads(before.inputs))])[0]
    except ScoringError as error:
        raise ScoreNotReplayable from error
    except (ValueError, KeyError, TypeError) as error:
        raise LedgerDamaged from error


def _basis(before: StoredScore, now: StoredScore, restated: Assessment | None) -> Basis:
    if before.bundle == now.bundle:
        return Basis.SAME_MODEL
    return Basis.MODEL_ONLY if restated is None or restated.score is None else Basis.RESTATED


def _response(before: StoredScore, now: StoredScore, basis: Basis, moved: Changes | None) -> ScoreChanges:
    return ScoreChanges(
        seller_id=now.seller_id,
        before=_compared(before),
        now=_compared(now),
        basis=basis,
        statement=_STATEMENTS[basis],
        difference=None if moved is None else moved.now - moved.before,
        by_model=None if moved is None else moved.by_model,
        features=[] if moved is None else [FeatureMoved.from_record(feature) for feature in moved.features],
    )


def _compared(score: StoredScore) -> Compared:
    envelope = {"id": score.id, "scored_at": score.fields["scored_at"], "bundle": score.bundle}
    return Compared.from_record(score.assessment, **envelope)
