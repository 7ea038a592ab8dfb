"""How old the data are: up to which midnight each table is complete, against today.

A score compares tables with its own midnight and never with a clock, so that it can be replayed; that all tables stop
at once is for whoever runs the service to see, and here is where they see it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from training.evidence.finding import Finding

if TYPE_CHECKING:
    import pandas as pd

    from scoring import Bundle
    from training.monitor.config import FreshnessLimits

BY_TABLE: Final = "Age by table"
_OUTCOMES: Final = ("loans", "instalments", "payments")
_TITLE: Final = "How old are the data?"


class Use(StrEnum):
    """What a table is there for."""

    SCORES = "scores"
    OUTCOMES = "outcomes"
    NEITHER = "neither"


@dataclass(frozen=True)
class Age:
    """A table's age in days, None where it was never delivered, and the most that is allowed, None for no limit."""

    table: str
    use: Use
    through: date | None
    days: int | None
    most: int | None

    @property
    def stale(self) -> bool:
        """Whether it is older than allowed, or lacking where scores need it."""
        if self.days is None:
            return self.use is Use.SCORES
        return self.most is not None and self.days > self.most

    @property
    def state(self) -> str:
        """The same in a word."""
        if self.stale:
            return "lacking" if self.days is None else "stale"
        return "no limit" if self.most is None else "fresh"


def freshness(
    covers_through: Mapping[str, date], today: date, bundle: Bundle | None, limits: FreshnessLimits
) -> Finding:
    """Judge the age of every table at the midnight of today.

    Args:
        covers_through: the midnight through which each delivered table is complete.
        today: the midnight of monitoring; what is complete beyond it has no age.
        bundle: the model in force, which says what tables scores need and how old those may be; None where there is
            none, so that nobody can say.
        limits: of the tables of outcomes.
    """
    found = list(_ages(covers_through, today, bundle, limits))
    stale = [each for each in found if each.stale]
    of_scores = [each.days for each in found if each.use is Use.SCORES and each.days is not None]
    of_outcomes = [each.days for each in found if each.use is Use.OUTCOMES and each.days is not None]
    figures = {"stale_tables": float(len(stale))}
    for name, days in (("oldest_days", of_scores), ("outcomes_days", of_outcomes)):
        figures |= {name: float(max(days))} if days else {}
    return Finding(
        "freshness",
        _TITLE,
        _said(found, today, bundle),
        figures=figures,
        tables={BY_TABLE: _table(found)} if found else {},
        alarms=tuple(_alarms(stale)),
    )


def _ages(
    covers_through: Mapping[str, date], today: date, bundle: Bundle | None, limits: FreshnessLimits
) -> Iterator[Age]:
    needed: tuple[str, ...] = ()
    if bundle is not None:
        # without an optional table that never came, scores take what rests on it as missing
        delivered = [name for name in bundle.sheet.optional_tables if name in covers_through]
        needed = (*bundle.sheet.required_tables, *delivered)
    names = sorted({*covers_through, *needed}, key=lambda name: (list(Use).index(_use(name, needed)), name))
    for name in names:
        use = _use(name, needed)
        through = covers_through.get(name)
        days = None if through is None else max(0, (today - through).days)
        allowed = {
            Use.SCORES: bundle.sheet.max_age_days if bundle is not None else None,
            Use.OUTCOMES: limits.outcome_days_most,
            Use.NEITHER: None,
        }
        yield Age(name, use, through, days, allowed[use])


def _use(table: str, needed: tuple[str, ...]) -> Use:
    if table in needed:
        return Use.SCORES
    return Use.OUTCOMES if table in _OUTCOMES else Use.NEITHER


def _alarms(stale: list[Age]) -> Iterator[str]:
    lacking = [each.table for each in stale if each.days is None]
    if lacking:
        yield f"Scores need {', '.join(lacking)}, which never came: every answer is insufficient_data."
    for use, words in ((Use.SCORES, "Data that scores rest on"), (Use.OUTCOMES, "Outcomes")):
        late = [each for each in stale if each.use is use and each.days is not None]
        if late:
            named = ", ".join(f"{each.table} {each.days} days" for each in late)
            yield f"{words} are older than the {late[0].most} days allowed: {named}."


def _table(found: list[Age]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "table": each.table,
                "needed_for": each.use.value,
                "complete_through": "never came" if each.through is None else each.through.isoformat(),
                "days_old": float("nan") if each.days is None else float(each.days),
                "allowed": float("nan") if each.most is None else float(each.most),
                "state": each.state,
            }
            for each in found
        ]
    )


def _said(found: list[Age], today: date, bundle: Bundle | None) -> str:
    judged = (
        f"The model in force allows {bundle.sheet.max_age_days} days for the tables that scores rest on"
        if bundle is not None
        else "No model is in force, so nobody says how old the tables that scores rest on may be"
    )
    return (
        f"Asked: is every table complete up to the midnight of {today}? {judged}. "
        f"{sum(each.stale for each in found)} of {len(found)} tables are stale or lacking."
    )
