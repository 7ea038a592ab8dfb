"""Outcomes without a score in words: the facts with their dates, and the advice, for banks and for sellers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import pytest

from api.web.outcome_texts import OutcomeText, for_bank, for_seller
from api.web.translations import translator_for
from scoring import Bundle, Outcome, assess
from scoring.formatting import Language
from tests.api.conftest import AS_OF
from tests.api.shop import COVERS, shop_bundle, shop_vector

DAY = date(2026, 2, 1)
WITHOUT_REFUNDS = {"orders": AS_OF, "traffic": AS_OF}
READERS = {"bank": for_bank, "seller": for_seller}


@dataclass(frozen=True)
class Case:
    """A shop without a score, on a day."""

    shop: str
    outcome: Outcome
    requested_on: date = DAY
    covers: Mapping[str, date] | None = None

    def text(self, bundle: Bundle, reader: str, language: Language) -> OutcomeText:
        vector = shop_vector(self.shop, self.requested_on, self.covers or COVERS)
        assessment = assess(bundle, [vector])[0]
        assert assessment.outcome is self.outcome
        return READERS[reader](assessment, {}, translator_for(language))


CASES = {
    "new": Case("new", Outcome.INSUFFICIENT_HISTORY),
    "empty": Case("empty", Outcome.INSUFFICIENT_HISTORY),
    "few": Case("few", Outcome.INSUFFICIENT_HISTORY),
    "begun": Case("begun", Outcome.INSUFFICIENT_HISTORY),
    "stopped": Case("stopped", Outcome.INACTIVE),
    "gone": Case("gone", Outcome.INACTIVE),
    "missing": Case("typical", Outcome.INSUFFICIENT_DATA, covers=WITHOUT_REFUNDS),
    "stale": Case("typical", Outcome.STALE_DATA, date(2026, 2, 8)),
}
BUSINESS_STOPPED = (
    "Ask the seller whether the business continues. There are no current sales from which instalments could be paid; a "
    "score is possible once there are new sales on enough days."
)
SELLS_AGAIN = (
    "A score is possible once you have sold again on enough days and your marketplace has delivered the new orders. If "
    "you did sell since then, ask your marketplace why the orders are missing."
)
ENGLISH = {
    ("new", "bank"): OutcomeText(
        "The seller's history is too short for a score.",
        ("First sale: 21 Dec 2025, 41 days before the data end. A score needs 90 days of history.",),
        "Assess the seller by other means, or request the score again from 21 Mar 2026. A short history alone is "
        "not a sign of risk.",
    ),
    ("new", "seller"): OutcomeText(
        "Your history is still too short for a score",
        ("First sale: 21 Dec 2025, 41 days before the data end. A score needs 90 days of history.",),
        "If you keep selling, you get a score from 21 Mar 2026.",
    ),
    ("empty", "bank"): OutcomeText(
        "The seller's history is too short for a score.",
        ("First sale: none on record.", "Days with sales in the last 365: 0. A score needs 10."),
        "Assess the seller by other means. There are no sales on this platform that could be scored.",
    ),
    ("few", "seller"): OutcomeText(
        "Sales on too few days for a score",
        ("Days with sales in the last 365: 4. A score needs 10.",),
        "Your score appears when there are sales on enough days.",
    ),
    # no date is promised where time alone does not suffice
    ("begun", "bank"): OutcomeText(
        "The seller's history is too short for a score.",
        (
            "First sale: 11 Nov 2025, 81 days before the data end. A score needs 90 days of history.",
            "Days with sales in the last 365: 5. A score needs 10.",
        ),
        "Assess the seller by other means, and request the score again when there are more sales.",
    ),
    ("begun", "seller"): OutcomeText(
        "Your history is still too short for a score",
        (
            "First sale: 11 Nov 2025, 81 days before the data end. A score needs 90 days of history.",
            "Days with sales in the last 365: 5. A score needs 10.",
        ),
        "Your score appears when there are sales on enough days.",
    ),
    ("stopped", "bank"): OutcomeText(
        "The seller has no recent sales, so there is no score.",
        ("Last sale: 17 Nov 2025, 75 days before the data end. A score needs a sale in the last 60 days.",),
        BUSINESS_STOPPED,
    ),
    ("stopped", "seller"): OutcomeText(
        "No score: you have no recent sales on record",
        ("Last sale: 17 Nov 2025, 75 days before the data end. A score needs a sale in the last 60 days.",),
        SELLS_AGAIN,
    ),
    ("gone", "bank"): OutcomeText(
        "The seller has no recent sales, so there is no score.",
        (
            "Last sale: before 31 Jan 2025. A score needs a sale in the last 60 days.",
            "Days with sales in the last 365: 0. A score needs 10.",
        ),
        BUSINESS_STOPPED,
    ),
    ("missing", "bank"): OutcomeText(
        "Data that a score needs were not delivered.",
        ("Refunds and returns: not delivered.",),
        "Ask the platform to deliver the missing data, then request the score again.",
    ),
    ("missing", "seller"): OutcomeText(
        "No score: data about your business are missing",
        ("Refunds and returns: not delivered.",),
        "Ask your marketplace to deliver the missing data. Your score follows the day after.",
    ),
    ("stale", "bank"): OutcomeText(
        "The data are too old for a score.",
        (
            "Orders: delivered until 31 Jan 2026, 8 days before the request on 8 Feb 2026.",
            "Refunds and returns: delivered until 31 Jan 2026, 8 days before the request on 8 Feb 2026.",
        ),
        "Request the score again after the platform's next delivery.",
    ),
    ("stale", "seller"): OutcomeText(
        "No score: the data about your business are too old",
        (
            "Orders: delivered until 31 Jan 2026, 8 days before the request on 8 Feb 2026.",
            "Refunds and returns: delivered until 31 Jan 2026, 8 days before the request on 8 Feb 2026.",
        ),
        "You do not need to do anything. If no new data arrive within a few days, ask your marketplace why.",
    ),
}
CHINESE = {
    ("new", "bank"): OutcomeText(
        "该卖家经营时间尚短，无法评分。",
        ("首笔销售：2025年12月21日，距数据截止日41天。评分要求至少90天的经营记录。",),
        "请通过其他方式评估该卖家，或自2026年3月21日起重新申请评分。仅经营时间短并不代表有风险。",
    ),
    ("new", "seller"): OutcomeText(
        "您的经营时间尚短，暂时无法评分",
        ("首笔销售：2025年12月21日，距数据截止日41天。评分要求至少90天的经营记录。",),
        "保持销售，自2026年3月21日起即可获得评分。",
    ),
    ("stopped", "bank"): OutcomeText(
        "该卖家近期没有销售，因此没有评分。",
        ("最近一笔销售：2025年11月17日，距数据截止日75天。评分要求最近60天内有销售。",),
        "请向卖家核实是否仍在经营。目前没有可用于还款的销售；恢复销售并达到足够的销售天数后即可评分。",
    ),
    ("stopped", "seller"): OutcomeText(
        "暂无评分：近期没有您的销售记录",
        ("最近一笔销售：2025年11月17日，距数据截止日75天。评分要求最近60天内有销售。",),
        "恢复销售并达到足够的销售天数、且平台提供新订单数据后，即可评分。如果此后您有销售，请向平台查询订单数据为何缺失。",
    ),
    ("missing", "bank"): OutcomeText(
        "未提供评分所需的数据。", ("退款与退货：未提供。",), "请平台提供缺失的数据，然后重新申请评分。"
    ),
    ("missing", "seller"): OutcomeText(
        "暂无评分：缺少您的经营数据",
        ("退款与退货：未提供。",),
        "请联系您的电商平台提供缺失的数据，次日即可获得评分。",
    ),
    ("stale", "bank"): OutcomeText(
        "数据过旧，无法评分。",
        (
            "订单：已提供至2026年1月31日，比申请日2026年2月8日早8天。",
            "退款与退货：已提供至2026年1月31日，比申请日2026年2月8日早8天。",
        ),
        "请在平台下次提供数据后重新申请评分。",
    ),
    ("stale", "seller"): OutcomeText(
        "暂无评分：您的经营数据过旧",
        (
            "订单：已提供至2026年1月31日，比申请日2026年2月8日早8天。",
            "退款与退货：已提供至2026年1月31日，比申请日2026年2月8日早8天。",
        ),
        "您无需操作。如果几天内仍没有新数据，请向您的电商平台查询原因。",
    ),
}


@pytest.fixture(scope="module")
def shops() -> Bundle:
    return shop_bundle()


@pytest.mark.parametrize(("case", "reader"), ENGLISH)
def test_what_is_said_in_english(shops: Bundle, case: str, reader: str) -> None:
    assert CASES[case].text(shops, reader, Language.ENGLISH) == ENGLISH[case, reader]


@pytest.mark.parametrize(("case", "reader"), CHINESE)
def test_what_is_said_in_chinese(shops: Bundle, case: str, reader: str) -> None:
    assert CASES[case].text(shops, reader, Language.CHINESE) == CHINESE[case, reader]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("reader", READERS)
def test_only_a_short_history_is_not_a_sign_of_risk(shops: Bundle, case: str, reader: str) -> None:
    english, chinese = (CASES[case].text(shops, reader, language) for language in Language)
    said = case == "new" and reader == "bank"
    assert ("not a sign of risk" in english.to_do) is said
    assert ("并不代表有风险" in chinese.to_do) is said
    for each in (english, chinese):
        assert "risk" not in each.title + "".join(each.facts)
        assert "None" not in repr(each)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("reader", READERS)
def test_every_text_is_translated(shops: Bundle, case: str, reader: str) -> None:
    chinese = CASES[case].text(shops, reader, Language.CHINESE)
    for said in (chinese.title, *chinese.facts, chinese.to_do):
        assert not [letter for letter in said if "a" <= letter.lower() <= "z"], said


def test_only_the_table_that_is_too_old_is_named(shops: Bundle) -> None:
    covers = {**COVERS, "orders": date(2026, 1, 24)}
    case = Case("typical", Outcome.STALE_DATA, date(2026, 2, 1), covers)
    facts = case.text(shops, "bank", Language.ENGLISH).facts
    assert facts == ("Orders: delivered until 24 Jan 2026, 8 days before the request on 1 Feb 2026.",)
