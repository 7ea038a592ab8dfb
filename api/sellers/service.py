"""What the ledger keeps of a bank's look at a seller's picture.

From the picture as `features` makes it to what a caller is told. Pure.

Show a seller's picture to a bank: under consent, and recorded before anyone sees it.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from datetime import UTC, date
from typing import Final

from fastapi import Response

from api.consents import service as consents
from api.consents.service import utc_now
from api.errors import SellerUnknown, VectorsUnavailable
from api.kit.database import transaction
from api.kit.fields import Clock
from api.ledger.chain import EntryKind
from api.ledger.store import EntryDraft
from api.sellers import schemas as told
from api.sellers.schemas import Profile
from api.services import Services
from features.errors import StoreError
from features.picture.picture import FamilyIndex, FeatureShown, FlagShown, Picture, SeriesShown, TableShown, picture_of
from features.store import VectorStore
from scoring.canonical import canonical_json


def view_entry(picture: Picture, consent_id: str, body: bytes) -> bytes:
    """Return the content of its row: of whom, by which consent, of what data, and the digest of the answer."""
    return canonical_json(
        {
            "seller_id": picture.seller_id,
            "consent_id": consent_id,
            "as_of": picture.snapshot.as_of.isoformat(),
            "data_version": picture.snapshot.data_version,
            "answer": f"sha256:{hashlib.sha256(body).hexdigest()}",
        }
    )


_DIRECTIONS: Final = {-1: "higher", 0: "neither", 1: "lower"}


def profile_response(picture: Picture, consent_id: str, today: date) -> told.Profile:
    """Return the answer.

    Args:
        picture: of a seller.
        consent_id: under which it is shown.
        today: the day of the request, from which the age of the data is told.
    """
    peers, snapshot = picture.peers, picture.snapshot
    names = {each.label: each.name for each in picture.families}
    return told.Profile(
        seller_id=picture.seller_id,
        consent_id=consent_id,
        as_of=snapshot.as_of.isoformat(),
        data_version=snapshot.data_version,
        catalogue=snapshot.catalogue,
        peers=told.Peers(scope=peers.scope, category=peers.category, size=peers.size, others=peers.others),
        families=list(map(_family, picture.families)),
        steps=[
            told.Step(begins=step.begins.isoformat(), ends=step.ends.isoformat(), settled=step.settled)
            for step in picture.steps
        ],
        series=list(map(_series, picture.series)),
        features=[_feature(each, names[each.family]) for each in picture.features],
        coverage=[_table(each, today) for each in picture.coverage],
        flags=list(map(_flag, picture.flags)),
    )


def _family(each: FamilyIndex) -> told.FamilyIndex:
    return told.FamilyIndex(
        family=each.name, label=each.label, index=each.index, counted=each.counted, of=each.of, missing=each.gap
    )


def _series(each: SeriesShown) -> told.Series:
    return told.Series(
        series=each.series.name,
        label=each.series.label,
        meaning=each.series.meaning,
        unit=each.series.unit,
        values=list(each.values),
        settles=each.series.settles,
        data_through=_day(each.data_through),
        missing=each.gap,
    )


def _feature(each: FeatureShown, family: str) -> told.FeatureStanding:
    feature = each.feature
    return told.FeatureStanding(
        feature=feature.name,
        label=feature.label,
        meaning=feature.meaning,
        family=family,
        value=each.value,
        unit=feature.unit,
        direction=_DIRECTIONS[feature.sign],
        percentile=each.percentile,
        no_better=each.no_better,
        others=each.others,
        missing=each.gap,
    )


def _table(each: TableShown, today: date) -> told.TableCoverage:
    return told.TableCoverage(
        table=each.table,
        need=each.need,
        covers_through=_day(each.covers_through),
        age_days=None if each.covers_through is None else (today - each.covers_through).days,
        first_day=_day(each.first_day),
        last_day=_day(each.last_day),
        months_of_history=each.months_of_history,
        days_with_rows=sum(each.days),
        days_by_step=list(each.days),
        missing=each.gap,
    )


def _flag(each: FlagShown) -> told.Flag:
    return told.Flag(
        flag=each.flag.name,
        question=each.flag.question,
        raised=each.raised,
        feature=each.feature.name,
        label=each.feature.label,
        value=each.value,
        unit=each.feature.unit,
        threshold=each.flag.threshold,
        why=each.flag.why,
        missing=each.gap,
    )


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


logger = logging.getLogger(__name__)


def view_profile(
    services: Services, bank_id: str, seller_id: str, answered: Callable[[Profile], Response], clock: Clock = utc_now
) -> Response:
    """Answer with a seller's picture, once the ledger holds that the bank looked.

    Args:
        services: the parts of the service.
        bank_id: who looks.
        seller_id: at whom.
        answered: turns the picture into the answer.
        clock: says when, and is read whenever it matters.

    Raises:
        ConsentRequired: no consent of the seller for the bank is in force, whatever it is for; said of a seller who
            does not exist too.
        SellerUnknown: the latest snapshot does not hold the seller.
        VectorsUnavailable: there is no picture of these definitions, or it cannot be read.
        DatabaseUnavailable: the look could not be recorded, so there is none.
    """
    with transaction(services.engine) as connection:
        consented = consents.require_active_consent(connection, seller_id, bank_id, None, clock)
    picture = _load_profile(services.vectors, seller_id)
    today = clock().astimezone(UTC).date()
    answer = answered(profile_response(picture, consented.id, today))
    with transaction(services.engine, writes=True) as connection:
        seller = services.ledger.seller(connection, seller_id)
        tip = services.ledger.lock_chain(connection, bank_id)
        # once more under the chain, so that a revocation was committed before or comes after
        consent = consents.require_active_consent(connection, seller_id, bank_id, None, clock)
        if consent.id != consented.id:
            # an erasure since the picture was read has removed it first: nobody comes back by a race
            picture = _load_profile(services.vectors, seller_id)
            answer = answered(profile_response(picture, consent.id, today))
        content = view_entry(picture, consent.id, bytes(answer.body))
        services.ledger.append(connection, seller, EntryDraft(bank_id, EntryKind.VIEW, content, clock()), tip)
    return answer


def _load_profile(vectors: VectorStore, seller_id: str) -> Picture:
    try:
        found = vectors.picture(seller_id)
        picture = None if found is None else picture_of(*found)
    except StoreError as error:
        logger.warning("no picture can be read: %s", error)
        raise VectorsUnavailable from error
    if picture is None:
        raise SellerUnknown
    return picture
