"""Test predictions: a table with the prediction for each test loan, stored with the run.

With these tables, two models of different catalogues can be compared on the loans that both were tested on. A loan has
a key instead of a seller ID, because more people may read the registry than seller IDs. `loan_keys` computes the same
keys for your own rows.
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
"""Groups of the comparison."""

COLUMNS: Final = (LOAN, "as_of", "bad", "probability", "score", "band", *SEGMENTS)
_KEY_LENGTH: Final = 24


def predict(bundle: Bundle, rows: Dataset) -> pd.DataFrame:
    """Return the predictions of a bundle for rows of its catalogue.

    Returns:
        The columns of `COLUMNS`: the key of the loan, its date and outcome, probability of default, score, band,
        country and size; in the order of the rows.
    """
    matrix = rows.features.to_numpy()
    probability = 0.5 + 0.5 * np.tanh(0.5 * log_odds(bundle, matrix))
    return _table(bundle, rows, probability, scores(bundle, matrix))


def test_predictions(subject: ReviewedModel) -> pd.DataFrame:
    """Return the predictions of the tested model; the column `scorecard` has those of the benchmark."""
    table = _table(subject.bundle, subject.test, subject.probability, subject.score)
    return table.assign(scorecard=subject.scorecard)


def loan_keys(rows: pd.DataFrame) -> pd.Series:
    """Return a key for each labelled row, from its `seller_id`, `as_of` and `bad`: the same in every run.

    Loans of one seller and midnight are numbered, good ones first.

    Example: the key of seller `S-1` as of 2025-01-31 begins with `a4d8`, in every run.
    """
    import pandas as pd

    pair: pd.Series = rows["seller_id"].astype(str) + " " + pd.to_datetime(rows["as_of"]).dt.strftime("%Y-%m-%d")
    sorted_pair = pair[rows["bad"].sort_values(kind="stable").index]
    number = sorted_pair.groupby(sorted_pair).cumcount().reindex(rows.index)
    text: pd.Series = pair + " " + number.astype(str)
    return text.map(_key)


def _key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_KEY_LENGTH]


def shared_loans(ours: pd.DataFrame, theirs: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the predictions of the loans that are in both tables, in the same order."""
    both = ours[ours[LOAN].isin(theirs[LOAN])].reset_index(drop=True)
    return both, theirs.set_index(LOAN).loc[both[LOAN]].reset_index()


def _table(bundle: Bundle, rows: Dataset, probability: NDArray[np.float64], score: NDArray[np.int64]) -> pd.DataFrame:
    groups = group_rows(rows)
    table = rows.rows[["as_of", "bad"]].assign(
        loan=loan_keys(rows.rows),
        probability=probability,
        score=score,
        band=[bundle.policy.bands.of(value) for value in probability.tolist()],
        **{by: groups.get(by, UNKNOWN) for by in SEGMENTS},
    )
    return table[list(COLUMNS)].reset_index(drop=True)
