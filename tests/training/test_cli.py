"""Commands `train` and `train-table`: options, progress, output and errors."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.training.conftest import copied_registry
from tests.training.runs import small_run
from tests.training.test_table_training import loans
from training.cli import app
from training.console import OutputFormat, print_run, show_steps
from training.errors import ConfigError, LabelError, RegistryError, TableError
from training.evidence.limits import LimitCheck, Standing
from training.evidence.study import Finding
from training.registry import TABLES, RegisteredVersion, aliases, find_version
from training.registry.connection import connected
from training.run import Run
from training.table_request import TableRequest


def invoked(*arguments: str | Path) -> Result:
    return CliRunner(env={"COLUMNS": "300"}).invoke(app, [str(each) for each in arguments])


@pytest.mark.parametrize(
    ("arguments", "trials"),
    [((), 3), (("--trials", "50"), 50), (("--trials", "0"), 0)],
)
def test_trials_override_the_settings_file(tmp_path: Path, arguments: tuple[str, ...], trials: int) -> None:
    path = tmp_path / "training.toml"
    path.write_text("[search]\ntrials = 3\n[fit]\nseed = 8\n")
    shown = tomllib.loads(invoked("train", "--show-config", "--config", path, *arguments).stdout)
    assert (shown["search"]["trials"], shown["fit"]["seed"]) == (trials, 8)


@pytest.mark.parametrize("trials", ["-1", "10001", "many"])
def test_an_invalid_number_of_trials_is_rejected(trials: str) -> None:
    assert invoked("train", "--show-config", "--trials", trials).exit_code == 2


def test_help_shows_the_options_and_examples() -> None:
    shown = invoked("train", "--help").stdout
    for words in (
        "--trained-by",
        "memory|batches|dask",
        "Example: sellerscore train --trials 50",
        "The exit code is 0",
    ):
        assert words in shown
    shown = invoked("train-table", "--help").stdout
    for words in ("The exit code is 0", "the texts NA, N/A, NULL"):
        assert words in shown


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


def test_metrics_alarms_and_the_registered_version_are_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    run, version = small_run(), RegisteredVersion(3, "abc")
    print_run(run, version, "/runs/abc/model_card.html", OutputFormat.TABLE)
    printed = capsys.readouterr().out
    for words in (
        str(run.figures["auc"]),
        "Out-of-time test: 700 loans",
        "Alarm Leaks: A leaks.\nAlarm Leaks: B leaks.",
        "Registered version 3",
        "MLflow run abc",
        "Model card: /runs/abc/model_card.html",
    ):
        assert words in printed
    print_run(run, version, "/runs/abc/model_card.html", OutputFormat.JSON)
    found = json.loads(capsys.readouterr().out)
    assert (found["version"], found["run_id"], found["bundle"]) == (3, "abc", run.bundle.digest)
    assert found["figures"]["auc"]["value"] == run.figures["auc"].value
    assert found["alarms"] == {"leaks": ["A leaks.", "B leaks."]}
    assert found["facts"]["test_rows"] == 700


def test_notes_on_a_random_ranking_and_the_absence_of_alarms_are_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    note = "The AUC of the model is [0.52]. Its 95% interval reaches 0.5."
    check = LimitCheck("AUC of the model", "0.52", "above 0.5", Standing.UNCERTAIN, note)
    calm = replace(small_run(), findings=(Finding("discrimination", "Discrimination", "So.", checks=(check,)),))
    print_run(calm, RegisteredVersion(3, "abc"), "card.html", OutputFormat.TABLE)
    printed = capsys.readouterr().out
    assert f"Note Discrimination: {note}\nNo alarm." in printed


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings of a label table, in a state folder in which training stops before the first row is computed."""

    def stop(*_: object) -> None:
        raise LabelError("Enough.")

    monkeypatch.setenv("SELLERSCORE_HOME", str(tmp_path))
    monkeypatch.setattr("features.ingest.open_store", lambda _: None)
    monkeypatch.setattr("training.registry.require", lambda _: ("train 9b02cf5a", "train 5a31de9b"))
    monkeypatch.setattr("training.dataset.build", stop)
    path = tmp_path / "training.toml"
    path.write_text("[labels]\nhorizon_days = 30\n")
    return path


def test_killed_runs_and_an_embargo_without_a_horizon_are_reported_on_standard_error(
    settings: Path, tmp_path: Path
) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("seller_id,bad,as_of\nS-1,true,2024-01-01\nS-2,false,2024-02-01\n")
    result = invoked("train", "--labels", table, "--output", "json")
    assert isinstance(result.exception, LabelError)
    assert result.stdout == ""
    assert "Marked runs of killed processes as KILLED in MLflow: train 9b02cf5a, train 5a31de9b." in result.stderr
    assert "so the embargo is 366 days" in result.stderr
    assert "embargo" not in invoked("train", "--labels", table, "--config", settings).stderr


def test_settings_of_a_label_table_without_a_table_are_rejected(settings: Path) -> None:
    result = invoked("train", "--config", settings)
    assert isinstance(result.exception, ConfigError)
    assert "describe a label table. Name the table with --labels" in str(result.exception)


FACTS = {**small_run().facts, "kind": "table", "command": "sellerscore train-table loans.csv --target status"}
COLUMNS = Finding("columns", "Columns of the table", "4 features come from the columns of the table.")
TABLE_RUN = replace(small_run(), facts=FACTS, findings=(*small_run().findings, COLUMNS))


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table in an empty state folder."""
    monkeypatch.setenv("SELLERSCORE_HOME", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    loans(300).to_csv(tmp_path / "loans.csv", index=False)
    return tmp_path / "loans.csv"


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[TableRequest]:
    """The requests to train on a table; each gets the same run."""
    received: list[TableRequest] = []

    def run(_: object, request: TableRequest, __: object) -> Run:
        received.append(request)
        return TABLE_RUN

    monkeypatch.setattr("training.table_training.train_table", run)
    return received


@pytest.mark.slow
def test_a_table_run_is_logged_with_its_evidence_and_no_version_exists(
    table: Path, requests: list[TableRequest], empty_registry: Path
) -> None:
    registry = copied_registry(empty_registry, table.parent)
    options = ("--target", "status", "--bad", "CHGOFF", "--time", "approved", "--group", "bank")
    declared = ("--raises", "amount", "--lowers", "staff", "--leave-out", "term", "--horizon-days", "90")
    printed = invoked("train-table", table, *options, *declared).stdout
    signs = {"amount": 1, "staff": -1}
    assert requests == [TableRequest("loans.csv", "status", "CHGOFF", "approved", "bank", signs, ("term",), 90)]
    for words in ("later rows of other groups", "Alarm Leaks: A leaks.", "cannot become the champion"):
        assert words in printed
    with connected(registry) as client:
        experiment = client.get_experiment_by_name(TABLES)
        (run,) = client.search_runs([experiment.experiment_id])
        stored = {item.path for item in client.list_artifacts(run.info.run_id)}
        bundle = {Path(item.path).name for item in client.list_artifacts(run.info.run_id, "bundle")}
    assert run.info.run_id in printed
    assert Path(printed.partition("Model card: ")[2].strip()).is_file()
    assert run.info.status == "FINISHED"
    assert run.data.params["command"] == FACTS["command"]
    assert run.data.tags["alarm.leaks"] == "A leaks. B leaks."
    assert {"bundle", "model_card.html", "plots", "predictions"} <= stored
    assert bundle == set(TABLE_RUN.files)
    assert aliases(registry) == {}
    with pytest.raises(RegistryError, match="No model is registered yet"):
        find_version(registry)


def test_json_output_of_a_table_run_has_the_run_and_its_metrics(
    table: Path, requests: list[TableRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.registry.require", lambda _: ())
    monkeypatch.setattr("training.registry.log_table_run", lambda *_: "abc")
    monkeypatch.setattr("training.registry.locate_card", lambda *_: "/runs/abc/model_card.html")
    found = json.loads(
        invoked("train-table", table, "--target", "status", "--bad", "CHGOFF", "--output", "json").stdout
    )
    assert requests
    assert set(found) == {"run_id", "model_card", "figures", "logistic", "facts", "alarms"}
    assert (found["run_id"], found["figures"]["auc"]["value"]) == ("abc", TABLE_RUN.figures["auc"].value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--raises", "term", "--lowers", "term"), "'term' is named by --raises and by --lowers"),
        ((), "Name the one that means bad with --bad"),
    ],
)
def test_an_unusable_request_is_rejected_before_the_registry_is_contacted(
    table: Path, arguments: tuple[str, ...], words: str
) -> None:
    result = invoked("train-table", table, "--target", "status", *arguments)
    assert isinstance(result.exception, TableError)
    assert words in str(result.exception)
    assert not (table.parent / "mlflow.db").exists()
