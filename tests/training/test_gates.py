"""Gates: each stops a model for its own reason, or if its figure was not measured; a file can loosen them."""

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


def inputs(
    changes: dict[str, float] | None = None, tags: dict[str, str] | None = None, **changed_inputs: object
) -> GateInputs:
    """Return the gate inputs of a good first model, with some changes."""
    counts = {"sums": PointSumCheck(100, 0), "test_rows": 400, "test_bad": 50}
    return GateInputs(**{**counts, "metrics": {**GOOD, **(changes or {})}, "tags": tags or {}, **changed_inputs})


def comparison_of(*segments: tuple[str, Estimate | None]) -> Comparison:
    """Return a comparison with these segments."""
    found = (
        Segment("country", value, 100, 20, None if loss is None else Paired(0.7, 0.7 - loss.value, loss))
        for value, loss in segments
    )
    return Comparison(200, 40, {}, Agreement(0.9, 3.0, 1.0, 0.9), tuple(found))


def failed(gates: Gates, gate_inputs: GateInputs) -> list[str]:
    return [check.gate for check in failed_gates(evaluate_gates(gates, gate_inputs))]


def test_a_good_first_model_passes_with_a_summary_of_each_gate() -> None:
    checks = evaluate_gates(Gates(), inputs())
    assert failed_gates(checks) == ()
    verdicts = {check.gate: check.verdict for check in checks}
    assert verdicts.pop("segments") is GateVerdict.DOES_NOT_APPLY
    assert set(verdicts.values()) == {GateVerdict.PASSED}
    summary = {check.gate: check.summary for check in checks}
    assert summary["calibration"] == (
        "calibration slope: 1.02 (0.93 to 1.11); limit: 0.9 to 1.1, or a 95% interval that contains 1; these loans "
        "cannot exclude a slope from 0.93 to 1.11"
    )
    assert summary["drift"] == (
        "PSI of the score: 0.040, lower end of its 95% interval 0.000; limit: at most 0.25, or an interval that "
        "reaches it"
    )
    assert summary["outcomes"] == (
        "50 of 400 test loans are bad; limit: at least 50; the AUC is uncertain by about ±0.06"
    )
    assert summary["discrimination"] == (
        "AUC: 0.800 (0.740 to 0.860); limit: 95% interval above 0.5. AUC less that of the scorecard on the same loans: "
        "+0.020 (-0.010 to +0.050); limit: upper end at least 0. 50 defaults cannot show a difference below about 0.03"
    )
    assert summary["fake_orders"] == (
        "5.0% of 30 sellers gain from fake orders; limit: at most 0.05; 95% interval: 1.2% to 19.1%"
    )
    assert summary["alarms"] == "no study raised an alarm"
    assert "100 of 100 test rows" in summary["sums"]


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
def test_each_gate_fails_alone(gate: str, changes: dict[str, float]) -> None:
    assert failed(Gates(), inputs(changes)) == [gate]


def test_an_uncertain_calibration_slope_passes() -> None:
    unsure = {"model.calibration_slope": 0.6, "model.calibration_slope_low": 0.1, "model.calibration_slope_high": 1.3}
    assert failed(Gates(), inputs(unsure)) == []


def test_too_few_bad_loans_fail() -> None:
    """With 2 bad of 18 test loans, intervals are so wide that the other gates pass."""
    wide = {
        "model.calibration_slope": 1.35,
        "model.calibration_slope_low": 0.79,
        "model.calibration_slope_high": 36.5,
        "drift.score_psi": 1.86,
    }
    few = inputs(wide, test_rows=18, test_bad=2)
    (check,) = failed_gates(evaluate_gates(Gates(), few))
    assert check.gate == "outcomes"
    assert check.summary.startswith("2 of 18 test loans are bad; limit: at least 50")
    assert failed(Gates(), inputs(test_bad=49)) == ["outcomes"]
    assert failed(Gates(test_bad_least=2), few) == []
    assert failed(Gates(), inputs(test_bad=None)) == ["outcomes"]


def test_an_uncertain_psi_passes() -> None:
    assert failed(Gates(), inputs({"drift.score_psi": 0.9, "drift.score_psi_low": 0.25})) == []


@pytest.mark.parametrize("name", sorted(GOOD))
def test_a_figure_that_was_not_measured_fails(name: str) -> None:
    gate_inputs = inputs()
    lacking = replace(gate_inputs, metrics={key: value for key, value in GOOD.items() if key != name})
    (check,) = failed_gates(evaluate_gates(Gates(), lacking))
    assert f"{name} was not measured" in check.summary


def test_the_gate_of_a_study_with_nothing_to_measure_does_not_apply() -> None:
    metrics = {key: value for key, value in GOOD.items() if not key.startswith("fake_orders.")}
    gate_inputs = inputs(metrics=metrics, tags={"not_measured.fake_orders": "These sellers are not simulated."})
    verdicts = {check.gate: check for check in evaluate_gates(Gates(), gate_inputs)}
    assert verdicts["fake_orders"].verdict is GateVerdict.DOES_NOT_APPLY
    assert verdicts["fake_orders"].summary == "These sellers are not simulated."
    assert failed(Gates(), gate_inputs) == []


def test_the_gate_of_a_skipped_study_fails_unless_the_file_accepts_it() -> None:
    """Otherwise the trainer could turn a gate off in the settings of the training."""
    metrics = {key: value for key, value in GOOD.items() if not key.startswith("fake_orders.")}
    gate_inputs = inputs(metrics=metrics, tags={"declined.fake_orders": "The settings ask for no seller."})
    (check,) = failed_gates(evaluate_gates(Gates(), gate_inputs))
    assert check.gate == "fake_orders"
    assert check.summary.endswith("was not measured (The settings ask for no seller.); train again with other settings")
    assert failed(Gates(may_be_unmeasured=("fake_orders",)), gate_inputs) == []


def test_too_few_attacked_sellers_fail() -> None:
    gate_inputs = inputs({"fake_orders.sellers": 1.0, "fake_orders.gaining_share": 0.0})
    (check,) = failed_gates(evaluate_gates(Gates(), gate_inputs))
    assert "0.0% of 1 sellers gain from fake orders; limit: at most 0.05, of at least 30 sellers" in check.summary
    assert failed(Gates(fake_orders_sellers_least=1), gate_inputs) == []


def test_a_file_can_accept_studies_that_were_not_measured() -> None:
    metrics = {key: value for key, value in GOOD.items() if not key.startswith(("fake_orders.", "drift."))}
    gate_inputs = inputs(metrics=metrics)
    assert failed(Gates(may_be_unmeasured=("fake_orders",)), gate_inputs) == ["drift"]
    assert failed(Gates(may_be_unmeasured=("fake_orders", "drift")), gate_inputs) == []


@pytest.mark.parametrize("sums", [PointSumCheck(100, 1), PointSumCheck(0, 0)])
def test_wrong_point_sums_and_no_scored_row_fail(sums: PointSumCheck) -> None:
    assert failed(Gates(may_be_unmeasured=("monotone",)), inputs(sums=sums)) == ["sums"]


def test_alarms_fail_until_each_is_accepted() -> None:
    tags = {"alarm.leaks": "A label copy.", "alarm.bands": "Band D is empty.", "bundle": "sha256:1"}
    (check,) = failed_gates(evaluate_gates(Gates(accepted_alarms=("bands",)), inputs(tags=tags)))
    assert (check.gate, check.summary) == (
        "alarms",
        "leaks: A label copy.; the gates file accepts the alarms of bands",
    )
    (accepted,) = (
        c for c in evaluate_gates(Gates(accepted_alarms=("bands", "leaks")), inputs(tags=tags)) if c.gate == "alarms"
    )
    assert (accepted.verdict, accepted.summary) == (
        GateVerdict.PASSED,
        "the gates file accepts the alarms of bands, leaks",
    )


def test_the_alarm_of_boosting_rounds_can_be_accepted() -> None:
    """The fit raises it, which is not a study."""
    tags = {"alarm.rounds": "The loss still fell at the limit.", "bundle": "sha256:1"}
    assert failed(Gates(), inputs(tags=tags)) == ["alarms"]
    assert failed(Gates(accepted_alarms=("rounds",)), inputs(tags=tags)) == []


def test_a_segment_that_is_worse_beyond_limit_and_chance_fails() -> None:
    worse, within, unsure = Estimate(-0.05, -0.08, -0.01), Estimate(-0.01, -0.02, -0.005), Estimate(-0.05, -0.12, 0.01)
    found = comparison_of(("CN", worse), ("VN", within), ("DE", unsure), ("US", None), ("GB", Estimate(0.1, 0.05, 0.2)))
    (check,) = failed_gates(evaluate_gates(Gates(), inputs(comparison=found)))
    assert check.gate == "segments"
    assert "in country CN by -0.050 (-0.080 to -0.010) of 4 segments" in check.summary
    assert failed(Gates(segment_auc_worse_most=0.05), inputs(comparison=found)) == []


def test_segments_with_too_few_outcomes_are_reported() -> None:
    checks = evaluate_gates(Gates(), inputs(comparison=comparison_of(("CN", None))))
    (check,) = (check for check in checks if check.gate == "segments")
    assert check.verdict is GateVerdict.DOES_NOT_APPLY
    assert "a worse ranking cannot be excluded" in check.summary


def test_a_champion_that_cannot_be_compared_fails_unless_the_file_accepts_it() -> None:
    gate_inputs = inputs(incomparable="They were trained with different catalogues.")
    assert failed(Gates(), gate_inputs) == ["segments"]
    assert failed(Gates(champion_comparable=False), gate_inputs) == []


def test_limits_can_be_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / "gates.toml"
    path.write_text(Gates().as_toml())
    assert read_settings(path, Gates) == Gates()
    path.write_text('score_psi_most = 0.1\naccepted_alarms = ["drift"]\n')
    assert read_settings(path, Gates) == Gates(score_psi_most=0.1, accepted_alarms=("drift",))


@pytest.mark.parametrize(
    ("text", "message"),
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
            "accepted_alarms names the unknown study 'leak'. Known studies: backtest, bands, begins,",
        ),
        ("may_be_unmeasured = ['fake_order']", "may_be_unmeasured names the unknown study 'fake_order'"),
    ],
)
def test_an_invalid_gates_file_is_rejected(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "gates.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match="settings file") as raised:
        read_settings(path, Gates)
    assert message in str(raised.value)


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


def test_the_demo_model_passes_the_demo_gates() -> None:
    assert failed(demo(), inputs(SMALL, test_rows=177, test_bad=16)) == []


@pytest.mark.parametrize(
    ("gate", "changes", "changed_inputs"),
    [
        ("sums", {}, {"sums": PointSumCheck(176, 1)}),
        ("outcomes", {}, {"test_bad": 5}),
        ("monotone", {"monotone.violations": 1.0}, {}),
        ("calibration", {"model.calibration_slope": 0.4, "model.calibration_slope_high": 0.9}, {}),
        # a reversed ranking, and an AUC below that of chance
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
def test_each_demo_gate_can_fail(gate: str, changes: dict[str, float], changed_inputs: dict[str, object]) -> None:
    assert failed(demo(), inputs({**SMALL, **changes}, **{"test_rows": 177, "test_bad": 16, **changed_inputs})) == [
        gate
    ]


def test_the_gates_of_the_test_world_can_fail() -> None:
    gates = read_settings(Path(__file__).parents[1] / "world_gates.toml", Gates)
    assert failed(gates, inputs(SMALL, test_rows=40, test_bad=5)) == []
    assert failed(gates, inputs({**SMALL, "discrimination.auc": 0.5}, test_rows=40, test_bad=5)) == ["discrimination"]
    assert failed(gates, inputs(SMALL, test_rows=40, test_bad=2)) == ["outcomes"]


def test_each_accepted_alarm_of_the_demo_has_a_comment() -> None:
    text = (Path(__file__).parents[2] / "training" / "simulation" / "gates.toml").read_text()
    block = text[text.index("accepted_alarms = [") :]
    for study in demo().accepted_alarms:
        before = block[: block.index(f'"{study}"')].rstrip().splitlines()
        assert before[-1].strip().startswith("#"), study


def test_the_auc_estimate_alone_can_be_enough() -> None:
    chance = {"discrimination.auc": 0.6, "discrimination.auc_low": 0.4}
    assert failed(Gates(), inputs(chance)) == ["discrimination"]
    assert failed(Gates(auc_interval_above_chance=False), inputs(chance)) == []
    none = {"discrimination.auc": 0.5, "discrimination.auc_low": 0.4}
    assert failed(Gates(auc_interval_above_chance=False), inputs(none)) == ["discrimination"]


def test_the_demo_gates_are_strict_where_sample_size_does_not_matter() -> None:
    path = Path(__file__).parents[2] / "training" / "simulation" / "gates.toml"
    default = Gates()
    kept = ("monotone_violations_most", "hiding_gain_most", "score_psi_most", "may_be_unmeasured")
    for name in (*kept, "auc_interval_above_chance"):
        assert getattr(demo(), name) == getattr(default, name)
    assert set(tomllib.loads(path.read_text())) < set(vars(default))
