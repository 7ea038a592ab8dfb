"""LightGBM columns: hiding a value never lowers the risk, and the merged model equals the model of columns."""

from __future__ import annotations

from dataclasses import replace

import lightgbm
import numpy as np
import pandas as pd
import pytest

from scoring.bundle import Bundle, BundleParts, pack
from scoring.errors import BundleError
from scoring.explain import contributions
from scoring.model import Calibration, Model
from tests.training.datasets import NAMES, SIGNS, boosted_trees, dataset
from training.columns import FARTHEST, Columns
from training.dataset import NOT_SCORED, Dataset
from training.fit import FitConfig, FittedModel, boost
from training.package import Package, bundle_parts
from training.sample import Sample

CONFIG = FitConfig(learning_rate=0.1, num_leaves=16, lambda_l2=0.1, threads=1)


@pytest.fixture(scope="module")
def loans() -> Dataset:
    """Rows of which a third of the values are missing, most of all among the good: hiding looks like a good sign."""
    complete = dataset(900, 300, missing=0.0)
    rng = np.random.default_rng(5)
    hidden = rng.random(complete.features.shape) < np.where(complete.rows["bad"], 0.1, 0.45)[:, None]
    return replace(complete, features=complete.features.mask(hidden))


@pytest.fixture(scope="module")
def fitted(loans: Dataset) -> FittedModel:
    return boosted_trees(loans, CONFIG, 80)


def margins(booster: lightgbm.Booster, matrix: np.ndarray) -> np.ndarray:
    return np.asarray(booster.predict(matrix, raw_score=True))


def test_hiding_values_never_lowers_the_risk(loans: Dataset, fitted: FittedModel) -> None:
    rng, shown = np.random.default_rng(6), loans.features.to_numpy()
    before = margins(fitted.booster, shown)
    used = [int(place) for place in np.flatnonzero(fitted.booster.feature_importance())]
    assert {SIGNS[NAMES[place]] for place in used} == {-1, 1}
    assert not {NAMES[place] for place in used} & NOT_SCORED
    of_one_feature = [np.arange(shown.shape[1]) == place for place in used]
    of_any = [rng.random(shown.shape) < share for share in (0.05, 0.3, 1.0)]
    for hidden in (*of_one_feature, *of_any):
        assert (margins(fitted.booster, np.where(hidden, np.nan, shown)) >= before).all()


def test_plain_lightgbm_rewards_hiding(loans: Dataset) -> None:
    """The test before is not empty: on the same rows, missing values as LightGBM takes them do pay."""
    matrix = loans.features.to_numpy()
    plain = Columns(tuple(NAMES), tuple(range(len(NAMES))), tuple(SIGNS[name] for name in NAMES))
    parameters = CONFIG.parameters(plain, len(matrix), int(loans.rows["bad"].sum()))
    booster = lightgbm.train(parameters, lightgbm.Dataset(matrix, loans.rows["bad"].astype(float)), 40)
    before = margins(booster, matrix)
    falls = []
    for place in range(len(NAMES)):
        hidden = matrix.copy()
        hidden[:, place] = np.nan
        falls.append((before - margins(booster, hidden)).max())
    assert max(falls) > 0.2


def test_the_merged_model_has_the_margins_of_its_columns(loans: Dataset) -> None:
    sample = Sample.of_dataset(loans)
    trained = boost(sample, CONFIG, 60)
    merged = sample.columns.merge(trained)
    expected = margins(trained, sample.matrix)
    assert margins(merged, loans.features.to_numpy()).tobytes() == expected.tobytes()
    again = lightgbm.Booster(model_str=merged.model_to_string())
    assert margins(again, loans.features.to_numpy()).tobytes() == expected.tobytes()
    assert merged.feature_name() == NAMES


def test_a_free_feature_may_take_any_shape() -> None:
    """The model fits risk that is highest at both ends, although each column has one direction."""
    rng = np.random.default_rng(7)
    value = rng.uniform(-3, 3, 3_000)
    bad = pd.Series(rng.random(3_000) < 1 / (1 + np.exp(3 - value**2)))
    sample = Sample.of(pd.DataFrame({"free": value}), bad, pd.Series(range(3_000)))
    booster = sample.columns.merge(boost(sample, CONFIG, 150))
    left, middle, right, hidden = margins(booster, np.array([[-2.5], [0.0], [2.5], [np.nan]]))
    assert min(left, right) - middle > 2
    assert hidden >= max(left, right)


def test_scored_features_have_one_column_and_undeclared_features_two() -> None:
    # visits have no direction, and fake orders buy late shipping down: no column shows them
    shown = ["return_rate_90d", "visits_90d", "late_shipping_share_90d", "days_on_platform", "not in the catalogue"]
    columns = Columns.of(shown)
    assert columns.feature_of == (0, 3, 4, 4)
    assert columns.signs == (1, -1, 1, -1)
    rows = pd.DataFrame([[0.1, 5.0, 0.2, 4.5, 7.0], [np.nan] * 5], columns=shown)
    assert columns.matrix(rows).tolist() == [
        [0.1, 4.5, 7.0, 7.0],
        [FARTHEST, -FARTHEST, FARTHEST, -FARTHEST],
    ]


def test_explanations_of_hidden_values_sum_to_the_margin(loans: Dataset, fitted: FittedModel) -> None:
    model = Model.from_text(fitted.booster.model_to_string())
    shown = loans.features.to_numpy()[:50]
    hidden = np.where(np.random.default_rng(8).random(shown.shape) < 0.5, np.nan, shown)
    explained = contributions(model, hidden)
    assert explained.values.shape == (50, len(NAMES))
    assert explained.base + explained.values.sum(axis=1) == pytest.approx(margins(fitted.booster, hidden), abs=1e-9)


@pytest.fixture(scope="module")
def parts(loans: Dataset, fitted: FittedModel) -> BundleParts:
    return bundle_parts(Package(loans, fitted, Calibration(1.0, 0.0), {}))


def test_the_bundle_checks_that_missing_values_are_the_riskiest(parts: BundleParts) -> None:
    bundle = Bundle.from_files(pack(parts))
    assert {entry.missing for entry in bundle.sheet.entries} == {"riskiest"}
    for entry, sides in zip(bundle.sheet.entries, bundle.model.missing_direction, strict=True):
        assert sides <= {1: {"right"}, -1: {"left"}, 0: {"left", "right"}}[entry.sign]
    assert any(bundle.model.missing_direction)


@pytest.mark.parametrize(("found", "instead"), [("8", "10"), ("10", "8"), ("8", "2")])
def test_a_model_with_other_missing_values_is_rejected(parts: BundleParts, found: str, instead: str) -> None:
    altered = "\n".join(
        f"decision_type={line.partition('=')[2].replace(found, instead)}" if line.startswith("decision_type=") else line
        for line in parts.model_text.splitlines()
        if not line.startswith("tree_sizes=")
    )
    with pytest.raises(BundleError, match=r"a missing \w+ counts as its riskiest value, but the model sends it"):
        pack(replace(parts, model_text=altered))
    as_trained = tuple(replace(entry, missing="as_trained") for entry in parts.sheet.entries)
    pack(replace(parts, model_text=altered, sheet=replace(parts.sheet, entries=as_trained)))
