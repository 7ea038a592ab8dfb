"""Console output: progress on a terminal and in a log."""

import pytest

from training.console import show_steps


def test_a_log_has_one_line_per_step_with_the_elapsed_time(capsys: pytest.CaptureFixture[str]) -> None:
    with show_steps("Reading loans.csv") as step:
        step("fit the model on [697] rows")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines() == ["    0 s  Reading loans.csv", "    0 s  Fit the model on [697] rows"]


def test_a_terminal_shows_the_steps_on_standard_error_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with show_steps("Reading loans.csv") as step:
        step("fit the model")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Fit the model" in shown.err or "Reading loans.csv" in shown.err
