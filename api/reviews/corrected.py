"""A seller's vector with the figures that were corrected for its midnight; newer data stand as they come. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from api.reviews.repository import Correction
from api.vectors import inputs_of, to_vector
from features.store.vectors import StoredVector
from scoring import Vector
from scoring.canonical import canonical_json


@dataclass(frozen=True)
class Corrected:
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


def corrected(
    stored: StoredVector, requested_on: date, names: Sequence[str], corrections: Sequence[Correction]
) -> Corrected:
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
        return Corrected(stored, requested_on)
    values = tuple(
        meant[name].value if name in meant else value for name, value in zip(names, stored.values, strict=True)
    )
    return Corrected(replace(stored, values=values), requested_on, tuple(meant.values()))
