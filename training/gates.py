"""Promotion gates: limits on measured figures that a model must meet before it may become the champion.

A gate whose figure was not measured fails. Each summary names the figure, the limit, and what the sample cannot show.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from training.errors import ConfigError
from training.evidence.discrimination import CHANCE
from training.evidence.limits import two_digits, uncertainty
from training.evidence.statistics import wilson_interval
from training.gate_inputs import GateInputs
from training.registry import ALARM, DECLINED, NOT_MEASURED
from training.settings import STRICT


@dataclass(frozen=True)
class Gates:
    """The limits of all gates; in a file each field is a line, see `settings.read_settings`.

    Attributes:
        test_bad_least: smallest number of bad test loans. With fewer, intervals are so wide that a poor model passes.
        calibration_slope_least, calibration_slope_most: range of the calibration slope; passes also if the 95% interval
            contains 1, which is perfect. Below 1 predictions are too extreme.
        monotone_violations_most: largest number of changes of one feature that move the risk against its direction.
        score_psi_most: largest PSI of the score, training against test; passes also if the interval reaches it. Banks
            usually act above 0.25.
        auc_interval_above_chance: whether the whole 95% interval of the AUC must be above 0.5. If false, only the
            estimate must; for samples with too few defaults for a narrow interval.
        level_least, level_most: range of observed over expected defaults; passes also if the 95% interval contains 1.
        segment_auc_worse_most: largest loss of AUC against the champion in a country or size; passes also if the
            interval of the difference reaches 0.
        champion_comparable: whether the gate fails if the champion cannot be compared on the same loans.
        hiding_gain_most: largest gain in points from withholding an optional table, a value, or the rows of a table
            other than refunds, which cannot be distinguished from having no rows.
        fake_orders_gaining_most: largest share of sellers who gain from fake orders for 5% of their sales.
        fake_orders_sellers_least: smallest number of attacked sellers.
        accepted_alarms: studies whose alarms were reviewed and accepted.
        may_be_unmeasured: studies whose figures may be missing; without this their gate fails.

    Raises:
        ConfigError: one of the last two names an unknown study.
    """

    __pydantic_config__ = STRICT

    test_bad_least: Annotated[int, Field(ge=1)] = 50
    calibration_slope_least: Annotated[float, Field(gt=0)] = 0.9
    calibration_slope_most: Annotated[float, Field(gt=0)] = 1.1
    monotone_violations_most: Annotated[int, Field(ge=0)] = 0
    score_psi_most: Annotated[float, Field(gt=0)] = 0.25
    auc_interval_above_chance: bool = True
    level_least: Annotated[float, Field(gt=0)] = 0.8
    level_most: Annotated[float, Field(gt=0)] = 1.25
    segment_auc_worse_most: Annotated[float, Field(ge=0, le=1)] = 0.02
    champion_comparable: bool = True
    hiding_gain_most: Annotated[float, Field(ge=0)] = 5.0
    fake_orders_gaining_most: Annotated[float, Field(ge=0, le=1)] = 0.05
    fake_orders_sellers_least: Annotated[int, Field(ge=1)] = 30
    accepted_alarms: tuple[str, ...] = ()
    may_be_unmeasured: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        from training.evidence.studies import STUDIES

        for setting in ("accepted_alarms", "may_be_unmeasured"):
            if unknown := sorted(set(getattr(self, setting)) - set(STUDIES) - _BENCHMARK):
                raise ConfigError(
                    f"{setting} names the unknown study {', '.join(map(repr, unknown))}. Known studies: "
                    f"{', '.join(sorted({*STUDIES, *_BENCHMARK}))}."
                )

    def as_toml(self) -> str:
        """Return every limit as the content of a settings file."""
        return "".join(f"{name} = {json.dumps(limit)}\n" for name, limit in asdict(self).items())


_BENCHMARK: Final = frozenset(
    {"model", "benchmark", "scorecard", "search", "stability", "candidates", "backtest", "rounds", "final_fit"}
)
"""Subjects of gates and alarms that are not studies."""


class GateVerdict(StrEnum):
    """The verdict of a gate; only `FAILED` stops a promotion."""

    PASSED = "passed"
    FAILED = "failed"
    DOES_NOT_APPLY = "does not apply"


@dataclass(frozen=True)
class Check:
    """The verdict of one gate, with the figures and limits in a sentence."""

    gate: str
    verdict: GateVerdict
    summary: str

    def __str__(self) -> str:
        """Return the text `gate: summary`."""
        return f"{self.gate}: {self.summary}"

    def fields(self) -> dict[str, str]:
        """Return the check for JSON."""
        return {"gate": self.gate, "verdict": self.verdict.value, "said": self.summary}


def evaluate_gates(gates: Gates, inputs: GateInputs) -> tuple[Check, ...]:
    """Return the check of every gate."""
    return tuple(gate(gates, inputs) for gate in _GATES)


def failed_gates(checks: tuple[Check, ...]) -> tuple[Check, ...]:
    """Return the checks that stop a promotion."""
    return tuple(check for check in checks if check.verdict is GateVerdict.FAILED)


@dataclass(frozen=True)
class _FigureGate:
    """A gate on logged figures.

    If a figure is missing, the gate fails, with two exceptions: the study had nothing to measure, or the gates file
    accepts it. A study that the settings of the training skipped fails, so that a trainer cannot turn a gate off.
    """

    gate: str
    figures: tuple[str, ...]
    test: Callable[..., tuple[bool, str]]
    """Receives the gates and each figure; returns whether the gate passes, and the summary."""

    def __call__(self, gates: Gates, inputs: GateInputs) -> Check:
        missing = [figure for figure in self.figures if figure not in inputs.metrics]
        if not missing:
            return _check(self.gate, *self.test(gates, *(inputs.metrics[figure] for figure in self.figures)))
        study = missing[0].partition(".")[0]
        if reason := inputs.tags.get(NOT_MEASURED + study):
            return Check(self.gate, GateVerdict.DOES_NOT_APPLY, reason)
        declined = inputs.tags.get(DECLINED + study)
        summary = f"{', '.join(missing)} was not measured" + (f" ({declined})" if declined else "")
        if study in gates.may_be_unmeasured:
            return Check(self.gate, GateVerdict.DOES_NOT_APPLY, f"{summary}; the gates file accepts this")
        return Check(
            self.gate, GateVerdict.FAILED, f"{summary}; train again{' with other settings' if declined else ''}"
        )


def _check(gate: str, passed: bool, summary: str) -> Check:
    return Check(gate, GateVerdict.PASSED if passed else GateVerdict.FAILED, summary)


def _at_most(gate: str, figure: str, limit: str, label: str) -> _FigureGate:
    """Return a gate with the upper limit of that name; NaN fails."""

    def test(gates: Gates, value: float) -> tuple[bool, str]:
        most: float = getattr(gates, limit)
        return value <= most, f"{label}: {value:.4g}; limit: at most {most:.4g}"

    return _FigureGate(gate, (figure,), test)


def _with_interval(figure: str) -> tuple[str, str, str]:
    return figure, f"{figure}_low", f"{figure}_high"


def _near_one(label: str, least: float, most: float, *ratio: float) -> tuple[bool, str]:
    value, low, high = ratio
    return least <= value <= most or low <= 1 <= high, (
        f"{label}: {value:.2f} ({low:.2f} to {high:.2f}); limit: {least} to {most}, or a 95% interval that contains 1"
    )


def _calibrated(gates: Gates, slope: float, low: float, high: float) -> tuple[bool, str]:
    least, most = gates.calibration_slope_least, gates.calibration_slope_most
    passed, summary = _near_one("calibration slope", least, most, slope, low, high)
    if passed and not (least <= low and high <= most):
        summary += f"; these loans cannot exclude a slope from {low:.2f} to {high:.2f}"
    return passed, summary


def _level(gates: Gates, *ratio: float) -> tuple[bool, str]:
    return _near_one("observed over expected defaults", gates.level_least, gates.level_most, *ratio)


def _discriminating(gates: Gates, *figures: float) -> tuple[bool, str]:
    (auc, low, high), (difference, worst, best), (defaults,) = figures[:3], figures[3:6], figures[6:]
    whole = gates.auc_interval_above_chance
    passed = auc > CHANCE and (not whole or low > CHANCE) and best >= 0
    return passed, (
        f"AUC: {auc:.3f} ({low:.3f} to {high:.3f}); limit: {'95% interval' if whole else 'estimate'} above {CHANCE}. "
        f"AUC less that of the scorecard on the same loans: {difference:+.3f} ({worst:+.3f} to {best:+.3f}); limit: "
        f"upper end at least 0. {defaults:.0f} defaults cannot show a difference below about "
        f"{two_digits((best - worst) / 2)}"
    )


def _backtested(_: Gates, difference: float, low: float, high: float) -> tuple[bool, str]:
    return high >= 0, (
        f"AUC less that of the scorecard, in backtests: {difference:+.3f} ({low:+.3f} to {high:+.3f}); limit: upper "
        "end at least 0"
    )


def _stable(gates: Gates, psi: float, low: float) -> tuple[bool, str]:
    most = gates.score_psi_most
    passed = psi <= most or psi > most >= low
    by_chance = "; the PSI is above the limit, but may be so by chance" if passed and psi > most else ""
    return passed, (
        f"PSI of the score: {psi:.3f}, lower end of its 95% interval {low:.3f}; limit: at most {most:.4g}, or an "
        f"interval that reaches it{by_chance}"
    )


def _same_scores(_: Gates, psi: float, ratio: float) -> tuple[bool, str]:
    """Test whether the tested model is evidence for the served model; the gates file cannot change these limits."""
    passed = psi <= _MOST_FINAL_PSI and 1 / _MOST_FINAL_RATIO <= ratio <= _MOST_FINAL_RATIO
    return passed, (
        f"mean probability of the served model over that of the tested model: {ratio:.2f}; limit: "
        f"{1 / _MOST_FINAL_RATIO:g} to {_MOST_FINAL_RATIO:g}. PSI of their scores: at least {psi:.3f}; limit: at most "
        f"{_MOST_FINAL_PSI:g}"
    )


def _fake_orders(gates: Gates, share: float, sellers: float) -> tuple[bool, str]:
    most, least = gates.fake_orders_gaining_most, gates.fake_orders_sellers_least
    summary = f"{share:.1%} of {sellers:.0f} sellers gain from fake orders; limit: at most {most:.4g}"
    if sellers >= least:
        low, high = wilson_interval(share * sellers, sellers)
        return share <= most, f"{summary}; 95% interval: {float(low):.1%} to {float(high):.1%}"
    more = "fake_orders.sellers, fake_orders.orders or split.test_days"
    return False, f"{summary}, of at least {least} sellers; train again with more {more}"


def _alarms(gates: Gates, inputs: GateInputs) -> Check:
    raised = {name.removeprefix(ALARM): text for name, text in sorted(inputs.tags.items()) if name.startswith(ALARM)}
    accepted = [study for study in raised if study in gates.accepted_alarms]
    open_alarms = [f"{study}: {text}" for study, text in raised.items() if study not in accepted]
    note = [f"the gates file accepts the alarms of {', '.join(accepted)}"] if accepted else []
    return _check("alarms", not open_alarms, "; ".join(open_alarms + note) or "no study raised an alarm")


def _sums(_: Gates, inputs: GateInputs) -> Check:
    scored, missed = inputs.sums.scored, inputs.sums.missed
    summary = f"the points add up to the score in {scored - missed:,} of {scored:,} test rows, scored now"
    return _check("sums", scored > 0 and missed == 0, summary)


def _outcomes(gates: Gates, inputs: GateInputs) -> Check:
    if inputs.test_bad is None or inputs.test_rows is None:
        return Check("outcomes", GateVerdict.FAILED, "the run did not log the number of bad test loans; train again")
    summary = (
        f"{inputs.test_bad:,} of {inputs.test_rows:,} test loans are bad; limit: at least {gates.test_bad_least:,}"
    )
    low, high = (inputs.metrics.get(f"discrimination.auc_{end}") for end in ("low", "high"))
    if low is not None and high is not None:
        summary += f"; the AUC is uncertain by {uncertainty(low, high)}"
    return _check("outcomes", inputs.test_bad >= gates.test_bad_least, summary)


def _segments(gates: Gates, inputs: GateInputs) -> Check:
    if inputs.incomparable is not None:
        verdict = GateVerdict.FAILED if gates.champion_comparable else GateVerdict.DOES_NOT_APPLY
        return Check("segments", verdict, inputs.incomparable)
    if inputs.comparison is None:
        return Check("segments", GateVerdict.DOES_NOT_APPLY, "there is no champion to compare with")
    limit, segments = gates.segment_auc_worse_most, inputs.comparison.segments
    measured = {f"{each.by} {each.value}": each.auc.difference for each in segments if each.auc}
    if not measured:
        few = f"none of {len(segments)} countries and sizes has enough outcomes, so a worse ranking cannot be excluded"
        return Check("segments", GateVerdict.DOES_NOT_APPLY, few)
    worse = [f"{name} by {loss}" for name, loss in measured.items() if loss.value < -limit and loss.high < 0]
    summary = f"the AUC is worse than the champion's in {', '.join(worse) or 'none'} of {len(measured)} segments"
    return _check("segments", not worse, f"{summary}; limit: {limit}, or a difference whose interval reaches 0")


_MOST_FINAL_PSI: Final = 0.25
_MOST_FINAL_RATIO: Final = 2.0

_AUCS: Final = (*_with_interval("discrimination.auc"), *_with_interval("discrimination.auc_difference"))

_GATES: Final[tuple[Callable[[Gates, GateInputs], Check], ...]] = (
    _sums,
    _outcomes,
    _at_most("monotone", "monotone.violations", "monotone_violations_most", "changes against a declared direction"),
    _FigureGate("calibration", _with_interval("model.calibration_slope"), _calibrated),
    _FigureGate("level", _with_interval("level.observed_over_expected"), _level),
    _FigureGate("discrimination", (*_AUCS, "discrimination.defaults"), _discriminating),
    _FigureGate("backtest", _with_interval("backtest.auc_difference"), _backtested),
    _FigureGate("drift", ("drift.score_psi", "drift.score_psi_low"), _stable),
    _FigureGate("final_fit", ("final_fit.score_psi_low", "final_fit.probability_ratio"), _same_scores),
    _segments,
    _at_most("withholding", "withholding.most_gain", "hiding_gain_most", "points gained by withholding data"),
    _FigureGate("fake_orders", ("fake_orders.gaining_share", "fake_orders.sellers"), _fake_orders),
    _alarms,
)
"""All gates, in the order of the output."""
