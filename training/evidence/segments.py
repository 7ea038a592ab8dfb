"""Is the model as good for every kind of seller, and in every month? By segment: ranking and calibration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from training.evidence.limits import Limit, LimitCheck, Standing, alarms, quantity
from training.evidence.metrics import Estimate, evaluate
from training.evidence.statistics import wilson_interval
from training.evidence.study import Finding, group_rows, in_order, size_limits

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from training.evidence.study import ReviewedModel

LEAST_OF_A_KIND: Final = 10
"""With fewer bad or good rows the interval of an AUC is wider than any difference that matters."""

WORSE_RANKING: Final = 0.05
"""How far the AUC of a segment may lie below the AUC of all test loans."""

WRONG_BY: Final = 1.5
"""Largest ratio of the expected to the observed default rate, and of the observed to the expected one."""

LEAST_JUDGED: Final = 3
"""Of the five ways to group the loans, how many must have enough outcomes; with fewer, little can be claimed."""

_COVERED: Final = 0.5
"""A way of grouping has enough outcomes if its judged segments hold this share of the loans."""


@dataclass(frozen=True)
class SegmentMetrics:
    """How good the model is for one segment; `ratio` is the expected over the observed default rate."""

    ratio: Estimate
    auc: Estimate
    gini: Estimate


@dataclass(frozen=True)
class Segment:
    """One group of rows; not judged where its outcomes are too few."""

    by: str
    name: str
    rows: int
    bad: int
    rate: Estimate
    judgement: SegmentMetrics | None

    @property
    def note(self) -> str:
        """Why there is no judgement; empty where there is one."""
        counts = {"bad": self.bad, "good": self.rows - self.bad}
        few = [f"{count} {kind}" for kind, count in counts.items() if count < LEAST_OF_A_KIND]
        return f"too few to judge: {' and '.join(few)}" if few else ""


_RATIO: Final = "Expected over observed defaults"
_MeasuredSegment = list[tuple[Segment, SegmentMetrics]]


def by_segment(subject: ReviewedModel) -> Finding:
    """Judge the model by out-of-time month, country, marketplace, tenure and size."""
    found = list(segments(subject))
    judged = [(each, each.judgement) for each in found if each.judgement]
    sellers = subject.test.rows["seller_id"]
    whole = evaluate(subject.bad, subject.probability, subject.seed, ("auc",), sellers)["auc"]
    checks = (_enough(found), *_ranking(judged, whole), *_level(judged))
    return Finding(
        "segments",
        "Segments",
        _said(subject, found, judged, whole),
        figures=_figures(found, judged),
        tables={f"By {by}": _table(found, by) for by in dict.fromkeys(each.by for each in found)},
        plots={"by_segment": _plot(judged, whole)} if judged else {},
        alarms=alarms(checks),
        checks=checks,
    )


def segments(subject: ReviewedModel) -> Iterator[Segment]:
    """Yield every segment of the test rows, judged where it has enough outcomes of both kinds."""
    rows = subject.test.rows["seller_id"]
    for by, of in group_rows(subject.test).items():
        for name in in_order(by, of):
            inside = (of == name).to_numpy()
            bad, probability = subject.bad[inside], subject.probability[inside]
            low, high = (float(end) for end in wilson_interval(bad.sum(), len(bad)))
            rate = Estimate(float(bad.mean()), low, high)
            enough = min(bad.sum(), (~bad).sum()) >= LEAST_OF_A_KIND
            judgement = _segment_metrics(bad, probability, rate, subject.seed, rows[inside]) if enough else None
            yield Segment(by, name, len(bad), int(bad.sum()), rate, judgement)


def _segment_metrics(
    bad: NDArray[np.bool_], probability: NDArray[np.float64], rate: Estimate, seed: int, sellers: pd.Series
) -> SegmentMetrics:
    ranked = evaluate(bad, probability, seed, ("auc", "gini"), sellers)
    # what was expected is no matter of chance, so the ratio is as unsure as the observed rate
    value, low, high = (float(probability.mean()) / end for end in (rate.value, rate.high, rate.low))
    return SegmentMetrics(Estimate(value, low, high), ranked["auc"], ranked["gini"])


def _figures(found: list[Segment], judged: _MeasuredSegment) -> dict[str, float]:
    figures = {"judged": float(len(judged)), "too_small": float(len(found) - len(judged))}
    if judged:
        figures |= min((each.auc for _, each in judged), key=lambda auc: auc.value).figures("worst_auc")
        farthest = max((each.ratio for _, each in judged), key=lambda ratio: abs(np.log(ratio.value)))
        figures |= farthest.figures("worst_expected_over_observed")
    return figures


def _table(found: list[Segment], by: str) -> pd.DataFrame:
    import pandas as pd

    nothing = SegmentMetrics(*[Estimate(np.nan, np.nan, np.nan)] * 3)
    return pd.DataFrame(
        [
            {
                by: each.name,
                "rows": each.rows,
                "bad": each.bad,
                **each.rate.figures("default_rate"),
                **(each.judgement or nothing).ratio.figures("expected_over_observed"),
                **(each.judgement or nothing).auc.figures("auc"),
                **(each.judgement or nothing).gini.figures("gini"),
                "note": each.note,
            }
            for each in found
            if each.by == by
        ]
    )


def _enough(found: list[Segment]) -> LimitCheck:
    """Check how many ways of grouping the loans can be judged, and state those about which nothing can be claimed."""
    ways = list(dict.fromkeys(each.by for each in found))
    uncovered = [by for by in ways if not _is_covered([each for each in found if each.by == by])]
    figure, limit = "number of ways to group the loans with enough outcomes", f"at least {LEAST_JUDGED} of {len(ways)}"
    shown, few = f"{len(ways) - len(uncovered)} of {len(ways)}", sum(each.judgement is None for each in found)
    if not few:
        return LimitCheck(figure, shown, limit, Standing.WITHIN)
    note = (
        f"{few} of {len(found)} segments have fewer than {LEAST_OF_A_KIND} bad or {LEAST_OF_A_KIND} good loans and are "
        "not judged."
    )
    if uncovered:
        note += f" Nothing can be claimed about ranking or calibration by {_listed(uncovered)}."
    if len(ways) - len(uncovered) >= LEAST_JUDGED:
        return LimitCheck(figure, shown, limit, Standing.WITHIN, note)
    note += f" The limit is {limit} ways of grouping. Test on more loans: lengthen the test period or add sellers."
    return LimitCheck(figure, shown, limit, Standing.ALARM, note)


def _is_covered(segments: list[Segment]) -> bool:
    judged = sum(each.rows for each in segments if each.judgement is not None)
    return judged >= _COVERED * sum(each.rows for each in segments)


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _ranking(judged: _MeasuredSegment, whole: Estimate) -> Iterator[LimitCheck]:
    least = whole.value - WORSE_RANKING
    for segment, found in judged:
        limit = Limit(f"AUC of {segment.by} {segment.name}", least, at_least=True)
        action = (
            f"The limit is {WORSE_RANKING} below the AUC of all test loans, {whole}. Do not rely on the ranking within "
            "this segment; add features that separate its loans, or exclude it from the intended use."
        )
        yield limit.check(
            found.auc, action, f"{quantity(segment.rows, 'loan')} with {quantity(segment.bad, 'default')}"
        )


def _level(judged: _MeasuredSegment) -> Iterator[LimitCheck]:
    action = "Recalibrate the model for this segment, or exclude the segment from the intended use."
    for segment, found in judged:
        figure = f"ratio of expected to observed defaults of {segment.by} {segment.name}"
        yield ratio_check(figure, found.ratio, action, quantity(segment.bad, "default"))


def ratio_check(figure: str, found: Estimate, action: str, sample: str) -> LimitCheck:
    """Check the ratio of the expected to the observed default rate from both sides, see `WRONG_BY`."""
    sides = Limit(figure, WRONG_BY), Limit(figure, 1 / WRONG_BY, at_least=True)
    side = sides[0] if found.value > 1 else sides[1]
    return replace(side.check(found, action, sample), limit=f"{1 / WRONG_BY:.3g} to {WRONG_BY:.3g}")


def _said(subject: ReviewedModel, found: list[Segment], judged: _MeasuredSegment, whole: Estimate) -> str:
    asked = (
        "Asked: is the model equally good at ranking and equally calibrated by month of the loan, country, "
        "marketplace, tenure (days on the platform) and size (settled net sales of a year, by thirds of the rows"
        f"{_limits(subject)})?"
    )
    if not judged:
        return (
            f"{asked} None of {len(found)} segments has {LEAST_OF_A_KIND} bad and {LEAST_OF_A_KIND} good loans, so "
            "none is judged and nothing can be claimed about any of them."
        )
    worst, how = min(judged, key=lambda each: each[1].auc.value)
    return (
        f"{asked} {len(judged)} of {len(found)} segments have enough outcomes. AUC is {whole} on all rows and lowest, "
        f"{how.auc}, for {worst.by} {worst.name}."
    )


def _limits(subject: ReviewedModel) -> str:
    low, high = size_limits(subject.test.features["settled_net_sales_365d"])
    return f": small up to ${low:,.0f}, medium up to ${high:,.0f}" if np.isfinite([low, high]).all() else ""


def _plot(judged: _MeasuredSegment, whole: Estimate) -> Figure:
    from training.evidence.report_blocks import forest

    names = [f"{segment.by}: {segment.name}" for segment, _ in judged]
    columns = {"AUC": [found.auc for _, found in judged], _RATIO: [found.ratio for _, found in judged]}
    return forest(names, columns, {"AUC": whole.value, _RATIO: 1.0})
