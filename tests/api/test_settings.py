"""Settings: read from the environment, with no default for a secret, and errors that do not repeat values."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from sqlalchemy import make_url

from api.errors import SettingsError
from api.kit.database import open_database
from api.server import _listen
from api.settings import Settings, load_settings


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Load the settings with some variables set."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("SELLERSCORE_HOME", raising=False)

    def load(**variables: str) -> Settings:
        for name, value in variables.items():
            monkeypatch.setenv(name if name == "MLFLOW_TRACKING_URI" else f"SELLERSCORE_{name}", value)
        return load_settings()

    return load


def test_all_state_is_in_the_home_folder(load, tmp_path: Path) -> None:
    settings = load(HOME=str(tmp_path))
    assert settings.home == tmp_path
    assert settings.database_url == f"sqlite:///{tmp_path}/sellerscore.db"
    assert settings.mlflow_uri == f"sqlite:///{tmp_path}/mlflow.db"
    assert (settings.host, settings.port, settings.score_validity_days) == ("127.0.0.1", 8000, 30)
    # relative, and empty
    assert load(HOME="state").home == tmp_path / "state"
    assert (load(HOME="", PORT="").home, load().port) == (tmp_path / "var", 8000)


@pytest.mark.parametrize("name", ["a b", "q?mode=ro", "#1", "100%41", "中"])
def test_the_home_folder_may_have_characters_that_a_url_escapes(load, name: str, tmp_path: Path) -> None:
    settings = load(HOME=str(tmp_path / name))
    open_database(settings.database_url).dispose()
    assert (tmp_path / name / "sellerscore.db").is_file()
    assert make_url(settings.mlflow_uri).database == str(tmp_path / name / "mlflow.db")


def test_an_option_takes_precedence_over_the_environment(load) -> None:
    load(PORT="8080")
    assert (load_settings(port=None).port, load_settings(port=9000).port) == (8080, 9000)


@pytest.mark.parametrize(
    ("variables", "issuer"),
    [
        ({}, "http://127.0.0.1:8000"),
        ({"HOST": "::1", "PORT": "8080"}, "http://[::1]:8080"),
        ({"PUBLIC_URL": "https://score.example/"}, "https://score.example"),
    ],
)
def test_the_issuer_of_tokens_is_the_address_of_the_service(load, variables: dict[str, str], issuer: str) -> None:
    assert load(**variables).issuer == issuer


def test_only_the_variable_of_mlflow_sets_the_registry(load, tmp_path: Path) -> None:
    address = "http://127.0.0.1:5000"
    assert load(MLFLOW_TRACKING_URI=address).mlflow_uri == address
    settings = load(HOME=str(tmp_path), MLFLOW_URI=address, MLFLOW_TRACKING_URI="")
    assert settings.mlflow_uri == f"sqlite:///{tmp_path}/mlflow.db"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "many"),
        ("PORT", "70000"),
        ("PUBLIC_URL", "score.example"),
        ("RATE_LIMIT_CALLS", "0"),
        ("WORKERS", "0"),
        ("FAILED_LOGINS", "-1"),
        ("SCORE_VALIDITY_DAYS", "0"),
        ("CHECKPOINT_URL", "https://notary:hunter2@notary.example/checkpoints"),
        ("CHECKPOINT_URL", "https://hunter2@notary.example"),
        ("DATABASE_URL", "mysql://user:hunter2@db/scores"),
    ],
)
def test_an_invalid_value_is_named_and_not_repeated(load, name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"SELLERSCORE_{name}") as caught:
        load(**{name: value})
    message = str(caught.value)
    assert not any(hidden in message for hidden in (value, "hunter2", "\n"))
    assert ("Put the secret of the receiver into the path" in message) is (name == "CHECKPOINT_URL")


def test_the_url_of_checkpoints_may_have_a_secret_in_its_path_and_query(load) -> None:
    address = "https://notary.example:8443/a@b/hunter2?key=x@y"
    assert load(CHECKPOINT_URL=address).checkpoint_url == address


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_connections_have_the_protocol_tcp_so_that_asyncio_disables_nagle(host: str) -> None:
    with _listen(host, 0) as listener, socket.create_connection(listener.getsockname()[:2]):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.proto == socket.IPPROTO_TCP
