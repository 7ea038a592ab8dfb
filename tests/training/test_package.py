"""Bundle parts: selected features are scored and may have a reach, others are neither."""

from __future__ import annotations

import re
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
    complete = dataset(600, 200)
    return replace(complete, features=complete.features.assign(ad_spend_share_90d=np.nan))


@pytest.fixture(scope="module")
def selected(loans: Dataset) -> FittedModel:
    features, booster = fit_rows(Sample.of_dataset(loans), CONFIG, Recipe(Kind.AVERAGE, 20, 10.0))
    return replace(boosted_trees(loans, CONFIG, 1), booster=booster, features=features)


def test_scored_are_the_features_that_were_selected(loans: Dataset, selected: FittedModel) -> None:
    bundle = Bundle.from_files(pack(bundle_parts(Package(loans, selected, Calibration(0.9, 0.1), {}))))
    assert {entry.name for entry in bundle.sheet.scored_entries} == selected.features < set(NAMES) - NOT_SCORED
    assert bundle.sheet.names == tuple(NAMES)
    every = boosted_trees(loans, CONFIG, 20)
    assert "ad_spend_share_90d" in every.features, "a feature that is always missing"
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


def test_every_scored_feature_has_texts_for_each_reader_in_both_languages() -> None:
    """Texts about order checks never accuse."""
    catalogue = reason_catalogue()
    groups = {group.name for group in catalogue.groups}
    accusing = re.compile(r"fake|fraud|suspicious|unusual|genuine|dishonest|虚假|刷单|可疑|欺诈|异常")
    for feature in CATALOGUE:
        if not feature.scored:
            continue
        entry = catalogue.of_feature[feature.name]
        assert feature.reason_group in groups
        assert all(text.count("{value}") == text.count("{typical}") == 1 for text in entry.side.all())
        assert not any("{" in text for text in entry.missing.all())
        for texts in (entry.side, entry.missing):
            for wording in (texts.bank, texts.seller, texts.letter):
                assert wording.en.isascii()
                assert re.search(r"[\u4e00-\u9fff]", wording.zh)
            if feature.reason_group == "integrity":
                assert not [text for text in texts.all() if accusing.search(text)]
