"""Gaps between groups, by hand; the four-fifths rule; groups too small to compare."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest

from tests.training.evidence.subjects import subject, with_test
from training.evidence.fairness import study_fairness
from training.evidence.limits import Standing
from training.evidence.study import ReviewedModel
from training.package import BANDS


def unequal(share_of_vn: float, rows: int = 700) -> ReviewedModel:
    """Half of the CN rows and the given share of the VN rows are in band B; one in ten defaults in both."""
    number = np.arange(rows)
    country = np.where(number % 2 == 0, "CN", "VN")
    accepted = np.where(country == "CN", (number // 2) % 2 == 0, (number // 2) % 50 < 50 * share_of_vn)
    found = with_test(subject(), country=country, bad=(number // 2) % 10 == 3)
    return replace(found, probability=np.where(accepted, 0.02, 0.1), score=np.where(accepted, 640, 540))


def test_every_figure_is_that_of_its_group() -> None:
    found = subject()
    accepted = np.array([BANDS.of(each) in ("A", "B") for each in found.probability])
    table = study_fairness(found).tables["By country"].set_index("country")
    shares = {}
    for country, row in table.iterrows():
        inside = (found.test.about["country"] == country).to_numpy()
        repaid = inside & ~found.bad
        shares[country] = row["good_band_share"]
        assert row["rows"] == inside.sum()
        assert row["default_rate"] == pytest.approx(found.bad[inside].mean())
        assert row["mean_score"] == pytest.approx(found.score[inside].mean())
        assert row["good_band_share"] == pytest.approx(accepted[inside].mean())
        assert row["false_refusal_rate"] == pytest.approx((~accepted)[repaid].mean())
        oracle = binomtest(int((~accepted)[repaid].sum()), int(repaid.sum())).proportion_ci(method="wilson")
        assert row["false_refusal_rate_low"] == pytest.approx(oracle.low, abs=1e-6)
    best = max(shares.values())
    assert table["ratio_to_best"].to_dict() == pytest.approx({name: share / best for name, share in shares.items()})


def test_gaps_are_between_the_best_and_the_worst_group() -> None:
    figures = study_fairness(unequal(0.3)).figures
    assert figures["country_score_gap"] == pytest.approx(20)
    assert figures["country_four_fifths_ratio"] == pytest.approx(0.6)
    # of 50 in VN 15 are accepted, 5 go bad and 2 of those are accepted; of 10 in CN 5, 1 and none
    assert figures["country_false_refusal_gap"] == pytest.approx(32 / 45 - 4 / 9)
    for name in ("country_score_gap", "country_four_fifths_ratio", "country_false_refusal_gap"):
        assert figures[f"{name}_low"] < figures[name] < figures[f"{name}_high"]


def test_the_interval_of_a_ratio_is_that_of_drawing_rows_again() -> None:
    found = unequal(0.3)
    figures = study_fairness(found).figures
    rng = np.random.default_rng(0)
    country, accepted = found.test.about["country"].to_numpy(), found.probability < 0.05
    drawn = [
        rng.choice(accepted[country == "VN"], 350).mean() / rng.choice(accepted[country == "CN"], 350).mean()
        for _ in range(2_000)
    ]
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert figures["country_four_fifths_ratio_low"] == pytest.approx(low, abs=0.02)
    assert figures["country_four_fifths_ratio_high"] == pytest.approx(high, abs=0.02)


@pytest.mark.parametrize(("share", "alarms"), [(0.5, 0), (0.38, 0), (0.25, 1)])
def test_only_what_is_surely_below_four_fifths_raises_an_alarm(share: float, alarms: int) -> None:
    finding = study_fairness(unequal(share))
    assert len(finding.alarms) == alarms
    if alarms:
        assert finding.alarms[0].startswith("The four-fifths ratio of country VN is 0.5")
        assert (
            "below the limit of 0.8. The default rate is 10.0%, the same as for country CN: default rates do not "
            "explain the gap."
        ) in finding.alarms[0]


def test_an_alarm_compares_default_rates_that_differ() -> None:
    found = unequal(0.25)
    riskier = with_test(found, bad=found.bad | ((found.test.about["country"] == "VN") & (np.arange(700) % 3 == 0)))
    (alarm,) = study_fairness(riskier).alarms
    assert "against 10.0% of country CN. Examine whether this explains the gap; if it does not, change" in alarm


def test_a_ratio_below_the_limit_that_may_be_chance_says_why_it_is_no_alarm() -> None:
    finding = study_fairness(unequal(0.38))
    assert finding.figures["country_four_fifths_ratio"] < 0.8
    (check,) = (check for check in finding.checks if check.figure == "four-fifths ratio of country VN")
    assert check.standing is Standing.UNCERTAIN
    assert check.note.endswith("its 95% interval reaches the limit: 350 loans of country VN are too few to decide.")


def test_a_size_that_is_accepted_too_rarely_raises_an_alarm_too() -> None:
    found = subject()
    small = found.test.features["settled_net_sales_365d"].rank(method="first") <= 233
    finding = study_fairness(replace(found, probability=np.where(small, 0.5, 0.01), score=np.where(small, 400, 700)))
    assert [alarm for alarm in finding.alarms if alarm.startswith("The four-fifths ratio of size small is 0")]


def test_a_small_group_is_shown_and_not_compared() -> None:
    country = np.where(np.arange(700) < 29, "DE", np.where(np.arange(700) < 400, "CN", "VN"))
    found = with_test(unequal(0.5), country=country)
    probability = found.probability.copy()
    probability[:29] = 0.01
    finding = study_fairness(replace(found, probability=probability))
    table = finding.tables["By country"].set_index("country")
    assert table.loc["DE", "note"] == "too few to compare: 29 rows"
    assert np.isnan(table.loc["DE", "ratio_to_best"])
    assert table.loc["DE", "good_band_share"] == 1.0
    (check,) = (check for check in finding.checks if check.standing is Standing.NOT_MEASURED)
    assert check.note.startswith("1 of 3 groups by country are not compared (fewer than 30 test loans each): DE.")
    assert table.loc[["CN", "VN"], "ratio_to_best"].max() == 1.0
    assert finding.figures["country_four_fifths_ratio"] > 0.8


def test_groups_of_which_nobody_is_accepted_or_repaid_have_no_rate() -> None:
    found = with_test(unequal(0.5), bad=np.arange(700) % 2 == 1)
    finding = study_fairness(replace(found, probability=np.full(700, 0.5)))
    table = finding.tables["By country"].set_index("country")
    assert table["ratio_to_best"].isna().all()
    assert np.isnan(table.loc["VN", "false_refusal_rate"])
    assert table.loc["CN", "false_refusal_rate"] == 1.0
    assert "country_four_fifths_ratio" not in finding.figures
    assert "No two groups can be compared" in finding.summary
    assert finding.alarms == ()
