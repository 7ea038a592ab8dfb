"""Profiles of sellers: read for a bank under a consent, converted to the response, and recorded in the ledger."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from datetime import UTC, date
from typing import Final

from api.consents import service as consents
from api.errors import SellerUnknown, VectorsUnavailable
from api.kit.database import transaction
from api.kit.fields import Clock, utc_now
from api.ledger.chain import EntryKind
from api.ledger.store import EntryDraft
from api.sellers import schemas
from api.sellers.schemas import Profile
from api.services import Services
from features.errors import StoreError
from features.profile.profile import (
    ProfileFeature,
    ProfileFlag,
    ProfileTable,
    SellerProfile,
    build_profile,
)
from features.store.vectors import VectorStore
from scoring.canonical import canonical_json

logger = logging.getLogger(__name__)

_DIRECTIONS: Final = {-1: "higher", 0: "neither", 1: "lower"}


def view_entry(profile: SellerProfile, consent_id: str, body: bytes) -> bytes:
    """Return the ledger content of a view: seller, consent, data, and the digest of the response."""
    return canonical_json(
        {
            "seller_id": profile.seller_id,
            "consent_id": consent_id,
            "as_of": profile.snapshot.as_of.isoformat(),
            "data_version": profile.snapshot.data_version,
            "response_digest": f"sha256:{hashlib.sha256(body).hexdigest()}",
        }
    )


def profile_response(profile: SellerProfile, consent_id: str, today: date) -> Profile:
    """Return the response of a profile.

    Args:
        profile: the stored profile.
        consent_id: the consent of the view.
        today: the day of the request; the age of the data is measured against it.
    """
    snapshot = profile.snapshot
    families = {family.label: family.name for family in profile.families}
    return Profile(
        seller_id=profile.seller_id,
        consent_id=consent_id,
        as_of=snapshot.as_of.isoformat(),
        data_version=snapshot.data_version,
        catalogue=snapshot.catalogue,
        peers=schemas.Peers.from_record(profile.peers),
        families=[schemas.FamilyIndex.from_record(item, family=item.name) for item in profile.families],
        steps=[schemas.Step.from_record(step) for step in profile.steps],
        series=[
            schemas.Series.from_record(
                item.series,
                series=item.series.name,
                values=list(item.values),
                data_through=item.data_through,
                missing=item.missing,
            )
            for item in profile.series
        ],
        features=[_feature(item, families[item.family]) for item in profile.features],
        coverage=[_table(item, today) for item in profile.coverage],
        flags=list(map(_flag, profile.flags)),
    )


def _feature(item: ProfileFeature, family: str) -> schemas.FeatureStanding:
    feature = item.feature
    return schemas.FeatureStanding.from_record(
        item,
        feature=feature.name,
        label=feature.label,
        meaning=feature.meaning,
        family=family,
        unit=feature.unit,
        direction=_DIRECTIONS[feature.sign],
    )


def _table(item: ProfileTable, today: date) -> schemas.TableCoverage:
    return schemas.TableCoverage.from_record(
        item,
        age_days=None if item.covers_through is None else (today - item.covers_through).days,
        days_with_rows=sum(item.days),
        days_by_step=list(item.days),
    )


def _flag(item: ProfileFlag) -> schemas.Flag:
    flag, feature = item.flag, item.feature
    return schemas.Flag.from_record(
        item,
        flag=flag.name,
        question=flag.question,
        feature=feature.name,
        label=feature.label,
        unit=feature.unit,
        threshold=flag.threshold,
        why=flag.why,
    )


@dataclass(frozen=True)
class ProfileView:
    """A bank's view of a profile: the stored profile, the consent of the view, and the profile of the response."""

    bank_id: str
    stored: SellerProfile
    consent_id: str
    profile: Profile


def open_profile(services: Services, bank_id: str, seller_id: str, clock: Clock = utc_now) -> ProfileView:
    """Return a seller's profile for a bank. `record_view` must record the view before the bank sees it.

    Raises:
        ConsentRequired: the bank has no active consent of the seller, or the seller is unknown.
        SellerUnknown: the latest snapshot does not contain the seller.
        VectorsUnavailable: there is no profile of the current feature definitions, or it cannot be read.
        DatabaseUnavailable: the database is not available.
    """
    with transaction(services.engine) as connection:
        consent = consents.require_active_consent(connection, seller_id, bank_id, None, clock)
    stored = _load_profile(services.vectors, seller_id)
    today = clock().astimezone(UTC).date()
    return ProfileView(bank_id, stored, consent.id, profile_response(stored, consent.id, today))


def record_view(services: Services, view: ProfileView, body: bytes, clock: Clock = utc_now) -> bool:
    """Record a view with the digest of its response in the ledger; return whether it is recorded.

    If the consent was replaced since the profile was read, nothing is recorded. The caller then opens the profile
    again, because an erasure may have removed it.

    Args:
        services: the services.
        view: the view.
        body: the response that the bank receives.
        clock: returns the current time.

    Raises:
        ConsentRequired: the consent was revoked.
        DatabaseUnavailable: the view could not be recorded.
    """
    seller_id = view.stored.seller_id
    with transaction(services.engine, writes=True) as connection:
        seller = services.ledger.seller(connection, seller_id)
        tip = services.ledger.lock_chain(connection, view.bank_id)
        # under the lock of the chain, so a revocation is committed before the view or follows it
        consent = consents.require_active_consent(connection, seller_id, view.bank_id, None, clock)
        if consent.id != view.consent_id:
            return False
        content = view_entry(view.stored, consent.id, body)
        services.ledger.append(connection, seller, EntryDraft(view.bank_id, EntryKind.VIEW, content, clock()), tip)
    return True


def _load_profile(vectors: VectorStore, seller_id: str) -> SellerProfile:
    try:
        stored = vectors.profile(seller_id)
        profile = None if stored is None else build_profile(*stored)
    except StoreError as error:
        logger.warning("profile cannot be read: %s", error)
        raise VectorsUnavailable from error
    if profile is None:
        raise SellerUnknown
    return profile
