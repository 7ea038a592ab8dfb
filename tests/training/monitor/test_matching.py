"""Which score a loan was given on, against plain Python."""

from __future__ import annotations

from datetime import date, timedelta

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.counts import repeat
from tests.training.monitor.made import TODAY, loans, scores
from training.monitor.score_log import match_loans, until

FIRST = date(2025, 1, 1)
DAYS = st.integers(0, 70).map(lambda days: FIRST + timedelta(days=days))
SELLERS = st.sampled_from(["A", "B", "卖家"])
SCORES = st.lists(
    st.fixed_dictionaries(
        {
            "seller_id": SELLERS,
            "as_of": DAYS,
            "valid_days": st.sampled_from([1.0, 7.0, 30.0]),
            "outcome": st.sampled_from(["scored", "scored", "scored", "stale_data"]),
            "probability_of_default": st.floats(0.01, 0.5),
        }
    ),
    max_size=12,
)
LOANS = st.lists(st.tuples(SELLERS, DAYS, st.booleans(), st.booleans()), max_size=8)


def oracle(given_scores: list[dict[str, object]], paid_out: list[tuple[str, date, bool, bool]]) -> list[tuple]:
    """Loan by loan: of the seller's valid scores the latest midnight, of one midnight the one that came last."""
    standing = {(score["seller_id"], score["as_of"]): score for score in given_scores}
    found = []
    for seller, day, _, _ in paid_out:
        valid = [
            score
            for score in standing.values()
            if score["seller_id"] == seller
            and score["outcome"] == "scored"
            and score["as_of"] <= day
            and (day - score["as_of"]).days < score["valid_days"]
        ]
        if valid:
            latest = max(valid, key=lambda score: score["as_of"])
            found.append((seller, day, latest["as_of"], latest["probability_of_default"]))
    return sorted(found)


@pytest.mark.repeated
@hypothesis_settings(max_examples=repeat(25, 60), deadline=None)
@given(SCORES, LOANS)
def test_a_loan_meets_the_latest_score_that_was_valid(
    given_scores: list[dict[str, object]], paid_out: list[tuple[str, date, bool, bool]]
) -> None:
    found = match_loans(until(scores(given_scores), TODAY), loans(paid_out))
    shown = zip(
        found["seller_id"], found["day"].dt.date, found["as_of"].dt.date, found["probability_of_default"], strict=True
    )
    assert sorted(shown) == oracle(given_scores, paid_out)
    assert (found["vintage"] == found["as_of"].dt.strftime("%Y-%m")).all()


@pytest.mark.parametrize(
    ("day", "met"),
    [("2025-02-28", 0), ("2025-03-01", 1), ("2025-03-30", 1), ("2025-03-31", 0)],
    ids=["before its midnight", "on its day", "on the last day", "when it has expired"],
)
def test_a_score_meets_loans_from_its_midnight_until_it_expires(day: str, met: int) -> None:
    given_scores = scores([{"seller_id": "A", "as_of": "2025-03-01"}])
    assert len(match_loans(given_scores, loans([("A", day, True, False)]))) == met


def test_a_score_that_expired_stands_back_behind_an_older_one_that_has_not() -> None:
    given_scores = scores(
        [
            {"seller_id": "A", "as_of": "2025-03-01", "valid_days": 90.0},
            {"seller_id": "A", "as_of": "2025-03-10", "valid_days": 7.0},
        ]
    )
    found = match_loans(given_scores, loans([("A", "2025-03-12", True, False), ("A", "2025-03-20", True, True)]))
    assert found["as_of"].dt.day.tolist() == [10, 1]


def test_a_midnight_counts_once_and_what_came_later_stands() -> None:
    twice = scores(
        [
            {"seller_id": "A", "as_of": "2025-03-01", "scored_at": "2025-03-02 09:00", "probability_of_default": 0.2},
            {"seller_id": "A", "as_of": "2025-03-01", "scored_at": "2025-03-01 09:00", "probability_of_default": 0.1},
            {"seller_id": "A", "as_of": "2025-03-01", "model": "sha256:other", "probability_of_default": 0.3},
            {"seller_id": "A", "as_of": "2026-01-02", "probability_of_default": 0.4},
        ]
    )
    known = until(twice, TODAY)
    assert dict(zip(known["model"], known["probability_of_default"], strict=True)) == {
        twice["model"][0]: 0.2,
        "sha256:other": 0.3,
    }


def test_no_loans_and_no_scores_meet_nothing() -> None:
    assert match_loans(scores([]), loans([("A", "2025-03-01", True, False)])).empty
    assert match_loans(scores([{"seller_id": "A", "as_of": "2025-03-01"}]), loans([])).empty
    assert isinstance(match_loans(scores([]), loans([])), pd.DataFrame)
