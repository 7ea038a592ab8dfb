"""Refits: other models and features, each trained on whole sellers of one bootstrap sample."""

from __future__ import annotations

import numpy as np
import pytest

import training.fit
from scoring.bundle import Bundle, BundleParts, pack
from scoring.model import Calibration
from tests.training.datasets import boosted_trees, dataset
from training.candidates import Kind, Recipe
from training.fit import FitConfig, boost
from training.package import Package, bundle_parts
from training.refits import refit_models
from training.sample import Sample

CONFIG = FitConfig(model="lightgbm", learning_rate=0.1, max_rounds=20, folds=2, threads=1)
ROUNDS = 7
RECIPE = Recipe(Kind.LIGHTGBM, ROUNDS, 1.0)

Trained = tuple[Sample, BundleParts]


@pytest.fixture(scope="module")
def trained() -> Trained:
    loans = dataset(600, 200)
    sample = Sample.of_dataset(loans)
    return sample, bundle_parts(Package(loans, boosted_trees(loans, CONFIG, 20), Calibration(0.9, 0.1), {}))


def test_refits_are_the_bundle_with_other_models_of_as_many_rounds(trained: Trained) -> None:
    sample, parts = trained
    original = Bundle.from_files(pack(parts))
    steps: list[str] = []
    refits = refit_models(sample, CONFIG, RECIPE, parts, count=3, step=steps.append)
    assert len({bundle.model_digest for bundle in (*refits, original)}) == 4
    assert [bundle.model.booster.num_trees() for bundle in refits] == [ROUNDS] * 3
    assert all(bundle.policy == original.policy for bundle in refits)
    assert steps[-1] == "refit on a bootstrap sample of sellers, 3 of 3"
    again = refit_models(sample, CONFIG, RECIPE, parts, count=3, step=steps.append)
    assert [bundle.digest for bundle in again] == [bundle.digest for bundle in refits]
    assert refit_models(sample, CONFIG, RECIPE, parts, count=0, step=steps.append) == ()
    # each scores the features that were selected on its sample
    selected = [{entry.name for entry in bundle.sheet.scored_entries} for bundle in refits]
    assert len({frozenset(names) for names in selected}) > 1
    plain = [(entry.name, entry.typical, entry.sign) for entry in parts.sheet.entries]
    for bundle, names in zip(refits, selected, strict=True):
        used = bundle.model.booster.feature_importance()
        assert {bundle.sheet.names[place] for place in np.flatnonzero(used)} <= names
        assert [(entry.name, entry.typical, entry.sign) for entry in bundle.sheet.entries] == plain


def test_a_bootstrap_sample_has_sellers_with_all_their_loans(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    sample, parts = trained
    draws: list[Sample] = []

    def recorded(drawn: Sample, config: FitConfig, rounds: int) -> object:
        draws.append(drawn)
        return boost(drawn, config, rounds)

    monkeypatch.setattr(training.fit, "boost", recorded)
    refit_models(sample, CONFIG, RECIPE, parts, count=2, step=lambda _: None)
    loans = np.bincount(sample.sellers)
    for drawn in draws:
        times = np.bincount(drawn.sellers, minlength=len(loans)) / np.maximum(loans, 1)
        assert (times == times.astype(int)).all()
        assert times[loans > 0].max() > 1
        assert (times[loans > 0] == 0).mean() == pytest.approx(np.exp(-1), abs=0.1)
    assert not np.array_equal(draws[0].sellers, draws[1].sellers)
