"""Labelled rows as the fit takes them, and the two ways to leave some of them out: the latest, or a fold of sellers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from training.columns import Columns
from training.dataset import LEAST_OF_A_CLASS
from training.errors import LabelError

if TYPE_CHECKING:
    import pandas as pd

    from training.dataset import Dataset

Part = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Places of the rows to learn from, and of those left out."""


@dataclass(frozen=True)
class Sample:
    """Rows to learn from.

    Attributes:
        columns: what the matrix shows.
        matrix: shape (rows, columns), without missing values.
        bad: 1.0 where the loan went bad, else 0.0.
        sellers: a number for the seller of each row.
        days: the day of each row's midnight, or None where time says nothing.
    """

    columns: Columns
    matrix: NDArray[np.float64] = field(repr=False)
    bad: NDArray[np.float64] = field(repr=False)
    sellers: NDArray[np.int64] = field(repr=False)
    days: NDArray[np.int64] | None = field(repr=False)

    @classmethod
    def of(cls, features: pd.DataFrame, bad: pd.Series, sellers: pd.Series, as_of: pd.Series | None = None) -> Sample:
        """Take features, outcomes, sellers and midnights of the same rows in the same order."""
        import pandas as pd

        columns = Columns.of(map(str, features.columns))
        numbers = pd.factorize(sellers)[0]
        days = None if as_of is None else as_of.to_numpy().astype("datetime64[D]").astype(np.int64)
        return cls(columns, columns.matrix(features), bad.to_numpy().astype(np.float64), numbers, days)

    @classmethod
    def of_dataset(cls, dataset: Dataset) -> Sample:
        """Take all rows of a dataset."""
        rows = dataset.rows
        return cls.of(dataset.features, rows["bad"], rows["seller_id"], rows["as_of"])

    def rows(self, places: NDArray[np.int64]) -> Sample:
        """Return the rows at these places; one may be taken more than once."""
        days = None if self.days is None else self.days[places]
        return Sample(self.columns, self.matrix[places], self.bad[places], self.sellers[places], days)

    def later(self, share: float) -> list[Part]:
        """Return one part: the latest `share` of the rows is left out, and earlier rows of other sellers are learnt.

        Nothing where there is no time, or one side has too few loans of a kind to say anything.

        Example: with a share of 0.25 and loans spread evenly over 2023, what is left out is October to December.
        """
        if self.days is None:
            return []
        late = self.days > np.quantile(self.days, 1.0 - share, method="lower")
        early = ~late & ~np.isin(self.sellers, self.sellers[late])
        part = (np.flatnonzero(early), np.flatnonzero(late))
        return [part] if all(self._has_both_kinds(places) for places in part) else []

    def folds(self, count: int, seed: int) -> list[Part]:
        """Return `count` parts, each leaving out other sellers, with about the same share of bad loans.

        Raises:
            LabelError: fewer sellers than folds have bad loans, or good ones.
        """
        from sklearn.model_selection import StratifiedGroupKFold

        for kind, value in (("bad", 1.0), ("good", 0.0)):
            having = len(np.unique(self.sellers[self.bad == value]))
            if having < count:
                raise LabelError(
                    f"The {kind} loans to learn from are of {having} sellers, too few for {count} folds of sellers; "
                    "lower fit.folds, or deliver more sellers."
                )
        splitter = StratifiedGroupKFold(n_splits=count, shuffle=True, random_state=seed)
        return list(splitter.split(self.matrix, self.bad, groups=self.sellers))

    def _has_both_kinds(self, places: NDArray[np.int64]) -> bool:
        bad = int(self.bad[places].sum())
        return min(bad, len(places) - bad) >= LEAST_OF_A_CLASS
