"""Is the model as good for every kind of seller, and in every month? By segment: ranking and calibration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from training.evidence.finding import Finding
from training.evidence.groups import groups, ordered, size_limits
from training.evidence.intervals import wilson
from training.evidence.metrics import Estimate, evaluate

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from training.evidence.subject import Subject

LEAST_OF_A_KIND: Final = 10
"""With fewer bad or good rows the interval of an AUC is wider than any difference that matters."""

_WORSE_RANKING: Final = 0.05
"""An AUC that lies surely this far below that of all rows raises an alarm."""

_WRONG_BY: Final = 1.5
"""So does an expected default rate that is surely this many times the observed one, or the observed the expected."""


@dataclass(frozen=True)
class Judgement:
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
    judgement: Judgement | None

    @property
    def note(self) -> str:
        """Why there is no judgement; empty where there is one."""
        counts = {"bad": self.bad, "good": self.rows - self.bad}
        few = [f"{count} {kind}" for kind, count in counts.items() if count < LEAST_OF_A_KIND]
        return f"too few to judge: {' and '.join(few)}" if few else ""


_RATIO: Final = "Expected over observed defaults"
_Judged = list[tuple[Segment, Judgement]]


def by_segment(subject: Subject) -> Finding:
    """Judge the model by out-of-time month, country, marketplace, tenure and size."""
    found = list(segments(subject))
    judged = [(each, each.judgement) for each in found if each.judgement]
    whole = evaluate(subject.bad, subject.probability, subject.seed, ("auc",))["auc"]
    return Finding(
        "segments",
        "Segments",
        _said(subject, found, judged, whole),
        figures=_figures(found, judged),
        tables={f"By {by}": _table(found, by) for by in dict.fromkeys(each.by for each in found)},
        plots={"by_segment": _plot(judged, whole)} if judged else {},
        alarms=tuple(_alarms(judged, whole)),
    )


def segments(subject: Subject) -> Iterator[Segment]:
    """Yield every segment of the test rows, judged where it has enough outcomes of both kinds."""
    for by, of in groups(subject.test).items():
        for name in ordered(by, of):
            inside = (of == name).to_numpy()
            bad, probability = subject.bad[inside], subject.probability[inside]
            low, high = (float(end) for end in wilson(bad.sum(), len(bad)))
            rate = Estimate(float(bad.mean()), low, high)
            enough = min(bad.sum(), (~bad).sum()) >= LEAST_OF_A_KIND
            judgement = _judgement(bad, probability, rate, subject.seed) if enough else None
            yield Segment(by, name, len(bad), int(bad.sum()), rate, judgement)


def _judgement(bad: NDArray[np.bool_], probability: NDArray[np.float64], rate: Estimate, seed: int) -> Judgement:
    ranked = evaluate(bad, probability, seed, ("auc", "gini"))
    # what was expected is no matter of chance, so the ratio is as unsure as the observed rate
    value, low, high = (float(probability.mean()) / end for end in (rate.value, rate.high, rate.low))
    return Judgement(Estimate(value, low, high), ranked["auc"], ranked["gini"])


def _figures(found: list[Segment], judged: _Judged) -> dict[str, float]:
    figures = {"judged": float(len(judged)), "too_small": float(len(found) - len(judged))}
    if judged:
        figures |= min((each.auc for _, each in judged), key=lambda auc: auc.value).figures("worst_auc")
        farthest = max((each.ratio for _, each in judged), key=lambda ratio: abs(np.log(ratio.value)))
        figures |= farthest.figures("worst_expected_over_observed")
    return figures


def _table(found: list[Segment], by: str) -> pd.DataFrame:
    import pandas as pd

    nothing = Judgement(*[Estimate(np.nan, np.nan, np.nan)] * 3)
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


def _alarms(judged: _Judged, whole: Estimate) -> Iterator[str]:
    for segment, found in judged:
        who = f"{segment.by} {segment.name}"
        if found.auc.high < whole.value - _WORSE_RANKING:
            yield f"The model ranks {who} worse than the rest: AUC {found.auc} against {whole} on all rows."
        if found.ratio.high < 1 / _WRONG_BY or found.ratio.low > _WRONG_BY:
            yield f"The model misjudges the level of {who}: it expects {found.ratio} times the observed default rate."


def _said(subject: Subject, found: list[Segment], judged: _Judged, whole: Estimate) -> str:
    asked = (
        "Asked: does the model rank, and is it calibrated, alike by month of the loan, country, marketplace, tenure "
        "(days on the platform) and size (settled net sales of a year, by thirds of the rows"
        f"{_limits(subject)})? {len(found) - len(judged)} of {len(found)} segments have fewer than {LEAST_OF_A_KIND} "
        "bad or good rows and are not judged."
    )
    if not judged:
        return asked
    worst, how = min(judged, key=lambda each: each[1].auc.value)
    return f"{asked} AUC is {whole} on all rows and lowest, {how.auc}, for {worst.by} {worst.name}."


def _limits(subject: Subject) -> str:
    low, high = size_limits(subject.test.features["settled_net_sales_365d"])
    return f": small up to ${low:,.0f}, medium up to ${high:,.0f}" if np.isfinite([low, high]).all() else ""


def _plot(judged: _Judged, whole: Estimate) -> Figure:
    from training.evidence.drawing import forest

    names = [f"{segment.by}: {segment.name}" for segment, _ in judged]
    columns = {"AUC": [found.auc for _, found in judged], _RATIO: [found.ratio for _, found in judged]}
    return forest(names, columns, {"AUC": whole.value, _RATIO: 1.0})
