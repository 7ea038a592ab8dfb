"""Asks the one `assess` about rows of a dataset, as a bank would: whole vectors in, assessments out."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scoring import Assessment, Vector, assess

if TYPE_CHECKING:
    import pandas as pd

    from scoring import Bundle
    from training.dataset import Dataset


def answers(
    bundle: Bundle, rows: pd.DataFrame, matrix: NDArray[np.float64], withheld: Collection[str] = ()
) -> list[Assessment]:
    """Assess rows as of their midnights and on these days, every table that the model reads delivered up to then.

    Args:
        bundle: the bundle to ask.
        rows: `seller_id` and `as_of` of each row.
        matrix: their values in the feature sheet's order, NaN where missing.
        withheld: tables that are not delivered after all.
    """
    tables = (*bundle.sheet.required_tables, *bundle.sheet.optional_tables)
    covering = [name for name in tables if name not in withheld]
    vectors = [
        Vector(
            seller,
            as_of.date(),
            as_of.date(),
            dict.fromkeys(covering, as_of.date()),
            bundle.sheet.catalogue,
            tuple(None if np.isnan(value) else value for value in values),
        )
        for seller, as_of, values in zip(rows["seller_id"], rows["as_of"], matrix.tolist(), strict=True)
    ]
    return assess(bundle, vectors)


def scorable(bundle: Bundle, features: pd.DataFrame) -> NDArray[np.bool_]:
    """Return True for the rows of active sellers with enough history for a score."""
    fit = np.ones(len(features), dtype=bool)
    for threshold in bundle.sheet.history:
        fit &= (features[threshold.feature].fillna(0.0) >= threshold.least).to_numpy()
    if activity := bundle.sheet.activity:
        inactive = (features[activity.feature].fillna(np.inf) > activity.most) & features[activity.since].notna()
        fit &= ~inactive.to_numpy()
    return fit


def drawn_rows(bundle: Bundle, rows: Dataset, most: int, seed: int) -> NDArray[np.int64]:
    """Return the places of at most so many scorable rows, drawn at random and in their own order."""
    places = np.flatnonzero(scorable(bundle, rows.features))
    if len(places) > most:
        places = np.sort(np.random.default_rng(seed).choice(places, most, replace=False))
    return places
