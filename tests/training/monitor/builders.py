"""Builders of scores, loans and monitored models, without a store or a registry."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from scoring import Bundle
from scoring.outcome import Outcome
from tests.training.datasets import dataset
from tests.training.evidence.subjects import boosted, bundle
from training.config import MonitorConfig
from training.errors import ComparisonError
from training.evidence.drift import SCORE, Sample
from training.monitor.inputs import Outcomes
from training.monitor.score_log import SCORES, SHADOW, KnownModel
from training.monitor.subject import MonitoredModel, Reference

TODAY = date(2026, 1, 1)
DEFINITION = "90+ days past due within 12 months"

Rows = Any
"""Rows as dicts or tuples, or columns by name: whatever a data frame is made from."""


@cache
def small_bundle() -> Bundle:
    """Return a small model of the whole catalogue with a validation AUC of 0.7."""
    rows = dataset(400, 150, seed=5)
    return bundle(rows, boosted(rows, trees=5))


def scores(rows: Rows) -> pd.DataFrame:
    """Return a frame of SCORES; missing fields get default values, and points follow from the probability."""
    frame = pd.DataFrame(rows, columns=list(SCORES))
    defaults = {
        "score_id": [f"i-{number:06}" for number in range(len(frame))],
        "model": small_bundle().digest,
        "valid_days": 30.0,
        "outcome": Outcome.SCORED.value,
        "probability_of_default": 0.05,
        "values": None,
    }
    frame = frame.assign(
        **{name: frame[name].astype(object).where(frame[name].notna(), value) for name, value in defaults.items()}
    )
    probability = frame["probability_of_default"].astype(float).where(frame["outcome"] == Outcome.SCORED)
    points = probability.map(small_bundle().policy.scale.points_at)
    return frame.assign(
        **{name: frame[name].astype("datetime64[us]") for name in ("as_of", "scored_at")},
        valid_days=frame["valid_days"].astype(float),
        probability_of_default=probability,
        score=frame["score"].astype(float).fillna(points).round(),
    )


def loans(rows: Rows) -> pd.DataFrame:
    """Return loans from rows of (seller, day, matured, bad)."""
    frame = pd.DataFrame(rows, columns=["seller_id", "day", "matured", "bad"])
    kinds = {"day": "datetime64[us]", "matured": bool, "bad": bool}
    return frame.assign(day=pd.to_datetime(frame["day"])).astype(kinds)


@dataclass(frozen=True)
class FixedReference:
    """References with one fixed reference; None raises the error of an unknown population."""

    reference: Reference | None = None
    source: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(store=None, table=None))

    def load(self, _: KnownModel) -> Reference:
        if self.reference is None:
            raise ComparisonError("It is unknown.")
        return self.reference


def monitored_model(frame: pd.DataFrame, rows: pd.DataFrame | None = None, **changes: object) -> MonitoredModel:
    """Return a monitored model, with loans of known outcome or none."""
    outcomes = Outcomes(loans([]), TODAY, "There are no loans.") if rows is None else Outcomes(rows, TODAY)
    shadow = pd.DataFrame(columns=list(SHADOW))
    model = MonitoredModel(
        KnownModel(small_bundle()), frame, outcomes, shadow, FixedReference(), TODAY, MonitorConfig()
    )
    return replace(model, **changes)


def reference(score: np.ndarray, features: np.ndarray) -> Reference:
    """Return a reference with a row for each seller; features are in the order of the feature sheet."""
    sellers = pd.Series([f"T-{row:05}" for row in range(len(score))])
    names = list(small_bundle().sheet.names)
    return Reference(
        Sample(pd.DataFrame(features, columns=names), sellers), Sample(pd.DataFrame({SCORE: score}), sellers)
    )


def sellers(count: int) -> list[str]:
    return [f"S-{row:05}" for row in range(count)]


def matured_model(rng: np.random.Generator, rows: int, *, wrong: float = 1.0, months: int = 12) -> MonitoredModel:
    """Return a model whose matured loans, one for each seller, go bad `wrong` times as often as it predicts."""
    p = 1 / (1 + np.exp(-rng.normal(-2.6, 0.9, rows)))
    bad = rng.random(rows) < np.minimum(p * wrong, 1)
    day = pd.date_range("2024-01-01", periods=months, freq="MS")[rng.integers(0, months, rows)]
    given = scores({"seller_id": sellers(rows), "as_of": day, "probability_of_default": p})
    return monitored_model(given, loans({"seller_id": sellers(rows), "day": day, "matured": True, "bad": bad}))
