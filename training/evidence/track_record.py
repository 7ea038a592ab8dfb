"""What became of the tested loans, as the bundle tells it to whoever reads a score."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from scoring.track_record import BandRecord, TrackRecord, percentiles
from training.evidence.bands import band_of
from training.split import Evidence

if TYPE_CHECKING:
    from scoring.bands import Bands
    from scoring.scale import Scale
    from training.split import Split

_LEAST: Final = 1e-15
"""A probability nearer to 0 or 1 than this counts as this far from it, so that its points are finite."""


def track_record(split: Split, bands: Bands, scale: Scale, probability: NDArray[np.float64]) -> TrackRecord:
    """Return the test loans' scores and, by band, how many there were and how many went bad.

    Args:
        split: says which loans they are.
        bands: of the bundle.
        scale: of the bundle.
        probability: shape (n,), what the model said of each.
    """
    bad, place = split.test.rows["bad"].to_numpy(), band_of(bands, probability)
    by_band = tuple(
        BandRecord(name, int((place == number).sum()), int(bad[place == number].sum()))
        for number, name in enumerate(bands.names)
    )
    return TrackRecord(_loans(split), percentiles(_whole(scale, probability)), by_band)


def _whole(scale: Scale, probability: NDArray[np.float64]) -> list[int]:
    points = (scale.points_at(each) for each in np.clip(probability, _LEAST, 1 - _LEAST).tolist())
    return [min(max(int(np.floor(each + 0.5)), scale.min), scale.max) for each in points]


def _loans(split: Split) -> str:
    whose = {
        Evidence.OUT_OF_TIME: f"of {split.test.borrowers} that the tested model never saw, later than all its training "
        "loans",
        Evidence.OUT_OF_FOLD: f"each predicted by a model that was not trained on its {split.test.borrowers[:-1]}",
    }[split.evidence]
    return f"{len(split.test.rows):,} loans {split.test.period}, {whose}"
