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
    """Feature values of one seller in catalogue order. None is a missing value and never the same as zero.

    Attributes:
        seller_id: the seller.
        as_of: the midnight (UTC) at the start of this day; the values use data before it only.
        requested_on: the day (UTC) of the request; the age of the data is measured against it.
        covers_through: the midnight through which the platform delivered each table; tables that were not delivered
            are absent.
        catalogue: the digest of the feature definitions that the values were computed with.
        values: one value for each feature.
    """

    seller_id: str
    as_of: date
    requested_on: date
    covers_through: Mapping[str, date]
    catalogue: str
    values: tuple[float | None, ...]

    def data_through(self, table: str) -> date | None:
        """Return the midnight through which the values use a table's data; None if it was not delivered."""
        covered = self.covers_through.get(table)
        return None if covered is None else min(covered, self.as_of)

    def age_of(self, table: str) -> int | None:
        """Return the age of a table's data in days on the day of the request; None if it was not delivered."""
        through = self.data_through(table)
        return None if through is None else (self.requested_on - through).days


def to_matrix(vectors: Sequence[Vector], sheet: FeatureSheet) -> NDArray[np.float64]:
    """Return the values as a matrix of shape (vectors, features), NaN if missing.

    Values are converted to doubles here only, so that a vector has the same doubles alone and in a batch.

    Raises:
        VectorError: the catalogue is not the bundle's, the number of values is wrong, or a value is not finite.
    """
    matrix = np.empty((len(vectors), len(sheet.entries)), dtype=np.float64)
    for row, vector in enumerate(vectors):
        _check(vector, sheet)
        matrix[row] = [math.nan if value is None else float(value) for value in vector.values]
    return matrix


def _check(vector: Vector, sheet: FeatureSheet) -> None:
    name = f"The vector of seller {vector.seller_id}"
    if vector.catalogue != sheet.catalogue:
        raise VectorError(
            f"{name} was computed with catalogue {vector.catalogue}, but the model was trained with {sheet.catalogue}; "
            "compute the features again with the model's catalogue, or train a model with this one."
        )
    if len(vector.values) != len(sheet.entries):
        raise VectorError(f"{name} has {len(vector.values)} values; the model needs {len(sheet.entries)}.")
    for entry, value in zip(sheet.entries, vector.values, strict=True):
        # the common case first
        if value is None or (type(value) is float and math.isfinite(value)):
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
            raise VectorError(f"{name} has {value!r} for {entry.name}; allowed is a finite number, or none if missing.")


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer above the largest double
        return False
