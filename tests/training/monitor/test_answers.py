"""Answers by outcome and month."""

from __future__ import annotations

import math

import pytest

from tests.training.monitor.made import TODAY, scores, watched
from training.monitor.availability import BY_MONTH, in_force, request_outcomes


def asked(stale: int, rows: int = 200, as_of: str = "2025-12-01") -> list[dict[str, object]]:
    return [
        {"seller_id": f"S-{row}", "as_of": as_of, "outcome": "stale_data" if row < stale else "scored"}
        for row in range(rows)
    ]


def test_shares_are_by_month_and_seller() -> None:
    given = scores(
        [
            *asked(0, 3, "2025-06-01"),
            {"seller_id": "S-1", "as_of": "2025-06-11", "outcome": "insufficient_history"},
            {"seller_id": "S-1", "as_of": "2025-12-01", "scored_at": "2025-12-04", "outcome": "insufficient_data"},
            {"seller_id": "S-2", "as_of": "2025-12-01", "scored_at": "2025-12-02", "outcome": "stale_data"},
        ]
    )
    june, december = request_outcomes(watched(given)).tables[BY_MONTH].to_dict("records")
    assert (june["month"], june["answers"], june["sellers"]) == ("2025-06", 4, 3)
    assert (june["scored"], june["insufficient_history"]) == (0.75, 0.25)
    assert (december["insufficient_data"], december["stale_data"], december["scored"]) == (0.5, 0.5, 0.0)
    assert december["days_old"] == 2.0
    assert math.isnan(june["days_old"])


@pytest.mark.parametrize(("stale", "alarms"), [(0, 0), (10, 0), (15, 0), (30, 1)])
def test_data_that_fail_many_sellers_are_an_alarm_and_few_are_chance(stale: int, alarms: int) -> None:
    found = request_outcomes(watched(scores(asked(stale))))
    assert len(found.alarms) == alarms
    assert found.figures["unusable_share"] == stale / 200


def test_young_sellers_are_no_fault_of_the_data() -> None:
    given = scores(
        [{"seller_id": f"S-{row}", "as_of": "2025-12-01", "outcome": "insufficient_history"} for row in range(99)]
    )
    assert not request_outcomes(watched(given)).alarms
    assert request_outcomes(watched(given)).figures["unusable_share"] == 0


def test_a_score_is_in_force_until_it_expires() -> None:
    given = scores(
        [
            {"seller_id": "A", "as_of": "2025-12-03", "valid_days": 29.0},
            {"seller_id": "B", "as_of": "2025-12-03", "valid_days": 30.0},
            {"seller_id": "C", "as_of": "2025-12-31", "outcome": "stale_data"},
        ]
    )
    assert in_force(watched(given)) == 1


def test_a_model_that_gave_nothing_lately_is_not_in_use_unless_it_is_in_force() -> None:
    given = scores(asked(0, 5, "2025-06-01"))
    old, champion = watched(given), watched(given, in_force=True)
    assert (old.in_use, champion.in_use) == (False, True)
    assert "the last 90 days. The model is not in use" in request_outcomes(old).summary
    assert "not in use" not in request_outcomes(champion).summary
    assert "unusable_share" not in request_outcomes(old).figures
    assert watched(scores(asked(0, 1, TODAY.isoformat()))).in_use
