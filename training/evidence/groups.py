"""The groups of rows that a model is reported by: when, where, how long, how large."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from training.dataset import Dataset

UNKNOWN: Final = "unknown"
OTHERS: Final = "others"

MOST_GROUPS: Final = 12
"""Of countries or marketplaces; those with fewer rows share one, as nobody reads a hundred lines of chance."""

_YEAR: Final = 365.25
_TENURES: Final = {"under 1 year": 1.0, "1 to 2 years": 2.0, "2 to 4 years": 4.0, "4 years or more": np.inf}
_SIZES: Final = ("small", "medium", "large")


def groups(rows: Dataset) -> dict[str, pd.Series]:
    """Return the group of each row by month, country, marketplace, tenure and size, in the order to show them.

    Rows of a table have a month alone.
    """
    if rows.is_table:
        return {"month": rows.rows["as_of"].dt.strftime("%Y-%m")}
    return {
        "month": rows.rows["as_of"].dt.strftime("%Y-%m"),
        "country": common(rows.about["country"]),
        "marketplace": common(rows.about["marketplace"]),
        "tenure": tenures(rows.features["days_on_platform"]),
        "size": sizes(rows.features["settled_net_sales_365d"]),
    }


def ordered(by: str, of: pd.Series) -> list[str]:
    """Return the groups found, in their natural order: of size and tenure the rising one, else that of the alphabet."""
    natural = {"tenure": list(_TENURES), "size": list(_SIZES)}.get(by, [])
    last = [OTHERS, UNKNOWN]
    found = set(of.unique())
    plain = sorted(found - set(natural) - set(last))
    return [name for name in (*natural, *plain, *last) if name in found]


def common(names: pd.Series, most: int = MOST_GROUPS) -> pd.Series:
    """Return names with the rarer ones as `others` and missing ones as `unknown`.

    Example: with `most` 1, of CN, CN, VN and none become CN, CN, others, unknown.
    """
    known = names.dropna().astype(str)
    # equally frequent ones by the alphabet, so that the order of rows does not matter
    frequent = known.value_counts().sort_index().sort_values(ascending=False, kind="stable").index[:most]
    named = names.astype(object).where(names.isin(frequent), OTHERS).where(names.notna(), UNKNOWN)
    return named.astype(str)


def tenures(days: pd.Series) -> pd.Series:
    """Return how long a seller has been on the platform, in words; example: 400 days are `1 to 2 years`."""
    import pandas as pd

    limits = [years * _YEAR for years in _TENURES.values()][:-1]
    named = np.array(list(_TENURES))[np.searchsorted(limits, days.to_numpy(), side="right")]
    return pd.Series(named, index=days.index).where(days.notna(), UNKNOWN)


def sizes(sales: pd.Series) -> pd.Series:
    """Return `small`, `medium` or `large` by thirds of the rows' sales, `unknown` where missing."""
    import pandas as pd

    limits = size_limits(sales)
    named = np.array(_SIZES)[np.searchsorted(limits, sales.to_numpy())]
    return pd.Series(named, index=sales.index).where(sales.notna(), UNKNOWN)


def size_limits(sales: pd.Series) -> tuple[float, float]:
    """Return the sales up to which a row is small, and up to which it is medium."""
    low, high = sales.quantile([1 / 3, 2 / 3])
    return float(low), float(high)
