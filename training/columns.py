"""LightGBM columns: one per feature and direction, with missing values at the riskiest end.

Each column has one direction. A missing value is placed above all others if risk rises along the column, and below all
others if it falls. Risk never falls towards that end, so a row with a missing value is at least as risky as with any
value: withholding never pays. ADR 13 lists the alternatives.

A feature with a sign is one column. Features of the catalogue that are not scored (`Feature.scored`) have no column:
those without one direction (ADR 33) and those that fake orders improve cheaply (ADR 17). A column of another table
without a declared sign becomes two columns, one for each direction; together they follow any shape.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from training.dataset import CATALOGUE_SIGNS, NOT_SCORED, Dataset

if TYPE_CHECKING:
    import lightgbm
    import pandas as pd

FARTHEST: Final = 1e30
"""Value of a missing feature, times the sign of the column; larger than any feature value. `table_request` excludes
columns with larger values."""

_MISSING_GOES_RIGHT: Final = 8
_MISSING_GOES_LEFT: Final = 10
"""LightGBM's `decision_type` of a numeric split: bit 1 sends missing values left, bits 2 and 3 mark NaN as missing."""


@dataclass(frozen=True)
class Columns:
    """The feature and the direction of each column.

    Attributes:
        features: names of the features, in their order.
        feature_of: for each column, the index of its feature.
        signs: +1 if risk only rises along the column, -1 if it only falls.

    Example:
        >>> columns = Columns.of(["return_rate_90d", "visits_90d", "settled_net_sales_90d"])
        >>> columns.feature_of, columns.signs
        ((0, 2), (1, -1))

    Visits have no declared direction and therefore no column.
    """

    features: tuple[str, ...]
    feature_of: tuple[int, ...]
    signs: tuple[int, ...]

    @classmethod
    def of(
        cls,
        features: Iterable[str],
        signs: Mapping[str, int] = CATALOGUE_SIGNS,
        not_scored: Collection[str] = NOT_SCORED,
    ) -> Columns:
        """Return the columns of features; a feature without a sign has two, one in `not_scored` has none."""
        names = tuple(features)
        bound = [
            (index, sign)
            for index, name in enumerate(names)
            if name not in not_scored
            for sign in ((signs[name],) if signs.get(name) else (1, -1))
        ]
        return cls(names, tuple(index for index, _ in bound), tuple(sign for _, sign in bound))

    @classmethod
    def of_dataset(cls, dataset: Dataset) -> Columns:
        """Return the columns of a dataset's features."""
        return cls.of(map(str, dataset.features.columns), dataset.signs, dataset.not_scored)

    def subset(self, indexes: Sequence[int]) -> Columns:
        """Return some of the columns, with the same features."""
        feature_of, signs = (tuple(of[index] for index in indexes) for of in (self.feature_of, self.signs))
        return Columns(self.features, feature_of, signs)

    @property
    def read_features(self) -> frozenset[str]:
        """The names of the features that have a column."""
        return frozenset(self.features[index] for index in self.feature_of)

    def matrix(self, features: pd.DataFrame) -> NDArray[np.float64]:
        """Return the columns of some rows, shape (rows, columns), with missing values at the riskiest end.

        Args:
            features: a float64 column for each of `features`, in their order.
        """
        columns: NDArray[np.float64] = features.to_numpy()[:, self.feature_of]
        np.copyto(columns, np.array(self.signs) * FARTHEST, where=np.isnan(columns))
        return columns

    def merge(self, trained: lightgbm.Booster) -> lightgbm.Booster:
        """Return a model of the columns as a model of the features.

        Each split reads the feature of its column and sends a missing value to the riskiest end, so that the margin
        of features with NaN equals the margin of their columns, to the bit.
        """
        import lightgbm

        text = "\n".join(self._rewrite(trained.model_to_string().splitlines()))
        return lightgbm.Booster(model_str=text)

    def _rewrite(self, lines: Sequence[str]) -> Iterator[str]:
        columns: list[int] = []
        for line in lines:
            key, separator, rest = line.partition("=")
            match key if separator else "":
                case "tree_sizes":  # optional: without it LightGBM finds the trees itself
                    continue
                case "split_feature":
                    columns = [int(column) for column in rest.split()]
                    yield f"split_feature={_join(self.feature_of[column] for column in columns)}"
                case "decision_type":
                    yield f"decision_type={_join(self._decision(column) for column in columns)}"
                case "max_feature_idx":
                    yield f"max_feature_idx={len(self.features) - 1}"
                case "feature_names":
                    yield f"feature_names={_join(self.features)}"
                case "monotone_constraints":
                    yield f"monotone_constraints={_join(self._sign_of(index) for index in range(len(self.features)))}"
                case "feature_infos":
                    ranges = re.findall(r"\[[^]]*\]|none", rest)
                    known = dict(zip(self.feature_of, ranges, strict=True))
                    yield f"feature_infos={_join(known.get(n, 'none') for n in range(len(self.features)))}"
                case _:
                    yield line

    def _decision(self, column: int) -> int:
        return _MISSING_GOES_RIGHT if self.signs[column] > 0 else _MISSING_GOES_LEFT

    def _sign_of(self, feature: int) -> int:
        signs = [sign for index, sign in zip(self.feature_of, self.signs, strict=True) if index == feature]
        return signs[0] if len(signs) == 1 else 0


def _join(items: Iterable[object]) -> str:
    return " ".join(map(str, items))
