"""The scale in worked examples, and the bands at their limits."""

from __future__ import annotations

import math

import pytest

from scoring import BundleError
from scoring.bands import Band, Bands
from scoring.scale import Scale


@pytest.mark.parametrize(
    ("odds_good", "points"), [(30, 600), (60, 640), (120, 680), (15, 560), (30 * 2**7.5, 900), (30 / 2**7.5, 300)]
)
def test_default_scale_by_odds_of_repaying(odds_good: float, points: float) -> None:
    assert Scale().points_at(1 / (1 + odds_good)) == pytest.approx(points, abs=1e-9)


@pytest.mark.parametrize(
    ("scale", "odds_good", "points"),
    [
        (Scale(600, 19, 50), 38, 650),
        (Scale(750, 35, 60), 35, 750),
        (Scale(720, 99, 20), 49.5, 700),
    ],
)
def test_scales_of_other_libraries(scale: Scale, odds_good: float, points: float) -> None:
    assert scale.points_at(1 / (1 + odds_good)) == pytest.approx(points, abs=1e-9)


def test_factor_and_offset_are_those_of_the_docstring() -> None:
    assert Scale().factor == pytest.approx(57.7078, abs=1e-4)
    assert Scale().offset == pytest.approx(403.7243, abs=1e-4)
    assert Scale().points_at(0.5) == Scale().offset


@pytest.mark.parametrize(
    "wrong",
    [
        {"odds": 0.0},
        {"odds": -30.0},
        {"odds": math.nan},
        {"odds": math.inf},
        {"double": 0.0},
        {"double": -40.0},
        {"double": math.inf},
        {"points": math.nan},
        {"points": math.inf},
        {"min": 900},
        {"min": 901},
    ],
)
def test_an_invalid_scale_is_rejected(wrong: dict[str, float]) -> None:
    with pytest.raises(BundleError, match="A scale needs"):
        Scale(**wrong)  # type: ignore[arg-type]


BANDS = Bands((Band("A", 0.015), Band("B", 0.05), Band("C", 1.0)))


@pytest.mark.parametrize(
    ("probability", "letter"),
    [
        (0.0, "A"),
        (0.015, "A"),
        (math.nextafter(0.015, 1), "B"),
        (0.05, "B"),
        (math.nextafter(0.05, 1), "C"),
        (1.0, "C"),
    ],
)
def test_a_band_includes_its_limit(probability: float, letter: str) -> None:
    assert BANDS.of(probability) == letter


@pytest.mark.parametrize(
    "limits",
    [
        (),
        (0.5,),
        (0.5, 0.2, 1.0),
        (0.2, 0.2, 1.0),
        (0.2, 1.1),
        (0.2, 1.0, 1.5),
        (math.nan, 1.0),
        (0.2, math.nan, 1.0),
        (0.0, 1.0),
        (-0.1, 1.0),
    ],
)
def test_band_limits_that_do_not_increase_to_one_are_rejected(limits: tuple[float, ...]) -> None:
    with pytest.raises(BundleError, match=r"increase and end at 1\.0"):
        Bands(tuple(Band(letter, limit) for letter, limit in zip("ABCDE", limits, strict=False)))
