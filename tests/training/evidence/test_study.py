"""Groups of rows, and scores of many rows at once against assessments."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from scoring.model import Calibration
from tests.training.evidence.subjects import first_rows, subject
from training.evidence.study import (
    assess_rows,
    group_rows,
    in_order,
    log_odds,
    most_common,
    scores,
    size_groups,
    tenure_groups,
    whole_scores,
)


def test_tenure_in_words() -> None:
    expected = {
        "under 1 year": [0, 365.2],
        "1 to 2 years": [365.25, 730.4],
        "2 to 4 years": [730.5],
        "4 years or more": [1461, 9999],
        "unknown": [np.nan],
    }
    assert {name: set(tenure_groups(pd.Series(days))) for name, days in expected.items()} == {
        name: {name} for name in expected
    }


def test_sizes_are_thirds_and_the_missing_are_in_none() -> None:
    sizes = size_groups(pd.Series([6.0, np.nan, 1.0, 2.0, 5.0, 3.0, 4.0]))
    assert sizes.tolist() == ["large", "unknown", "small", "small", "large", "medium", "medium"]
    assert size_groups(pd.Series([np.nan, np.nan])).tolist() == ["unknown", "unknown"]


def test_rare_names_share_a_group_and_missing_ones_have_their_own_in_any_order_of_rows() -> None:
    names = pd.Series(["CN", "VN", "CN", None, "DE", "VN", "AT"])
    assert most_common(names, 2).tolist() == ["CN", "VN", "CN", "unknown", "others", "VN", "others"]
    assert most_common(names, 3).tolist() == ["CN", "VN", "CN", "unknown", "others", "VN", "AT"]
    assert most_common(names[::-1], 3).tolist() == most_common(names, 3)[::-1].tolist()


def test_groups_come_in_the_order_that_a_reader_expects() -> None:
    assert in_order("size", pd.Series(["large", "unknown", "small"])) == ["small", "large", "unknown"]
    assert in_order("tenure", pd.Series(["4 years or more", "under 1 year"])) == ["under 1 year", "4 years or more"]
    assert in_order("country", pd.Series(["VN", "others", "CN"])) == ["CN", "VN", "others"]


def test_every_row_is_in_one_group_of_each_kind() -> None:
    test = subject().test
    found = group_rows(test)
    assert list(found) == ["month", "country", "marketplace", "tenure", "size"]
    for by, of in found.items():
        assert len(of) == len(test.rows)
        assert set(in_order(by, of)) == set(of)
    assert found["month"].tolist() == [f"{day:%Y-%m}" for day in test.rows["as_of"]]


def test_scores_are_those_of_assessments() -> None:
    model = first_rows(subject(), 200)
    matrix = model.test.features.to_numpy()
    answers = assess_rows(model.bundle, model.test.rows, matrix)
    assert scores(model.bundle, matrix).tolist() == [answer.score for answer in answers]
    given = [answer.probability_of_default for answer in answers]
    assert 1 / (1 + np.exp(-log_odds(model.bundle, matrix))) == pytest.approx(given, abs=1e-6)
    assert len(scores(model.bundle, matrix[:0])) == 0


def test_margins_are_calibrated_and_whole_points_up_to_the_ends_of_the_scale() -> None:
    bundle = subject().bundle
    timid = replace(bundle, policy=replace(bundle.policy, calibration=Calibration(2.0, 0.0)))
    margins = np.array([0.0, np.log(2.0), -np.log(2.0), -99.0, 99.0])
    assert whole_scores(bundle, margins).tolist() == [404, 364, 444, 900, 300]
    assert whole_scores(timid, margins).tolist() == [404, 324, 484, 900, 300]
