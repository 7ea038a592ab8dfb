"""The scoring policy of a bundle: from the model's margin to a probability of default, a score and a band."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from scoring.bands import Bands
from scoring.model import Calibration
from scoring.scale import Scale

_PROBABILITY_DIGITS: Final = 6


@dataclass(frozen=True)
class Policy:
    """Calibration, scale and bands, and the definition of default in words."""

    calibration: Calibration
    scale: Scale
    bands: Bands
    default_definition: str


def to_probability(log_odds: float) -> float:
    """Return the probability of default at given log-odds, rounded to six decimals.

    Example:
        >>> to_probability(0.0), to_probability(-3.0)
        (0.5, 0.047426)
    """
    # the logistic function, written with tanh so that no margin overflows
    return round(0.5 + 0.5 * math.tanh(0.5 * log_odds), _PROBABILITY_DIGITS)
