"""Scores given, loans and models for tests of monitoring, made without a store or a registry."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache
from types import SimpleNamespace

import numpy as np
import pandas as pd

from scoring import Bundle
from scoring.outcome import Outcome
from tests.training.datasets import dataset
from tests.training.evidence.subjects import boosted, bundle
from training.errors import ComparisonError
from training.evidence.drift import SCORE, Sample
from training.monitor.config import MonitorConfig
from training.monitor.inputs import Outcomes
from training.monitor.score_log import SCORES, SHADOW, KnownModel
from training.monitor.subject import MonitoredModel, Reference

TODAY = date(2026, 1, 1)
DEFINITION = "90+ days past due within 12 months"


@cache
def small_bundle() -> Bundle:
    """One small model of the whole catalogue; validated at an AUC of 0.7."""
    rows = dataset(400, 150, seed=5)
    return bundle(rows, boosted(rows, trees=5))


def scores(rows: Iterable[dict[str, object]]) -> pd.DataFrame:
    """A frame of scores given; what a row leaves out is usual."""
    digest, scale = small_bundle().digest, small_bundle().policy.scale
    filled = []
    for number, row in enumerate(rows):
        usual = {
            "score_id": f"i-{number:06}",
            "model": digest,
            "scored_at": pd.NaT,
            "valid_days": 30.0,
            "outcome": Outcome.SCORED.value,
            "probability_of_default": 0.05,
            "values": None,
        }
        made = {**usual, **row}
        if made["outcome"] != Outcome.SCORED:
            made["probability_of_default"] = np.nan
        made.setdefault("score", scale.points_at(made["probability_of_default"]))
        filled.append(made)
    frame = pd.DataFrame(filled, columns=list(SCORES))
    times = {name: frame[name].astype("datetime64[us]") for name in ("as_of", "scored_at")}
    return frame.assign(**times, score=frame["score"].astype(float).round())


def loans(rows: Iterable[tuple[str, str, bool, bool]]) -> pd.DataFrame:
    """Loans of (seller, day, matured, bad)."""
    frame = pd.DataFrame(list(rows), columns=["seller_id", "day", "matured", "bad"])
    kinds = {"day": "datetime64[us]", "matured": bool, "bad": bool}
    return frame.assign(day=pd.to_datetime(frame["day"])).astype(kinds)


@dataclass(frozen=True)
class Known:
    """References that are known already; None says that they are not."""

    reference: Reference | None = None
    source: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(store=None, table=None))

    def of(self, _: KnownModel) -> Reference:
        if self.reference is None:
            raise ComparisonError("Nobody knows it.")
        return self.reference


def watched(given: pd.DataFrame, known: pd.DataFrame | None = None, **changed: object) -> MonitoredModel:
    """A model under watch, with loans of known outcome or none."""
    none = loans([])
    outcomes = Outcomes(none, TODAY, "There are no loans.") if known is None else Outcomes(known, TODAY)
    made = MonitoredModel(
        KnownModel(small_bundle()), given, outcomes, pd.DataFrame(columns=list(SHADOW)), Known(), TODAY, MonitorConfig()
    )
    return replace(made, **changed)


def reference(score: np.ndarray, features: np.ndarray) -> Reference:
    """A reference of rows of as many sellers, with a matrix of features in the bundle's order."""
    sellers = pd.Series([f"T-{row:05}" for row in range(len(score))])
    names = list(small_bundle().sheet.names)
    return Reference(
        Sample(pd.DataFrame(features, columns=names), sellers), Sample(pd.DataFrame({SCORE: score}), sellers)
    )


def judged(rng: np.random.Generator, rows: int, *, wrong: float = 1.0, months: int = 12) -> MonitoredModel:
    """Matured loans over some months, a seller each, that go bad `wrong` times as often as the model says."""
    p = 1 / (1 + np.exp(-rng.normal(-2.6, 0.9, rows)))
    bad = rng.random(rows) < np.minimum(p * wrong, 1)
    as_of = pd.date_range("2024-01-01", periods=months, freq="MS")[rng.integers(0, months, rows)]
    given = scores(
        {"seller_id": f"S-{row:05}", "as_of": day, "probability_of_default": each}
        for row, (day, each) in enumerate(zip(as_of, p, strict=True))
    )
    known = loans((f"S-{row:05}", day, True, went) for row, (day, went) in enumerate(zip(as_of, bad, strict=True)))
    return watched(given, known)
