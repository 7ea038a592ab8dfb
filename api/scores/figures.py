"""From a seller's stored figures to what the model says of them, with each failure as what a caller is told."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import date

from api.errors import ScoreNotExplained, SellerUnknown, VectorsDoNotFitModel, VectorsUnavailable
from api.reviews.corrected import Corrected, corrected
from api.reviews.repository import Correction
from api.services import Services
from features.errors import StoreError
from scoring import Assessment, Bundle, ExplanationError, VectorError, assess

logger = logging.getLogger(__name__)


def figures_of(services: Services, seller_id: str, requested_on: date, corrections: Sequence[Correction]) -> Corrected:
    """Return the seller's latest figures as they are to be scored on a day, with those that were corrected.

    Args:
        services: the parts of the service.
        seller_id: whose figures.
        requested_on: the day of the request (UTC).
        corrections: of the seller, oldest first.

    Raises:
        SellerUnknown: the latest snapshot does not hold the seller.
        VectorsUnavailable: there is no snapshot, or it cannot be read.
    """
    try:
        stored = services.vectors.latest(seller_id)
    except StoreError as error:
        logger.warning("no vectors can be read: %s", error)
        raise VectorsUnavailable from error
    if stored is None:
        raise SellerUnknown
    return corrected(stored, requested_on, services.champion.bundle.sheet.names, corrections)


def assessed(bundle: Bundle, figures: Sequence[Corrected]) -> list[Assessment]:
    """Return what a bundle says of each; nothing is stored.

    Raises:
        VectorsDoNotFitModel: they were made by another catalogue than the bundle's.
        ScoreNotExplained: the model's contributions do not add up.
    """
    try:
        return assess(bundle, [each.vector for each in figures])
    except VectorError as error:
        logger.warning("the vectors do not meet the model, which is of catalogue %s", bundle.sheet.catalogue)
        raise VectorsDoNotFitModel from error
    except ExplanationError as error:
        raise ScoreNotExplained from error
