"""What the page says in words."""

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


def words(now: datetime = NOW, **picture: object) -> str:
    return bytes(
        documents.profile_document(profile_response(read(**picture), "consent-1", now.date()), now, 7).body
    ).decode()


@pytest.mark.parametrize(
    ("peers", "said"),
    [
        (
            Peers(scope=PeerScope.CATEGORY_AND_SIZE, category="home", size="middle", others=1212),
            "the 1,212 other sellers in the category home, middle third by settled net sales",
        ),
        (
            Peers(scope=PeerScope.CATEGORY, category="home", size=None, others=40),
            "the 40 other sellers in the category home",
        ),
        (
            Peers(scope=PeerScope.ALL, category=None, size=None, others=31),
            "the 31 other sellers with settled sales in all categories",
        ),
        (
            Peers(scope=PeerScope.NONE, category=None, size=None, others=0),
            "no peers: too few sellers have settled sales",
        ),
    ],
)
def test_whom_a_seller_is_compared_with(peers: Peers, said: str) -> None:
    assert documents.describe_peers(peers) == said


@pytest.mark.parametrize(("days", "old"), [(0, False), (7, False), (8, True)])
def test_data_too_old_for_a_score_are_said_to_be(days: int, old: bool) -> None:
    now = datetime.combine(T, time(9), UTC) + timedelta(days=days)
    assert (f"The data end {days} days before today." in words(now)) is old


def test_every_gap_has_words() -> None:
    assert set(documents.GAPS) == set(MissingReason)


def test_questions_are_asked_or_not_or_not_known() -> None:
    flag = FLAGS[0]
    assert "1</dd>" in words(values={each.feature: 0.0 for each in FLAGS} | {flag.feature: 0.5})
    asked = words(values={flag.feature: 0.5})
    assert flag.question in asked
    assert "No known integrity figure exceeds its threshold" in words(values={each.feature: 0.0 for each in FLAGS})
    assert "No integrity figure is known" in words(values={each.feature: None for each in FLAGS})


def test_the_figure_above_a_picture_is_the_latest_that_will_not_change() -> None:
    sums = tuple(tuple(range(1_000_000, 13_000_000, 1_000_000)) if name == "gross" else (0,) * 12 for name in SUMS)
    found = words(sums=sums)
    assert '<span>Net sales</span> <b class="n">$11.00</b>' in found
    assert '<span>Gross sales</span> <b class="n">$12.00</b>' in found
    assert found.count("(may change)") == 5
    assert "2024-02-29 to 2024-03-29" in found


def test_the_age_of_the_data_is_told_from_the_day_of_the_request() -> None:
    assert "delivered through 2024-03-30, 3 days old" in words()
    assert profile_response(read(), "c", date(2024, 3, 31)).coverage[0].age_days == 1
    assert T.isoformat() in words()
