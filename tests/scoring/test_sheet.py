"""The feature sheet: reaches, sizes, and rejection of invalid entries."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from scoring import BundleError
from scoring.sheet import MAX_REACHES, FeatureEntry, HistoryThreshold, Reach, Sizes
from tests.scoring import build, monotone

SHEET = monotone.bundle().sheet


@pytest.mark.parametrize(
    ("sign", "value", "expected"),
    [(1, 0.08, 0.05), (1, 0.04, 0.02), (1, 0.01, 0.01), (-1, 0.0, 0.02), (-1, 0.03, 0.03)],
)
def test_a_reach_ends_at_the_best_value_or_after_the_largest_move(sign: int, value: float, expected: float) -> None:
    assert Reach(best=0.02, move=0.03).of(value, sign) == pytest.approx(expected)


@pytest.mark.parametrize(("sales", "size"), [(-5.0, 0), (20.0, 0), (20.1, 1), (90.0, 1), (1e9, 2)])
def test_a_value_at_a_limit_belongs_to_the_smaller_size(sales: float, size: int) -> None:
    assert Sizes("sales", (20.0, 90.0)).of(sales) == size


@pytest.mark.parametrize(
    "unfit", [{"actionable": False}, {"structural": True}, {"scored": False}], ids=["fixed", "structural", "unscored"]
)
def test_a_feature_that_must_not_be_advised_cannot_have_a_reach(unfit: dict[str, bool | int]) -> None:
    fields = {"actionable": True, "structural": False, "sign": 1, **unfit}
    with pytest.raises(BundleError, match="changing it would be advised"):
        FeatureEntry("a", "A", "ratio", reason_group="g", typical=None, reach=(Reach(0.0, 1.0),), **fields)  # type: ignore[arg-type]


def _entries(count: int, groups: int) -> tuple[FeatureEntry, ...]:
    return tuple(
        FeatureEntry(f"f{n}", "F", "ratio", 1, True, False, f"g{n % groups}", None, reach=(Reach(0.0, 1.0),))
        for n in range(count)
    )


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda: Reach(float("nan"), 1.0), "finite best value and a finite move above 0"),
        (lambda: Reach(0.0, 0.0), "finite best value and a finite move above 0"),
        (lambda: Sizes("sales", (2.0, 2.0)), "must be finite and increase"),
        (lambda: Sizes("sales", (float("inf"),)), "must be finite and increase"),
        (lambda: Sizes("sales", (1.0,), 0), "whole number, at least 1"),
        (lambda: Sizes("sales", (1.0,), float("inf")), "whole number, at least 1"),  # type: ignore[arg-type]
        (lambda: replace(SHEET, sizes=Sizes("unknown", (1.0,))), "unknown, which the feature sheet lacks"),
        (lambda: replace(SHEET, sizes=Sizes("sales", (1.0, 2.0))), "a reach for 2 sizes; the feature sheet has"),
        (lambda: replace(SHEET, sizes=None), "a reach for 2 sizes; the feature sheet has 0"),
        (lambda: replace(SHEET, history=(HistoryThreshold("stars", 1.0),)), "a seller cannot change history"),
        (
            lambda: replace(SHEET, history=(), entries=_entries(2, 1), sizes=Sizes("f0", ())),
            "each of another reason group; found 2 of 1 groups",
        ),
        (
            lambda: replace(SHEET, history=(), entries=_entries(11, 11), sizes=Sizes("f0", ())),
            f"At most {MAX_REACHES} features may have a reach",
        ),
    ],
)
def test_an_invalid_reach_or_size_is_rejected(wrong: object, sentence: str) -> None:
    assert callable(wrong)
    with pytest.raises(BundleError, match=sentence):
        wrong()


@pytest.mark.parametrize("days", ["7", None, True, 7.0, -1, 32, 10**6])
def test_an_invalid_age_limit_is_rejected(days: Any) -> None:
    with pytest.raises(BundleError, match="max_age_days is"):
        replace(build.parts().sheet, max_age_days=days)


def test_a_scored_feature_needs_a_sign() -> None:
    with pytest.raises(BundleError, match="scored without a sign"):
        FeatureEntry("a", "A", "ratio", 0, actionable=False, structural=False, reason_group="a", typical=0.5)
