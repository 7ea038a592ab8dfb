"""Points in worked examples: rounding, the ends of the scale, and rows without features."""

from __future__ import annotations

import math

import numpy as np
import pytest

from scoring.explain import Contributions
from scoring.model import Calibration
from scoring.points import largest_remainder, to_points
from scoring.scale import Scale

IDENTITY = Calibration(1.0, 0.0)


def explained(base: float, *rows: tuple[float, ...]) -> Contributions:
    return Contributions(base, np.array(rows, dtype=np.float64))


@pytest.mark.parametrize(
    ("exact", "total", "rounded"),
    [
        ([1.5, 1.5, -0.4], 3, [2, 1, 0]),
        ([1.5, 1.5, -0.4], 2, [1, 1, 0]),
        ([0.5, 0.5, 0.5, 0.5], 2, [1, 1, 0, 0]),
        ([0.2, 0.9], 1, [0, 1]),
        ([-0.2, -0.9], -1, [0, -1]),
        ([2.0, 3.0], 5, [2, 3]),
        ([2.0, 3.0], 6, [3, 3]),
        ([2.0, 3.0], 4, [2, 2]),
        ([2.0, 3.0], 7, [3, 4]),
        ([0.0, 0.0], -3, [-1, -2]),
    ],
)
def test_largest_remainder(exact: list[float], total: int, rounded: list[int]) -> None:
    assert largest_remainder(np.array([exact]), np.array([total])).tolist() == [rounded]


def test_half_a_unit_of_log_odds_gives_the_points_of_the_docstring() -> None:
    points = to_points(explained(-math.log(30), (-0.5, 0.0)), IDENTITY, Scale())
    assert points.base == 600
    assert points.score.tolist() == [629]
    assert points.features.tolist() == [[29, 0]]
    assert points.scale_limit.tolist() == [0]


def test_calibration_shifts_the_base_and_scales_the_features() -> None:
    # log-odds = 0.5 + 2 * (-1 + 0.1) = -1.3
    points = to_points(explained(-1.0, (0.1,)), Calibration(2.0, 0.5), Scale())
    assert points.base == round(Scale().offset + 1.5 * Scale().factor)
    assert points.features.tolist() == [[-11]]
    assert points.log_odds[0] == pytest.approx(-1.3, abs=1e-9)


@pytest.mark.parametrize(("phi", "score"), [(-9.0, 900), (9.0, 300)])
def test_points_beyond_an_end_of_the_scale_are_a_separate_contribution(phi: float, score: int) -> None:
    points = to_points(explained(-2.0, (phi, phi / 3)), IDENTITY, Scale())
    assert points.score.tolist() == [score]
    assert points.scale_limit[0] * phi > 0
    assert points.base + points.features.sum() + points.scale_limit[0] == score
    assert points.log_odds[0] == pytest.approx(-2.0 + phi + phi / 3, abs=1e-9)


def test_scores_exactly_at_the_ends_are_not_limited() -> None:
    factor = Scale().factor
    at_ends = explained(-math.log(30), (-300 / factor,), (300 / factor,), (-301 / factor,))
    points = to_points(at_ends, IDENTITY, Scale())
    assert points.score.tolist() == [900, 300, 900]
    assert points.scale_limit.tolist() == [0, 0, -1]


def test_a_difference_far_below_a_point_breaks_no_tie() -> None:
    half = 0.5 / Scale().factor
    almost_equal = explained(-math.log(30), (-half, -half - 1e-14))
    assert to_points(almost_equal, IDENTITY, Scale()).features.tolist() == [[1, 0]]


def test_no_rows_give_no_points() -> None:
    points = to_points(Contributions(0.0, np.empty((0, 3))), IDENTITY, Scale())
    assert points.score.shape == (0,)
    assert points.features.shape == (0, 3)


def test_a_model_without_features_gives_the_base_only() -> None:
    assert largest_remainder(np.empty((2, 0)), np.array([0, 0])).shape == (2, 0)
