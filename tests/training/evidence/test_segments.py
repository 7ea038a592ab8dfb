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
from training.evidence.study import Finding

ROW = np.arange(700)


@pytest.fixture(scope="module")
def finding() -> Finding:
    return study_segments(subject())


def test_figures_of_a_segment_are_those_of_its_rows(finding: Finding) -> None:
    model, table = subject(), finding.tables["By country"].set_index("country")
    assert list(table.index) == ["CN", "VN"]
    for country, row in table.iterrows():
        inside = (model.test.about["country"] == country).to_numpy()
        bad, probability = model.bad[inside], model.probability[inside]
        assert (row["rows"], row["bad"], row["note"]) == (inside.sum(), bad.sum(), "")
        assert row["default_rate"] == pytest.approx(bad.mean())
        assert row["auc"] == pytest.approx(roc_auc_score(bad, probability))
        assert row["gini"] == pytest.approx(2 * row["auc"] - 1)
        assert row["expected_over_observed"] == pytest.approx(probability.mean() / bad.mean())
        assert row["expected_over_observed_low"] == pytest.approx(probability.mean() / row["default_rate_high"])
        assert row["auc_low"] < row["auc"] < row["auc_high"]


def test_all_five_ways_to_part_the_rows_are_there(finding: Finding) -> None:
    assert list(finding.tables) == ["By month", "By country", "By marketplace", "By tenure", "By size"]
    for table in finding.tables.values():
        assert (table["rows"].sum(), table["bad"].sum()) == (700, subject().bad.sum())
    check = finding.checks[0]
    assert (check.found, check.limit, check.standing) == ("4 of 5", "at least 3 of 5", Standing.WITHIN)
    assert "There is no evidence of discrimination or calibration by month." in check.note


def test_a_segment_with_too_few_of_a_kind_says_so_instead_of_giving_a_figure() -> None:
    country = np.where(subject().bad & (np.cumsum(subject().bad) > 4), "CN", "VN")
    finding = study_segments(with_test(subject(), country=country))
    table = finding.tables["By country"].set_index("country")
    assert table["note"].to_dict() == {"CN": "too few to judge: 0 good", "VN": "too few to judge: 4 bad"}
    assert table[["auc", "gini", "expected_over_observed"]].isna().all(axis=None)
    assert table["default_rate"].notna().all()
    assert finding.figures["too_small"] >= 2


def test_the_worst_segment_is_named_with_its_interval() -> None:
    model = subject()
    inverted = np.where(model.test.about["country"] == "VN", 1 - model.probability, model.probability)
    finding = study_segments(replace(model, probability=inverted))
    vn = finding.tables["By country"].set_index("country").loc["VN"]
    assert finding.figures["worst_auc"] == vn["auc"] < 0.5
    assert finding.figures["worst_auc_high"] == vn["auc_high"]
    assert "for country VN" in finding.summary
    (alarm,) = (alarm for alarm in finding.alarms if alarm.startswith("The AUC of country VN is "))
    assert "The limit is 0.05 below the AUC of all test loans" in alarm


def test_a_level_that_is_surely_wrong_raises_an_alarm() -> None:
    model = subject()
    halved = np.where(model.test.about["country"] == "CN", model.probability / 3, model.probability)
    finding = study_segments(replace(model, probability=halved))
    words = "The ratio of expected to observed defaults of country CN is "
    assert any(alarm.startswith(words) for alarm in finding.alarms)
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
    finding = study_segments(with_test(subject(), bad=ROW < 5))
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


def test_a_segment_that_is_worse_by_chance_says_why_it_is_no_alarm() -> None:
    blurred = subject().probability + np.where(ROW < 90, np.random.default_rng(1).normal(0, 0.25, 700), 0.0)
    mixed = replace(with_test(subject(), country=np.where(ROW < 90, "DE", "CN")), probability=blurred)
    (check,) = (check for check in study_segments(mixed).checks if check.figure == "AUC of country DE")
    assert check.standing is Standing.UNCERTAIN
    assert check.note.endswith(f"90 loans with {subject().bad[:90].sum()} defaults are too few to decide.")
