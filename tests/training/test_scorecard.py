"""Benchmark scorecard: bins follow the signs, missing values have a bin, constant features are omitted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.training.datasets import NAMES, SIGNS, dataset
from training.columns import Columns
from training.errors import TrainingError
from training.evidence.metrics import auc
from training.sample import Sample
from training.scorecard import Scorecard, evidence_bins, fit_scorecard


@pytest.fixture(scope="module")
def loans() -> tuple[pd.DataFrame, pd.Series]:
    generated = dataset(900, 300)
    features = generated.features[NAMES[:20]].assign(store_count=np.nan, marketplace_count=1.0)
    return features, generated.rows["bad"]


@pytest.fixture(scope="module")
def card(loans: tuple[pd.DataFrame, pd.Series]) -> Scorecard:
    features, bad = loans
    return fit_scorecard(features[:600], bad[:600])


def test_it_ranks_held_out_rows_and_omits_constant_features(
    loans: tuple[pd.DataFrame, pd.Series], card: Scorecard
) -> None:
    predicted = card.probability(loans[0][600:])
    assert ((predicted > 0) & (predicted < 1)).all()
    assert auc(loans[1][600:].to_numpy(), predicted) > 0.65
    assert set(card.binnings) == set(NAMES[:20])
    assert set(card.table()["feature"]) == set(NAMES[:20])
    with pytest.raises(TrainingError, match="Every feature has the same value"):
        fit_scorecard(pd.DataFrame({"same": [1.0] * 50, "none": [np.nan] * 50}), pd.Series([True, False] * 25))


def test_default_rates_follow_the_sign_from_bin_to_bin(loans: tuple[pd.DataFrame, pd.Series], card: Scorecard) -> None:
    """Also where the outcomes speak against the sign."""
    against = fit_scorecard(loans[0], ~loans[1])
    for fitted in (card, against):
        for name, binning in fitted.binnings.items():
            evidence = binning.transform(np.append(binning.splits - 1e-9, 1e9), metric="woe")
            steps = np.diff(evidence)  # of good over bad
            directions = [-SIGNS[name]] if SIGNS[name] else [1, -1]
            assert any((steps * direction >= -1e-9).all() for direction in directions), name


def test_missing_values_have_their_own_bin() -> None:
    rng = np.random.default_rng(2)
    bad = pd.Series(rng.random(800) < 0.2)
    value = pd.Series(rng.normal(size=800)).mask(bad & (rng.random(800) < 0.8))
    shown, hidden = fit_scorecard(pd.DataFrame({"free": value}), bad).probability(pd.DataFrame({"free": [0.0, np.nan]}))
    assert hidden > 0.9 > shown


def test_information_is_that_of_the_bins(loans: tuple[pd.DataFrame, pd.Series], card: Scorecard) -> None:
    features, bad = loans[0][:600], loans[1][:600]
    name, binning = max(card.binnings.items(), key=lambda item: len(item[1].splits))
    bins = np.searchsorted(binning.splits, features[name], side="right")
    bins[features[name].isna()] = -1
    shares = pd.crosstab(bins, bad, normalize="columns")
    expected = ((shares[False] - shares[True]) * np.log(shares[False] / shares[True])).sum()
    found = card.table().set_index("feature")
    assert found.loc[name, "information_value"] == pytest.approx(expected, abs=1e-3)
    assert found["information_value"].is_monotonic_decreasing
    assert (found["weight"] > 0).mean() > 0.7


def test_values_that_differ_by_rounding_are_in_one_bin() -> None:
    rng = np.random.default_rng(3)
    bad = pd.Series(rng.random(600) < 0.3)
    nearly_one = np.where(rng.random(600) < 0.5, 1.0, 1.0 - 1.1e-16 * rng.integers(1, 4, 600))
    features = pd.DataFrame({"free": np.where(bad & (rng.random(600) < 0.7), 0.25, nearly_one)})
    risky, usual = fit_scorecard(features, bad).probability(pd.DataFrame({"free": [0.25, 1.0]}))
    assert risky > 0.6
    assert usual < 0.3


def test_contributions_add_up_to_the_log_odds(loans: tuple[pd.DataFrame, pd.Series], card: Scorecard) -> None:
    features = loans[0]
    added = card.contributions(features)
    assert list(added) == list(card.binnings)
    probability = card.probability(features)
    log_odds = np.log(probability / (1 - probability))
    # what is left is one number for all rows: the log-odds of a row with the usual evidence
    base = log_odds - added.sum(axis=1)
    assert np.ptp(base) < 1e-9
    assert added[:600].mean().abs().max() < 1e-9


def test_the_bins_of_columns_are_those_of_the_scorecard_and_never_fall_in_risk() -> None:
    """A value equal to a split is in the bin that begins there, as in optbinning; missing ones are the riskiest."""
    rng = np.random.default_rng(4)
    value = pd.Series(np.where(rng.random(1_200) < 0.3, 0.0, rng.normal(size=1_200)))
    bad = pd.Series(rng.random(1_200) < 1 / (1 + np.exp(1.5 - value)))
    features = pd.DataFrame({"value": value, "again": value.mask(rng.random(1_200) < 0.1)})
    columns = Columns.of(["value", "again"], {"value": 1, "again": -1}, not_scored=())
    sample = Sample.of(features, bad, pd.Series(range(1_200)), columns=columns)
    binned = evidence_bins(sample)
    splits = fit_scorecard(features[["value"]], bad, signs={"value": 1}).binnings["value"].splits
    assert len(splits) > 2
    expected = np.searchsorted(splits, value, side="right")
    assert np.searchsorted(binned.edges[0], value).tolist() == expected.tolist()
    assert binned.rows[0].tolist() == np.bincount(expected).tolist()
    # of the first column, weights of evidence; of the second, whose direction is wrong, one level at most
    share = pd.Series(bad).groupby(expected).agg(["sum", "size"])
    log_odds = np.log((share["sum"] + 0.5) / (share["size"] - share["sum"] + 0.5))
    assert binned.risk[0] == pytest.approx(np.maximum.accumulate(log_odds))
    assert (np.diff(binned.risk[0]) >= 0).all()
    assert (np.diff(binned.risk[1]) <= 0).all()
