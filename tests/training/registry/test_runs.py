"""Runs and versions in a real MLflow over SQLite: what a run logs, the registered model, aliases, provenance."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from scoring import Bundle, assess, serialize_assessment
from scoring.bundle import FILES, MANIFEST
from tests.training.conftest import copied_registry
from tests.training.datasets import OBSERVED, TABLES
from tests.training.evidence.subjects import subject
from tests.training.runs import small_run
from training.dataset import EXAMPLE_SELLER, Dataset, example_row, served_rows, to_vectors
from training.errors import LabelError, RegistryError
from training.evidence.card_approval import CardApproval
from training.evidence.model_card import write_card
from training.evidence.study import Finding
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
from training.registry.connection import connected
from training.registry.provenance import git_commit, provenance_tags
from training.registry.summaries import MAX_LENGTH, describe_run
from training.run import Run

if TYPE_CHECKING:
    from mlflow.entities import Run as LoggedRun
    from mlflow.entities.model_registry import ModelVersion

pytestmark = pytest.mark.slow

COVERS = dict.fromkeys(TABLES, OBSERVED)
STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass(frozen=True)
class Registration:
    """Two versions of one run in a registry of their own."""

    registry: Registry
    loans: Dataset
    run: Run
    versions: tuple[RegisteredVersion, RegisteredVersion]

    def logged(self, number: int) -> LoggedRun:
        with connected(self.registry) as client:
            return client.get_run(self.versions[number - 1].run_id)

    def version(self, number: int) -> ModelVersion:
        with connected(self.registry) as client:
            return client.get_model_version(MODEL_NAME, str(number))

    def paths(self, folder: str) -> set[str]:
        """Return the paths of the artifacts of the first run in a folder."""
        with connected(self.registry) as client:
            return {item.path for item in client.list_artifacts(self.versions[0].run_id, folder)}

    def text(self, number: int, path: str) -> str:
        import mlflow.artifacts

        with connected(self.registry):
            return str(mlflow.artifacts.load_text(f"runs:/{self.versions[number - 1].run_id}/{path}"))


@pytest.fixture(scope="module")
def registered(empty_registry: Path, tmp_path_factory: pytest.TempPathFactory) -> Registration:
    loans, run = subject().test, small_run()
    registry = copied_registry(empty_registry, tmp_path_factory.mktemp("registry"))
    example = example_row(loans, COVERS)
    provenance = Provenance(STARTED, LabelFile("labels.csv", b"seller_id,as_of,bad\n"))
    versions = (register(registry, run, example, "Ana Silva", provenance), register(registry, run, example))
    return Registration(registry, loans, run, versions)


@pytest.fixture(scope="module")
def model(registered: Registration, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The downloaded files of the first version."""
    import mlflow.artifacts

    folder = str(tmp_path_factory.mktemp("model"))
    with connected(registered.registry) as client:
        source = client.get_model_version_download_uri(MODEL_NAME, "1")
        return Path(mlflow.artifacts.download_artifacts(source, dst_path=folder))


def test_versions_are_numbered_and_name_their_run_trainer_and_bundle(registered: Registration) -> None:
    first, second = registered.versions
    assert (first.version, second.version) == (1, 2)
    assert first.run_id != second.run_id
    one, two = registered.version(1), registered.version(2)
    assert (one.run_id, two.run_id) == (first.run_id, second.run_id)
    assert (one.tags["trained_by"], two.tags["trained_by"]) == ("Ana Silva", login_name())
    assert one.tags["bundle"] == registered.run.bundle.digest
    assert one.description.startswith("Trained by Ana Silva. Training: 1,500 loans")
    with connected(registered.registry) as client:
        assert "alias `champion`" in client.get_registered_model(MODEL_NAME).description


def test_a_run_logs_parameters_metrics_and_plots(registered: Registration) -> None:
    data, facts = registered.logged(1).data, registered.run.facts
    assert data.params == {name: str(value) for name, value in facts.items()}
    tags = {name: facts[name] for name in ("dataset", "data_version", "catalogue", "evidence")}
    assert {**tags, "bundle": registered.run.bundle.digest}.items() <= data.tags.items()
    expected = {}
    for name, figures in (("model", registered.run.figures), ("benchmark", registered.run.logistic_figures)):
        for figure, estimate in figures.items():
            ours = {"": estimate.value, "_low": estimate.low, "_high": estimate.high}
            expected |= {f"{name}/{figure}{ending}": value for ending, value in ours.items()}
    assert {name: data.metrics[name] for name in expected} == pytest.approx(expected)
    assert registered.paths("plots") == {f"plots/{name}.png" for name in ("roc", "calibration", "score_distribution")}


def test_a_run_has_the_duration_of_the_training_and_its_label_table(registered: Registration) -> None:
    first, second = registered.logged(1), registered.logged(2)
    assert first.info.start_time == int(STARTED.timestamp() * 1000)
    assert second.info.start_time > first.info.start_time
    assert first.info.status == second.info.status == "FINISHED"
    assert first.data.tags["label_table"].startswith("labels.csv, sha256:")
    assert "label_table" not in second.data.tags
    assert registered.text(1, "labels/labels.csv") == "seller_id,as_of,bad\n"
    for run in (first, second):
        assert {"mlflow.user", "mlflow.source.name", "process"} <= set(run.data.tags)


def test_a_run_logs_every_finding(registered: Registration) -> None:
    data = registered.logged(1).data
    assert (data.metrics["drift/score_psi"], data.metrics["leaks/best_alone_auc"]) == (0.04, 0.99)
    assert find_version(registered.registry, 1).metrics["drift.score_psi"] == 0.04
    assert data.tags["alarm.leaks"] == "A leaks. B leaks."
    assert data.tags["not_measured.fake_orders"].startswith("These were not measured")
    assert data.tags["declined.withholding"] == "This was not asked for."
    assert "not_measured.withholding" not in data.tags
    assert not [name for name in data.tags if name.endswith(".drift")]
    assert registered.paths("evidence/drift") == {"evidence/drift/by_feature.csv"}
    description = data.tags["mlflow.note.content"]
    assert description == describe_run(registered.run, data.tags)
    assert description.startswith("Trained by Ana Silva. Training: 1,500 loans (")
    with connected(registered.registry) as client:
        history = client.get_metric_history(registered.versions[0].run_id, "loss/left_out")
    assert {each.step: each.value for each in history} == {1: 0.7, 10: 0.5, 20: 0.6}


def test_test_predictions_are_stored_and_loaded(registered: Registration) -> None:
    version = find_version(registered.registry, "1")
    found = load_predictions(registered.registry, version)
    assert found is not None
    pd.testing.assert_frame_equal(found, registered.run.predictions, check_dtype=False)
    with connected(registered.registry) as client:
        without_artifacts = client.create_run(client.get_experiment_by_name(EXPERIMENT).experiment_id).info.run_id
        client.set_terminated(without_artifacts)
    assert load_predictions(registered.registry, replace(version, run_id=without_artifacts)) is None


def test_a_run_contains_the_model_card_and_its_plots(registered: Registration) -> None:
    card = write_card(registered.run)
    assert set(card) == {"model_card.md", "model_card.html"}
    for name, text in card.items():
        assert registered.text(1, name) == text
    assert {link for link in registered.paths("plots") if f"({link})" not in card["model_card.md"]} == set()


def test_a_version_contains_the_evidence_summary(registered: Registration) -> None:
    found, facts = json.loads(registered.version(1).tags["evidence_summary"]), registered.run.facts
    assert (found["origin"], found["data_through"]) == ("simulated by sellerscore, seed 7", "2026-01-01")
    sample = found["sample"]
    assert (sample["test_loans"], sample["test_defaults"]) == (facts["test_rows"], facts["test_bad"])
    assert sample["default_rate"]["value"] == pytest.approx(facts["test_bad"] / facts["test_rows"], abs=1e-4)
    assert sample["auc"]["value"] == pytest.approx(registered.run.figures["auc"].value, abs=1e-4)
    assert any("Only loans that were paid out have outcomes" in limit for limit in found["limits"])
    assert found["alarms"] == [{"study": "leaks", "text": "A leaks."}, {"study": "leaks", "text": "B leaks."}]
    (ratio,) = (each for each in found["fairness"] if each["measure"] == "four_fifths_ratio")
    assert (ratio["by"], ratio["value"], ratio["limit"]) == ("country", 0.7, 0.8)
    assert len(ratio["notes"]) == 1
    assert found["trained_at"].endswith("Z")


def test_an_approval_is_written_on_the_card(registered: Registration) -> None:
    approval = CardApproval(2, "Wei Zhang", "2026-11-30T10:00:00Z", "first", ("leaks",))
    write_approval(registered.registry, find_version(registered.registry, "2"), approval)
    for name, label in (("md", "**Accepted alarm (leaks)**"), ("html", "Accepted alarm (leaks)<")):
        text = registered.text(2, f"model_card.{name}")
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
    with connected(registered.registry) as client:
        experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
        (latest,) = client.search_runs([experiment], max_results=1)
    assert latest.info.status == "FAILED"


def test_a_login_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def unnamed() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr("getpass.getuser", unnamed)
    monkeypatch.setattr("os.getuid", lambda: 4711)
    assert login_name() == "user 4711"


def test_a_model_has_the_bundle_and_the_code_and_no_seller_id(registered: Registration, model: Path) -> None:
    found = {path.name: path.read_bytes() for path in (model / "artifacts" / "bundle").iterdir()}
    assert set(found) == {*FILES, MANIFEST}
    assert found == registered.run.files
    assert Bundle.from_files(found).digest == registered.run.bundle.digest
    scoring = model / "code" / "scoring"
    assert (scoring / "assess.py").is_file()
    assert not list(scoring.rglob("*.csv"))
    example = json.loads((model / "input_example.json").read_text())
    assert [dict(zip(example["columns"], row, strict=True))["seller_id"] for row in example["data"]] == [EXAMPLE_SELLER]
    sellers = set(registered.loans.rows["seller_id"])
    files = [path for path in model.rglob("*") if path.is_file() and "code" not in path.relative_to(model).parts]
    assert files
    assert not [path for path in files if any(each in path.read_text(errors="ignore") for each in sellers)]


def test_mlflow_serves_the_same_assessments(registered: Registration, model: Path) -> None:
    import mlflow.pyfunc

    loans = registered.loans.rows.head(40), registered.loans.features.head(40)
    rows = served_rows(*loans, COVERS)
    response = mlflow.pyfunc.load_model(str(model)).predict(rows)
    indexed = loans[1].set_index([rows["seller_id"], loans[0]["as_of"]])
    expected = assess(registered.run.bundle, to_vectors(indexed, COVERS))
    assert response["seller_id"].tolist() == rows["seller_id"].tolist()
    # MLflow loads its own copy of scoring, so only the bytes can be compared
    assert [text.encode() for text in response["assessment"]] == [serialize_assessment(each) for each in expected]
    assert {json.loads(text)["outcome"] for text in response["assessment"]} == {"scored"}


def test_a_version_is_found_by_number_or_alias_with_what_its_run_logged(registered: Registration) -> None:
    set_champion(registered.registry, 1, aliases(registered.registry).get(CHAMPION), {})
    latest, champion = find_version(registered.registry), find_version(registered.registry, CHAMPION)
    assert (latest.number, champion.number) == (2, 1)
    assert latest.run_id == registered.versions[1].run_id
    assert latest.metrics["model.auc"] == pytest.approx(registered.run.figures["auc"].value)
    assert latest.params["test_from"] == registered.run.facts["test_from"]
    assert (latest.tags["trained_by"], champion.tags["trained_by"]) == (login_name(), "Ana Silva")
    assert load_bundle(registered.registry, latest).digest == registered.run.bundle.digest
    altered = replace(latest, tags={**latest.tags, "bundle": "sha256:" + "0" * 64})
    with pytest.raises(RegistryError, match=r"contains the bundle sha256:.* but its run logged sha256:0000"):
        load_bundle(registered.registry, altered)


def test_the_replaced_champion_becomes_previous(registered: Registration) -> None:
    registry = registered.registry
    set_champion(registry, 1, aliases(registry).get(CHAMPION), {"approved_by": "Wei"})
    set_champion(registry, 2, 1, {"approved_by": "Ana"})
    assert aliases(registry) == {CHAMPION: 2, PREVIOUS: 1}
    record = find_version(registry, "2").record
    assert (record["approved_by"], record["replaced"]) == ("Ana", "1")


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        *(
            (number, rf"Unknown version {number} of sellerscore\. Registered versions: 1, 2\.")
            for number in ("0", "-1")
        ),
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


ANA = {"trained_by": "Ana"}


def test_alarms_come_first_then_metrics_then_findings() -> None:
    run = small_run()
    text = describe_run(run, ANA)
    assert text.startswith(
        f"Trained by Ana. Training: 1,500 loans ({run.facts['train_bad']} defaults). Out-of-time test: 700"
    )
    assert f"| auc | {run.figures['auc']} | {run.logistic_figures['auc']} |" in text
    positions = [
        text.index(part) for part in ("model_card.html", "**Alarm** Leaks: B leaks.", "| auc |", "**Drift.** No")
    ]
    assert positions == sorted(positions)
    assert text.endswith("**Fake orders.** These were not measured, since there are no orders.")


def test_paragraphs_that_do_not_fit_are_left_out() -> None:
    long = tuple(Finding(f"s{n}", f"Study {n}", "Asked. " * 100, alarms=("Beware.",)) for n in range(30))
    text = describe_run(replace(small_run(), findings=long), ANA)
    assert MAX_LENGTH - 1_000 < len(text) <= MAX_LENGTH
    assert text.count("Beware.") == 30
    assert "**Study 0.**" in text
    assert text.endswith("All findings are in model_card.html.")
    assert len(describe_run(replace(small_run(), findings=long * 20), ANA)) <= MAX_LENGTH
    short = Finding("short", "A short one", "Asked and answered.")
    assert "**A short one.** Asked and answered." in describe_run(replace(small_run(), findings=(*long, short)), ANA)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "__init__.py").write_text("")
    git(tmp_path, "init", "-q")
    return tmp_path


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "core.hooksPath=/dev/null")
    done = subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_commit_is_that_of_the_repository_of_the_program(repository: Path) -> None:
    assert git_commit(repository) is None
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "Add it")
    commit = git(repository, "rev-parse", "HEAD")
    assert git_commit(repository) == (commit, False)
    (repository / "notes.txt").write_text("untracked")
    assert git_commit(repository) == (commit, False)
    (repository / "training" / "__init__.py").write_text("changed = True\n")
    assert git_commit(repository) == (commit, True)


def test_without_a_repository_or_git_there_is_no_commit(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert git_commit(tmp_path.parent) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_commit(repository) is None


def test_tags_name_the_label_table_by_its_digest(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("seller_id,as_of,bad\n")
    labels = LabelFile.read(tmp_path / "labels.csv")
    (tmp_path / "labels.csv").write_text("changed during training")
    assert labels.content == b"seller_id,as_of,bad\n"
    found = provenance_tags(Provenance(labels=labels))["label_table"]
    assert found.startswith("labels.csv, sha256:")
    assert "label_table" not in provenance_tags(Provenance())
    with pytest.raises(LabelError, match="There is no label table at"):
        LabelFile.read(tmp_path / "none.csv")
