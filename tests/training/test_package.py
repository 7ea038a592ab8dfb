"""The feature sheet of a bundle: selected features are scored and may have a reach, others are neither."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from features.catalogue import CATALOGUE
from scoring.bundle import Bundle, pack
from scoring.model import Calibration
from scoring.sheet import Reach, Sizes
from tests.training.datasets import NAMES, boosted_trees, dataset
from training.candidates import Kind, Recipe
from training.dataset import NOT_SCORED, Dataset
from training.fit import FitConfig, FittedModel, fit_rows
from training.package import Package, bundle_parts, reason_catalogue
from training.reach import ObservedReach, advisable_features
from training.sample import Sample

CONFIG = FitConfig(learning_rate=0.1, threads=1)


@pytest.fixture(scope="module")
def loans() -> Dataset:
    made = dataset(600, 200)
    return replace(made, features=made.features.assign(ad_spend_share_90d=np.nan))


@pytest.fixture(scope="module")
def selected(loans: Dataset) -> FittedModel:
    features, booster = fit_rows(Sample.of_dataset(loans), CONFIG, Recipe(Kind.AVERAGE, 20, 10.0))
    return replace(boosted_trees(loans, CONFIG, 1), booster=booster, features=features)


def test_scored_are_the_features_that_were_selected(loans: Dataset, selected: FittedModel) -> None:
    bundle = Bundle.from_files(pack(bundle_parts(Package(loans, selected, Calibration(0.9, 0.1), {}))))
    assert {entry.name for entry in bundle.sheet.scored_entries} == selected.features < set(NAMES) - NOT_SCORED
    assert bundle.sheet.names == tuple(NAMES)


def test_what_is_always_missing_is_not_scored(loans: Dataset) -> None:
    every = boosted_trees(loans, CONFIG, 20)
    assert "ad_spend_share_90d" in every.features
    bundle = Bundle.from_files(pack(bundle_parts(Package(loans, every, Calibration(0.9, 0.1), {}))))
    scored = {entry.name for entry in bundle.sheet.scored_entries}
    assert scored == set(NAMES) - NOT_SCORED - {"ad_spend_share_90d"}


def test_only_features_that_were_selected_have_a_reach(loans: Dataset, selected: FittedModel) -> None:
    """Advice to move a feature that the model does not read would change no score, and the sheet refuses it."""
    names = {feature.name for feature in advisable_features()}
    reached = ObservedReach(
        Sizes("settled_net_sales_365d", (1.0, 2.0), 90), {name: (Reach(0.1, 0.1),) * 3 for name in names}
    )
    one = min(names - {"ad_spend_share_90d"})
    features = (selected.features - names) | {one}
    package = Package(loans, replace(selected, features=features), Calibration(0.9, 0.1), {}, reached)
    assert {entry.name for entry in bundle_parts(package).sheet.entries if entry.reach} == {one}


def test_every_reason_group_of_scored_features_has_a_label() -> None:
    labelled = {group.name for group in reason_catalogue().groups}
    assert {feature.reason_group for feature in CATALOGUE if feature.scored} <= labelled
