"""Refits differ in their models and in the features selected; each is trained on whole sellers of one draw."""

from __future__ import annotations

import lightgbm
import numpy as np
import pytest

import training.fit
import training.refits
from scoring.bundle import Bundle, BundleParts, pack
from scoring.model import Calibration
from tests.training.datasets import boosted_trees, dataset
from training.candidates import Kind, Recipe
from training.fit import FitConfig, boost
from training.package import Package, bundle_parts
from training.refits import refits
from training.sample import Sample
from training.stability import stability

CONFIG = FitConfig(learning_rate=0.1, threads=1)
ROUNDS = 7
RECIPE = Recipe(Kind.LIGHTGBM, ROUNDS, 1.0)

Trained = tuple[Sample, BundleParts]


@pytest.fixture(scope="module")
def trained() -> Trained:
    loans = dataset(600, 200)
    fitted = boosted_trees(loans, CONFIG, ROUNDS)
    return Sample.of_dataset(loans), bundle_parts(Package(loans, fitted, Calibration(0.9, 0.1), {}))


def quiet(_: str) -> None:
    pass


def test_refits_are_the_bundle_with_other_models_of_as_many_rounds(trained: Trained) -> None:
    sample, parts = trained
    original = Bundle.from_files(pack(parts))
    said: list[str] = []
    made = refits(sample, CONFIG, RECIPE, parts, count=3, step=said.append)
    assert len({bundle.model_digest for bundle in (*made, original)}) == 4
    assert [bundle.model.booster.num_trees() for bundle in made] == [ROUNDS] * 3
    assert all((bundle.policy, bundle.sheet.names) == (original.policy, original.sheet.names) for bundle in made)
    assert said[-1] == "refit on a bootstrap sample of sellers, 3 of 3"
    again = refits(sample, CONFIG, RECIPE, parts, count=3, step=said.append)
    assert [bundle.digest for bundle in again] == [bundle.digest for bundle in made]


def test_a_draw_takes_sellers_with_all_their_loans(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    sample, parts = trained
    draws: list[Sample] = []

    def watched(drawn: Sample, config: FitConfig, rounds: int) -> lightgbm.Booster:
        draws.append(drawn)
        return boost(drawn, config, rounds)

    monkeypatch.setattr(training.fit, "boost", watched)
    refits(sample, CONFIG, RECIPE, parts, count=2, step=quiet)
    loans = np.bincount(sample.sellers)
    for drawn in draws:
        times = np.bincount(drawn.sellers, minlength=len(loans)) / np.maximum(loans, 1)
        assert (times == times.astype(int)).all()
        assert times[loans > 0].max() > 1
        assert (times[loans > 0] == 0).mean() == pytest.approx(np.exp(-1), abs=0.1)
    assert not np.array_equal(draws[0].sellers, draws[1].sellers)


def test_none_are_made_where_none_are_asked_for(trained: Trained) -> None:
    assert refits(trained[0], CONFIG, RECIPE, trained[1], count=0, step=quiet) == ()


def test_a_refit_scores_what_its_draw_selects(trained: Trained) -> None:
    """A bundle whose model reads what its sheet does not score is refused."""
    sample, parts = trained
    made = refits(sample, CONFIG, RECIPE, parts, count=3, step=quiet)
    draws = list(training.refits._draws(sample.sellers, 3, CONFIG.seed))
    for bundle, rows in zip(made, draws, strict=True):
        kept = stability(sample.rows(rows), CONFIG.stability).kept
        assert {entry.name for entry in bundle.sheet.scored_entries} == sample.only(kept).columns.shown
    assert len({bundle.sheet for bundle in made}) == 3


@pytest.mark.parametrize("kind", Kind)
def test_refits_are_of_the_kind_that_serves(trained: Trained, kind: Kind) -> None:
    sample, parts = trained
    (made,) = refits(sample, CONFIG, Recipe(kind, ROUNDS, 100.0), parts, count=1, step=quiet)
    shown = {entry.name for entry in made.sheet.scored_entries}
    read = {name for name, sides in zip(made.model.names, made.model.missing_goes, strict=True) if sides}
    assert read <= shown
    trees = made.model.booster.num_trees()
    of_regression = len(read) + 1
    expected = {Kind.LIGHTGBM: {ROUNDS}, Kind.AVERAGE: {ROUNDS + of_regression, ROUNDS + of_regression - 1}}
    assert trees in expected.get(kind, {of_regression})
