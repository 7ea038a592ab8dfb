"""Segments against scikit-learn; segments with too few outcomes; alarms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tests.training.evidence.subjects import subject, with_test
from training.evidence.limits import Standing
from training.evidence.metrics import evaluate
from training.evidence.segments import study_segments


def test_figures_of_a_segment_are_those_of_its_rows() -> None:
    found = subject()
    table = study_segments(found).tables["By country"].set_index("country")
    assert list(table.index) == ["CN", "VN"]
    for country in table.index:
        inside = (found.test.about["country"] == country).to_numpy()
        bad, probability = found.bad[inside], found.probability[inside]
        row = table.loc[country]
        assert (row["rows"], row["bad"]) == (inside.sum(), bad.sum())
        assert row["default_rate"] == pytest.approx(bad.mean())
        assert row["auc"] == pytest.approx(roc_auc_score(bad, probability))
        assert row["gini"] == pytest.approx(2 * row["auc"] - 1)
        assert row["expected_over_observed"] == pytest.approx(probability.mean() / bad.mean())
        assert row["expected_over_observed_low"] == pytest.approx(probability.mean() / row["default_rate_high"])
        assert row["auc_low"] < row["auc"] < row["auc_high"]
        assert row["note"] == ""


def test_all_five_ways_to_part_the_rows_are_there() -> None:
    found = study_segments(subject())
    assert list(found.tables) == ["By month", "By country", "By marketplace", "By tenure", "By size"]
    for table in found.tables.values():
        assert (table["rows"].sum(), table["bad"].sum()) == (700, subject().bad.sum())


def test_a_segment_with_too_few_of_a_kind_says_so_instead_of_giving_a_figure() -> None:
    found = subject()
    country = np.where(found.bad, "CN", "VN").astype(object)
    country[np.flatnonzero(found.bad)[:4]] = "VN"
    found = with_test(found, country=country)
    finding = study_segments(found)
    table = finding.tables["By country"].set_index("country")
    assert table.loc["VN", "note"] == "too few to judge: 4 bad"
    assert table.loc["CN", "note"] == "too few to judge: 0 good"
    assert table[["auc", "gini", "expected_over_observed"]].isna().all(axis=None)
    assert table["default_rate"].notna().all()
    assert finding.figures["too_small"] >= 2


def test_the_worst_segment_is_named_with_its_interval() -> None:
    found = subject()
    inverted = np.where(found.test.about["country"] == "VN", 1 - found.probability, found.probability)
    finding = study_segments(replace(found, probability=inverted))
    vn = finding.tables["By country"].set_index("country").loc["VN"]
    assert finding.figures["worst_auc"] == vn["auc"] < 0.5
    assert finding.figures["worst_auc_high"] == vn["auc_high"]
    assert "for country VN" in finding.summary
    (alarm,) = (alarm for alarm in finding.alarms if alarm.startswith("The AUC of country VN is "))
    assert "The limit is 0.05 below the AUC of all test loans" in alarm


def test_a_level_that_is_surely_wrong_raises_an_alarm() -> None:
    found = subject()
    halved = np.where(found.test.about["country"] == "CN", found.probability / 3, found.probability)
    finding = study_segments(replace(found, probability=halved))
    assert [
        each
        for each in finding.alarms
        if each.startswith("The ratio of expected to observed defaults of country CN is ")
    ]
    assert finding.figures["worst_expected_over_observed"] < 0.5


def test_a_sound_model_raises_no_alarm() -> None:
    rng = np.random.default_rng(3)
    probability = 1 / (1 + np.exp(1.5 - rng.normal(size=700)))
    sound = replace(with_test(subject(), bad=rng.random(700) < probability), probability=probability)
    finding = study_segments(sound)
    assert finding.alarms == ()
    whole = evaluate(sound.bad, probability, sound.seed, ("auc",), sound.test.rows["seller_id"])["auc"]
    assert str(whole) in finding.summary


def test_where_nothing_can_be_judged_the_study_says_so() -> None:
    found = subject()
    few = with_test(found, bad=np.arange(700) < 5)
    finding = study_segments(few)
    assert finding.figures["judged"] == 0.0
    assert "worst_auc" not in finding.figures
    assert finding.plots == {}
    assert "there is no evidence by segment" in finding.summary
    (alarm,) = finding.alarms
    assert alarm == (
        "44 of 44 segments have fewer than 10 bad or 10 good loans and are not judged. There is no evidence of "
        "discrimination or calibration by month, country, marketplace, tenure or size. The limit is at least 3 of 5 "
        "ways of grouping. Test on more loans: lengthen the test period or add sellers."
    )


def test_a_way_of_grouping_without_outcomes_is_named_where_the_others_have_enough() -> None:
    check = study_segments(subject()).checks[0]
    assert (check.found, check.limit, check.standing) == ("4 of 5", "at least 3 of 5", Standing.WITHIN)
    assert "There is no evidence of discrimination or calibration by month." in check.note


def test_a_segment_that_is_worse_by_chance_says_why_it_is_no_alarm() -> None:
    found = subject()
    uncertain = [check for check in study_segments(found).checks if check.standing is Standing.UNCERTAIN]
    assert all("are too few to decide" in check.note for check in uncertain)
    blurred = found.probability + np.random.default_rng(1).normal(0, 0.25, 700)
    country = np.where(np.arange(700) < 90, "DE", "CN")
    mixed = replace(
        with_test(found, country=country), probability=np.where(country == "DE", blurred, found.probability)
    )
    (check,) = (check for check in study_segments(mixed).checks if check.figure == "AUC of country DE")
    assert check.standing is Standing.UNCERTAIN
    assert check.note.endswith(f"90 loans with {int(found.bad[:90].sum())} defaults are too few to decide.")
