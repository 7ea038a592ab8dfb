"""Do the bands mean what they say? Expected and observed default rates of each, and whether risk rises with each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, groupby
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from training.evidence.limits import LimitCheck, Standing, alarms, quantity
from training.evidence.metrics import Estimate
from training.evidence.segments import ratio_check
from training.evidence.statistics import wilson_interval
from training.evidence.study import Finding

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from scoring.bands import Bands
    from training.evidence.study import ReviewedModel


@dataclass(frozen=True)
class JudgedBand:
    """One band with rows in it: the mean probability of default that the model gave, and the share that went bad."""

    name: str
    up_to: float
    rows: int
    bad: int
    expected: float
    observed: Estimate


def by_band(subject: ReviewedModel) -> Finding:
    """Hold observed default rates against expected ones by band."""
    bands = subject.bundle.policy.bands
    found = judged_bands(bands, subject.bad, subject.probability)
    checks = (*_order(found), *_levels(found))
    rising = not _inversions(found)
    figures = {f"observed_{each.name.lower()}": each.observed.value for each in found}
    figures |= {f"expected_{each.name.lower()}": each.expected for each in found}
    return Finding(
        "bands",
        "Calibration by band",
        _said(len(bands.items), found, rising=rising),
        figures={"in_order": float(rising), **figures},
        tables={"By band": _table(found)},
        plots={"by_band": _plot(found)},
        alarms=alarms(checks),
        checks=checks,
    )


def band_of(bands: Bands, probability: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the place of each probability's band, 0 the best; the same as `bands.of`, for many rows."""
    limits = [band.up_to for band in bands.items]
    return np.searchsorted(limits, probability, side="left")


def judged_bands(bands: Bands, bad: NDArray[np.bool_], probability: NDArray[np.float64]) -> list[JudgedBand]:
    """Judge each band that holds a row, the best first."""
    place = band_of(bands, probability)
    found = []
    for number, band in enumerate(bands.items):
        inside = place == number
        rows, bads = int(inside.sum()), int(bad[inside].sum())
        if rows:
            low, high = (float(end) for end in wilson_interval(bads, rows))
            expected = float(probability[inside].mean())
            found.append(JudgedBand(band.name, band.up_to, rows, bads, expected, Estimate(bads / rows, low, high)))
    return found


def _inversions(found: list[JudgedBand]) -> list[tuple[JudgedBand, JudgedBand]]:
    """Return the pairs in which the better band has the higher observed rate; equal rates are no inversion."""
    return [(better, worse) for better, worse in combinations(found, 2) if better.observed.value > worse.observed.value]


def _ties(found: list[JudgedBand]) -> str:
    """Return a sentence on neighbouring bands of equal observed rates; empty if there are none."""
    tied = [list(group) for _, group in groupby(found, key=lambda each: each.observed.value)]
    shown = [
        f"{', '.join(each.name for each in group[:-1])} and {group[-1].name} ({group[0].observed.value:.1%})"
        for group in tied
        if len(group) > 1
    ]
    if not shown:
        return ""
    return (
        f" Bands of equal observed rates: {'; '.join(shown)}. That is no violation of the order: bands with few loans "
        "often have equal rates."
    )


def _order(found: list[JudgedBand]) -> Iterator[LimitCheck]:
    figure, limit = "order of the observed default rates", "no better band above a worse one"
    wrong = _inversions(found)
    certain = [(better, worse) for better, worse in wrong if better.observed.low > worse.observed.high]
    for better, worse in certain:
        note = (
            f"Band {better.name} defaults more than band {worse.name}: {better.observed} against {worse.observed}. Do "
            "not use the bands before you have found out why; recalibrate or retrain."
        )
        yield LimitCheck(figure, f"{better.name} above {worse.name}", limit, Standing.ALARM, note)
    if wrong and not certain:
        pairs = ", ".join(f"{better.name} above {worse.name}" for better, worse in wrong)
        note = (
            f"The observed default rate does not rise with every band: {pairs}. It raises no alarm, because the 95% "
            f"intervals overlap: {quantity(sum(each.bad for each in found), 'default')} are too few to decide."
        )
        yield LimitCheck(figure, pairs, limit, Standing.UNCERTAIN, note)
    if not wrong:
        yield LimitCheck(figure, "rises, with equal rates" if _ties(found) else "rises", limit, Standing.WITHIN)


def _levels(found: list[JudgedBand]) -> Iterator[LimitCheck]:
    action = "Recalibrate the model, or move the limits of the bands."
    for each in found:
        figure = f"ratio of expected to observed defaults of band {each.name}"
        # without a default, no value bounds the ratio from above
        value, low, high = (
            each.expected / rate if rate > 0 else float("inf")
            for rate in (each.observed.value, each.observed.high, each.observed.low)
        )
        yield ratio_check(
            figure,
            Estimate(value, low, high),
            action,
            f"{quantity(each.rows, 'loan')} with {quantity(each.bad, 'default')}",
        )


def _said(bands: int, found: list[JudgedBand], *, rising: bool) -> str:
    inside = sum(each.observed.low <= each.expected <= each.observed.high for each in found)
    empty = "" if len(found) == bands else f" {bands - len(found)} of {bands} bands hold no row."
    ties = _ties(found)
    if not rising:
        verdict = "does not rise with every band"
    else:
        verdict = "never falls from a better band to a worse one" if ties else "rises with every band"
    return (
        "Asked: do loans default as often as their band predicts, and more often in each worse band? The observed rate "
        f"{verdict}, and the expected one lies within the observed one's 95% interval (Wilson) in {inside} of "
        f"{len(found)}.{ties}{empty}"
    )


def _table(found: list[JudgedBand]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "band": each.name,
                "probability_up_to": each.up_to,
                "rows": each.rows,
                "bad": each.bad,
                "expected": each.expected,
                "observed": each.observed.value,
                "observed_low": each.observed.low,
                "observed_high": each.observed.high,
            }
            for each in found
        ]
    )


def _plot(found: list[JudgedBand]) -> Figure:
    from training.evidence.report_blocks import BAD, GOOD, new_figure, plain

    figure = new_figure(5.6, 3.8)
    axes = figure.subplots()
    places = np.arange(len(found))
    value, low, high = (np.array([getattr(each.observed, end) for each in found]) for end in ("value", "low", "high"))
    axes.vlines(places, low, high, color=GOOD, linewidth=1.5)
    axes.plot(places, value, "o", color=GOOD, label="observed, 95% interval")
    axes.plot(places, [each.expected for each in found], "D", color=BAD, fillstyle="none", label="expected")
    axes.set_xticks(places, [f"{each.name}\n{each.rows:,} rows" for each in found])
    axes.set_ylabel("Default rate")
    axes.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    axes.set_ylim(bottom=0)
    axes.set_xlim(-0.5, len(found) - 0.5)
    axes.legend(frameon=False, loc="upper left")
    plain(axes)
    return figure
