"""Observed reach against a plain count of the same pairs, and the features that may be advised."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from features.catalogue import CATALOGUE
from features.ingest import OperatingStore, open_store
from features.pipeline import all_sellers, latest_midnight
from tests.frames import frame_of
from tests.world import World
from training.package import HISTORY
from training.reach import MIN_SELLERS, SIZE, ObservedReach, advisable_features, observed_reach

pytestmark = pytest.mark.slow

Values = dict[str, float]


@pytest.fixture(scope="module")
def store(world: World) -> OperatingStore:
    return open_store(world.home / "operating")


@pytest.fixture(scope="module")
def computed() -> list[pd.DataFrame]:
    """The frames that were computed for `reached`."""
    return []


@pytest.fixture(scope="module")
def reached(store: OperatingStore, computed: list[pd.DataFrame]) -> ObservedReach:
    def recorded(asked: OperatingStore, pairs: pd.DataFrame) -> pd.DataFrame:
        computed.append(frame_of(asked, pairs, asked_about()))
        return computed[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("features.pipeline.compute_frame", recorded)
        return observed_reach(store, HISTORY)


def asked_about() -> set[str]:
    """Return the features that matter here: of all of them, one frame takes seconds."""
    return {SIZE, *(each.name for each in advisable_features()), *(each.feature for each in HISTORY)}


Pair = tuple[str, Values, Values]


def pairs(store: OperatingStore, computed: pd.DataFrame) -> list[Pair]:
    """Return the values of each seller who was known at the start of a span, and those at its end."""
    days = [latest_midnight(store) - timedelta(days=90 * back) for back in range(5)]
    at: dict[date, dict[str, Values]] = {day: {} for day in days}
    for (seller, day), row in computed.iterrows():
        at[day.date()][seller] = dict(row)
    assert all(set(all_sellers(store, day)["seller_id"]) <= set(at[day]) for day in days)
    found = []
    for start, end in ((at[days[span + 1]], at[days[span]]) for span in range(4)):
        found += [(seller, start[seller], end[seller]) for seller in start]
    return [
        (seller, before, after)
        for seller, before, after in found
        if before["days_since_first_order"] >= 90 and before["active_days_365d"] >= 10 and before[SIZE] == before[SIZE]
    ]


def test_the_reach_is_what_one_in_ten_sellers_achieves(
    store: OperatingStore, reached: ObservedReach, computed: list[pd.DataFrame]
) -> None:
    every = pairs(store, pd.concat(computed))
    assert reached.sizes is not None
    assert reached.sizes.limits == pytest.approx(np.percentile([b[SIZE] for _, b, _ in every], [100 / 3, 200 / 3]))
    count = 0
    for feature in advisable_features():
        for size in range(3):
            of_size = [pair for pair in every if sum(pair[1][SIZE] > limit for limit in reached.sizes.limits) == size]
            known = [(s, b[feature.name], a[feature.name]) for s, b, a in of_size if not np.isnan(b[feature.name])]
            reach = reached.by_feature.get(feature.name, (None,) * 3)[size]
            if len({seller for seller, _, _ in known}) < MIN_SELLERS:
                assert reach is None
                continue
            gains = sorted(
                -np.inf if np.isnan(after) else feature.sign * (before - after) for _, before, after in known
            )
            move = gains[int(0.9 * (len(gains) - 1))]
            if move <= 0:
                assert reach is None
                continue
            count += 1
            after = [after for _, _, after in known if not np.isnan(after)]
            assert reach is not None
            assert (reach.best, reach.move) == pytest.approx(
                (np.percentile(after, 10 if feature.sign > 0 else 90), move)
            )
    assert count >= 3


def test_advisable_features_follow_honest_work_with_the_shortest_window() -> None:
    features = advisable_features()
    groups = [feature.reason_group for feature in features]
    assert len(set(groups)) == len(groups) >= 3
    assert {"return_rate_90d", "ad_spend_share_90d"} <= {feature.name for feature in features}
    for feature in features:
        assert feature.actionable
        assert not feature.structural
        assert feature.sign != 0
        assert feature.window is not None
        assert feature.window <= 400
        # what cheap fakes do, and what more orders, real or not, would do by themselves
        assert feature.gameable in {"no", "up" if feature.sign > 0 else "down"}
        assert feature.reason_group not in {"sales_level", "sales_trend", "stability", "recency", "tenure", "customers"}
        others = [
            other.window
            for other in CATALOGUE
            if other.reason_group == feature.reason_group and other.actionable and other.scored and other.window
        ]
        assert feature.window == min(others)


def test_too_few_sellers_have_no_reach(
    store: OperatingStore, reached: ObservedReach, computed: list[pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    known, sellers = computed[0], computed[0].index.get_level_values("seller_id").unique()
    for few in (0, 4, MIN_SELLERS - 1):
        some = known[known.index.get_level_values("seller_id").isin(sellers[:few])]
        monkeypatch.setattr("features.pipeline.compute_frame", lambda *_, some=some: some)
        assert observed_reach(store, HISTORY) == ObservedReach() != reached
