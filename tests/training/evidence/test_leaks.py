"""A planted copy of the label is found and named, in each of its disguises; honest features are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.training.evidence.subjects import boosted, bundle, reviewed, subject
from training.evidence.leaks import leaks
from training.evidence.subject import Subject


def planted(values: np.ndarray) -> Subject:
    """The small model trained anew with one feature replaced."""
    found = subject()
    train = replace(found.train, features=found.train.features.assign(items_per_order_180d=values))
    return reviewed(bundle(train, boosted(train, trees=5)), train, found.test)


def bad() -> np.ndarray:
    return subject().train.rows["bad"].to_numpy()


def test_honest_features_raise_no_alarm() -> None:
    finding = leaks(subject())
    assert finding.alarms == ()
    assert 0.55 < finding.figures["best_alone_auc"] < 0.8
    table = finding.tables["Features alone"]
    assert set(table["feature"]) == set(subject().bundle.sheet.names)
    assert table["feature"].iloc[0] in finding.said
    assert finding.figures == leaks(subject()).figures


@pytest.mark.parametrize(
    "disguise",
    [
        lambda truth, _: truth.astype(float),
        lambda truth, rng: 5.0 - truth + rng.normal(0, 0.1, len(truth)),
        lambda truth, rng: np.where(truth, np.nan, rng.normal(size=len(truth))),
        lambda truth, rng: np.where(truth, rng.normal(0, 0.01, len(truth)), rng.choice([-1.0, 1.0], len(truth))),
        lambda truth, rng: np.where(rng.random(len(truth)) < 0.3, truth, np.nan),
    ],
    ids=["plain", "turned with noise", "by its absence", "in the middle", "for some rows only"],
)
def test_a_copy_of_the_label_is_named(disguise: object) -> None:
    finding = leaks(planted(disguise(bad(), np.random.default_rng(1))))
    assert finding.figures["best_alone_auc"] > 0.95
    assert finding.tables["Features alone"]["feature"].iloc[0] == "items_per_order_180d"
    assert [alarm for alarm in finding.alarms if alarm.startswith("items_per_order_180d alone ranks outcomes with AUC")]
    assert not [alarm for alarm in finding.alarms if not alarm.startswith("items_per_order_180d")]


def test_a_copy_among_honest_values_is_found_by_what_it_adds() -> None:
    """The outcome for a part of the rows, the usual values for the others: alone it is not perfect anywhere."""
    rng = np.random.default_rng(1)
    values = np.where(rng.random(len(bad())) < 0.6, 3.0 * bad(), rng.choice([0.0, 3.0], len(bad())))
    finding = leaks(planted(values))
    assert finding.figures["best_alone_auc"] < 0.95
    assert [alarm for alarm in finding.alarms if alarm.startswith("items_per_order_180d alone adds 0.")]


def test_many_rows_are_sampled() -> None:
    found = subject()
    rows = np.resize(np.arange(1_500), 9_000)
    parts = {
        name: getattr(found.train, name).iloc[rows].reset_index(drop=True) for name in ("rows", "features", "about")
    }
    parts["rows"] = parts["rows"].assign(seller_id=pd.Series([f"S-{row}" for row in rows]))
    assert "of 8,000 training rows" in leaks(replace(found, train=replace(found.train, **parts))).said
