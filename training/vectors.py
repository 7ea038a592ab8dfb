"""Rows of a frame as scoring takes them: vectors for the one `assess`, and rows in the form of the served model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Final

from features.catalogue import CATALOGUE, digest
from features.materialize import rows_of
from scoring import Vector

NOBODY: Final = "example, no seller"
"""The id in the example that a registered model carries."""

if TYPE_CHECKING:
    import pandas as pd

    from training.dataset import Dataset


def to_vectors(computed: pd.DataFrame, covers_through: Mapping[str, date]) -> list[Vector]:
    """Return a vector for each row of a feature frame, as if requested on the day of its midnight.

    Args:
        computed: indexed by (seller_id, as_of), a column per feature.
        covers_through: the midnight through which each delivered table is complete.
    """
    catalogue = digest(CATALOGUE)
    return [
        Vector(seller_id, as_of.date(), as_of.date(), covers_through, catalogue, values)
        for (seller_id, values), (_, as_of) in zip(rows_of(computed), computed.index, strict=True)
    ]


def served_rows(rows: pd.DataFrame, features: pd.DataFrame, covers_through: Mapping[str, date]) -> pd.DataFrame:
    """Return rows in the form that the served model takes: see `served_model`.

    Args:
        rows: `seller_id` and `as_of` of each; the score is asked for on that day.
        features: their values, in the same order.
        covers_through: the midnight through which each delivered table is complete.
    """
    covers = json.dumps({name: day.isoformat() for name, day in sorted(covers_through.items())})
    days = rows["as_of"].dt.strftime("%Y-%m-%d")
    made = features.assign(seller_id=rows["seller_id"], as_of=days, requested_on=days, covers_through=covers)
    return made[["seller_id", "as_of", "requested_on", "covers_through", *features.columns]]


def example_row(dataset: Dataset, covers_through: Mapping[str, date]) -> pd.DataFrame:
    """Return one row of nobody's as the served model takes it: the median of every feature, as of the latest midnight.

    It is kept beside the model for whoever may read the registry, who may not know any seller's figures.
    """
    import pandas as pd

    rows = pd.DataFrame({"seller_id": [NOBODY], "as_of": [dataset.rows["as_of"].max()]})
    return served_rows(rows, dataset.features.median().to_frame().T, covers_through)
