"""Sellers who had no loan, drawn beside labelled rows: nobody knows whether they would have repaid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from features.ingest import OperatingStore

_TRIES: Final = 40
"""Random sellers tried for each labelled row; where none of them qualifies, nearly all sellers have loans."""


def others_beside(store: OperatingStore, rows: pd.DataFrame, seed: int, each: int = 1) -> pd.DataFrame:
    """Draw, for each labelled row, sellers whom the platform knew at that midnight and who had no loan until then.

    Example: beside loans of 2024-05-01 and 2024-05-02 come a seller as of each of these days.

    Args:
        store: the operating data.
        rows: `seller_id` and `as_of` of labelled rows; nobody labelled is drawn.
        seed: of the draws.
        each: how many to draw beside each row.

    Returns:
        Columns `seller_id` and `as_of`, at most `each` rows for a labelled one, without doubles.
    """
    import pandas as pd

    from features.pipeline import accepted_rows

    known = accepted_rows(store, "sellers").groupby("seller_id")["visible_from"].min()
    free_until = _first_loans(store, known.index)
    candidates = known.index.to_numpy()
    labelled = known.index.isin(rows["seller_id"])
    at = np.repeat(rows["as_of"].to_numpy(), each)
    tried = np.random.default_rng(seed).integers(0, len(candidates), (len(at), _TRIES))
    free = (known.to_numpy()[tried] <= at[:, None]) & (free_until.to_numpy()[tried] >= at[:, None])
    fits = free & ~labelled[tried]
    place = np.flatnonzero(fits.any(axis=1))
    chosen = candidates[tried[place, fits[place].argmax(axis=1)]]
    found = pd.DataFrame({"seller_id": chosen, "as_of": at[place]})
    return found.drop_duplicates(ignore_index=True)


def _first_loans(store: OperatingStore, sellers: pd.Index) -> pd.Series:
    """Return when each seller's first loan was paid out; the end of all time for those who had none."""
    import pandas as pd

    from features.pipeline import accepted_rows

    never = pd.Series(pd.Timestamp.max.as_unit("us"), index=sellers)
    if "loans" not in store.covers_through or not store.rows("loans"):
        return never
    first = accepted_rows(store, "loans").groupby("seller_id")["disbursed_at"].min()
    return first.reindex(sellers).fillna(never)
