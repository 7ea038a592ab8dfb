"""Calibration by band: expected and observed default rate of each band, and the order of the bands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, groupby
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from training.evidence.limits import LimitCheck, Standing, quantity
from training.evidence.metrics import Estimate, build_table
from training.evidence.plots import BAD, GOOD, new_plot
from training.evidence.segments import ratio_check
from training.evidence.study import Finding

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from scoring.bands import Bands
    from training.dataset import Words
    from training.evidence.study import ReviewedModel


@dataclass(frozen=True)
class BandMetrics:
    """One band that holds rows: the mean probability of default, and the observed default rate."""

    name: str
    up_to: float
    rows: int
    bad: int
    expected: float
    observed: Estimate


def study_bands(subject: ReviewedModel) -> Finding:
    """Compare observed with expected default rates by band."""
    bands, words = subject.bundle.policy.bands, subject.test.words
    metrics = measure_bands(bands, subject.bad, subject.probability)
    rising = not _inversions(metrics)
    figures = {f"observed_{band.name.lower()}": band.observed.value for band in metrics}
    figures |= {f"expected_{band.name.lower()}": band.expected for band in metrics}
    return Finding(
        "bands",
        "Calibration by band",
        _summary(len(bands.items), metrics, rising=rising),
        figures={"in_order": float(rising), **figures},
        tables={"By band": _table(metrics)},
        plots={"by_band": _plot(metrics)},
        checks=(*_check_order(metrics, words), *_check_levels(metrics, words)),
    )


def band_of(bands: Bands, probability: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the index of each probability's band, 0 for the best; the same as `bands.of`, for many rows."""
    limits = [band.up_to for band in bands.items]
    return np.searchsorted(limits, probability, side="left")


def measure_bands(bands: Bands, bad: NDArray[np.bool_], probability: NDArray[np.float64]) -> list[BandMetrics]:
    """Return the metrics of each band that holds a row, the best first."""
    index = band_of(bands, probability)
    metrics = []
    for number, band in enumerate(bands.items):
        inside = index == number
        rows, bads = int(inside.sum()), int(bad[inside].sum())
        if rows:
            expected = float(probability[inside].mean())
            metrics.append(BandMetrics(band.name, band.up_to, rows, bads, expected, Estimate.share(bads, rows)))
    return metrics


def _inversions(metrics: list[BandMetrics]) -> list[tuple[BandMetrics, BandMetrics]]:
    pairs = combinations(metrics, 2)
    return [(better, worse) for better, worse in pairs if better.observed.value > worse.observed.value]


def _ties(metrics: list[BandMetrics]) -> str:
    """Return a sentence on neighbouring bands with equal observed rates, or an empty text."""
    groups = [list(group) for _, group in groupby(metrics, key=lambda band: band.observed.value)]
    ties = [
        f"{', '.join(band.name for band in group[:-1])} and {group[-1].name} ({group[0].observed.value:.1%})"
        for group in groups
        if len(group) > 1
    ]
    if not ties:
        return ""
    return (
        f" Bands with equal observed rates: {'; '.join(ties)}. That is no violation of the order: bands with few rows "
        "often have equal rates."
    )


def _check_order(metrics: list[BandMetrics], words: Words) -> Iterator[LimitCheck]:
    figure, limit = "order of the observed default rates", "no better band above a worse one"
    wrong = _inversions(metrics)
    certain = [(better, worse) for better, worse in wrong if better.observed.low > worse.observed.high]
    for better, worse in certain:
        note = (
            f"Band {better.name} defaults more than band {worse.name}: {better.observed} against {worse.observed}. Do "
            "not use the bands. Find the cause, and recalibrate or retrain the model."
        )
        yield LimitCheck(figure, f"{better.name} above {worse.name}", limit, Standing.ALARM, note)
    if wrong and not certain:
        pairs = ", ".join(f"{better.name} above {worse.name}" for better, worse in wrong)
        note = (
            f"The observed default rate does not rise with every band: {pairs}. It raises no alarm, because the 95% "
            f"intervals overlap: {quantity(sum(band.bad for band in metrics), words.bad)} are too few to decide."
        )
        yield LimitCheck(figure, pairs, limit, Standing.UNCERTAIN, note)
    if not wrong:
        yield LimitCheck(figure, "rises, with equal rates" if _ties(metrics) else "rises", limit, Standing.WITHIN)


def _check_levels(metrics: list[BandMetrics], words: Words) -> Iterator[LimitCheck]:
    for band in metrics:
        # without a default, the ratio has no upper bound
        value, low, high = (
            band.expected / rate if rate > 0 else float("inf")
            for rate in (band.observed.value, band.observed.high, band.observed.low)
        )
        yield ratio_check(
            f"ratio of expected to observed defaults of band {band.name}",
            Estimate(value, low, high),
            "Recalibrate the model, or move the limits of the bands.",
            f"{quantity(band.rows, words.row)} with {quantity(band.bad, words.bad)}",
        )


def _summary(bands: int, metrics: list[BandMetrics], *, rising: bool) -> str:
    inside = sum(band.observed.low <= band.expected <= band.observed.high for band in metrics)
    empty = "" if len(metrics) == bands else f" {bands - len(metrics)} of {bands} bands hold no rows."
    ties = _ties(metrics)
    if not rising:
        verdict = "does not rise with every band"
    else:
        verdict = "never falls from a better band to a worse one" if ties else "rises with every band"
    return (
        "Does each band default at the expected rate, and each worse band at a higher one? The observed rate "
        f"{verdict}. The expected rate lies within the 95% interval (Wilson) of the observed one in {inside} of "
        f"{len(metrics)} bands.{ties}{empty}"
    )


def _table(metrics: list[BandMetrics]) -> pd.DataFrame:
    columns = {"name": "band", "up_to": "probability_up_to"}
    return build_table(vars(band) for band in metrics).rename(columns=columns)


def _plot(metrics: list[BandMetrics]) -> Figure:
    figure, axes = new_plot(5.6, 3.8)
    ticks = np.arange(len(metrics))
    value, low, high = (np.array([getattr(band.observed, end) for band in metrics]) for end in ("value", "low", "high"))
    axes.vlines(ticks, low, high, color=GOOD, linewidth=1.5)
    axes.plot(ticks, value, "o", color=GOOD, label="observed, 95% interval")
    axes.plot(ticks, [band.expected for band in metrics], "D", color=BAD, fillstyle="none", label="expected")
    axes.set_xticks(ticks, [f"{band.name}\n{band.rows:,} rows" for band in metrics])
    axes.set_ylabel("Default rate")
    axes.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    axes.set_ylim(bottom=0)
    axes.set_xlim(-0.5, len(metrics) - 0.5)
    axes.legend(frameon=False, loc="upper left")
    return figure
