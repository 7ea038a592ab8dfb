"""The gain from withholding against assessments, and features without a seller's rows of a table."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from features.catalogue import CATALOGUE
from features.facts import LOAN_TABLES
from features.ingest import OperatingStore
from features.pipeline import compute_frame
from tests.oracles.accepted_rows import write_accepted
from tests.oracles.seller_view import midnight
from tests.training.datasets import NAMES, TABLES, dataset
from tests.training.evidence.shops import PAIRS, USD, T, days_ago, marketplace
from tests.training.evidence.subjects import boosted, bundle, reviewed, subject, with_test
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
    found = subject()
    return replace(found, test=found.test.select(found.test.rows.index.to_series() < 50))


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


def test_a_gain_counts_rows_that_still_have_a_score() -> None:
    before, after = np.array([600.0, 600.0, 600.0, 600.0]), np.array([606.0, 590.0, np.nan, 605.0])
    assert WithholdingGain.of("x", before, after) == WithholdingGain("x", 4, 0.25, 6.0, pytest.approx(1 / 3), 0.25)
    assert WithholdingGain.of("x", before, np.full(4, np.nan)) == WithholdingGain("x", 4, 1.0, 0.0, 0.0, 0.0)
    assert WithholdingGain.of("x", np.empty(0), np.empty(0)) == WithholdingGain("x", 0, 0.0, 0.0, 0.0, 0.0)


def test_a_table_that_is_not_delivered_leaves_no_score(few: ReviewedModel) -> None:
    withheld, _ = by_table(few)
    assert [gain.what for gain in withheld] == list(TABLES)
    assert {gain.without_number for gain in withheld} == {1.0}


def test_the_gain_from_hiding_a_tables_values_is_that_of_assessments(few: ReviewedModel) -> None:
    rows, matrix = few.test.rows, few.test.features.to_numpy()
    hidden = matrix.copy()
    hidden[:, ["traffic" in feature.tables for feature in CATALOGUE]] = np.nan
    before, after = (assess_rows(few.bundle, rows, each) for each in (matrix, hidden))
    gained = [later.score - earlier.score for earlier, later in zip(before, after, strict=True)]
    found = {gain.what: gain for gain in by_table(few)[1]}["traffic"]
    assert (found.most_gain, found.mean_gain, found.without_number) == (
        max(gained),
        pytest.approx(np.mean(gained)),
        0.0,
    )


@pytest.mark.parametrize("name", NAMES[:3])
def test_the_gain_from_hiding_one_value_is_that_of_assessments(
    few: ReviewedModel, hidden: dict[str, WithholdingGain], name: str
) -> None:
    shown = few.test.features[name].notna().to_numpy()
    rows, features = few.test.rows[shown], few.test.features[shown]
    before = assess_rows(few.bundle, rows, features.to_numpy())
    after = assess_rows(few.bundle, rows, features.assign(**{name: np.nan}).to_numpy())
    gained = [later.score - earlier.score for earlier, later in zip(before, after, strict=True)]
    found = hidden[name]
    assert (found.rows, found.most_gain, found.mean_gain) == (shown.sum(), max(gained), pytest.approx(np.mean(gained)))
    assert found.gained_too_much == pytest.approx(np.mean(np.array(gained) > 5))


def test_hidden_history_gives_no_score(hidden: dict[str, WithholdingGain]) -> None:
    assert hidden["active_days_365d"].without_number == 1.0
    assert hidden["return_rate_90d"].without_number == 0.0


def test_a_gain_by_a_hidden_value_raises_an_alarm_with_its_name(silent: ReviewedModel) -> None:
    finding = study_withholding(silent)
    assert finding.figures["most_gain"] > 40
    assert finding.figures["most_gain"] == max(
        finding.figures["most_gain_by_table"], finding.figures["most_gain_by_value"]
    )
    assert finding.tables["By value hidden"]["feature"].iloc[0] == "return_rate_90d"
    assert "return_rate_90d (" in finding.alarms[0]
    assert finding.figures["least_share_without_number"] == 1.0


def test_a_model_that_cannot_be_moved_raises_none(few: ReviewedModel) -> None:
    # of thirty rows no leaf holds enough, so the model is a constant
    rows = few.train.select(few.train.rows.index.to_series() < 30)
    still = replace(few, served=bundle(few.train, boosted(rows, trees=1)))
    finding = study_withholding(still)
    assert finding.figures["most_gain"] == 0.0
    assert finding.alarms == ()
    assert "No row gained a point" in finding.summary


def test_without_scorable_rows_the_study_is_not_made(few: ReviewedModel) -> None:
    finding = study_withholding(with_test(few, active_days_365d=1.0))
    assert finding.figures == {}
    assert "no test row has enough history" in finding.summary


def test_scores_without_rows_are_those_of_assessments(few: ReviewedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Features with and without rows are made up here; `test_hidden_rows` has those of a store."""
    few = with_test(few, orders_90d=1.0)  # whose orders are not known is not asked
    rows = few.test.rows.assign(seller_id=[f"S-{row}" for row in range(len(few.test.rows))])
    honest = few.test.features.set_index(pd.MultiIndex.from_frame(rows[["seller_id", "as_of"]]))
    frames = {
        UNCHANGED: honest,
        "refunds": honest.assign(return_rate_90d=honest["return_rate_90d"].where(np.arange(len(rows)) < 10, 0.0)),
        "purchases": honest,
    }
    store = object()

    def made_up(asked: object, pairs: pd.DataFrame) -> dict[str, pd.DataFrame]:
        assert asked is store
        return {name: each.reindex(pd.MultiIndex.from_frame(pairs)) for name, each in frames.items()}

    monkeypatch.setattr("training.evidence.withholding.without_rows", made_up)
    with_store = replace(few, test=replace(few.test, rows=rows), store=store)
    gains = {gain.what: gain for gain in by_rows(with_store)}
    assert list(gains) == ["refunds", "purchases"]
    filled = frames["refunds"].notna() & honest.isna()
    moved = (((frames["refunds"] != honest) & honest.notna()) | filled).any(axis=1).to_numpy()
    before, after = (
        assess_rows(few.bundle, rows[moved], frames[name][moved].to_numpy()) for name in (UNCHANGED, "refunds")
    )
    gained = [later.score - earlier.score for earlier, later in zip(before, after, strict=True)]
    assert (gains["refunds"].rows, gains["refunds"].most_gain) == (len(gained), max(gained))
    assert 10 < len(gained) < len(rows)
    assert gains["purchases"].rows == 0, "who has none cannot hide them"


def test_without_a_store_rows_are_not_measured(few: ReviewedModel) -> None:
    finding = study_withholding(few)
    assert not [name for name in finding.figures if "by_rows" in name]
    assert "was not measured: no operating data" in finding.summary


def test_missing_rows_raise_an_alarm_unless_they_look_like_an_honest_zero(
    silent: ReviewedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gain without refunds is reported without an alarm, because it looks like an honest zero."""

    def lacking(_: object, pairs: pd.DataFrame) -> dict[str, pd.DataFrame]:
        shown = silent.test.features.loc[silent.test.rows["seller_id"].isin(pairs["seller_id"])]
        hidden = shown.assign(return_rate_90d=np.nan)
        return {UNCHANGED: shown, "refunds": hidden, lacking_table: hidden}

    monkeypatch.setattr("training.evidence.withholding.without_rows", lacking)
    monkeypatch.setattr("training.evidence.withholding.first_names", ", ".join)
    asked = replace(silent, store=object())
    for lacking_table in ("purchases", "traffic"):
        finding = study_withholding(asked)
        assert f"rows of {lacking_table} (" in finding.alarms[0]
        assert "rows of refunds (" not in finding.alarms[0]
        assert finding.figures["most_gain_by_rows"] == finding.figures["most_gain_by_rows_of_refunds"] > 40
        assert finding.figures["most_gain"] >= finding.figures["most_gain_by_rows"]
        assert 0 < finding.figures[f"gaining_share_by_rows_of_{lacking_table}"] <= 1
        assert any("missing rows look like an honest zero" in check.note for check in finding.checks)
        assert list(finding.tables["By table without the seller's rows"]["table"]) == ["refunds", lacking_table]


OF_EACH_TABLE = {
    "orders_90d",
    "return_rate_90d",
    "visits_90d",
    "handling_days_90d",
    "rating_90d",
    "purchases_over_sales_180d",
    "worst_days_past_due_365d",
    "owed_over_monthly_sales",
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> OperatingStore:
    """The shops, which buy stock every ten days and paid back a loan, each instalment ten days late."""
    rows = marketplace()
    for seller in ("A", "Z"):
        for ago in range(1, 401, 10):
            at = midnight(days_ago(ago)) + timedelta(hours=9)
            bought = {"purchase_id": f"{seller}-{ago}", "store_id": seller, "supplier_id": f"U{ago % 3}"}
            rows["purchases"].append(bought | {"amount_micros": 200 * USD, "purchased_at": at, "known_at": at})
    for seller in ("S", "L"):
        lent = {"loan_id": f"of-{seller}", "known_at": midnight(days_ago(200))}
        loan = {"seller_id": seller, "disbursed_at": midnight(days_ago(200)), "term_days": 60, "currency": "USD"}
        rows["loans"].append(lent | loan | {"principal": 300.0, "amount_micros": 300 * USD})
        for number, ago in enumerate((170, 140)):
            rows["instalments"].append(lent | {"due_on": days_ago(ago), "amount": 150.0})
            at = midnight(days_ago(ago - 10))
            paid = {"payment_id": f"{seller}-{number}", "paid_at": at, "amount": 150.0}
            rows["payments"].append(lent | paid | {"known_at": at})
    written = write_accepted(rows, tmp_path_factory.mktemp("operating"))
    (delivery,) = written.deliveries
    return replace(written, deliveries=(replace(delivery, covers_through=dict.fromkeys(delivery.rows, T)),))


@pytest.fixture(scope="module")
def found(store: OperatingStore) -> dict[str, pd.DataFrame]:
    return without_rows(store, PAIRS)


def test_each_delivered_optional_table_is_measured(store: OperatingStore, found: dict[str, pd.DataFrame]) -> None:
    assert optional_tables(store) == ("refunds", "traffic", "fulfilments", "ratings", "purchases", *LOAN_TABLES)
    assert list(found) == [UNCHANGED, *optional_tables(store)]


def test_an_unchanged_copy_has_the_features_of_its_original(
    store: OperatingStore, found: dict[str, pd.DataFrame]
) -> None:
    some = [feature for feature in CATALOGUE if feature.name in OF_EACH_TABLE]
    wanted = compute_frame(store, PAIRS, some).reindex(pd.MultiIndex.from_frame(PAIRS))
    assert len(some) == len(OF_EACH_TABLE)
    assert found[UNCHANGED][list(wanted)].to_numpy().tobytes() == wanted.to_numpy().tobytes()


@pytest.mark.parametrize("table", ["traffic", "fulfilments", "ratings", "purchases"])
def test_missing_rows_leave_only_missing_values(found: dict[str, pd.DataFrame], table: str) -> None:
    """So that they go to the riskiest end, and hiding them raises no score, whatever the model (ADR 13)."""
    before, after = found[UNCHANGED].to_numpy(), found[table].to_numpy()
    moved = (before != after) & ~(np.isnan(before) & np.isnan(after))
    assert moved.any(axis=0).sum() >= 4
    assert np.isnan(after[moved]).all(), found[UNCHANGED].columns[(moved & ~np.isnan(after)).any(axis=0)].tolist()


def test_missing_refunds_count_as_zero(found: dict[str, pd.DataFrame]) -> None:
    """Refunds that did not occur and refunds that were not delivered look alike."""
    assert "refunds" in TOLD_BY_SILENCE
    assert (found[UNCHANGED]["return_rate_90d"] > 0).all()
    assert (found["refunds"]["return_rate_90d"] == 0).all()


def test_missing_loans_count_as_zero(found: dict[str, pd.DataFrame]) -> None:
    """Sellers without loans and sellers whose loans were not delivered look alike."""
    assert set(LOAN_TABLES) - {"payments"} <= TOLD_BY_SILENCE
    shown = found[UNCHANGED][["loans_repaid", "worst_days_past_due_365d", "average_days_past_due_365d"]]
    assert shown.to_numpy().tolist() == [[1, 10, 10]] * len(PAIRS)
    for table in ("loans", "instalments"):
        assert (found[table][shown.columns] == 0).all(axis=None)


def test_missing_payments_count_as_not_paid(found: dict[str, pd.DataFrame]) -> None:
    """Hiding what was paid can only look worse: it is no silence."""
    assert "payments" not in TOLD_BY_SILENCE
    assert (found["payments"]["worst_days_past_due_365d"] > 100).all()
    owed = [found[copy]["owed_over_monthly_sales"].to_numpy() for copy in (UNCHANGED, "payments")]
    assert (owed[0] < owed[1]).all()
    assert (found["payments"]["loans_repaid"] == 0).all()
