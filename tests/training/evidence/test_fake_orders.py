"""The study's choice of sellers, and how an attack is reported."""

from __future__ import annotations

from collections.abc import Callable
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
from training.evidence.study import ReviewedModel


def attack(points: list[int]) -> AttackResult:
    """Sellers with the given gain by the first strategy and one point less by the second, for $100 each."""
    lines = [
        {"seller_id": f"S-{seller}", "mix": mix, "orders": 4, "face_usd": 100.0, "cost_usd": 8.0 + place}
        | {"points": gained - place, "bands": int(gained > 20)}
        for place, mix in enumerate(("one", "two"))
        for seller, gained in enumerate(points)
    ]
    gains = pd.DataFrame(lines)
    return AttackResult(gains, pd.DataFrame({"visits_90d": gains["points"] - 1, "rating_90d": 1}))


def test_figures_are_those_of_the_best_mix_of_each_seller() -> None:
    finding = report(attack([0] * 14 + [5, 6, 10, 30, 2, 3]), "sellers")
    expected = {"sellers": 20, "gaining_share": 0.15, "band_gaining_share": 0.05, "median_points": 0, "p95_points": 11}
    expected["points_per_1000_usd"] = 56 / 2.0
    assert {name: finding.figures[name] for name in expected} == pytest.approx(expected)
    assert finding.figures["gaining_share_low"] < 0.15 < finding.figures["gaining_share_high"]
    by_mix = finding.tables["By mix"].set_index("mix")
    assert by_mix["best_for_share"].to_dict() == {"one": 1.0, "two": 0.0}
    assert by_mix.loc["two", "gaining_share"] == pytest.approx(0.10)
    by_feature = finding.tables["Features that the best mix moved"].set_index("feature")
    assert by_feature.loc["visits_90d"].tolist() == pytest.approx([56 / 20 - 1, 46 / 3 - 1])


def test_more_than_a_twentieth_of_sellers_who_gain_is_an_alarm_and_a_twentieth_is_none() -> None:
    assert report(attack([6] + [5] * 19), "sellers").alarms == ()
    (alarm,) = report(attack([6] * 2 + [5] * 18), "sellers").alarms
    assert "in the table “Features that the best mix moved” of this study in the model card" in alarm
    assert alarm.startswith(
        "10.0% (2.8% to 30.1%) of sellers gain more than 5 points by fake orders, above the limit of 5%"
    )


def test_of_mixes_that_gain_alike_the_cheapest_is_best() -> None:
    found = attack([3])
    level = replace(found, gains=found.gains.assign(points=3, cost_usd=[9.0, 8.0]))
    assert level.best["mix"].tolist() == ["two"]


@pytest.mark.parametrize(
    ("change", "reason", "declined"),
    [
        (lambda model: replace(model, store=None), "there are no operating data", False),
        (lambda model: replace(model, test=replace(model.test, tables=())), "the operating data have no orders", False),
        (lambda model: with_test(model, bad=True), "no seller of the test rows both repaid and has recent sales", True),
        (lambda model: model, "no seller drawn from the test rows still has sales of his own stores", True),
        (
            lambda model: replace(model, fake_orders=FakeOrdersConfig(sellers=0)),
            "the settings request no seller",
            True,
        ),
    ],
)
def test_a_study_without_sellers_to_attack_says_why(
    store: OperatingStore,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[ReviewedModel], ReviewedModel],
    reason: str,
    declined: bool,
) -> None:
    nobody = AttackResult(pd.DataFrame(), pd.DataFrame())
    monkeypatch.setattr(study, "run_attack", lambda *_: nobody)
    finding = study_fake_orders(change(replace(with_test(subject(), orders_90d=30.0), store=store)))
    assert finding.summary == f"Not measured: {reason}."
    assert (finding.figures, finding.alarms, finding.declined) == ({}, (), declined)


def test_the_study_lets_some_sellers_buy_who_repaid_and_can_be_scored(
    store: OperatingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = subject().test.rows["seller_id"].str[-1]
    busy = np.where(last == "2", 0.0, 30.0)
    model = replace(with_test(subject(), bad=last.isin(list("13579")).to_numpy(), orders_90d=busy), store=store)
    seen: list[pd.DataFrame] = []

    def attacked(_: Bundle, __: OperatingStore, known: pd.DataFrame) -> AttackResult:
        seen.append(known)
        return attack([0] * len(known))

    monkeypatch.setattr(study, "run_attack", attacked)
    assert study_fake_orders(replace(model, fake_orders=FakeOrdersConfig(sellers=40))).figures["sellers"] == 40
    study_fake_orders(replace(model, seed=8))
    # a second seller of 6,000 orders passes the 7,000 that there may be
    study_fake_orders(replace(with_test(model, orders_90d=busy * 200), fake_orders=FakeOrdersConfig(orders=7_000)))
    first, other, large = (known.index.get_level_values("seller_id") for known in seen)
    assert first.is_unique
    assert set(first.str[-1]) <= set("0468")
    assert set(first) != set(other)
    assert len(large) == 2
    rows = model.test.features.set_index(pd.MultiIndex.from_frame(model.test.rows[["seller_id", "as_of"]]))
    pd.testing.assert_frame_equal(seen[0], rows.loc[seen[0].index])
