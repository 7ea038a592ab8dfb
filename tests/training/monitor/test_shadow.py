"""Challengers beside the model whose scores were given."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from tests.training.monitor.made import judged, small_bundle, watched
from training.monitor.performance import CHALLENGERS, shadow
from training.monitor.score_log import SHADOW
from training.monitor.subject import MonitoredModel

RIVAL = "sha256:" + "9" * 64


def beside(made: MonitoredModel, noise: float, digest: str = RIVAL) -> pd.DataFrame:
    """What a challenger says that sees the same, blurred."""
    rng = np.random.default_rng(7)
    p = made.scores["probability_of_default"].to_numpy()
    odds = np.log(p / (1 - p)) + rng.normal(0, noise, len(p)) + 0.3
    own = 1 / (1 + np.exp(-odds))
    scale = small_bundle().policy.scale
    return pd.DataFrame(
        {
            "score_id": made.scores["score_id"],
            "model": digest,
            "outcome": "scored",
            "score": np.round(scale.offset - scale.factor * odds),
            "probability_of_default": own,
        },
        columns=list(SHADOW),
    )


def test_a_challenger_is_measured_on_the_same_requests_and_loans() -> None:
    made = judged(np.random.default_rng(1), 1_200)
    theirs = beside(made, 1.5)
    found = shadow(watched(made.scores, made.outcomes.loans, shadow=theirs))
    (line,) = found.tables[CHALLENGERS].to_dict("records")
    apart = (theirs["score"] - made.scores["score"]).to_numpy()
    bad = made.outcomes.loans.set_index("seller_id")["bad"].reindex(made.scores["seller_id"]).to_numpy(dtype=bool)
    assert (line["challenger"], line["pairs"], line["loans"], line["same_outcome"]) == (RIVAL[:19], 1_200, 1_200, 1.0)
    assert line["mean_points"] == pytest.approx(apart.mean())
    assert line["near"] == pytest.approx((np.abs(apart) <= 20).mean())
    assert line["rank_correlation"] == pytest.approx(spearmanr(theirs["score"], made.scores["score"]).statistic)
    assert line["auc"] == pytest.approx(roc_auc_score(bad, theirs["probability_of_default"]))
    assert line["auc_given"] == pytest.approx(roc_auc_score(bad, made.scores["probability_of_default"]))
    assert line["auc_difference"] == pytest.approx(line["auc"] - line["auc_given"])
    assert line["auc_difference_low"] < line["auc_difference"] < line["auc_difference_high"] < 0
    assert not found.alarms


def test_requests_that_one_of_them_did_not_score_are_told_and_not_compared() -> None:
    made = judged(np.random.default_rng(1), 100)
    theirs = beside(made, 0.1)
    theirs.loc[:19, ["outcome", "score", "probability_of_default"]] = ["stale_data", np.nan, np.nan]
    (line,) = shadow(watched(made.scores, shadow=theirs)).tables[CHALLENGERS].to_dict("records")
    assert (line["pairs"], line["same_outcome"]) == (100, 0.8)
    assert np.isfinite(line["mean_points"])
    assert np.isnan(line["auc"])


def test_each_challenger_has_a_line_and_the_newest_the_figures() -> None:
    made = judged(np.random.default_rng(1), 200)
    old = beside(made, 0.1, "sha256:" + "1" * 64)
    first = made.scores["as_of"] < "2024-06-01"
    both = pd.concat([old[first], beside(made, 0.1)], ignore_index=True)
    found = shadow(watched(made.scores, shadow=both))
    assert found.tables[CHALLENGERS]["pairs"].tolist() == [int(first.sum()), 200]
    assert found.figures["pairs"] == 200


def test_one_score_for_all_has_no_correlation() -> None:
    made = judged(np.random.default_rng(1), 50)
    same = beside(made, 0.1).assign(score=600.0)
    (line,) = shadow(watched(made.scores, shadow=same)).tables[CHALLENGERS].to_dict("records")
    assert np.isnan(line["rank_correlation"])


def test_without_a_challenger_it_says_so() -> None:
    made = judged(np.random.default_rng(1), 20)
    assert shadow(made).summary == "No challenger scored beside it."
