"""Stability of reasons: by hand on small lists, and on models whose answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from features.catalogue import CATALOGUE
from tests.training.datasets import dataset, small_scorecard
from tests.training.evidence.subjects import boosted, bundle, first_rows, subject, with_test
from training.dataset import Dataset
from training.evidence.reason_stability import ReasonStability, add_noise, study_reasons
from training.evidence.study import Finding, ReviewedModel, assess_rows, sample_rows, scorable_rows


@pytest.fixture(scope="module")
def few() -> ReviewedModel:
    """A model tested on sixty rows, so that assessments are quick."""
    return first_rows(subject(), 60)


@pytest.fixture(scope="module")
def finding(few: ReviewedModel) -> Finding:
    return study_reasons(few)


@pytest.fixture(scope="module")
def other() -> Dataset:
    return dataset(1_500, 500, seed=9)


def test_what_changed_what_led_and_what_was_kept() -> None:
    given = [("R1", "R2"), ("R1", "R2"), ("R1", "R2"), (), ()]
    found = ReasonStability.of(given, [[("R2", "R1"), ("R1", "R3"), ("R1",), (), ("R1",)], given])
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
    for name in ("changed_by_noise", "other_first_by_noise", "kept_under_noise"):
        assert 0 <= finding.figures[f"{name}_low"] <= finding.figures[name] <= finding.figures[f"{name}_high"] <= 1


def test_refits_that_are_the_same_model_and_scorecard_change_nothing(few: ReviewedModel) -> None:
    finding = study_reasons(replace(few, refits=(few.bundle, few.bundle), card_refits=(few.card,)))
    figures = finding.figures
    assert figures["changed_by_refits"] == figures["other_first_by_refits"] == 0.0
    assert figures["kept_under_refits"] == figures["kept_under_refits_high"] == 1.0
    assert (figures["scorecard_changed_by_refits"], figures["scorecard_kept_under_refits"]) == (0.0, 1.0)
    assert (finding.tables["Reasons given"]["kept_under_refits"] == 1.0).all()
    assert "No refits" not in finding.summary


def test_figures_are_those_of_asking_both_models(few: ReviewedModel, other: Dataset) -> None:
    refit = bundle(other, boosted(other))
    answers = [assess_rows(model, few.test.rows, few.test.features.to_numpy()) for model in (few.bundle, refit)]
    codes = [[{reason.code for reason in each.explanation.reasons} for each in given] for given in answers]
    pairs = list(zip(*codes, strict=True))
    finding = study_reasons(replace(few, refits=(refit,)))
    kept = [len(one & two) / len(one) if one else float(not two) for one, two in pairs]
    assert finding.figures["changed_by_refits"] == pytest.approx(np.mean([one != two for one, two in pairs])) != 0
    assert finding.figures["kept_under_refits"] == pytest.approx(np.mean(kept))
    for code, row in finding.tables["Reasons given"].set_index("code").iterrows():
        assert row["given_share"] == pytest.approx(np.mean([code in one for one, _ in pairs]))
        assert row["kept_under_refits"] == pytest.approx(np.mean([code in two for one, two in pairs if code in one]))


def test_a_scorecard_refit_changes_the_costliest_features_of_the_groups(few: ReviewedModel, other: Dataset) -> None:
    refit = small_scorecard(other.features, other.rows["bad"])
    finding = study_reasons(replace(few, refits=(few.bundle,), card_refits=(refit,)))
    # by hand: of each group the feature that costs most, in points of weight times evidence
    group = {feature.name: feature.reason_group for feature in CATALOGUE}
    given = []
    for card in (few.card, refit):
        worst = []
        for _, row in (-57.708 * card.contributions(few.test.features)).round().iterrows():
            costly = row[row < 0].sort_values(kind="stable")
            worst.append(set(costly[~costly.index.map(group).duplicated()].index[:4]))
        given.append(worst)
    share = np.mean([one != two for one, two in zip(*given, strict=True)])
    assert finding.figures["scorecard_changed_by_refits"] == pytest.approx(share) != 0
    table = finding.tables["Steadiness by model"]
    assert table["by"].tolist() == ["model", "model", "scorecard", "scorecard"]
    assert table["under"].tolist() == ["noise", "refits"] * 2
    assert "With the scorecard benchmark, the set changes in" in finding.summary


def test_only_rows_with_history_enough_are_asked(few: ReviewedModel) -> None:
    short = few.test.features["active_days_365d"].copy()
    short.iloc[:20], short.iloc[20:25] = 9.99, np.nan
    model = with_test(few, active_days_365d=short)
    assert scorable_rows(model.bundle, model.test.features).tolist() == [False] * 25 + [True] * 35
    outcomes = [each.outcome for each in assess_rows(model.bundle, model.test.rows, model.test.features.to_numpy())]
    assert outcomes == ["insufficient_history"] * 25 + ["scored"] * 35
    assert sample_rows(model.bundle, model.test, 1_000, 1).tolist() == list(range(25, 60))
    drawn = sample_rows(model.bundle, model.test, 10, 1).tolist()
    assert drawn == sorted(set(drawn) & set(range(25, 60)))
    assert len(drawn) == 10
    assert study_reasons(model).figures["rows"] == 35.0


def test_without_scorable_rows_the_study_is_not_made(few: ReviewedModel) -> None:
    finding = study_reasons(with_test(few, active_days_365d=1.0))
    assert finding.figures == {}
    assert "no test row has enough history" in finding.summary
