"""Gates: what a model must show before it may become the champion. Each reads what was measured and says what it saw.

A gate whose figure was never measured fails, since nobody can vouch for what was not looked at.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from training.errors import ConfigError
from training.grounds import Grounds
from training.registry import ALARM, DECLINED, NOT_MEASURED
from training.settings import STRICT


@dataclass(frozen=True)
class Gates:
    """The limits; in a file each field is a line, see `settings.read_settings`.

    Attributes:
        test_bad_least: bad loans among those that the model was measured on; fewer tell no good model from a poor one,
            and make every interval wide enough to pass.
        calibration_slope_least: out of time; outside of these two the interval must cover 1, which few defaults make
            wide.
        calibration_slope_most: see above; 1 is perfect, below it predictions are too extreme.
        monotone_violations_most: moves of a single feature that turned the risk against its declared sign.
        score_psi_most: population stability of the score, training against test: above 0.25 a bank would act. A higher
            one passes where its interval reaches down to this, which few test rows make wide.
        auc_below_scorecard_most: how far AUC may lie below the 95% interval of the logistic scorecard's.
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
    auc_below_scorecard_most: Annotated[float, Field(ge=0, le=1)] = 0.0
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
            if unknown := sorted(set(getattr(self, setting)) - set(STUDIES) - _BESIDE):
                raise ConfigError(
                    f"{setting} names {', '.join(map(repr, unknown))}, which is no study; there are "
                    f"{', '.join(sorted({*STUDIES, *_BESIDE}))}."
                )

    def as_toml(self) -> str:
        """Write every limit as a settings file."""
        return "".join(f"{name} = {json.dumps(limit)}\n" for name, limit in asdict(self).items())


_BESIDE: Final = frozenset({"model", "benchmark", "scorecard", "search"})
"""What gates and alarms may be about beside the studies."""


class Verdict(StrEnum):
    """What a gate says; only `FAILED` stands in the way."""

    PASSED = "passed"
    FAILED = "failed"
    DOES_NOT_APPLY = "does not apply"


@dataclass(frozen=True)
class Check:
    """One gate's verdict and the figures behind it in words."""

    gate: str
    verdict: Verdict
    said: str

    def __str__(self) -> str:
        """Write it as `calibration: the slope 1.02 (0.95 to 1.10) is within 0.9 to 1.1`."""
        return f"{self.gate}: {self.said}"


def judge(gates: Gates, grounds: Grounds) -> tuple[Check, ...]:
    """Ask every gate."""
    return tuple(gate(gates, grounds) for gate in _GATES)


def failed(checks: tuple[Check, ...]) -> tuple[Check, ...]:
    """Return those that stand in the way."""
    return tuple(check for check in checks if check.verdict is Verdict.FAILED)


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

    def __call__(self, gates: Gates, grounds: Grounds) -> Check:
        lacking = [figure for figure in self.figures if figure not in grounds.metrics]
        if not lacking:
            return _check(self.gate, *self.say(gates, *(grounds.metrics[figure] for figure in self.figures)))
        study = lacking[0].partition(".")[0]
        why = grounds.tags.get(NOT_MEASURED + study)
        if why is not None:
            return Check(self.gate, Verdict.DOES_NOT_APPLY, why)
        declined = grounds.tags.get(DECLINED + study)
        said = f"{', '.join(lacking)} was not measured in its run" + (f" ({declined})" if declined else "")
        if study in gates.may_be_unmeasured:
            return Check(self.gate, Verdict.DOES_NOT_APPLY, f"{said}, which these gates accept")
        how = " with other settings" if declined else ""
        return Check(self.gate, Verdict.FAILED, f"{said}; train again{how}")


def _check(gate: str, passed: bool, said: str) -> Check:
    return Check(gate, Verdict.PASSED if passed else Verdict.FAILED, said)


def _at_most(gate: str, figure: str, limit: Callable[[Gates], float], words: str) -> _Measured:
    """Return a gate that lets a figure pass up to a limit; one that is not a number does not pass."""

    def say(gates: Gates, found: float) -> tuple[bool, str]:
        return found <= limit(gates), f"{words} {found:.4g}; allowed is {limit(gates):.4g} at most"

    return _Measured(gate, (figure,), say)


def _calibrated(gates: Gates, slope: float, low: float, high: float) -> tuple[bool, str]:
    least, most = gates.calibration_slope_least, gates.calibration_slope_most
    shown = f"the slope is {slope:.2f} ({low:.2f} to {high:.2f})"
    return least <= slope <= most or low <= 1 <= high, f"{shown}; wanted is {least} to {most}, or 1 in its interval"


def _discriminating(gates: Gates, auc: float, benchmark_low: float) -> tuple[bool, str]:
    limit = benchmark_low - gates.auc_below_scorecard_most
    shown = f"AUC is {auc:.3f}, and the interval of the scorecard's begins at {benchmark_low:.3f}"
    return auc >= limit, f"{shown}; wanted is {limit:.3f} or more"


def _stable(gates: Gates, psi: float, low: float) -> tuple[bool, str]:
    most = gates.score_psi_most
    shown = f"the PSI of the score is {psi:.3f}, its interval begins at {low:.3f}"
    return psi <= most or psi > most >= low, f"{shown}; allowed is {most:.4g} at most, or what may be chance"


def _not_bought(gates: Gates, share: float, sellers: float) -> tuple[bool, str]:
    most, least = gates.fake_orders_gaining_most, gates.fake_orders_sellers_least
    said = f"the share of sellers whom fake orders help is {share:.4g} of {sellers:.0f}; allowed is {most:.4g} at most"
    if sellers >= least:
        return share <= most, said
    more = "fake_orders.sellers, fake_orders.orders or split.test_days"
    return False, f"{said}, and of {least} sellers at least; train again with more {more}"


def _alarms(gates: Gates, grounds: Grounds) -> Check:
    raised = {name.removeprefix(ALARM): said for name, said in grounds.tags.items() if name.startswith(ALARM)}
    standing = {study: said for study, said in raised.items() if study not in gates.accepted_alarms}
    told = " ".join(f"{study}: {words}" for study, words in sorted(standing.items())) or "no study raised one"
    accepted = ", ".join(sorted(set(raised) - set(standing)))
    return _check("alarms", not standing, f"{told}, but for those accepted: {accepted}" if accepted else told)


def _sums(_: Gates, grounds: Grounds) -> Check:
    scored, missed = grounds.sums.scored, grounds.sums.missed
    said = f"points add up to the score in {scored - missed:,} of {scored:,} test rows that were scored just now"
    return _check("sums", scored > 0 and missed == 0, said)


def _outcomes(gates: Gates, grounds: Grounds) -> Check:
    if grounds.test_bad is None or grounds.test_rows is None:
        return Check("outcomes", Verdict.FAILED, "the run does not say how many test loans went bad; train again")
    said = f"of {grounds.test_rows:,} test loans {grounds.test_bad:,} went bad; wanted are {gates.test_bad_least:,} bad"
    return _check("outcomes", grounds.test_bad >= gates.test_bad_least, f"{said} or more")


def _segments(gates: Gates, grounds: Grounds) -> Check:
    if grounds.incomparable is not None:
        verdict = Verdict.FAILED if gates.champion_comparable else Verdict.DOES_NOT_APPLY
        return Check("segments", verdict, grounds.incomparable)
    if grounds.comparison is None:
        return Check("segments", Verdict.DOES_NOT_APPLY, "there is no champion yet to compare with")
    limit = gates.segment_auc_worse_most
    judged = {f"{each.by} {each.value}": each.auc.difference for each in grounds.comparison.segments if each.auc}
    if not judged:
        return Check("segments", Verdict.DOES_NOT_APPLY, "no country or size has outcomes enough to compare")
    worse = [f"{name} by {lost}" for name, lost in judged.items() if lost.value < -limit and lost.high < 0]
    said = f"AUC is worse than the champion's in {', '.join(worse) or 'none'} of {len(judged)} segments"
    return _check("segments", not worse, f"{said}; allowed is {limit}, or what may be chance")


_SLOPE: Final = ("model.calibration_slope", "model.calibration_slope_low", "model.calibration_slope_high")

_GATES: Final[tuple[Callable[[Gates, Grounds], Check], ...]] = (
    _sums,
    _outcomes,
    _at_most(
        "monotone",
        "monotone.violations",
        lambda gates: gates.monotone_violations_most,
        "moves against a declared sign are",
    ),
    _Measured("calibration", _SLOPE, _calibrated),
    _Measured("discrimination", ("model.auc", "benchmark.auc_low"), _discriminating),
    _Measured("drift", ("drift.score_psi", "drift.score_psi_low"), _stable),
    _segments,
    _at_most(
        "withholding",
        "withholding.most_gain",
        lambda gates: gates.hiding_gain_most,
        "points gained by hiding data are",
    ),
    _Measured("fake_orders", ("fake_orders.gaining_share", "fake_orders.sellers"), _not_bought),
    _alarms,
)
"""What is asked, in the order to show it."""
