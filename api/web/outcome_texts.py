"""Texts for outcomes without a score: the facts with their dates and what to do, for banks and for sellers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from api.web.labels import TABLES
from api.web.translations import N_, Translator
from scoring import Assessment, Outcome

_FIRST_SALE: Final = "days_since_first_order"
_LAST_SALE: Final = "days_since_last_sale"
_DAYS_WITH_SALES: Final = "active_days_365d"


@dataclass(frozen=True)
class OutcomeText:
    """An outcome without a score: a headline, the facts with their dates, and what to do."""

    title: str
    facts: tuple[str, ...]
    to_do: str


@dataclass(frozen=True)
class _Case:
    """The fields of an assessment that the texts depend on; `shortfalls` are (found, needed) by name."""

    outcome: Outcome
    requested_on: date
    as_of: date
    shortfalls: Mapping[str, tuple[Any, Any]]
    labels: Mapping[str, str]
    translator: Translator

    @property
    def is_new(self) -> bool:
        """Whether the first sale is too recent or missing."""
        return _FIRST_SALE in self.shortfalls

    @property
    def never_sold(self) -> bool:
        """Whether the first sale is missing."""
        return self.is_new and self.shortfalls[_FIRST_SALE][0] is None


def for_bank(assessment: Assessment, labels: Mapping[str, str], translator: Translator) -> OutcomeText:
    """Return the text of an assessment without a score for a credit officer.

    Args:
        assessment: the assessment.
        labels: feature labels, for thresholds without a sentence of their own.
        translator: the language.
    """
    case = _case(assessment, labels, translator)
    return OutcomeText(_title(case, _BANK_TITLES), tuple(_facts(case)), _bank_to_do(case))


def for_seller(assessment: Assessment, labels: Mapping[str, str], translator: Translator) -> OutcomeText:
    """Return the text of an assessment without a score for the seller; see `for_bank`."""
    case = _case(assessment, labels, translator)
    return OutcomeText(_title(case, _SELLER_TITLES), tuple(_facts(case)), _seller_to_do(case))


_BANK_TITLES: Final[Mapping[Outcome, str]] = {
    Outcome.INSUFFICIENT_HISTORY: N_("The seller's history is too short for a score."),
    Outcome.INACTIVE: N_("The seller has no recent sales, so there is no score."),
    Outcome.INSUFFICIENT_DATA: N_("Data that a score needs were not delivered."),
    Outcome.STALE_DATA: N_("The data are too old for a score."),
}
_SELLER_TITLES: Final[Mapping[Outcome, str]] = {
    Outcome.INSUFFICIENT_HISTORY: N_("Your history is still too short for a score"),
    Outcome.INACTIVE: N_("No score: you have no recent sales on record"),
    Outcome.INSUFFICIENT_DATA: N_("No score: data about your business are missing"),
    Outcome.STALE_DATA: N_("No score: the data about your business are too old"),
}
_TOO_FEW_DAYS: Final = N_("Sales on too few days for a score")


def _case(assessment: Assessment, labels: Mapping[str, str], translator: Translator) -> _Case:
    return _Case(
        outcome=Outcome(assessment.outcome),
        requested_on=date.fromisoformat(assessment.requested_on),
        as_of=date.fromisoformat(assessment.as_of),
        shortfalls={item.what: (item.found, item.needed) for item in assessment.shortfalls},
        labels=labels,
        translator=translator,
    )


def _title(case: _Case, titles: Mapping[Outcome, str]) -> str:
    few = case.outcome is Outcome.INSUFFICIENT_HISTORY and not case.is_new
    return case.translator.translate(_TOO_FEW_DAYS if few else titles[case.outcome])


def _facts(case: _Case) -> Iterator[str]:
    for what, (found, needed) in case.shortfalls.items():
        match case.outcome:
            case Outcome.INSUFFICIENT_DATA:
                yield case.translator.translate(N_("%(table)s: not delivered."), table=_table(case, what))
            case Outcome.STALE_DATA:
                yield _old(case, what, date.fromisoformat(found))
            case Outcome.INACTIVE if what == _LAST_SALE:
                yield _last_sale(case, found, needed)
            case _:
                yield _short(case, what, found, needed)


def _table(case: _Case, name: str) -> str:
    return case.translator.translate(TABLES.get(name, name))


def _old(case: _Case, table: str, through: date) -> str:
    return case.translator.count(
        "%(table)s: delivered until %(day)s, %(n)s day before the request on %(requested)s.",
        "%(table)s: delivered until %(day)s, %(n)s days before the request on %(requested)s.",
        (case.requested_on - through).days,
        table=_table(case, table),
        day=case.translator.day(through),
        requested=case.translator.day(case.requested_on),
    )


def _last_sale(case: _Case, days: float | None, most: float) -> str:
    if days is None:
        return case.translator.translate(
            N_("Last sale: before %(day)s. A score needs a sale in the last %(most)s days."),
            day=case.translator.day(case.as_of - timedelta(days=365)),
            most=case.translator.number(most),
        )
    return case.translator.translate(
        N_("Last sale: %(day)s, %(days)s days before the data end. A score needs a sale in the last %(most)s days."),
        day=case.translator.day(case.as_of - timedelta(days=int(days))),
        days=case.translator.number(days),
        most=case.translator.number(most),
    )


def _short(case: _Case, what: str, found: float | None, needed: float) -> str:
    say, number = case.translator.translate, case.translator.number
    if what == _FIRST_SALE and found is None:
        return say(N_("First sale: none on record."))
    if what == _FIRST_SALE and found is not None:
        return say(
            N_("First sale: %(day)s, %(days)s days before the data end. A score needs %(needed)s days of history."),
            day=case.translator.day(case.as_of - timedelta(days=int(found))),
            days=number(found),
            needed=number(needed),
        )
    if what == _DAYS_WITH_SALES:
        return say(
            N_("Days with sales in the last 365: %(found)s. A score needs %(needed)s."),
            found=number(found or 0),
            needed=number(needed),
        )
    value = case.translator.translate(N_("not known")) if found is None else number(found)
    return say(
        N_("%(what)s: %(found)s. A score needs %(needed)s."),
        what=say(case.labels.get(what, what)),
        found=value,
        needed=number(needed),
    )


def _due(case: _Case) -> str | None:
    """Return the day when the history is long enough, if nothing else is missing."""
    if set(case.shortfalls) != {_FIRST_SALE}:
        return None
    found, needed = case.shortfalls[_FIRST_SALE]
    return None if found is None else case.translator.day(case.as_of + timedelta(days=int(needed - found)))


def _bank_to_do(case: _Case) -> str:
    say = case.translator.translate
    match case.outcome:
        case Outcome.INACTIVE:
            return say(
                N_(
                    "Ask the seller whether the business continues. There are no current sales from which instalments "
                    "could be paid; a score is possible once there are new sales on enough days."
                )
            )
        case Outcome.INSUFFICIENT_DATA:
            return say(N_("Ask the platform to deliver the missing data, then request the score again."))
        case Outcome.STALE_DATA:
            return say(N_("Request the score again after the platform's next delivery."))
    if due := _due(case):
        return say(
            N_(
                "Assess the seller by other means, or request the score again from %(day)s. A short history alone is "
                "not a sign of risk."
            ),
            day=due,
        )
    if case.never_sold:
        return say(N_("Assess the seller by other means. There are no sales on this platform that could be scored."))
    return say(N_("Assess the seller by other means, and request the score again when there are more sales."))


def _seller_to_do(case: _Case) -> str:
    say = case.translator.translate
    match case.outcome:
        case Outcome.INACTIVE:
            return say(
                N_(
                    "A score is possible once you have sold again on enough days and your marketplace has delivered "
                    "the new orders. If you did sell since then, ask your marketplace why the orders are missing."
                )
            )
        case Outcome.INSUFFICIENT_DATA:
            return say(N_("Ask your marketplace to deliver the missing data. Your score follows the day after."))
        case Outcome.STALE_DATA:
            return say(
                N_("You do not need to do anything. If no new data arrive within a few days, ask your marketplace why.")
            )
    if due := _due(case):
        return say(N_("If you keep selling, you get a score from %(day)s."), day=due)
    if case.never_sold:
        return say(N_("Your score appears some months after your first sale."))
    return say(N_("Your score appears when there are sales on enough days."))
