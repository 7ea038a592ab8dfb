"""Outcomes of requests by month, age of the tables, and scores in the analysis period."""

from __future__ import annotations

import math
from datetime import date

import pandas as pd
import pytest

from tests.training.monitor.builders import TODAY, monitored_model, scores, sellers, small_bundle
from training.config import FreshnessThresholds
from training.evidence.study import Finding
from training.monitor.availability import BY_MONTH, BY_TABLE, count_valid, freshness, period, request_outcomes


def assessments(*outcomes: str, as_of: str = "2025-12-01") -> pd.DataFrame:
    return scores({"seller_id": sellers(len(outcomes)), "as_of": as_of, "outcome": outcomes})


SCORED, STALE, SHORT = "scored", "stale_data", "insufficient_history"


def test_shares_of_outcomes_are_by_month() -> None:
    late = [
        {"seller_id": "S-00001", "as_of": "2025-06-11", "outcome": SHORT},
        {"seller_id": "S-1", "as_of": "2025-12-01", "scored_at": "2025-12-04", "outcome": "insufficient_data"},
        {"seller_id": "S-2", "as_of": "2025-12-01", "scored_at": "2025-12-02", "outcome": STALE},
    ]
    frame = pd.concat([assessments(SCORED, SCORED, SCORED, as_of="2025-06-01"), scores(late)], ignore_index=True)
    june, december = request_outcomes(monitored_model(frame)).tables[BY_MONTH].to_dict("records")
    assert (june["month"], june["answers"], june["sellers"]) == ("2025-06", 4, 3)
    assert (june[SCORED], june[SHORT]) == (0.75, 0.25)
    assert (december["insufficient_data"], december[STALE], december[SCORED]) == (0.5, 0.5, 0.0)
    assert december["days_old"] == 2.0
    assert math.isnan(june["days_old"])


@pytest.mark.parametrize(("stale", "alarms"), [(0, 0), (10, 0), (15, 0), (30, 1)])
def test_many_unusable_assessments_raise_an_alarm(stale: int, alarms: int) -> None:
    finding = request_outcomes(monitored_model(assessments(*[STALE] * stale, *[SCORED] * (200 - stale))))
    assert len(finding.alarms) == alarms
    assert finding.figures["unusable_share"] == stale / 200


def test_new_sellers_without_history_are_not_unusable() -> None:
    finding = request_outcomes(monitored_model(assessments(*[SHORT] * 99)))
    assert not finding.alarms
    assert finding.figures["unusable_share"] == 0


def test_a_score_is_valid_until_it_expires() -> None:
    days, outcomes = ["2025-12-03", "2025-12-03", "2025-12-31"], [SCORED, SCORED, STALE]
    frame = scores({"seller_id": list("ABC"), "as_of": days, "valid_days": [29.0, 30.0, 30.0], "outcome": outcomes})
    assert count_valid(monitored_model(frame)) == 1


def test_a_model_without_recent_scores_is_in_use_only_if_selected() -> None:
    frame = assessments(*[SCORED] * 5, as_of="2025-06-01")
    old, champion = monitored_model(frame), monitored_model(frame, is_selected=True)
    assert (old.in_use, champion.in_use) == (False, True)
    assert "None is from the last 90 days. The model is not in use" in request_outcomes(old).summary
    assert "not in use" not in request_outcomes(champion).summary
    assert "unusable_share" not in request_outcomes(old).figures
    assert monitored_model(assessments(SCORED, as_of=TODAY.isoformat())).in_use


DAY = date(2026, 1, 8)
COVERS = {"orders": DAY, "refunds": DAY, "traffic": DAY, "loans": DAY, "fx_rates": date(2025, 1, 1)}


def fresh(covers: dict[str, date] = COVERS, today: date = DAY) -> Finding:
    return freshness(covers, today, small_bundle(), FreshnessThresholds())


@pytest.mark.parametrize(
    ("today", "stale"),
    [(date(2026, 1, 8), 0), (date(2026, 1, 15), 0), (date(2026, 1, 16), 4), (date(2026, 3, 1), 4)],
    ids=["no age", "as old as allowed", "a day older", "much older"],
)
def test_a_table_is_stale_beyond_the_age_that_the_bundle_allows(today: date, stale: int) -> None:
    finding = fresh(today=today)
    assert (finding.figures["stale_tables"], finding.figures["oldest_days"]) == (stale, (today - DAY).days)
    assert bool(finding.alarms) == bool(stale)


def test_freshness_alarms_name_tables_and_days() -> None:
    assert fresh(COVERS | {"traffic": date(2025, 12, 1), "loans": date(2025, 10, 1)}).alarms == (
        "Tables for scores are older than the 7 days allowed: loans 99 days, traffic 38 days.",
    )


def test_a_missing_table_that_scores_need_raises_an_alarm() -> None:
    finding = fresh({name: day for name, day in COVERS.items() if name not in {"traffic", "loans"}})
    states = finding.tables[BY_TABLE].set_index("table")["state"].to_dict()
    assert states == {"orders": "fresh", "refunds": "fresh", "traffic": "lacking", "fx_rates": "no limit"}
    (alarm,) = finding.alarms
    assert alarm.startswith("Scores need traffic, never delivered")


def test_tables_that_reach_beyond_today_have_no_age() -> None:
    table = fresh(today=date(2025, 6, 1)).tables[BY_TABLE]
    assert table.set_index("table").loc[["orders", "loans"], "days_old"].tolist() == [0, 0]
    assert table["needed_for"].tolist() == ["scores"] * 4 + ["neither"]


def test_without_a_champion_there_is_no_limit_for_tables_of_scores() -> None:
    finding = freshness(COVERS, date(2027, 1, 1), None, FreshnessThresholds(outcome_days_most=400))
    assert not finding.alarms
    assert "There is no champion" in finding.summary
    assert "oldest_days" not in finding.figures


@pytest.mark.parametrize(
    ("days", "outcome", "counts", "words"),
    [
        ([], SCORED, (0, 0), "There is no score as of 2026-01-01 or earlier. Only the freshness of the data is"),
        (["2025-10-03"], SCORED, (0, 0), "Nothing was scored in the last 90 days; the latest assessment is as of 2025"),
        (["2025-10-03", "2025-10-04"], SCORED, (1, 1), "1 of 1 assessments of the last 90 days have a score."),
        (["2025-12-01"] * 4, SHORT, (4, 0), "Nothing was scored: none of 4 assessments of the last 90 days has a"),
    ],
    ids=["never", "too long ago", "on the first day", "without a number"],
)
def test_the_analysis_period_is_counted_by_as_of(
    days: list[str], outcome: str, counts: tuple[int, int], words: str
) -> None:
    finding = period(scores([{"seller_id": "S-1", "as_of": day, "outcome": outcome} for day in days]), TODAY, 90)
    assert finding.figures == dict(zip(("answers", "scored"), counts, strict=True))
    assert finding.summary.startswith(words)
