"""Points, scale and bands in worked examples, and formatted values in both languages."""

from __future__ import annotations

import math

import numpy as np
import pytest

from scoring import BundleError
from scoring.bands import Band, Bands
from scoring.explain import Contributions
from scoring.formatting import Language, format_value
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
    assert (points.base, points.score.tolist(), points.features.tolist()) == (600, [629], [[29, 0]])
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


def test_without_rows_or_features_there_are_no_points() -> None:
    points = to_points(Contributions(0.0, np.empty((0, 3))), IDENTITY, Scale())
    assert (points.score.shape, points.features.shape) == ((0,), (0, 3))
    assert largest_remainder(np.empty((2, 0)), np.array([0, 0])).shape == (2, 0)


@pytest.mark.parametrize(
    ("scale", "odds_good", "points"),
    [
        *((Scale(), odds, points) for odds, points in ((30, 600), (60, 640), (120, 680), (15, 560))),
        *((Scale(), 30 * 2**doubled, points) for doubled, points in ((7.5, 900), (-7.5, 300))),
        # scales of other libraries
        (Scale(600, 19, 50), 38, 650),
        (Scale(750, 35, 60), 35, 750),
        (Scale(720, 99, 20), 49.5, 700),
    ],
)
def test_points_by_odds_of_repaying(scale: Scale, odds_good: float, points: float) -> None:
    assert scale.points_at(1 / (1 + odds_good)) == pytest.approx(points, abs=1e-9)


def test_factor_and_offset_are_those_of_the_docstring() -> None:
    assert Scale().factor == pytest.approx(57.7078, abs=1e-4)
    assert Scale().offset == pytest.approx(403.7243, abs=1e-4)
    assert Scale().points_at(0.5) == Scale().offset


@pytest.mark.parametrize(
    "wrong",
    [
        *({"odds": value} for value in (0.0, -30.0, math.nan, math.inf)),
        *({"double": value} for value in (0.0, -40.0, math.inf)),
        *({"points": value} for value in (math.nan, math.inf)),
        *({"min": value} for value in (900, 901)),
    ],
)
def test_an_invalid_scale_is_rejected(wrong: dict[str, float]) -> None:
    with pytest.raises(BundleError, match="A scale needs"):
        Scale(**wrong)  # type: ignore[arg-type]


BANDS = Bands((Band("A", 0.015), Band("B", 0.05), Band("C", 1.0)))


def test_a_band_includes_its_limit() -> None:
    letters = [BANDS.of(limit) for limit in (0.0, 0.015, math.nextafter(0.015, 1), 0.05, math.nextafter(0.05, 1), 1.0)]
    assert letters == ["A", "A", "B", "B", "C", "C"]


@pytest.mark.parametrize(
    "limits",
    [
        *((), (0.5,), (0.5, 0.2, 1.0), (0.2, 0.2, 1.0), (0.2, 1.1), (0.2, 1.0, 1.5), (0.0, 1.0), (-0.1, 1.0)),
        *((math.nan, 1.0), (0.2, math.nan, 1.0)),
    ],
)
def test_band_limits_that_do_not_increase_to_one_are_rejected(limits: tuple[float, ...]) -> None:
    with pytest.raises(BundleError, match=r"increase and end at 1\.0"):
        Bands(tuple(Band(letter, limit) for letter, limit in zip("ABCDE", limits, strict=False)))


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (None, "USD", "not known"),
        (0.0621, "ratio", "6.2%"),
        (-0.5, "ratio", "-50.0%"),
        (12345.6, "USD", "$12,346"),
        (0.8766, "USD", "$0.88"),
        (-0.8766, "USD", "-$0.88"),
        (-2500.0, "USD", "-$2,500"),
        (1452.0, "days", "1,452 days"),
        (31.5, "hours", "31.5 hours"),
        (-0.08832, "days", "-0.1 days"),
        (1.0, "days", "1 day"),
        (4.83333, "stars", "4.83 stars"),
        (0.013, "pp", "+1.3 pp"),
        (0.0, "count", "0"),
    ],
)
def test_a_value_has_its_unit_and_few_digits(value: float | None, unit: str, expected: str) -> None:
    assert format_value(value, unit) == expected


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (None, "USD", "未知"),
        (0.0621, "ratio", "6.2%"),
        (12345.6, "USD", "US$12,346"),
        (-0.8766, "USD", "-US$0.88"),
        (41.26, "days", "41.3天"),
        (1.0, "hours", "1小时"),
        (-0.013, "pp", "-1.3个百分点"),
        (4.83333, "stars", "4.83星"),
    ],
)
def test_a_value_in_chinese(value: float | None, unit: str, expected: str) -> None:
    assert format_value(value, unit, Language.CHINESE) == expected
