"""Small models out of fold: what features tell, each alone and together, and never from the same seller."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from training.evidence.metrics import auc
from training.evidence.statistics import predict_by_single_features, predict_out_of_fold


def test_what_features_cannot_tell_is_chance() -> None:
    rng = np.random.default_rng(1)
    features = pd.DataFrame(rng.normal(size=(1_500, 2)), columns=["x", "y"])
    approved = rng.random(1_500) < 1 / (1 + np.exp(-features["x"]))
    shuffled = np.random.default_rng(2).permutation(approved)
    sellers = pd.Series(np.arange(1_500))
    assert auc(shuffled, predict_out_of_fold(features, shuffled, sellers, 1)) == pytest.approx(0.5, abs=0.05)
    found = predict_out_of_fold(features, approved, sellers, 1)
    true = auc(approved, 1 / (1 + np.exp(-features["x"].to_numpy())))
    assert true - 0.05 < auc(approved, found) < true + 0.02


def test_models_never_learn_from_rows_of_the_same_seller() -> None:
    rng = np.random.default_rng(1)
    mark = np.repeat(rng.normal(size=100), 10)
    inside = np.repeat(rng.random(100) < 0.5, 10)
    features, sellers = pd.DataFrame({"mark": mark}), pd.Series(np.repeat(np.arange(100), 10))
    assert auc(inside, predict_out_of_fold(features, inside, sellers, 1)) < 0.7
    assert auc(inside, predict_out_of_fold(features, inside, pd.Series(np.arange(1_000)), 1)) > 0.8


@pytest.fixture(scope="module")
def rows() -> tuple[pd.DataFrame, np.ndarray, pd.Series]:
    """Features that tell in different ways, and one that tells nothing."""
    rng = np.random.default_rng(2)
    truth = rng.random(2_000) < 0.2
    noise = rng.normal(size=(5, 2_000))
    features = pd.DataFrame(
        {
            "high": truth + noise[0],
            "low": noise[1] - truth,
            "between": np.where(truth, 0.1 * noise[2], 3 * noise[2]),
            "silent": np.where(truth & (rng.random(2_000) < 0.5), np.nan, noise[3]),
            "nothing": noise[4],
        }
    )
    return features, truth, pd.Series(np.arange(2_000) // 2)


def test_each_feature_alone_tells_what_it_can(rows: tuple[pd.DataFrame, np.ndarray, pd.Series]) -> None:
    features, truth, sellers = rows
    found = {name: auc(truth, told) for name, told in predict_by_single_features(features, truth, sellers, 1).items()}
    assert found["high"] == pytest.approx(roc_auc_score(truth, features["high"]), abs=0.06)
    assert found["low"] == pytest.approx(roc_auc_score(truth, -features["low"]), abs=0.06)
    assert found["between"] > 0.9 > abs(roc_auc_score(truth, features["between"]) - 0.5) + 0.5
    assert found["silent"] == pytest.approx(0.75, abs=0.05)
    assert found["nothing"] == pytest.approx(0.5, abs=0.05)


def test_one_feature_alone_never_learns_from_rows_of_the_same_seller() -> None:
    rng = np.random.default_rng(1)
    features = pd.DataFrame({"mark": np.repeat(rng.permutation(40), 50)})
    truth = np.repeat(rng.random(40) < 0.5, 50)
    sellers = pd.Series(np.repeat(np.arange(40), 50))
    assert auc(truth, predict_by_single_features(features, truth, sellers, 1)["mark"]) < 0.75


def test_outcomes_of_one_seller_alone_are_no_error() -> None:
    truth = np.arange(200) < 30
    sellers = pd.Series(np.where(truth, "S-1", [f"T-{row}" for row in range(200)]))
    found = predict_by_single_features(pd.DataFrame({"x": truth.astype(float)}), truth, sellers, 1)
    assert np.isfinite(found["x"]).all()
