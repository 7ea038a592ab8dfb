"""The gain from withholding against assessments, and features without a seller's rows of a table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from features.catalogue import CATALOGUE
from features.facts import LOAN_TABLES
from features.ingest import OperatingStore
from tests.training.datasets import NAMES, TABLES, dataset
from tests.training.evidence.shops import PAIRS
from tests.training.evidence.subjects import boosted, bundle, first_rows, reviewed, subject, with_test
from training.evidence.study import ReviewedModel, assess_rows
from training.evidence.withholding import (
    TOLD_BY_SILENCE,
    UNCHANGED,
    WithholdingGain,
    by_rows,
    by_table,
    by_value,
    optional_tables,
    study_withholding,
    without_rows,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def few() -> ReviewedModel:
    return first_rows(subject(), 50)


@pytest.fixture(scope="module")
def silent() -> ReviewedModel:
    """A model in which sellers without a return rate repay."""
    train = dataset(1_500, 500, seed=1)
    returns = train.features["return_rate_90d"].mask(~train.rows["bad"])
    train = replace(train, features=train.features.assign(return_rate_90d=returns))
    return reviewed(bundle(train, boosted(train)), train, dataset(60, 40, seed=3, missing=0.0))


@pytest.fixture(scope="module")
def hidden(few: ReviewedModel) -> dict[str, WithholdingGain]:
    """What hiding each value brings."""
    return {gain.what: gain for gain in by_value(few)}


def gained(model: ReviewedModel, rows: pd.DataFrame, before: pd.DataFrame, after: pd.DataFrame) -> np.ndarray:
    """Return the points that assessments of the rows gain."""
    scores = [[each.score for each in assess_rows(model.bundle, rows, part.to_numpy())] for part in (before, after)]
    return np.subtract(scores[1], scores[0])


def test_a_gain_counts_rows_that_still_have_a_score() -> None:
    before, after = np.array([600.0, 600.0, 600.0, 600.0]), np.array([606.0, 590.0, np.nan, 605.0])
    assert WithholdingGain.of("x", before, after) == WithholdingGain("x", 4, 0.25, 6.0, pytest.approx(1 / 3), 0.25)
    assert WithholdingGain.of("x", before, np.full(4, np.nan)) == WithholdingGain("x", 4, 1.0, 0.0, 0.0, 0.0)
    assert WithholdingGain.of("x", np.empty(0), np.empty(0)) == WithholdingGain("x", 0, 0.0, 0.0, 0.0, 0.0)


def test_the_gain_from_a_table_not_delivered_or_without_values_is_that_of_assessments(few: ReviewedModel) -> None:
    missing, without_values = by_table(few)
    assert {gain.what: gain.without_number for gain in missing} == dict.fromkeys(TABLES, 1.0), "there is no score"
    features = few.test.features
    of_traffic = [feature.name for feature in CATALOGUE if "traffic" in feature.tables]
    points = gained(few, few.test.rows, features, features.assign(**dict.fromkeys(of_traffic, np.nan)))
    gain = next(gain for gain in without_values if gain.what == "traffic")
    assert (gain.most_gain, gain.mean_gain) == (points.max(), pytest.approx(points.mean()))
    assert gain.without_number == 0.0


@pytest.mark.parametrize("name", NAMES[:3])
def test_the_gain_from_hiding_one_value_is_that_of_assessments(
    few: ReviewedModel, hidden: dict[str, WithholdingGain], name: str
) -> None:
    known = few.test.features[name].notna()
    features = few.test.features[known]
    points = gained(few, few.test.rows[known], features, features.assign(**{name: np.nan}))
    expected = (known.sum(), points.max(), pytest.approx(points.mean()), pytest.approx((points > 5).mean()))
    gain = hidden[name]
    assert (gain.rows, gain.most_gain, gain.mean_gain, gain.gained_too_much) == expected


def test_hidden_history_gives_no_score(hidden: dict[str, WithholdingGain]) -> None:
    assert hidden["active_days_365d"].without_number == 1.0
    assert hidden["return_rate_90d"].without_number == 0.0


def test_a_gain_by_a_hidden_value_raises_an_alarm_with_its_name(silent: ReviewedModel) -> None:
    finding = study_withholding(silent)
    most, *by = (finding.figures[f"most_gain{by}"] for by in ("", "_by_table", "_by_value"))
    assert most == max(by) > 40
    assert finding.tables["By value hidden"]["feature"].iloc[0] == "return_rate_90d"
    assert "return_rate_90d (" in finding.alarms[0]
    assert finding.figures["least_share_without_number"] == 1.0
    assert not [name for name in finding.figures if "by_rows" in name]
    assert "was not measured: no operating data" in finding.summary


def test_a_model_that_cannot_be_moved_raises_none(few: ReviewedModel) -> None:
    # of thirty rows no leaf holds enough, so the model is a constant
    rows = few.train.select(few.train.rows.index.to_series() < 30)
    finding = study_withholding(replace(few, served=bundle(few.train, boosted(rows, trees=1))))
    assert finding.figures["most_gain"] == 0.0
    assert finding.alarms == ()
    assert "No row gained a point" in finding.summary


def test_without_scorable_rows_the_study_is_not_made(few: ReviewedModel) -> None:
    finding = study_withholding(with_test(few, active_days_365d=1.0))
    assert finding.figures == {}
    assert "no test row has enough history" in finding.summary


def test_scores_without_rows_are_those_of_assessments(few: ReviewedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    few = with_test(few, orders_90d=1.0, seller_id=[f"S-{row}" for row in range(50)])
    rows = few.test.rows
    honest = few.test.features.set_index(pd.MultiIndex.from_frame(rows[["seller_id", "as_of"]]))
    returns = honest["return_rate_90d"].where(np.arange(50) < 10, 0.0)
    frames = {UNCHANGED: honest, "refunds": honest.assign(return_rate_90d=returns), "purchases": honest}
    store = object()

    def without_returns(asked: object, pairs: pd.DataFrame) -> dict[str, pd.DataFrame]:
        assert asked is store
        return {name: frame.reindex(pd.MultiIndex.from_frame(pairs)) for name, frame in frames.items()}

    monkeypatch.setattr("training.evidence.withholding.without_rows", without_returns)
    gains = {gain.what: gain for gain in by_rows(replace(few, store=store))}
    assert list(gains) == ["refunds", "purchases"]
    moved = (honest["return_rate_90d"] != returns).to_numpy() & (np.arange(50) >= 10)
    points = gained(few, rows[moved], honest[moved], frames["refunds"][moved])
    assert (gains["refunds"].rows, gains["refunds"].most_gain) == (len(points), points.max())
    assert 10 < len(points) <= 40
    assert gains["purchases"].rows == 0, "who has none cannot hide them"


def test_missing_rows_raise_an_alarm_unless_they_look_like_an_honest_zero(
    silent: ReviewedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gain without refunds is reported without an alarm, because it looks like an honest zero."""

    def lacking(_: object, pairs: pd.DataFrame) -> dict[str, pd.DataFrame]:
        shown = silent.test.features.loc[silent.test.rows["seller_id"].isin(pairs["seller_id"])]
        return {UNCHANGED: shown} | dict.fromkeys(("refunds", "traffic"), shown.assign(return_rate_90d=np.nan))

    monkeypatch.setattr("training.evidence.withholding.without_rows", lacking)
    monkeypatch.setattr("training.evidence.withholding.first_names", ", ".join)
    finding = study_withholding(replace(silent, store=object()))
    assert "rows of traffic (" in finding.alarms[0]
    assert "rows of refunds (" not in finding.alarms[0]
    assert finding.figures["most_gain_by_rows"] == finding.figures["most_gain_by_rows_of_refunds"] > 40
    assert finding.figures["most_gain"] >= finding.figures["most_gain_by_rows"]
    assert 0 < finding.figures["gaining_share_by_rows_of_traffic"] <= 1
    assert any("missing rows look like an honest zero" in check.note for check in finding.checks)
    assert finding.tables["By table without the seller's rows"]["table"].tolist() == ["refunds", "traffic"]


@pytest.fixture(scope="module")
def found(store: OperatingStore) -> dict[str, pd.DataFrame]:
    return without_rows(store, PAIRS)


def test_each_delivered_optional_table_is_measured_against_all_rows(
    store: OperatingStore, found: dict[str, pd.DataFrame]
) -> None:
    assert optional_tables(store) == ("refunds", "traffic", "fulfilments", "ratings", "purchases", *LOAN_TABLES)
    assert list(found) == [UNCHANGED, *optional_tables(store)]
    # as of the S and the L of the shops: sales, visits, stars, days to handle, loans and days past due
    by_hand = {
        "orders_90d": [45, 90],
        "return_rate_365d": [0.125, 0.125],
        "visits_90d": [900, 900],
        "rating_90d": [4, 4],
        "handling_days_90d": [49 / 24, 49 / 24],
        "loans_repaid": [1, 1],
        "worst_days_past_due_365d": [10, 10],
        "average_days_past_due_365d": [10, 10],
    }
    for name, values in by_hand.items():
        assert found[UNCHANGED][name].tolist() == pytest.approx(values, rel=0.02), name
    assert (found[UNCHANGED]["purchases_over_sales_180d"] > 0).all()


@pytest.mark.parametrize("table", ["traffic", "fulfilments", "ratings", "purchases"])
def test_missing_rows_leave_only_missing_values(found: dict[str, pd.DataFrame], table: str) -> None:
    """So that they go to the riskiest end, and hiding them raises no score, whatever the model (ADR 13)."""
    before, after = found[UNCHANGED].to_numpy(), found[table].to_numpy()
    moved = (before != after) & ~(np.isnan(before) & np.isnan(after))
    assert moved.any(axis=0).sum() >= 4
    assert np.isnan(after[moved]).all(), found[UNCHANGED].columns[(moved & ~np.isnan(after)).any(axis=0)].tolist()


def test_missing_refunds_and_loans_count_as_zero(found: dict[str, pd.DataFrame]) -> None:
    """Refunds and loans that did not occur and those that were not delivered look alike."""
    past_due = ["loans_repaid", "worst_days_past_due_365d", "average_days_past_due_365d"]
    for table, names in (("refunds", ["return_rate_90d"]), ("loans", past_due), ("instalments", past_due)):
        assert table in TOLD_BY_SILENCE
        assert (found[UNCHANGED][names] > 0).all(axis=None)
        assert (found[table][names] == 0).all(axis=None)


def test_missing_payments_count_as_not_paid(found: dict[str, pd.DataFrame]) -> None:
    """Hiding what was paid can only look worse: it is no silence."""
    assert "payments" not in TOLD_BY_SILENCE
    before, after = found[UNCHANGED], found["payments"]
    assert (after["worst_days_past_due_365d"] > 100).all()
    assert (after["owed_over_monthly_sales"].to_numpy() > before["owed_over_monthly_sales"].to_numpy()).all()
    assert (after["loans_repaid"] == 0).all()
