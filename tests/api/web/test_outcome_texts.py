"""The texts of outcomes without a score: the facts with their dates, and the advice, for banks and for sellers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import pytest

from api.web.outcome_texts import OutcomeText, for_bank, for_seller
from api.web.translations import translator_for
from scoring import Outcome, assess
from scoring.formatting import Language
from tests.api.conftest import AS_OF
from tests.api.shop import COVERS, shop_bundle, shop_vector

EN, ZH = Language.ENGLISH, Language.CHINESE
DAY = date(2026, 2, 1)
WITHOUT_REFUNDS = {"orders": AS_OF, "traffic": AS_OF}


@dataclass(frozen=True)
class Case:
    """A shop without a score, on a day."""

    shop: str
    outcome: Outcome
    requested_on: date = DAY
    covers: Mapping[str, date] | None = None

    def texts(self, language: Language) -> tuple[OutcomeText, OutcomeText]:
        """Return the texts for a bank and for the seller."""
        vector = shop_vector(self.shop, self.requested_on, self.covers or COVERS)
        assessment = assess(shop_bundle(), [vector])[0]
        assert assessment.outcome is self.outcome
        bank, seller = (read(assessment, {}, translator_for(language)) for read in (for_bank, for_seller))
        assert bank.facts == seller.facts
        return bank, seller


CASES = {
    "new": Case("new", Outcome.INSUFFICIENT_HISTORY),
    "empty": Case("empty", Outcome.INSUFFICIENT_HISTORY),
    "few": Case("few", Outcome.INSUFFICIENT_HISTORY),
    "begun": Case("begun", Outcome.INSUFFICIENT_HISTORY),
    "stopped": Case("stopped", Outcome.INACTIVE),
    "gone": Case("gone", Outcome.INACTIVE),
    "missing": Case("typical", Outcome.INSUFFICIENT_DATA, covers=WITHOUT_REFUNDS),
    "stale": Case("typical", Outcome.STALE_DATA, date(2026, 2, 8)),
    "one table": Case("typical", Outcome.STALE_DATA, covers={**COVERS, "orders": date(2026, 1, 24)}),
}
NEW = ("The seller's history is too short for a score.", "Your history is still too short for a score")
INACTIVE = ("The seller has no recent sales, so there is no score.", "No score: you have no recent sales on record")
SELL_AGAIN = (
    (
        "Ask the seller whether the business continues. There are no current sales from which instalments could be "
        "paid; a score is possible once there are new sales on enough days."
    ),
    (
        "A score is possible once you have sold again on enough days and your marketplace has delivered the new "
        "orders. If you did sell since then, ask your marketplace why the orders are missing."
    ),
)
SELL_ON_MORE_DAYS = (
    "Assess the seller by other means, and request the score again when there are more sales.",
    "Your score appears when there are sales on enough days.",
)
TEXTS = [
    (
        "new",
        EN,
        NEW,
        ("First sale: 21 Dec 2025, 41 days before the data end. A score needs 90 days of history.",),
        (
            (
                "Assess the seller by other means, or request the score again from 21 Mar 2026. A short history alone "
                "is not a sign of risk."
            ),
            "If you keep selling, you get a score from 21 Mar 2026.",
        ),
    ),
    (
        "empty",
        EN,
        NEW,
        ("First sale: none on record.", "Days with sales in the last 365: 0. A score needs 10."),
        (
            "Assess the seller by other means. There are no sales on this platform that could be scored.",
            "Your score appears some months after your first sale.",
        ),
    ),
    (
        "few",
        EN,
        ("Sales on too few days for a score",) * 2,
        ("Days with sales in the last 365: 4. A score needs 10.",),
        SELL_ON_MORE_DAYS,
    ),
    # no date is promised if time alone is not enough
    (
        "begun",
        EN,
        NEW,
        (
            "First sale: 11 Nov 2025, 81 days before the data end. A score needs 90 days of history.",
            "Days with sales in the last 365: 5. A score needs 10.",
        ),
        SELL_ON_MORE_DAYS,
    ),
    (
        "stopped",
        EN,
        INACTIVE,
        ("Last sale: 17 Nov 2025, 75 days before the data end. A score needs a sale in the last 60 days.",),
        SELL_AGAIN,
    ),
    (
        "gone",
        EN,
        INACTIVE,
        (
            "Last sale: before 31 Jan 2025. A score needs a sale in the last 60 days.",
            "Days with sales in the last 365: 0. A score needs 10.",
        ),
        SELL_AGAIN,
    ),
    (
        "missing",
        EN,
        ("Data that a score needs were not delivered.", "No score: data about your business are missing"),
        ("Refunds and returns: not delivered.",),
        (
            "Ask the platform to deliver the missing data, then request the score again.",
            "Ask your marketplace to deliver the missing data. Your score follows the day after.",
        ),
    ),
    (
        "stale",
        EN,
        ("The data are too old for a score.", "No score: the data about your business are too old"),
        (
            "Orders: delivered until 31 Jan 2026, 8 days before the request on 8 Feb 2026.",
            "Refunds and returns: delivered until 31 Jan 2026, 8 days before the request on 8 Feb 2026.",
        ),
        (
            "Request the score again after the platform's next delivery.",
            "You do not need to do anything. If no new data arrive within a few days, ask your marketplace why.",
        ),
    ),
    # only the table that is too old is named
    (
        "one table",
        EN,
        ("The data are too old for a score.", "No score: the data about your business are too old"),
        ("Orders: delivered until 24 Jan 2026, 8 days before the request on 1 Feb 2026.",),
        (
            "Request the score again after the platform's next delivery.",
            "You do not need to do anything. If no new data arrive within a few days, ask your marketplace why.",
        ),
    ),
    (
        "new",
        ZH,
        ("该卖家经营时间尚短，无法评分。", "您的经营时间尚短，暂时无法评分"),
        ("首笔销售：2025年12月21日，距数据截止日41天。评分要求至少90天的经营记录。",),
        (
            "请通过其他方式评估该卖家，或自2026年3月21日起重新申请评分。仅经营时间短并不代表有风险。",
            "保持销售，自2026年3月21日起即可获得评分。",
        ),
    ),
]


@pytest.mark.parametrize(("case", "language", "titles", "facts", "to_do"), TEXTS)
def test_the_texts_for_banks_and_sellers(
    case: str, language: Language, titles: tuple[str, str], facts: tuple[str, ...], to_do: tuple[str, str]
) -> None:
    assert CASES[case].texts(language) == tuple(map(OutcomeText, titles, (facts, facts), to_do))


@pytest.mark.parametrize("case", CASES)
def test_every_text_is_translated_and_only_a_short_history_is_called_no_sign_of_risk(case: str) -> None:
    english, chinese = CASES[case].texts(EN), CASES[case].texts(ZH)
    for text in english:
        assert "risk" not in text.title + "".join(text.facts)
        assert "None" not in repr(text)
    assert ["not a sign of risk" in text.to_do for text in english] == [case == "new", False]
    assert ["并不代表有风险" in text.to_do for text in chinese] == [case == "new", False]
    for text in chinese:
        assert not [letter for letter in text.title + "".join(text.facts) + text.to_do if "a" <= letter.lower() <= "z"]
