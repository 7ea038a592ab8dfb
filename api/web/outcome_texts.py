"""Texts for outcomes without a score: the facts with their dates and what to do, for banks and for sellers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final, NamedTuple

from api.web.labels import TABLES
from api.web.translations import N_, Translator
from scoring import Assessment, Outcome
from scoring.outcome import Shortfall

_FIRST_SALE: Final = "days_since_first_order"
_LAST_SALE: Final = "days_since_last_sale"
_DAYS_WITH_SALES: Final = "active_days_365d"


class _Texts(NamedTuple):
    """The texts of one statement by reader."""

    bank: str
    seller: str


@dataclass(frozen=True)
class OutcomeText:
    """An outcome without a score: a headline, the facts with their dates, and what to do."""

    title: str
    facts: tuple[str, ...]
    to_do: str


def for_bank(assessment: Assessment, labels: Mapping[str, str], translator: Translator) -> OutcomeText:
    """Return the text of an assessment without a score for a credit officer.

    Args:
        assessment: the assessment.
        labels: feature labels, for thresholds without a sentence of their own.
        translator: the language.
    """
    return _outcome_text(assessment, labels, translator, lambda texts: texts.bank)


def for_seller(assessment: Assessment, labels: Mapping[str, str], translator: Translator) -> OutcomeText:
    """Return the text of an assessment without a score for the seller; see `for_bank`."""
    return _outcome_text(assessment, labels, translator, lambda texts: texts.seller)


def _outcome_text(
    assessment: Assessment, labels: Mapping[str, str], translator: Translator, of_reader: Callable[[_Texts], str]
) -> OutcomeText:
    title, to_do, day = _TITLES[assessment.outcome], _TO_DO.get(assessment.outcome, _MORE_SALES), ""
    shortfalls: dict[str, Any] = {item.what: item for item in assessment.shortfalls}
    first_sale = shortfalls.get(_FIRST_SALE)
    if assessment.outcome == Outcome.INSUFFICIENT_HISTORY:
        if first_sale is None:
            title = _TOO_FEW_DAYS
        elif first_sale.found is None:
            to_do = _NO_SALES
        elif len(shortfalls) == 1:
            # the day when the history is long enough, as nothing else is missing
            to_do, day = _FROM_DAY, _day(assessment, translator, int(first_sale.needed - first_sale.found))
    return OutcomeText(
        translator.translate(of_reader(title)),
        tuple(_fact(assessment, item, labels, translator) for item in assessment.shortfalls),
        translator.translate(of_reader(to_do), day=day),
    )


def _fact(assessment: Assessment, item: Shortfall, labels: Mapping[str, str], translator: Translator) -> str:
    table = translator.translate(TABLES.get(item.what, item.what))
    if assessment.outcome == Outcome.INSUFFICIENT_DATA:
        return translator.translate(N_("%(table)s: not delivered."), table=table)
    if assessment.outcome == Outcome.STALE_DATA:
        through, requested = date.fromisoformat(str(item.found)), date.fromisoformat(assessment.requested_on)
        return translator.count(
            "%(table)s: delivered until %(day)s, %(n)s day before the request on %(requested)s.",
            "%(table)s: delivered until %(day)s, %(n)s days before the request on %(requested)s.",
            (requested - through).days,
            table=table,
            day=translator.day(through),
            requested=translator.day(requested),
        )
    return _short(assessment, item, labels, translator)


def _short(assessment: Assessment, item: Shortfall, labels: Mapping[str, str], translator: Translator) -> str:
    found: Any = item.found
    needed: Any = translator.number(item.needed)  # type: ignore[arg-type]
    known, unknown = _SHORT.get(item.what, (_OTHER, _OTHER))
    values = {"found": translator.translate(N_("not known")), "needed": needed, "most": needed}
    if item.what == _DAYS_WITH_SALES or found is not None:
        values["found"] = values["days"] = translator.number(found or 0)
    if item.what in {_FIRST_SALE, _LAST_SALE}:
        values["day"] = _day(assessment, translator, -365 if found is None else -int(found))
    label = translator.translate(labels.get(item.what, item.what))
    return translator.translate(unknown if found is None else known, what=label, **values)


def _day(assessment: Assessment, translator: Translator, days: int) -> str:
    """Return a day, given in days after the end of the data."""
    return translator.day(date.fromisoformat(assessment.as_of) + timedelta(days=days))


_TITLES: Final[Mapping[Outcome, _Texts]] = {
    Outcome.INSUFFICIENT_HISTORY: _Texts(
        N_("The seller's history is too short for a score."),
        N_("Your history is still too short for a score"),
    ),
    Outcome.INACTIVE: _Texts(
        N_("The seller has no recent sales, so there is no score."),
        N_("No score: you have no recent sales on record"),
    ),
    Outcome.INSUFFICIENT_DATA: _Texts(
        N_("Data that a score needs were not delivered."),
        N_("No score: data about your business are missing"),
    ),
    Outcome.STALE_DATA: _Texts(
        N_("The data are too old for a score."),
        N_("No score: the data about your business are too old"),
    ),
}
_TOO_FEW_DAYS: Final = _Texts(*(N_("Sales on too few days for a score"),) * 2)
_TO_DO: Final[Mapping[Outcome, _Texts]] = {
    Outcome.INACTIVE: _Texts(
        N_(
            "Ask the seller whether the business continues. There are no current sales from which instalments could be "
            "paid; a score is possible once there are new sales on enough days."
        ),
        N_(
            "A score is possible once you have sold again on enough days and your marketplace has delivered the new "
            "orders. If you did sell since then, ask your marketplace why the orders are missing."
        ),
    ),
    Outcome.INSUFFICIENT_DATA: _Texts(
        N_("Ask the platform to deliver the missing data, then request the score again."),
        N_("Ask your marketplace to deliver the missing data. Your score follows the day after."),
    ),
    Outcome.STALE_DATA: _Texts(
        N_("Request the score again after the platform's next delivery."),
        N_("You do not need to do anything. If no new data arrive within a few days, ask your marketplace why."),
    ),
}
_FROM_DAY: Final = _Texts(
    N_(
        "Assess the seller by other means, or request the score again from %(day)s. A short history alone is not a "
        "sign of risk."
    ),
    N_("If you keep selling, you get a score from %(day)s."),
)
_NO_SALES: Final = _Texts(
    N_("Assess the seller by other means. There are no sales on this platform that could be scored."),
    N_("Your score appears some months after your first sale."),
)
_MORE_SALES: Final = _Texts(
    N_("Assess the seller by other means, and request the score again when there are more sales."),
    N_("Your score appears when there are sales on enough days."),
)
_SHORT: Final[Mapping[str, tuple[str, str]]] = {
    _FIRST_SALE: (
        N_("First sale: %(day)s, %(days)s days before the data end. A score needs %(needed)s days of history."),
        N_("First sale: none on record."),
    ),
    _LAST_SALE: (
        N_("Last sale: %(day)s, %(days)s days before the data end. A score needs a sale in the last %(most)s days."),
        N_("Last sale: before %(day)s. A score needs a sale in the last %(most)s days."),
    ),
    _DAYS_WITH_SALES: (N_("Days with sales in the last 365: %(found)s. A score needs %(needed)s."),) * 2,
}
"""Texts for a requirement with a known value, and without one."""
_OTHER: Final = N_("%(what)s: %(found)s. A score needs %(needed)s.")
