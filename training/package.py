"""Model bundle parts: feature sheet with typical values, policy, reasons, reference and track record.

A table has its own sheet and generic reasons. Its bundle carries the evidence of a run; the service cannot score with
it, because its vectors have other features.
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
from scoring.reason_catalogue import GroupEntry, ReasonCatalogue, ReasonEntry, Texts, Wording
from scoring.scale import Scale
from scoring.sheet import Activity, FeatureEntry, FeatureSheet, HistoryThreshold
from scoring.track_record import BandRecord, TrackRecord, percentiles
from training.evidence.bands import band_of
from training.evidence.report_blocks import intended_use
from training.reach import ObservedReach
from training.split import Evidence

if TYPE_CHECKING:
    import pandas as pd

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
"""Tables without which there is no score. Ingest itself requires sellers and stores; if another table is missing, the
features that depend on it are missing."""

TABLE_USE: Final = (
    "Estimates the probability of the bad outcome for rows like those of the table: evidence about the table.",
    "- Not for decisions about sellers: it has no features of the catalogue, and the service cannot score with it.",
)
"""The intended use of a model of a table. Bundles hold this text: do not reword."""

_LIBRARIES: Final = ("lightgbm", "numba", "numpy", "pandas", "scikit-learn", "ibis-framework", "duckdb")
_MIN_PROBABILITY: Final = 1e-15
"""Probabilities are clipped to this distance from 0 and 1, so that their points are finite."""

_TABLE_SIDES: Final = {1: ("High", "偏高"), -1: ("Low", "偏低")}


@dataclass(frozen=True)
class Package:
    """The training results that go into a bundle.

    Attributes:
        train: the training part.
        fitted: the model.
        calibration: of its margins.
        figures: metrics on the test part.
        reached: how far sellers moved their features, which limits advice.
        track_record: outcomes of the test loans.
    """

    train: Dataset
    fitted: FittedModel
    calibration: Calibration
    figures: dict[str, Estimate]
    reached: ObservedReach = field(default_factory=ObservedReach)
    track_record: TrackRecord | None = None


def bundle_parts(package: Package) -> BundleParts:
    """Return the parts of a bundle for the results of a training run."""
    train, fitted = package.train, package.fitted
    model_text = fitted.booster.model_to_string()
    sheet = _table_sheet(train, fitted.features) if train.is_table else _catalogue_sheet(package)
    return BundleParts(
        model_text=model_text,
        sheet=sheet,
        policy=Policy(package.calibration, Scale(), BANDS, train.labels.definition),
        reasons=_table_reasons(sheet) if train.is_table else reason_catalogue(),
        reference=Reference(
            population=_population(train),
            validation={name: estimate.value for name, estimate in package.figures.items()},
            libraries={name: metadata.version(name) for name in _LIBRARIES},
            explained_by=choose_explainer(model_text),
            track_record=package.track_record,
            intended_use=TABLE_USE if train.is_table else intended_use(sheet),
        ),
    )


def reason_catalogue() -> ReasonCatalogue:
    """Return the reason catalogue: texts for banks, sellers and letters, in English and Chinese."""
    return read_reasons(json.loads(resources.files("training").joinpath("reasons.json").read_text(encoding="utf-8")))


def track_record(split: Split, bands: Bands, scale: Scale, probability: NDArray[np.float64]) -> TrackRecord:
    """Return the percentiles of the test loans' scores, and by band the number of loans and of defaults.

    Args:
        split: the test loans and how they were tested.
        bands: bands of the bundle.
        scale: score scale of the bundle.
        probability: predicted probability of default of each test loan, shape (n,).
    """
    bad, band = split.test.rows["bad"].to_numpy(), band_of(bands, probability)
    by_band = tuple(
        BandRecord(name, int((band == number).sum()), int(bad[band == number].sum()))
        for number, name in enumerate(bands.names)
    )
    clipped = np.clip(probability, _MIN_PROBABILITY, 1 - _MIN_PROBABILITY).tolist()
    scores = [min(max(int(np.floor(scale.points_at(each) + 0.5)), scale.min), scale.max) for each in clipped]
    return TrackRecord(_describe_test(split), percentiles(scores), by_band)


def _describe_test(split: Split) -> str:
    """Return the test loans in words. Bundles hold this text: do not reword."""
    words = split.test.words
    method = {
        Evidence.OUT_OF_TIME: (
            f"of {words.units} that the tested model never saw, later than all its training {words.rows}"
        ),
        Evidence.OUT_OF_FOLD: f"each predicted by a model that was not trained on its {words.unit}",
    }[split.evidence]
    return f"{len(split.test.rows):,} {words.rows} {split.test.period}, {method}"


def _population(train: Dataset) -> str:
    """Return the training rows in words. Bundles hold this text: do not reword."""
    return (
        f"{len(train.rows)} training rows {train.period}, {train.rows['bad'].mean():.1%} bad "
        f"({train.labels.definition}), {train.digest[:19]}"
    )


def _catalogue_sheet(package: Package) -> FeatureSheet:
    train, reached = package.train, package.reached
    typical = _typical_values(train.features)
    scored = {feature.name for feature in CATALOGUE if feature.scored} & package.fitted.features
    entries = tuple(
        FeatureEntry(
            name=feature.name,
            label=feature.label,
            unit=feature.unit,
            sign=feature.sign,
            actionable=feature.actionable,
            structural=feature.structural,
            reason_group=feature.reason_group,
            typical=typical[feature.name],
            missing="riskiest",  # see `columns`
            scored=(is_scored := feature.name in scored and typical[feature.name] is not None),
            tables=tuple(sorted(feature.tables)),
            reach=reached.by_feature.get(feature.name, ()) if is_scored else (),
        )
        for feature in CATALOGUE
    )
    return FeatureSheet(
        catalogue=train.catalogue,
        entries=entries,
        history=HISTORY,
        required_tables=tuple(name for name in REQUIRED_TABLES if name in train.tables),
        max_age_days=MAX_AGE_DAYS,
        sizes=reached.sizes,
        activity=ACTIVITY,
    )


def _table_sheet(train: Dataset, features: frozenset[str]) -> FeatureSheet:
    """Return the feature sheet of a table: each column has a direction and is its own reason group."""
    entries = tuple(
        FeatureEntry(
            name=name,
            label=name.replace("_", " "),
            unit="",
            sign=train.signs[name],
            actionable=False,
            structural=False,
            reason_group=name,
            typical=typical,
            missing="riskiest",
            scored=name in features and typical is not None,
        )
        for name, typical in _typical_values(train.features).items()
    )
    return FeatureSheet(train.catalogue, entries, history=(), required_tables=(), max_age_days=0)


def _typical_values(features: pd.DataFrame) -> dict[str, float | None]:
    """Return the median of each feature; None if it is always missing."""
    medians = features.median()
    return {str(name): None if np.isnan(value) else float(value) for name, value in medians.items()}


def _table_reasons(sheet: FeatureSheet) -> ReasonCatalogue:
    """Return generic reasons for each scored column: `High debt: 0.9, typical 0.3`."""
    groups = tuple(GroupEntry(each.reason_group, Wording(each.label, each.label)) for each in sheet.scored_entries)
    not_delivered, stale = _texts("{table}", "{table}"), _texts("{table} {through}", "{table} {through}")
    return ReasonCatalogue("table", groups, tuple(map(_table_reason, sheet.scored_entries)), {}, not_delivered, stale)


def _table_reason(entry: FeatureEntry) -> ReasonEntry:
    english, chinese = _TABLE_SIDES[entry.sign]
    side = _texts(
        f"{english} {entry.label}: {{value}}, typical {{typical}}",
        f"{entry.label}{chinese}：{{value}}，典型值{{typical}}",
    )
    return ReasonEntry(entry.name, side, _texts(f"{entry.label} is missing", f"{entry.label}缺失"))


def _texts(english: str, chinese: str) -> Texts:
    wording = Wording(english, chinese)
    return Texts(bank=wording, seller=wording, letter=wording)
