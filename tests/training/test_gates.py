"""Gates: each stands in the way of what it is for, and of what was never measured; a file may loosen them by name."""

from __future__ import annotations

import math
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from training.compare import Agreement, Comparison, Paired, Segment
from training.errors import ConfigError
from training.evidence.metrics import Estimate
from training.gate_inputs import GateInputs, PointSumCheck
from training.gates import Gates, GateVerdict, evaluate_gates, failed_gates
from training.settings import read_settings

GOOD = {
    "discrimination.auc": 0.80,
    "discrimination.auc_low": 0.74,
    "discrimination.auc_high": 0.86,
    "discrimination.auc_difference": 0.02,
    "discrimination.auc_difference_low": -0.01,
    "discrimination.auc_difference_high": 0.05,
    "discrimination.defaults": 50.0,
    "model.calibration_slope": 1.02,
    "model.calibration_slope_low": 0.93,
    "model.calibration_slope_high": 1.11,
    "level.observed_over_expected": 1.05,
    "level.observed_over_expected_low": 0.9,
    "level.observed_over_expected_high": 1.2,
    "backtest.auc_difference": 0.01,
    "backtest.auc_difference_low": -0.01,
    "backtest.auc_difference_high": 0.03,
    "monotone.violations": 0.0,
    "final_fit.score_psi_low": 0.0,
    "final_fit.probability_ratio": 0.95,
    "drift.score_psi": 0.04,
    "drift.score_psi_low": 0.0,
    "withholding.most_gain": 5.0,
    "fake_orders.gaining_share": 0.05,
    "fake_orders.sellers": 30.0,
}


def grounds(
    changes: dict[str, float] | None = None, tags: dict[str, str] | None = None, **others: object
) -> GateInputs:
    """What a good first model is judged by, with some of it changed."""
    counts = {"sums": PointSumCheck(100, 0), "test_rows": 400, "test_bad": 50}
    return GateInputs(**{**counts, "metrics": {**GOOD, **(changes or {})}, "tags": tags or {}, **others})


def compared(*segments: tuple[str, Estimate | None]) -> Comparison:
    """A comparison of which the gates see the segments only."""
    found = (
        Segment("country", value, 100, 20, None if lost is None else Paired(0.7, 0.7 - lost.value, lost))
        for value, lost in segments
    )
    return Comparison(200, 40, {}, Agreement(0.9, 3.0, 1.0, 0.9), tuple(found))


def stopped(gates: Gates, given: GateInputs) -> list[str]:
    return [check.gate for check in failed_gates(evaluate_gates(gates, given))]


def test_a_good_first_model_passes_and_each_gate_says_what_it_saw() -> None:
    checks = evaluate_gates(Gates(), grounds())
    assert failed_gates(checks) == ()
    verdicts = {check.gate: check.verdict for check in checks}
    assert verdicts.pop("segments") is GateVerdict.DOES_NOT_APPLY
    assert set(verdicts.values()) == {GateVerdict.PASSED}
    said = {check.gate: check.said for check in checks}
    assert said["calibration"] == (
        "the calibration slope is 1.02 (0.93 to 1.11); required is 0.9 to 1.1, or 1 within its 95% interval; with "
        "these loans, a slope from 0.93 to 1.11 cannot be excluded"
    )
    assert said["drift"] == (
        "the PSI of the score is 0.040, its 95% interval begins at 0.000; allowed is 0.25 at most, or an interval that "
        "reaches it"
    )
    assert said["outcomes"] == (
        "50 of 400 test loans went bad; required are 50 or more; an AUC measured on them is uncertain by about ±0.06"
    )
    assert said["discrimination"] == (
        "AUC is 0.800 (0.740 to 0.860); required is above 0.5 with its whole 95% interval. AUC less that of the "
        "scorecard on the same loans is +0.020 (-0.010 to +0.050); its upper end must not lie below 0. 50 defaults "
        "cannot show a difference below about 0.03"
    )
    assert said["fake_orders"] == (
        "5.0% of 30 sellers gain by fake orders; allowed is 0.05 at most; of all sellers it may be 1.2% to 19.1%"
    )
    assert said["alarms"] == "no study raised an alarm"
    assert "100 of 100 test rows" in said["sums"]


@pytest.mark.parametrize(
    ("gate", "changes"),
    [
        ("monotone", {"monotone.violations": 1.0}),
        ("drift", {"drift.score_psi": 0.3, "drift.score_psi_low": 0.26}),
        ("drift", {"drift.score_psi": math.nan}),
        ("drift", {"drift.score_psi": 0.3, "drift.score_psi_low": math.nan}),
        ("discrimination", {"discrimination.auc_low": 0.5}),
        ("discrimination", {"discrimination.auc": math.nan}),
        ("discrimination", {"discrimination.auc_difference_high": -0.001}),
        ("discrimination", {"discrimination.auc_difference_high": math.nan}),
        ("backtest", {"backtest.auc_difference_high": -0.001}),
        ("backtest", {"backtest.auc_difference_high": math.nan}),
        ("level", {"level.observed_over_expected": 1.4, "level.observed_over_expected_low": 1.1}),
        ("level", {"level.observed_over_expected": 0.7, "level.observed_over_expected_high": 0.9}),
        ("final_fit", {"final_fit.score_psi_low": 0.26}),
        ("final_fit", {"final_fit.score_psi_low": math.nan}),
        ("final_fit", {"final_fit.probability_ratio": 0.49}),
        ("final_fit", {"final_fit.probability_ratio": 2.1}),
        ("withholding", {"withholding.most_gain": 6.0}),
        ("fake_orders", {"fake_orders.gaining_share": 0.051}),
        ("fake_orders", {"fake_orders.gaining_share": 0.0, "fake_orders.sellers": 29.0}),
        ("fake_orders", {"fake_orders.gaining_share": 0.0, "fake_orders.sellers": math.nan}),
        ("calibration", {"model.calibration_slope": 0.8, "model.calibration_slope_high": 0.99}),
        ("calibration", {"model.calibration_slope": 1.2, "model.calibration_slope_low": 1.01}),
    ],
)
def test_each_gate_stops_what_it_is_for_and_no_other_does(gate: str, changes: dict[str, float]) -> None:
    assert stopped(Gates(), grounds(changes)) == [gate]


def test_few_defaults_are_no_fault_of_the_calibration() -> None:
    unsure = {"model.calibration_slope": 0.6, "model.calibration_slope_low": 0.1, "model.calibration_slope_high": 1.3}
    assert stopped(Gates(), grounds(unsure)) == []


def test_so_few_bad_loans_that_every_interval_passes_stop_it() -> None:
    """As a test of 18 loans with 2 bad was measured: any slope, any drift may be chance."""
    wide = {
        "model.calibration_slope": 1.35,
        "model.calibration_slope_low": 0.79,
        "model.calibration_slope_high": 36.5,
        "drift.score_psi": 1.86,
    }
    few = grounds(wide, test_rows=18, test_bad=2)
    (check,) = failed_gates(evaluate_gates(Gates(), few))
    assert check.gate == "outcomes"
    assert check.said.startswith("2 of 18 test loans went bad; required are 50 or more")
    assert stopped(Gates(), grounds(test_bad=49)) == ["outcomes"]
    assert stopped(Gates(test_bad_least=2), few) == []
    assert stopped(Gates(), grounds(test_bad=None)) == ["outcomes"]


def test_few_test_rows_are_no_drift() -> None:
    assert stopped(Gates(), grounds({"drift.score_psi": 0.9, "drift.score_psi_low": 0.25})) == []


@pytest.mark.parametrize("name", sorted(GOOD))
def test_what_was_not_measured_fails(name: str) -> None:
    given = grounds()
    lacking = replace(given, metrics={key: value for key, value in GOOD.items() if key != name})
    (check,) = failed_gates(evaluate_gates(Gates(), lacking))
    assert f"{name} was not measured in its run" in check.said


def test_a_study_that_had_nothing_to_measure_says_why_and_stops_nobody() -> None:
    metrics = {key: value for key, value in GOOD.items() if not key.startswith("fake_orders.")}
    given = grounds(metrics=metrics, tags={"not_measured.fake_orders": "These sellers are not simulated."})
    verdicts = {check.gate: check for check in evaluate_gates(Gates(), given)}
    assert verdicts["fake_orders"].verdict is GateVerdict.DOES_NOT_APPLY
    assert verdicts["fake_orders"].said == "These sellers are not simulated."
    assert stopped(Gates(), given) == []


def test_a_study_that_the_settings_declined_fails_unless_the_file_accepts_it() -> None:
    """Else whoever trains turns a gate off in the settings of the training."""
    metrics = {key: value for key, value in GOOD.items() if not key.startswith("fake_orders.")}
    given = grounds(metrics=metrics, tags={"declined.fake_orders": "The settings ask for no seller."})
    (check,) = failed_gates(evaluate_gates(Gates(), given))
    assert check.gate == "fake_orders"
    assert check.said.endswith(
        "was not measured in its run (The settings ask for no seller.); train again with other settings"
    )
    assert stopped(Gates(may_be_unmeasured=("fake_orders",)), given) == []


def test_too_few_sellers_let_buy_fake_orders_say_how_to_ask_more() -> None:
    given = grounds({"fake_orders.sellers": 1.0, "fake_orders.gaining_share": 0.0})
    (check,) = failed_gates(evaluate_gates(Gates(), given))
    assert "0.0% of 1 sellers gain by fake orders; allowed is 0.05 at most, and of 30 sellers at least" in check.said
    assert stopped(Gates(fake_orders_sellers_least=1), given) == []


def test_a_file_may_accept_what_was_not_measured_by_name() -> None:
    metrics = {key: value for key, value in GOOD.items() if not key.startswith(("fake_orders.", "drift."))}
    given = grounds(metrics=metrics)
    assert stopped(Gates(may_be_unmeasured=("fake_orders",)), given) == ["drift"]
    assert stopped(Gates(may_be_unmeasured=("fake_orders", "drift")), given) == []


@pytest.mark.parametrize("sums", [PointSumCheck(100, 1), PointSumCheck(0, 0)])
def test_one_row_that_misses_its_score_stops_it_and_so_does_none_scored(sums: PointSumCheck) -> None:
    assert stopped(Gates(may_be_unmeasured=("monotone",)), grounds(sums=sums)) == ["sums"]


def test_alarms_stop_it_until_each_is_accepted_by_name() -> None:
    tags = {"alarm.leaks": "A label copy.", "alarm.bands": "Band D is empty.", "bundle": "sha256:1"}
    (check,) = failed_gates(evaluate_gates(Gates(accepted_alarms=("bands",)), grounds(tags=tags)))
    assert (check.gate, check.said) == (
        "alarms",
        "leaks: A label copy.; accepted by the gates file are the alarms of bands",
    )
    (accepted,) = (
        c for c in evaluate_gates(Gates(accepted_alarms=("bands", "leaks")), grounds(tags=tags)) if c.gate == "alarms"
    )
    assert (accepted.verdict, accepted.said) == (
        GateVerdict.PASSED,
        "accepted by the gates file are the alarms of bands, leaks",
    )


def test_the_alarm_of_boosting_rounds_may_be_accepted() -> None:
    """It is raised by a finding of the fit, which is not among the studies."""
    tags = {"alarm.rounds": "The loss still fell at the limit.", "bundle": "sha256:1"}
    assert stopped(Gates(), grounds(tags=tags)) == ["alarms"]
    assert stopped(Gates(accepted_alarms=("rounds",)), grounds(tags=tags)) == []


def test_a_segment_that_is_worse_beyond_the_limit_and_beyond_chance_stops_it() -> None:
    worse, within, unsure = Estimate(-0.05, -0.08, -0.01), Estimate(-0.01, -0.02, -0.005), Estimate(-0.05, -0.12, 0.01)
    found = compared(("CN", worse), ("VN", within), ("DE", unsure), ("US", None), ("GB", Estimate(0.1, 0.05, 0.2)))
    (check,) = failed_gates(evaluate_gates(Gates(), grounds(comparison=found)))
    assert check.gate == "segments"
    assert "in country CN by -0.050 (-0.080 to -0.010) of 4 segments" in check.said
    assert stopped(Gates(segment_auc_worse_most=0.05), grounds(comparison=found)) == []


def test_segments_without_outcomes_enough_say_so() -> None:
    checks = evaluate_gates(Gates(), grounds(comparison=compared(("CN", None))))
    (check,) = (check for check in checks if check.gate == "segments")
    assert check.verdict is GateVerdict.DOES_NOT_APPLY
    assert "it cannot be claimed that none is ranked worse" in check.said


def test_a_champion_that_cannot_be_compared_stops_it_unless_the_file_says_otherwise() -> None:
    given = grounds(incomparable="They were trained with different catalogues.")
    assert stopped(Gates(), given) == ["segments"]
    assert stopped(Gates(champion_comparable=False), given) == []


def test_limits_that_are_shown_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "gates.toml"
    path.write_text(Gates().as_toml())
    assert read_settings(path, Gates) == Gates()
    path.write_text('score_psi_most = 0.1\naccepted_alarms = ["drift"]\n')
    assert read_settings(path, Gates) == Gates(score_psi_most=0.1, accepted_alarms=("drift",))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("psi = 1", "there is no setting psi"),
        ("score_psi_most = 'much'", "score_psi_most is 'much'"),
        ("fake_orders_gaining_most = 1.5", "fake_orders_gaining_most is 1.5"),
        ("calibration_slope_most = inf", "calibration_slope_most is inf"),
        ("monotone_violations_most = -1", "monotone_violations_most is -1"),
        ("auc_below_scorecard_most = 0.1", "there is no setting auc_below_scorecard_most"),
        ("accepted_alarms = 'all'", "accepted_alarms is 'all'"),
        (
            "accepted_alarms = ['leak']",
            "accepted_alarms names 'leak', which is no study; there are backtest, bands, begins,",
        ),
        ("may_be_unmeasured = ['fake_order']", "may_be_unmeasured names 'fake_order', which is no study"),
    ],
)
def test_a_broken_file_of_gates_is_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "gates.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match="settings file") as raised:
        read_settings(path, Gates)
    assert words in str(raised.value)


SMALL = {
    "discrimination.auc": 0.83,
    "discrimination.auc_low": 0.71,
    "discrimination.auc_high": 0.93,
    "discrimination.auc_difference": 0.04,
    "discrimination.auc_difference_low": -0.08,
    "discrimination.auc_difference_high": 0.16,
    "discrimination.defaults": 16.0,
    "model.calibration_slope": 0.98,
    "model.calibration_slope_low": 0.62,
    "model.calibration_slope_high": 1.51,
    "drift.score_psi": 0.2,
    "fake_orders.gaining_share": 1 / 36,
    "fake_orders.sellers": 36.0,
}
"""What the demo of 2,000 sellers measured: 16 bad of 177 test loans."""


def demo() -> Gates:
    return read_settings(Path(__file__).parents[2] / "training" / "simulation" / "gates.toml", Gates)


def test_the_gates_of_the_demo_let_its_model_pass() -> None:
    assert stopped(demo(), grounds(SMALL, test_rows=177, test_bad=16)) == []


@pytest.mark.parametrize(
    ("gate", "changes", "others"),
    [
        ("sums", {}, {"sums": PointSumCheck(176, 1)}),
        ("outcomes", {}, {"test_bad": 5}),
        ("monotone", {"monotone.violations": 1.0}, {}),
        ("calibration", {"model.calibration_slope": 0.4, "model.calibration_slope_high": 0.9}, {}),
        # an AUC of 0.123, which these gates once let pass, and one that 16 defaults cannot tell from chance
        ("discrimination", {"discrimination.auc": 0.123, "discrimination.auc_low": 0.05}, {}),
        ("discrimination", {"discrimination.auc": 0.49, "discrimination.auc_low": 0.37}, {}),
        ("discrimination", {"discrimination.auc_difference_high": -0.11}, {}),
        ("drift", {"drift.score_psi": 0.6, "drift.score_psi_low": 0.3}, {}),
        ("withholding", {"withholding.most_gain": 6.0}, {}),
        ("fake_orders", {"fake_orders.gaining_share": 19 / 36}, {}),
        ("alarms", {}, {"tags": {"alarm.leaks": "A label copy."}}),
        ("alarms", {}, {"tags": {"alarm.monotone": "A move against its sign."}}),
    ],
)
def test_each_gate_of_the_demo_can_fail_on_a_sample_of_its_size(
    gate: str, changes: dict[str, float], others: dict[str, object]
) -> None:
    assert stopped(demo(), grounds({**SMALL, **changes}, **{"test_rows": 177, "test_bad": 16, **others})) == [gate]


def test_the_gates_of_the_tests_world_can_fail_too() -> None:
    gates = read_settings(Path(__file__).parents[1] / "world_gates.toml", Gates)
    assert stopped(gates, grounds(SMALL, test_rows=40, test_bad=5)) == []
    assert stopped(gates, grounds({**SMALL, "discrimination.auc": 0.5}, test_rows=40, test_bad=5)) == ["discrimination"]
    assert stopped(gates, grounds(SMALL, test_rows=40, test_bad=2)) == ["outcomes"]


def test_each_alarm_that_the_demo_accepts_has_its_reason_beside() -> None:
    text = (Path(__file__).parents[2] / "training" / "simulation" / "gates.toml").read_text()
    block = text[text.index("accepted_alarms = [") :]
    for study in demo().accepted_alarms:
        before = block[: block.index(f'"{study}"')].rstrip().splitlines()
        assert before[-1].strip().startswith("#"), study


def test_a_sample_with_too_narrow_an_interval_may_be_judged_by_its_estimate() -> None:
    chance = {"discrimination.auc": 0.6, "discrimination.auc_low": 0.4}
    assert stopped(Gates(), grounds(chance)) == ["discrimination"]
    assert stopped(Gates(auc_interval_above_chance=False), grounds(chance)) == []
    none = {"discrimination.auc": 0.5, "discrimination.auc_low": 0.4}
    assert stopped(Gates(auc_interval_above_chance=False), grounds(none)) == ["discrimination"]


def test_the_gates_of_the_demo_stay_strict_where_the_number_of_loans_does_not_matter() -> None:
    path = Path(__file__).parents[2] / "training" / "simulation" / "gates.toml"
    usual = Gates()
    kept = ("monotone_violations_most", "hiding_gain_most", "score_psi_most", "may_be_unmeasured")
    for name in (*kept, "auc_interval_above_chance"):
        assert getattr(demo(), name) == getattr(usual, name)
    assert set(tomllib.loads(path.read_text())) < set(vars(usual))
