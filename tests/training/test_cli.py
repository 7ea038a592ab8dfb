"""The command `train` as it is typed: what overrides what, and what it prints of a run."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from tests.training.runs import made_run
from training.cli import app, print_run
from training.errors import ConfigError, LabelError
from training.registry import Registered


def shown(*arguments: str) -> dict[str, dict[str, object]]:
    result = CliRunner().invoke(app, ["train", "--show-config", *arguments])
    assert result.exit_code == 0, result.output
    return tomllib.loads(result.stdout)


def test_trials_override_the_settings_file(tmp_path: Path) -> None:
    path = tmp_path / "training.toml"
    path.write_text("[search]\ntrials = 3\n[fit]\nseed = 8\n")
    assert shown("--config", str(path))["search"]["trials"] == 3
    found = shown("--config", str(path), "--trials", "50")
    assert (found["search"]["trials"], found["fit"]["seed"]) == (50, 8)
    assert shown("--config", str(path), "--trials", "0")["search"]["trials"] == 0


@pytest.mark.parametrize("trials", ["-1", "10001", "many"])
def test_a_number_of_trials_that_cannot_be_is_refused(trials: str) -> None:
    assert CliRunner().invoke(app, ["train", "--show-config", "--trials", trials]).exit_code == 2


def test_help_shows_how_it_is_used() -> None:
    said = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["train", "--help"]).stdout
    for words in (
        "--trials",
        "--trained-by",
        "--engine",
        "memory|batches|dask",
        "Example: sellerscore train --trials 50",
    ):
        assert words in said


def test_figures_alarms_and_where_to_look_are_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    print_run(made_run(), Registered(3, "abc"), as_json=False)
    printed = capsys.readouterr().out
    assert str(made_run().figures["auc"]) in printed
    assert "measured out of time on 700" in printed
    assert "Alarm Leaks: A leaks.\nAlarm Leaks: B leaks." in printed
    assert "Registered version 3" in printed
    assert "run abc in MLflow" in printed


def test_a_program_is_given_figures_facts_and_alarms(capsys: pytest.CaptureFixture[str]) -> None:
    print_run(made_run(), Registered(3, "abc"), as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert (found["version"], found["run_id"], found["bundle"]) == (3, "abc", made_run().bundle.digest)
    assert found["figures"]["auc"]["value"] == made_run().figures["auc"].value
    assert found["alarms"] == {"leaks": ["A leaks.", "B leaks."]}
    assert found["facts"]["test_rows"] == 700


def test_runs_that_a_kill_left_are_told_beside_the_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise LabelError("There are no loans.")

    monkeypatch.setenv("SELLERSCORE_HOME", str(tmp_path))
    monkeypatch.setattr("features.ingest.open_store", lambda _: None)
    monkeypatch.setattr("training.registry.require", lambda _: ("train 9b02cf5a", "train 5a31de9b"))
    monkeypatch.setattr("training.dataset.loan_labels", lambda *_: SimpleNamespace(rows=()))
    monkeypatch.setattr("training.dataset.build", none)
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["train", "--json"])
    assert isinstance(result.exception, LabelError)
    assert result.stdout == ""
    assert "left running in MLflow: train 9b02cf5a, train 5a31de9b." in result.stderr


def test_settings_of_a_label_table_without_one_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SELLERSCORE_HOME", str(tmp_path))
    monkeypatch.setattr("features.ingest.open_store", lambda _: None)
    monkeypatch.setattr("training.registry.require", lambda _: ())
    settings = tmp_path / "training.toml"
    settings.write_text("[labels]\nhorizon_days = 56\n")
    result = CliRunner().invoke(app, ["train", "--config", str(settings)])
    assert isinstance(result.exception, ConfigError)
    assert "describe a label table. Name the table with --labels" in str(result.exception)


def test_the_embargo_of_a_label_table_without_a_horizon_is_said_on_standard_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise LabelError("Enough.")

    monkeypatch.setenv("SELLERSCORE_HOME", str(tmp_path))
    monkeypatch.setattr("features.ingest.open_store", lambda _: None)
    monkeypatch.setattr("training.registry.require", lambda _: ())
    monkeypatch.setattr("training.dataset.build", stop)
    table, settings = tmp_path / "labels.csv", tmp_path / "training.toml"
    table.write_text("seller_id,bad,as_of\nS-1,true,2024-01-01\nS-2,false,2024-02-01\n")
    settings.write_text("[labels]\nhorizon_days = 30\n")
    runner, command = CliRunner(env={"COLUMNS": "300"}), ["train", "--labels", str(table)]
    assert "so the embargo is 366 days" in runner.invoke(app, command).stderr
    assert "embargo" not in runner.invoke(app, [*command, "--config", str(settings)]).stderr
