"""Whether anything was scored, and what is said where nothing was."""

from __future__ import annotations

from datetime import date

import pytest

from tests.training.monitor.made import scores
from training.monitor.availability import period

TODAY = date(2026, 1, 1)


@pytest.mark.parametrize(
    ("rows", "counts", "words"),
    [
        ([], (0, 0), "No score is known as of 2026-01-01 or earlier, so nothing but the age of the data is monitored."),
        (["2025-10-03"], (0, 0), "Nothing was scored as of the last 90 days; the latest answer is as of 2025-10-03."),
        (["2025-10-03", "2025-10-04"], (1, 1), "1 answers are as of the last 90 days, 1 of them with a score."),
    ],
    ids=["never", "too long ago", "on the first day"],
)
def test_what_was_scored_is_counted_by_its_midnight(rows: list[str], counts: tuple[int, int], words: str) -> None:
    found = period(scores({"seller_id": "S-1", "as_of": day} for day in rows), TODAY, 90)
    assert (found.figures["answers"], found.figures["scored"]) == counts
    assert found.summary.startswith(words)


def test_answers_without_a_number_are_no_scores() -> None:
    given = scores(
        {"seller_id": f"S-{row}", "as_of": "2025-12-01", "outcome": "insufficient_history"} for row in range(4)
    )
    found = period(given, TODAY, 90)
    assert found.figures == {"answers": 4.0, "scored": 0.0}
    assert found.summary == "Nothing was scored: of 4 answers as of the last 90 days none carries a score."
