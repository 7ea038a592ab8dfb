"""Stability of reasons: how often a seller's reasons change under 1% noise in the inputs, and under refits.

The scorecard benchmark is measured in the same way, as a reference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from scoring.reasons import MAX_REASONS
from training.evidence.limits import Limit, LimitCheck, Standing, shares
from training.evidence.metrics import Estimate, build_table, expand_intervals
from training.evidence.statistics import mean_interval
from training.evidence.study import Finding, assess_rows, sample_rows

if TYPE_CHECKING:
    import pandas as pd

    from scoring import Bundle
    from training.evidence.study import ReviewedModel
    from training.scorecard import Scorecard

NOISE_FIRST: Final = Limit("share of sellers whose first reason changes under 1% noise", 0.05, percent=True)
NOISE_SET: Final = Limit("share of sellers whose set of reasons changes under 1% noise", 0.15, percent=True)
REFIT_FIRST: Final = Limit("share of sellers whose first reason changes under a refit", 0.25, percent=True)
REFIT_SET: Final = Limit("share of sellers whose set of reasons changes under a refit", 0.5, percent=True)

ROWS: Final = 300
"""Most rows to assess: half the width of an interval is then at most 6 percentage points."""

NOISE: Final = 0.01
DRAWS: Final = 3

_NOISE: Final = (
    "Reasons must not depend on rounding errors. Prefer a model with fewer or coarser splits, or one feature for each "
    "reason."
)
_REFIT: Final = (
    "A reason is valid for this model; another sample of sellers of the same size would give other reasons. Explain "
    "each decision with the reasons stored with its score, and do not compare reasons of different model versions. "
    "More training loans reduce the share."
)
_LIMITS: Final = {
    "other_first_by_noise": (NOISE_FIRST, _NOISE),
    "changed_by_noise": (NOISE_SET, _NOISE),
    "other_first_by_refits": (REFIT_FIRST, _REFIT),
    "changed_by_refits": (REFIT_SET, _REFIT),
}
_FIGURES: Final = {"changed": "changed_by", "first": "other_first_by", "kept": "kept_under"}
_HEADINGS: Final = {"changed": "another set of four", "first": "another first reason", "kept": "reasons given again"}

ReasonSets = list[tuple[str, ...]]
"""The reason codes of each row, worst first."""

GiveReasons = Callable[[NDArray[np.float64]], ReasonSets]
"""Returns the reasons of rows of values."""


@dataclass(frozen=True)
class ReasonStability:
    """Changes in the reasons of each row over several repetitions: shape (repetitions, rows).

    `changed` is 1 if the set of reasons differs, `first` if the first reason differs; `kept` is the share of a row's
    reasons that are given again.
    """

    changed: NDArray[np.float64]
    first: NDArray[np.float64]
    kept: NDArray[np.float64]

    @classmethod
    def of(cls, reasons: ReasonSets, repetitions: Sequence[ReasonSets]) -> ReasonStability:
        """Compare the original reasons with those of each repetition."""

        def compare(one: tuple[str, ...], two: tuple[str, ...]) -> tuple[float, float, float]:
            kept = len(set(one) & set(two)) / len(one) if one else float(not two)
            return float(set(one) != set(two)), float(one[:1] != two[:1]), kept

        compared = [[compare(*pair) for pair in zip(reasons, other, strict=True)] for other in repetitions]
        return cls(*np.moveaxis(np.array(compared), -1, 0))

    def interval(self, measure: str) -> Estimate:
        """Return the mean of one of the three and its 95% interval; the repetitions of one row count once."""
        value, low, high = mean_interval(getattr(self, measure).mean(axis=0))
        return Estimate(value, max(low, 0.0), min(high, 1.0))


def study_reasons(subject: ReviewedModel) -> Finding:
    """Compare the reasons of some test rows with those under noise and those of each refit, for both models."""
    bundle, title = subject.bundle, "Stability of reasons"
    positions = sample_rows(bundle, subject.test, ROWS, subject.seed)
    if not len(positions):
        return Finding(
            "reasons", title, "Not studied: no test row has enough history for a score, so none has reasons."
        )
    rows, matrix = subject.test.rows.iloc[positions], subject.test.features.to_numpy()[positions]
    models = {
        "model": [_reasons_of_bundle(each, rows) for each in (bundle, *subject.refits)],
        "scorecard": [_reasons_of_scorecard(each, bundle) for each in (subject.card, *subject.card_refits)],
    }
    compared = {name: _compare_reasons(some, matrix, subject.seed) for name, some in models.items()}
    stability = {
        name: {cause: ReasonStability.of(original, some) for cause, some in repeated.items()}
        for name, (original, repeated) in compared.items()
    }
    figures = {"rows": float(len(positions)), **_figures(stability["model"])}
    return Finding(
        "reasons",
        title,
        _summary(stability, len(positions), len(subject.refits)),
        figures={**figures, **_figures(stability["scorecard"], "scorecard_")},
        tables={"Steadiness by model": _by_model(stability), "Reasons given": _by_reason(*compared["model"])},
        checks=tuple(stability_checks(figures)),
    )


def stability_checks(figures: Mapping[str, float]) -> Iterator[LimitCheck]:
    """Check the figures of the study of reasons, by their names; `rows` is the number of test rows.

    A figure that was not measured is stated as such.
    """
    for name, (limit, action) in _LIMITS.items():
        if name not in figures:
            note = f"The {limit.figure} was not measured, because no refits were made. There is no evidence about it."
            yield LimitCheck(limit.figure, "not measured", str(limit), Standing.NOT_MEASURED, note)
            continue
        estimate = Estimate(*(figures[f"{name}{end}"] for end in ("", "_low", "_high")))
        yield limit.check(estimate, action, f"{figures['rows']:,.0f} test rows")


def _reasons_of_bundle(bundle: Bundle, rows: pd.DataFrame) -> GiveReasons:
    return lambda matrix: [
        tuple(reason.code for reason in each.explanation.reasons) if each.explanation else ()
        for each in assess_rows(bundle, rows, matrix)
    ]


def _reasons_of_scorecard(card: Scorecard, bundle: Bundle) -> GiveReasons:
    """Return a function for the scorecard's reasons: the costliest feature of each reason group."""
    group_of = {entry.name: entry.reason_group for entry in bundle.sheet.entries}

    def give_reasons(matrix: NDArray[np.float64]) -> ReasonSets:
        import pandas as pd

        added = card.contributions(pd.DataFrame(matrix, columns=bundle.sheet.names))
        names, points = list(map(str, added)), np.round(-bundle.policy.scale.factor * added.to_numpy())
        return [tuple(_costliest(names, row, group_of)) for row in points]

    return give_reasons


def _costliest(names: Sequence[str], points: NDArray[np.float64], group_of: Mapping[str, str]) -> Iterator[str]:
    groups: set[str] = set()
    for index in np.argsort(points, kind="stable").tolist():
        if points[index] >= 0 or len(groups) == MAX_REASONS:
            return
        if group_of[names[index]] not in groups:
            groups.add(group_of[names[index]])
            yield names[index]


def _compare_reasons(
    models: Sequence[GiveReasons], matrix: NDArray[np.float64], seed: int
) -> tuple[ReasonSets, dict[str, list[ReasonSets]]]:
    """Return the original reasons, and those of the repetitions by cause."""
    first, *refits = models
    repeated = {
        "noise": [first(noisy) for noisy in add_noise(matrix, seed)],
        "refits": [refit(matrix) for refit in refits],
    }
    return first(matrix), {cause: some for cause, some in repeated.items() if some}


def add_noise(matrix: NDArray[np.float64], seed: int) -> Iterator[NDArray[np.float64]]:
    """Yield the rows with a normal error of one percent in every value; missing values stay missing."""
    rng = np.random.default_rng(seed)
    for _ in range(DRAWS):
        yield matrix * (1.0 + NOISE * rng.standard_normal(matrix.shape))


def _figures(stability: Mapping[str, ReasonStability], prefix: str = "") -> dict[str, float]:
    return expand_intervals(
        {
            f"{prefix}{name}_{cause}": each.interval(measure)
            for cause, each in stability.items()
            for measure, name in _FIGURES.items()
        }
    )


def _by_model(stability: Mapping[str, Mapping[str, ReasonStability]]) -> pd.DataFrame:
    return build_table(
        {
            "by": name,
            "under": cause,
            **{heading: shares(each.interval(measure)) for measure, heading in _HEADINGS.items()},
        }
        for name, causes in stability.items()
        for cause, each in causes.items()
    )


def _by_reason(original: ReasonSets, repeated: Mapping[str, Sequence[ReasonSets]]) -> pd.DataFrame:
    """Return a line for each reason: how often it is given, and how often a repetition gives it again."""
    lines = []
    for code in sorted({code for codes in original for code in codes}):
        rows = [row for row, codes in enumerate(original) if code in codes]
        line: dict[str, object] = {"code": code, "given_share": len(rows) / len(original)}
        for cause, some in repeated.items():
            line[f"kept_under_{cause}"] = float(np.mean([code in codes[row] for codes in some for row in rows]))
        lines.append(line)
    columns = ["code", "given_share", *(f"kept_under_{cause}" for cause in repeated)]
    return build_table(lines, columns).sort_values("given_share", ascending=False, ignore_index=True)


def _summary(stability: Mapping[str, Mapping[str, ReasonStability]], rows: int, refits: int) -> str:
    causes = {
        "noise": f"an error of {NOISE:.0%} in every input",
        "refits": f"{refits} refits on other training sellers",
    }
    scorecard = [f"{each.changed.mean():.1%} under {cause}" for cause, each in stability["scorecard"].items()]
    changes = [
        f"under {causes[cause]}, the set of at most four reasons changes in {each.changed.mean():.1%} of cases and the "
        f"first reason in {each.first.mean():.1%}, and {each.kept.mean():.1%} of all reasons are given again"
        for cause, each in stability["model"].items()
    ]
    no_refits = "" if refits else " No refits were made, so the effect of a refit on reasons was not measured."
    return (
        f"Does the same seller get the same reasons again? For {rows:,} random test rows: {'; '.join(changes)}. "
        f"With the scorecard benchmark, the set changes in {' and '.join(scorecard)}.{no_refits}"
    )
