"""The command `train-table` as it is typed: a run that can be looked at in MLflow, and no version to promote."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.training.conftest import copied_registry
from tests.training.runs import made_run
from tests.training.test_table_run import loans
from training.cli import app
from training.errors import RegistryError, TableError
from training.evidence.study import Finding
from training.registry import TABLES, Registry, aliases, find_version
from training.registry.connection import connected
from training.run import Run
from training.table_training import TableRequest

pytestmark = pytest.mark.slow

FACTS = {**made_run().facts, "kind": "table", "command": "sellerscore train-table loans.csv --target status"}
COLUMNS = Finding("columns", "Columns of the table", "4 features come from the columns of the table.")
RUN = replace(made_run(), facts=FACTS, findings=(*made_run().findings, COLUMNS))


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
        return RUN

    monkeypatch.setattr("training.table_training.train_table", run)
    return asked


def invoked(home: Path, *arguments: str) -> Result:
    runner = CliRunner(env={"COLUMNS": "250"})
    return runner.invoke(app, ["train-table", str(home / "loans.csv"), *arguments], catch_exceptions=False)


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
    assert bundle == set(RUN.files)
    assert aliases(registry) == {}
    with pytest.raises(RegistryError, match="No model is registered yet"):
        find_version(registry)


def test_a_program_gets_the_run_and_its_figures(home: Path, requests: list[TableRequest]) -> None:
    found = json.loads(invoked(home, "--target", "status", "--bad", "CHGOFF", "--json").stdout)
    assert requests
    assert set(found) == {"run_id", "figures", "logistic", "facts", "alarms"}
    assert found["figures"]["auc"]["value"] == RUN.figures["auc"].value


def test_a_column_has_one_direction(home: Path) -> None:
    with pytest.raises(TableError, match="'term' is stated with --raises and with --lowers"):
        invoked(home, "--target", "status", "--raises", "term", "--lowers", "term")


def test_what_cannot_be_trained_on_is_refused_before_the_registry_is_reached(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reached(_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("training.registry.require", reached)
    with pytest.raises(TableError, match="Name the one that means bad with --bad"):
        invoked(home, "--target", "status")
