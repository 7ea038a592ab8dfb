"""The feature sheet: all that scoring knows of a feature. It travels in the bundle; the catalogue stays in features."""

import math
from dataclasses import dataclass
from typing import Final, Literal

from scoring.errors import BundleError

Missing = Literal["riskiest", "as_trained"]
"""How the model takes a missing value: at its riskiest end, so that hiding it never pays, or as training made it."""

_MISSING: Final = ("riskiest", "as_trained")


@dataclass(frozen=True)
class FeatureEntry:
    """One feature as the model was trained with it.

    `sign` is +1 where a higher value raises risk, -1 where it lowers it, 0 where the model is free.
    `typical` is the median of the reference population (None where it was always missing), in `unit`.
    `missing` says how the model takes a value that is not there; a bundle holds its model to it.
    """

    name: str
    label: str
    unit: str
    sign: int
    actionable: bool
    structural: bool
    reason_group: str
    typical: float | None
    missing: Missing = "as_trained"

    def __post_init__(self) -> None:
        if self.sign not in (-1, 0, 1):
            raise BundleError(f"Feature {self.name} has the sign {self.sign}; allowed are -1, 0 and 1.")
        if self.missing not in _MISSING:
            raise BundleError(
                f"Feature {self.name} takes missing values {self.missing!r}; allowed are: {', '.join(_MISSING)}."
            )
        if self.typical is not None and not math.isfinite(self.typical):
            raise BundleError(
                f"Feature {self.name} has the typical value {self.typical}; allowed is a finite number, or none."
            )


@dataclass(frozen=True)
class HistoryThreshold:
    """The least value of a feature below which a seller has too short a history to be scored."""

    feature: str
    least: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.least):
            raise BundleError(f"The history threshold of {self.feature} is {self.least}; allowed is a finite number.")


@dataclass(frozen=True)
class FeatureSheet:
    """Features in catalogue order, the catalogue's digest, and what makes a vector sufficient.

    `required_tables` are those that the training data had: a seller who withholds one gets
    `insufficient_data`, never a number. `max_age_days` bounds how far their coverage may end before `as_of`.
    """

    catalogue: str
    entries: tuple[FeatureEntry, ...]
    history: tuple[HistoryThreshold, ...]
    required_tables: tuple[str, ...]
    max_age_days: int

    def __post_init__(self) -> None:
        names = self.names
        if len(set(names)) != len(names):
            raise BundleError("The feature sheet names a feature twice.")
        unknown = sorted({threshold.feature for threshold in self.history} - set(names))
        if unknown:
            raise BundleError(f"History thresholds name features that the sheet lacks: {', '.join(unknown)}.")

    @property
    def names(self) -> tuple[str, ...]:
        """Feature names in catalogue order: the order of every matrix column and every tie."""
        return tuple(entry.name for entry in self.entries)
