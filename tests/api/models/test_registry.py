"""The champion: read from the registry, kept by digest, served on when the registry is away."""

from __future__ import annotations

import json
import logging
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
def kept(settings: Settings) -> Settings:
    """Settings under which the champion was loaded once."""
    load_champion(settings)
    return settings


def _away(settings: Settings) -> Settings:
    return settings.model_copy(update={"mlflow_uri": f"sqlite:///{settings.home}/gone/mlflow.db"})


def _folder(settings: Settings, bundle: Bundle) -> Path:
    return settings.home / "bundles" / bundle.digest.removeprefix("sha256:")


def test_the_champion_is_loaded_and_kept_by_digest(
    settings: Settings, bundle: Bundle, bundle_files: dict[str, bytes]
) -> None:
    champion = load_champion(settings)
    assert (champion.bundle.digest, champion.model_name, champion.version) == (bundle.digest, "sellerscore", "1")
    assert {path.name: path.read_bytes() for path in _folder(settings, bundle).iterdir()} == bundle_files
    assert load_bundle(settings, bundle.digest).digest == bundle.digest
    assert [path.name for path in (settings.home / "bundles").iterdir()] == [_folder(settings, bundle).name]


def test_a_restart_serves_on_when_the_registry_is_away(
    kept: Settings, bundle: Bundle, caplog: pytest.LogCaptureFixture, open_client: Opener
) -> None:
    caplog.set_level(logging.WARNING)
    with open_client(_away(kept)) as client:
        made = client.post("/v1/scores", json={"seller_id": SELLERS[0], "purpose": "credit_application"})
    assert made.json()["assessment"]["versions"]["bundle"] == bundle.digest
    assert "There is no model registry at " in caplog.text
    assert "Using the saved model version 1." in caplog.text


def test_a_server_that_refuses_is_away_too(kept: Settings, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    refusing = kept.model_copy(update={"mlflow_uri": "http://127.0.0.1:9"})
    assert load_champion(refusing).bundle.digest == bundle.digest


def test_a_promoted_version_is_served_after_a_restart(
    bundle_files: dict[str, bytes], registry: str, tmp_path: Path
) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    shutil.copy(registry.removeprefix("sqlite:///"), tmp_path / "mlflow.db")
    settings = Settings(home=tmp_path / "home", MLFLOW_TRACKING_URI=uri)
    assert load_champion(settings).version == "1"
    assert register(uri, bundle_files, tmp_path / "second") == "2"
    assert load_champion(settings).version == "2"
    assert json.loads((settings.home / "champion.json").read_text())["version"] == "2"


def test_the_record_of_a_version_is_read_again_and_kept_for_a_restart_without_the_registry(
    bundle_files: dict[str, bytes], registry: str, tmp_path: Path
) -> None:
    import mlflow

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    shutil.copy(registry.removeprefix("sqlite:///"), tmp_path / "mlflow.db")
    settings = Settings(home=tmp_path / "home", MLFLOW_TRACKING_URI=uri)
    version = register(uri, bundle_files, tmp_path / "second", {"evidence_summary": "{}", "owner": "anna"})
    first = load_champion(settings)
    assert first.record == {"evidence_summary": "{}"}
    assert fetch_current(settings, "champion", [first]) is first
    mlflow.MlflowClient(uri, uri).set_model_version_tag("sellerscore", version, "approved_by", "Wei Zhang")
    approved = {"evidence_summary": "{}", "approved_by": "Wei Zhang"}
    assert fetch_current(settings, "champion", [first]).record == approved
    assert load_champion(settings).record == approved
    assert load_champion(_away(settings)).record == approved


def test_a_pointer_of_an_older_or_later_program_can_be_read(kept: Settings) -> None:
    pointer = kept.home / "champion.json"
    content = json.loads(pointer.read_text())
    del content["record"]
    pointer.write_text(json.dumps({**content, "of_a_later_program": 1}))
    assert load_champion(_away(kept)).record == {}


def test_without_a_registry_and_a_kept_bundle_it_says_what_to_run(settings: Settings) -> None:
    with pytest.raises(
        ModelStoreError, match=r"^There is no model registry at .*sellerscore train.*MLFLOW_TRACKING_URI"
    ):
        load_champion(_away(settings))
    assert not (settings.home / "gone").exists()


def _refusal(settings: Settings, uri: str) -> str:
    """Return the sentence with which a registry at an address is refused."""
    with pytest.raises(ModelStoreError) as refusal:
        load_champion(settings.model_copy(update={"mlflow_uri": uri}))
    assert "secret" not in str(refusal.value)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_a_server_that_does_not_answer_is_said_plainly(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert _refusal(settings, "http://anna:secret@127.0.0.1:9") == (
        "The MLflow registry at http://anna:***@127.0.0.1:9 does not respond. Start it, or set MLFLOW_TRACKING_URI to "
        "its address."
    )


def test_a_database_whose_driver_is_lacking_is_said_plainly(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for driver in ("psycopg", "psycopg2"):
        monkeypatch.setitem(sys.modules, driver, None)
    address = "postgresql+psycopg2://anna:secret@127.0.0.1:9/x"
    assert _refusal(settings, address) == (
        "The MLflow registry at postgresql+psycopg2://anna:***@127.0.0.1:9/x needs the Python package psycopg2, which "
        "is not installed. Install it, or set MLFLOW_TRACKING_URI to the address of an MLflow server."
    )


def test_another_failure_of_the_registry_is_one_sentence(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("not a database, but someone's notes\n" * 99)
    for uri in (f"sqlite:///{tmp_path}/mlflow.db", "nonsense://anna:secret@nowhere"):
        assert re.fullmatch(
            r"The MLflow registry at .* failed: .*\. Repair it, or set MLFLOW_TRACKING_URI to another one\.",
            _refusal(settings, uri),
        )


def test_a_registry_without_a_champion_says_what_to_run(registry: str, kept: Settings, tmp_path: Path) -> None:
    import mlflow

    shutil.copy(registry.removeprefix("sqlite:///"), tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client = mlflow.MlflowClient(uri, uri)
    without = kept.model_copy(update={"mlflow_uri": uri})
    client.delete_registered_model_alias("sellerscore", "champion")
    with pytest.raises(ModelMissingError, match="sellerscore promote"):
        load_champion(without)
    client.delete_registered_model("sellerscore")
    with pytest.raises(ModelMissingError, match="sellerscore promote"):
        load_champion(without)


def test_an_altered_bundle_is_refused(kept: Settings, bundle: Bundle) -> None:
    model = _folder(kept, bundle) / "model.txt"
    model.write_bytes(model.read_bytes() + b" ")
    with pytest.raises(
        ModelStoreError, match=r"version 1 cannot be used: .*model\.txt.*downloaded again .*no model registry"
    ):
        load_champion(_away(kept))


@pytest.mark.parametrize("pointer", [True, False], ids=["pointer kept", "pointer gone"])
@pytest.mark.parametrize("damage", ["file", "folder", "content"])
def test_a_damaged_bundle_is_mended_from_the_registry(
    kept: Settings, bundle: Bundle, damage: str, pointer: bool
) -> None:
    folder = _folder(kept, bundle)
    if damage == "folder":
        shutil.rmtree(folder)
    elif damage == "file":
        (folder / "model.txt").unlink()
    else:
        (folder / "model.txt").write_bytes(b"tree")
    if not pointer:
        (kept.home / "champion.json").unlink()
    assert load_champion(kept).bundle.digest == bundle.digest
    assert load_bundle(kept, bundle.digest).digest == bundle.digest


def test_what_is_fetched_again_must_be_what_was_promoted(kept: Settings, bundle: Bundle) -> None:
    promoted = "sha256:" + "0" * 64
    pointer = kept.home / "champion.json"
    pointer.write_text(pointer.read_text().replace(bundle.digest, promoted))
    with pytest.raises(
        ModelStoreError, match=f"has {bundle.digest} under that version instead of the promoted {promoted}"
    ):
        load_champion(kept)
    assert [path.name for path in (kept.home / "bundles").iterdir()] == [_folder(kept, bundle).name]


def test_a_state_folder_that_cannot_be_used_is_one_sentence(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ModelStoreError, match=r"cannot be saved in .*SELLERSCORE_HOME"):
        load_champion(settings.model_copy(update={"home": tmp_path / "file"}))
    (settings.home / "champion.json").mkdir()
    with pytest.raises(ModelStoreError, match=r"champion\.json cannot be read \(Is a directory\)"):
        load_champion(settings)


def test_a_bundle_that_is_not_kept_or_is_another_is_refused(kept: Settings, bundle: Bundle) -> None:
    other = "sha256:" + "0" * 64
    with pytest.raises(ModelStoreError, match="No bundle is saved"):
        load_bundle(kept, other)
    shutil.copytree(_folder(kept, bundle), kept.home / "bundles" / ("0" * 64))
    with pytest.raises(ModelStoreError, match=bundle.digest):
        load_bundle(kept, other)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": "1"}'])
def test_a_pointer_that_cannot_be_read_is_refused(kept: Settings, content: str) -> None:
    (kept.home / "champion.json").write_text(content)
    with pytest.raises(ModelStoreError, match=r"champion\.json"):
        load_champion(kept)


def test_a_model_without_a_bundle_is_refused(bundle_files: dict[str, bytes], registry: str, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    shutil.copy(registry.removeprefix("sqlite:///"), tmp_path / "mlflow.db")
    register(uri, {"model.txt": bundle_files["model.txt"]}, tmp_path / "third")
    with pytest.raises(ModelStoreError, match="has 0 bundles"):
        load_champion(Settings(home=tmp_path / "home", MLFLOW_TRACKING_URI=uri))


def test_a_bundle_is_on_the_disk_before_it_has_its_name(
    settings: Settings, bundle: Bundle, bundle_files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, happened = _folder(settings, bundle), []
    synced, replaced = os.fsync, Path.replace

    def sync(opened: int) -> None:
        happened.append(("synced", Path(f"/proc/self/fd/{opened}").readlink().name))
        synced(opened)

    def replace(path: Path, target: Path) -> Path:
        happened.append(("named", target.name))
        return replaced(path, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", replace)
    save_bundle(settings, bundle.digest, bundle_files)
    named = happened.index(("named", folder.name))
    assert happened[named - 1] == ("synced", "bundle"), "all names of its files are there before"
    assert happened[named + 1 :] == [("synced", "bundles")]
    assert sum(each == "synced" for each, _ in happened[: named - 1]) >= len(bundle_files)


def test_a_bundle_that_cannot_be_written_leaves_the_former(
    settings: Settings, bundle: Bundle, bundle_files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    save_bundle(settings, bundle.digest, bundle_files)
    other = {**bundle_files, "model.txt": b"tree"}

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ModelStoreError, match="No space left"):
        save_bundle(settings, bundle.digest, other)
    assert load_bundle(settings, bundle.digest).digest == bundle.digest
    assert [path.name for path in _folder(settings, bundle).parent.iterdir()] == [_folder(settings, bundle).name]


def test_services_that_begin_at_once_keep_one_bundle(
    settings: Settings, bundle: Bundle, bundle_files: dict[str, bytes]
) -> None:
    folder = settings.home / "bundles" / bundle.digest.removeprefix("sha256:")
    for _ in range(10):
        shutil.rmtree(folder, ignore_errors=True)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: save_bundle(settings, bundle.digest, bundle_files), range(16)))
        assert load_bundle(settings, bundle.digest).digest == bundle.digest
        assert [each.name for each in folder.parent.iterdir()] == [folder.name]
