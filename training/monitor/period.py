"""Was anything scored at all? Where nothing was, every other study is silent, and silence must not read as health."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Final

from training.evidence.finding import Finding
from training.monitor.ledger import SCORED

if TYPE_CHECKING:
    import pandas as pd

_TITLE: Final = "Was anything scored?"
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
    return Finding("period", _TITLE, _said(scores, (len(recent), scored), today, days), figures)


def _said(scores: pd.DataFrame, counts: tuple[int, int], today: date, days: int) -> str:
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
