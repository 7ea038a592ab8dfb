"""What fake orders do to features and points, by hand; features that they move cheaply are declared gameable."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd
import pytest

from features.catalogue import CATALOGUE, Feature
from features.ingest import OperatingStore
from features.pipeline import compute_frame
from scoring import Bundle
from tests.training.datasets import NAMES, dataset
from tests.training.evidence.shops import PAIRS
from tests.training.evidence.subjects import boosted, bundle
from training.columns import Columns
from training.dataset import NOT_SCORED
from training.errors import TrainingError
from training.evidence import fake_order_attack, store_copies
from training.evidence.fake_order_attack import HONEST, AttackResult, run_attack
from training.evidence.fake_order_strategies import EXTRAS, STRATEGIES, Strategy
from training.evidence.store_copies import copy_rows

pytestmark = pytest.mark.slow

PLAIN: Final = (
    Strategy("settled", 30, 30),
    Strategy("own", 30, own=1.0),
    Strategy("quiet", 30, quiet=True, size=0.05, extras=EXTRAS),
    Strategy("back at once", 30, 30, refunded=1.0, refund_after=1),
    Strategy("back too late", 30, 30, refunded=1.0, refund_after=61),
    Strategy("live", 30, channel="livestream"),
)
"""Strategies whose effect is easily worked out."""

_WEIGHS: Final = 0.06
"""What a twentieth of a month's money can move of a month, and rounding: a share of a feature's value."""

_LEAST: Final = [30.0 if name == "payment_gap_180d" else 1.0 for name in NAMES]
"""The share is of at least 1, and of at least a month for a difference of two mean ages in days."""

BY_NAME: Final = pytest.mark.parametrize("feature", CATALOGUE, ids=NAMES)


@pytest.fixture(scope="module")
def known(store: OperatingStore) -> pd.DataFrame:
    return compute_frame(store, PAIRS)


@pytest.fixture(scope="module")
def naive() -> Bundle:
    """A model that rewards days with orders, and doubts who buys from himself."""
    plain = dataset(1_200, 400)
    rng = np.random.default_rng(4)
    active, own = rng.uniform(0, 1, 1_200), rng.uniform(0, 0.02, 1_200)
    bad = rng.random(1_200) < np.where(active < 0.75, 0.5, 0.01) + np.where(own > 0.005, 0.2, 0.0)
    features = plain.features.assign(active_day_share_30d=active, own_store_share_180d=own)
    rows = replace(plain, features=features, rows=plain.rows.assign(bad=bad))
    # no model that is trained reads days with orders, since fake ones fill them
    not_scored = NOT_SCORED - {"active_day_share_30d"}
    return bundle(rows, boosted(rows, not_scored=not_scored), not_scored)


@pytest.fixture(scope="module")
def attack(naive: Bundle, store: OperatingStore, known: pd.DataFrame) -> tuple[AttackResult, pd.DataFrame]:
    """The attack by all strategies and those above, and the features of all copies that it saw on the way."""
    frames: list[pd.DataFrame] = []

    def spy(copies: OperatingStore, pairs: pd.DataFrame) -> pd.DataFrame:
        frames.append(compute_frame(copies, pairs))
        return frames[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_copies, "compute_frame", spy)
        return run_attack(naive, store, known, (*PLAIN, *STRATEGIES)), frames[0]


@pytest.fixture(scope="module")
def result(attack: tuple[AttackResult, pd.DataFrame]) -> AttackResult:
    """The attack by the plain strategies."""
    plain = attack[0].gains["mix"].isin([strategy.name for strategy in PLAIN])
    return AttackResult(attack[0].gains[plain], attack[0].by_feature[plain])


@pytest.fixture(scope="module")
def of_s(attack: tuple[AttackResult, pd.DataFrame]) -> pd.DataFrame:
    """The features of S as he is and with each strategy, by its name."""
    rows = attack[1][attack[1].index.get_level_values("seller_id").str.endswith(":S")]
    return rows.set_axis([who.partition(":")[0] for who, _ in rows.index])


def test_the_effect_of_each_strategy_on_features_by_hand(of_s: pd.DataFrame) -> None:
    before, sales = of_s.loc[HONEST], of_s["settled_net_sales_30d"]
    more = {strategy.name: round(sales[strategy.name] - sales[HONEST], 6) for strategy in PLAIN}
    assert more == dict.fromkeys(more, 0.0) | {"settled": 37.5, "back too late": 37.5}
    assert of_s.loc["own", "own_store_share_180d"] == pytest.approx(37.5 / (90 * 50))
    assert before["own_store_share_180d"] == 0
    assert of_s.loc["back at once", "quick_refund_share_180d"] > 0
    assert of_s.loc["back too late", "return_rate_30d"] < before["return_rate_30d"]
    assert of_s.loc["live", "livestream_share_180d"] == pytest.approx(37.5 / (90 * 50 + 37.5))


def test_small_orders_and_their_extras_change_counts(of_s: pd.DataFrame) -> None:
    before, after = of_s.loc[HONEST], of_s.loc["quiet"]
    assert (before["active_day_share_30d"], after["active_day_share_30d"]) == (0.5, 1.0)
    # 15 orders of $2.50, each with the 20 visits and the one rating that it should have
    assert after["orders_90d"] - before["orders_90d"] == 15
    assert after["visits_90d"] - before["visits_90d"] == 300
    assert after["conversion_90d"] == pytest.approx(before["conversion_90d"])
    assert after["rating_90d"] == pytest.approx((90 * 4 + 15 * 5) / 105)
    assert after["handling_days_90d"] < before["handling_days_90d"]
    assert after["unmoved_parcel_share_180d"] == before["unmoved_parcel_share_180d"]
    assert after["rush_order_share_180d"] == 0


def test_a_strategy_gains_and_loses_points_as_the_model_rewards_its_features(result: AttackResult) -> None:
    gains = result.gains.pivot_table(index="seller_id", columns="mix", values="points")
    assert gains.loc["S", "own"] < 0
    # L has no quiet day to fill
    assert gains.loc["S", "quiet"] > max(20, abs(gains.loc["L", "quiet"]))
    best = result.best[result.best["seller_id"] == "S"].iloc[0]
    assert best[["mix", "orders", "face_usd"]].tolist() == ["quiet", 15, 37.5]
    assert best["bands"] > 0
    assert result.by_feature.loc[best.name].idxmax() == "active_day_share_30d"
    assert (result.by_feature.sum(axis=1) == result.gains["points"]).all()


@pytest.fixture(scope="module")
def moves(attack: tuple[AttackResult, pd.DataFrame], known: pd.DataFrame) -> pd.DataFrame:
    """By feature, the most that any strategy raises and lowers it for either shop, against what money could."""
    copies = ([copy_rows(seller, each.name) for seller, _ in known.index] for each in STRATEGIES)
    change = np.array([attack[1].loc[copy].to_numpy() for copy in copies]) - known.to_numpy()
    flat = np.nan_to_num(change / (_WEIGHS * np.maximum(np.abs(known.to_numpy()), _LEAST))).reshape(-1, len(NAMES))
    return pd.DataFrame({"up": flat.max(axis=0), "down": -flat.min(axis=0)}, index=NAMES)


@BY_NAME
def test_a_feature_that_fake_orders_move_cheaply_is_declared_so(feature: Feature, moves: pd.DataFrame) -> None:
    for way in ("up", "down"):
        if feature.gameable not in (way, "both"):
            assert moves.loc[feature.name, way] <= 1.0, f"it can be bought {way}"


def test_declared_features_can_be_moved(moves: pd.DataFrame) -> None:
    """Shops whose every day is alike show half of what can be bought; the rest needs returns, livestreams, a slump."""
    declared = [feature.name for feature in CATALOGUE if feature.gameable != "no"]
    shown = [name for name in declared if moves.loc[name].max() > 1.0]
    assert len(shown) >= 0.5 * len(declared), sorted({*declared} - {*shown})


@BY_NAME
def test_no_column_rewards_what_can_be_bought(feature: Feature) -> None:
    signs = Columns.of([feature.name]).signs
    if feature.gameable in ("up", "both"):
        assert -1 not in signs, "lower risk for more of it"
    if feature.gameable in ("down", "both"):
        assert 1 not in signs, "lower risk for less of it"
    # what has no direction is not scored at all
    if feature.gameable == "no" or not feature.sign:
        assert signs == ((feature.sign,) if feature.sign else ())


def test_sellers_share_stores_of_copies_by_the_number_of_their_orders(
    naive: Bundle, store: OperatingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[list[int]] = []

    def attacked(_: Bundle, __: OperatingStore, batch: pd.DataFrame, ___: object) -> tuple[pd.DataFrame, pd.DataFrame]:
        batches.append(batch["orders_90d"].tolist())
        return pd.DataFrame({"seller_id": batch.index}), pd.DataFrame({"visits_90d": batch["orders_90d"]})

    monkeypatch.setattr(fake_order_attack, "_attack_batch", attacked)
    orders = [4_000, 5_000, 2_000, 30_000, 10]
    found = run_attack(naive, store, pd.DataFrame({"orders_90d": orders}), PLAIN)
    assert batches == [orders[:3], [30_000], [10]]
    assert found.gains["seller_id"].tolist() == [0, 1, 2, 3, 4]
    assert found.by_feature["visits_90d"].tolist() == orders


def test_sellers_without_sales_have_no_rows(naive: Bundle, store: OperatingStore, known: pd.DataFrame) -> None:
    """Long before their first order, as of who sold the store since."""
    before = known.set_axis(pd.MultiIndex.from_frame(PAIRS.assign(as_of=pd.Timestamp("2020-01-01"))))
    found = run_attack(naive, store, before, PLAIN)
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
        run_attack(naive, store, known, PLAIN)
