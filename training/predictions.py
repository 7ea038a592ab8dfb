"""Test predictions: what a model predicted for each loan of a test, as a table that outlives its features.

With it, two models of different catalogues can be compared on the loans that both were tested on. A loan is named by a
key instead of its seller, since more people may read the registry than may read seller IDs; `loan_keys` computes the
same keys for a frame of one's own.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from training.evidence.study import UNKNOWN, group_rows, log_odds, scores

if TYPE_CHECKING:
    import pandas as pd

    from scoring import Bundle
    from training.dataset import Dataset
    from training.evidence.study import ReviewedModel

LOAN: Final = "loan"
SEGMENTS: Final = ("country", "size")
"""The groups by which models are compared."""

COLUMNS: Final = (LOAN, "as_of", "bad", "probability", "score", "band", *SEGMENTS)
_KEY_LENGTH: Final = 24


def predict(bundle: Bundle, rows: Dataset) -> pd.DataFrame:
    """Return the predictions of a bundle for rows of its catalogue.

    Returns:
        The columns of `COLUMNS`: the key of the loan, its midnight and outcome, probability of default, score, band,
        country and size; in the order of the rows.
    """
    matrix = rows.features.to_numpy()
    probability = 0.5 + 0.5 * np.tanh(0.5 * log_odds(bundle, matrix))
    return _table(bundle, rows, probability, scores(bundle, matrix))


def test_predictions(subject: ReviewedModel) -> pd.DataFrame:
    """Return the predictions with which a run measured its model, and in the column `scorecard` the benchmark's."""
    found = _table(subject.bundle, subject.test, subject.probability, subject.score)
    return found.assign(scorecard=subject.scorecard)


def loan_keys(rows: pd.DataFrame) -> pd.Series:
    """Return a key for each labelled row, from its `seller_id`, `as_of` and `bad`: the same in every run.

    Loans of one seller as of one midnight are numbered, those that were repaid first.

    Example: the key of seller `S-1` as of 2025-01-31 begins with `a4d8`, in every run.
    """
    import pandas as pd

    pair: pd.Series = rows["seller_id"].astype(str) + " " + pd.to_datetime(rows["as_of"]).dt.strftime("%Y-%m-%d")
    sorted_pair = pair[rows["bad"].sort_values(kind="stable").index]
    number = sorted_pair.groupby(sorted_pair).cumcount().reindex(rows.index)
    named: pd.Series = pair + " " + number.astype(str)
    return named.map(_key)


def _key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_KEY_LENGTH]


def shared_loans(ours: pd.DataFrame, theirs: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the predictions of the loans that are in both tables, in the same order."""
    both = ours[ours[LOAN].isin(theirs[LOAN])].reset_index(drop=True)
    return both, theirs.set_index(LOAN).loc[both[LOAN]].reset_index()


def _table(bundle: Bundle, rows: Dataset, probability: NDArray[np.float64], score: NDArray[np.int64]) -> pd.DataFrame:
    of_each = group_rows(rows)
    found = rows.rows[["as_of", "bad"]].assign(
        loan=loan_keys(rows.rows),
        probability=probability,
        score=score,
        band=[bundle.policy.bands.of(each) for each in probability.tolist()],
        **{by: of_each.get(by, UNKNOWN) for by in SEGMENTS},
    )
    return found[list(COLUMNS)].reset_index(drop=True)
