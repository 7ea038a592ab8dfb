"""Model selection: the average is chosen unless another kind is better on the same rows beyond chance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import training.candidates
from training.candidates import BEYOND_CHANCE, SHRINKAGES, Choice, Kind, Recipe, regression
from training.columns import Columns
from training.fit import FitConfig, boost, choose_recipe
from training.sample import Sample

CONFIG = FitConfig(learning_rate=0.1, max_rounds=80, patience=10, origins=2, folds=2, threads=1)
BAD = np.arange(1_000) % 5 == 0


def loans(rows: int, features: int, *, together: bool = False, seed: int = 1) -> Sample:
    """Return loans whose risk is a sum of all features; with `together`, it is as high as the least of them."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(rows, features))
    margin = 4.0 * matrix.min(axis=1) + 0.5 if together else 1.2 * matrix.sum(axis=1) / np.sqrt(features) - 2.0
    bad = rng.random(rows) < 1 / (1 + np.exp(-margin))
    names = [f"feature_{number}" for number in range(features)]
    return Sample.of(
        pd.DataFrame(matrix, columns=names),
        pd.Series(bad),
        pd.Series(rng.integers(0, rows // 2, rows)),
        pd.Series(pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, rows), unit="D")),
        Columns.of(names, dict.fromkeys(names, 1), not_scored=()),
    )


def chosen(sample: Sample, config: FitConfig = CONFIG) -> Choice:
    choice = choose_recipe(sample, config)[1]
    assert choice is not None
    return choice


@pytest.fixture(scope="module")
def of_sums() -> Choice:
    return chosen(loans(2_000, 24))


def test_the_average_is_chosen_unless_a_kind_is_better_beyond_chance() -> None:
    found = chosen(loans(400, 3))
    for kind in Kind:
        below, error = found.behind[kind]
        assert below >= -BEYOND_CHANCE * error, kind
    assert found.recipe.kind is Kind.AVERAGE


def test_the_regression_is_chosen_if_it_is_better_beyond_chance(of_sums: Choice) -> None:
    """A sum of many features is what a regression is, and few trees are not."""
    below, error = of_sums.behind[Kind.LOGISTIC]
    assert below < -BEYOND_CHANCE * error < 0
    assert of_sums.recipe.kind is Kind.LOGISTIC
    assert of_sums.losses[Kind.LOGISTIC] == min(of_sums.losses.values())


def test_trees_are_chosen_for_interactions() -> None:
    found = chosen(loans(4_000, 2, together=True), replace(CONFIG, max_rounds=300))
    below, error = found.behind[Kind.LIGHTGBM]
    assert below < -BEYOND_CHANCE * error
    assert found.recipe.kind is Kind.LIGHTGBM


def test_kinds_are_compared_on_all_rows_that_the_parts_leave_out(of_sums: Choice) -> None:
    sample = loans(2_000, 24)
    outside = np.concatenate([left for _, left in sample.origins(CONFIG.origins, CONFIG.seed)])
    assert of_sums.rows == (len(outside), int(sample.bad[outside].sum()))
    assert of_sums.out_of_time
    assert set(of_sums.losses) == set(of_sums.behind) == set(Kind)
    assert of_sums.behind[Kind.AVERAGE] == (0.0, 0.0)
    for kind in Kind:
        difference = of_sums.losses[kind] - of_sums.losses[Kind.AVERAGE]
        assert of_sums.behind[kind][0] == pytest.approx(difference, abs=1e-12)
    assert of_sums.recipe.shrinkage in SHRINKAGES
    finding = of_sums.finding()
    assert finding.summary.startswith("The logistic is chosen. 4 kinds of models were compared on ")
    assert "later loans of other sellers" in finding.summary
    assert finding.figures == {f"{kind}_log_loss": of_sums.losses[kind] for kind in Kind}
    table = finding.tables["Log-loss"].set_index("model")
    assert table["above_average"].to_dict() == {kind: round(of_sums.behind[kind][0], 5) for kind in Kind}


def test_without_later_rows_folds_of_sellers_compare() -> None:
    sample = replace(loans(400, 3), days=None)
    found = chosen(sample)
    assert not found.out_of_time
    assert found.rows == (400, int(sample.bad.sum()))
    assert "400 loans of other sellers" in found.finding().summary


def test_the_average_is_the_mean_of_trees_and_regression() -> None:
    sample = loans(500, 3)

    def grow(rows: Sample, rounds: int) -> object:
        return boost(rows, CONFIG, rounds)

    margins = {kind: sample.margins(Recipe(kind, 15, 10.0).fit(sample, grow)) for kind in Kind}
    expected = (margins[Kind.LIGHTGBM] + margins[Kind.LOGISTIC]) / 2
    assert np.abs(margins[Kind.AVERAGE] - expected).max() <= 1e-12
    assert not np.allclose(margins[Kind.SCORECARD], margins[Kind.LOGISTIC], atol=0.1)


def test_more_rows_than_a_regression_needs_are_thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = loans(1_000, 2)
    monkeypatch.setattr(training.candidates, "MOST_ROWS", 100)
    few = regression(sample, Kind.LOGISTIC, 10.0)
    places = np.linspace(0, 999, 100).astype(int)
    expected = regression(sample.take(places), Kind.LOGISTIC, 10.0)
    assert few.model_to_string() == expected.model_to_string()


@settings(max_examples=15)
@given(st.floats(0.1, 10), st.floats(-5, 5), st.integers(0, 100))
def test_losses_are_those_of_calibrated_margins(slope: float, shift: float, seed: int) -> None:
    """Scale and shift of margins do not count, and the loss is never above that of the share of bad loans."""
    rng = np.random.default_rng(seed)
    margins = rng.normal(size=1_000) + 0.5 * BAD
    losses = training.candidates._losses(margins, BAD.astype(float))
    moved = training.candidates._losses(slope * margins + shift, BAD.astype(float))
    assert moved.mean() == pytest.approx(losses.mean(), abs=1e-4)
    share = BAD.mean()
    constant = -(share * np.log(share) + (1 - share) * np.log(1 - share))
    assert losses.mean() < constant + 1e-6


@pytest.mark.parametrize("margins", [np.zeros(1_000), -3.0 - 2.0 * BAD, 40.0 - BAD])
def test_useless_margins_have_the_loss_of_the_bad_share(margins: np.ndarray) -> None:
    losses = training.candidates._losses(margins, BAD.astype(float))
    share = BAD.mean()
    assert losses == pytest.approx(np.where(BAD, -np.log(share), -np.log(1 - share)))


def test_rows_of_one_seller_count_as_one_in_the_standard_error() -> None:
    rng = np.random.default_rng(2)
    of_seller = rng.normal(size=100)
    each, sellers = np.repeat(of_seller, 10), np.repeat(np.arange(100), 10)
    mean, error = training.candidates._difference(each, sellers)
    assert mean == pytest.approx(of_seller.mean())
    assert error == pytest.approx(of_seller.std() / 10)
    # as if every row was of another seller, it would be less by the root of ten
    assert training.candidates._difference(each, np.arange(1_000))[1] == pytest.approx(error / np.sqrt(10))


def test_the_largest_shrinkage_within_one_standard_error_is_chosen() -> None:
    rng = np.random.default_rng(3)
    good = rng.normal(size=1_000) + 1.5 * BAD
    nearly = good + 0.01 * rng.normal(size=1_000)
    useless = rng.normal(size=1_000)
    by_shrinkage = {1.0: good, 10.0: nearly, 100.0: useless}
    assert training.candidates._shrinkage(by_shrinkage, BAD.astype(float), np.arange(1_000)) == 10.0
