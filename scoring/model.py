"""The LightGBM model of a bundle, and the calibration that converts its raw margin to log-odds of default."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal

from scoring.errors import BundleError, FeatureSheetError, TableTooLargeError
from scoring.kernel.groups import plan
from scoring.kernel.tables import Tables, build
from scoring.kernel.trees import MISSING_LEFT, Tree, read_trees
from scoring.sheet import FeatureSheet

if TYPE_CHECKING:
    import lightgbm

_RISKIEST: Final = {1: {"right"}, -1: {"left"}, 0: {"left", "right"}}
"""Sides to which splits may send a missing value, by the feature's sign; larger values go right."""

_MAX_CALIBRATION: Final = 1e3
"""Upper limit of slope and intercept; above it points would overflow."""

_NAN_IS_MISSING: Final = 8
"""Bit of a split's `decision`; a split without it treats NaN as zero."""

_SIZES: Final = re.compile(r"^tree_sizes=.*\n", re.MULTILINE)
"""Byte sizes of the trees in the text. LightGBM does without the line; a wrong size would crash the process."""

ExplainedBy = Literal["tables", "pred_contrib"]
"""How contributions are computed: looked up in precomputed tables, or by LightGBM for every row."""


@dataclass(frozen=True)
class Calibration:
    """An affine function in log-odds: `ln(pd / (1 - pd)) = intercept + slope * raw_margin`.

    The slope is positive, so that calibration never changes the order of two sellers.
    """

    slope: float
    intercept: float

    def __post_init__(self) -> None:
        if not (0 < self.slope <= _MAX_CALIBRATION and abs(self.intercept) <= _MAX_CALIBRATION):
            raise BundleError(
                f"A calibration needs a slope above 0 and an intercept, both at most {_MAX_CALIBRATION:g} in size; "
                f"found slope={self.slope}, intercept={self.intercept}."
            )


@dataclass(frozen=True)
class Model:
    """A verified LightGBM booster, its feature names in order, its trees, and its tables if they explain it."""

    text: str
    names: tuple[str, ...]
    booster: lightgbm.Booster = field(compare=False, repr=False)
    trees: tuple[Tree, ...] = field(compare=False, repr=False)
    tables: Tables | None = field(compare=False, repr=False)

    @classmethod
    def from_text(cls, text: str, explained_by: ExplainedBy = "tables") -> Model:
        """Build the model from LightGBM's text format.

        Raises:
            TreeError: the trees cannot be explained.
            TableTooLargeError: `explained_by` is `tables`, and they would be too large.
            BundleError: LightGBM cannot read the text.
        """
        import lightgbm

        # our own check comes first, because LightGBM may crash on invalid trees
        trees = read_trees(text)
        tables = build(trees) if explained_by == "tables" else None
        try:
            booster = lightgbm.Booster(model_str=_SIZES.sub("", text))
        except lightgbm.basic.LightGBMError as error:
            raise BundleError(f"The model text cannot be read by LightGBM: {error}") from error
        return cls(text, tuple(booster.feature_name()), booster, trees, tables)

    @cached_property
    def missing_direction(self) -> tuple[frozenset[str], ...]:
        """The directions in which the splits on each feature send NaN: `left`, `right` or `where zero goes`."""
        directions: list[set[str]] = [set() for _ in self.names]
        for tree in self.trees:
            for split in tree.splits:
                directions[split.feature].add(_direction(split.decision))
        return tuple(map(frozenset, directions))

    def require(self, sheet: FeatureSheet) -> None:
        """Check that the model has the sheet's features and treats missing values as the sheet states.

        Raises:
            FeatureSheetError: the features or their order differ.
            BundleError: the model reads a feature that is not scored, or sends a missing value to the less risky side.
        """
        if self.names != sheet.names:
            differing = sorted(set(self.names).symmetric_difference(sheet.names))
            raise FeatureSheetError(
                "The model's features are not those of the feature sheet, in the same order; "
                f"only in one of them: {', '.join(differing) or 'none'}."
            )
        for entry, directions in zip(sheet.entries, self.missing_direction, strict=True):
            if directions and not entry.scored:
                raise BundleError(f"The model reads {entry.name}, which is not scored according to the feature sheet.")
            if entry.missing == "riskiest" and not directions <= _RISKIEST[entry.sign]:
                raise BundleError(
                    f"According to the feature sheet, a missing {entry.name} counts as its riskiest value, but the "
                    f"model sends it {' and '.join(sorted(directions))}."
                )


def _direction(decision: int) -> str:
    if not decision & _NAN_IS_MISSING:
        return "where zero goes"
    return "left" if decision & MISSING_LEFT else "right"


def choose_explainer(text: str) -> ExplainedBy:
    """Return how to explain the model of a text: by tables, unless its trees are too deep for them.

    Raises:
        TreeError: the trees cannot be explained.
    """
    try:
        plan(read_trees(text))
    except TableTooLargeError:
        return "pred_contrib"
    return "tables"
