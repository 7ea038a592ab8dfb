"""Performance by segment: discrimination and calibration by month, country, marketplace, tenure and size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from training.evidence.limits import Limit, LimitCheck, Standing, quantity
from training.evidence.metrics import NO_ESTIMATE, Estimate, build_table, evaluate
from training.evidence.plots import forest
from training.evidence.study import Finding, group_rows, in_order, size_limits

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from training.evidence.study import ReviewedModel

LEAST_OF_A_KIND: Final = 10
"""Fewest bad and fewest good loans of a segment: with fewer, the interval of an AUC is too wide to show anything."""

WORSE_RANKING: Final = 0.05
"""How far the AUC of a segment may lie below the AUC of all test loans."""

WRONG_BY: Final = 1.5
"""Largest ratio of the expected to the observed default rate, and of the observed to the expected one."""

LEAST_JUDGED: Final = 3
"""Of the five ways to group the loans, how many must have enough outcomes."""

_COVERED: Final = 0.5
"""A way of grouping has enough outcomes if its measured segments hold this share of the loans."""

_RATIO: Final = "Expected over observed defaults"


@dataclass(frozen=True)
class Segment:
    """One group of test loans; with too few outcomes it has no AUC, Gini and ratio of expected to observed defaults."""

    by: str
    name: str
    rows: int
    bad: int
    rate: Estimate
    ratio: Estimate = NO_ESTIMATE
    auc: Estimate = NO_ESTIMATE
    gini: Estimate = NO_ESTIMATE

    @property
    def note(self) -> str:
        """Why it is not measured; empty if it is."""
        counts = {"bad": self.bad, "good": self.rows - self.bad}
        few = [f"{count} {kind}" for kind, count in counts.items() if count < LEAST_OF_A_KIND]
        return f"too few to judge: {' and '.join(few)}" if few else ""

    @property
    def label(self) -> str:
        """The segment as text: `country VN`."""
        return f"{self.by} {self.name}"


def study_segments(subject: ReviewedModel) -> Finding:
    """Measure the model by out-of-time month, country, marketplace, tenure and size."""
    all_segments = list(segments(subject))
    measured = [segment for segment in all_segments if not segment.note]
    sellers = subject.test.rows["seller_id"]
    auc = evaluate(subject.bad, subject.probability, subject.seed, ("auc",), sellers)["auc"]
    return Finding(
        "segments",
        "Performance by segment",
        _summary(subject, all_segments, measured, auc),
        figures=_figures(all_segments, measured),
        tables={f"By {by}": _table(all_segments, by) for by in dict.fromkeys(each.by for each in all_segments)},
        plots={"by_segment": _plot(measured, auc)} if measured else {},
        checks=(_check_coverage(all_segments), *_check_ranking(measured, auc), *_check_levels(measured)),
    )


def segments(subject: ReviewedModel) -> Iterator[Segment]:
    """Yield every segment of the test rows, with metrics if it has enough bad and good loans."""
    sellers = subject.test.rows["seller_id"]
    for by, of in group_rows(subject.test).items():
        for name in in_order(by, of):
            inside = (of == name).to_numpy()
            bad, probability = subject.bad[inside], subject.probability[inside]
            rate = Estimate.share(int(bad.sum()), len(bad))
            segment = Segment(by, name, len(bad), int(bad.sum()), rate)
            if segment.note:
                yield segment
                continue
            ranking = evaluate(bad, probability, subject.seed, ("auc", "gini"), sellers[inside])
            # the expected rate is not random, so the interval of the ratio is that of the observed rate
            ratio = Estimate(*(float(probability.mean()) / end for end in (rate.value, rate.high, rate.low)))
            yield replace(segment, ratio=ratio, auc=ranking["auc"], gini=ranking["gini"])


def _figures(all_segments: list[Segment], measured: list[Segment]) -> dict[str, float]:
    figures = {"judged": float(len(measured)), "too_small": float(len(all_segments) - len(measured))}
    if measured:
        ratios = (segment.ratio for segment in measured)
        worst = max(ratios, key=lambda ratio: abs(np.log(ratio.value)))
        figures |= _worst_ranking(measured).auc.figures("worst_auc") | worst.figures("worst_expected_over_observed")
    return figures


def _worst_ranking(measured: list[Segment]) -> Segment:
    return min(measured, key=lambda segment: segment.auc.value)


def _table(all_segments: list[Segment], by: str) -> pd.DataFrame:
    return build_table(
        {
            by: segment.name,
            "rows": segment.rows,
            "bad": segment.bad,
            "default_rate": segment.rate,
            "expected_over_observed": segment.ratio,
            "auc": segment.auc,
            "gini": segment.gini,
            "note": segment.note,
        }
        for segment in all_segments
        if segment.by == by
    )


def _check_coverage(all_segments: list[Segment]) -> LimitCheck:
    ways = list(dict.fromkeys(segment.by for segment in all_segments))
    uncovered = [by for by in ways if not _is_covered([segment for segment in all_segments if segment.by == by])]
    figure, limit = "number of ways to group the loans with enough outcomes", f"at least {LEAST_JUDGED} of {len(ways)}"
    shown = f"{len(ways) - len(uncovered)} of {len(ways)}"
    few = sum(bool(segment.note) for segment in all_segments)
    if not few:
        return LimitCheck(figure, shown, limit, Standing.WITHIN)
    note = (
        f"{few} of {len(all_segments)} segments have fewer than {LEAST_OF_A_KIND} bad or {LEAST_OF_A_KIND} good loans "
        "and are not judged."
    )
    if uncovered:
        names = " or ".join([", ".join(uncovered[:-1]), uncovered[-1]] if len(uncovered) > 1 else uncovered)
        note += f" There is no evidence of discrimination or calibration by {names}."
    if len(ways) - len(uncovered) >= LEAST_JUDGED:
        return LimitCheck(figure, shown, limit, Standing.WITHIN, note)
    note += f" The limit is {limit} ways of grouping. Test on more loans: lengthen the test period or add sellers."
    return LimitCheck(figure, shown, limit, Standing.ALARM, note)


def _is_covered(some: list[Segment]) -> bool:
    measured = sum(segment.rows for segment in some if not segment.note)
    return measured >= _COVERED * sum(segment.rows for segment in some)


def _check_ranking(measured: list[Segment], auc: Estimate) -> Iterator[LimitCheck]:
    for segment in measured:
        limit = Limit(f"AUC of {segment.label}", auc.value - WORSE_RANKING, at_least=True)
        action = (
            f"The limit is {WORSE_RANKING} below the AUC of all test loans, {auc}. Do not rely on the ranking within "
            "this segment; add features that separate its loans, or exclude it from the intended use."
        )
        sample = f"{quantity(segment.rows, 'loan')} with {quantity(segment.bad, 'default')}"
        yield limit.check(segment.auc, action, sample)


def _check_levels(measured: list[Segment]) -> Iterator[LimitCheck]:
    action = "Recalibrate the model for this segment, or exclude the segment from the intended use."
    for segment in measured:
        figure = f"ratio of expected to observed defaults of {segment.label}"
        yield ratio_check(figure, segment.ratio, action, quantity(segment.bad, "default"))


def ratio_check(figure: str, ratio: Estimate, action: str, sample: str) -> LimitCheck:
    """Check the ratio of the expected to the observed default rate from both sides, see `WRONG_BY`."""
    limit = Limit(figure, WRONG_BY) if ratio.value > 1 else Limit(figure, 1 / WRONG_BY, at_least=True)
    return replace(limit.check(ratio, action, sample), limit=f"{1 / WRONG_BY:.3g} to {WRONG_BY:.3g}")


def _summary(subject: ReviewedModel, all_segments: list[Segment], measured: list[Segment], auc: Estimate) -> str:
    low, high = size_limits(subject.test.features["settled_net_sales_365d"])
    limits = f": small up to ${low:,.0f}, medium up to ${high:,.0f}" if np.isfinite([low, high]).all() else ""
    question = (
        "Does the model rank and predict equally well in every segment? Segments are the month of the loan, country, "
        f"marketplace, tenure (days on the platform) and size (settled net sales of a year, in thirds{limits})."
    )
    if not measured:
        return (
            f"{question} None of {len(all_segments)} segments has {LEAST_OF_A_KIND} bad and {LEAST_OF_A_KIND} good "
            "loans, so there is no evidence by segment."
        )
    worst = _worst_ranking(measured)
    return (
        f"{question} {len(measured)} of {len(all_segments)} segments have enough outcomes. AUC is {auc} on all test "
        f"loans. The lowest is {worst.auc}, for {worst.label}."
    )


def _plot(measured: list[Segment], auc: Estimate) -> Figure:
    names = [f"{segment.by}: {segment.name}" for segment in measured]
    columns = {"AUC": [each.auc for each in measured], _RATIO: [each.ratio for each in measured]}
    return forest(names, columns, {"AUC": auc.value, _RATIO: 1.0})
