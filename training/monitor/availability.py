"""What became of requests: with a score or without, month by month.

How old the data are: up to which midnight each table is complete, against today.

A score compares tables with its own midnight and never with a clock, so that it can be replayed; that all tables stop
at once is for whoever runs the service to see, and here is where they see it.

Was anything scored at all? Where nothing was, every other study is silent, and silence must not read as health.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from scoring import Outcome
from training.evidence.metrics import Estimate
from training.evidence.statistics import wilson_interval
from training.evidence.study import Finding
from training.monitor.score_log import SCORED, months

if TYPE_CHECKING:
    import pandas as pd

    from scoring import Bundle
    from training.monitor.config import FreshnessLimits
    from training.monitor.subject import MonitoredModel


BY_MONTH: Final = "Answers by month"


UNUSABLE: Final = (Outcome.INSUFFICIENT_DATA, Outcome.STALE_DATA)
"""Answers without a number that are the data's fault, not a young seller's lot."""


_OUTCOMES_TITLE: Final = "Who got a score?"


def request_outcomes(watched: MonitoredModel) -> Finding:
    """Count answers by outcome, each seller and midnight once."""
    scores, recent = watched.scores, watched.recent
    lacking = recent["outcome"].isin(UNUSABLE)
    share = _share(int(lacking.sum()), len(recent)) if len(recent) else None
    limit = watched.config.drift.unusable_share_most
    alarm = ""
    if share is not None and share.low > limit:
        alarm = (
            f"Of answers as of the last {watched.config.drift.days} days {_percent(share)} lack a number because data "
            f"are withheld or stale, surely more than {limit:.0%}."
        )
    return Finding(
        "answers",
        _OUTCOMES_TITLE,
        _outcomes_summary(watched, share),
        figures={
            "given": float(len(scores)),
            "recent": float(len(recent)),
            "in_force": float(in_force(watched)),
            **(share.figures("unusable_share") if share is not None else {}),
        },
        tables={BY_MONTH: by_month(scores)},
        alarms=(alarm,) if alarm else (),
    )


def in_force(watched: MonitoredModel) -> int:
    """Return how many answers with a score have not expired at the midnight of today, counted from their own."""
    import pandas as pd

    scores = watched.scores
    ends = scores["as_of"] + pd.to_timedelta(scores["valid_days"], unit="D")
    return int(((ends > pd.Timestamp(watched.today)) & (scores["outcome"] == Outcome.SCORED)).sum())


def by_month(scores: pd.DataFrame) -> pd.DataFrame:
    """Return a line a month of as_of: answers, sellers, the share of each outcome, and how old the data were.

    `days_old` is the median of days from as_of to the request, missing where no request has a time.
    """
    import pandas as pd

    lines = []
    for month, part in scores.groupby(months(scores["as_of"])):
        shares = {outcome.value: float((part["outcome"] == outcome).mean()) for outcome in Outcome}
        age = (part["scored_at"] - part["as_of"]).dt.total_seconds().median() / 86_400
        counts = {"answers": len(part), "sellers": part["seller_id"].nunique()}
        lines.append({"month": month, **counts, **shares, "days_old": float(age)})
    return pd.DataFrame(lines, columns=["month", "answers", "sellers", *(each.value for each in Outcome), "days_old"])


def _share(hits: int, rows: int) -> Estimate:
    low, high = (float(end) for end in wilson_interval(hits, rows))
    return Estimate(hits / rows, low, high)


def _percent(share: Estimate) -> str:
    return f"{share.value:.1%} ({share.low:.1%} to {share.high:.1%})"


def _outcomes_summary(watched: MonitoredModel, share: Estimate | None) -> str:
    scores = watched.scores
    scored = float((scores["outcome"] == Outcome.SCORED).mean())
    asleep = "" if watched.in_use else " The model is not in use, so its alarms are shown and not counted."
    lately = (
        f"None is as of the last {watched.config.drift.days} days.{asleep}"
        if share is None
        else f"Of the {len(watched.recent):,} as of the last {watched.config.drift.days} days, {_percent(share)} lack "
        "a number because data are withheld or stale."
    )
    first, last = (scores["as_of"].agg(end).date() for end in ("min", "max"))
    return (
        f"{len(scores):,} answers to {scores['seller_id'].nunique():,} sellers, as of {first} to {last}; {scored:.1%} "
        f"with a score. {lately} A seller who was asked about several times as of one midnight counts once."
    )


BY_TABLE: Final = "Age by table"


_OUTCOMES: Final = ("loans", "instalments", "payments")


_FRESHNESS_TITLE: Final = "How old are the data?"


class Use(StrEnum):
    """What a table is there for."""

    SCORES = "scores"
    OUTCOMES = "outcomes"
    NEITHER = "neither"


@dataclass(frozen=True)
class TableAge:
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
        _FRESHNESS_TITLE,
        _freshness_summary(found, today, bundle),
        figures=figures,
        tables={BY_TABLE: _table(found)} if found else {},
        alarms=tuple(_alarms(stale)),
    )


def _ages(
    covers_through: Mapping[str, date], today: date, bundle: Bundle | None, limits: FreshnessLimits
) -> Iterator[TableAge]:
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
        yield TableAge(name, use, through, days, allowed[use])


def _use(table: str, needed: tuple[str, ...]) -> Use:
    if table in needed:
        return Use.SCORES
    return Use.OUTCOMES if table in _OUTCOMES else Use.NEITHER


def _alarms(stale: list[TableAge]) -> Iterator[str]:
    lacking = [each.table for each in stale if each.days is None]
    if lacking:
        yield f"Scores need {', '.join(lacking)}, which never came: every answer is insufficient_data."
    for use, words in ((Use.SCORES, "Data that scores rest on"), (Use.OUTCOMES, "Outcomes")):
        late = [each for each in stale if each.use is use and each.days is not None]
        if late:
            named = ", ".join(f"{each.table} {each.days} days" for each in late)
            yield f"{words} are older than the {late[0].most} days allowed: {named}."


def _table(found: list[TableAge]) -> pd.DataFrame:
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


def _freshness_summary(found: list[TableAge], today: date, bundle: Bundle | None) -> str:
    judged = (
        f"The model in force allows {bundle.sheet.max_age_days} days for the tables that scores rest on"
        if bundle is not None
        else "No model is in force, so nobody says how old the tables that scores rest on may be"
    )
    return (
        f"Asked: is every table complete up to the midnight of {today}? {judged}. "
        f"{sum(each.stale for each in found)} of {len(found)} tables are stale or lacking."
    )


_PERIOD_TITLE: Final = "Was anything scored?"


_FROM: Final = (
    "Scores come from POST /v1/scores, or from a file of `sellerscore score-portfolio` with --portfolio; a service "
    "that should have given some may be down, or write elsewhere."
)


def period(scores: pd.DataFrame, today: date, days: int) -> Finding:
    """Count the answers, and those with a score, as of the last days up to today, of all models together.

    Example: of a service that nobody asked for a month, with `days` of 30, the figures are `answers` 0 and `scored` 0.

    Args:
        scores: a frame of `ledger.SCORES` as `ledger.until` returns it.
        today: the midnight of monitoring.
        days: how many days are looked at.
    """
    import pandas as pd

    recent = scores[scores["as_of"] > pd.Timestamp(today) - pd.Timedelta(days=days)]
    scored = int((recent["outcome"] == SCORED).sum())
    figures = {"answers": float(len(recent)), "scored": float(scored)}
    return Finding("period", _PERIOD_TITLE, _period_summary(scores, (len(recent), scored), today, days), figures)


def _period_summary(scores: pd.DataFrame, counts: tuple[int, int], today: date, days: int) -> str:
    answers, scored = counts
    if scored:
        return f"{answers:,} answers are as of the last {days} days, {scored:,} of them with a score."
    if answers:
        return f"Nothing was scored: of {answers:,} answers as of the last {days} days none carries a score."
    if not len(scores):
        return f"No score is known as of {today} or earlier, so nothing but the age of the data is monitored. {_FROM}"
    last = scores["as_of"].max().date()
    return (
        f"Nothing was scored as of the last {days} days; the latest answer is as of {last}. What was found below is of "
        f"older scores. {_FROM}"
    )
