"""Gates: what a model must show before it may become the champion. Each reads measured figures and states them.

A gate whose figure was not measured fails. Each sentence gives the figure, the limit, and what the sample cannot show.
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
    """The limits; in a file each field is a line, see `settings.read_settings`.

    Attributes:
        test_bad_least: bad loans among those that the model was measured on; with fewer, a good model cannot be told
            from a poor one, and intervals become wide enough to pass.
        calibration_slope_least: out of time; outside of these two the interval must cover 1, which few defaults make
            wide.
        calibration_slope_most: see above; 1 is perfect, below it predictions are too extreme.
        monotone_violations_most: moves of a single feature that turned the risk against its declared sign.
        score_psi_most: population stability of the score, training against test: above 0.25 a bank would act. A higher
            one passes where its interval reaches down to this, which few test rows make wide.
        auc_interval_above_chance: whether the whole 95% interval of AUC must lie above 0.5, the AUC of chance; if
            false, the estimate alone must. False is for samples with too few defaults for an interval that narrow.
        level_least: observed over expected defaults out of time; outside of these two the interval must cover 1.
        level_most: see above.
        segment_auc_worse_most: how much worse than the champion a country or size may be ranked, where the
            difference is beyond chance.
        champion_comparable: whether a champion that cannot meet the same rows (another catalogue) stands in the way.
        hiding_gain_most: points that withholding an optional table or value may bring, or a seller's rows of a table
            other than refunds, which nobody can tell from having none.
        fake_orders_gaining_most: share of sellers who gain by fake orders for 5% of their sales.
        fake_orders_sellers_least: how many sellers that share is of; of fewer it says too little.
        accepted_alarms: studies whose alarms were looked at and accepted.
        may_be_unmeasured: studies whose figures may be lacking; without them their gate cannot pass.

    Raises:
        ConfigError: one of the last two names what is no study.
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
                    f"{setting} names {', '.join(map(repr, unknown))}, which is no study; there are "
                    f"{', '.join(sorted({*STUDIES, *_BENCHMARK}))}."
                )

    def as_toml(self) -> str:
        """Write every limit as a settings file."""
        return "".join(f"{name} = {json.dumps(limit)}\n" for name, limit in asdict(self).items())


_BENCHMARK: Final = frozenset(
    {"model", "benchmark", "scorecard", "search", "stability", "candidates", "backtest", "rounds", "final_fit"}
)
"""What gates and alarms may be about beside the studies."""


class GateVerdict(StrEnum):
    """What a gate says; only `FAILED` stands in the way."""

    PASSED = "passed"
    FAILED = "failed"
    DOES_NOT_APPLY = "does not apply"


@dataclass(frozen=True)
class Check:
    """One gate's verdict and the figures behind it in words."""

    gate: str
    verdict: GateVerdict
    said: str

    def __str__(self) -> str:
        """Write it as `calibration: the slope 1.02 (0.95 to 1.10) is within 0.9 to 1.1`."""
        return f"{self.gate}: {self.said}"


def evaluate_gates(gates: Gates, grounds: GateInputs) -> tuple[Check, ...]:
    """Ask every gate."""
    return tuple(gate(gates, grounds) for gate in _GATES)


def failed_gates(checks: tuple[Check, ...]) -> tuple[Check, ...]:
    """Return those that stand in the way."""
    return tuple(check for check in checks if check.verdict is GateVerdict.FAILED)


@dataclass(frozen=True)
class _Measured:
    """A gate over logged figures: it judges them by `say`, and fails where one was never measured.

    Where the study of a figure had nothing to measure and said why, or the file accepts that it was not made, the gate
    does not apply. What the settings of the training declined to measure fails: else whoever trains could choose what
    a model is asked.
    """

    gate: str
    figures: tuple[str, ...]
    say: Callable[..., tuple[bool, str]]
    """Takes the gates and each figure; returns whether it passes, and what was seen."""

    def __call__(self, gates: Gates, grounds: GateInputs) -> Check:
        lacking = [figure for figure in self.figures if figure not in grounds.metrics]
        if not lacking:
            return _check(self.gate, *self.say(gates, *(grounds.metrics[figure] for figure in self.figures)))
        study = lacking[0].partition(".")[0]
        why = grounds.tags.get(NOT_MEASURED + study)
        if why is not None:
            return Check(self.gate, GateVerdict.DOES_NOT_APPLY, why)
        declined = grounds.tags.get(DECLINED + study)
        said = f"{', '.join(lacking)} was not measured in its run" + (f" ({declined})" if declined else "")
        if study in gates.may_be_unmeasured:
            return Check(self.gate, GateVerdict.DOES_NOT_APPLY, f"{said}, which these gates accept")
        how = " with other settings" if declined else ""
        return Check(self.gate, GateVerdict.FAILED, f"{said}; train again{how}")


def _check(gate: str, passed: bool, said: str) -> Check:
    return Check(gate, GateVerdict.PASSED if passed else GateVerdict.FAILED, said)


def _at_most(gate: str, figure: str, limit: Callable[[Gates], float], words: str) -> _Measured:
    """Return a gate that lets a figure pass up to a limit; one that is not a number does not pass."""

    def say(gates: Gates, found: float) -> tuple[bool, str]:
        return found <= limit(gates), f"{words} {found:.4g}; allowed is {limit(gates):.4g} at most"

    return _Measured(gate, (figure,), say)


def _calibrated(gates: Gates, slope: float, low: float, high: float) -> tuple[bool, str]:
    least, most = gates.calibration_slope_least, gates.calibration_slope_most
    passed, near = least <= slope <= most or low <= 1 <= high, least <= low and high <= most
    said = (
        f"the calibration slope is {slope:.2f} ({low:.2f} to {high:.2f}); required is {least} to {most}, or 1 within "
    )
    reach = "" if near or not passed else f"; with these loans, a slope from {low:.2f} to {high:.2f} cannot be excluded"
    return passed, f"{said}its 95% interval{reach}"


def _discriminating(gates: Gates, *found: float) -> tuple[bool, str]:
    """Judge AUC and its difference to the scorecard's, each with the ends of its interval; the last is the defaults."""
    (auc, low, high), (difference, worst, best), (defaults,) = found[:3], found[3:6], found[6:]
    whole = gates.auc_interval_above_chance
    passed = auc > CHANCE and (not whole or low > CHANCE) and best >= 0
    reach = "with its whole 95% interval" if whole else "while its 95% interval may reach below"
    return passed, (
        f"AUC is {auc:.3f} ({low:.3f} to {high:.3f}); required is above {CHANCE} {reach}. AUC less that of the "
        f"scorecard on the same loans is {difference:+.3f} ({worst:+.3f} to {best:+.3f}); its upper end must not lie "
        f"below 0. {defaults:.0f} defaults cannot show a difference below about {two_digits((best - worst) / 2)}"
    )


def _level(gates: Gates, ratio: float, low: float, high: float) -> tuple[bool, str]:
    least, most = gates.level_least, gates.level_most
    return least <= ratio <= most or low <= 1 <= high, (
        f"observed over expected defaults are {ratio:.2f} ({low:.2f} to {high:.2f}); required is {least} to {most}, or "
        "1 within the 95% interval"
    )


def _backtested(_: Gates, difference: float, low: float, high: float) -> tuple[bool, str]:
    return high >= 0, (
        f"on earlier origins, AUC less that of the scorecard is {difference:+.3f} ({low:+.3f} to {high:+.3f}); its "
        "upper end must not lie below 0"
    )


def _stable(gates: Gates, psi: float, low: float) -> tuple[bool, str]:
    most = gates.score_psi_most
    shown = f"the PSI of the score is {psi:.3f}, its 95% interval begins at {low:.3f}; allowed is {most:.4g} at most"
    passed = psi <= most or psi > most >= low
    chance = ", or an interval that reaches it"
    return passed, f"{shown}{chance}" + ("; it is above, but may be so by chance" if passed and psi > most else "")


def _same_scores(_: Gates, psi: float, ratio: float) -> tuple[bool, str]:
    """Judge whether the tested model is evidence for the one that serves; no file can loosen this."""
    passed = psi <= _MOST_FINAL_PSI and 1 / _MOST_FINAL_RATIO <= ratio <= _MOST_FINAL_RATIO
    return passed, (
        f"the model that serves gives {ratio:.2f} times the mean probability of the tested model, and the PSI of their "
        f"scores is at least {psi:.3f}; required are {1 / _MOST_FINAL_RATIO:g} to {_MOST_FINAL_RATIO:g} times and "
        f"{_MOST_FINAL_PSI:g} at most"
    )


def _fake_orders(gates: Gates, share: float, sellers: float) -> tuple[bool, str]:
    most, least = gates.fake_orders_gaining_most, gates.fake_orders_sellers_least
    said = f"{share:.1%} of {sellers:.0f} sellers gain by fake orders; allowed is {most:.4g} at most"
    if sellers >= least:
        low, high = wilson_interval(share * sellers, sellers)
        return share <= most, f"{said}; of all sellers it may be {float(low):.1%} to {float(high):.1%}"
    more = "fake_orders.sellers, fake_orders.orders or split.test_days"
    return False, f"{said}, and of {least} sellers at least; train again with more {more}"


def _alarms(gates: Gates, grounds: GateInputs) -> Check:
    raised = {name.removeprefix(ALARM): said for name, said in grounds.tags.items() if name.startswith(ALARM)}
    standing = {study: said for study, said in raised.items() if study not in gates.accepted_alarms}
    accepted = [study for study in sorted(raised) if study not in standing]
    parts = [f"{study}: {words}" for study, words in sorted(standing.items())]
    if accepted:
        parts.append(f"accepted by the gates file are the alarms of {', '.join(accepted)}")
    return _check("alarms", not standing, "; ".join(parts) or "no study raised an alarm")


def _sums(_: Gates, grounds: GateInputs) -> Check:
    scored, missed = grounds.sums.scored, grounds.sums.missed
    said = f"points add up to the score in {scored - missed:,} of {scored:,} test rows that were scored just now"
    return _check("sums", scored > 0 and missed == 0, said)


def _outcomes(gates: Gates, grounds: GateInputs) -> Check:
    if grounds.test_bad is None or grounds.test_rows is None:
        return Check("outcomes", GateVerdict.FAILED, "the run does not state how many test loans went bad; train again")
    said = f"{grounds.test_bad:,} of {grounds.test_rows:,} test loans went bad; required are {gates.test_bad_least:,}"
    low, high = (grounds.metrics.get(f"discrimination.auc_{end}") for end in ("low", "high"))
    unsure = ""
    if low is not None and high is not None:
        unsure = f"; an AUC measured on them is uncertain by {uncertainty(low, high)}"
    return _check("outcomes", grounds.test_bad >= gates.test_bad_least, f"{said} or more{unsure}")


def _segments(gates: Gates, grounds: GateInputs) -> Check:
    if grounds.incomparable is not None:
        verdict = GateVerdict.FAILED if gates.champion_comparable else GateVerdict.DOES_NOT_APPLY
        return Check("segments", verdict, grounds.incomparable)
    if grounds.comparison is None:
        return Check("segments", GateVerdict.DOES_NOT_APPLY, "there is no champion yet to compare with")
    limit = gates.segment_auc_worse_most
    judged = {f"{each.by} {each.value}": each.auc.difference for each in grounds.comparison.segments if each.auc}
    if not judged:
        few = f"none of {len(grounds.comparison.segments)} countries and sizes has outcomes enough to compare"
        return Check("segments", GateVerdict.DOES_NOT_APPLY, f"{few}; it cannot be claimed that none is ranked worse")
    worse = [f"{name} by {lost}" for name, lost in judged.items() if lost.value < -limit and lost.high < 0]
    said = f"AUC is worse than the champion's in {', '.join(worse) or 'none'} of {len(judged)} segments"
    return _check("segments", not worse, f"{said}; allowed is {limit}, or a difference whose interval reaches 0")


_MOST_FINAL_PSI: Final = 0.25
_MOST_FINAL_RATIO: Final = 2.0

_AUC: Final = (
    *("discrimination.auc", "discrimination.auc_low", "discrimination.auc_high"),
    *(f"discrimination.auc_difference{end}" for end in ("", "_low", "_high")),
    "discrimination.defaults",
)
_SLOPE: Final = ("model.calibration_slope", "model.calibration_slope_low", "model.calibration_slope_high")

_LEVEL: Final = tuple(f"level.observed_over_expected{end}" for end in ("", "_low", "_high"))
_BACKTEST: Final = tuple(f"backtest.auc_difference{end}" for end in ("", "_low", "_high"))

_GATES: Final[tuple[Callable[[Gates, GateInputs], Check], ...]] = (
    _sums,
    _outcomes,
    _at_most(
        "monotone",
        "monotone.violations",
        lambda gates: gates.monotone_violations_most,
        "moves against a declared sign are",
    ),
    _Measured("calibration", _SLOPE, _calibrated),
    _Measured("level", _LEVEL, _level),
    _Measured("discrimination", _AUC, _discriminating),
    _Measured("backtest", _BACKTEST, _backtested),
    _Measured("drift", ("drift.score_psi", "drift.score_psi_low"), _stable),
    _Measured("final_fit", ("final_fit.score_psi_low", "final_fit.probability_ratio"), _same_scores),
    _segments,
    _at_most(
        "withholding",
        "withholding.most_gain",
        lambda gates: gates.hiding_gain_most,
        "points gained by hiding data are",
    ),
    _Measured("fake_orders", ("fake_orders.gaining_share", "fake_orders.sellers"), _fake_orders),
    _alarms,
)
"""What is asked, in the order to show it."""
