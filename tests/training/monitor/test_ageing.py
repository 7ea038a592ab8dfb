"""Sellers get older by a day a day: listed, and no alarm; younger ones, and all else that moves, are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.training.monitor.made import scores, small_bundle
from tests.training.monitor.test_population import FEATURES, NAMES, Known, moved, reference
from training.monitor.drift import AGES, BY_FEATURE, drift
from training.monitor.subject import MonitoredModel

pytestmark = pytest.mark.slow

YEAR = 365.0


def aged(by: dict[str, float], share_missing: float = 0.0) -> MonitoredModel:
    """Sellers 200 to 1,000 days old at training, and others now whose ages differ by so many days."""
    rng = np.random.default_rng(5)
    before, now = rng.normal(size=(900, FEATURES)), rng.normal(size=(700, FEATURES))
    for name in AGES:
        place = NAMES.index(name)
        before[:, place], now[:, place] = (rng.uniform(200, 1000, len(rows)) for rows in (before, now))
        now[:, place] += by.get(name, 0.0)
        now[rng.random(len(now)) < share_missing, place] = np.nan
    given = scores(
        {"seller_id": f"S-{row:05}", "as_of": "2025-12-15", "score": 600.0, "values": now[row]} for row in range(700)
    )
    made = moved(1)
    return replace(made, scores=given, references=Known(reference(np.full(900, 600.0), before)))


def test_the_features_of_age_are_those_that_grow_by_a_day_a_day() -> None:
    assert {"days_on_platform", "days_since_first_order", "oldest_store_days"} == AGES
    assert set(small_bundle().sheet.names) >= AGES


def test_a_year_later_no_alarm_rings_for_age_and_it_is_told() -> None:
    found = drift(aged(dict.fromkeys(AGES, YEAR)))
    assert not found.alarms
    assert (found.figures["features_surely_moved"], found.figures["features_only_older"]) == (0, 3)
    table = found.tables[BY_FEATURE].set_index("figure")
    assert (table.loc[sorted(AGES), "psi_low"] > 0.25).all(), "they are listed with what they are"
    assert set(table.loc[sorted(AGES), "explained"]) == {"sellers got older"}
    assert "Sellers got older, as the calendar has it: days_on_platform, days_since_first_order" in found.summary


@pytest.mark.parametrize("name", sorted(AGES))
def test_sellers_who_got_younger_are_news(name: str) -> None:
    found = drift(aged({name: -YEAR}))
    (alarm,) = found.alarms
    assert f"1 feature has moved surely beyond 0.25: {name} (PSI" in alarm
    assert found.figures["features_only_older"] == 0
    assert "got older" not in found.summary


def test_ages_that_are_no_longer_known_are_news() -> None:
    found = drift(aged({}, share_missing=0.6))
    assert "3 features have moved surely" in found.alarms[0]


def test_what_moves_beside_age_still_rings() -> None:
    other = next(name for name in NAMES if name not in AGES)
    made = aged(dict.fromkeys(AGES, YEAR))
    rows = [values.copy() for values in made.scores["values"]]
    for values in rows:
        values[NAMES.index(other)] += 2.0
    (alarm,) = drift(replace(made, scores=made.scores.assign(values=rows))).alarms
    assert f"1 feature has moved surely beyond 0.25: {other} (PSI" in alarm
