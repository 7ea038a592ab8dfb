"""Inputs of a score: the seller's stored feature vector, with corrections from reviews, assessed by a model.

A correction applies to the vector of its midnight (`as_of`) only; newer vectors are used without it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Column, Connection, Float, Index, String, Table, bindparam, select

from api.errors import ScoreNotExplained, SellerUnknown, VectorsDoNotFitModel, VectorsUnavailable
from api.kit.database import UtcDateTime, metadata, row_to
from api.services import Services
from features.errors import StoreError
from features.store.vectors import StoredVector, VectorStore
from scoring import Assessment, Bundle, ExplanationError, Outcome, Vector, VectorError, assess
from scoring.canonical import canonical_json

logger = logging.getLogger(__name__)

_EXAMPLE_SELLERS: Final = 200
"""Number of sellers to try for an example. Nearly all sellers have a score."""

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
_CORRECTIONS: Final = (
    select(corrections)
    .where(corrections.c.seller_id.in_(bindparam("sellers", expanding=True)))
    .order_by(corrections.c.corrected_at, corrections.c.review_id)
)


@dataclass(frozen=True, slots=True)
class Correction:
    """A corrected feature value of one midnight; `found` is the value before."""

    review_id: str
    seller_id: str
    as_of: str
    feature: str
    found: float | None
    value: float | None
    corrected_at: datetime


_to_correction = row_to(Correction)


def corrections_of(connection: Connection, seller_id: str) -> Sequence[Correction]:
    """Return the seller's corrections, oldest first. The latest correction of a feature applies."""
    return corrections_of_all(connection, [seller_id]).get(seller_id, [])


def corrections_of_all(connection: Connection, seller_ids: Sequence[str]) -> dict[str, list[Correction]]:
    """Return the corrections of several sellers by seller, oldest first."""
    by_seller: dict[str, list[Correction]] = {}
    for correction in map(_to_correction, connection.execute(_CORRECTIONS, {"sellers": seller_ids})):
        by_seller.setdefault(correction.seller_id, []).append(correction)
    return by_seller


def to_vector(stored: StoredVector, requested_on: date | None = None) -> Vector:
    """Return the vector of stored values for a request on a day (UTC).

    Without a day, it is the `as_of` day of the values, so that a model can assess them whatever their age.
    """
    snapshot = stored.snapshot
    day = requested_on or snapshot.as_of
    return Vector(stored.seller_id, snapshot.as_of, day, snapshot.covers_through, snapshot.catalogue, stored.values)


def example_vector(store: VectorStore, bundle: Bundle, requested_on: date) -> StoredVector | None:
    """Return the vector of the first seller with a score on a day, else of the first seller; None without sellers.

    Raises:
        StoreError: no snapshot is stored, or it cannot be read.
        VectorError: the bundle cannot assess the vectors.
    """
    first = [stored for _, stored in zip(range(_EXAMPLE_SELLERS), store.all_latest(), strict=False)]
    assessed = zip(first, assess(bundle, [to_vector(stored, requested_on) for stored in first]), strict=True)
    scored = (stored for stored, result in assessed if result.outcome is Outcome.SCORED)
    return next(scored, first[0] if first else None)


@dataclass(frozen=True)
class CorrectedVector:
    """A stored vector with its corrections, to be scored on a day (UTC)."""

    stored: StoredVector
    requested_on: date
    corrections: tuple[Correction, ...] = ()

    @property
    def vector(self) -> Vector:
        """The vector for scoring."""
        return to_vector(self.stored, self.requested_on)

    @property
    def inputs(self) -> bytes:
        """The inputs as canonical JSON, with the data version, the seller context and the corrections, if any.

        Eligibility also uses the seller context, so that the ledger alone proves its result. A correction has the value
        before it, its own value and the review, so that `ledger verify` can compare it with the decision.

        Example: `{"as_of":"2026-01-31","base_currency":"CNY","catalogue":"sha256:...",
        "corrections":{"return_rate_90d":{"found":0.12,"review_id":"...","value":0.1}},"country":"CN",
        "covers_through":{...},"data_version":"...","requested_on":"2026-02-01","seller_id":"S-1",
        "usd_per_unit":{"CNY":0.145,"USD":1.0},"values":[10.4,null]}`.
        """
        snapshot = self.stored.snapshot
        fields = {
            "seller_id": self.stored.seller_id,
            "as_of": snapshot.as_of.isoformat(),
            "requested_on": self.requested_on.isoformat(),
            "covers_through": {name: day.isoformat() for name, day in snapshot.covers_through.items()},
            "catalogue": snapshot.catalogue,
            "values": self.stored.values,
            "data_version": snapshot.data_version,
            **vars(self.stored.context),
        }
        if self.corrections:
            fields["corrections"] = {
                item.feature: {"found": item.found, "review_id": item.review_id, "value": item.value}
                for item in self.corrections
            }
        return canonical_json(fields)


def load_inputs(
    services: Services, seller_id: str, requested_on: date, corrections: Sequence[Correction]
) -> CorrectedVector:
    """Return the seller's latest vector, to be scored on a day (UTC), with the latest correction of each feature.

    The corrections are ordered, oldest first.

    Raises:
        SellerUnknown: the latest snapshot does not contain the seller.
        VectorsUnavailable: there is no snapshot, or it cannot be read.
    """
    try:
        stored = services.vectors.latest(seller_id)
    except StoreError as error:
        logger.warning("vectors cannot be read: %s", error)
        raise VectorsUnavailable from error
    if stored is None:
        raise SellerUnknown
    names, as_of = services.champion.bundle.sheet.names, stored.snapshot.as_of.isoformat()
    applied = {item.feature: item for item in corrections if item.as_of == as_of and item.feature in names}
    if not applied or len(names) != len(stored.values):
        return CorrectedVector(stored, requested_on)
    values = tuple(
        applied[name].value if name in applied else value for name, value in zip(names, stored.values, strict=True)
    )
    return CorrectedVector(replace(stored, values=values), requested_on, tuple(applied.values()))


def assess_inputs(bundle: Bundle, vectors: Sequence[CorrectedVector]) -> list[Assessment]:
    """Assess vectors with a bundle; nothing is stored.

    Raises:
        VectorsDoNotFitModel: the feature catalogue of the vectors differs from the bundle's.
        ScoreNotExplained: the contributions do not sum to the score.
    """
    try:
        return assess(bundle, [item.vector for item in vectors])
    except VectorError as error:
        logger.warning("the vectors do not fit the model of catalogue %s", bundle.sheet.catalogue)
        raise VectorsDoNotFitModel from error
    except ExplanationError as error:
        raise ScoreNotExplained from error


def parse_vector(inputs: Mapping[str, Any]) -> Vector:
    """Parse the stored inputs of a score; raises ValueError, KeyError or TypeError if they are not valid."""
    covers = {name: date.fromisoformat(day) for name, day in inputs["covers_through"].items()}
    as_of, requested_on = (date.fromisoformat(inputs[name]) for name in ("as_of", "requested_on"))
    return Vector(inputs["seller_id"], as_of, requested_on, covers, inputs["catalogue"], tuple(inputs["values"]))
