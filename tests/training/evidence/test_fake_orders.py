"""The study's choice of sellers, and how an attack is reported."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from features.ingest import OperatingStore
from scoring import Bundle
from tests.training.evidence.subjects import subject, with_test
from training.evidence import fake_orders as study
from training.evidence.fake_order_attack import AttackResult
from training.evidence.fake_order_strategies import FakeOrdersConfig
from training.evidence.fake_orders import report, study_fake_orders


def made_attack(points: list[int], mixes: tuple[str, ...] = ("one", "two")) -> AttackResult:
    """Sellers with the given gain in the first strategy and one point less in the second, for $100 each."""
    lines = [
        {"seller_id": f"S-{who}", "mix": mix, "orders": 4, "face_usd": 100.0, "cost_usd": 8.0 + place}
        | {"points": gained - place, "bands": int(gained > 20)}
        for place, mix in enumerate(mixes)
        for who, gained in enumerate(points)
    ]
    gains = pd.DataFrame(lines)
    return AttackResult(gains, pd.DataFrame({"visits_90d": gains["points"] - 1, "rating_90d": 1}))


def test_figures_are_those_of_the_best_mix_of_each_seller() -> None:
    finding = report(made_attack([0] * 14 + [5, 6, 10, 30, 2, 3]), "sellers")
    assert finding.figures["sellers"] == 20
    assert finding.figures["gaining_share"] == pytest.approx(0.15)
    assert finding.figures["gaining_share_low"] < 0.15 < finding.figures["gaining_share_high"]
    assert finding.figures["band_gaining_share"] == pytest.approx(0.05)
    assert finding.figures["median_points"] == 0
    assert finding.figures["p95_points"] == pytest.approx(11)
    assert finding.figures["points_per_1000_usd"] == pytest.approx(56 / 2.0)
    by_mix = finding.tables["By mix"].set_index("mix")
    assert by_mix["best_for_share"].to_dict() == {"one": 1.0, "two": 0.0}
    assert by_mix.loc["two", "gaining_share"] == pytest.approx(0.10)
    by_feature = finding.tables["Features that the best mix moved"].set_index("feature")
    assert by_feature.loc["visits_90d"].tolist() == pytest.approx([56 / 20 - 1, 46 / 3 - 1])


def test_more_than_a_twentieth_of_sellers_who_gain_is_an_alarm_and_a_twentieth_is_none() -> None:
    assert report(made_attack([6] + [5] * 19), "sellers").alarms == ()
    (alarm,) = report(made_attack([6] * 2 + [5] * 18), "sellers").alarms
    assert "in the table “Features that the best mix moved” of this study in the model card" in alarm
    assert alarm.startswith(
        "10.0% (2.8% to 30.1%) of sellers gain more than 5 points by fake orders, above the limit of 5%"
    )


def test_of_mixes_that_gain_alike_the_cheapest_is_best() -> None:
    found = made_attack([3])
    level = replace(found, gains=found.gains.assign(points=3, cost_usd=[9.0, 8.0]))
    assert level.best["mix"].tolist() == ["two"]


def test_without_operating_data_nothing_is_measured_and_the_finding_says_so() -> None:
    finding = study_fake_orders(subject())
    assert "Not measured" in finding.summary
    assert finding.figures == {}
    assert finding.alarms == ()
    assert not finding.declined


def test_without_orders_nothing_can_be_measured(store: OperatingStore) -> None:
    base = subject()
    finding = study_fake_orders(replace(base, store=store, test=replace(base.test, tables=("loans",))))
    assert finding.summary.endswith("the operating data have no orders.")
    assert not finding.declined


def test_where_nobody_repaid_nothing_is_measured_either(store: OperatingStore) -> None:
    finding = study_fake_orders(replace(with_test(subject(), bad=True), store=store))
    assert "repaid" in finding.summary
    assert finding.figures == {}
    assert finding.declined


def test_a_seller_without_stores_has_no_budget(store: OperatingStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_: Bundle, __: OperatingStore, ___: pd.DataFrame) -> AttackResult:
        return AttackResult(pd.DataFrame(), pd.DataFrame())

    monkeypatch.setattr(study, "run_attack", nobody)
    finding = study_fake_orders(replace(with_test(subject(), orders_90d=30.0), store=store))
    assert finding.summary.endswith("no seller drawn from the test rows still has sales of his own stores.")
    assert finding.figures == {}
    assert finding.declined


def test_the_settings_can_skip_the_study(store: OperatingStore) -> None:
    finding = study_fake_orders(replace(subject(), store=store, fake_orders=FakeOrdersConfig(sellers=0)))
    assert finding.summary.endswith("the settings request no seller.")
    assert finding.figures == {}
    assert finding.declined


def test_the_study_lets_some_sellers_buy_who_repaid_and_can_be_scored(
    store: OperatingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = subject()
    bad = base.test.rows["seller_id"].str[-1].isin(list("13579"))
    busy = np.where(base.test.rows["seller_id"].str[-1] == "2", 0.0, 30.0)
    asked = replace(with_test(base, bad=bad.to_numpy(), orders_90d=busy), store=store)
    seen: list[pd.DataFrame] = []

    def attacked(_: Bundle, __: OperatingStore, known: pd.DataFrame) -> AttackResult:
        seen.append(known)
        return made_attack([0] * len(known))

    monkeypatch.setattr(study, "run_attack", attacked)
    assert study_fake_orders(replace(asked, fake_orders=FakeOrdersConfig(sellers=40))).figures["sellers"] == 40
    study_fake_orders(replace(asked, seed=8))
    # a second seller of 6,000 orders passes the 7,000 that there may be
    study_fake_orders(replace(with_test(asked, orders_90d=busy * 200), fake_orders=FakeOrdersConfig(orders=7_000)))
    first, other, large = (known.index.get_level_values("seller_id") for known in seen)
    assert first.is_unique
    assert set(first.str[-1]) <= set("0468")
    assert set(first) != set(other)
    assert len(large) == 2
    rows = asked.test.features.set_index(pd.MultiIndex.from_frame(asked.test.rows[["seller_id", "as_of"]]))
    pd.testing.assert_frame_equal(seen[0], rows.loc[seen[0].index])
