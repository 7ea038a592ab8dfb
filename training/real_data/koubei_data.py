"""Rows of the merchant study: daily payments, labels, and the 20 plain features that the model is compared with."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from training.labels import Labels

if TYPE_CHECKING:
    import pandas as pd

HORIZON_DAYS: Final = 56
MIN_HISTORY_DAYS: Final = 90
MIN_PAYMENTS: Final = 200
FIRST_CUTOFF: Final = "2015-11-15"

_WINDOWS = (7, 14, 28, 56)
_NEVER = 999.0


def daily_payments(payments: pd.DataFrame) -> pd.DataFrame:
    """Return payments by shop (rows) and day (columns, without gaps); 0 on days without a row."""
    import pandas as pd

    table = payments.assign(day=pd.to_datetime(payments["day"]), seller_id=payments["shop_id"].astype(str))
    wide = table.pivot_table(index="seller_id", columns="day", values="payments", aggfunc="sum")
    return wide.reindex(columns=pd.date_range(wide.columns.min(), wide.columns.max())).fillna(0.0)


def label_rows(daily: pd.DataFrame) -> pd.DataFrame:
    """Return a row per merchant and cutoff with enough history: seller_id, as_of, and payments before and after."""
    import pandas as pd

    payments, days = daily.to_numpy(), pd.DatetimeIndex(daily.columns)
    last = days[-1] - timedelta(days=HORIZON_DAYS - 1)
    first_day = (payments > 0).argmax(axis=1)
    parts = []
    for cutoff in [pd.Timestamp(FIRST_CUTOFF), *pd.date_range(FIRST_CUTOFF, last, freq="MS")]:
        at = int(days.searchsorted(cutoff))
        before = payments[:, at - HORIZON_DAYS : at].sum(axis=1)
        after = payments[:, at : at + HORIZON_DAYS].sum(axis=1)
        eligible = (first_day <= at - MIN_HISTORY_DAYS) & (before >= MIN_PAYMENTS)
        part = pd.DataFrame({"seller_id": list(daily.index), "as_of": cutoff, "before": before, "after": after})
        parts.append(part[eligible])
    rows: pd.DataFrame = pd.concat(parts).sort_values(["seller_id", "as_of"], ignore_index=True)
    return rows


def labels_of(rows: pd.DataFrame, share: float) -> Labels:
    """Return the labels: bad if the payments after the cutoff are below `share` of those before."""
    labelled = rows[["seller_id", "as_of"]].assign(bad=rows["after"] < share * rows["before"])
    definition = (
        f"payments of the next {HORIZON_DAYS} days below {share:.0%} of those of the {HORIZON_DAYS} days before"
    )
    matured = rows["as_of"].max().date()
    return Labels(labelled, 0, matured, definition, source="daily payments", horizon_days=HORIZON_DAYS)


def plain_features(daily: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Return 20 features of each row, in the rows' order.

    Args:
        daily: payments by seller_id (rows) and day (columns, without gaps).
        rows: columns seller_id and as_of; a feature uses the days before as_of only.
    """
    import pandas as pd

    payments, days = daily.to_numpy(), pd.DatetimeIndex(daily.columns)
    sellers = pd.Index(daily.index).get_indexer(rows["seller_id"])
    until = days.searchsorted(pd.DatetimeIndex(rows["as_of"]))
    parts = []
    for end in np.unique(until):
        inside = np.flatnonzero(until == end)
        parts.append(pd.DataFrame(_features(payments[sellers[inside], :end]), index=inside))
    return pd.concat(parts).sort_index().set_index(rows.index)


def _features(before: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Return the features of daily payments; the last column is the day before as_of."""

    def total(days: int, lag: int = 0) -> NDArray[np.float64]:
        end = before.shape[1] - lag
        payments: NDArray[np.float64] = before[:, max(0, end - days) : max(0, end)].sum(axis=1)
        return payments

    def ratio(value: NDArray[np.float64], by: NDArray[np.float64]) -> NDArray[np.float64]:
        quotient: NDArray[np.float64] = np.where(by > 0, value / np.where(by > 0, by, 1.0), np.nan)
        return quotient

    recent = before[:, -56:]
    active = before > 0
    months = np.stack([total(28, 28 * back) for back in range(7)])
    since_last = np.where(active.any(axis=1), active[:, ::-1].argmax(axis=1), _NEVER)
    age = np.where(active.any(axis=1), before.shape[1] - active.argmax(axis=1), 0)
    return {
        **{f"payments_{days}d": total(days) for days in (*_WINDOWS, 120)},
        **{f"growth_{days}d": ratio(total(days), total(days, days)) for days in _WINDOWS},
        **{f"last_{days}d_share": ratio(total(days), total(56)) for days in (7, 14, 28)},
        **{f"active_share_{days}d": active[:, -days:].mean(axis=1) for days in (14, 28, 56)},
        "variation_56d": ratio(recent.std(axis=1), recent.mean(axis=1)),
        "days_since_last": since_last.astype(float),
        "share_of_peak_month": ratio(months[0], months.max(axis=0)),
        "age_days": age.astype(float),
        "level_56d": np.log1p(total(56)),
    }
