"""Connection errors: an empty, unreachable or damaged registry gives one sentence."""

from __future__ import annotations

from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from tests.training.processes import use_registry
from training.errors import RegistryError
from training.registry import Registry, find_version, require
from training.registry.connection import connected

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("uri", ["sqlite:////proc/none/mlflow.db", "http://127.0.0.1:9", "nonsense://x"])
def test_an_unreachable_registry_is_reported(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    for use in (find_version, require):
        with pytest.raises(RegistryError, match="registry") as error:
            use(Registry(uri, tmp_path))
        assert "\n" not in str(error.value)


def test_a_server_that_does_not_answer_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(RegistryError) as error:
        find_version(Registry("http://anna:secret@127.0.0.1:9", tmp_path))
    assert str(error.value) == (
        "The MLflow registry at http://anna:***@127.0.0.1:9 does not answer. Start it, or set MLFLOW_TRACKING_URI to "
        "its address."
    )


@pytest.mark.parametrize("uri", ["garbage", "./mlruns", ":"])
def test_an_invalid_address_is_reported(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RegistryError, match=r"Invalid registry address .*\. Set MLFLOW_TRACKING_URI to an address"):
        find_version(Registry(uri, tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_missing_database_driver_is_reported(tmp_path: Path) -> None:
    with pytest.raises(RegistryError) as error:
        find_version(Registry("postgresql+nobodys://anna:secret@127.0.0.1:9/x", tmp_path))
    assert "secret" not in str(error.value)
    here = Registry(f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "artifacts")
    with pytest.raises(RegistryError, match="needs the Python package") as error, connected(here):
        raise ModuleNotFoundError("No module named 'psycopg2'", name="psycopg2")
    assert "psycopg2, which is not installed. Install it, or set MLFLOW_TRACKING_URI" in str(error.value)


def test_a_damaged_file_is_reported_with_advice_and_not_changed(tmp_path: Path) -> None:
    file, text = tmp_path / "mlflow.db", "not a database, but other text\n" * 99
    file.write_text(text)
    advice = r"\. Restore the file from a backup, or move it away to start with an empty registry\.$"
    with pytest.raises(RegistryError, match=advice):
        find_version(Registry.in_folder(tmp_path))
    assert file.read_text() == text


def test_the_state_folder_has_a_registry_unless_a_server_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    here = Registry.in_folder(tmp_path / "new" / "home")
    assert here == Registry(f"sqlite:///{tmp_path}/new/home/mlflow.db", tmp_path / "new" / "home" / "mlartifacts")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example:5000")
    assert Registry.in_folder(tmp_path).uri == "http://mlflow.example:5000"


def test_concurrent_first_uses_create_one_registry(processes: ForkServerContext, tmp_path: Path) -> None:
    started = [processes.Process(target=use_registry, args=(tmp_path,), daemon=True) for _ in range(2)]
    for process in started:
        process.start()
    for process in started:
        process.join()
    assert [process.exitcode for process in started] == [0, 0]
    with pytest.raises(RegistryError, match=r"No model is registered yet\. Run `sellerscore train` first"):
        find_version(Registry.in_folder(tmp_path))
