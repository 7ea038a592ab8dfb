"""The quick way to many scores against the one way that counts: an assessment."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from scoring import Vector, assess
from scoring.model import Calibration
from tests.training.evidence.subjects import subject
from training.evidence.study import log_odds, scores, whole_scores


def test_scores_are_those_of_assessments() -> None:
    found = subject()
    bundle, rows = found.bundle, found.test.features.to_numpy()[:200]
    day = date(2026, 1, 1)
    vectors = [
        Vector(
            "S-1",
            day,
            day,
            dict.fromkeys((*bundle.sheet.required_tables, *bundle.sheet.optional_tables), day),
            bundle.sheet.catalogue,
            tuple(None if np.isnan(value) else value for value in row),
        )
        for row in rows.tolist()
    ]
    answers = assess(bundle, vectors)
    assert scores(bundle, rows).tolist() == [answer.score for answer in answers]
    given = [answer.probability_of_default for answer in answers]
    assert 1 / (1 + np.exp(-log_odds(bundle, rows))) == pytest.approx(given, abs=1e-6)


def test_margins_are_calibrated_and_whole_points_up_to_the_ends_of_the_scale() -> None:
    bundle = subject().bundle
    timid = replace(bundle, policy=replace(bundle.policy, calibration=Calibration(2.0, 0.0)))
    margins = np.array([0.0, np.log(2.0), -np.log(2.0), -99.0, 99.0])
    assert whole_scores(bundle, margins).tolist() == [404, 364, 444, 900, 300]
    assert whole_scores(timid, margins).tolist() == [404, 324, 484, 900, 300]


def test_no_rows_have_no_scores() -> None:
    nothing = np.empty((0, len(subject().bundle.sheet.names)))
    assert len(scores(subject().bundle, nothing)) == 0
