"""What became of requests: with a score or without, month by month."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from scoring import Outcome
from training.evidence.finding import Finding
from training.evidence.intervals import wilson
from training.evidence.metrics import Estimate
from training.monitor.ledger import months

if TYPE_CHECKING:
    import pandas as pd

    from training.monitor.watched import Watched

BY_MONTH: Final = "Answers by month"
UNUSABLE: Final = (Outcome.INSUFFICIENT_DATA, Outcome.STALE_DATA)
"""Answers without a number that are the data's fault, not a young seller's lot."""

_TITLE: Final = "Who got a score?"


def answers(watched: Watched) -> Finding:
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
        _TITLE,
        _said(watched, share),
        figures={
            "given": float(len(scores)),
            "recent": float(len(recent)),
            "in_force": float(in_force(watched)),
            **(share.figures("unusable_share") if share is not None else {}),
        },
        tables={BY_MONTH: by_month(scores)},
        alarms=(alarm,) if alarm else (),
    )


def in_force(watched: Watched) -> int:
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
    low, high = (float(end) for end in wilson(hits, rows))
    return Estimate(hits / rows, low, high)


def _percent(share: Estimate) -> str:
    return f"{share.value:.1%} ({share.low:.1%} to {share.high:.1%})"


def _said(watched: Watched, share: Estimate | None) -> str:
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
