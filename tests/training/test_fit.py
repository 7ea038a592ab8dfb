"""Model fitting: reproducible, monotone in signed features, and out of fold where it says so."""

from __future__ import annotations

from dataclasses import replace

import lightgbm
import numpy as np
import pandas as pd
import pytest

import training.fit
from tests.training.datasets import INFORMATIVE, NAMES, SIGNS, assert_obeys, dataset, opposed_outcomes
from training.candidates import Kind, Recipe
from training.columns import Columns
from training.dataset import Dataset
from training.evidence.metrics import auc
from training.fit import FitConfig, FittedModel, boost, choose_recipe, fit, fit_rows, fit_sample
from training.real_data.cross_validation import cross_validated_auc, logistic
from training.sample import Sample
from training.stability import measure_stability

pytestmark = pytest.mark.slow

SOME = NAMES[:24]
"""Features of the catalogue, with and without a bearing on the outcomes."""

CONFIG = FitConfig(model="lightgbm", learning_rate=0.1, max_rounds=120, patience=15, origins=2, folds=2, threads=1)


def fitted_on(loans: Dataset, config: FitConfig = CONFIG) -> FittedModel:
    return fit(loans.features, loans.rows["bad"], loans.rows["seller_id"], config)


@pytest.fixture(scope="module")
def loans() -> Dataset:
    every = dataset(900, 300)
    return replace(every, features=every.features[SOME])


@pytest.fixture(scope="module")
def fitted(loans: Dataset) -> FittedModel:
    return fitted_on(loans)


def test_the_same_data_and_seed_give_the_same_model_and_margins(loans: Dataset, fitted: FittedModel) -> None:
    again, other = fitted_on(loans), fitted_on(loans, replace(CONFIG, seed=8))
    text, same, differs = (each.booster.model_to_string().split("parameters:")[0] for each in (fitted, again, other))
    assert text == same != differs
    assert again.out_of_fold.tobytes() == fitted.out_of_fold.tobytes()
    assert np.isfinite(fitted.out_of_fold).all()
    assert fitted.out_of_fold.shape == (len(loans.rows),)
    assert fitted.booster.feature_name() == SOME
    assert fitted.booster.num_trees() == fitted.recipe.rounds >= 1


@pytest.mark.parametrize("kind", Kind)
def test_predictions_follow_the_sign_of_every_feature(kind: Kind) -> None:
    loans = dataset(900, 300)
    sample = Sample.of(loans.features, opposed_outcomes(loans.features), loans.rows["seller_id"])
    features, booster = fit_rows(sample, replace(CONFIG, stability=0.0), Recipe(kind, 120, 10.0))
    assert features == sample.columns.read_features
    assert (booster.feature_importance() > 0).sum() > 8
    assert_obeys(booster, SIGNS, loans.features.head(150))


@pytest.fixture
def boosts(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Sample, Sample | None, int]]:
    """What trees were grown on, what stopped them, and after how many rounds."""
    grown: list[tuple[Sample, Sample | None, int]] = []
    original = training.fit.boost

    def recorded(sample: Sample, config: FitConfig, rounds: int, stop_on: Sample | None = None) -> lightgbm.Booster:
        booster = original(sample, config, rounds, stop_on)
        grown.append((sample, stop_on, booster.best_iteration))
        return booster

    monkeypatch.setattr(training.fit, "boost", recorded)
    return grown


def test_early_stopping_uses_later_rows_of_other_sellers(
    loans: Dataset, boosts: list[tuple[Sample, Sample | None, int]]
) -> None:
    """Rounds are those after which the loss on the rows left out is least, on average over the origins."""
    sample = Sample.of_dataset(loans)
    recipe, choice = choose_recipe(sample, CONFIG)
    assert len(boosts) == 2 * CONFIG.origins
    for inside, outside, _ in boosts:
        assert outside is not None
        assert inside.days is not None
        assert outside.days is not None
        assert inside.days.max() < outside.days.min()
        assert set(inside.sellers).isdisjoint(outside.sellers)
    best = np.average([rounds for *_, rounds in boosts], weights=[len(inside.bad) for inside, *_ in boosts])
    assert recipe == Recipe(Kind.LIGHTGBM, round(float(best)), recipe.shrinkage)
    assert choice is not None
    assert choice.is_named
    assert choose_recipe(sample, CONFIG, compare=False) == (Recipe(Kind.LIGHTGBM, recipe.rounds, 1.0), None)
    random = replace(sample, bad=np.random.default_rng(3).permutation(sample.bad))
    assert 1 <= choose_recipe(random, CONFIG, compare=False)[0].rounds < recipe.rounds / 2


def test_without_time_the_recipe_is_chosen_on_folds_of_sellers(
    boosts: list[tuple[Sample, Sample | None, int]],
) -> None:
    sample = Sample.of_dataset(dataset(400, 150, days=1))
    choose_recipe(sample, CONFIG, compare=False)
    expected = [len(outside) for _, outside in sample.folds(CONFIG.folds, CONFIG.seed)]
    assert [0 if outside is None else len(outside.bad) for _, outside, _ in boosts] == expected


def test_the_model_and_its_folds_read_only_stable_columns(loans: Dataset) -> None:
    """Features without any bearing on outcomes are not read; out of fold each fold selects its own."""
    sample = Sample.of_dataset(loans)
    found = fit_sample(sample, CONFIG)
    expected = measure_stability(sample, CONFIG.stability)
    assert found.stability.selected == expected.selected
    assert found.features == sample.select_columns(expected.selected).columns.read_features
    read = {SOME[place] for place in np.flatnonzero(found.booster.feature_importance())}
    assert read <= found.features < sample.columns.read_features
    assert len(read & set(INFORMATIVE)) >= len(INFORMATIVE) - 2
    inside, outside = sample.folds(CONFIG.folds, CONFIG.seed)[0]
    rows = sample.take(inside)
    selected = measure_stability(rows, CONFIG.stability).selected
    trees = boost(rows.select_columns(selected), CONFIG, found.recipe.rounds)
    expected_margins = trees.predict(sample.select_columns(selected).take(outside).matrix, raw_score=True)
    assert found.out_of_fold[outside].tolist() == expected_margins.tolist()


@pytest.mark.parametrize("model", [*map(str, Kind), "auto"])
def test_the_kind_named_by_the_settings_is_chosen_after_all_are_compared(loans: Dataset, model: str) -> None:
    part = loans.select(loans.rows.index.to_series() < 500)
    sample = Sample.of_dataset(part).select_columns(range(6))
    found = fit_sample(sample, replace(CONFIG, model=model, origins=1, folds=2, max_rounds=30))
    assert found.choice is not None
    assert found.choice.recipe == found.recipe
    assert found.choice.out_of_time
    assert set(found.choice.losses) == set(Kind)
    assert np.isfinite(found.out_of_fold).all()
    if model != "auto":
        assert found.recipe.kind == model
        assert found.choice.is_named
        assert "as set by fit.model" in found.choice.finding().summary


def test_margins_come_from_models_not_trained_on_the_seller(loans: Dataset, fitted: FittedModel) -> None:
    bad = loans.rows["bad"].to_numpy()
    in_sample = auc(bad, fitted.booster.predict(loans.features.to_numpy()))
    assert 0.65 < auc(bad, fitted.out_of_fold) < in_sample
    # where outcomes depend on the seller only, the model fits them in sample, but out of fold they are chance
    rng = np.random.default_rng(4)
    seller = rng.integers(0, 40, 1200)
    features = pd.DataFrame({"free": rng.normal(size=40)[seller], "other": rng.normal(size=40)[seller]})
    outcomes = pd.Series(rng.random(40)[seller] < 0.4)
    found = fit(features, outcomes, pd.Series(seller), replace(CONFIG, patience=120))
    assert auc(outcomes.to_numpy(), found.out_of_fold) < 0.7


@pytest.mark.parametrize(
    ("rows", "bad", "expected"),
    [
        # a leaf holds a hundredth of the rows, within bounds
        *((100, 10, {"min_data_in_leaf": 5}), (499, 49, {"min_data_in_leaf": 5}), (600, 60, {"min_data_in_leaf": 6})),
        *((4_000, 400, {"min_data_in_leaf": 40}), (1_000_000, 100_000, {"min_data_in_leaf": 40})),
        # few bad loans grow shallow trees
        *((200_000, 20, {"max_depth": 2}), (200_000, 199, {"max_depth": 2})),
        *((200_000, 200, {"max_depth": 4}), (200_000, 100_000, {"max_depth": 4})),
        # few rows use one thread
        *((19_999, 1_999, {"num_threads": 1}), (20_000, 2_000, {"num_threads": 3})),
    ],
)
def test_parameters_follow_the_number_of_rows(rows: int, bad: int, expected: dict[str, int]) -> None:
    assert expected.items() <= FitConfig(threads=3).parameters(Columns.of(SOME), rows, bad).items()
    assert FitConfig(max_depth=1).parameters(Columns.of(SOME), rows, bad)["max_depth"] == 1


def test_every_parameter_is_one_that_lightgbm_has(loans: Dataset) -> None:
    columns = Columns.of(SOME)
    parameters = FitConfig().parameters(columns, len(loans.rows), int(loans.rows["bad"].sum())) | {"num_iterations": 1}
    assert parameters["monotone_constraints"] == list(columns.signs)
    assert parameters["feature_fraction"] == FitConfig().feature_fraction
    # a table without signs has two columns per feature, so a tree uses half the share of columns
    free = FitConfig().parameters(Columns.of(["a", "b"]), 1_000, 100)
    assert free["feature_fraction"] == FitConfig().feature_fraction / 2
    text = lightgbm.train(
        parameters, lightgbm.Dataset(columns.matrix(loans.features), loans.rows["bad"].astype(float)), 1
    ).model_to_string()
    for name, value in parameters.items():
        if isinstance(value, bool | int | float) and name != "num_iterations":
            assert f"[{name}: {int(value) if isinstance(value, bool) else value:g}]" in text, name


def test_cross_validation_predicts_held_out_rows_only() -> None:
    rng = np.random.default_rng(1)
    bad = pd.Series(rng.random(100) < 0.3)
    features = pd.DataFrame({"row": np.arange(100.0)})
    predicted: list[int] = []

    def predict(inside: pd.DataFrame, known: pd.Series, outside: pd.DataFrame) -> np.ndarray:
        assert set(inside["row"]).isdisjoint(outside["row"])
        assert inside.index.equals(known.index)
        assert (len(inside), len(outside)) == (80, 20)
        predicted.extend(outside["row"].astype(int))
        return rng.normal(size=len(outside))

    chance = cross_validated_auc(predict, features, bad, 3)
    assert sorted(predicted) == sorted(list(range(100)) * 3)
    assert chance.low < chance.value < chance.high
    assert chance.low < 0.5 < chance.high
    truth = pd.DataFrame({"truth": bad.astype(float)})
    for sign, expected in ((1, 1.0), (0, 0.5), (-1, 0.0)):
        found = cross_validated_auc(lambda _, __, outside, by=sign: by * outside["truth"].to_numpy(), truth, bad, 2)
        assert (found.value, found.low, found.high) == (expected,) * 3


def test_the_logistic_baseline_accepts_missing_values_and_ranks(loans: Dataset) -> None:
    features, bad = loans.features[SOME[:30]].assign(store_count=np.nan), loans.rows["bad"]
    half = len(features) // 2
    predicted = logistic().fit(features[:half], bad[:half]).predict_proba(features[half:])[:, 1]
    assert auc(bad[half:].to_numpy(), predicted) > 0.7
