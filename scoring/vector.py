"""The input of a score: one seller's feature values as of one midnight."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from scoring.errors import VectorError
from scoring.sheet import FeatureSheet


@dataclass(frozen=True)
class Vector:
    """Feature values of one seller in catalogue order; None is missing, which is never the same as zero.

    `as_of` is the midnight (UTC) that begins that day, `requested_on` the day (UTC) on which the score is asked for:
    the age of the data is measured against it. `covers_through` says per table up to which midnight the platform
    delivered; a table that was not delivered is not in it. `catalogue` is the digest of the definitions that made the
    values.
    """

    seller_id: str
    as_of: date
    requested_on: date
    covers_through: Mapping[str, date]
    catalogue: str
    values: tuple[float | None, ...]

    def data_through(self, table: str) -> date | None:
        """Return up to which midnight the values rest on a table; None where it was not delivered."""
        covered = self.covers_through.get(table)
        return None if covered is None else min(covered, self.as_of)

    def age_of(self, table: str) -> int | None:
        """Return how many days before the request the data of a table end; None where it was not delivered."""
        through = self.data_through(table)
        return None if through is None else (self.requested_on - through).days


def to_matrix(vectors: Sequence[Vector], sheet: FeatureSheet) -> NDArray[np.float64]:
    """Return the values as a matrix of shape (vectors, features), missing as NaN.

    The one place where values are coerced, so that alone and in a batch they are the same doubles.

    Raises:
        VectorError: another catalogue than the bundle's, a wrong number of values, or one that is not finite.
    """
    matrix = np.empty((len(vectors), len(sheet.entries)), dtype=np.float64)
    for row, vector in enumerate(vectors):
        _check(vector, sheet)
        matrix[row] = [math.nan if value is None else float(value) for value in vector.values]
    return matrix


def _check(vector: Vector, sheet: FeatureSheet) -> None:
    who = f"The vector of seller {vector.seller_id}"
    if vector.catalogue != sheet.catalogue:
        raise VectorError(
            f"{who} was made by catalogue {vector.catalogue}, but the model was trained with {sheet.catalogue}; "
            "compute the features again with the model's catalogue, or train a model with this one."
        )
    if len(vector.values) != len(sheet.entries):
        raise VectorError(f"{who} has {len(vector.values)} values; the model needs {len(sheet.entries)}.")
    for entry, value in zip(sheet.entries, vector.values, strict=True):
        # what nearly all values are is looked at first
        if value is None or (type(value) is float and math.isfinite(value)):
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
            raise VectorError(
                f"{who} holds {value!r} for {entry.name}; allowed is a finite number, or none if missing."
            )


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond all doubles
        return False
