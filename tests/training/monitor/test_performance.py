"""Performance by vintage and challengers, compared with plain Python."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, spearmanr
from sklearn.metrics import roc_auc_score

from tests.training.monitor.builders import DEFINITION, loans, matured_model, monitored_model, scores, small_bundle
from training.config import MonitorConfig, OutcomeThresholds
from training.monitor.inputs import Outcomes
from training.monitor.performance import BY_VINTAGE, CHALLENGERS, latest_loans, shadow, vintages
from training.monitor.score_log import SHADOW, KnownModel
from training.monitor.subject import MonitoredModel
from training.registry import Version


def matured(rows: int, seed: int = 1, **parts: int) -> MonitoredModel:
    return matured_model(np.random.default_rng(seed), rows, **parts)


def partly_matured_model(seed: int) -> MonitoredModel:
    """Return a model with loans of 18 months; the later ones are open, and some of those are bad so far."""
    model = matured(900, seed, months=18)
    rows, rng = model.outcomes.loans, np.random.default_rng(seed)
    day = rows["day"] + pd.to_timedelta(rng.integers(0, 40, len(rows)), unit="D")
    return monitored_model(model.scores, rows.assign(day=day, matured=day < pd.Timestamp("2025-02-10")))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_vintage_is_measured_on_its_matured_loans(seed: int) -> None:
    model = partly_matured_model(seed)
    table = vintages(model).tables[BY_VINTAGE].set_index("vintage")
    loan_of = {row.seller_id: row for row in model.outcomes.loans.itertuples()}
    of_vintage: dict[str, list[tuple[bool, bool, float]]] = defaultdict(list)
    for score in model.scores.itertuples():
        loan = loan_of[score.seller_id]
        if 0 <= (loan.day - score.as_of).days < 30:
            of_vintage[f"{score.as_of:%Y-%m}"].append((loan.matured, loan.bad, score.probability_of_default))
    assert list(table.index) == sorted(of_vintage)
    for month, each in of_vintage.items():
        row, closed = table.loc[month], [(bad, p) for is_matured, bad, p in each if is_matured]
        bad = sum(bad for bad, _ in closed)
        bad_so_far = sum(bad for is_matured, bad, _ in each if not is_matured)
        assert row[["loans", "matured", "bad", "bad_so_far"]].tolist() == [len(each), len(closed), bad, bad_so_far]
        state = {0: "not matured yet", len(each): "matured"}.get(len(closed), "matured in part")
        assert row["state"] == state
        if not closed:
            assert math.isnan(row["default_rate"])
            continue
        interval = binomtest(bad, len(closed)).proportion_ci(method="wilson")
        rates = [bad / len(closed), interval.low, interval.high]
        assert row[["default_rate", "default_rate_low", "default_rate_high"]].tolist() == pytest.approx(rates, abs=1e-6)
        assert row["expected_rate"] == pytest.approx(np.mean([p for _, p in closed]))
        if math.isnan(row["auc"]):
            assert min(bad, len(closed) - bad) < 10
        else:
            assert row["auc"] == pytest.approx(roc_auc_score(*zip(*closed, strict=True)))
            assert row["gini"] == pytest.approx(2 * row["auc"] - 1)
    assert set(table["state"]) == {"matured", "matured in part", "not matured yet"}


def test_open_loans_change_no_metric() -> None:
    model = partly_matured_model(1)
    rows = model.outcomes.loans
    changed = monitored_model(model.scores, rows.assign(bad=rows["bad"] | ~rows["matured"]))
    before, after = vintages(model), vintages(changed)
    assert {name for name in before.figures if before.figures[name] != after.figures[name]} == {"bad_so_far"}
    same = [finding.tables[BY_VINTAGE].drop(columns="bad_so_far") for finding in (before, after)]
    pd.testing.assert_frame_equal(*same)


def test_loans_without_a_valid_score_are_counted() -> None:
    frame = scores([{"seller_id": "A", "as_of": "2024-03-01"}])
    paid_out = [
        ("A", "2024-02-01", True, False),  # before the first score
        ("A", "2024-03-05", True, False),
        ("A", "2024-06-01", True, True),
        ("B", "2024-03-05", True, False),
    ]
    finding = vintages(monitored_model(frame, loans(paid_out)))
    assert (finding.figures["loans"], finding.figures["unmatched"], finding.figures["bad"]) == (1, 2, 0)
    assert "1 loans match a score" in finding.summary
    assert "2 loans since the first score match none" in finding.summary


def test_loans_used_in_training_are_left_out() -> None:
    model = matured(300, 4)
    days = model.outcomes.loans["day"]
    params = {"evidence": "out_of_time", "train_before": "2024-06-01", "train_rows": "1"}
    params |= {"split.unseen_share": "0.3", "split.salt": "sellerscore"}
    tested, final = (
        vintages(
            monitored_model(
                model.scores,
                model.outcomes.loans,
                model=KnownModel(small_bundle(), Version(3, "r", params | served, {}, {}, {})),
            )
        )
        for served in ({}, {"served_before": "2024-09-01"})
    )
    early, used = (days < "2024-06-01").sum(), int(tested.figures["learnt"])
    assert 0.6 * early < used < 0.8 * early
    assert (tested.figures["loans"], tested.figures["unmatched"]) == (300 - used, 0)
    assert f"{used} more match a score but were used in training" in tested.summary
    assert final.figures["learnt"] == (days < "2024-09-01").sum()


def test_only_the_latest_vintages_are_measured_together() -> None:
    model = matured(600, 5)
    config = MonitorConfig(outcomes=OutcomeThresholds(vintages=3))
    limited = monitored_model(model.scores, model.outcomes.loans, config=config)
    assert sorted(latest_loans(limited)["vintage"].unique()) == ["2024-10", "2024-11", "2024-12"]
    assert vintages(limited).figures["matured"] == len(latest_loans(limited)) < 300
    assert len(vintages(limited).tables[BY_VINTAGE]) == 12


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (None, "There are no loans. Performance cannot be measured yet."),
        ([], "0 loans match a score: they were disbursed while it was valid. 0 loans since"),
        ([("A", "2025-12-03", False, True)], "None of them is matured (90+ days past due within 12"),
    ],
)
def test_without_matured_loans_performance_is_not_measured(rows: list | None, words: str) -> None:
    frame = scores([{"seller_id": "A", "as_of": "2025-12-01"}])
    finding = vintages(monitored_model(frame, None if rows is None else loans(rows)))
    assert words in finding.summary
    assert not finding.alarms
    assert "default_rate" not in finding.figures


def test_only_an_auc_below_that_of_the_validation_raises_an_alarm() -> None:
    assert [vintages(matured(1_500, seed)).alarms for seed in range(5)] == [()] * 5
    model = matured(1_500)
    by_chance = model.outcomes.loans.assign(bad=np.random.default_rng(2).random(1_500) < 0.1)
    (alarm,) = vintages(monitored_model(model.scores, by_chance)).alarms
    assert alarm.startswith("The AUC on matured loans is 0.5")


def test_the_summary_names_missing_outcomes() -> None:
    model = matured(100)
    unknown = monitored_model(model.scores, outcomes=Outcomes(model.outcomes.loans, None, f"No {DEFINITION}."))
    assert vintages(unknown).summary.startswith(f"No {DEFINITION}.")


CHALLENGER = "sha256:" + "9" * 64


def challenger_scores(model: MonitoredModel, noise: float, digest: str = CHALLENGER) -> pd.DataFrame:
    """Return the scores of a challenger: those of the model with noise."""
    p, scale = model.scores["probability_of_default"].to_numpy(), small_bundle().policy.scale
    odds = np.log(p / (1 - p)) + np.random.default_rng(7).normal(0, noise, len(p)) + 0.3
    return model.scores.assign(
        model=digest,
        score=np.round(scale.offset - scale.factor * odds),
        probability_of_default=1 / (1 + np.exp(-odds)),
    )[list(SHADOW)]


def compared(model: MonitoredModel, theirs: pd.DataFrame, rows: pd.DataFrame | None = None) -> dict[str, float]:
    finding = shadow(monitored_model(model.scores, rows, shadow=theirs))
    assert not finding.alarms
    (row,) = finding.tables[CHALLENGERS].to_dict("records")
    return row


def test_a_challenger_is_measured_on_the_same_requests_and_loans() -> None:
    model = matured(1_200)
    theirs = challenger_scores(model, 1.5)
    row = compared(model, theirs, model.outcomes.loans)
    apart = theirs["score"] - model.scores["score"]
    bad = model.outcomes.loans.set_index("seller_id")["bad"].reindex(model.scores["seller_id"]).to_numpy(dtype=bool)
    assert (row["challenger"], row["pairs"], row["loans"], row["same_outcome"]) == (CHALLENGER[:19], 1_200, 1_200, 1.0)
    assert row["mean_points"] == pytest.approx(apart.mean())
    assert row["near"] == pytest.approx((apart.abs() <= 20).mean())
    assert row["rank_correlation"] == pytest.approx(spearmanr(theirs["score"], model.scores["score"]).statistic)
    assert row["auc"] == pytest.approx(roc_auc_score(bad, theirs["probability_of_default"]))
    assert row["auc_given"] == pytest.approx(roc_auc_score(bad, model.scores["probability_of_default"]))
    assert row["auc_difference"] == pytest.approx(row["auc"] - row["auc_given"])
    assert row["auc_difference_low"] < row["auc_difference"] < row["auc_difference_high"] < 0


def test_requests_without_both_scores_are_counted_but_not_compared() -> None:
    model = matured(100)
    theirs = challenger_scores(model, 0.1)
    theirs.loc[:19, ["outcome", "score", "probability_of_default"]] = ["stale_data", np.nan, np.nan]
    row = compared(model, theirs)
    assert (row["pairs"], row["same_outcome"]) == (100, 0.8)
    assert np.isfinite(row["mean_points"])
    assert np.isnan(row["auc"])
    assert np.isnan(compared(model, theirs.assign(score=600.0))["rank_correlation"]), "a constant has none"


def test_each_challenger_has_a_row_and_the_newest_has_the_figures() -> None:
    model = matured(200)
    old = challenger_scores(model, 0.1, "sha256:" + "1" * 64)[model.scores["as_of"] < "2024-06-01"]
    both = pd.concat([old, challenger_scores(model, 0.1)], ignore_index=True)
    finding = shadow(monitored_model(model.scores, shadow=both))
    assert finding.tables[CHALLENGERS]["pairs"].tolist() == [len(old), 200]
    assert finding.figures["pairs"] == 200
    assert shadow(model).summary == "No challenger scored the same requests."
