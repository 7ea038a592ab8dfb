"""Time to compute advice for a seller, with a monotone model of typical size."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scoring import AdviceVerdict, Bundle, BundleParts, Policy, Reference, Vector, advise, pack
from scoring.model import Calibration
from scoring.scale import Scale
from scoring.sheet import FeatureEntry, FeatureSheet, Reach, Sizes
from tests.statements import reason_catalogue
from training.package import BANDS

_AS_OF: Final = date(2026, 1, 31)
_CATALOGUE: Final = "sha256:" + "c" * 64
_GROUPS: Final = 10
_MOVABLE: Final = 10
"""The maximum: advice tries all 1,023 sets of them. The catalogue has half as many."""

_WARM: Final = 5


@dataclass(frozen=True)
class AdviceTask:
    """The model's text, rows of sellers, and the number of sellers to advise."""

    model_text: str
    rows: NDArray[np.float64]
    sellers: int


def measure_advice(task: AdviceTask) -> dict[str, float]:
    """Compute advice for sellers who are not yet in the best band, and return the times."""
    bundle = Bundle.from_files(pack(_parts(task)))
    sellers = [
        Vector("S-1", _AS_OF, _AS_OF, {"orders": _AS_OF}, _CATALOGUE, tuple(None if np.isnan(v) else v for v in row))
        for row in task.rows[: 3 * task.sellers].tolist()
    ]
    for vector in sellers[:_WARM]:
        advise(bundle, vector)
    times, with_advice = [], 0
    for vector in sellers:
        started = time.perf_counter()
        result = advise(bundle, vector)
        seconds = time.perf_counter() - started
        if result.verdict is not AdviceVerdict.REACHED:
            times.append(seconds)
            with_advice += result.verdict is AdviceVerdict.FOUND
        if len(times) == task.sellers:
            break
    return {
        "explain.advice_median_ms": float(np.median(times)) * 1e3,
        "explain.advice_p99_ms": float(np.percentile(times, 99)) * 1e3,
        "explain.advice_found_share": with_advice / len(times),
    }


def _parts(task: AdviceTask) -> BundleParts:
    names = [f"Column_{index}" for index in range(task.rows.shape[1])]
    groups = [f"group_{number}" for number in range(_GROUPS)]
    entries = tuple(_entry(name, index, groups, task.rows[:, index]) for index, name in enumerate(names))
    return BundleParts(
        task.model_text,
        FeatureSheet(_CATALOGUE, entries, (), ("orders",), 7, Sizes(names[-1], ())),
        Policy(Calibration(1.0, 0.0), Scale(), BANDS, "90+ days past due within 12 months"),
        reason_catalogue(entries),
        Reference("generated rows", {}, {}, "tables"),
    )


def _entry(name: str, index: int, groups: list[str], values: NDArray[np.float64]) -> FeatureEntry:
    low, middle = np.nanquantile(values, (0.1, 0.5))
    reach = (Reach(float(low), float(middle - low)),) if index < _MOVABLE else ()
    return FeatureEntry(
        name, name, "ratio", 1, True, False, groups[index % _GROUPS], 1.0, tables=("orders",), reach=reach
    )
