"""Runs and versions in a real MLflow over SQLite: what a run logs, the registered model, aliases."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from scoring import Bundle, assess, serialize_assessment
from scoring.bundle import FILES, MANIFEST
from tests.training.datasets import OBSERVED, TABLES
from tests.training.evidence.subjects import subject
from tests.training.runs import made_run
from training.dataset import EXAMPLE_SELLER, Dataset, example_row, served_rows, to_vectors
from training.errors import RegistryError
from training.evidence.card_approval import CardApproval
from training.evidence.model_card import write_card
from training.evidence.model_card_evidence import CardInput
from training.registry import (
    CHAMPION,
    EXPERIMENT,
    MODEL_NAME,
    PREVIOUS,
    LabelFile,
    Provenance,
    RegisteredVersion,
    Registry,
    aliases,
    find_version,
    load_bundle,
    load_predictions,
    login_name,
    register,
    set_champion,
    write_approval,
)
from training.registry.summaries import describe_run
from training.run import Run

if TYPE_CHECKING:
    from mlflow import MlflowClient

pytestmark = pytest.mark.slow

COVERS = dict.fromkeys(TABLES, OBSERVED)
STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CARD = ("bundle", "figures", "logistic_figures", "findings", "plots", "facts")


@dataclass(frozen=True)
class Registration:
    """Two versions of one run in a registry of their own."""

    registry: Registry
    loans: Dataset
    run: Run
    versions: tuple[RegisteredVersion, RegisteredVersion]

    @property
    def client(self) -> MlflowClient:
        from mlflow import MlflowClient

        return MlflowClient(self.registry.uri, self.registry.uri)


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Registration:
    loans, run = subject().test, made_run()
    home = tmp_path_factory.mktemp("registry")
    registry = Registry(f"sqlite:///{home}/mlflow.db", home / "artifacts")
    example = example_row(loans, COVERS)
    provenance = Provenance(STARTED, LabelFile("labels.csv", b"seller_id,as_of,bad\n"))
    versions = (register(registry, run, example, "Ana Silva", provenance), register(registry, run, example))
    return Registration(registry, loans, run, versions)


def _open_mlflow(registered: Registration, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return MLflow, connected to the registry; the environment is restored after the test."""
    import mlflow

    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        monkeypatch.setenv(name, registered.registry.uri)
    mlflow.set_tracking_uri(registered.registry.uri)
    mlflow.set_registry_uri(registered.registry.uri)
    return mlflow


def test_versions_are_numbered_and_name_their_runs(registered: Registration) -> None:
    first, second = registered.versions
    assert (first.version, second.version) == (1, 2)
    assert first.run_id != second.run_id
    assert registered.client.get_model_version(MODEL_NAME, "2").run_id == second.run_id


def test_a_run_logs_parameters_metrics_and_plots(registered: Registration) -> None:
    run = registered.client.get_run(registered.versions[0].run_id)
    facts, bundle = registered.run.facts, registered.run.bundle
    assert run.data.params == {name: str(value) for name, value in facts.items()}
    tags = ("dataset", "data_version", "catalogue", "evidence")
    assert {name: run.data.tags[name] for name in (*tags, "bundle")} == {
        **{name: facts[name] for name in tags},
        "bundle": bundle.digest,
    }
    expected = {}
    for model, figures in (("model", registered.run.figures), ("benchmark", registered.run.logistic_figures)):
        for name, figure in figures.items():
            ours = {"": figure.value, "_low": figure.low, "_high": figure.high}
            expected |= {f"{model}/{name}{ending}": value for ending, value in ours.items()}
    assert {name: run.data.metrics[name] for name in expected} == pytest.approx(expected)
    plots = {Path(item.path).name for item in registered.client.list_artifacts(run.info.run_id, "plots")}
    assert plots == {"roc.png", "calibration.png", "score_distribution.png"}


def test_a_run_has_the_duration_of_the_training_and_its_label_table(registered: Registration) -> None:
    import mlflow.artifacts

    first, second = (registered.client.get_run(each.run_id) for each in registered.versions)
    assert first.info.start_time == int(STARTED.timestamp() * 1000)
    assert second.info.start_time > first.info.start_time
    assert first.info.status == second.info.status == "FINISHED"
    assert first.data.tags["label_table"].startswith("labels.csv, sha256:")
    assert "label_table" not in second.data.tags
    uri = f"{first.info.artifact_uri}/labels/labels.csv"
    assert mlflow.artifacts.load_text(uri) == "seller_id,as_of,bad\n"
    for run in (first, second):
        assert {"mlflow.user", "mlflow.source.name", "process"} <= set(run.data.tags)


def test_the_loss_of_each_round_is_a_metric_by_step(registered: Registration) -> None:
    history = registered.client.get_metric_history(registered.versions[0].run_id, "loss/left_out")
    assert {each.step: each.value for each in history} == {1: 0.7, 10: 0.5, 20: 0.6}


def test_test_predictions_are_stored_and_loaded(registered: Registration) -> None:
    version = find_version(registered.registry, "1")
    found = load_predictions(registered.registry, version)
    assert found is not None
    pd.testing.assert_frame_equal(found, registered.run.predictions, check_dtype=False)
    with_none = replace(version, run_id=_run_without_artifacts(registered))
    assert load_predictions(registered.registry, with_none) is None


def _run_without_artifacts(registered: Registration) -> str:
    experiment = registered.client.get_run(registered.versions[0].run_id).info.experiment_id
    run = registered.client.create_run(experiment)
    registered.client.set_terminated(run.info.run_id)
    return str(run.info.run_id)


def test_a_run_logs_every_finding(registered: Registration) -> None:
    run = registered.client.get_run(registered.versions[0].run_id)
    assert (run.data.metrics["drift/score_psi"], run.data.metrics["leaks/best_alone_auc"]) == (0.04, 0.99)
    assert find_version(registered.registry, "1").metrics["drift.score_psi"] == 0.04
    assert run.data.tags["alarm.leaks"] == "A leaks. B leaks."
    assert run.data.tags["not_measured.fake_orders"].startswith("These were not measured")
    assert run.data.tags["declined.withholding"] == "This was not asked for."
    assert "not_measured.withholding" not in run.data.tags
    assert not [name for name in run.data.tags if name.endswith(".drift")]
    kept = registered.client.list_artifacts(run.info.run_id, "evidence/drift")
    assert [item.path for item in kept] == ["evidence/drift/by_feature.csv"]
    description = run.data.tags["mlflow.note.content"]
    assert description == describe_run(registered.run, run.data.tags)
    assert description.startswith("Trained by Ana Silva. Training: 1,500 loans (")


def test_a_run_contains_the_model_card_and_its_plots(registered: Registration, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = _open_mlflow(registered, monkeypatch)
    card = write_card(CardInput(*(getattr(registered.run, name) for name in CARD)))
    run_id = registered.versions[0].run_id
    for name, text in card.items():
        assert mlflow.artifacts.load_text(f"runs:/{run_id}/{name}") == text
    assert set(card) == {"model_card.md", "model_card.html"}
    logged = {item.path for item in registered.client.list_artifacts(run_id, "plots")}
    assert {link for link in logged if f"({link})" in card["model_card.md"]} == logged


def test_a_version_names_its_trainer_and_bundle(registered: Registration) -> None:
    first, second = (registered.client.get_model_version(MODEL_NAME, number) for number in ("1", "2"))
    assert (first.tags["trained_by"], second.tags["trained_by"]) == ("Ana Silva", login_name())
    assert first.tags["bundle"] == registered.run.bundle.digest
    assert first.description.startswith("Trained by Ana Silva. Training: 1,500 loans")
    assert "alias `champion`" in registered.client.get_registered_model(MODEL_NAME).description


def test_a_version_contains_the_evidence_summary(registered: Registration) -> None:
    tags = registered.client.get_model_version(MODEL_NAME, "1").tags
    found, facts = json.loads(tags["evidence_summary"]), registered.run.facts
    assert (found["origin"], found["data_through"]) == ("simulated by sellerscore, seed 7", "2026-01-01")
    assert found["sample"]["test_loans"] == facts["test_rows"]
    assert found["sample"]["test_defaults"] == facts["test_bad"]
    assert found["sample"]["default_rate"]["value"] == pytest.approx(facts["test_bad"] / facts["test_rows"], abs=1e-4)
    assert found["sample"]["auc"]["value"] == pytest.approx(registered.run.figures["auc"].value, abs=1e-4)
    assert any("Only loans that were paid out have outcomes" in limit for limit in found["limits"])
    assert found["alarms"] == [{"study": "leaks", "text": "A leaks."}, {"study": "leaks", "text": "B leaks."}]
    (ratio,) = (each for each in found["fairness"] if each["measure"] == "four_fifths_ratio")
    assert (ratio["by"], ratio["value"], ratio["limit"]) == ("country", 0.7, 0.8)
    assert len(ratio["notes"]) == 1
    assert found["trained_at"].endswith("Z")


def test_an_approval_is_written_on_the_card(registered: Registration, monkeypatch: pytest.MonkeyPatch) -> None:
    version = find_version(registered.registry, "2")
    approval = CardApproval(2, "Wei Zhang", "2026-11-30T10:00:00Z", "first", ("leaks",))
    write_approval(registered.registry, version, approval)
    mlflow = _open_mlflow(registered, monkeypatch)
    for name, label in (
        ("model_card.md", "**Accepted alarm (leaks)**"),
        ("model_card.html", "Accepted alarm (leaks)<"),
    ):
        text = mlflow.artifacts.load_text(f"runs:/{version.run_id}/{name}")
        assert "was approved by Wei Zhang at 2026-11-30T10:00:00Z" in text
        assert label in text
        assert "is not approved yet" not in text


def test_a_failed_registration_leaves_no_version(registered: Registration, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object, **__: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("mlflow.pyfunc.log_model", gone)
    with pytest.raises(RegistryError, match="failed: the disk is full"):
        register(registered.registry, registered.run, example_row(registered.loans, COVERS))
    assert find_version(registered.registry).number == 2
    (latest,) = registered.client.search_runs(
        [registered.client.get_experiment_by_name(EXPERIMENT).experiment_id], max_results=1
    )
    assert latest.info.status == "FAILED"


def test_a_login_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def unnamed() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr("getpass.getuser", unnamed)
    monkeypatch.setattr("os.getuid", lambda: 4711)
    assert login_name() == "user 4711"


def test_the_bundle_is_stored_unchanged(
    registered: Registration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = _open_mlflow(registered, monkeypatch)
    source = registered.client.get_model_version_download_uri(MODEL_NAME, "1")
    folder = Path(mlflow.artifacts.download_artifacts(source, dst_path=str(tmp_path)))
    found = {path.name: path.read_bytes() for path in (folder / "artifacts" / "bundle").iterdir()}
    assert set(found) == {*FILES, MANIFEST}
    assert found == registered.run.files
    assert Bundle.from_files(found).digest == registered.run.bundle.digest
    scoring = folder / "code" / "scoring"
    assert (scoring / "assess.py").is_file()
    assert not list(scoring.rglob("*.csv"))


def test_mlflow_serves_the_same_assessments(registered: Registration, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = _open_mlflow(registered, monkeypatch)
    served = mlflow.pyfunc.load_model(f"models:/{MODEL_NAME}/2")
    rows = served_rows(registered.loans.rows.head(40), registered.loans.features.head(40), COVERS)
    response = served.predict(rows)
    indexed = registered.loans.features.head(40).set_index([rows["seller_id"], registered.loans.rows["as_of"].head(40)])
    expected = assess(registered.run.bundle, to_vectors(indexed, COVERS))
    assert response["seller_id"].tolist() == rows["seller_id"].tolist()
    # MLflow loads its own copy of scoring, so only the bytes can be compared
    assert [text.encode() for text in response["assessment"]] == [serialize_assessment(each) for each in expected]
    assert {json.loads(text)["outcome"] for text in response["assessment"]} == {"scored"}


def test_no_file_of_a_model_contains_a_seller_id(
    registered: Registration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = _open_mlflow(registered, monkeypatch)
    source = registered.client.get_model_version_download_uri(MODEL_NAME, "1")
    folder = Path(mlflow.artifacts.download_artifacts(source, dst_path=str(tmp_path)))
    example = json.loads((folder / "input_example.json").read_text())
    assert [dict(zip(example["columns"], row, strict=True))["seller_id"] for row in example["data"]] == [EXAMPLE_SELLER]
    sellers = set(registered.loans.rows["seller_id"])
    kept = [path for path in folder.rglob("*") if path.is_file() and "code" not in path.relative_to(folder).parts]
    assert kept
    assert not [path for path in kept if any(each in path.read_text(errors="ignore") for each in sellers)]


def test_a_version_is_found_by_number_or_alias_with_what_its_run_logged(registered: Registration) -> None:
    set_champion(registered.registry, 1, aliases(registered.registry).get(CHAMPION), {})
    latest, champion = find_version(registered.registry), find_version(registered.registry, CHAMPION)
    assert (latest.number, champion.number) == (2, 1)
    assert latest.run_id == registered.versions[1].run_id
    assert latest.metrics["model.auc"] == pytest.approx(registered.run.figures["auc"].value)
    assert latest.params["test_from"] == registered.run.facts["test_from"]
    assert (latest.tags["trained_by"], champion.tags["trained_by"]) == (login_name(), "Ana Silva")
    assert load_bundle(registered.registry, latest).digest == registered.run.bundle.digest


def test_a_bundle_with_another_digest_is_rejected(registered: Registration) -> None:
    latest = find_version(registered.registry)
    altered = replace(latest, tags={**latest.tags, "bundle": "sha256:" + "0" * 64})
    with pytest.raises(RegistryError, match=r"contains the bundle sha256:.* but its run logged sha256:0000"):
        load_bundle(registered.registry, altered)


def test_the_replaced_champion_becomes_previous(registered: Registration) -> None:
    registry = registered.registry
    set_champion(registry, 1, aliases(registry).get(CHAMPION), {"approved_by": "Wei"})
    set_champion(registry, 2, 1, {"approved_by": "Ana"})
    assert aliases(registry) == {CHAMPION: 2, PREVIOUS: 1}
    assert {name: find_version(registry, "2").record[name] for name in ("approved_by", "replaced")} == {
        "approved_by": "Ana",
        "replaced": "1",
    }


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("0", r"Unknown version 0 of sellerscore\. Registered versions: 1, 2\."),
        ("3", r"Unknown version 3 of sellerscore\. Registered versions: 1, 2\."),
        ("-1", r"Unknown version -1 of sellerscore\. Registered versions: 1, 2\."),
        ("--5", r"Unknown alias --5 of sellerscore\. Registered versions: 1, 2; aliases: "),
        ("9" * 5_000, r"Unknown alias 9+ of sellerscore\. Registered versions: 1, 2"),
        ("unnamed", r"Unknown alias unnamed of sellerscore\. Registered versions: 1, 2"),
    ],
)
def test_an_unknown_version_is_rejected(registered: Registration, wanted: str, words: str) -> None:
    with pytest.raises(RegistryError, match=words):
        find_version(registered.registry, wanted)


def test_the_environment_is_restored(registered: Registration, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow sets MLFLOW_TRACKING_URI when it connects; the next command would use the wrong registry."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    find_version(registered.registry)
    assert "MLFLOW_TRACKING_URI" not in os.environ
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example:5000")
    find_version(registered.registry)
    assert os.environ["MLFLOW_TRACKING_URI"] == "http://mlflow.example:5000"
