"""Between the two packages that do not know each other: a stored feature vector becomes the input of a score.

A seller's vector with the figures that were corrected for its midnight; newer data stand as they come. Pure.

From a seller's stored figures to what the model says of them, with each failure as what a caller is told.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import (
    Column,
    Connection,
    Float,
    Index,
    String,
    Table,
    bindparam,
    select,
)

from api.errors import (
    ScoreNotExplained,
    SellerUnknown,
    VectorsDoNotFitModel,
    VectorsUnavailable,
)
from api.kit.database import UtcDateTime, metadata
from api.services import Services
from features.errors import StoreError
from features.store.vectors import StoredVector, VectorStore
from scoring import (
    Assessment,
    Bundle,
    ExplanationError,
    Outcome,
    Vector,
    VectorError,
    assess,
)
from scoring.canonical import canonical_json

_LOOKED_AT: Final = 200
"""How many sellers are tried for an example: nearly all are scored, so the first few do."""


def to_vector(stored: StoredVector, requested_on: date | None = None) -> Vector:
    """Return the seller's stored values as scoring takes them, for a request on a day (UTC).

    Without a day it is that of the values themselves: to prove that a model can assess them, however old they are.
    """
    snapshot = stored.snapshot
    day = requested_on or snapshot.as_of
    return Vector(stored.seller_id, snapshot.as_of, day, snapshot.covers_through, snapshot.catalogue, stored.values)


def inputs_of(stored: StoredVector, requested_on: date) -> bytes:
    """Return what an assessment is made from, with the version of the data and the seller's context, as canonical JSON.

    What eligibility asks for beside the score stands here too, so that it can be proved from the ledger alone.

    Example: `{"as_of":"2026-01-31","base_currency":"CNY","catalogue":"sha256:...","country":"CN",
    "covers_through":{...},"data_version":"...","requested_on":"2026-02-01","seller_id":"S-1","usd_per_unit":{"CNY":0.145,"USD":1.0},
    "values":[10.4,null]}`.
    """
    snapshot = stored.snapshot
    return canonical_json(
        {
            "seller_id": stored.seller_id,
            "as_of": snapshot.as_of.isoformat(),
            "requested_on": requested_on.isoformat(),
            "covers_through": {name: day.isoformat() for name, day in snapshot.covers_through.items()},
            "catalogue": snapshot.catalogue,
            "values": stored.values,
            "data_version": snapshot.data_version,
            **vars(stored.context),
        }
    )


def example_vector(store: VectorStore, bundle: Bundle, requested_on: date) -> StoredVector | None:
    """Return a vector to show: of the first seller with a score on a day, else the first; None without sellers.

    Raises:
        StoreError: no snapshot is stored, or it cannot be read.
        VectorError: the vectors do not meet the bundle.
    """
    first = [stored for _, stored in zip(range(_LOOKED_AT), store.all_latest(), strict=False)]
    assessed = zip(first, assess(bundle, [to_vector(stored, requested_on) for stored in first]), strict=True)
    scored = (stored for stored, result in assessed if result.outcome is Outcome.SCORED)
    return next(scored, first[0] if first else None)


@dataclass(frozen=True)
class CorrectedVector:
    """A stored vector as it is to be scored on a day (UTC), and the corrections in it, by feature."""

    stored: StoredVector
    requested_on: date
    corrections: tuple[Correction, ...] = ()

    @property
    def vector(self) -> Vector:
        """As scoring takes it."""
        return to_vector(self.stored, self.requested_on)

    @property
    def inputs(self) -> bytes:
        """All that the assessment is made from; of each corrected figure also what the data say, and by what review.

        Example: `"corrections":{"return_rate_90d":{"found":0.12,"review_id":"..."}}` beside the corrected values.
        """
        plain = inputs_of(self.stored, self.requested_on)
        if not self.corrections:
            return plain
        told = {each.feature: {"found": each.found, "review_id": each.review_id} for each in self.corrections}
        return canonical_json({**json.loads(plain), "corrections": told})


def correct_vector(
    stored: StoredVector, requested_on: date, names: Sequence[str], corrections: Sequence[Correction]
) -> CorrectedVector:
    """Put corrected figures in the place of those of the same midnight.

    Args:
        stored: the seller's values.
        requested_on: the day of the request.
        names: of the features, in the order of the values.
        corrections: of the seller, oldest first; a later one of the same figure counts.
    """
    as_of = stored.snapshot.as_of.isoformat()
    meant = {each.feature: each for each in corrections if each.as_of == as_of and each.feature in names}
    if not meant or len(names) != len(stored.values):
        return CorrectedVector(stored, requested_on)
    values = tuple(
        meant[name].value if name in meant else value for name, value in zip(names, stored.values, strict=True)
    )
    return CorrectedVector(replace(stored, values=values), requested_on, tuple(meant.values()))


logger = logging.getLogger(__name__)


def load_inputs(
    services: Services, seller_id: str, requested_on: date, corrections: Sequence[Correction]
) -> CorrectedVector:
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
    return correct_vector(stored, requested_on, services.champion.bundle.sheet.names, corrections)


def assess_inputs(bundle: Bundle, figures: Sequence[CorrectedVector]) -> list[Assessment]:
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


def parse_vector(inputs: Mapping[str, Any]) -> Vector:
    """Return what a score was made from; what is no such thing raises ValueError, KeyError or TypeError."""
    covers = {name: date.fromisoformat(day) for name, day in inputs["covers_through"].items()}
    as_of, requested_on = (date.fromisoformat(inputs[name]) for name in ("as_of", "requested_on"))
    return Vector(inputs["seller_id"], as_of, requested_on, covers, inputs["catalogue"], tuple(inputs["values"]))


corrections = Table(
    "corrections",
    metadata,
    Column("review_id", String(36), primary_key=True),
    Column("seller_id", String(200), nullable=False),
    Column("as_of", String(10), nullable=False),
    Column("feature", String(100), nullable=False),
    Column("found", Float(), nullable=True),
    Column("value", Float(), nullable=True),
    Column("corrected_at", UtcDateTime(), nullable=False),
    Index("corrections_seller", "seller_id", "as_of"),
)


_IN_ORDER: Final = select(corrections).order_by(corrections.c.corrected_at, corrections.c.review_id)


_CORRECTIONS: Final = _IN_ORDER.where(corrections.c.seller_id.in_(bindparam("sellers", expanding=True)))


_CORRECTIONS_OF_ONE: Final = _IN_ORDER.where(corrections.c.seller_id == bindparam("seller"))


@dataclass(frozen=True, slots=True)
class Correction:
    """A figure of the data of one midnight as it is to be; `found` is what it was before."""

    review_id: str
    seller_id: str
    as_of: str
    feature: str
    found: float | None
    value: float | None
    corrected_at: datetime


def corrections_of(connection: Connection, seller_id: str) -> Sequence[Correction]:
    """Return the seller's corrections, oldest first: of two of one figure the later one counts."""
    return [Correction(*each) for each in connection.execute(_CORRECTIONS_OF_ONE, {"seller": seller_id})]


def corrections_of_all(connection: Connection, seller_ids: Sequence[str]) -> dict[str, list[Correction]]:
    """Return the corrections of those of these sellers who have some."""
    found: dict[str, list[Correction]] = {}
    for each in connection.execute(_CORRECTIONS, {"sellers": seller_ids}):
        correction = Correction(*each)
        found.setdefault(correction.seller_id, []).append(correction)
    return found
