"""The catalogue in pandas, written from docs/features.md alone: the baseline for the pipeline's speed and values.

It is written as an experienced pandas user would: joins and flags once, then for each midnight a filter and a groupby
per window, without loops over rows and without a Python function per group. It shares no code with the pipeline.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final

import pandas as pd

from tests.benchmarks.pandas_baseline.customers import borders, customers
from tests.benchmarks.pandas_baseline.operations import advertising, cash, integrity, tenure, traffic
from tests.benchmarks.pandas_baseline.quality import fulfilment, quality, reputation
from tests.benchmarks.pandas_baseline.repayment import repayment
from tests.benchmarks.pandas_baseline.rows import Accepted, Files, load
from tests.benchmarks.pandas_baseline.sales import level, recent, season, steadiness, trend
from tests.benchmarks.pandas_baseline.seller_view import SellerView

FAMILIES: Final = (
    *(level, trend, recent, steadiness, quality, fulfilment, customers, traffic, advertising),
    *(borders, season, cash, repayment, tenure, reputation, integrity),
)


def frames(files: Files, midnights: Sequence[date]) -> pd.DataFrame:
    """Return every feature of every seller as of every midnight, indexed and sorted by (seller_id, as_of).

    Args:
        files: accepted Parquet files by table.
        midnights: the dates that begin at these midnights.
    """
    accepted = load(files)
    return pd.concat([_frame(accepted, pd.Timestamp(day)) for day in midnights]).sort_index()


def _frame(accepted: Accepted, as_of: pd.Timestamp) -> pd.DataFrame:
    view = SellerView(accepted, as_of)
    columns = {name: values for family in FAMILIES for name, values in family(view).items()}
    frame = pd.DataFrame(columns).astype("float64").assign(seller_id=accepted.seller_ids, as_of=as_of)
    return frame.set_index(["seller_id", "as_of"])
