"""Small models under review: a few trees that obey the catalogue's signs, with their training and test rows."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import cache

import lightgbm
import numpy as np
import pandas as pd

from features.catalogue import CATALOGUE
from scoring import Bundle, BundleParts, Policy, Reference, pack
from scoring.model import Calibration
from scoring.scale import Scale
from scoring.sheet import FeatureEntry, FeatureSheet
from tests.statements import reason_catalogue as made_up
from tests.training.datasets import NAMES, SIGNS, TABLES, dataset, small_scorecard
from training.dataset import NOT_SCORED, Dataset
from training.evidence.fake_order_strategies import FakeOrdersConfig
from training.evidence.study import ReviewedModel, scores
from training.package import BANDS, HISTORY, reason_catalogue
from training.split import Evidence

PARAMETERS = {
    "objective": "binary",
    "num_leaves": 8,
    "learning_rate": 0.2,
    "min_data_in_leaf": 20,
    "monotone_constraints_method": "intermediate",
    "verbosity": -1,
    "num_threads": 1,
    "deterministic": True,
    "seed": 1,
}

_SAME = ("name", "label", "unit", "sign", "actionable", "structural", "reason_group")
"""What a feature of the catalogue and its entry in a sheet have in common."""


def boosted(
    rows: Dataset, signs: dict[str, int] | None = None, trees: int = 30, not_scored: Collection[str] = NOT_SCORED
) -> lightgbm.Booster:
    """Train a few trees on all rows, with the given signs (those of the catalogue by default).

    Features that are not scored are constant here, so that no tree reads them.
    """
    obeyed = SIGNS if signs is None else signs
    parameters = {**PARAMETERS, "monotone_constraints": [obeyed[name] for name in NAMES]}
    read = rows.features.assign(**dict.fromkeys(not_scored, 0.0))[NAMES]
    data = lightgbm.Dataset(read.to_numpy(), rows.rows["bad"].astype(float), feature_name=NAMES)
    return lightgbm.train(parameters, data, num_boost_round=trees)


def bundle(rows: Dataset, booster: lightgbm.Booster, not_scored: Collection[str] = NOT_SCORED) -> Bundle:
    """Return the bundle that `packed` holds."""
    return Bundle.from_files(packed(rows, booster, not_scored))


def packed(rows: Dataset, booster: lightgbm.Booster, not_scored: Collection[str] = NOT_SCORED) -> dict[str, bytes]:
    """Pack a booster; typical values are medians, and the calibration does not change the margin."""
    typical = rows.features.median()
    entries = tuple(
        FeatureEntry(
            **{name: getattr(feature, name) for name in _SAME},
            typical=None if pd.isna(typical[feature.name]) else float(typical[feature.name]),
            scored=feature.name not in not_scored,
            tables=tuple(sorted(feature.tables)),
        )
        for feature in CATALOGUE
    )
    parts = BundleParts(
        booster.model_to_string(),
        FeatureSheet(rows.catalogue, entries, HISTORY, TABLES, 7),
        Policy(Calibration(1.0, 0.0), Scale(), BANDS, rows.labels.definition),
        reason_catalogue() if not_scored is NOT_SCORED else made_up(entries),
        Reference(f"{len(rows.rows)} training rows", {"auc": 0.7}, {"lightgbm": lightgbm.__version__}, "tables"),
    )
    return pack(parts)


def reviewed(bundled: Bundle, train: Dataset, test: Dataset) -> ReviewedModel:
    """Return a reviewed model with the bundle's own predictions and scores."""
    margin = np.asarray(bundled.model.booster.predict(test.features.to_numpy(), raw_score=True))
    probability, score = 1 / (1 + np.exp(-margin)), scores(bundled, test.features.to_numpy())
    plain = np.full(len(margin), float(train.rows["bad"].mean()))
    return ReviewedModel(
        bundle=bundled,
        served=bundled,
        train=train,
        test=test,
        evidence=Evidence.OUT_OF_TIME,
        probability=probability,
        scorecard=plain,
        score=score,
        train_score=scores(bundled, train.features.to_numpy()),
        refits=(),
        card=small_scorecard(train.features, train.rows["bad"]),
        card_refits=(),
        store=None,
        seed=7,
        fake_orders=FakeOrdersConfig(),
    )


@cache
def subject() -> ReviewedModel:
    """The small model of most tests, trained on 1,500 rows and tested on 700 others."""
    train, test = dataset(1_500, 500, seed=1), dataset(700, 300, seed=2)
    return reviewed(bundle(train, boosted(train)), train, test)


def first_rows(model: ReviewedModel, rows: int) -> ReviewedModel:
    """Return the model tested on its first rows only."""
    test = model.test.select(model.test.rows.index.to_series() < rows)
    parts = {name: getattr(model, name)[:rows] for name in ("probability", "scorecard", "score")}
    return replace(model, test=test, **parts)


def with_test(model: ReviewedModel, **columns: object) -> ReviewedModel:
    """Return the model with some columns of its test rows changed: `bad`, `as_of`, `country`, a feature."""
    parts = {name: getattr(model.test, name) for name in ("rows", "features", "about")}
    changed = {
        name: part.assign(**{column: values for column, values in columns.items() if column in part})
        for name, part in parts.items()
    }
    return replace(model, test=replace(model.test, **changed))
