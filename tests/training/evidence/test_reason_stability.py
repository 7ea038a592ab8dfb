"""Stability of reasons: by hand on small lists, and on models whose answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from features.catalogue import CATALOGUE
from tests.training.datasets import dataset, small_scorecard
from tests.training.evidence.subjects import boosted, bundle, subject, with_test
from training.evidence.reason_stability import ReasonStability, add_noise, study_reasons
from training.evidence.study import Finding, ReviewedModel, assess_rows, sample_rows, scorable_rows


@pytest.fixture(scope="module")
def few() -> ReviewedModel:
    """A subject of sixty rows, so that asking is quick."""
    found = subject()
    return replace(found, test=found.test.select(found.test.rows.index.to_series() < 60))


@pytest.fixture(scope="module")
def finding(few: ReviewedModel) -> Finding:
    return study_reasons(few)


def test_what_changed_what_led_and_what_was_kept() -> None:
    given = [("R1", "R2"), ("R1", "R2"), ("R1", "R2"), (), ()]
    again = [("R2", "R1"), ("R1", "R3"), ("R1",), (), ("R1",)]
    found = ReasonStability.of(given, [again, given])
    assert found.changed.tolist() == [[0, 1, 1, 0, 1], [0, 0, 0, 0, 0]]
    assert found.first.tolist() == [[1, 0, 0, 0, 1], [0, 0, 0, 0, 0]]
    assert found.kept.tolist() == [[1, 0.5, 0.5, 1, 0], [1, 1, 1, 1, 1]]


def test_noise_is_one_percent_of_each_value_and_leaves_missing_and_zero() -> None:
    matrix = np.tile([100.0, -2.0, 0.0, np.nan], (4_000, 1))
    first, second, _ = add_noise(matrix, seed=1)
    off = first[:, :2] / matrix[:, :2] - 1
    assert off.std(axis=0) == pytest.approx([0.01, 0.01], rel=0.05)
    assert off.mean(axis=0) == pytest.approx([0, 0], abs=0.001)
    assert (first[:, 2] == 0).all()
    assert np.isnan(first[:, 3]).all()
    assert not np.array_equal(first[:, 0], second[:, 0])
    assert np.array_equal(first, next(add_noise(matrix, seed=1)), equal_nan=True)


def test_a_run_without_refits_says_so_and_gives_no_figure_of_them(finding: Finding) -> None:
    assert "No refits were made" in finding.summary
    assert not [name for name in finding.figures if "refits" in name]
    assert list(finding.tables["Reasons given"]) == ["code", "given_share", "kept_under_noise"]


def test_a_refit_that_is_the_same_model_changes_nothing(few: ReviewedModel) -> None:
    finding = study_reasons(replace(few, refits=(few.bundle, few.bundle)))
    assert finding.figures["changed_by_refits"] == finding.figures["other_first_by_refits"] == 0.0
    assert finding.figures["kept_under_refits"] == finding.figures["kept_under_refits_high"] == 1.0
    assert (finding.tables["Reasons given"]["kept_under_refits"] == 1.0).all()
    assert "No refits" not in finding.summary


def test_figures_are_those_of_asking_both_models(few: ReviewedModel) -> None:
    other = dataset(1_500, 500, seed=9)
    refit = bundle(other, boosted(other))
    rows, matrix = few.test.rows, few.test.features.to_numpy()
    codes = [
        [{reason.code for reason in each.explanation.reasons} for each in assess_rows(asked, rows, matrix)]
        for asked in (few.bundle, refit)
    ]
    finding = study_reasons(replace(few, refits=(refit,)))
    pairs = list(zip(*codes, strict=True))
    assert finding.figures["changed_by_refits"] == pytest.approx(np.mean([one != two for one, two in pairs]))
    kept = [len(one & two) / len(one) if one else float(not two) for one, two in pairs]
    assert finding.figures["kept_under_refits"] == pytest.approx(np.mean(kept))
    assert finding.figures["changed_by_refits"] > 0
    given = finding.tables["Reasons given"].set_index("code")
    for code, row in given.iterrows():
        assert row["given_share"] == pytest.approx(np.mean([code in one for one in codes[0]]))
        kept_again = [code in two for one, two in pairs if code in one]
        assert row["kept_under_refits"] == pytest.approx(np.mean(kept_again))


def test_a_scorecard_refit_that_is_the_same_changes_nothing_and_another_does(few: ReviewedModel) -> None:
    other = dataset(1_500, 500, seed=9)
    refit = small_scorecard(other.features, other.rows["bad"])
    same = study_reasons(replace(few, refits=(few.bundle,), card_refits=(few.card,))).figures
    changed = study_reasons(replace(few, refits=(few.bundle,), card_refits=(refit,)))
    assert (same["scorecard_changed_by_refits"], same["scorecard_kept_under_refits"]) == (0.0, 1.0)
    assert changed.figures["scorecard_changed_by_refits"] > 0
    # by hand: of each group the feature that costs most, in points of weight times evidence
    group = {feature.name: feature.reason_group for feature in CATALOGUE}
    given = []
    for card in (few.card, refit):
        added = (-57.708 * card.contributions(few.test.features)).round()
        worst = []
        for _, row in added.iterrows():
            costliest: dict[str, str] = {}
            for name in row.sort_values(kind="stable").index:
                if row[name] < 0:
                    costliest.setdefault(group[name], name)
            worst.append(set(list(costliest.values())[:4]))
        given.append(worst)
    share = np.mean([one != two for one, two in zip(*given, strict=True)])
    assert changed.figures["scorecard_changed_by_refits"] == pytest.approx(share)
    table = changed.tables["Steadiness by model"]
    assert list(zip(table["by"], table["under"], strict=True)) == [
        ("model", "noise"),
        ("model", "refits"),
        ("scorecard", "noise"),
        ("scorecard", "refits"),
    ]
    assert "With the scorecard benchmark, the set changes in" in changed.summary


def test_intervals_hold_their_figure(finding: Finding) -> None:
    figures = finding.figures
    for name in ("changed_by_noise", "other_first_by_noise", "kept_under_noise"):
        assert 0 <= figures[f"{name}_low"] <= figures[name] <= figures[f"{name}_high"] <= 1


def test_only_rows_with_history_enough_are_asked(few: ReviewedModel) -> None:
    short = few.test.features["active_days_365d"].copy()
    short.iloc[:20], short.iloc[20:25] = 9.99, np.nan
    found = with_test(few, active_days_365d=short)
    assert scorable_rows(found.bundle, found.test.features).tolist() == [False] * 25 + [True] * 35
    outcomes = [each.outcome for each in assess_rows(found.bundle, found.test.rows, found.test.features.to_numpy())]
    assert outcomes == ["insufficient_history"] * 25 + ["scored"] * 35
    assert sample_rows(found.bundle, found.test, 1_000, 1).tolist() == list(range(25, 60))
    drawn = sample_rows(found.bundle, found.test, 10, 1)
    assert len(set(drawn)) == 10
    assert (np.diff(drawn) > 0).all()
    assert drawn.min() >= 25
    assert study_reasons(found).figures["rows"] == 35.0


def test_without_scorable_rows_the_study_is_not_made(few: ReviewedModel) -> None:
    finding = study_reasons(with_test(few, active_days_365d=1.0))
    assert finding.figures == {}
    assert "no test row has enough history" in finding.summary
