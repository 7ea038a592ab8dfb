"""Rows of a frame as scoring takes them: vectors for the one `assess`, and example rows for the served model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING

from features.catalogue import CATALOGUE, digest
from features.vectors import rows_of
from scoring import Vector

if TYPE_CHECKING:
    import pandas as pd

    from training.dataset import Dataset


def to_vectors(computed: pd.DataFrame, covers_through: Mapping[str, date]) -> list[Vector]:
    """Return a vector a row of a frame that `features.pipeline.frame` made.

    Args:
        computed: indexed by (seller_id, as_of), a column per feature.
        covers_through: the midnight through which each delivered table is complete.
    """
    catalogue = digest(CATALOGUE)
    return [
        Vector(seller_id, as_of.date(), covers_through, catalogue, values)
        for (seller_id, values), (_, as_of) in zip(rows_of(computed), computed.index, strict=True)
    ]


def example_rows(dataset: Dataset, covers_through: Mapping[str, date], count: int = 3) -> pd.DataFrame:
    """Return the first rows of a dataset in the form that the served model takes: see `served_model`."""
    rows, features = dataset.rows.head(count), dataset.features.head(count)
    covers = json.dumps({name: day.isoformat() for name, day in sorted(covers_through.items())})
    example = features.assign(
        seller_id=rows["seller_id"], as_of=rows["as_of"].dt.strftime("%Y-%m-%d"), covers_through=covers
    )
    return example[["seller_id", "as_of", "covers_through", *features.columns]]
