"""Gates: each stops a model for its own reason, or if its figure was not measured; a file can loosen them."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path
from typing import Any

import pytest

from training.compare import Agreement, Comparison, Paired, Segment
from training.errors import ConfigError
from training.evidence.metrics import Estimate
from training.gate_inputs import GateInputs, PointSumCheck
from training.gates import Gates, GateVerdict, evaluate_gates, failed_gates
from training.settings import read_settings


def interval(name: str, value: float, low: float, high: float) -> dict[str, float]:
    return {name: value, f"{name}_low": low, f"{name}_high": high}


GOOD = {
    **interval("discrimination.auc", 0.80, 0.74, 0.86),
    **interval("discrimination.auc_difference", 0.02, -0.01, 0.05),
    "discrimination.defaults": 50.0,
    **interval("model.calibration_slope", 1.02, 0.93, 1.11),
    **interval("level.observed_over_expected", 1.05, 0.9, 1.2),
    **interval("backtest.auc_difference", 0.01, -0.01, 0.03),
    "monotone.violations": 0.0,
    "final_fit.score_psi_low": 0.0,
    "final_fit.probability_ratio": 0.95,
    "drift.score_psi": 0.04,
    "drift.score_psi_low": 0.0,
    "withholding.most_gain": 5.0,
    "fake_orders.gaining_share": 0.05,
    "fake_orders.sellers": 30.0,
}
SMALL = {
    **interval("discrimination.auc", 0.83, 0.71, 0.93),
    **interval("discrimination.auc_difference", 0.04, -0.08, 0.16),
    "discrimination.defaults": 16.0,
    **interval("model.calibration_slope", 0.98, 0.62, 1.51),
    "drift.score_psi": 0.2,
    "fake_orders.gaining_share": 1 / 36,
    "fake_orders.sellers": 36.0,
}
"""What the demo of 2,000 sellers measured: 16 bad of 177 test loans."""

DEMO = Path(__file__).parents[2] / "training" / "simulation" / "gates.toml"


def inputs(changes: dict[str, float] | None = None, tags: dict[str, str] | None = None, **changed: Any) -> GateInputs:
    """Return the gate inputs of a good first model, with some changes."""
    counts = {"sums": PointSumCheck(100, 0), "test_rows": 400, "test_bad": 50}
    return GateInputs(**{**counts, "metrics": {**GOOD, **(changes or {})}, "tags": tags or {}, **changed})


def without(*prefixes: str, tags: dict[str, str] | None = None) -> GateInputs:
    """Return the inputs without the metrics of some studies, with tags that give the reason."""
    return inputs(tags=tags, metrics={name: value for name, value in GOOD.items() if not name.startswith(prefixes)})


def compared(**countries: Estimate | None) -> GateInputs:
    """Return the inputs with a comparison that has these differences of the AUC by country."""
    segments = (
        Segment("country", value, 100, 20, None if loss is None else Paired(0.7, 0.7 - loss.value, loss))
        for value, loss in countries.items()
    )
    return inputs(comparison=Comparison(200, 40, {}, Agreement(0.9, 3.0, 1.0, 0.9), tuple(segments)))


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
        # uncertain figures pass
        (None, interval("model.calibration_slope", 0.6, 0.1, 1.3)),
        (None, {"drift.score_psi": 0.9, "drift.score_psi_low": 0.25}),
    ],
)
def test_each_gate_fails_alone(gate: str | None, changes: dict[str, float]) -> None:
    assert failed(Gates(), inputs(changes)) == ([] if gate is None else [gate])


@pytest.mark.parametrize("name", sorted(GOOD))
def test_a_figure_that_was_not_measured_fails(name: str) -> None:
    metrics = {key: value for key, value in GOOD.items() if key != name}
    (check,) = failed_gates(evaluate_gates(Gates(), inputs(metrics=metrics)))
    assert f"{name} was not measured" in check.summary


WORSE, WITHIN, UNSURE = Estimate(-0.05, -0.08, -0.01), Estimate(-0.01, -0.02, -0.005), Estimate(-0.05, -0.12, 0.01)
LEAK, LIMIT = {"alarm.leaks": "A label copy."}, {"alarm.rounds": "The loss still fell at the limit."}
SKIPPED = without("fake_orders.", tags={"declined.fake_orders": "The settings ask for no seller."})
# with 2 bad of 18 test loans, intervals are so wide that the other gates pass
FEW = inputs(
    interval("model.calibration_slope", 1.35, 0.79, 36.5) | {"drift.score_psi": 1.86}, test_rows=18, test_bad=2
)


@pytest.mark.parametrize(
    ("gate_inputs", "gate", "words", "gates"),
    [
        (FEW, "outcomes", "2 of 18 test loans are bad; limit: at least 50", Gates(test_bad_least=2)),
        # a trainer could otherwise turn a gate off in the settings of the training
        (
            SKIPPED,
            "fake_orders",
            "was not measured (The settings ask for no seller.); train again with other settings",
            Gates(may_be_unmeasured=("fake_orders",)),
        ),
        (
            inputs({"fake_orders.sellers": 1.0, "fake_orders.gaining_share": 0.0}),
            "fake_orders",
            "0.0% of 1 sellers gain from fake orders; limit: at most 0.05, of at least 30 sellers",
            Gates(fake_orders_sellers_least=1),
        ),
        (without("drift."), "drift", "was not measured", Gates(may_be_unmeasured=("drift",))),
        (inputs(tags=LEAK | {"bundle": "sha256:1"}), "alarms", "leaks: A label", Gates(accepted_alarms=("leaks",))),
        # the fit raises this alarm, which is not a study
        (inputs(tags=LIMIT), "alarms", "rounds: The loss", Gates(accepted_alarms=("rounds",))),
        (
            compared(CN=WORSE, VN=WITHIN, DE=UNSURE, US=None, GB=Estimate(0.1, 0.05, 0.2)),
            "segments",
            "in country CN by -0.050 (-0.080 to -0.010) of 4 segments",
            Gates(segment_auc_worse_most=0.05),
        ),
        (inputs(incomparable="Other catalogues."), "segments", "Other cat", Gates(champion_comparable=False)),
        (
            inputs({"discrimination.auc": 0.6, "discrimination.auc_low": 0.4}),
            "discrimination",
            "AUC: 0.600",
            Gates(auc_interval_above_chance=False),
        ),
    ],
)
def test_a_gate_fails_unless_the_file_loosens_it(gate_inputs: GateInputs, gate: str, words: str, gates: Gates) -> None:
    (check,) = failed_gates(evaluate_gates(Gates(), gate_inputs))
    assert check.gate == gate
    assert words in check.summary
    assert failed(gates, gate_inputs) == []


@pytest.mark.parametrize(
    ("gates", "gate_inputs", "gate"),
    [
        (Gates(), inputs(test_bad=49), "outcomes"),
        (Gates(), inputs(test_bad=None), "outcomes"),
        (Gates(may_be_unmeasured=("monotone",)), inputs(sums=PointSumCheck(100, 1)), "sums"),
        (Gates(may_be_unmeasured=("monotone",)), inputs(sums=PointSumCheck(0, 0)), "sums"),
        (Gates(may_be_unmeasured=("fake_orders",)), without("fake_orders.", "drift."), "drift"),
        (Gates(accepted_alarms=("rounds",)), inputs(tags=LEAK | LIMIT), "alarms"),
        (
            Gates(auc_interval_above_chance=False),
            inputs({"discrimination.auc": 0.5, "discrimination.auc_low": 0.4}),
            "discrimination",
        ),
    ],
)
def test_a_loosened_file_accepts_nothing_else(gates: Gates, gate_inputs: GateInputs, gate: str) -> None:
    assert failed(gates, gate_inputs) == [gate]


@pytest.mark.parametrize(
    ("gate", "gate_inputs", "verdict", "words"),
    [
        (
            "fake_orders",
            without("fake_orders.", tags={"not_measured.fake_orders": "These sellers are not simulated."}),
            GateVerdict.DOES_NOT_APPLY,
            "These sellers are not simulated.",
        ),
        ("segments", compared(CN=None), GateVerdict.DOES_NOT_APPLY, "a worse ranking cannot be excluded"),
        ("alarms", inputs(tags=LEAK), GateVerdict.PASSED, "the gates file accepts the alarms of leaks"),
    ],
)
def test_a_gate_states_why_it_does_not_apply_or_was_loosened(
    gate: str, gate_inputs: GateInputs, verdict: GateVerdict, words: str
) -> None:
    checks = evaluate_gates(Gates(accepted_alarms=("bands", "leaks")), gate_inputs)
    assert failed_gates(checks) == ()
    (check,) = (check for check in checks if check.gate == gate)
    assert check.verdict is verdict
    assert words in check.summary


def test_limits_can_be_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / "gates.toml"
    for gates in (Gates(), Gates(score_psi_most=0.1, accepted_alarms=("drift",))):
        path.write_text(gates.as_toml())
        assert read_settings(path, Gates) == gates


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("psi = 1", "there is no setting psi"),
        ("score_psi_most = 'much'", "score_psi_most is 'much'"),
        ("fake_orders_gaining_most = 1.5", "fake_orders_gaining_most is 1.5"),
        ("calibration_slope_most = inf", "calibration_slope_most is inf"),
        ("monotone_violations_most = -1", "monotone_violations_most is -1"),
        ("accepted_alarms = 'all'", "accepted_alarms is 'all'"),
        (
            "accepted_alarms = ['leak']",
            "accepted_alarms names the unknown study 'leak'. Known studies: backtest, bands, ",
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


@pytest.mark.parametrize(
    ("gate", "changes", "changed"),
    [
        (None, {}, {}),
        ("sums", {}, {"sums": PointSumCheck(176, 1)}),
        ("outcomes", {}, {"test_bad": 5}),
        ("calibration", {"model.calibration_slope": 0.4, "model.calibration_slope_high": 0.9}, {}),
        # a reversed ranking, and an AUC below that of chance
        ("discrimination", {"discrimination.auc": 0.123, "discrimination.auc_low": 0.05}, {}),
        ("discrimination", {"discrimination.auc": 0.49, "discrimination.auc_low": 0.37}, {}),
        ("discrimination", {"discrimination.auc_difference_high": -0.11}, {}),
        ("fake_orders", {"fake_orders.gaining_share": 19 / 36}, {}),
        ("alarms", {}, {"tags": {"alarm.leaks": "A label copy."}}),
        ("alarms", {}, {"tags": {"alarm.monotone": "A move against its sign."}}),
    ],
)
def test_the_demo_model_passes_the_demo_gates_and_each_can_fail(
    gate: str | None, changes: dict[str, float], changed: dict[str, object]
) -> None:
    gate_inputs = inputs({**SMALL, **changes}, **{"test_rows": 177, "test_bad": 16, **changed})
    assert failed(read_settings(DEMO, Gates), gate_inputs) == ([] if gate is None else [gate])


def test_the_demo_gates_are_strict_where_sample_size_does_not_matter_and_explain_accepted_alarms() -> None:
    demo, text = read_settings(DEMO, Gates), DEMO.read_text()
    strict = ("monotone_violations_most", "hiding_gain_most", "score_psi_most", "may_be_unmeasured")
    for name in (*strict, "auc_interval_above_chance"):
        assert getattr(demo, name) == getattr(Gates(), name)
    assert set(tomllib.loads(text)) < set(vars(Gates()))
    block = text[text.index("accepted_alarms = [") :]
    for study in demo.accepted_alarms:
        before = block[: block.index(f'"{study}"')].rstrip().splitlines()
        assert before[-1].strip().startswith("#"), study


@pytest.mark.parametrize(
    ("gate", "changes", "bad"),
    [([], {}, 5), (["discrimination"], {"discrimination.auc": 0.5}, 5), (["outcomes"], {}, 2)],
)
def test_the_gates_of_the_test_world_can_fail(gate: list[str], changes: dict[str, float], bad: int) -> None:
    gates = read_settings(Path(__file__).parents[1] / "world_gates.toml", Gates)
    assert failed(gates, inputs({**SMALL, **changes}, test_rows=40, test_bad=bad)) == gate
