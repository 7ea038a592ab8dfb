"""Observed reach: how far sellers of each size moved their features in 90 days. It limits advice (`scoring.advice`).

The same sellers are compared at midnights 90 days apart, up to the latest one that the data cover. The result changes
no score, only the advice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from features.catalogue import CATALOGUE, Feature
from scoring.sheet import HistoryThreshold, Reach, Sizes

if TYPE_CHECKING:
    import pandas as pd

    from features.intake import OperatingStore

SIZE: Final = "settled_net_sales_365d"
DAYS: Final = 90
SPANS: Final = 4
"""Number of spans: one year, which includes every season."""

MIN_SELLERS: Final = 50
"""Minimum number of sellers. One in ten of fewer is at most five sellers, too few for a promise."""

LONGEST: Final = 400
"""Longest window of a feature in days: a year of settled days. 90 days hardly change a longer one."""

MOST_SELLERS: Final = 5_000
"""Maximum number of sellers. One in ten of a third of them are about 150 per span, which is enough."""

ONE_IN: Final = 10
_SELL_MORE: Final = frozenset({"sales_trend", "stability", "customers"})
"""Reason groups whose only advice would be to sell more, or to more buyers, which fake orders do at once."""


@dataclass(frozen=True)
class ObservedReach:
    """Size classes, and by feature the reach of each class; both empty if there are too few sellers."""

    sizes: Sizes | None = None
    by_feature: Mapping[str, tuple[Reach | None, ...]] = field(default_factory=dict)


def advisable_features() -> tuple[Feature, ...]:
    """Return the features that advice may name: in each reason group, the one with the shortest window.

    The others of the group follow later in the same direction.

    Example: for returns it is the rate of 90 days, not that of a year or its change against the year before.
    """
    shortest: dict[str, Feature] = {}
    for feature in filter(_is_advisable, CATALOGUE):
        first = shortest.setdefault(feature.reason_group, feature)
        if (feature.window or LONGEST) < (first.window or LONGEST):
            shortest[feature.reason_group] = feature
    return tuple(shortest.values())


def _is_advisable(feature: Feature) -> bool:
    """Return whether honest work changes the feature within 90 days in a known direction, and cheap fakes do not."""
    return (
        feature.actionable
        and feature.scored
        and not feature.structural
        and feature.window is not None
        and feature.window <= LONGEST
        and feature.reason_group not in _SELL_MORE
    )


def observed_reach(store: OperatingStore, history: tuple[HistoryThreshold, ...]) -> ObservedReach:
    """Compare sellers with themselves 90 days later, over the last year that the store covers.

    Args:
        store: the operating data.
        history: minimum history for a score. Sellers without it are excluded, because their features jump.

    Returns:
        For each size class (thirds of the sellers by settled net sales of the year before the start): the value that
        one in ten sellers reaches or exceeds, and the improvement that one in ten achieves, among all with a value at
        the start. None for a class with too few sellers.
    """
    before, after = _pairs(store, history)
    if before.index.nunique() < MIN_SELLERS:
        return ObservedReach()
    low, high = before[SIZE].quantile([1 / 3, 2 / 3])
    if not low < high:
        return ObservedReach()
    sizes = Sizes(SIZE, (float(low), float(high)), DAYS)
    size_of = before[SIZE].map(sizes.of).to_numpy()
    by_feature = {
        feature.name: tuple(_reach(feature, before[size_of == size], after[size_of == size]) for size in range(3))
        for feature in advisable_features()
    }
    return ObservedReach(sizes, {name: reach for name, reach in by_feature.items() if any(reach)})


def _pairs(store: OperatingStore, history: tuple[HistoryThreshold, ...]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the features of the same sellers at the start and at the end of each span, indexed by seller."""
    import pandas as pd

    from features.pipeline import all_sellers, compute_frame, latest_midnight

    days = [latest_midnight(store) - timedelta(days=DAYS * span) for span in range(SPANS, -1, -1)]
    sellers = all_sellers(store, days[-1])["seller_id"].sort_values()
    sampled = sellers.iloc[:: -(-len(sellers) // MOST_SELLERS) or 1]
    computed = compute_frame(store, pd.concat([sampled.to_frame().assign(as_of=day) for day in days]))
    spans = list(_spans(computed, days))
    before, after = (pd.concat(part) for part in zip(*spans, strict=True))
    eligible = before[SIZE].notna().to_numpy()
    for threshold in history:
        eligible = eligible & (before[threshold.feature] >= threshold.least).to_numpy()
    return before[eligible], after[eligible]


def _spans(computed: pd.DataFrame, days: list[date]) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    of_day = computed.index.get_level_values("as_of")
    at = {day: computed[of_day == day.isoformat()].droplevel("as_of") for day in days}
    for start, end in pairwise(days):
        yield at[start], at[end].reindex(at[start].index)


def _reach(feature: Feature, before: pd.DataFrame, after: pd.DataFrame) -> Reach | None:
    """Return the reach of sellers of one size class. A value that is missing at the end counts as no improvement."""
    has_value = before[feature.name].notna()
    if before.index[has_value].nunique() < MIN_SELLERS:
        return None
    end = after[feature.name][has_value.to_numpy()]
    better = -feature.sign * (end.to_numpy() - before[feature.name][has_value].to_numpy())
    move = float(np.quantile(np.nan_to_num(better, nan=-np.inf), 1 - 1 / ONE_IN, method="lower"))
    best = float(end.quantile(1 / ONE_IN if feature.sign > 0 else 1 - 1 / ONE_IN))
    return Reach(best, move) if move > 0 and np.isfinite(best) else None
