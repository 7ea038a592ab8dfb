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


def partly_matured_model(seed: int) -> MonitoredModel:
    """Return a model with loans of 18 months; the later ones are open, and some of those are bad so far."""
    rng = np.random.default_rng(seed)
    model = matured_model(rng, 900, months=18)
    rows = model.outcomes.loans
    day = rows["day"] + pd.to_timedelta(rng.integers(0, 40, len(rows)), unit="D")
    changed = rows.assign(day=day, matured=day < pd.Timestamp("2025-02-10"))
    return monitored_model(model.scores, changed)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_vintage_is_measured_on_its_matured_loans(seed: int) -> None:
    finding = partly_matured_model(seed)
    table = vintages(finding).tables[BY_VINTAGE].set_index("vintage")
    day_of = {row.seller_id: row for row in finding.outcomes.loans.itertuples()}
    of_vintage: dict[str, list[tuple[bool, bool, float]]] = defaultdict(list)
    for score in finding.scores.itertuples():
        loan = day_of[score.seller_id]
        if 0 <= (loan.day - score.as_of).days < 30:
            month = f"{score.as_of.year}-{score.as_of.month:02}"
            of_vintage[month].append((loan.matured, loan.bad, score.probability_of_default))
    assert list(table.index) == sorted(of_vintage)
    for month, each in of_vintage.items():
        row, closed = table.loc[month], [(bad, p) for matured, bad, p in each if matured]
        bad = sum(bad for bad, _ in closed)
        assert (row["loans"], row["matured"], row["bad"]) == (len(each), len(closed), bad)
        assert row["bad_so_far"] == sum(bad for matured, bad, _ in each if not matured)
        state = {0: "not matured yet", len(each): "matured"}.get(len(closed), "matured in part")
        assert row["state"] == state
        if not closed:
            assert math.isnan(row["default_rate"])
            continue
        interval = binomtest(bad, len(closed)).proportion_ci(method="wilson")
        assert [row["default_rate"], row["default_rate_low"], row["default_rate_high"]] == pytest.approx(
            [bad / len(closed), interval.low, interval.high], abs=1e-6
        )
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
    is_open = ~rows["matured"]
    changed = monitored_model(model.scores, rows.assign(bad=rows["bad"] | is_open))
    before, after = vintages(model), vintages(changed)
    differing = {name for name in before.figures if before.figures[name] != after.figures[name]}
    assert differing == {"bad_so_far"}
    same = [table.drop(columns="bad_so_far") for table in (before.tables[BY_VINTAGE], after.tables[BY_VINTAGE])]
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
    model = matured_model(np.random.default_rng(4), 300)
    params = {
        "evidence": "out_of_time",
        "train_before": "2024-06-01",
        "train_rows": "1",
        "split.unseen_share": "0.3",
        "split.salt": "sellerscore",
    }
    finding = monitored_model(
        model.scores, model.outcomes.loans, model=KnownModel(small_bundle(), Version(3, "r", params, {}, {}, {}))
    )
    days, figures = model.outcomes.loans["day"], vintages(finding).figures
    early = int((days < "2024-06-01").sum())
    assert 0.6 * early < figures["learnt"] < 0.8 * early
    assert figures["learnt"] + figures["loans"] == 300
    assert figures["unmatched"] == 0
    assert f"{figures['learnt']:.0f} more match a score but were used in training" in vintages(finding).summary
    final = {**params, "served_before": "2024-09-01"}
    finding = monitored_model(
        model.scores, model.outcomes.loans, model=KnownModel(small_bundle(), Version(3, "r", final, {}, {}, {}))
    )
    assert vintages(finding).figures["learnt"] == int((days < "2024-09-01").sum())


def test_only_the_latest_vintages_are_measured_together() -> None:
    model = matured_model(np.random.default_rng(5), 600)
    config = MonitorConfig(outcomes=OutcomeThresholds(vintages=3))
    finding = monitored_model(model.scores, model.outcomes.loans, config=config)
    assert sorted(latest_loans(finding)["vintage"].unique()) == ["2024-10", "2024-11", "2024-12"]
    assert vintages(finding).figures["matured"] == len(latest_loans(finding)) < 300
    assert len(vintages(finding).tables[BY_VINTAGE]) == 12


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
    quiet = [vintages(matured_model(np.random.default_rng(seed), 1_500)).alarms for seed in range(5)]
    assert quiet == [()] * 5
    model = matured_model(np.random.default_rng(1), 1_500)
    by_chance = model.outcomes.loans.assign(bad=np.random.default_rng(2).random(1_500) < 0.1)
    (alarm,) = vintages(monitored_model(model.scores, by_chance)).alarms
    assert alarm.startswith("The AUC on matured loans is 0.5")


def test_the_summary_names_missing_outcomes() -> None:
    model = matured_model(np.random.default_rng(1), 100)
    finding = monitored_model(model.scores, outcomes=Outcomes(model.outcomes.loans, None, f"No {DEFINITION}."))
    assert vintages(finding).summary.startswith(f"No {DEFINITION}.")


CHALLENGER = "sha256:" + "9" * 64


def challenger_scores(model: MonitoredModel, noise: float, digest: str = CHALLENGER) -> pd.DataFrame:
    """Return the scores of a challenger: those of the model with noise."""
    rng = np.random.default_rng(7)
    p = model.scores["probability_of_default"].to_numpy()
    odds = np.log(p / (1 - p)) + rng.normal(0, noise, len(p)) + 0.3
    own = 1 / (1 + np.exp(-odds))
    scale = small_bundle().policy.scale
    return pd.DataFrame(
        {
            "score_id": model.scores["score_id"],
            "model": digest,
            "outcome": "scored",
            "score": np.round(scale.offset - scale.factor * odds),
            "probability_of_default": own,
        },
        columns=list(SHADOW),
    )


def test_a_challenger_is_measured_on_the_same_requests_and_loans() -> None:
    model = matured_model(np.random.default_rng(1), 1_200)
    theirs = challenger_scores(model, 1.5)
    finding = shadow(monitored_model(model.scores, model.outcomes.loans, shadow=theirs))
    (row,) = finding.tables[CHALLENGERS].to_dict("records")
    apart = (theirs["score"] - model.scores["score"]).to_numpy()
    bad = model.outcomes.loans.set_index("seller_id")["bad"].reindex(model.scores["seller_id"]).to_numpy(dtype=bool)
    assert (row["challenger"], row["pairs"], row["loans"], row["same_outcome"]) == (CHALLENGER[:19], 1_200, 1_200, 1.0)
    assert row["mean_points"] == pytest.approx(apart.mean())
    assert row["near"] == pytest.approx((np.abs(apart) <= 20).mean())
    assert row["rank_correlation"] == pytest.approx(spearmanr(theirs["score"], model.scores["score"]).statistic)
    assert row["auc"] == pytest.approx(roc_auc_score(bad, theirs["probability_of_default"]))
    assert row["auc_given"] == pytest.approx(roc_auc_score(bad, model.scores["probability_of_default"]))
    assert row["auc_difference"] == pytest.approx(row["auc"] - row["auc_given"])
    assert row["auc_difference_low"] < row["auc_difference"] < row["auc_difference_high"] < 0
    assert not finding.alarms


def test_requests_without_both_scores_are_counted_but_not_compared() -> None:
    model = matured_model(np.random.default_rng(1), 100)
    theirs = challenger_scores(model, 0.1)
    theirs.loc[:19, ["outcome", "score", "probability_of_default"]] = ["stale_data", np.nan, np.nan]
    (row,) = shadow(monitored_model(model.scores, shadow=theirs)).tables[CHALLENGERS].to_dict("records")
    assert (row["pairs"], row["same_outcome"]) == (100, 0.8)
    assert np.isfinite(row["mean_points"])
    assert np.isnan(row["auc"])


def test_each_challenger_has_a_row_and_the_newest_has_the_figures() -> None:
    model = matured_model(np.random.default_rng(1), 200)
    old = challenger_scores(model, 0.1, "sha256:" + "1" * 64)
    first = model.scores["as_of"] < "2024-06-01"
    both = pd.concat([old[first], challenger_scores(model, 0.1)], ignore_index=True)
    finding = shadow(monitored_model(model.scores, shadow=both))
    assert finding.tables[CHALLENGERS]["pairs"].tolist() == [int(first.sum()), 200]
    assert finding.figures["pairs"] == 200


def test_a_constant_score_has_no_correlation() -> None:
    model = matured_model(np.random.default_rng(1), 50)
    same = challenger_scores(model, 0.1).assign(score=600.0)
    (row,) = shadow(monitored_model(model.scores, shadow=same)).tables[CHALLENGERS].to_dict("records")
    assert np.isnan(row["rank_correlation"])


def test_without_a_challenger_nothing_is_compared() -> None:
    model = matured_model(np.random.default_rng(1), 20)
    assert shadow(model).summary == "No challenger scored the same requests."
