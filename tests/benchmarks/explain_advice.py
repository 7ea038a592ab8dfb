"""How long a seller waits for advice: a monotone model of the usual size, and what sellers of its rows reached."""

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
"""As many as may be: advice tries all 1,023 sets of them. The catalogue has half as many."""

_WARM: Final = 5


@dataclass(frozen=True)
class Asked:
    """The model's text, the rows that reaches are taken from, and how many sellers ask."""

    model_text: str
    rows: NDArray[np.float64]
    sellers: int


def advice(asked: Asked) -> dict[str, float]:
    """Ask for advice seller by seller, those who have a better band to reach, and return what that took."""
    bundle = Bundle.from_files(pack(_parts(asked)))
    sellers = [
        Vector("S-1", _AS_OF, _AS_OF, {"orders": _AS_OF}, _CATALOGUE, tuple(None if np.isnan(v) else v for v in row))
        for row in asked.rows[: 3 * asked.sellers].tolist()
    ]
    for vector in sellers[:_WARM]:
        advise(bundle, vector)
    taken, found = [], 0
    for vector in sellers:
        began = time.perf_counter()
        given = advise(bundle, vector)
        seconds = time.perf_counter() - began
        if given.verdict is not AdviceVerdict.REACHED:
            taken.append(seconds)
            found += given.verdict is AdviceVerdict.FOUND
        if len(taken) == asked.sellers:
            break
    return {
        "explain.advice_median_ms": float(np.median(taken)) * 1e3,
        "explain.advice_p99_ms": float(np.percentile(taken, 99)) * 1e3,
        "explain.advice_found_share": found / len(taken),
    }


def _parts(asked: Asked) -> BundleParts:
    names = [f"Column_{place}" for place in range(asked.rows.shape[1])]
    groups = [f"group_{number}" for number in range(_GROUPS)]
    entries = tuple(_entry(name, place, groups, asked.rows[:, place]) for place, name in enumerate(names))
    return BundleParts(
        asked.model_text,
        FeatureSheet(_CATALOGUE, entries, (), ("orders",), 7, Sizes(names[-1], ())),
        Policy(Calibration(1.0, 0.0), Scale(), BANDS, "90+ days past due within 12 months"),
        reason_catalogue(entries),
        Reference("made rows", {}, {}, "tables"),
    )


def _entry(name: str, place: int, groups: list[str], values: NDArray[np.float64]) -> FeatureEntry:
    low, middle = np.nanquantile(values, (0.1, 0.5))
    reach = (Reach(float(low), float(middle - low)),) if place < _MOVABLE else ()
    return FeatureEntry(
        name, name, "ratio", 1, True, False, groups[place % _GROUPS], 1.0, tables=("orders",), reach=reach
    )
