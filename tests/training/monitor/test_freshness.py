"""The age of the data against a clock that is given."""

from __future__ import annotations

from datetime import date

import pytest

from tests.training.monitor.made import small_bundle
from training.monitor.availability import BY_TABLE, freshness
from training.monitor.config import FreshnessLimits

DAY = date(2026, 1, 8)
COVERS = {"orders": DAY, "refunds": DAY, "traffic": DAY, "loans": DAY, "fx_rates": date(2025, 1, 1)}


@pytest.mark.parametrize(
    ("today", "stale"),
    [(date(2026, 1, 8), 0), (date(2026, 1, 15), 0), (date(2026, 1, 16), 4), (date(2026, 3, 1), 4)],
    ids=["no age", "as old as allowed", "a day older", "much older"],
)
def test_a_table_is_stale_beyond_the_days_that_the_bundle_allows(today: date, stale: int) -> None:
    found = freshness(COVERS, today, small_bundle(), FreshnessLimits())
    assert found.figures["stale_tables"] == stale
    assert found.figures["oldest_days"] == (today - DAY).days
    assert bool(found.alarms) == bool(stale)


def test_alarms_name_tables_and_days() -> None:
    covers = {**COVERS, "traffic": date(2025, 12, 1), "loans": date(2025, 10, 1)}
    assert freshness(covers, DAY, small_bundle(), FreshnessLimits()).alarms == (
        "Data that scores rest on are older than the 7 days allowed: loans 99 days, traffic 38 days.",
    )


def test_a_table_that_never_came_is_an_alarm_where_scores_need_it() -> None:
    covers = {name: day for name, day in COVERS.items() if name not in {"traffic", "loans"}}
    found = freshness(covers, DAY, small_bundle(), FreshnessLimits())
    assert found.tables[BY_TABLE].set_index("table")["state"].to_dict() == {
        "orders": "fresh",
        "refunds": "fresh",
        "traffic": "lacking",
        "fx_rates": "no limit",
    }
    (alarm,) = found.alarms
    assert alarm.startswith("Scores need traffic, which never came")


def test_a_replay_before_the_data_end_finds_no_age() -> None:
    table = freshness(COVERS, date(2025, 6, 1), small_bundle(), FreshnessLimits()).tables[BY_TABLE]
    assert table.set_index("table").loc[["orders", "loans"], "days_old"].tolist() == [0, 0]
    assert table["needed_for"].tolist() == ["scores"] * 4 + ["neither"]


def test_without_a_model_there_is_no_limit_for_what_scores_rest_on() -> None:
    found = freshness(COVERS, date(2027, 1, 1), None, FreshnessLimits(outcome_days_most=400))
    assert not found.alarms
    assert "No model is in force" in found.summary
    assert "oldest_days" not in found.figures
