"""The scores that were given, as monitoring reads them: who hands them over, in what form, and which of them count.

Training may not read the service's database. `sellerscore.py`, which knows both, hands over what is asked for here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pandas as pd

    from scoring import Bundle

SCORES: Final = {
    "score_id": "id of the score, unique",
    "model": "digest of the bundle that made it, such as sha256:9b02...",
    "seller_id": "whom it is of",
    "as_of": "datetime64, the midnight that it speaks of",
    "scored_at": "datetime64 in UTC, when it was made; missing where nobody knows",
    "valid_days": "float, for how many days it may be relied on",
    "outcome": "`scored`, or why there is no number",
    "score": "float, whole points; missing where there is no number",
    "probability_of_default": "float; missing where there is no number",
    "values": "float64 array of the features in the order of the bundle's sheet, NaN missing; None where not kept",
}
"""Columns of a frame of scores given, and what each holds."""

SHADOW: Final = {
    "score_id": "id of the score that was given for the same request",
    "model": "digest of the challenger's bundle",
    "outcome": "as in scores",
    "score": "as in scores",
    "probability_of_default": "as in scores",
}
"""Columns of a frame of a challenger's scores, which nobody was given."""

SCORED: Final = "scored"


@dataclass(frozen=True)
class Ledger:
    """What the service keeps. Each part is asked for when it is needed, since it may be large or not there.

    Attributes:
        scores: returns a frame of `SCORES`, empty where no score was ever given.
        shadow: returns a frame of `SHADOW`.
        bundle: returns the bundle with a digest, None where the service keeps none.
        champion: returns the bundle in force, None where there is none.
    """

    scores: Callable[[], pd.DataFrame]
    shadow: Callable[[], pd.DataFrame]
    bundle: Callable[[str], Bundle | None]
    champion: Callable[[], Bundle | None]


def until(scores: pd.DataFrame, today: date) -> pd.DataFrame:
    """Return the scores as of today or earlier, oldest first, each seller and midnight once a model.

    An assessment is a function of vector and bundle: who is asked about twice as of one midnight, by two banks or in
    two files, has one score, and counts once. Where data came in between, the later one stands. The clock of
    everything here is `as_of`, so that a replay, and scores made afterwards for an earlier midnight, count where they
    belong.

    Args:
        scores: a frame of `SCORES`.
        today: the midnight of monitoring.
    """
    import pandas as pd

    # a frame without a number in a column does not know that it holds numbers
    typed = scores.astype(dict.fromkeys(("score", "probability_of_default", "valid_days"), float))
    typed = typed.astype(dict.fromkeys(("as_of", "scored_at"), "datetime64[us]"))
    known = typed[typed["as_of"] <= pd.Timestamp(today)]
    ordered = known.sort_values(["as_of", "seller_id", "scored_at", "score_id"], na_position="first")
    return ordered.drop_duplicates(["model", "seller_id", "as_of"], keep="last", ignore_index=True)


def months(as_of: pd.Series) -> pd.Series:
    """Return the month of each midnight, by which scores are gathered: `2026-01`."""
    named: pd.Series = as_of.dt.strftime("%Y-%m")
    return named
