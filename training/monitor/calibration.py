"""Calibration: observed over expected defaults by vintage and band, and calibration slope and intercept.

Observed over expected has a Wilson interval of the observed rate (Wilson, Probable inference, 1927); the expected rate
counts as exact. Vintages and bands are tested separately, so each uses an interval at the level `1 - 5% / chunks`: the
chance of any false alarm among them is at most 5% (Bonferroni). Slope and intercept are those of the logistic
regression of outcomes on predicted log-odds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Final

from training.evidence.metrics import NO_ESTIMATE, Estimate, build_table, expand_intervals
from training.evidence.study import Finding
from training.monitor.performance import latest_loans, matured_loans, measure_loans

if TYPE_CHECKING:
    import pandas as pd

    from training.monitor.subject import MonitoredModel

BY_VINTAGE: Final = "Calibration by vintage"
BY_BAND: Final = "Calibration by band"
BY_BOTH: Final = "Calibration by band and vintage"
_TITLE: Final = "Calibration"
_LINE: Final = ("slope", "intercept")
_ERROR: Final = 0.05


@dataclass(frozen=True)
class Chunk:
    """Matured loans of one vintage or band: number of loans and of bad loans, and the mean predicted probability."""

    name: str
    loans: int
    bad: int
    expected: float

    @classmethod
    def of(cls, name: str, loans: pd.DataFrame) -> Chunk:
        """Return loans as a chunk."""
        return cls(name, len(loans), int(loans["bad"].sum()), float(loans["probability_of_default"].mean()))

    def ratio(self, error: float = _ERROR) -> Estimate:
        """Return observed over expected defaults with an interval at the level `1 - error`.

        Example: with 100 loans, 4 bad and 2 expected, the ratio is 2.0 (0.78 to 4.92).
        """
        from scipy.stats import binomtest

        ends = binomtest(self.bad, self.loans).proportion_ci(1.0 - error, method="wilson")
        observed = self.bad / self.loans
        return Estimate(*(float(rate) / self.expected for rate in (observed, ends.low, ends.high)))

    def row(self, kind: str) -> dict[str, object]:
        """Return the chunk as a row of a table, its name in the column `kind`."""
        counts = {kind: self.name, "loans": self.loans, "bad": self.bad, "expected_bad": self.loans * self.expected}
        return {**counts, "observed_over_expected": self.ratio()}


def calibration(monitored: MonitoredModel) -> Finding:
    """Measure the calibration of the matured loans of the latest vintages, together, by vintage and by band."""
    loans = latest_loans(monitored)
    if loans.empty:
        return Finding("calibration", _TITLE, "Not measured: no loan that matches a score is matured.")
    whole, line = Chunk.of("all", loans), _line(monitored, loans)
    chunks = {kind: _chunks(loans, kind) for kind in ("vintage", "band")}
    return Finding(
        "calibration",
        _TITLE,
        _summary(whole, line, chunks),
        figures=expand_intervals({"observed_over_expected": whole.ratio(), **line}),
        tables=_tables(monitored, chunks["band"]),
        alarms=(
            *_level_alarms(monitored, whole),
            *_chunk_alarms(monitored, chunks),
            *_order_alarms(chunks["band"]),
            *_slope_alarms(monitored, line),
        ),
    )


def _chunks(loans: pd.DataFrame, by: str) -> list[Chunk]:
    return [Chunk.of(str(name), part) for name, part in loans.groupby(by, observed=True)]


def _line(monitored: MonitoredModel, loans: pd.DataFrame) -> dict[str, Estimate]:
    """Return `slope` and `intercept`, or nothing if there are too few bad or good loans."""
    measured = measure_loans(monitored, loans, tuple(f"calibration_{name}" for name in _LINE))
    return {name.removeprefix("calibration_"): metric for name, metric in measured.items()}


def _tables(monitored: MonitoredModel, bands: list[Chunk]) -> dict[str, pd.DataFrame]:
    by_vintage, by_both = [], []
    for vintage, loans in matured_loans(monitored).groupby("vintage"):
        line = dict.fromkeys(_LINE, NO_ESTIMATE) | _line(monitored, loans)
        by_vintage.append({**Chunk.of(str(vintage), loans).row("vintage"), **line})
        by_both += [{"vintage": vintage, **band.row("band")} for band in _chunks(loans, "band")]
    return {
        BY_VINTAGE: build_table(by_vintage),
        BY_BAND: build_table(band.row("band") for band in bands),
        BY_BOTH: build_table(by_both),
    }


def _level_alarms(monitored: MonitoredModel, whole: Chunk) -> Iterator[str]:
    ratio, threshold = whole.ratio(), monitored.config.outcomes.observed_over_expected
    if threshold.is_breached(ratio):
        yield (f"Observed over expected defaults are {ratio} on {whole.loans:,} matured loans. Threshold: {threshold}.")


def _chunk_alarms(monitored: MonitoredModel, chunks: Mapping[str, list[Chunk]]) -> Iterator[str]:
    threshold = monitored.config.outcomes.observed_over_expected
    for kind, parts in chunks.items():
        ratios = {part.name: part.ratio(_ERROR / len(parts)) for part in parts}
        breached = [f"{name} {ratio}" for name, ratio in ratios.items() if threshold.is_breached(ratio)]
        if breached:
            yield (
                f"Observed over expected defaults exceed the threshold in {len(breached)} of {len(parts)} {kind}s: "
                f"{', '.join(breached)}. Threshold: {threshold}. Intervals are wider because there are {len(parts)} "
                f"{kind}s."
            )


def _order_alarms(bands: list[Chunk]) -> Iterator[str]:
    rates = [(band.name, Estimate.share(band.bad, band.loans)) for band in bands]
    for (better, high), (worse, low) in combinations(rates, 2):
        if high.low > low.high:
            yield f"Band {better} has a higher default rate than band {worse}: {high} and {low}."


def _slope_alarms(monitored: MonitoredModel, line: Mapping[str, Estimate]) -> Iterator[str]:
    slope, threshold = line.get("slope"), monitored.config.outcomes.slope
    if slope is not None and threshold.is_breached(slope):
        problem = "too extreme" if slope.value < 1 else "too close to the average"
        yield f"The calibration slope is {slope}: predictions are {problem}. Threshold: {threshold}."


def _summary(whole: Chunk, line: Mapping[str, Estimate], chunks: Mapping[str, list[Chunk]]) -> str:
    fitted = (
        f"The calibration slope is {line['slope']} and the intercept {line['intercept']}; 1 and 0 are perfect."
        if line
        else "There are too few bad or good loans for a calibration slope."
    )
    return (
        f"{whole.bad:,} of {whole.loans:,} matured loans are bad; the model expected "
        f"{whole.loans * whole.expected:,.1f}. Observed over expected: {whole.ratio()}. {fitted} The loans are from "
        f"{len(chunks['vintage'])} vintages and {len(chunks['band'])} bands. A ratio above 1 means that the model is "
        "too lenient."
    )
