"""Published limits of the studies' figures, and the result of each check: within the limit, uncertain, or an alarm.

A figure beyond its limit raises an alarm if its whole 95% confidence interval lies beyond the limit. If the interval
reaches the limit, the check states the figure, the limit and the number of rows that are too few to decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import isinf, isnan
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from training.evidence.metrics import Estimate

_SMALLEST: Final = 0.0001
"""Smaller uncertainties are written as this."""


class Standing(StrEnum):
    """The result of a check; only an alarm blocks a promotion."""

    WITHIN = "within the limit"
    UNCERTAIN = "beyond the limit, not certain"
    EXEMPT = "beyond the limit, exempt"
    ALARM = "alarm"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class LimitCheck:
    """One figure, its published limit, and the result.

    Attributes:
        figure: the name of the figure, such as `PSI of the score`.
        found: its value as text, with the interval if there is one.
        limit: the values allowed, such as `at most 0.25`.
        standing: the result.
        note: the text of the alarm, or why a figure beyond the limit raises none; empty within the limit.
    """

    figure: str
    found: str
    limit: str
    standing: Standing
    note: str = ""


@dataclass(frozen=True)
class Limit:
    """A published limit.

    Example: `Limit("PSI of the score", 0.25).check(Estimate(0.4, 0.3, 0.5), "Retrain.", "177 test loans")` is an alarm:
    "The PSI of the score is 0.400 (0.300 to 0.500), above the limit of 0.25. Retrain."

    Attributes:
        figure: what it limits, as it reads after "The".
        bound: the largest value allowed; the smallest one if `at_least`.
        at_least: True if smaller values are beyond the limit.
        percent: True if values are shares, to be written as percentages.
    """

    figure: str
    bound: float
    at_least: bool = False
    percent: bool = False

    def __str__(self) -> str:
        """Write it as `at most 0.25`, or `at least 80%`."""
        return f"{'at least' if self.at_least else 'at most'} {self._bound}"

    @property
    def _bound(self) -> str:
        return f"{self.bound:.4g}" if not self.percent else f"{self.bound:.0%}"

    def is_beyond(self, value: float) -> bool:
        """Return whether a value lies beyond the limit; the limit itself is allowed."""
        return value < self.bound if self.at_least else value > self.bound

    def check(self, found: Estimate, action: str, sample: str) -> LimitCheck:
        """Check a figure.

        Args:
            found: the figure; `Estimate.exact` if it has no interval.
            action: what to do about an alarm, in one or two sentences.
            sample: the rows from which the figure was computed, such as `177 test loans`.
        """
        shown = shares(found) if self.percent else figures(found)
        if isnan(found.value):
            why = f"The {self.figure} could not be computed from {sample}, so it raises no alarm."
            return LimitCheck(self.figure, "not known", str(self), Standing.UNCERTAIN, why)
        if isinf(found.value) and not self.is_beyond(found.low):
            why = f"The {self.figure} cannot be measured: it is {shown}, and more than {sample} are needed to say more."
            return LimitCheck(self.figure, shown, str(self), Standing.NOT_MEASURED, why)
        if not self.is_beyond(found.value):
            return LimitCheck(self.figure, shown, str(self), Standing.WITHIN)
        beyond = f"The {self.figure} is {shown}, {'below' if self.at_least else 'above'} the limit of {self._bound}."
        if self.is_beyond(found.high if self.at_least else found.low):
            return LimitCheck(self.figure, shown, str(self), Standing.ALARM, f"{beyond} {action}")
        why = f"It raises no alarm, because its 95% interval reaches the limit: {sample} are too few to decide."
        return LimitCheck(self.figure, shown, str(self), Standing.UNCERTAIN, f"{beyond} {why}")


def alarm_if(beyond: object, figure: str, found: str, limit: str, note: str) -> LimitCheck:
    """Return the check of a figure that has no interval; it is an alarm with the note if `beyond` is true."""
    if beyond:
        return LimitCheck(figure, found, limit, Standing.ALARM, note)
    return LimitCheck(figure, found, limit, Standing.WITHIN)


def alarms(checks: Iterable[LimitCheck]) -> tuple[str, ...]:
    """Return the texts of those checks that are alarms."""
    return tuple(check.note for check in checks if check.standing is Standing.ALARM)


def figures(found: Estimate) -> str:
    """Write a figure as `0.812 (0.790 to 0.833)`, or without the interval if it has none."""
    if isinf(found.high):
        return f"{found.low:.3f} or more"
    return str(found) if found.low < found.high else f"{found.value:.4g}"


def shares(found: Estimate) -> str:
    """Write a share as `5.3% (2.1% to 9.8%)`, or without the interval if it has none."""
    shown = f"{found.value:.1%}"
    return f"{shown} ({found.low:.1%} to {found.high:.1%})" if found.low < found.high else shown


def two_digits(value: float) -> str:
    """Write a positive number with two significant digits: `0.12`, `0.0043`; below 0.0001 as `0.0001`."""
    return f"{max(value, _SMALLEST):.2g}"


def uncertainty(low: float, high: float) -> str:
    """Return half the width of an interval, such as `about ±0.0043`, never as ±0.00."""
    half = (high - low) / 2
    return f"about ±{two_digits(half)}" if half >= _SMALLEST else f"less than ±{_SMALLEST}"


def quantity(number: int, noun: str) -> str:
    """Return a number with its noun: `1 default`, `1,325 loans`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def first_names(names: Sequence[str], most: int = 5) -> str:
    """Return the first names and the number of the others; with `most` 2, five names are `a, b and 3 more`."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
