"""What sellers reached in 90 days, against a plain count of the same pairs; and which features may be advised."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from features.catalogue import CATALOGUE
from features.intake import OperatingStore, ingest, open_store
from features.pipeline import all_sellers, frame, latest_midnight
from training.package import HISTORY
from training.reach import LEAST_SEEN, SIZE, Reached, advisable, observed_reach
from training.simulation import SimulationConfig, simulate

Values = dict[str, float]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> OperatingStore:
    folder: Path = tmp_path_factory.mktemp("reach")
    simulate(SimulationConfig(sellers=90, days=800, orders_per_seller=150, seed=3), folder / "delivery")
    ingest(folder / "delivery", folder / "store")
    return open_store(folder / "store")


@pytest.fixture(scope="module")
def reached(store: OperatingStore) -> Reached:
    return observed_reach(store, HISTORY)


def by_seller(store: OperatingStore, day: date) -> dict[str, Values]:
    computed = frame(store, all_sellers(store, day))
    return {seller: dict(row) for (seller, _), row in computed.iterrows()}


def pairs(store: OperatingStore) -> list[tuple[Values, Values]]:
    last = latest_midnight(store)
    found = []
    for span in range(4):
        start, end = (by_seller(store, last - timedelta(days=90 * (span + back))) for back in (1, 0))
        found += [(start[seller], end[seller]) for seller in start]
    return [
        (before, after)
        for before, after in found
        if before["days_since_first_order"] >= 90 and before["active_days_365d"] >= 10 and before[SIZE] == before[SIZE]
    ]


def test_what_is_told_is_what_one_in_ten_did(store: OperatingStore, reached: Reached) -> None:
    seen = pairs(store)
    sales = [before[SIZE] for before, _ in seen]
    assert reached.sizes is not None
    assert reached.sizes.limits == pytest.approx(np.percentile(sales, [100 / 3, 200 / 3]))
    some = 0
    for feature in filter(advisable, CATALOGUE):
        for size in range(3):
            of_size = [pair for pair in seen if sum(pair[0][SIZE] > limit for limit in reached.sizes.limits) == size]
            both = [(before[feature.name], after[feature.name]) for before, after in of_size]
            known = np.array([pair for pair in both if not np.isnan(pair).any()]).reshape(-1, 2)
            told = reached.by_feature.get(feature.name, (None,) * 3)[size]
            gains = (known[:, 0] - known[:, 1]) * feature.sign
            if len(known) < LEAST_SEEN or np.percentile(gains, 90) <= 0:
                assert told is None
                continue
            some += 1
            best = np.percentile(known[:, 1], 10 if feature.sign > 0 else 90)
            assert told is not None
            assert (told.best, told.move) == pytest.approx((best, np.percentile(gains, 90)))
    assert some >= 6


def test_only_honest_work_is_advised() -> None:
    advised = {feature.name for feature in CATALOGUE if advisable(feature)}
    assert {"return_rate_90d", "cancel_rate_180d", "ad_spend_share_90d"} <= advised
    for feature in CATALOGUE:
        if feature.structural or not feature.actionable or feature.sign == 0:
            assert feature.name not in advised
        # what more orders, real or not, would do by themselves
        if feature.reason_group in {"sales_level", "sales_trend", "stability", "recency", "tenure", "structure"}:
            assert feature.name not in advised
    cheap = {feature.name for feature in CATALOGUE if feature.bought == ("down" if feature.sign > 0 else "up")}
    assert cheap
    assert not advised & cheap


def test_of_too_few_sellers_nothing_is_told(tmp_path: Path) -> None:
    simulate(SimulationConfig(sellers=4, days=500, orders_per_seller=60), tmp_path / "delivery")
    ingest(tmp_path / "delivery", tmp_path / "store")
    assert observed_reach(open_store(tmp_path / "store"), HISTORY) == Reached()
