"""Show a seller's picture to a bank: under consent, and recorded before anyone sees it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC

from fastapi import Response

from api.consents import service as consents
from api.consents.service import Clock, utc_now
from api.database import transaction
from api.errors import SellerUnknown, VectorsUnavailable
from api.ledger.service import Draft
from api.sellers import proof
from api.sellers.schemas import Profile
from api.sellers.shown import profile_of
from api.services import Services
from features.errors import StoreError
from features.profile.profile import SellerProfile, build_profile
from features.store.vectors import VectorStore

logger = logging.getLogger(__name__)


def look(
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
        consented = consents.require(connection, seller_id, bank_id, None, clock)
    picture = _picture_of(services.vectors, seller_id)
    today = clock().astimezone(UTC).date()
    answer = answered(profile_of(picture, consented.id, today))
    with transaction(services.engine, writes=True) as connection:
        seller = services.ledger.seller(connection, seller_id)
        tip = services.ledger.hold(connection, bank_id)
        # once more under the chain, so that a revocation was committed before or comes after
        consent = consents.require(connection, seller_id, bank_id, None, clock)
        if consent.id != consented.id:
            # an erasure since the picture was read has removed it first: nobody comes back by a race
            picture = _picture_of(services.vectors, seller_id)
            answer = answered(profile_of(picture, consent.id, today))
        content = proof.of_view(picture, consent.id, bytes(answer.body))
        services.ledger.append(connection, seller, Draft(bank_id, proof.VIEW, content, clock()), tip)
    return answer


def _picture_of(vectors: VectorStore, seller_id: str) -> SellerProfile:
    try:
        found = vectors.profile(seller_id)
        picture = None if found is None else build_profile(*found)
    except StoreError as error:
        logger.warning("no picture can be read: %s", error)
        raise VectorsUnavailable from error
    if picture is None:
        raise SellerUnknown
    return picture
