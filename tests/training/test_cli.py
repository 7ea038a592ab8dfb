"""Commands `train` and `train-table`: options, output and errors."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner, Result

from tests.training.conftest import copied_registry
from tests.training.runs import made_run
from tests.training.test_table_training import loans
from training.cli import app
from training.console import OutputFormat, print_run
from training.errors import ConfigError, LabelError, RegistryError, TableError
from training.evidence.study import Finding
from training.registry import TABLES, RegisteredVersion, Registry, aliases, find_version
from training.registry.connection import connected
from training.run import Run
from training.table_training import TableRequest


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
    print_run(made_run(), RegisteredVersion(3, "abc"), OutputFormat.TABLE)
    printed = capsys.readouterr().out
    assert str(made_run().figures["auc"]) in printed
    assert "Out-of-time test: 700 loans" in printed
    assert "Alarm Leaks: A leaks.\nAlarm Leaks: B leaks." in printed
    assert "Registered version 3" in printed
    assert "MLflow run abc" in printed


def test_a_program_is_given_figures_facts_and_alarms(capsys: pytest.CaptureFixture[str]) -> None:
    print_run(made_run(), RegisteredVersion(3, "abc"), OutputFormat.JSON)
    found = json.loads(capsys.readouterr().out)
    assert (found["version"], found["run_id"], found["bundle"]) == (3, "abc", made_run().bundle.digest)
    assert found["figures"]["auc"]["value"] == made_run().figures["auc"].value
    assert found["alarms"] == {"leaks": ["A leaks.", "B leaks."]}
    assert found["facts"]["test_rows"] == 700


def test_runs_that_a_kill_left_are_told_beside_the_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise LabelError("There are no loans.")

    monkeypatch.setenv("SELLERSCORE_HOME", str(tmp_path))
    monkeypatch.setattr("features.intake.open_store", lambda _: None)
    monkeypatch.setattr("training.registry.require", lambda _: ("train 9b02cf5a", "train 5a31de9b"))
    monkeypatch.setattr("training.dataset.loan_labels", lambda *_: SimpleNamespace(rows=()))
    monkeypatch.setattr("training.dataset.build", none)
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["train", "--output", "json"])
    assert isinstance(result.exception, LabelError)
    assert result.stdout == ""
    assert "Marked runs of killed processes as KILLED in MLflow: train 9b02cf5a, train 5a31de9b." in result.stderr


def test_settings_of_a_label_table_without_one_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SELLERSCORE_HOME", str(tmp_path))
    monkeypatch.setattr("features.intake.open_store", lambda _: None)
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
    monkeypatch.setattr("features.intake.open_store", lambda _: None)
    monkeypatch.setattr("training.registry.require", lambda _: ())
    monkeypatch.setattr("training.dataset.build", stop)
    table, settings = tmp_path / "labels.csv", tmp_path / "training.toml"
    table.write_text("seller_id,bad,as_of\nS-1,true,2024-01-01\nS-2,false,2024-02-01\n")
    settings.write_text("[labels]\nhorizon_days = 30\n")
    runner, command = CliRunner(env={"COLUMNS": "300"}), ["train", "--labels", str(table)]
    assert "so the embargo is 366 days" in runner.invoke(app, command).stderr
    assert "embargo" not in runner.invoke(app, [*command, "--config", str(settings)]).stderr


FACTS = {**made_run().facts, "kind": "table", "command": "sellerscore train-table loans.csv --target status"}
COLUMNS = Finding("columns", "Columns of the table", "4 features come from the columns of the table.")
TABLE_RUN = replace(made_run(), facts=FACTS, findings=(*made_run().findings, COLUMNS))


@pytest.fixture
def home(tmp_path: Path, empty_registry: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copied_registry(empty_registry, tmp_path)
    monkeypatch.setenv("SELLERSCORE_HOME", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    loans(300).to_csv(tmp_path / "loans.csv", index=False)
    return tmp_path


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[TableRequest]:
    """Return what is trained on; the run is one that is made already."""
    asked: list[TableRequest] = []

    def run(_: object, request: TableRequest, __: object) -> Run:
        asked.append(request)
        return TABLE_RUN

    monkeypatch.setattr("training.table_training.train_table", run)
    return asked


def invoked(home: Path, *arguments: str) -> Result:
    runner = CliRunner(env={"COLUMNS": "250"})
    return runner.invoke(app, ["train-table", str(home / "loans.csv"), *arguments], catch_exceptions=False)


@pytest.mark.slow
def test_a_run_is_logged_with_its_evidence_and_no_version_exists(home: Path, requests: list[TableRequest]) -> None:
    options = ("--target", "status", "--bad", "CHGOFF", "--time", "approved", "--group", "bank")
    declared = ("--raises", "amount", "--lowers", "staff", "--leave-out", "term", "--horizon-days", "90")
    printed = invoked(home, *options, *declared).stdout
    signs = {"amount": 1, "staff": -1}
    assert requests == [TableRequest("loans.csv", "status", "CHGOFF", "approved", "bank", signs, ("term",), 90)]
    assert "later rows of other groups" in printed
    assert "Alarm Leaks: A leaks." in printed
    assert "it cannot become the champion" in printed
    registry = Registry.on_sqlite(home)
    with connected(registry) as client:
        experiment = client.get_experiment_by_name(TABLES)
        (run,) = client.search_runs([experiment.experiment_id])
        stored = {item.path for item in client.list_artifacts(run.info.run_id)}
        bundle = {Path(item.path).name for item in client.list_artifacts(run.info.run_id, "bundle")}
    assert run.info.run_id in printed
    assert run.info.status == "FINISHED"
    assert run.data.params["command"] == FACTS["command"]
    assert run.data.tags["alarm.leaks"] == "A leaks. B leaks."
    assert {"bundle", "model_card.html", "plots", "predictions"} <= stored
    assert bundle == set(TABLE_RUN.files)
    assert aliases(registry) == {}
    with pytest.raises(RegistryError, match="No model is registered yet"):
        find_version(registry)


@pytest.mark.slow
def test_a_program_gets_the_run_and_its_figures(home: Path, requests: list[TableRequest]) -> None:
    found = json.loads(invoked(home, "--target", "status", "--bad", "CHGOFF", "--output", "json").stdout)
    assert requests
    assert set(found) == {"run_id", "figures", "logistic", "facts", "alarms"}
    assert found["figures"]["auc"]["value"] == TABLE_RUN.figures["auc"].value


@pytest.mark.slow
def test_a_column_has_one_direction(home: Path) -> None:
    with pytest.raises(TableError, match="'term' is named by --raises and by --lowers"):
        invoked(home, "--target", "status", "--raises", "term", "--lowers", "term")


@pytest.mark.slow
def test_what_cannot_be_trained_on_is_refused_before_the_registry_is_reached(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reached(_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("training.registry.require", reached)
    with pytest.raises(TableError, match="Name the one that means bad with --bad"):
        invoked(home, "--target", "status")
