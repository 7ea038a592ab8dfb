"""Fairness: gaps between countries and sizes in score, share in good bands, and rejection of sellers who repaid.

A gap is not proof of unfair treatment, because groups may differ in risk. The tables therefore show default rates, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from training.evidence.bands import band_of
from training.evidence.limits import Limit, LimitCheck, Standing, quantity
from training.evidence.metrics import NO_ESTIMATE, Estimate, build_table, expand_intervals
from training.evidence.plots import forest
from training.evidence.statistics import mean_interval
from training.evidence.study import Finding, group_rows, in_order

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from training.evidence.study import ReviewedModel

GOOD_BANDS: Final = 2
"""Number of best bands (A and B) whose loans count as accepted."""

LEAST_ROWS: Final = 30
"""A smaller group is shown but not compared: one seller more or less would move its share by percentage points."""

FOUR_FIFTHS: Final = 0.8
"""The rule of US enforcement agencies (29 CFR 1607.4 D): examine a group that is accepted less than four fifths as
often as the group that is accepted most often."""

_BY: Final = ("country", "size")
_DRAWS: Final = 2_000


@dataclass(frozen=True)
class GroupMetrics:
    """Score, default rate and acceptance of one group of test loans by `country` or `size`.

    Attributes:
        score: the mean, with its interval.
        accepted: share in the good bands.
        refused: share outside of them among the loans that were repaid, if there are any.
        ratio: share accepted over that of the group with the highest share, if the group is large enough.
    """

    by: str
    name: str
    rows: int
    score: Estimate
    default_rate: float
    accepted: Estimate
    refused: Estimate
    ratio: Estimate = NO_ESTIMATE

    @property
    def label(self) -> str:
        """The group as text: `country VN`."""
        return f"{self.by} {self.name}"


def study_fairness(subject: ReviewedModel) -> Finding:
    """Compare countries and sizes with each other."""
    groups = {by: compare_groups(subject, by) for by in _BY}
    bands = " and ".join(band.name for band in subject.bundle.policy.bands.items[:GOOD_BANDS])
    return Finding(
        "fairness",
        "Fairness between groups",
        _summary(groups, bands),
        figures={name: value for by, some in groups.items() for name, value in _figures(by, some).items()},
        tables={f"By {by}": _table(some) for by, some in groups.items()},
        plots={"by_group": _plot([group for some in groups.values() for group in some], bands)},
        checks=tuple(check for by, some in groups.items() for check in _checks(by, some)),
    )


def compare_groups(subject: ReviewedModel, by: str) -> list[GroupMetrics]:
    """Return every group of test rows; large enough groups are compared with the one that is accepted most often."""
    of = group_rows(subject.test)[by]
    accepted = band_of(subject.bundle.policy.bands, subject.probability) < GOOD_BANDS
    groups = [_group(subject, accepted, (of == name).to_numpy(), (by, name)) for name in in_order(by, of)]
    large = [group for group in groups if group.rows >= LEAST_ROWS]
    best = max(large, key=lambda group: group.accepted.value, default=None)
    if best is None or best.accepted.value == 0.0:
        return groups
    rng = np.random.default_rng(subject.seed)
    return [replace(group, ratio=_ratio(group, best, rng)) if group in large else group for group in groups]


def _group(
    subject: ReviewedModel, accepted: NDArray[np.bool_], inside: NDArray[np.bool_], label: tuple[str, str]
) -> GroupMetrics:
    by, name = label
    repaid, rows = inside & ~subject.bad, int(inside.sum())
    return GroupMetrics(
        by=by,
        name=name,
        rows=rows,
        score=Estimate(*mean_interval(subject.score[inside].astype(np.float64))),
        default_rate=float(subject.bad[inside].mean()),
        accepted=Estimate.share((inside & accepted).sum(), rows),
        refused=Estimate.share((repaid & ~accepted).sum(), repaid.sum()) if repaid.any() else NO_ESTIMATE,
    )


def _ratio(group: GroupMetrics, best: GroupMetrics, rng: np.random.Generator) -> Estimate:
    """Return one acceptance rate over another, with an interval from resampling both groups."""
    if group is best:
        return Estimate.exact(1.0)
    own, highest = (rng.binomial(each.rows, each.accepted.value, _DRAWS) / each.rows for each in (group, best))
    positive = highest > 0
    return Estimate.of(group.accepted.value / best.accepted.value, own[positive] / highest[positive])


def _figures(by: str, groups: list[GroupMetrics]) -> dict[str, float]:
    large = [group for group in groups if group.rows >= LEAST_ROWS]
    gaps = {
        "score_gap": [group.score for group in large],
        "false_refusal_gap": [group.refused for group in large if group.refused is not NO_ESTIMATE],
    }
    figures = {f"{by}_{name}": _gap(estimates) for name, estimates in gaps.items() if len(estimates) > 1}
    if lowest := _lowest(groups):
        figures[f"{by}_four_fifths_ratio"] = lowest.ratio
    return expand_intervals(figures)


def _lowest(groups: list[GroupMetrics]) -> GroupMetrics | None:
    """Return the group with the lowest ratio; None if fewer than two groups are compared."""
    compared = [group for group in groups if group.ratio is not NO_ESTIMATE]
    return min(compared, key=lambda group: group.ratio.value) if len(compared) > 1 else None


def _gap(estimates: list[Estimate]) -> Estimate:
    """Return the largest less the smallest, with the interval of Newcombe (1998, method 10)."""
    top = max(estimates, key=lambda estimate: estimate.value)
    bottom = min(estimates, key=lambda estimate: estimate.value)
    gap = top.value - bottom.value
    below = np.hypot(top.value - top.low, bottom.high - bottom.value)
    above = np.hypot(top.high - top.value, bottom.value - bottom.low)
    return Estimate(gap, gap - float(below), gap + float(above))


def _table(groups: list[GroupMetrics]) -> pd.DataFrame:
    return build_table(
        {
            group.by: group.name,
            "rows": group.rows,
            "default_rate": group.default_rate,
            "mean_score": group.score,
            "good_band_share": group.accepted,
            "ratio_to_best": group.ratio,
            "false_refusal_rate": group.refused,
            "note": "" if group.rows >= LEAST_ROWS else f"too few to compare: {group.rows} rows",
        }
        for group in groups
    )


def _checks(by: str, groups: list[GroupMetrics]) -> Iterator[LimitCheck]:
    few = [group.name for group in groups if group.ratio is NO_ESTIMATE]
    if lowest := _lowest(groups):
        best = max(groups, key=lambda group: (group.ratio is not NO_ESTIMATE, group.ratio.value))
        below = [group for group in groups if group.ratio.value < FOUR_FIFTHS] or [lowest]
        yield from (_check(group, best) for group in below)
    if few:
        why = (
            f"fewer than {LEAST_ROWS} test loans each"
            if len(few) < len(groups)
            else "no group is large enough or has any accepted"
        )
        note = (
            f"{len(few)} of {len(groups)} groups by {by} are not compared ({why}): {', '.join(few)}. There is no "
            "evidence that the model treats them like the other groups."
        )
        limit = str(Limit("", FOUR_FIFTHS, at_least=True))
        yield LimitCheck(
            f"four-fifths ratio by {by}", f"not measured for {', '.join(few)}", limit, Standing.NOT_MEASURED, note
        )


def _check(group: GroupMetrics, best: GroupMetrics) -> LimitCheck:
    own, other = f"{group.default_rate:.1%}", f"{best.default_rate:.1%}"
    change = "change the features or the limits of the bands, and document the decision."
    if own == other:
        action = (
            f"The default rate is {own}, the same as for {best.label}: default rates do not explain the gap. Examine "
            f"which features cause it; {change}"
        )
    else:
        action = (
            f"The default rate is {own} against {other} of {best.label}. Examine whether this explains the gap; if it "
            f"does not, {change}"
        )
    limit = Limit(f"four-fifths ratio of {group.label}", FOUR_FIFTHS, at_least=True)
    return limit.check(group.ratio, action, f"{quantity(group.rows, 'loan')} of {group.label}")


def _summary(groups: dict[str, list[GroupMetrics]], bands: str) -> str:
    lowest = [
        f"By {by}, the lowest ratio to the highest share is {group.ratio}, for {group.name}."
        for by, some in groups.items()
        if (group := _lowest(some))
    ]
    return (
        f"Are sellers of a country or size accepted less often than others? Loans in bands {bands} count as accepted. "
        "Loans that were repaid and are in another band count as false rejections. "
        f"{' '.join(lowest) or 'No two groups can be compared.'} The four-fifths rule requires {FOUR_FIFTHS} or more. "
        "Country is not a feature of the model; size is. A gap may reflect a difference in risk, so the tables show "
        f"default rates, too. Groups with fewer than {LEAST_ROWS} loans are not compared."
    )


def _plot(groups: list[GroupMetrics], bands: str) -> Figure:
    compared = [group for group in groups if group.rows >= LEAST_ROWS and group.refused is not NO_ESTIMATE]
    columns = {
        "Mean score": [group.score for group in compared],
        f"Share in bands {bands}": [group.accepted for group in compared],
        "Share of repaid loans rejected": [group.refused for group in compared],
    }
    return forest([f"{group.by}: {group.name}" for group in compared], columns)
