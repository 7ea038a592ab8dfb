"""Which score a loan was given on.

A loan belongs to the latest score of its seller, by the same model, that was valid on the day of its disbursement: from
`as_of` on (the midnight that begins that day included, which is how training rows are made) and for as many days as the
score may be relied on. So a score meets no loan before its midnight, none after it expired, and several where several
were paid out meanwhile; a loan meets one score of each model at most, however often its seller was scored.

The days of validity count from `as_of` and not from the request: a number speaks of the seller as of then. Where a
request comes days after its midnight, loans of the last such days of its validity go unmatched, and are counted so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from training.monitor.ledger import SCORED, months

if TYPE_CHECKING:
    import pandas as pd


def matched(scores: pd.DataFrame, loans: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each loan that met a score of one model.

    Example: a score as of 2025-03-01 that is valid for 30 days meets loans of 2025-03-01 to 2025-03-30.

    Args:
        scores: of one model, a frame of `ledger.SCORES` as `ledger.until` returns it; those without a number meet none.
        loans: `Outcomes.loans`.

    Returns:
        The loans' columns, `score_id`, `as_of`, `score` and `probability_of_default` of the score, and its `vintage`
        (the month of as_of), by day and seller.
    """
    import pandas as pd

    numbered = scores.loc[
        scores["outcome"] == SCORED, ["score_id", "seller_id", "as_of", "valid_days", "score", "probability_of_default"]
    ]
    pairs = loans.assign(loan=range(len(loans))).merge(numbered, on="seller_id")
    age = pairs["day"] - pairs["as_of"]
    valid = pairs[(age >= pd.Timedelta(0)) & (age < pd.to_timedelta(pairs["valid_days"], unit="D"))]
    latest = valid.sort_values(["loan", "as_of"]).drop_duplicates("loan", keep="last")
    found = latest.drop(columns=["loan", "valid_days"]).reset_index(drop=True)
    return found.assign(vintage=months(found["as_of"]))
