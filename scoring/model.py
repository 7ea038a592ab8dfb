"""The LightGBM model of a bundle, and the calibration that turns its raw margin into log-odds of default."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal

from scoring.errors import BundleError, FeaturesError, TableTooLargeError
from scoring.kernel.groups import plan
from scoring.kernel.tables import Tables, build
from scoring.kernel.trees import MISSING_LEFT, Tree, read_trees
from scoring.sheet import FeatureSheet

if TYPE_CHECKING:
    import lightgbm

_RISKIEST: Final = {1: {"right"}, -1: {"left"}, 0: {"left", "right"}}
"""Where splits may send a missing value by the feature's sign: larger values go right."""

_MOST: Final = 1e3
"""Beyond it a calibration is none, and points would no longer be numbers."""

_NAN_IS_MISSING: Final = 8
"""Bit of a split's `decision`; one that has it not takes NaN for zero."""

_SIZES: Final = re.compile(r"^tree_sizes=.*\n", re.MULTILINE)
"""Where the trees lie in the text. LightGBM looks for them itself without it; a wrong one ends the whole process."""

ExplainedBy = Literal["tables", "pred_contrib"]
"""How contributions are found: looked up in tables of our own, or worked out by LightGBM for every row."""


@dataclass(frozen=True)
class Calibration:
    """Affine in log-odds: `ln(pd / (1 - pd)) = intercept + slope * raw_margin`.

    The slope is positive, so that calibration never changes the order of two sellers.
    """

    slope: float
    intercept: float

    def __post_init__(self) -> None:
        if not (0 < self.slope <= _MOST and abs(self.intercept) <= _MOST):
            raise BundleError(
                f"A calibration needs a slope above 0 and an intercept, both at most {_MOST:g} in size; found "
                f"slope={self.slope}, intercept={self.intercept}."
            )


@dataclass(frozen=True)
class Model:
    """A verified LightGBM booster, its features' names in order, its trees, and the tables where they explain it."""

    text: str
    names: tuple[str, ...]
    booster: lightgbm.Booster = field(compare=False, repr=False)
    trees: tuple[Tree, ...] = field(compare=False, repr=False)
    tables: Tables | None = field(compare=False, repr=False)

    @classmethod
    def from_text(cls, text: str, explained_by: ExplainedBy = "tables") -> Model:
        """Build the model from LightGBM's own text form.

        Raises:
            TreeError: its trees cannot be explained.
            TableTooLargeError: tables shall explain it, and would be too large.
            BundleError: LightGBM cannot read the text.
        """
        import lightgbm

        # read before LightGBM does, which may crash where we refuse
        trees = read_trees(text)
        tables = build(trees) if explained_by == "tables" else None
        try:
            booster = lightgbm.Booster(model_str=_SIZES.sub("", text))
        except lightgbm.basic.LightGBMError as error:
            raise BundleError(f"The model text cannot be read by LightGBM: {error}") from error
        return cls(text, tuple(booster.feature_name()), booster, trees, tables)

    @cached_property
    def missing_goes(self) -> tuple[frozenset[str], ...]:
        """Where the splits on each feature send a missing value: `left`, `right` or `where zero goes`."""
        found: list[set[str]] = [set() for _ in self.names]
        for tree in self.trees:
            for split in tree.splits:
                found[split.feature].add(_side(split.decision))
        return tuple(map(frozenset, found))

    def require(self, sheet: FeatureSheet) -> None:
        """Check that the model is of the sheet's features and takes missing values as the sheet says.

        Raises:
            FeaturesError: other features, or another order.
            BundleError: a feature that is not scored, or a missing value that would go to the less risky side.
        """
        if self.names != sheet.names:
            differing = sorted(set(self.names).symmetric_difference(sheet.names))
            raise FeaturesError(
                "The model's features are not those of the feature sheet, in the same order; "
                f"only in one of them: {', '.join(differing) or 'none'}."
            )
        for entry, sides in zip(sheet.entries, self.missing_goes, strict=True):
            if sides and not entry.scored:
                raise BundleError(f"The model reads {entry.name}, which the feature sheet says is not scored.")
            if entry.missing == "riskiest" and not sides <= _RISKIEST[entry.sign]:
                raise BundleError(
                    f"The feature sheet says that a missing {entry.name} is taken at its riskiest end, but the model "
                    f"sends it {' and '.join(sorted(sides))}."
                )


def _side(decision: int) -> str:
    if not decision & _NAN_IS_MISSING:
        return "where zero goes"
    return "left" if decision & MISSING_LEFT else "right"


def how_to_explain(text: str) -> ExplainedBy:
    """Return how a model of this text is best explained: by tables, unless its trees are too deep for them.

    Raises:
        TreeError: its trees cannot be explained.
    """
    try:
        plan(read_trees(text))
    except TableTooLargeError:
        return "pred_contrib"
    return "tables"
