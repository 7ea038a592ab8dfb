"""Numbers, amounts and dates in the format of each locale, and the language of a browser."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.web.translations import Language, negotiate_language, translator_for

EN, ZH = translator_for(Language.ENGLISH), translator_for(Language.CHINESE)


@pytest.mark.parametrize(
    ("value", "unit", "english", "chinese"),
    [
        (0.0621, "ratio", "6.2%", "6.2%"),
        (-0.05, "ratio", "-5.0%", "-5.0%"),
        (0.0043, "pp", "+0.4 pp", "+0.4个百分点"),
        (12_345.6, "USD", "$12,346", "US$12,346"),
        (9.5, "USD", "$9.50", "US$9.50"),
        (9.6333, "days", "9.6 days", "9.6天"),
        (12.0, "hours", "12 hours", "12小时"),
        (4.657, "stars", "4.66 stars", "4.66星"),
        (1_234.0, "count", "1,234", "1,234"),
        (None, "ratio", "not known", "未知"),
        (0.0, "ratio", "0.0%", "0.0%"),
    ],
)
def test_values_are_formatted_as_in_reason_statements(
    value: float | None, unit: str, english: str, chinese: str
) -> None:
    assert (EN.format_value(value, unit), ZH.format_value(value, unit)) == (english, chinese)


def test_days_moments_and_points() -> None:
    assert (EN.day(date(2026, 1, 31)), ZH.day("2026-01-31")) == ("31 Jan 2026", "2026年1月31日")
    assert ZH.moment(datetime(2026, 2, 1, 9, 30, tzinfo=UTC)) == "2026年2月1日 09:30:00 UTC"
    assert [EN.points(each) for each in (14, 0, -9)] == ["+14", "0", "−9"]


def test_amounts_in_other_money() -> None:
    assert (EN.money(50_000, "EUR"), ZH.money(50_000, "CNY")) == ("€50,000", "¥50,000")


def test_one_and_many() -> None:
    said = [EN.count("%(n)s day", "%(n)s days", number) for number in (1, 2)]
    assert said == ["1 day", "2 days"]
    assert ZH.count("%(n)s day", "%(n)s days", 1) == "1天"


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "en"),
        ("zh", "zh"),
        ("zh-Hans-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en-GB, zh;q=0.9", "en"),
        ("fr, zh;q=0.4, en;q=0.5", "en"),
        ("de, fr", "en"),
        ("zh;q=0", "en"),
        ("zh;q=x", "en"),
        ("zh;q=nan, en;q=0.1", "en"),
        ("*", "en"),
    ],
)
def test_a_browser_gets_its_preferred_language(accepted: str, language: str) -> None:
    assert negotiate_language(accepted) == language


@given(st.text(max_size=200))
def test_any_header_gives_a_supported_language(accepted: str) -> None:
    assert negotiate_language(accepted) in set(Language)
