"""The LightGBM model of a bundle, and the calibration that turns its raw margin into log-odds of default."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scoring.errors import BundleError

if TYPE_CHECKING:
    import lightgbm


@dataclass(frozen=True)
class Calibration:
    """Affine in log-odds: `ln(pd / (1 - pd)) = intercept + slope * raw_margin`.

    The slope is positive, so that calibration never changes the order of two sellers.
    """

    slope: float
    intercept: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.slope) and math.isfinite(self.intercept) and self.slope > 0):
            raise BundleError(
                f"A calibration needs a finite intercept and a slope above 0; found slope={self.slope}, "
                f"intercept={self.intercept}."
            )


@dataclass(frozen=True)
class Model:
    """A verified LightGBM booster with the names of its features in order."""

    text: str
    names: tuple[str, ...]
    booster: lightgbm.Booster = field(compare=False, repr=False)

    @classmethod
    def from_text(cls, text: str) -> Model:
        """Build the model from LightGBM's own text form.

        Raises:
            BundleError: LightGBM cannot read the text.
        """
        import lightgbm

        try:
            booster = lightgbm.Booster(model_str=text)
        except lightgbm.basic.LightGBMError as error:
            raise BundleError(f"The model text cannot be read by LightGBM: {error}") from error
        return cls(text, tuple(booster.feature_name()), booster)
