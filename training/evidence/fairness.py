"""Do sellers of some countries or sizes fare worse? Gaps in score, in good bands, and in refusals of those who repaid.

A gap is not yet unfair: groups may differ in risk, so the default rate stands beside. It is what a reviewer must see.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from training.evidence.bands import band_of
from training.evidence.limits import Limit, LimitCheck, Standing, alarms, quantity
from training.evidence.metrics import Estimate
from training.evidence.statistics import mean_interval, wilson_interval
from training.evidence.study import Finding, group_rows, in_order

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from training.evidence.study import ReviewedModel

GOOD_BANDS: Final = 2
"""The best bands, A and B: what a bank is taken to accept without a closer look."""

LEAST_ROWS: Final = 30
"""A smaller group is shown and not compared: one seller more or less would move its share by percent points."""

FOUR_FIFTHS: Final = 0.8
"""The rule of thumb of US enforcement agencies (29 CFR 1607.4 D): a group accepted less than four fifths as often as
the group accepted most deserves a question."""

_BY: Final = ("country", "size")
_DRAWS: Final = 2_000


@dataclass(frozen=True)
class GroupMetrics:
    """How one group fares.

    Attributes:
        by: what parts the rows, `country` or `size`.
        name: of the group.
        rows: how many it has.
        score: the mean, with its interval.
        default_rate: observed.
        accepted: share in the good bands.
        refused: share outside of them among those who repaid; None where nobody did.
        ratio: share accepted over that of the group accepted most; None where it is too small to compare.
    """

    by: str
    name: str
    rows: int
    score: Estimate
    default_rate: float
    accepted: Estimate
    refused: Estimate | None
    ratio: Estimate | None


def fairness(subject: ReviewedModel) -> Finding:
    """Hold countries and sizes against each other."""
    found = {by: compared(subject, by) for by in _BY}
    checks = tuple(check for by, each in found.items() for check in _checks(by, each))
    names = " and ".join(band.name for band in subject.bundle.policy.bands.items[:GOOD_BANDS])
    return Finding(
        "fairness",
        "Fairness between groups",
        _said(found, names),
        figures={name: value for by, each in found.items() for name, value in _figures(by, each).items()},
        tables={f"By {by}": _table(each) for by, each in found.items()},
        plots={"by_group": _plot([group for each in found.values() for group in each], names)},
        alarms=alarms(checks),
        checks=checks,
    )


def compared(subject: ReviewedModel, by: str) -> list[GroupMetrics]:
    """Return every group of test rows, the large enough ones compared with the one accepted most."""
    of = group_rows(subject.test)[by]
    accepted = band_of(subject.bundle.policy.bands, subject.probability) < GOOD_BANDS
    plain = [_group(subject, accepted, (of == name).to_numpy(), (by, name)) for name in in_order(by, of)]
    judged = [each for each in plain if each.rows >= LEAST_ROWS]
    best = max(judged, key=lambda each: each.accepted.value, default=None)
    if best is None or best.accepted.value == 0.0:
        return plain
    rng = np.random.default_rng(subject.seed)
    return [replace(each, ratio=_ratio(each, best, rng)) if each in judged else each for each in plain]


def _group(
    subject: ReviewedModel, accepted: NDArray[np.bool_], inside: NDArray[np.bool_], named: tuple[str, str]
) -> GroupMetrics:
    repaid = inside & ~subject.bad
    refused = _share((repaid & ~accepted).sum(), repaid.sum()) if repaid.any() else None
    score = Estimate(*mean_interval(subject.score[inside].astype(np.float64)))
    rows = int(inside.sum())
    default_rate = float(subject.bad[inside].mean())
    return GroupMetrics(*named, rows, score, default_rate, _share((inside & accepted).sum(), rows), refused, None)


def _share(hits: int, rows: int) -> Estimate:
    low, high = wilson_interval(hits, rows)
    return Estimate(float(hits / rows), float(low), float(high))


def _ratio(group: GroupMetrics, best: GroupMetrics, rng: np.random.Generator) -> Estimate:
    """Return one acceptance rate over another, with the interval of drawing both groups again."""
    if group is best:
        return Estimate(1.0, 1.0, 1.0)
    ours, theirs = (rng.binomial(each.rows, each.accepted.value, _DRAWS) / each.rows for each in (group, best))
    some = theirs > 0
    return Estimate.of(group.accepted.value / best.accepted.value, ours[some] / theirs[some])


def _figures(by: str, found: list[GroupMetrics]) -> dict[str, float]:
    judged = [each for each in found if each.rows >= LEAST_ROWS]
    gaps = {"score_gap": [each.score for each in judged], "false_refusal_gap": [e.refused for e in judged if e.refused]}
    figures: dict[str, float] = {}
    for name, estimates in gaps.items():
        if len(estimates) > 1:
            figures |= _gap(estimates).figures(f"{by}_{name}")
    ratios = [each.ratio for each in judged if each.ratio]
    if len(ratios) > 1:
        figures |= min(ratios, key=lambda ratio: ratio.value).figures(f"{by}_four_fifths_ratio")
    return figures


def _gap(estimates: list[Estimate]) -> Estimate:
    """Return the largest less the smallest; its interval joins theirs by squares (Newcombe, 1998, method 10)."""
    top = max(estimates, key=lambda each: each.value)
    bottom = min(estimates, key=lambda each: each.value)
    gap = top.value - bottom.value
    below = np.hypot(top.value - top.low, bottom.high - bottom.value)
    above = np.hypot(top.high - top.value, bottom.value - bottom.low)
    return Estimate(gap, gap - float(below), gap + float(above))


def _table(found: list[GroupMetrics]) -> pd.DataFrame:
    import pandas as pd

    nothing = Estimate(np.nan, np.nan, np.nan)
    return pd.DataFrame(
        [
            {
                each.by: each.name,
                "rows": each.rows,
                "default_rate": each.default_rate,
                **each.score.figures("mean_score"),
                **each.accepted.figures("good_band_share"),
                **(each.ratio or nothing).figures("ratio_to_best"),
                **(each.refused or nothing).figures("false_refusal_rate"),
                "note": "" if each.rows >= LEAST_ROWS else f"too few to compare: {each.rows} rows",
            }
            for each in found
        ]
    )


def _checks(by: str, found: list[GroupMetrics]) -> Iterator[LimitCheck]:
    judged = [(each, each.ratio) for each in found if each.ratio is not None]
    if len(judged) > 1:
        (best, _), (lowest, ratio) = (pick(judged, key=lambda pair: pair[1].value) for pick in (max, min))
        below = [pair for pair in judged if pair[1].value < FOUR_FIFTHS] or [(lowest, ratio)]
        yield from (_check(each, share, best) for each, share in below)
    few = [each.name for each in found if each.ratio is None]
    if few:
        why = f"fewer than {LEAST_ROWS} test loans each" if judged else "no group is large enough or has accepted loans"
        note = (
            f"{len(few)} of {len(found)} groups by {by} are not compared ({why}): {', '.join(few)}. It cannot be "
            "claimed that the model treats them like the others."
        )
        limit = Limit("", FOUR_FIFTHS, at_least=True)
        yield LimitCheck(
            f"four-fifths ratio by {by}", f"not measured for {', '.join(few)}", str(limit), Standing.NOT_MEASURED, note
        )


def _check(group: GroupMetrics, ratio: Estimate, best: GroupMetrics) -> LimitCheck:
    own, other = f"{group.default_rate:.1%}", f"{best.default_rate:.1%}"
    change = "change the features or the limits of the bands, and document the decision."
    if own == other:
        action = (
            f"The default rate is {own}, the same as for {best.by} {best.name}: default rates do not explain the "
            f"gap. Examine which features cause it; {change}"
        )
    else:
        action = (
            f"The default rate is {own} against {other} of {best.by} {best.name}. Examine whether this explains the "
            f"gap; if it does not, {change}"
        )
    limit = Limit(f"four-fifths ratio of {group.by} {group.name}", FOUR_FIFTHS, at_least=True)
    return limit.check(ratio, action, f"{quantity(group.rows, 'loan')} of {group.by} {group.name}")


def _said(found: dict[str, list[GroupMetrics]], names: str) -> str:
    lowest = []
    for by, each in found.items():
        ratios = [(group.ratio, group.name) for group in each if group.ratio]
        if len(ratios) > 1:
            ratio, name = min(ratios, key=lambda pair: pair[0].value)
            lowest.append(f"By {by}, the lowest share over the highest is {ratio}, of {name}.")
    return (
        "Asked: are sellers of a country or size accepted less often than others? Loans in bands "
        f"{names} count as accepted. Loans that were repaid and are in another band count as false refusals. "
        f"{' '.join(lowest) or 'No two groups can be compared.'} The four-fifths rule requires {FOUR_FIFTHS} or more. "
        "Country is not a feature of the model; size is. A gap may be one of risk, so the tables show default rates "
        f"too. Groups of fewer than {LEAST_ROWS} rows are not compared."
    )


def _plot(found: list[GroupMetrics], names: str) -> Figure:
    from training.evidence.report_blocks import forest

    shown = [each for each in found if each.rows >= LEAST_ROWS and each.refused]
    columns = {
        "Mean score": [each.score for each in shown],
        f"Share in bands {names}": [each.accepted for each in shown],
        "Refused of those who repaid": [each.refused for each in shown if each.refused],
    }
    return forest([f"{each.by}: {each.name}" for each in shown], columns)
