"""Datasets of the real catalogue's columns whose outcomes depend on some of them, for tests of training."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import lightgbm
import numpy as np
import pandas as pd

from features.catalogue import CATALOGUE, digest
from training.candidates import Kind, Recipe
from training.dataset import CATALOGUE_SIGNS, Dataset
from training.fit import FitConfig, FittedModel, boost
from training.labels import Labels
from training.sample import Sample
from training.scorecard import Scorecard, fit_scorecard
from training.stability import measure_stability

NAMES = [feature.name for feature in CATALOGUE]
SIGNS = {feature.name: feature.sign for feature in CATALOGUE}
INFORMATIVE = [feature.name for feature in CATALOGUE if feature.scored][:8]
"""The features that the outcomes depend on."""

TABLES = ("orders", "refunds", "traffic")
COVERED = sorted({name for feature in CATALOGUE for name in feature.tables})
"""Every table that a feature rests on."""

OBSERVED = date(2026, 1, 1)


def dataset(rows: int = 600, sellers: int = 200, *, seed: int = 1, days: int = 1000, missing: float = 0.1) -> Dataset:
    """Loans of some sellers over the days before 2025-01-01, a fifth of them bad; those of INFORMATIVE matter.

    With `days` 1, all rows are as of one midnight, as in a label table.
    """
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(rows, len(NAMES)))
    risk = sum((SIGNS[name] or 1) * matrix[:, NAMES.index(name)] for name in INFORMATIVE) * 0.5
    bad = rng.random(rows) < 1 / (1 + np.exp(1.7 - risk))
    matrix[rng.random(matrix.shape) < missing] = np.nan
    features = pd.DataFrame(matrix, columns=NAMES)
    features["days_since_first_order"] = rng.uniform(100, 2000, rows)
    features["active_days_365d"] = rng.uniform(20, 365, rows)
    features["days_since_last_sale"] = np.arange(rows) % 30.0
    last = pd.Timestamp("2025-01-01")
    table = pd.DataFrame(
        {
            "seller_id": [f"S-{number:04}" for number in rng.integers(0, sellers, rows)],
            "as_of": last - pd.to_timedelta(rng.integers(0, days, rows), unit="D"),
            "bad": bad,
        }
    )
    labels = Labels(table, 5, last.date(), "90+ days past due within 12 months")
    about = pd.DataFrame(
        {"country": rng.choice(["CN", "VN"], rows), "marketplace": rng.choice(["amazon", "shopee"], rows)}
    )
    return Dataset(table, features, about, labels, digest(CATALOGUE), "data-1", TABLES)


def boosted_trees(loans: Dataset, config: FitConfig, rounds: int) -> FittedModel:
    """Grow boosted trees of every column, without a choice or margins out of fold: enough for a bundle."""
    sample = Sample.of_dataset(loans)
    return FittedModel(
        booster=sample.columns.merge(boost(sample, config, rounds)),
        recipe=Recipe(Kind.LIGHTGBM, rounds, 1.0),
        features=sample.columns.read_features,
        choice=None,
        stability=measure_stability(sample, 0.0),
        out_of_fold=np.zeros(len(sample.bad)),
    )


def small_scorecard(
    features: pd.DataFrame, bad: pd.Series, seed: int = 7, signs: Mapping[str, int] = CATALOGUE_SIGNS
) -> Scorecard:
    """Fit a scorecard of the features in INFORMATIVE alone, in place of `fit_scorecard`: one of all takes seconds."""
    return fit_scorecard(features[INFORMATIVE], bad, seed, signs)


def opposed_outcomes(features: pd.DataFrame) -> pd.Series:
    """Draw outcomes that contradict the signs of six features, so that only a constraint makes a model obey them."""
    signed = [str(name) for name in features if SIGNS[str(name)]]
    risk = sum(-SIGNS[name] * features[name].fillna(0.0) for name in signed[:6])
    return pd.Series(np.random.default_rng(2).random(len(features)) < 1 / (1 + np.exp(1.0 - risk.clip(-4, 4))))


def assert_obeys(booster: lightgbm.Booster, signs: Mapping[str, int], rows: pd.DataFrame) -> None:
    """Assert that the risk of these rows follows the signs, and never falls if a value is hidden."""
    names, shown = booster.feature_name(), rows.to_numpy()
    before = booster.predict(shown, raw_score=True)
    used = np.flatnonzero(booster.feature_importance())
    assert {-1, 1} <= {signs[names[place]] for place in used}
    is_moved = False
    for place in used:
        hidden, known = shown.copy(), ~np.isnan(shown[:, place])
        hidden[:, place] = np.nan
        assert (booster.predict(hidden, raw_score=True) >= before - 1e-12).all(), names[place]
        for step in (0.01, 0.5, 1e6):
            moved = shown.copy()
            moved[:, place] += step
            change = (booster.predict(moved, raw_score=True) - before)[known] * signs[names[place]]
            assert (change >= -1e-12).all(), names[place]
            is_moved |= bool((change > 0.01).any())
    assert is_moved
