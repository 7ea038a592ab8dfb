"""How features become the columns that LightGBM learns from, so that hiding a value can never pay.

Every column is bound to one direction and a missing value is put at its riskiest end: above all others where risk may
only rise along the column, below all others where it may only fall. A feature with a sign is one column. Since the
model never falls towards the risky end, a row with a value hidden is at least as risky as with any value shown. ADR 13
says what else was tried.

Features of the catalogue that are not scored (`Feature.scored`) have no column: those without one direction, since
nobody could say of their value whether it speaks for or against a seller (ADR 33), and those of which fake orders buy a
better value cheaply (ADR 17). A column of another table without a declared sign is two, bound to either direction,
which together follow any shape.
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
"""Beyond any value of a feature: where a missing one is put."""

_MISSING_GOES_RIGHT: Final = 8
_MISSING_GOES_LEFT: Final = 10
"""LightGBM's `decision_type` of a numeric split: bit 1 sends a missing value left, bits 2 and 3 say that NaN is one."""


@dataclass(frozen=True)
class Columns:
    """Which feature each column shows, and in which direction risk may move along it.

    Attributes:
        features: the names of the features, in their order.
        shows: the place of the feature behind each column.
        signs: +1 where risk may only rise along the column, -1 where it may only fall.

    Example:
        >>> columns = Columns.of(["return_rate_90d", "visits_90d", "settled_net_sales_90d"])
        >>> columns.shows, columns.signs
        ((0, 2), (1, -1))

    Visits have no declared direction, so that no column shows them.
    """

    features: tuple[str, ...]
    shows: tuple[int, ...]
    signs: tuple[int, ...]

    @classmethod
    def of(
        cls,
        features: Iterable[str],
        signs: Mapping[str, int] = CATALOGUE_SIGNS,
        not_scored: Collection[str] = NOT_SCORED,
    ) -> Columns:
        """Return the columns of features with these signs, the catalogue's if none are given; one without has two.

        Features named in `not_scored` have no column.
        """
        names = tuple(features)
        bound = [
            (place, sign)
            for place, name in enumerate(names)
            if name not in not_scored
            for sign in _directions(signs.get(name, 0))
        ]
        return cls(names, tuple(place for place, _ in bound), tuple(sign for _, sign in bound))

    @classmethod
    def of_dataset(cls, dataset: Dataset) -> Columns:
        """Return the columns of a dataset's features."""
        return cls.of(map(str, dataset.features.columns), dataset.signs, dataset.not_scored)

    def subset(self, places: Sequence[int]) -> Columns:
        """Return some of the columns; the features stay, those without a column as features that no model reads."""
        return Columns(
            self.features, tuple(self.shows[place] for place in places), tuple(self.signs[place] for place in places)
        )

    @property
    def shown(self) -> frozenset[str]:
        """The names of the features that have a column."""
        return frozenset(self.features[place] for place in self.shows)

    def matrix(self, features: pd.DataFrame) -> NDArray[np.float64]:
        """Return the columns of some rows, missing values at the riskiest end.

        Args:
            features: a float64 column for each of `features`, in their order.
        """
        columns: NDArray[np.float64] = features.to_numpy()[:, self.shows]
        np.copyto(columns, np.array(self.signs) * FARTHEST, where=np.isnan(columns))
        return columns

    def merge(self, trained: lightgbm.Booster) -> lightgbm.Booster:
        """Return a model of columns as the model of the features themselves.

        Each split asks for the feature behind its column and sends a missing value where its riskiest end went, so
        that the margin of features with NaN is the margin of their columns, to the bit.
        """
        import lightgbm

        text = "\n".join(self._lines(trained.model_to_string().splitlines()))
        return lightgbm.Booster(model_str=text)

    def _lines(self, lines: Sequence[str]) -> Iterator[str]:
        columns: list[int] = []
        for line in lines:
            key, separator, rest = line.partition("=")
            match key if separator else "":
                case "tree_sizes":  # without it LightGBM looks for the trees itself
                    continue
                case "split_feature":
                    columns = [int(column) for column in rest.split()]
                    yield f"split_feature={_listed(self.shows[column] for column in columns)}"
                case "decision_type":
                    yield f"decision_type={_listed(self._decision(column) for column in columns)}"
                case "max_feature_idx":
                    yield f"max_feature_idx={len(self.features) - 1}"
                case "feature_names":
                    yield f"feature_names={_listed(self.features)}"
                case "monotone_constraints":
                    yield f"monotone_constraints={_listed(self._bound(place) for place in range(len(self.features)))}"
                case "feature_infos":
                    ranges = re.findall(r"\[[^]]*\]|none", rest)
                    seen = dict(zip(self.shows, ranges, strict=True))
                    yield f"feature_infos={_listed(seen.get(n, 'none') for n in range(len(self.features)))}"
                case _:
                    yield line

    def _decision(self, column: int) -> int:
        return _MISSING_GOES_RIGHT if self.signs[column] > 0 else _MISSING_GOES_LEFT

    def _bound(self, place: int) -> int:
        signs = [sign for shown, sign in zip(self.shows, self.signs, strict=True) if shown == place]
        return signs[0] if len(signs) == 1 else 0


def _directions(sign: int) -> tuple[int, ...]:
    return (sign,) if sign else (1, -1)


def _listed(items: Iterable[object]) -> str:
    return " ".join(map(str, items))
