"""What sellers of each size were seen to reach in 90 days: how far advice may go (`scoring.advice`).

Looked at are the same sellers at midnights 90 days apart, up to the latest one covered. It shapes no score: only what a
seller is told that others like him achieved.
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

    from features.ingest import OperatingStore

SIZE: Final = "settled_net_sales_365d"
DAYS: Final = 90
SPANS: Final = 4
"""A year back, so that every season is in it."""

LEAST_SEEN: Final = 50
"""Of fewer sellers one in ten is five or less: what so few reached is no promise."""

LONGEST: Final = 400
"""Days that a feature may look back: a year of settled days. Of a longer one, 90 days change next to nothing."""

MOST_SELLERS: Final = 5_000
"""Enough for the tenth of a third of them to be some hundred and fifty a span; reading more only takes time."""

ONE_IN: Final = 10
_SELL_MORE: Final = frozenset({"sales_trend", "stability", "customers"})
"""Reason groups whose only advice would be to sell more, or to more buyers, which fake orders do at once."""


@dataclass(frozen=True)
class Reached:
    """Size classes, and by feature what sellers of each reached; both empty where nothing could be looked at."""

    sizes: Sizes | None = None
    by_feature: Mapping[str, tuple[Reach | None, ...]] = field(default_factory=dict)


def advised() -> tuple[Feature, ...]:
    """Return what a seller may be advised to change: of each reason group the feature that follows soonest.

    The others of its group follow later and in the same direction. A change against the year before is of its group,
    too, and looks back longest.

    Example: of returns it is the rate of 90 days, not those of a year and of the change against it.
    """
    soonest: dict[str, Feature] = {}
    for feature in filter(_may_be_advised, CATALOGUE):
        first = soonest.setdefault(feature.reason_group, feature)
        if (feature.window or LONGEST) < (first.window or LONGEST):
            soonest[feature.reason_group] = feature
    return tuple(soonest.values())


def _may_be_advised(feature: Feature) -> bool:
    """Return whether honest work changes it within 90 days, in a known direction, and no cheap fakes do."""
    return (
        feature.actionable
        and feature.scored
        and not feature.structural
        and feature.window is not None
        and feature.window <= LONGEST
        and feature.reason_group not in _SELL_MORE
    )


def observed_reach(store: OperatingStore, history: tuple[HistoryThreshold, ...]) -> Reached:
    """Compare sellers with themselves 90 days later, over the last year that the store covers.

    Args:
        store: the operating data.
        history: what a seller needs for a score; those who lacked it are not looked at, as their figures leap.

    Returns:
        By size, thirds of the sellers' settled net sales of a year at the start: the value that one in ten has or
        betters, and the move for the better that one in ten made, of all who had a value at the start; nothing for a
        size of which too few were seen.
    """
    before, after = _pairs(store, history)
    if before.index.nunique() < LEAST_SEEN:
        return Reached()
    low, high = before[SIZE].quantile([1 / 3, 2 / 3])
    if not low < high:
        return Reached()
    sizes = Sizes(SIZE, (float(low), float(high)), DAYS)
    of = before[SIZE].map(sizes.of).to_numpy()
    found = {
        feature.name: tuple(_reach(feature, before[of == size], after[of == size]) for size in range(3))
        for feature in advised()
    }
    return Reached(sizes, {name: reach for name, reach in found.items() if any(reach)})


def _pairs(store: OperatingStore, history: tuple[HistoryThreshold, ...]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the features of the same sellers at the start and at the end of each span, row by row, by seller."""
    import pandas as pd

    from features.pipeline import all_sellers, compute_frame, latest_midnight

    days = [latest_midnight(store) - timedelta(days=DAYS * span) for span in range(SPANS, -1, -1)]
    sellers = all_sellers(store, days[-1])["seller_id"].sort_values()
    drawn = sellers.iloc[:: -(-len(sellers) // MOST_SELLERS) or 1]
    computed = compute_frame(store, pd.concat([drawn.to_frame().assign(as_of=day) for day in days]))
    spans = list(_spans(computed, days))
    before, after = (pd.concat(part) for part in zip(*spans, strict=True))
    fit = before[SIZE].notna().to_numpy()
    for threshold in history:
        fit = fit & (before[threshold.feature] >= threshold.least).to_numpy()
    return before[fit], after[fit]


def _spans(computed: pd.DataFrame, days: list[date]) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    of_day = computed.index.get_level_values("as_of")
    at = {day: computed[of_day == day.isoformat()].droplevel("as_of") for day in days}
    for start, end in pairwise(days):
        yield at[start], at[end].reindex(at[start].index)


def _reach(feature: Feature, before: pd.DataFrame, after: pd.DataFrame) -> Reach | None:
    """Return what sellers of one size reached; one whose value is not there any more has reached nothing."""
    known = before[feature.name].notna()
    if before.index[known].nunique() < LEAST_SEEN:
        return None
    end = after[feature.name][known.to_numpy()]
    better = -feature.sign * (end.to_numpy() - before[feature.name][known].to_numpy())
    move = float(np.quantile(np.nan_to_num(better, nan=-np.inf), 1 - 1 / ONE_IN, method="lower"))
    best = float(end.quantile(1 / ONE_IN if feature.sign > 0 else 1 - 1 / ONE_IN))
    return Reach(best, move) if move > 0 and np.isfinite(best) else None
