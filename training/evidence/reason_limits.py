"""Published limits of the stability of reasons: under 1% noise in the values, and under refits on other sellers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from training.evidence.limits import Limit, LimitCheck, Standing
from training.evidence.metrics import Estimate

NOISE_FIRST: Final = Limit("share of sellers whose first reason changes under 1% noise", 0.05, percent=True)
NOISE_SET: Final = Limit("share of sellers whose set of reasons changes under 1% noise", 0.15, percent=True)
REFIT_FIRST: Final = Limit("share of sellers whose first reason changes under a refit", 0.25, percent=True)
REFIT_SET: Final = Limit("share of sellers whose set of reasons changes under a refit", 0.5, percent=True)

_NOISE: Final = (
    "Reasons must not depend on rounding errors. Prefer a model with fewer or coarser splits, or one feature for each "
    "reason."
)
_REFIT: Final = (
    "A reason holds for this model; another sample of sellers of the same size would give other reasons. Explain each "
    "decision with the reasons stored with its score, and do not compare reasons of different model versions. More "
    "training loans reduce the share."
)

_LIMITS: Final = {
    "other_first_by_noise": (NOISE_FIRST, _NOISE),
    "changed_by_noise": (NOISE_SET, _NOISE),
    "other_first_by_refits": (REFIT_FIRST, _REFIT),
    "changed_by_refits": (REFIT_SET, _REFIT),
}


def stability_checks(figures: Mapping[str, float]) -> Iterator[LimitCheck]:
    """Check the figures of the study of reasons, by their names; `rows` is the number of test rows.

    A figure that was not measured is stated as such.
    """
    for name, (limit, action) in _LIMITS.items():
        if name not in figures:
            note = f"The {limit.figure} was not measured, because no refits were made. Nothing can be claimed about it."
            yield LimitCheck(limit.figure, "not measured", str(limit), Standing.NOT_MEASURED, note)
            continue
        value, low, high = (figures[f"{name}{end}"] for end in ("", "_low", "_high"))
        yield limit.check(Estimate(value, low, high), action, f"{figures['rows']:,.0f} test rows")
