"""From a fitted model to the bundle's parts: the feature sheet with typical values, policy, reasons, reference.

What became of the tested loans, as the bundle tells it to whoever reads a score.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from importlib import metadata, resources
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from features.catalogue import CATALOGUE
from scoring.bands import Band, Bands
from scoring.bundle import BundleParts, Reference, read_reasons
from scoring.model import choose_explainer
from scoring.policy import Policy
from scoring.reason_catalogue import ReasonCatalogue
from scoring.scale import Scale
from scoring.sheet import Activity, FeatureEntry, FeatureSheet, HistoryThreshold
from scoring.track_record import BandRecord, TrackRecord, percentiles
from training.evidence.bands import band_of
from training.evidence.model_card import intended_use
from training.reach import Reached
from training.split import Evidence
from training.table_package import USE, table_reasons, table_sheet

if TYPE_CHECKING:
    import pandas as pd

    from scoring.bands import Bands
    from scoring.model import Calibration
    from training.dataset import Dataset
    from training.evidence.metrics import Estimate
    from training.fit import FittedModel
    from training.split import Split


BANDS: Final = Bands((Band("A", 0.015), Band("B", 0.035), Band("C", 0.07), Band("D", 0.15), Band("E", 1.0)))


HISTORY: Final = (HistoryThreshold("days_since_first_order", 90.0), HistoryThreshold("active_days_365d", 10.0))


ACTIVITY: Final = Activity("days_since_last_sale", 60.0, since="days_since_first_order")


MAX_AGE_DAYS: Final = 7


REQUIRED_TABLES: Final = ("orders", "refunds")
"""What every figure of sales rests on. Sellers and stores are required by intake itself; without another table what
rests on it counts as missing."""


_LIBRARIES: Final = ("lightgbm", "numba", "numpy", "pandas", "scikit-learn", "ibis-framework", "duckdb")


@dataclass(frozen=True)
class Package:
    """What goes into a bundle beside the catalogue and the reason catalogue.

    `reached` is how far advice may go, `track_record` what became of the loans that the figures are from.
    """

    train: Dataset
    fitted: FittedModel
    calibration: Calibration
    figures: dict[str, Estimate]
    reached: Reached = field(default_factory=Reached)
    track_record: TrackRecord | None = None


def bundle_parts(package: Package) -> BundleParts:
    """Assemble the parts of a bundle from a training run."""
    train = package.train
    model_text = package.fitted.booster.model_to_string()
    sheet = (
        table_sheet(train, package.fitted.shown)
        if train.is_table
        else FeatureSheet(
            catalogue=train.catalogue,
            entries=_entries(train.features, package.fitted.shown, package.reached),
            history=HISTORY,
            required_tables=tuple(name for name in REQUIRED_TABLES if name in train.tables),
            max_age_days=MAX_AGE_DAYS,
            sizes=package.reached.sizes,
            activity=ACTIVITY,
        )
    )
    return BundleParts(
        model_text=model_text,
        sheet=sheet,
        policy=Policy(package.calibration, Scale(), BANDS, train.labels.definition),
        reasons=table_reasons(sheet) if train.is_table else reason_catalogue(),
        reference=Reference(
            population=_population(train),
            validation={name: estimate.value for name, estimate in package.figures.items()},
            libraries={name: metadata.version(name) for name in _LIBRARIES},
            explained_by=choose_explainer(model_text),
            track_record=package.track_record,
            intended_use=USE if train.is_table else intended_use(sheet),
        ),
    )


def reason_catalogue() -> ReasonCatalogue:
    """Read the one versioned file of reasons, for banks, sellers and letters, in English and Chinese."""
    return read_reasons(json.loads(resources.files("training").joinpath("reasons.json").read_text(encoding="utf-8")))


def _entries(features: pd.DataFrame, shown: frozenset[str], reached: Reached) -> tuple[FeatureEntry, ...]:
    typical = features.median()
    # what is always missing, or was not selected, no model reads
    read = {feature.name for feature in CATALOGUE if feature.scored} & shown - set(typical.index[typical.isna()])
    return tuple(
        FeatureEntry(
            name=feature.name,
            label=feature.label,
            unit=feature.unit,
            sign=feature.sign,
            actionable=feature.actionable,
            structural=feature.structural,
            reason_group=feature.reason_group,
            typical=None if typical.isna()[feature.name] else float(typical[feature.name]),
            missing="riskiest",  # as `columns` trains it
            scored=feature.name in read,
            tables=tuple(sorted(feature.tables)),
            reach=reached.by_feature.get(feature.name, ()) if feature.name in read else (),
        )
        for feature in CATALOGUE
    )


def _population(train: Dataset) -> str:
    return (
        f"{len(train.rows)} training rows {train.period}, {train.rows['bad'].mean():.1%} bad "
        f"({train.labels.definition}), {train.digest[:19]}"
    )


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
