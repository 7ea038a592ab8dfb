"""The texts of the printable profile."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest

from api.sellers.schemas import Peers
from api.sellers.service import profile_response
from api.web import documents
from features.profile.profile import MissingReason
from features.profile.series import SUMS
from features.store.profiles import PeerScope
from tests.features.profile.test_profile import FLAGS, T, read

NOW = datetime(2024, 4, 2, 9, 30, tzinfo=UTC)


def page(now: datetime = NOW, **profile: object) -> str:
    content = profile_response(read(**profile), "consent-1", now.date())
    return bytes(documents.profile_document(content, now, 7).body).decode()


@pytest.mark.parametrize(
    ("scope", "category", "size", "others", "text"),
    [
        (
            PeerScope.CATEGORY_AND_SIZE,
            "home",
            "middle",
            1212,
            "the 1,212 other sellers in the category home, middle third by settled net sales",
        ),
        (PeerScope.CATEGORY, "home", None, 40, "the 40 other sellers in the category home"),
        (PeerScope.ALL, None, None, 31, "the 31 other sellers with settled sales in all categories"),
        (PeerScope.NONE, None, None, 0, "no peers: too few sellers have settled sales"),
    ],
)
def test_the_peers_are_described(
    scope: PeerScope, category: str | None, size: str | None, others: int, text: str
) -> None:
    assert documents.describe_peers(Peers(scope=scope, category=category, size=size, others=others)) == text


@pytest.mark.parametrize(("days", "is_old"), [(0, False), (7, False), (8, True)])
def test_data_that_are_too_old_for_a_score_are_marked(days: int, is_old: bool) -> None:
    now = datetime.combine(T, time(9), UTC) + timedelta(days=days)
    assert (f"The data end {days} days before today." in page(now)) is is_old


def test_every_reason_for_a_missing_value_has_a_text() -> None:
    assert set(documents.GAPS) == set(MissingReason)


def test_integrity_questions_are_shown_if_their_value_is_high() -> None:
    flag = FLAGS[0]
    zero: dict[str, float] = {item.feature: 0.0 for item in FLAGS}
    assert "1</dd>" in page(values={**zero, flag.feature: 0.5})
    assert flag.question in page(values={flag.feature: 0.5})
    assert "No known integrity figure exceeds its threshold" in page(values=zero)
    assert "No integrity figure is known" in page(values=dict.fromkeys(zero))


def test_the_figure_of_a_chart_is_the_latest_settled_one() -> None:
    sums = tuple(tuple(range(1_000_000, 13_000_000, 1_000_000)) if name == "gross" else (0,) * 12 for name in SUMS)
    text = page(sums=sums)
    assert '<span>Net sales</span> <b class="n">$11.00</b>' in text
    assert '<span>Gross sales</span> <b class="n">$12.00</b>' in text
    assert text.count("(may change)") == 5
    assert "2024-02-29 to 2024-03-29" in text


def test_the_age_of_the_data_is_measured_against_the_day_of_the_request() -> None:
    assert "delivered through 2024-03-30, 3 days old" in page()
    assert profile_response(read(), "c", date(2024, 3, 31)).coverage[0].age_days == 1
    assert T.isoformat() in page()
