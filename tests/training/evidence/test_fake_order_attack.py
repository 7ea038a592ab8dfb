"""What mixes do to features and points, worked out by hand; and that nothing is believed of copies that differ."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from features.ingest import OperatingStore
from scoring import Bundle
from tests.frames import frame_of
from tests.training.datasets import dataset
from tests.training.evidence.shops import PAIRS
from tests.training.evidence.subjects import boosted, bundle
from training.dataset import NOT_SCORED, Dataset
from training.errors import TrainingError
from training.evidence import fake_order_attack as attack_room
from training.evidence import store_copies
from training.evidence.fake_order_attack import AttackResult, run_attack
from training.evidence.fake_order_strategies import EXTRAS, Strategy

pytestmark = pytest.mark.slow

ASKED = (
    "active_day_share_30d",
    "active_days_365d",
    "conversion_90d",
    "days_since_first_order",
    "handling_days_90d",
    "livestream_share_180d",
    "orders_90d",
    "own_store_share_180d",
    "quick_refund_share_180d",
    "rating_90d",
    "return_rate_30d",
    "rush_order_share_180d",
    "settled_net_sales_30d",
    "unmoved_parcel_share_180d",
    "visits_90d",
)
"""The features that the tests ask about: of all of them, one frame takes seconds."""

BOUGHT = (
    Strategy("settled", 30, 30),
    Strategy("own", 30, own=1.0),
    Strategy("quiet", 30, quiet=True, size=0.05, extras=EXTRAS),
    Strategy("back at once", 30, 30, refunded=1.0, refund_after=1),
    Strategy("back too late", 30, 30, refunded=1.0, refund_after=61),
    Strategy("live", 30, channel="livestream"),
)


@pytest.fixture(scope="module")
def naive() -> Bundle:
    """A model that rewards days with orders, and doubts who buys from himself."""
    made = dataset(1_200, 400)
    rng = np.random.default_rng(4)
    active, own = rng.uniform(0, 1, 1_200), rng.uniform(0, 0.02, 1_200)
    features = made.features.assign(active_day_share_30d=active, own_store_share_180d=own)
    bad = rng.random(1_200) < np.where(active < 0.75, 0.5, 0.01) + np.where(own > 0.005, 0.2, 0.0)
    rows: Dataset = replace(made, features=features, rows=made.rows.assign(bad=bad))
    # no model that is trained reads days with orders, since fake ones fill them
    not_scored = NOT_SCORED - {"active_day_share_30d"}
    return bundle(rows, boosted(rows, not_scored=not_scored), not_scored)


@pytest.fixture(scope="module")
def known(store: OperatingStore) -> pd.DataFrame:
    return frame_of(store, PAIRS, ASKED)


Struck = tuple[AttackResult, pd.DataFrame]


@pytest.fixture(scope="module")
def struck(naive: Bundle, store: OperatingStore, known: pd.DataFrame) -> Struck:
    """The attack in those mixes, and the features of all copies that it saw on the way."""
    seen: list[pd.DataFrame] = []

    def spy(copies: OperatingStore, pairs: pd.DataFrame) -> pd.DataFrame:
        seen.append(frame_of(copies, pairs, ASKED))
        return seen[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_copies, "compute_frame", spy)
        return run_attack(naive, store, known, BOUGHT), seen[0]


@pytest.fixture(scope="module")
def found(struck: Struck) -> AttackResult:
    return struck[0]


@pytest.fixture(scope="module")
def bought(struck: Struck) -> pd.DataFrame:
    """The features of S as he is and in each mix, by its name."""
    of_s = struck[1][struck[1].index.get_level_values("seller_id").str.endswith(":S")]
    return of_s.set_axis([who.partition(":")[0] for who, _ in of_s.index])


def test_the_effect_of_each_strategy_on_features_by_hand(bought: pd.DataFrame) -> None:
    before = bought.loc[attack_room.HONEST]
    more = (bought - before)["settled_net_sales_30d"].drop(attack_room.HONEST).round(6)
    assert more.to_dict() == {
        "settled": 37.5,
        "own": 0.0,
        "quiet": 0.0,
        "back at once": 0.0,
        "back too late": 37.5,
        "live": 0.0,
    }
    assert bought.loc["own", "own_store_share_180d"] == pytest.approx(37.5 / (90 * 50))
    assert before["own_store_share_180d"] == 0
    assert bought.loc["back at once", "quick_refund_share_180d"] > 0
    assert bought.loc["back too late", "return_rate_30d"] < before["return_rate_30d"]
    assert bought.loc["live", "livestream_share_180d"] == pytest.approx(37.5 / (90 * 50 + 37.5))


def test_small_orders_and_their_extras_change_counts(bought: pd.DataFrame) -> None:
    before, after = bought.loc[attack_room.HONEST], bought.loc["quiet"]
    assert before["active_day_share_30d"] == 0.5
    assert after["active_day_share_30d"] == 1.0
    # 15 orders of $2.50, each with the 20 visits and the one rating that it should have
    assert after["orders_90d"] - before["orders_90d"] == 15
    assert after["visits_90d"] - before["visits_90d"] == 300
    assert after["conversion_90d"] == pytest.approx(before["conversion_90d"])
    assert after["rating_90d"] == pytest.approx((90 * 4 + 15 * 5) / 105)
    assert after["handling_days_90d"] < before["handling_days_90d"]
    assert after["unmoved_parcel_share_180d"] == before["unmoved_parcel_share_180d"]
    assert after["rush_order_share_180d"] == 0


def test_a_strategy_gains_and_loses_points_as_the_model_rewards_its_features(found: AttackResult) -> None:
    gains = found.gains.pivot_table(index="seller_id", columns="mix", values="points")
    assert gains.loc["S", "quiet"] > 20
    assert gains.loc["S", "own"] < 0
    # L has no quiet day to fill
    assert abs(gains.loc["L", "quiet"]) < gains.loc["S", "quiet"]
    best = found.best.set_index("seller_id")
    assert best.loc["S", "mix"] == "quiet"
    assert best.loc["S", "bands"] > 0
    assert best.loc["S", ["orders", "face_usd"]].tolist() == [15, 37.5]
    at_best = found.by_feature.loc[found.best.index[found.best["seller_id"] == "S"]].iloc[0]
    assert at_best.idxmax() == "active_day_share_30d"


def test_points_by_feature_add_up_to_the_points_gained(found: AttackResult) -> None:
    assert (found.by_feature.sum(axis=1) == found.gains["points"]).all()


def test_sellers_share_stores_of_copies_by_the_number_of_their_orders(
    naive: Bundle, store: OperatingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    lots: list[list[int]] = []

    def attacked(_: Bundle, __: OperatingStore, lot: pd.DataFrame, ___: object) -> tuple[pd.DataFrame, pd.DataFrame]:
        lots.append(lot["orders_90d"].tolist())
        return pd.DataFrame({"seller_id": lot.index}), pd.DataFrame({"visits_90d": lot["orders_90d"]})

    monkeypatch.setattr(attack_room, "_attack_batch", attacked)
    found = run_attack(naive, store, pd.DataFrame({"orders_90d": [4_000, 5_000, 2_000, 30_000, 10]}), BOUGHT)
    assert lots == [[4_000, 5_000, 2_000], [30_000], [10]]
    assert found.gains["seller_id"].tolist() == [0, 1, 2, 3, 4]
    assert found.by_feature["visits_90d"].tolist() == [4_000, 5_000, 2_000, 30_000, 10]


def test_a_lot_of_sellers_without_sales_has_no_rows(naive: Bundle, store: OperatingStore, known: pd.DataFrame) -> None:
    """Long before their first order, as of who sold the store since."""
    before = known.reset_index("as_of", drop=True).assign(as_of=pd.Timestamp("2020-01-01"))
    before = before.set_index("as_of", append=True)
    found = run_attack(naive, store, before, BOUGHT)
    assert found.gains.empty
    assert found.by_feature.empty


def test_a_copy_that_differs_from_its_original_stops_the_study(
    naive: Bundle, store: OperatingStore, known: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    def amiss(_: OperatingStore, pairs: pd.DataFrame) -> pd.DataFrame:
        originals = known.droplevel("as_of").loc[[who.partition(":")[2] for who in pairs["seller_id"]]]
        return (originals * 0.9).set_index(pd.MultiIndex.from_frame(pairs))

    monkeypatch.setattr(store_copies, "compute_frame", amiss)
    with pytest.raises(TrainingError, match="copy without fake orders"):
        run_attack(naive, store, known, BOUGHT)
