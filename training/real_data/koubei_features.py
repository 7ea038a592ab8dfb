"""The 20 plain features that the study of merchants compares with: payments of some weeks, growth, gaps, recency."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

_WINDOWS = (7, 14, 28, 56)
_NEVER = 999.0


def plain_features(daily: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Return 20 features of each row, in the rows' order.

    Args:
        daily: payments by seller_id (rows) and day (columns, none left out).
        rows: columns seller_id and as_of; a feature sees the days before as_of only.
    """
    import pandas as pd

    payments, days = daily.to_numpy(), pd.DatetimeIndex(daily.columns)
    sellers = pd.Index(daily.index).get_indexer(rows["seller_id"])
    until = days.searchsorted(pd.DatetimeIndex(rows["as_of"]))
    parts = []
    for end in np.unique(until):
        inside = np.flatnonzero(until == end)
        parts.append(pd.DataFrame(_of_days(payments[sellers[inside], :end]), index=inside))
    return pd.concat(parts).sort_index().set_index(rows.index)


def _of_days(before: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Return the features of rows of days, the day before as_of last."""

    def total(days: int, lag: int = 0) -> NDArray[np.float64]:
        end = before.shape[1] - lag
        found: NDArray[np.float64] = before[:, max(0, end - days) : max(0, end)].sum(axis=1)
        return found

    def over(value: NDArray[np.float64], by: NDArray[np.float64]) -> NDArray[np.float64]:
        divided: NDArray[np.float64] = np.where(by > 0, value / np.where(by > 0, by, 1.0), np.nan)
        return divided

    lately = before[:, -56:]
    active = before > 0
    months = np.stack([total(28, 28 * back) for back in range(7)])
    since_last = np.where(active.any(axis=1), active[:, ::-1].argmax(axis=1), _NEVER)
    age = np.where(active.any(axis=1), before.shape[1] - active.argmax(axis=1), 0)
    return {
        **{f"payments_{days}d": total(days) for days in (*_WINDOWS, 120)},
        **{f"growth_{days}d": over(total(days), total(days, days)) for days in _WINDOWS},
        **{f"last_{days}d_share": over(total(days), total(56)) for days in (7, 14, 28)},
        **{f"active_share_{days}d": active[:, -days:].mean(axis=1) for days in (14, 28, 56)},
        "variation_56d": over(lately.std(axis=1), lately.mean(axis=1)),
        "days_since_last": since_last.astype(float),
        "share_of_peak_month": over(months[0], months.max(axis=0)),
        "age_days": age.astype(float),
        "level_56d": np.log1p(total(56)),
    }
