"""The champion: loaded from the registry, saved by digest, and served while the registry is unavailable."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from api.errors import ModelMissingError, ModelStoreError
from api.models.bundle_store import load_bundle, save_bundle
from api.models.registry import fetch_current, load_champion
from api.settings import Settings
from scoring import Bundle
from tests.api.conftest import SELLERS, Opener, register


@pytest.fixture
def saved(settings: Settings) -> Settings:
    """Settings with which the champion was loaded once."""
    load_champion(settings)
    return settings


@pytest.fixture
def own_registry(registry: str, settings: Settings, tmp_path: Path) -> Settings:
    """Settings with a registry that the test may change."""
    shutil.copy(registry.removeprefix("sqlite:///"), tmp_path / "mlflow.db")
    return with_registry(settings, f"sqlite:///{tmp_path}/mlflow.db")


def with_registry(settings: Settings, uri: str) -> Settings:
    return settings.model_copy(update={"mlflow_uri": uri})


def without_registry(settings: Settings) -> Settings:
    return with_registry(settings, f"sqlite:///{settings.home}/gone/mlflow.db")


def folder_of(settings: Settings, bundle: Bundle) -> Path:
    return settings.home / "bundles" / bundle.digest.removeprefix("sha256:")


def saved_folders(settings: Settings) -> list[Path]:
    return list((settings.home / "bundles").iterdir())


def test_the_champion_is_loaded_and_saved_by_digest(
    settings: Settings, bundle: Bundle, bundle_files: dict[str, bytes]
) -> None:
    champion = load_champion(settings)
    assert (champion.bundle.digest, champion.model_name, champion.version) == (bundle.digest, "sellerscore", "1")
    folder = folder_of(settings, bundle)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == bundle_files
    assert load_bundle(settings, bundle.digest).digest == bundle.digest
    assert saved_folders(settings) == [folder]


def test_a_restart_without_the_registry_serves_the_saved_model(
    saved: Settings, bundle: Bundle, caplog: pytest.LogCaptureFixture, open_client: Opener
) -> None:
    with open_client(without_registry(saved)) as client:
        score = client.post("/v1/scores", json={"seller_id": SELLERS[0], "purpose": "credit_application"})
    assert score.json()["assessment"]["versions"]["bundle"] == bundle.digest
    assert "There is no model registry at " in caplog.text
    assert "Using the saved model version 1." in caplog.text


def test_a_promoted_version_is_served_after_a_restart(
    own_registry: Settings, bundle_files: dict[str, bytes], tmp_path: Path
) -> None:
    assert load_champion(own_registry).version == "1"
    assert register(own_registry.mlflow_uri, bundle_files, tmp_path / "second") == "2"
    assert load_champion(own_registry).version == "2"
    assert json.loads((own_registry.home / "champion.json").read_text())["version"] == "2"


def test_published_tags_are_read_again_and_saved_for_a_restart_without_the_registry(
    own_registry: Settings, bundle_files: dict[str, bytes], tmp_path: Path
) -> None:
    import mlflow

    uri = own_registry.mlflow_uri
    version = register(uri, bundle_files, tmp_path / "second", {"evidence_summary": "{}", "owner": "anna"})
    first = load_champion(own_registry)
    assert first.record == {"evidence_summary": "{}"}
    assert fetch_current(own_registry, "champion", [first]) is first
    mlflow.MlflowClient(uri, uri).set_model_version_tag("sellerscore", version, "approved_by", "Wei Zhang")
    approved = {"evidence_summary": "{}", "approved_by": "Wei Zhang"}
    assert fetch_current(own_registry, "champion", [first]).record == approved
    assert load_champion(own_registry).record == approved
    assert load_champion(without_registry(own_registry)).record == approved


def test_a_pointer_of_an_older_or_later_version_can_be_read(saved: Settings) -> None:
    pointer = saved.home / "champion.json"
    content = json.loads(pointer.read_text())
    del content["record"]
    pointer.write_text(json.dumps({**content, "new": 1}))
    assert load_champion(without_registry(saved)).record == {}


def test_without_registry_and_saved_bundle_the_error_names_the_commands(settings: Settings) -> None:
    message = r"^There is no model registry at .*sellerscore train.*MLFLOW_TRACKING_URI"
    with pytest.raises(ModelStoreError, match=message):
        load_champion(without_registry(settings))
    assert not (settings.home / "gone").exists()


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        ("http://anna:secret@127.0.0.1:9", r"does not respond\. Start it, or set MLFLOW_TRACKING_URI to its address\."),
        (
            "postgresql+psycopg2://anna:secret@127.0.0.1:9/x",
            r"needs the Python package psycopg2, which is not installed\. Install it, or set .* of an MLflow server\.",
        ),
        ("sqlite:///{folder}/notes.db", r"failed: .*\. Repair it, or set MLFLOW_TRACKING_URI to another one\."),
        ("nonsense://anna:secret@nowhere", r"failed: .*\. Repair it, or set MLFLOW_TRACKING_URI to another one\."),
    ],
)
def test_the_error_of_a_registry_is_one_sentence_and_the_saved_model_can_be_used(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, uri: str, problem: str
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    for driver in ("psycopg", "psycopg2"):
        monkeypatch.setitem(sys.modules, driver, None)
    (tmp_path / "notes.db").write_text("not a database, but notes\n" * 99)
    uri = uri.format(folder=tmp_path)
    broken = with_registry(settings, uri)
    with pytest.raises(ModelStoreError) as error:
        load_champion(broken)
    shown = re.escape(uri.replace("secret", "***"))
    assert re.fullmatch(f"The MLflow registry at {shown} {problem}", str(error.value)), str(error.value)
    version = load_champion(settings).version
    assert load_champion(broken).version == version


def test_without_a_champion_the_error_names_the_command(own_registry: Settings) -> None:
    import mlflow

    load_champion(own_registry)
    client = mlflow.MlflowClient(own_registry.mlflow_uri, own_registry.mlflow_uri)
    client.delete_registered_model_alias("sellerscore", "champion")
    with pytest.raises(ModelMissingError, match="sellerscore promote"):
        load_champion(own_registry)
    client.delete_registered_model("sellerscore")
    with pytest.raises(ModelMissingError, match="sellerscore promote"):
        load_champion(own_registry)


def test_a_changed_bundle_is_rejected_without_the_registry(saved: Settings, bundle: Bundle) -> None:
    model = folder_of(saved, bundle) / "model.txt"
    model.write_bytes(model.read_bytes() + b" ")
    message = r"version 1 cannot be used: .*model\.txt.*downloaded again .*no model registry"
    with pytest.raises(ModelStoreError, match=message):
        load_champion(without_registry(saved))


@pytest.mark.parametrize("has_pointer", [True, False])
@pytest.mark.parametrize("damage", ["file", "folder", "content"])
def test_a_damaged_bundle_is_downloaded_again(saved: Settings, bundle: Bundle, damage: str, has_pointer: bool) -> None:
    folder = folder_of(saved, bundle)
    if damage == "folder":
        shutil.rmtree(folder)
    elif damage == "file":
        (folder / "model.txt").unlink()
    else:
        (folder / "model.txt").write_bytes(b"tree")
    if not has_pointer:
        (saved.home / "champion.json").unlink()
    assert load_champion(saved).bundle.digest == bundle.digest
    assert load_bundle(saved, bundle.digest).digest == bundle.digest


def test_a_bundle_downloaded_again_must_be_the_promoted_one(saved: Settings, bundle: Bundle) -> None:
    promoted = "sha256:" + "0" * 64
    pointer = saved.home / "champion.json"
    pointer.write_text(pointer.read_text().replace(bundle.digest, promoted))
    message = f"has {bundle.digest} under that version instead of the promoted {promoted}"
    with pytest.raises(ModelStoreError, match=message):
        load_champion(saved)
    assert saved_folders(saved) == [folder_of(saved, bundle)]


def test_a_state_folder_that_cannot_be_used_is_one_sentence(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ModelStoreError, match=r"cannot be saved in .*SELLERSCORE_HOME"):
        load_champion(settings.model_copy(update={"home": tmp_path / "file"}))
    (settings.home / "champion.json").mkdir()
    with pytest.raises(ModelStoreError, match=r"champion\.json cannot be read \(Is a directory\)"):
        load_champion(settings)


def test_a_missing_or_different_bundle_is_rejected(saved: Settings, bundle: Bundle) -> None:
    other = "sha256:" + "0" * 64
    with pytest.raises(ModelStoreError, match="No bundle is saved"):
        load_bundle(saved, other)
    shutil.copytree(folder_of(saved, bundle), saved.home / "bundles" / ("0" * 64))
    with pytest.raises(ModelStoreError, match=bundle.digest):
        load_bundle(saved, other)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": "1"}'])
def test_a_damaged_pointer_is_rejected(saved: Settings, content: str) -> None:
    (saved.home / "champion.json").write_text(content)
    with pytest.raises(ModelStoreError, match=r"champion\.json"):
        load_champion(saved)


def test_a_model_without_a_bundle_is_rejected(
    own_registry: Settings, bundle_files: dict[str, bytes], tmp_path: Path
) -> None:
    register(own_registry.mlflow_uri, {"model.txt": bundle_files["model.txt"]}, tmp_path / "third")
    with pytest.raises(ModelStoreError, match="has 0 bundles"):
        load_champion(own_registry)


def test_the_files_of_a_bundle_are_on_the_disk_before_its_folder_gets_its_name(
    settings: Settings, bundle: Bundle, bundle_files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, events = folder_of(settings, bundle), []
    fsync, rename = os.fsync, Path.replace

    def recorded_fsync(descriptor: int) -> None:
        events.append(("sync", Path(f"/proc/self/fd/{descriptor}").readlink().name))
        fsync(descriptor)

    def recorded_rename(path: Path, target: Path) -> Path:
        events.append(("name", target.name))
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(Path, "replace", recorded_rename)
    save_bundle(settings, bundle.digest, bundle_files)
    named = events.index(("name", folder.name))
    assert events[named - 1] == ("sync", "bundle"), "the names of all files are on the disk"
    assert events[named + 1 :] == [("sync", "bundles")]
    assert sum(event == "sync" for event, _ in events[: named - 1]) >= len(bundle_files)


def test_a_bundle_that_cannot_be_written_leaves_the_former(
    settings: Settings, bundle: Bundle, bundle_files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    save_bundle(settings, bundle.digest, bundle_files)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ModelStoreError, match="No space left"):
        save_bundle(settings, bundle.digest, {**bundle_files, "model.txt": b"tree"})
    assert load_bundle(settings, bundle.digest).digest == bundle.digest
    assert saved_folders(settings) == [folder_of(settings, bundle)]


def test_services_that_start_at_once_save_one_bundle(
    settings: Settings, bundle: Bundle, bundle_files: dict[str, bytes]
) -> None:
    for _ in range(10):
        shutil.rmtree(folder_of(settings, bundle), ignore_errors=True)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: save_bundle(settings, bundle.digest, bundle_files), range(16)))
        assert load_bundle(settings, bundle.digest).digest == bundle.digest
        assert saved_folders(settings) == [folder_of(settings, bundle)]
