"""Steps are lines in a log, and a spinner on a terminal."""

import pytest

from training.console import show_steps


def test_in_a_log_each_step_is_a_line_with_its_time(capsys: pytest.CaptureFixture[str]) -> None:
    with show_steps("Reading loans.csv") as step:
        step("fit the model on [697] rows")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines() == ["    0 s  Reading loans.csv", "    0 s  Fit the model on [697] rows"]


def test_on_a_terminal_the_steps_leave_nothing_behind(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with show_steps("Reading loans.csv") as step:
        step("fit the model")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Fit the model" in shown.err or "Reading loans.csv" in shown.err
