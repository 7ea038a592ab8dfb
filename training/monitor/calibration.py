"""Do probabilities still mean what they say? Observed over expected defaults, and calibration slope and intercept.

Observed over expected takes what the model expected as given, so that the ratio is as unsure as the observed rate
(Wilson, Probable inference, 1927). Vintages and bands are several looks at the same loans: each part raises an alarm
only where its interval at the level `1 - 5% / parts` lies beyond the limit, so that all of them together raise a
false one at most one time in twenty (Bonferroni). Slope and intercept are those of outcomes on predicted log-odds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Final

import numpy as np

from training.evidence.bands import measure_bands
from training.evidence.metrics import Estimate, evaluate
from training.evidence.study import Finding
from training.monitor.performance import NOTHING, has_enough_loans, latest, matured

if TYPE_CHECKING:
    import pandas as pd

    from training.evidence.bands import BandMetrics
    from training.monitor.subject import MonitoredModel

BY_VINTAGE: Final = "Calibration by vintage"
BY_BAND: Final = "Calibration by band"
BY_BOTH: Final = "Calibration by band and vintage"
_TITLE: Final = "Do probabilities still mean what they say?"
_LINE: Final = ("calibration_slope", "calibration_intercept")
_ERROR: Final = 0.05


@dataclass(frozen=True)
class Part:
    """Matured loans of one vintage or band: how many went bad, and the mean probability that the model gave."""

    name: str
    loans: int
    bad: int
    expected: float

    def ratio(self, error: float = _ERROR) -> Estimate:
        """Return observed over expected defaults, with an interval that misses the truth as often as `error` says.

        Example: of 100 loans 4 went bad and 2 were expected: 2.0 (0.78 to 4.92).
        """
        from scipy.stats import binomtest

        ends = binomtest(self.bad, self.loans).proportion_ci(1.0 - error, method="wilson")
        return Estimate(
            self.bad / self.loans / self.expected, float(ends.low) / self.expected, float(ends.high) / self.expected
        )


def calibration(watched: MonitoredModel) -> Finding:
    """Judge the level of probabilities, overall and by vintage and band, and their slope."""
    judged = latest(watched)
    if judged.empty:
        return Finding("calibration", _TITLE, "Not measured: no loan that met a score has had all its months.")
    whole, bands = part("all", judged), _bands(watched, judged)
    parts = {"vintage": list(_parts(judged)), "band": [_of_band(each) for each in bands]}
    line = _line(watched, judged)
    figures = {**whole.ratio().figures("observed_over_expected")}
    for name, figure in line.items():
        figures |= figure.figures(name.removeprefix("calibration_"))
    return Finding(
        "calibration",
        _TITLE,
        _said(whole, line, parts),
        figures=figures,
        tables={
            BY_VINTAGE: _vintage_table(watched),
            BY_BAND: _band_table(bands),
            BY_BOTH: _both_table(watched),
        },
        alarms=(*_level(watched, whole), *_parts_beyond(watched, parts), *_order(bands), *_slope(watched, line)),
    )


def part(name: str, loans: pd.DataFrame) -> Part:
    """Return loans as a part to judge."""
    return Part(name, len(loans), int(loans["bad"].sum()), float(loans["probability_of_default"].mean()))


def _parts(loans: pd.DataFrame) -> Iterator[Part]:
    for vintage, some in loans.groupby("vintage"):
        yield part(str(vintage), some)


def _bands(watched: MonitoredModel, loans: pd.DataFrame) -> list[BandMetrics]:
    probability = loans["probability_of_default"].to_numpy(dtype=np.float64)
    return measure_bands(watched.model.bundle.policy.bands, loans["bad"].to_numpy(dtype=bool), probability)


def _of_band(band: BandMetrics) -> Part:
    return Part(band.name, band.rows, band.bad, band.expected)


def _line(watched: MonitoredModel, loans: pd.DataFrame) -> dict[str, Estimate]:
    """Return calibration slope and intercept where there are outcomes enough of both kinds, else nothing."""
    if not has_enough_loans(watched, loans):
        return {}
    bad = loans["bad"].to_numpy(dtype=bool)
    return evaluate(
        bad, loans["probability_of_default"].to_numpy(dtype=np.float64), names=_LINE, sellers=loans["seller_id"]
    )


def _vintage_table(watched: MonitoredModel) -> pd.DataFrame:
    import pandas as pd

    lines = []
    for vintage, loans in matured(watched).groupby("vintage"):
        line = _line(watched, loans)
        found = _figures(part(str(vintage), loans), "vintage")
        for name in _LINE:
            found |= line.get(name, NOTHING).figures(name.removeprefix("calibration_"))
        lines.append(found)
    return pd.DataFrame(lines)


def _band_table(bands: list[BandMetrics]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame([_figures(_of_band(band), "band") for band in bands])


def _both_table(watched: MonitoredModel) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        [
            {"vintage": vintage, **_figures(_of_band(band), "band")}
            for vintage, loans in matured(watched).groupby("vintage")
            for band in _bands(watched, loans)
        ]
    )


def _figures(judged: Part, kind: str) -> dict[str, str | float]:
    return {
        kind: judged.name,
        "loans": judged.loans,
        "bad": judged.bad,
        "expected_bad": judged.loans * judged.expected,
        **judged.ratio().figures("observed_over_expected"),
    }


def _beyond(watched: MonitoredModel, ratio: Estimate) -> bool:
    limits = watched.config.outcomes
    return ratio.low > limits.observed_over_expected_most or ratio.high < limits.observed_over_expected_least


def _limits(watched: MonitoredModel) -> str:
    limits = watched.config.outcomes
    return f"{limits.observed_over_expected_least:g} to {limits.observed_over_expected_most:g}"


def _level(watched: MonitoredModel, whole: Part) -> Iterator[str]:
    ratio = whole.ratio()
    if _beyond(watched, ratio):
        yield (
            f"The level of probabilities is wrong: {ratio} defaults for one expected on {whole.loans:,} matured loans, "
            f"surely outside {_limits(watched)}."
        )


def _parts_beyond(watched: MonitoredModel, parts: Mapping[str, list[Part]]) -> Iterator[str]:
    for kind, each in parts.items():
        found = {one.name: one.ratio(_ERROR / len(each)) for one in each}
        beyond = [f"{name} {ratio}" for name, ratio in found.items() if _beyond(watched, ratio)]
        if beyond:
            yield (
                f"Observed over expected defaults lie surely outside {_limits(watched)} in {len(beyond)} of "
                f"{len(each)} {kind}s (intervals widened for so many): {', '.join(beyond)}."
            )


def _order(bands: list[BandMetrics]) -> Iterator[str]:
    for better, worse in combinations(bands, 2):
        if better.observed.low > worse.observed.high:
            yield (
                f"Band {better.name} defaults more than band {worse.name}: {better.observed} against {worse.observed}."
            )


def _slope(watched: MonitoredModel, line: Mapping[str, Estimate]) -> Iterator[str]:
    limits = watched.config.outcomes
    slope = line.get("calibration_slope")
    if slope is not None and (slope.high < limits.slope_least or slope.low > limits.slope_most):
        yield (
            f"The calibration slope is {slope}, surely outside {limits.slope_least:g} to {limits.slope_most:g}: "
            f"predictions are too {'extreme' if slope.value < 1 else 'timid'}."
        )


def _said(whole: Part, line: Mapping[str, Estimate], parts: Mapping[str, list[Part]]) -> str:
    fitted = (
        f"the calibration slope is {line[_LINE[0]]} and the intercept {line[_LINE[1]]} (1 and 0 where probabilities "
        "are right)"
        if line
        else "bad or good loans are too few to fit a slope"
    )
    return (
        f"Asked: do as many loans go bad as the model said? {whole.bad:,} of {whole.loans:,} matured loans did, where "
        f"{whole.loans * whole.expected:,.1f} were expected: {whole.ratio()} times; {fitted}. The loans are those of "
        f"{len(parts['vintage'])} vintages, in {len(parts['band'])} bands. Above 1 the model is too lenient."
    )
