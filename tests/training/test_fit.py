"""The fit: reproducible, bound by its monotone signs on real predictions, and honest in what it calls out of fold."""

from __future__ import annotations

from dataclasses import replace

import lightgbm
import numpy as np
import pandas as pd
import pytest
import sklearn.model_selection

import training.fit
from tests.training.datasets import NAMES, SIGNS, TELLING, dataset
from training.candidates import Kind, Recipe
from training.columns import Columns
from training.dataset import Dataset
from training.evidence.metrics import auc
from training.fit import FitConfig, FittedModel, boost, choose_recipe, fit, fit_rows, fit_sample
from training.real_data.cross_validation import cross_validated_auc, logistic
from training.sample import Sample
from training.stability import measure_stability

pytestmark = pytest.mark.slow

CONFIG = FitConfig(model="lightgbm", learning_rate=0.1, max_rounds=120, patience=15, folds=3, threads=1)


def fitted_on(loans: Dataset, config: FitConfig = CONFIG) -> FittedModel:
    return fit(loans.features, loans.rows["bad"], loans.rows["seller_id"], config)


@pytest.fixture(scope="module")
def loans() -> Dataset:
    return dataset(900, 300)


@pytest.fixture(scope="module")
def fitted(loans: Dataset) -> FittedModel:
    return fitted_on(loans)


def test_the_same_data_gives_the_same_model_and_margins(loans: Dataset, fitted: FittedModel) -> None:
    again = fitted_on(loans)
    assert again.booster.model_to_string() == fitted.booster.model_to_string()
    assert again.out_of_fold.tobytes() == fitted.out_of_fold.tobytes()


def test_another_seed_gives_another_model(loans: Dataset, fitted: FittedModel) -> None:
    other = fitted_on(loans, replace(CONFIG, seed=8))
    assert (
        other.booster.model_to_string().split("parameters:")[0]
        != fitted.booster.model_to_string().split("parameters:")[0]
    )


@pytest.mark.parametrize("kind", Kind)
def test_no_move_of_a_signed_feature_goes_against_its_sign(loans: Dataset, kind: Kind) -> None:
    """Labels that speak against the signs, so that only the constraint keeps the model from following them."""
    rng = np.random.default_rng(2)
    signed = [name for name in NAMES if SIGNS[name]]
    against = sum(-SIGNS[name] * loans.features[name].fillna(0.0) for name in signed[:6]) + loans.features[
        [name for name in NAMES if not SIGNS[name]]
    ].fillna(0.0).sum(axis=1)
    bad = pd.Series(rng.random(len(against)) < 1 / (1 + np.exp(1.0 - against.clip(-4, 4))))
    sample = Sample.of(loans.features, bad, loans.rows["seller_id"])
    features, booster = fit_rows(sample, replace(CONFIG, stability=0.0), Recipe(kind, 120, 10.0))
    assert features == sample.columns.read_features
    base = loans.features.to_numpy()[:150]
    before = booster.predict(base, raw_score=True)
    read = np.flatnonzero(booster.feature_importance())
    assert len(read) > 10
    for place in read:
        known = ~np.isnan(base[:, place])
        for step in (0.01, 0.3, 3.0, 1e6):
            moved = base.copy()
            moved[:, place] += step
            change = booster.predict(moved, raw_score=True) - before
            assert (change[known] * SIGNS[NAMES[place]] >= -1e-12).all(), NAMES[place]


def test_the_signs_bind_in_the_direction_of_the_catalogue(fitted: FittedModel, loans: Dataset) -> None:
    """The features that made the outcomes do move the predictions, so that the test before is not empty."""
    base = loans.features.to_numpy()[:150]
    moving = [name for name in TELLING if SIGNS[name]]
    assert moving
    for name in moving:
        low, high = base.copy(), base.copy()
        low[:, NAMES.index(name)], high[:, NAMES.index(name)] = -3.0, 3.0
        change = fitted.booster.predict(high, raw_score=True) - fitted.booster.predict(low, raw_score=True)
        assert (change * SIGNS[name]).mean() > 0.05, name


def test_a_seller_is_never_on_both_sides_of_a_fold(loans: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[set[str], set[str]]] = []
    sellers = loans.rows["seller_id"]

    class Watched(sklearn.model_selection.StratifiedGroupKFold):
        def split(self, *arguments: object, **named: object) -> object:
            for inside, outside in super().split(*arguments, **named):
                seen.append((set(sellers.iloc[inside]), set(sellers.iloc[outside])))
                yield inside, outside

    monkeypatch.setattr(sklearn.model_selection, "StratifiedGroupKFold", Watched)
    fitted_on(loans, replace(CONFIG, max_rounds=5))
    assert len(seen) == 2 * CONFIG.folds  # once to choose the recipe, once for the margins
    assert all(inside.isdisjoint(outside) for inside, outside in seen)
    assert set.union(*(outside for _, outside in seen[CONFIG.folds :])) == set(sellers)


def test_later_rows_of_other_sellers_say_when_to_stop(loans: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds are those after which the loss on the rows left out is least, on average over the origins."""
    parts: list[tuple[int, int]] = []
    original = training.fit.boost

    def watched(sample: Sample, config: FitConfig, rounds: int, stop_on: Sample | None = None) -> lightgbm.Booster:
        booster = original(sample, config, rounds, stop_on)
        assert stop_on is not None
        assert sample.days is not None
        assert stop_on.days is not None
        assert sample.days.max() < stop_on.days.min()
        assert set(sample.sellers).isdisjoint(stop_on.sellers)
        parts.append((len(sample.bad), booster.best_iteration))
        return booster

    monkeypatch.setattr(training.fit, "boost", watched)
    recipe, choice = choose_recipe(Sample.of_dataset(loans), CONFIG)
    assert len(parts) == 2 * CONFIG.origins
    rows, best = np.array(parts).T
    assert (recipe.kind, recipe.rounds) == (Kind.LIGHTGBM, round(float(best @ rows / rows.sum())))
    assert choice is not None
    assert choice.is_named
    assert choose_recipe(Sample.of_dataset(loans), CONFIG, compare=False) == (
        Recipe(Kind.LIGHTGBM, recipe.rounds, 1.0),
        None,
    )


def test_outcomes_that_nothing_explains_end_the_training_at_once(loans: Dataset) -> None:
    rng = np.random.default_rng(3)
    sample = Sample.of_dataset(loans)
    usual, _ = choose_recipe(sample, CONFIG)
    shuffled, _ = choose_recipe(replace(sample, bad=rng.permutation(sample.bad)), CONFIG)
    assert 1 <= shuffled.rounds < usual.rounds / 2


def test_where_time_says_nothing_folds_of_sellers_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    made = dataset(400, 150, days=1)
    of_folds = [len(outside) for _, outside in Sample.of_dataset(made).folds(CONFIG.folds, CONFIG.seed)]
    left_out: list[int] = []
    original = training.fit.boost

    def watched(sample: Sample, config: FitConfig, rounds: int, stop_on: Sample | None = None) -> lightgbm.Booster:
        left_out.append(0 if stop_on is None else len(stop_on.bad))
        return original(sample, config, rounds, stop_on)

    monkeypatch.setattr(training.fit, "boost", watched)
    choose_recipe(Sample.of_dataset(made), CONFIG)
    assert left_out == of_folds


def test_the_model_reads_only_stable_columns_also_in_the_folds(loans: Dataset) -> None:
    """Features without any bearing on outcomes are not read; out of fold each fold selects its own."""
    sample = Sample.of_dataset(loans)
    found = fit_sample(sample, CONFIG)
    expected = measure_stability(sample, CONFIG.stability)
    assert found.stability.selected == expected.selected
    assert found.features == sample.select_columns(expected.selected).columns.read_features
    read = {NAMES[place] for place in np.flatnonzero(found.booster.feature_importance())}
    assert read <= found.features < sample.columns.read_features
    assert len(read & set(TELLING)) >= len(TELLING) - 2
    inside, outside = sample.folds(CONFIG.folds, CONFIG.seed)[0]
    rows = sample.take(inside)
    selected = measure_stability(rows, CONFIG.stability).selected
    trees = boost(rows.select_columns(selected), CONFIG, found.recipe.rounds)
    expected_margins = trees.predict(sample.select_columns(selected).take(outside).matrix, raw_score=True)
    assert found.out_of_fold[outside].tolist() == expected_margins.tolist()


@pytest.mark.parametrize("kind", Kind)
def test_a_kind_that_the_settings_name_serves(loans: Dataset, kind: Kind) -> None:
    part = loans.select(loans.rows.index.to_series() < 500)
    sample = Sample.of_dataset(part).select_columns(range(6))
    found = fit_sample(sample, replace(CONFIG, model=kind.value, origins=1))
    assert found.recipe.kind is kind
    assert found.choice is not None
    assert found.choice.is_named
    assert "as set by fit.model" in found.choice.finding().said
    assert np.isfinite(found.out_of_fold).all()


def test_settings_that_name_no_kind_compare_all(loans: Dataset) -> None:
    sample = Sample.of_dataset(loans).select_columns(range(6))
    found = fit_sample(sample, replace(CONFIG, model="auto"))
    assert found.choice is not None
    assert found.choice.recipe == found.recipe
    assert found.choice.out_of_time
    assert set(found.choice.losses) == set(Kind)


def test_margins_are_by_models_that_did_not_see_the_seller() -> None:
    """Outcomes that only the seller explains: in sample they are learnt by heart, out of fold they are chance."""
    rng = np.random.default_rng(4)
    seller = rng.integers(0, 40, 1200)
    bad = pd.Series(rng.random(40)[seller] < 0.4)
    features = pd.DataFrame({"free": rng.normal(size=40)[seller], "other": rng.normal(size=40)[seller]})
    found = fit(features, bad, pd.Series(seller), replace(CONFIG, patience=120))
    assert auc(bad.to_numpy(), found.out_of_fold) < 0.7


def test_margins_out_of_fold_rank_where_there_is_something_to_learn(loans: Dataset, fitted: FittedModel) -> None:
    out_of_fold = auc(loans.rows["bad"].to_numpy(), fitted.out_of_fold)
    in_sample = auc(loans.rows["bad"].to_numpy(), fitted.booster.predict(loans.features.to_numpy()))
    assert 0.65 < out_of_fold < in_sample


def test_every_row_has_a_margin_and_the_model_its_names(fitted: FittedModel, loans: Dataset) -> None:
    assert np.isfinite(fitted.out_of_fold).all()
    assert fitted.out_of_fold.shape == (len(loans.rows),)
    assert fitted.booster.feature_name() == NAMES
    assert fitted.booster.num_trees() == fitted.recipe.rounds >= 1


@pytest.mark.parametrize(("rows", "least"), [(100, 5), (499, 5), (600, 6), (4_000, 40), (1_000_000, 40)])
def test_a_leaf_holds_a_hundredth_of_the_rows_within_bounds(rows: int, least: int) -> None:
    assert FitConfig().parameters(Columns.of(NAMES), rows, rows // 10)["min_data_in_leaf"] == least


@pytest.mark.parametrize(("bad", "depth"), [(20, 2), (199, 2), (200, 4), (100_000, 4)])
def test_few_bad_loans_grow_shallow_trees(bad: int, depth: int) -> None:
    assert FitConfig().parameters(Columns.of(NAMES), 200_000, bad)["max_depth"] == depth
    assert FitConfig(max_depth=1).parameters(Columns.of(NAMES), 200_000, bad)["max_depth"] == 1


@pytest.mark.parametrize(("rows", "threads"), [(19_999, 1), (20_000, 3)])
def test_few_rows_are_left_to_one_thread(rows: int, threads: int) -> None:
    assert FitConfig(threads=3).parameters(Columns.of(NAMES), rows, rows // 10)["num_threads"] == threads


def test_every_parameter_is_one_that_lightgbm_knows(loans: Dataset) -> None:
    columns = Columns.of(NAMES)
    parameters = FitConfig().parameters(columns, len(loans.rows), int(loans.rows["bad"].sum())) | {"num_iterations": 1}
    assert parameters["monotone_constraints"] == list(columns.signs)
    assert parameters["feature_fraction"] == FitConfig().feature_fraction
    # a table without signs has two columns a feature, of which a tree sees half as many
    free = FitConfig().parameters(Columns.of(["a", "b"]), 1_000, 100)
    assert free["feature_fraction"] == FitConfig().feature_fraction / 2
    text = lightgbm.train(
        parameters, lightgbm.Dataset(columns.matrix(loans.features), loans.rows["bad"].astype(float)), 1
    ).model_to_string()
    for name, value in parameters.items():
        if isinstance(value, bool | int | float) and name != "num_iterations":
            assert f"[{name}: {int(value) if isinstance(value, bool) else value:g}]" in text, name


def test_cross_validation_of_a_perfect_of_a_blind_and_of_an_inverse_predictor() -> None:
    rng = np.random.default_rng(1)
    bad = pd.Series(rng.random(120) < 0.25)
    features = pd.DataFrame({"truth": bad.astype(float), "noise": rng.normal(size=120)})
    perfect = cross_validated_auc(lambda _, __, outside: outside["truth"].to_numpy(), features, bad, 2)
    blind = cross_validated_auc(lambda _, __, outside: np.zeros(len(outside)), features, bad, 2)
    inverse = cross_validated_auc(lambda _, __, outside: -outside["truth"].to_numpy(), features, bad, 2)
    assert (perfect.value, perfect.low, perfect.high) == (1.0, 1.0, 1.0)
    assert (blind.value, blind.low, blind.high) == (0.5, 0.5, 0.5)
    assert inverse.value == 0.0


def test_cross_validation_never_shows_a_predictor_what_it_predicts() -> None:
    rng = np.random.default_rng(1)
    bad = pd.Series(rng.random(100) < 0.3)
    features = pd.DataFrame({"row": np.arange(100.0)})
    times: list[int] = []

    def predict(inside: pd.DataFrame, known: pd.Series, outside: pd.DataFrame) -> np.ndarray:
        assert set(inside["row"]).isdisjoint(outside["row"])
        assert inside.index.equals(known.index)
        assert (len(inside), len(outside)) == (80, 20)
        times.extend(outside["row"].astype(int))
        return rng.normal(size=len(outside))

    chance = cross_validated_auc(predict, features, bad, 3)
    assert sorted(times) == sorted(list(range(100)) * 3)
    assert chance.low < chance.value < chance.high
    assert chance.low < 0.5 < chance.high


def test_the_logistic_model_beside_takes_missing_values_and_ranks(loans: Dataset) -> None:
    features, bad = loans.features[NAMES[:30]].assign(store_count=np.nan), loans.rows["bad"]
    half = len(features) // 2
    predicted = logistic().fit(features[:half], bad[:half]).predict_proba(features[half:])[:, 1]
    assert auc(bad[half:].to_numpy(), predicted) > 0.7
