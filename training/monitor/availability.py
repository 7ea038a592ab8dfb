"""Availability: whether requests get a score, whether anything was scored at all, and how old the data are.

A score measures the age of tables on the day of its request. Without requests, a stop of deliveries stays unnoticed, so
monitoring compares the tables with today. Without any score the other studies have no result, which must not look like
a good result.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import date
from typing import TYPE_CHECKING, Final

from scoring import Outcome
from training.config import Threshold
from training.evidence.limits import shares
from training.evidence.metrics import Estimate, build_table
from training.evidence.study import Finding
from training.monitor.score_log import SCORED, month_of

if TYPE_CHECKING:
    import pandas as pd

    from scoring import Bundle
    from training.config import FreshnessThresholds
    from training.monitor.subject import MonitoredModel

BY_MONTH: Final = "Answers by month"
BY_TABLE: Final = "Age by table"

UNUSABLE: Final = (Outcome.INSUFFICIENT_DATA, Outcome.STALE_DATA)
"""Outcomes without a score because of the data, not because of the seller."""

_OUTCOME_TABLES: Final = ("loans", "instalments", "payments")
_SCORES, _OUTCOMES, _NEITHER = "scores", "outcomes", "neither"
"""What a table is needed for."""

_LACKING, _STALE = "lacking", "stale"
_NO_SCORES: Final = (
    "Scores come from POST /v1/scores, or from a file of `sellerscore score-portfolio` with --portfolio. Check that "
    "the service runs and uses this state folder."
)


def request_outcomes(monitored: MonitoredModel) -> Finding:
    """Count assessments by outcome, one for each seller and midnight."""
    recent, limits = monitored.recent, monitored.config.drift
    unusable = Estimate.share(int(recent["outcome"].isin(UNUSABLE).sum()), len(recent)) if len(recent) else None
    alarms = []
    if unusable is not None and Threshold(upper=limits.unusable_share_most).is_breached(unusable):
        alarms.append(
            f"{shares(unusable)} of the assessments of the last {limits.days} days have no score because data are "
            f"missing or stale. Threshold: at most {limits.unusable_share_most:.0%}."
        )
    return Finding(
        "answers",
        "Availability of scores",
        _outcomes_summary(monitored, unusable),
        figures={
            "given": float(len(monitored.scores)),
            "recent": float(len(recent)),
            "in_force": float(count_valid(monitored)),
            **(unusable.figures("unusable_share") if unusable is not None else {}),
        },
        tables={BY_MONTH: by_month(monitored.scores)},
        alarms=tuple(alarms),
    )


def count_valid(monitored: MonitoredModel) -> int:
    """Return the number of scores that are still valid at the midnight of today."""
    import pandas as pd

    scores = monitored.scores
    ends = scores["as_of"] + pd.to_timedelta(scores["valid_days"], unit="D")
    return int(((ends > pd.Timestamp(monitored.today)) & (scores["outcome"] == SCORED)).sum())


def by_month(scores: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each month of `as_of`: assessments, sellers, the share of each outcome, and the age of the data.

    `days_old` is the median number of days from `as_of` to the request; missing if no request has a time.
    """
    return build_table(
        {
            "month": month,
            "answers": len(part),
            "sellers": part["seller_id"].nunique(),
            **{outcome.value: float((part["outcome"] == outcome).mean()) for outcome in Outcome},
            "days_old": float((part["scored_at"] - part["as_of"]).dt.total_seconds().median() / 86_400),
        }
        for month, part in scores.groupby(month_of(scores["as_of"]))
    )


def _outcomes_summary(monitored: MonitoredModel, unusable: Estimate | None) -> str:
    scores, days = monitored.scores, monitored.config.drift.days
    first, last = (scores["as_of"].agg(end).date() for end in ("min", "max"))
    scored = float((scores["outcome"] == SCORED).mean())
    if unusable is None:
        unused = "" if monitored.in_use else " The model is not in use, so its alarms are shown but not counted."
        recent = f"None is from the last {days} days.{unused}"
    else:
        recent = (
            f"{shares(unusable)} of the {len(monitored.recent):,} assessments of the last {days} days have no score "
            "because data are missing or stale."
        )
    return (
        f"{len(scores):,} assessments of {scores['seller_id'].nunique():,} sellers, as of {first} to {last}; "
        f"{scored:.1%} have a score. {recent} Several requests for one seller and midnight count once."
    )


def freshness(
    covers_through: Mapping[str, date],
    today: date,
    bundle: Bundle | None,
    thresholds: FreshnessThresholds,
    *,
    by_store: bool = False,
) -> Finding:
    """Compare the age of every table with its threshold; a table that is complete beyond today has the age 0.

    If coverage differs `by_store`, the days are those of the stores with the newest data. The champion's bundle, if
    there is one, names the tables that scores need and their largest age.
    """
    ages = _ages(covers_through, today, bundle, thresholds)
    newest = (
        " The days are those of the stores with the newest data; the data of others end earlier." if by_store else ""
    )
    oldest = ages.groupby("needed_for")["days_old"].max().dropna()
    days = {"oldest_days": oldest.get(_SCORES), "outcomes_days": oldest.get(_OUTCOMES)}
    stale = int(ages["state"].isin([_STALE, _LACKING]).sum())
    return Finding(
        "freshness",
        "Freshness of the data",
        f"{stale} of {len(ages)} tables are stale or missing on {today}. {_allowed(bundle)}.{newest}",
        figures={"stale_tables": float(stale), **{name: value for name, value in days.items() if value is not None}},
        tables={BY_TABLE: ages} if len(ages) else {},
        alarms=tuple(_freshness_alarms(ages)),
    )


def _ages(
    covers_through: Mapping[str, date], today: date, bundle: Bundle | None, thresholds: FreshnessThresholds
) -> pd.DataFrame:
    needed: tuple[str, ...] = ()
    if bundle is not None:
        # features of an optional table that was never delivered are missing, not stale
        delivered = [name for name in bundle.sheet.optional_tables if name in covers_through]
        needed = (*bundle.sheet.required_tables, *delivered)
    most = {
        _SCORES: bundle.sheet.max_age_days if bundle is not None else math.nan,
        _OUTCOMES: thresholds.outcome_days_most,
        _NEITHER: math.nan,
    }
    uses = {name: _use(name, needed) for name in {*covers_through, *needed}}
    rows = []
    for name, use in sorted(uses.items(), key=lambda item: (list(most).index(item[1]), item[0])):
        through = covers_through.get(name)
        days, allowed = math.nan if through is None else float(max(0, (today - through).days)), float(most[use])
        rows.append(
            {
                "table": name,
                "needed_for": use,
                "complete_through": "never delivered" if through is None else through.isoformat(),
                "days_old": days,
                "allowed": allowed,
                "state": _state(days, allowed),
            }
        )
    return build_table(rows, ["table", "needed_for", "complete_through", "days_old", "allowed", "state"])


def _use(table: str, needed: tuple[str, ...]) -> str:
    if table in needed:
        return _SCORES
    return _OUTCOMES if table in _OUTCOME_TABLES else _NEITHER


def _state(days: float, allowed: float) -> str:
    if math.isnan(days):  # only a table that scores need is listed without a delivery
        return _LACKING
    if math.isnan(allowed):
        return "no limit"
    return _STALE if days > allowed else "fresh"


def _freshness_alarms(ages: pd.DataFrame) -> Iterator[str]:
    if missing := ages.loc[ages["state"] == _LACKING, "table"].tolist():
        yield f"Scores need {', '.join(missing)}, never delivered. Every request returns insufficient_data."
    for use, tables in ((_SCORES, "Tables for scores"), (_OUTCOMES, "Outcome tables")):
        late = ages[(ages["state"] == _STALE) & (ages["needed_for"] == use)]
        if len(late):
            named = ", ".join(f"{row.table} {row.days_old:.0f} days" for row in late.itertuples())
            yield f"{tables} are older than the {late['allowed'].iloc[0]:.0f} days allowed: {named}."


def _allowed(bundle: Bundle | None) -> str:
    if bundle is None:
        return "There is no champion, so no largest age is known for the tables that scores need"
    return f"The champion allows {bundle.sheet.max_age_days} days for the tables that scores need"


def period(scores: pd.DataFrame, today: date, days: int) -> Finding:
    """Count the assessments, and those with a score, in the analysis period, for all models together.

    Example: without requests for a month and with `days` of 30, the figures are `answers` 0 and `scored` 0.
    """
    import pandas as pd

    recent = scores[scores["as_of"] > pd.Timestamp(today) - pd.Timedelta(days=days)]
    scored = int((recent["outcome"] == SCORED).sum())
    if scored:
        summary = f"{scored:,} of {len(recent):,} assessments of the last {days} days have a score."
    elif len(recent):
        summary = f"Nothing was scored: none of {len(recent):,} assessments of the last {days} days has a score."
    elif len(scores):
        last = scores["as_of"].max().date()
        summary = (
            f"Nothing was scored in the last {days} days; the latest assessment is as of {last}. The results below are "
            f"about older scores. {_NO_SCORES}"
        )
    else:
        summary = (
            f"There is no score as of {today} or earlier. Only the freshness of the data is monitored. {_NO_SCORES}"
        )
    return Finding(
        "period", "Scores in the analysis period", summary, {"answers": float(len(recent)), "scored": float(scored)}
    )
