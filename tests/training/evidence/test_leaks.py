"""Planted copies of the label are found and named, in each of their disguises; honest features are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.training.datasets import dataset
from tests.training.evidence.subjects import boosted, bundle, reviewed
from training.evidence.model_checks import leaks
from training.evidence.study import ReviewedModel

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def honest() -> ReviewedModel:
    train = dataset(600, 300, seed=1)
    return reviewed(bundle(train, boosted(train, trees=5)), train, dataset(60, 30, seed=2))


def planted(honest: ReviewedModel, **columns: np.ndarray) -> ReviewedModel:
    """The small model trained anew with some features replaced."""
    train = replace(honest.train, features=honest.train.features.assign(**columns))
    return reviewed(bundle(train, boosted(train, trees=5)), train, honest.test)


def test_honest_features_raise_no_alarm(honest: ReviewedModel) -> None:
    finding = leaks(honest)
    assert finding.alarms == ()
    assert 0.55 < finding.figures["best_alone_auc"] < 0.8
    table = finding.tables["Features alone"]
    assert set(table["feature"]) == set(honest.bundle.sheet.names)
    assert table["feature"].iloc[0] in finding.said


def test_copies_of_the_label_are_named_in_every_disguise(honest: ReviewedModel) -> None:
    bad, rng = honest.train.rows["bad"].to_numpy(), np.random.default_rng(1)
    rows = len(bad)
    disguises = {
        "items_per_order_180d": bad.astype(float),
        "rating_90d": 5.0 - bad + rng.normal(0, 0.1, rows),
        "payment_gap_180d": np.where(bad, np.nan, rng.normal(size=rows)),
        "weekend_share_180d": np.where(bad, rng.normal(0, 0.01, rows), rng.choice([-1.0, 1.0], rows)),
        "refund_size_180d": np.where(rng.random(rows) < 0.4, bad, np.nan),
    }
    finding = leaks(planted(honest, **disguises))
    assert {alarm.split()[0] for alarm in finding.alarms} == set(disguises)
    assert all("alone ranks outcomes with AUC" in alarm for alarm in finding.alarms)
    assert set(finding.tables["Features alone"]["feature"].head(5)) == set(disguises)
    assert finding.figures["best_alone_auc"] > 0.99


def test_a_copy_among_honest_values_is_found_by_what_it_adds(honest: ReviewedModel) -> None:
    """The outcome for a part of the rows, the usual values for the others: alone it is not perfect anywhere."""
    bad, rng = honest.train.rows["bad"].to_numpy(), np.random.default_rng(1)
    values = np.where(rng.random(len(bad)) < 0.7, 3.0 * bad, rng.choice([0.0, 3.0], len(bad)))
    finding = leaks(planted(honest, return_rate_90d=values))
    assert finding.figures["best_alone_auc"] < 0.95
    assert len(finding.alarms) == 1
    assert finding.alarms[0].startswith("return_rate_90d alone adds 0.")


def test_a_model_that_ranks_too_well_is_an_alarm_whatever_each_feature_tells(honest: ReviewedModel) -> None:
    """Blurred copies of the outcome, none of which tells enough alone, together know it."""
    knowing = np.where(honest.bad, 0.6, 0.4) + np.random.default_rng(1).normal(0, 0.03, len(honest.bad))
    finding = leaks(replace(honest, probability=knowing))
    assert finding.figures["model_auc"] > 0.95
    (alarm,) = finding.alarms
    assert alarm.startswith("The model ranks the outcomes of the test rows with AUC ")
    strongest = finding.tables["Features alone"]["feature"].head(3)
    assert all(f"{name} (0." in alarm for name in strongest)
    assert f"The model itself reaches {finding.figures['model_auc']:.3f}" in finding.said


def test_many_rows_are_sampled_by_the_seed(honest: ReviewedModel) -> None:
    first, again = leaks(honest, most=300), leaks(honest, most=300)
    assert "of 300 training rows" in first.said
    assert first.figures == again.figures
