"""A figure beyond its limit raises an alarm if its interval is beyond it, and otherwise states the reason."""

from __future__ import annotations

from math import inf, nan

import pytest

from training.evidence.limits import Limit, Standing, alarms, two_digits, uncertainty
from training.evidence.metrics import Estimate
from training.evidence.reason_stability import stability_checks

MOST, LEAST = Limit("PSI of the score", 0.25), Limit("share of loans", 0.8, at_least=True, percent=True)


@pytest.mark.parametrize(
    ("limit", "found", "standing"),
    [
        (MOST, (0.25, 0.1, 0.4), Standing.WITHIN),
        (MOST, (0.26, 0.25, 0.4), Standing.UNCERTAIN),
        (MOST, (0.4, 0.26, 0.6), Standing.ALARM),
        (MOST, (0.26, 0.26, 0.26), Standing.ALARM),
        (LEAST, (0.8, 0.7, 0.9), Standing.WITHIN),
        (LEAST, (0.7, 0.6, 0.8), Standing.UNCERTAIN),
        (LEAST, (0.7, 0.6, 0.79), Standing.ALARM),
    ],
)
def test_only_an_interval_beyond_the_limit_is_an_alarm(
    limit: Limit, found: tuple[float, float, float], standing: Standing
) -> None:
    check = limit.check(Estimate(*found), "Retrain.", "16 defaults")
    assert check.standing is standing
    assert alarms((check,)) == ((check.note,) if standing is Standing.ALARM else ())


def test_an_alarm_states_the_figure_the_limit_and_what_to_do() -> None:
    check = MOST.check(Estimate(0.4, 0.3, 0.5), "Retrain on later loans.", "16 defaults")
    assert (check.found, check.limit) == ("0.400 (0.300 to 0.500)", "at most 0.25")
    assert check.note == f"The PSI of the score is {check.found}, above the limit of 0.25. Retrain on later loans."
    assert MOST.check(Estimate(inf, 0.1, inf), "Retrain.", "2 loans").found == "0.100 or more"


def test_a_figure_that_may_be_chance_or_is_not_known_states_why_there_is_no_alarm() -> None:
    check = LEAST.check(Estimate(0.7, 0.6, 0.9), "Retrain.", "59 loans of size small")
    assert check.note == (
        "The share of loans is 70.0% (60.0% to 90.0%), below the limit of 80%. It raises no alarm, because its 95% "
        "interval reaches the limit: 59 loans of size small are too few to decide."
    )
    for limit in (MOST, LEAST):
        unknown = limit.check(Estimate(nan, nan, nan), "Retrain.", "3 test loans")
        assert (unknown.standing, unknown.found) == (Standing.UNCERTAIN, "not known")
        assert unknown.note == f"The {limit.figure} could not be computed from 3 test loans, so it raises no alarm."


def figures(**changes: float) -> dict[str, float]:
    """Figures of the study of reasons, all well within the limits but for those changed."""
    names = ("other_first_by_noise", "changed_by_noise", "other_first_by_refits", "changed_by_refits")
    calm = {f"{name}{end}": value for name in names for end, value in (("", 0.02), ("_low", 0.01), ("_high", 0.03))}
    return {"rows": 300.0, **calm, **changes}


@pytest.mark.parametrize(
    ("name", "limit", "words"),
    [
        ("other_first_by_noise", 0.05, "first reason changes under 1% noise is 90.0%"),
        ("changed_by_noise", 0.15, "set of reasons changes under 1% noise is 90.0%"),
        ("other_first_by_refits", 0.25, "first reason changes under a refit is 90.0%"),
        ("changed_by_refits", 0.5, "set of reasons changes under a refit is 90.0%"),
    ],
)
def test_reasons_that_change_too_often_raise_an_alarm(name: str, limit: float, words: str) -> None:
    often = {name: 0.9, f"{name}_high": 0.95}
    (alarm,) = alarms(stability_checks(figures(**often, **{f"{name}_low": limit + 0.01})))
    assert alarm.startswith(f"The share of sellers whose {words}")
    assert alarms(stability_checks(figures(**often, **{f"{name}_low": limit}))) == ()


def test_refits_that_were_not_made_are_stated() -> None:
    without = {name: value for name, value in figures().items() if "refits" not in name}
    notes = [check.note for check in stability_checks(without) if check.standing is Standing.NOT_MEASURED]
    assert len(notes) == 2
    assert all("no refits were made" in note for note in notes)


def test_an_uncertainty_has_two_digits_and_is_never_written_as_zero() -> None:
    expected = {
        (0.7, 0.94): "about ±0.12",
        (0.79, 0.83): "about ±0.02",
        (0.99, 0.9986): "about ±0.0043",
        (0.9, 0.90022): "about ±0.00011",
        (1.0, 1.0): "less than ±0.0001",
    }
    assert {ends: uncertainty(*ends) for ends in expected} == expected
    assert list(map(two_digits, (0.0, 0.00012, 0.0315, 0.12, 1.27))) == ["0.0001", "0.00012", "0.032", "0.12", "1.3"]
