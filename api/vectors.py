"""Between the two packages that do not know each other: a stored feature vector becomes the input of a score."""

from __future__ import annotations

from datetime import date
from typing import Final

from features.store.vectors import StoredVector, VectorStore
from scoring import Bundle, Outcome, Vector, assess
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
