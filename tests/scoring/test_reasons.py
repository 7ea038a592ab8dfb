"""Principal reasons: at most four, only what cost points, one a group, ties in the order of the reason catalogue."""

from __future__ import annotations

import pytest

from scoring import assess
from scoring.reasons import principal_reasons
from tests.scoring import build

ALL = build.names(8)


def given(points: list[int], groups: list[str] | None = None, order: list[str] | None = None) -> list[tuple[str, int]]:
    """Reasons as (group, points) for the first features, each in its own group unless said otherwise."""
    groups = groups or list(ALL[: len(points)])
    catalogue = build.reasons(order or list(dict.fromkeys(groups)))
    statements = {entry.bank.en: entry.group for entry in catalogue.entries}
    codes = {entry.code: entry.group for entry in catalogue.entries}
    found = principal_reasons(points, build.sheet(len(points), groups), catalogue)
    assert [codes[reason.code] for reason in found] == [statements[reason.statement] for reason in found]
    return [(codes[reason.code], reason.points) for reason in found]


def test_worst_first_and_no_more_than_four() -> None:
    assert given([-1, -9, 5, -3, -2, -7, -8, 0]) == [("refunds", -9), ("age", -8), ("spread", -7), ("visits", -3)]


@pytest.mark.parametrize("points", [[0, 0, 0], [1, 2, 3], [0, 5, 0]])
def test_what_cost_nothing_is_no_reason(points: list[int]) -> None:
    assert given(points) == []


def test_a_group_speaks_once_with_the_sum_of_its_features() -> None:
    grouped = ["cash", "cash", "trade", "trade", "cash"]
    assert given([-5, -6, -8, 3, -1], grouped) == [("cash", -12), ("trade", -5)]


def test_a_group_whose_features_make_up_for_each_other_is_no_reason() -> None:
    assert given([-20, 20, -1, -30, 31], ["cash", "cash", "trade", "mix", "mix"]) == [("trade", -1)]


def test_a_fifth_correlated_feature_does_not_push_out_another_group() -> None:
    points = [-10, -10, -10, -10, -1, -2, -3, 0]
    groups = ["cash", "cash", "cash", "cash", "trade", "mix", "tenure", "age"]
    assert [group for group, _ in given(points, groups)] == ["cash", "tenure", "mix", "trade"]


def test_ties_fall_to_the_order_of_the_reason_catalogue() -> None:
    groups = ["a", "b", "c", "d", "e"]
    assert [group for group, _ in given([-3] * 5, groups)] == ["a", "b", "c", "d"]
    assert [group for group, _ in given([-3] * 5, groups, order=["e", "d", "c", "b", "a"])] == ["e", "d", "c", "b"]


def test_a_statement_without_a_feature_is_never_given() -> None:
    assert given([-3], ["a"], order=["unused", "a"]) == [("a", -3)]


def test_reasons_of_an_assessment_are_its_own_points() -> None:
    bundle = build.bundle()
    for result in assess(bundle, build.vectors(build.rows(build.Recipe(), 30, seed=4))):
        assert result.explanation is not None
        costs = sorted(
            (item.points, place) for place, item in enumerate(result.explanation.contributions) if item.points < 0
        )
        assert [reason.points for reason in result.explanation.reasons] == [points for points, _ in costs[:4]]
