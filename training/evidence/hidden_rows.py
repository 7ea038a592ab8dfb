"""Does it pay where a table is delivered, and one seller's rows in it are not? Sellers copied without them, and scored.

A table that nobody delivered is missing, and so is all that rests on it. Rows that are lacking of one seller alone look
like a seller who has none: whether that is a zero or unknown, each definition says. So nothing is set to missing here:
the rows are left out of a store of copies, and features are computed from what is left.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from features.pipeline import compute_frame
from features.store.tiles import SOURCES
from training.evidence.fake_orders.copies import NamedRows, copied, first_rows, renamed, rows_of, write_store

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from features.ingest import OperatingStore

HONEST: Final = "as he is"
"""The copy that hides nothing."""

TOLD_BY_SILENCE: Final = frozenset({"refunds", "loans", "instalments"})
"""Tables whose silence is a fact, which nobody can tell from news withheld: no refund is what an honest seller hopes
for, and most who ask for a first loan never had one. Whether all rows come is the platform's and the lender's to keep;
a seller delivers none himself."""

_NEEDED: Final = frozenset({"sellers", "stores", "orders"})
"""Tables without which there is no seller to score."""


def optional_tables(store: OperatingStore) -> tuple[str, ...]:
    """Return the delivered tables of which a seller's rows may be lacking.

    Example: `("refunds", "traffic", "fulfilments", "ratings", "purchases")`.
    """
    return tuple(name for name in SOURCES if name not in _NEEDED and store.rows(name))


def without_rows(store: OperatingStore, pairs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the features of sellers as they are, and without their rows in each optional table that is delivered.

    Args:
        store: the operating data.
        pairs: `seller_id` and `as_of` to compute for.

    Returns:
        Frames by the name of the table left out, `HONEST` for none, each in the order of `pairs`.
    """
    import pandas as pd

    rows = rows_of(store, pairs["seller_id"].unique(), pairs["as_of"].max().date())
    copies = (HONEST, *optional_tables(store))
    asked = pd.concat([_asked(pairs, copy) for copy in copies], ignore_index=True)
    with tempfile.TemporaryDirectory(prefix="sellerscore-hidden-rows-") as folder:
        deliveries = {"first": first_rows(store), "true": _all(rows, copies)}
        computed = compute_frame(write_store(Path(folder), store, deliveries), asked)
    found = computed.reindex(pd.MultiIndex.from_frame(asked))
    count = len(pairs)
    return {copy: found.iloc[place * count : (place + 1) * count] for place, copy in enumerate(copies)}


def _all(rows: dict[str, pa.Table], copies: Sequence[str]) -> NamedRows:
    for copy in copies:
        yield from renamed({name: table for name, table in rows.items() if name != copy}, copy)


def _asked(pairs: pd.DataFrame, copy: str) -> pd.DataFrame:
    return pairs.assign(seller_id=[copied(seller, copy) for seller in pairs["seller_id"]])[["seller_id", "as_of"]]
