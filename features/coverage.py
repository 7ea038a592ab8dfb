"""Validation of requested (seller, midnight) pairs: their form, and whether the store covers them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING

from features.engines.duckdb import open_engine, read_parquet
from features.errors import CatalogueError, StoreError
from features.executor import INDEX, map_engine_errors
from features.seller_coverage import first_known, latest_midnights, pair_coverage

if TYPE_CHECKING:
    import pandas as pd

    from features.ingest import OperatingStore


def requested_pairs(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the columns `seller_id` (text) and `as_of` (midnights, datetime64) of a request, in its order.

    Raises:
        CatalogueError: a column is missing, or a value is missing or of another kind.
    """
    import pandas as pd

    missing = [name for name in INDEX if name not in pairs.columns]
    if missing:
        raise CatalogueError(f"The pairs have no column {' and no column '.join(missing)}. Give seller_id and as_of.")
    sellers = pairs["seller_id"].reset_index(drop=True)
    _reject(~sellers.map(lambda seller: isinstance(seller, str) and bool(seller)), pairs, "seller_id", "a text")
    days = _midnights(pairs["as_of"].reset_index(drop=True))
    _reject(days.isna() | (days != days.dt.normalize()), pairs, "as_of", "a date, or a timestamp at midnight")
    return pd.DataFrame({"seller_id": sellers.astype(object), "as_of": days.astype("datetime64[us]")})


def _midnights(values: pd.Series) -> pd.Series:
    import pandas as pd

    zoned = "A value of as_of has a time zone. All times are UTC: give dates, or timestamps without a time zone."
    try:
        days = pd.to_datetime(values.astype(object), errors="coerce", format="ISO8601")
    except (TypeError, ValueError) as error:  # time zones, mixed with none or with one another
        raise CatalogueError(zoned) from error
    if isinstance(days.dtype, pd.DatetimeTZDtype):
        raise CatalogueError(zoned)
    return days


def _reject(invalid: pd.Series, pairs: pd.DataFrame, column: str, allowed: str) -> None:
    if invalid.any():
        row = int(invalid.to_numpy().argmax())
        raise CatalogueError(
            f"{int(invalid.sum()):,} of {len(pairs):,} pairs have no valid {column}; the first is "
            f"'{pairs[column].iloc[row]}' in row {row + 1}. Give {allowed}."
        )


def require_covered(store: OperatingStore, requested: pd.DataFrame, latest: date) -> None:
    """Raise StoreError unless the store, which covers `latest`, covers each date and has each seller as of that date.

    The message has the count, the first pair and what is allowed.
    """
    import pandas as pd

    if requested.empty:
        return
    known, first_order = _known_from(store)
    sellers, days = requested["seller_id"], requested["as_of"]
    _require(
        days <= pd.Timestamp(latest),
        requested,
        lambda first: (
            f"as of a date after {latest}, the latest midnight that the store covers; the first is {first}. "
            f"Use dates up to {latest}, or ingest the days between."
        ),
    )
    _require(
        days >= pd.Timestamp(first_order),
        requested,
        lambda first: (
            f"as of a date before {first_order}, the first midnight with a known order; the first is "
            f"{first}. Use dates from {first_order} on."
        ),
    )
    since = sellers.map(known)
    _require(
        since.notna(),
        requested,
        lambda first: (
            f"of {sellers[since.isna()].nunique():,} sellers who are not in the store; the first is {first}. "
            "Use the seller_id of the table sellers."
        ),
    )
    _require(
        since <= days,
        requested,
        lambda first: (
            f"of sellers who were not known yet as of that date; the first is {first}, known from "
            f"{since[~(since <= days)].iloc[0].date()} on. Use later dates for them."
        ),
    )
    if not store.covers_all_stores:
        _require_own_coverage(store, requested)


def _require_own_coverage(store: OperatingStore, requested: pd.DataFrame) -> None:
    """Raise StoreError for pairs after the days that were delivered of the seller's own stores."""
    import pandas as pd

    coverage = pair_coverage(store, requested)
    latest = latest_midnights(coverage).set_axis(pd.MultiIndex.from_frame(coverage[INDEX]))
    through = latest.reindex(pd.MultiIndex.from_frame(requested[INDEX])).set_axis(requested.index)
    _require(
        requested["as_of"] <= through,
        requested,
        lambda first: (
            f"as of a date after the data of that seller end; the first is {first}, whose stores are covered "
            f"{_through(through[~(requested['as_of'] <= through)].iloc[0])}. Other sellers are covered longer. Use "
            "earlier dates for such sellers, or ingest the days between."
        ),
    )


def _through(day: pd.Timestamp) -> str:
    import pandas as pd

    return "on no day" if pd.isna(day) else f"through {day.date()}"


def _require(holds: pd.Series, requested: pd.DataFrame, rest: Callable[[str], str]) -> None:
    if holds.all():
        return
    seller, day = requested[~holds].iloc[0]
    count = f"{int((~holds).sum()):,} of {len(requested):,} pairs are "
    raise StoreError(count + rest(f"seller {seller!r} as of {day.date()}"))


def _known_from(store: OperatingStore) -> tuple[pd.Series, date]:
    """Return the first midnight as of which each seller is known, by seller, and that of the first order."""
    known = first_known(store)
    with map_engine_errors(store), open_engine() as engine:
        orders = read_parquet(engine, store.files("orders"))
        first_order: date = orders.visible_from.min().as_scalar().to_pyarrow().as_py()
    return known, first_order
