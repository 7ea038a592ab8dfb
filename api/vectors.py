"""Between the two packages that do not know each other: a stored feature vector becomes the input of a score."""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

from features.store import StoredVector, VectorStore
from scoring import Bundle, Outcome, Vector, assess
from scoring.canonical import canonical_json

_LOOKED_AT: Final = 200
"""How many sellers are tried for an example: nearly all are scored, so the first few do."""


def to_vector(stored: StoredVector) -> Vector:
    """Return the seller's stored values as scoring takes them."""
    snapshot = stored.snapshot
    return Vector(stored.seller_id, snapshot.as_of, snapshot.covers_through, snapshot.catalogue, stored.values)


def inputs_of(stored: StoredVector) -> bytes:
    """Return all that the assessment was made from, the version of the data and the circumstances, as canonical JSON.

    What eligibility asks for beside the score stands here too, so that it can be proved from the ledger alone.

    Example: `{"as_of":"2026-01-31","base_currency":"CNY","catalogue":"sha256:...","country":"CN",
    "covers_through":{...},"data_version":"...","seller_id":"S-1","usd_per_unit":{"CNY":0.145,"USD":1.0},
    "values":[10.4,null]}`.
    """
    vector = asdict(to_vector(stored))
    vector["as_of"] = stored.snapshot.as_of.isoformat()
    vector["covers_through"] = {name: day.isoformat() for name, day in stored.snapshot.covers_through.items()}
    return canonical_json({**vector, "data_version": stored.snapshot.data_version, **vars(stored.circumstances)})


def example_vector(store: VectorStore, bundle: Bundle) -> StoredVector | None:
    """Return a vector to show: of the first seller with a number, else the first; None where the snapshot is empty.

    Raises:
        StoreError: no snapshot is stored, or it cannot be read.
        VectorError: the vectors do not meet the bundle.
    """
    first = [stored for _, stored in zip(range(_LOOKED_AT), store.all_latest(), strict=False)]
    assessed = zip(first, assess(bundle, [to_vector(stored) for stored in first]), strict=True)
    scored = (stored for stored, result in assessed if result.outcome is Outcome.SCORED)
    return next(scored, first[0] if first else None)
