"""Settings: from the environment, with no default for a secret, refused in one sentence."""

from pathlib import Path

import pytest
from sqlalchemy import make_url

from api.errors import SettingsError
from api.kit.database import open_database
from api.settings import load_settings


def test_all_state_lies_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SELLERSCORE_HOME", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    settings = load_settings()
    assert settings.home == tmp_path
    assert settings.database_url == f"sqlite:///{tmp_path}/sellerscore.db"
    assert settings.mlflow_uri == f"sqlite:///{tmp_path}/mlflow.db"
    assert (settings.host, settings.port, settings.score_validity_days) == ("127.0.0.1", 8000, 30)


def test_a_relative_home_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SELLERSCORE_HOME", "state")
    assert load_settings().home == tmp_path / "state"


def test_an_option_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SELLERSCORE_PORT", "8080")
    assert (load_settings(port=None).port, load_settings(port=9000).port) == (8080, 9000)


@pytest.mark.parametrize(
    ("given", "issuer"),
    [
        ({}, "http://127.0.0.1:8000"),
        ({"HOST": "::1", "PORT": "8080"}, "http://[::1]:8080"),
        ({"PUBLIC_URL": "https://score.example/"}, "https://score.example"),
    ],
)
def test_tokens_name_where_the_service_is_reached(
    given: dict[str, str], issuer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(f"SELLERSCORE_{name}", value)
    assert load_settings().issuer == issuer


def test_mlflows_own_variable_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert load_settings().mlflow_uri == "http://127.0.0.1:5000"


def test_the_registry_has_one_variable_that_training_reads_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SELLERSCORE_HOME", str(tmp_path))
    monkeypatch.setenv("SELLERSCORE_MLFLOW_URI", "http://127.0.0.1:5000")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    assert load_settings().mlflow_uri == f"sqlite:///{tmp_path}/mlflow.db"


def test_an_empty_variable_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SELLERSCORE_HOME", "")
    monkeypatch.setenv("SELLERSCORE_PORT", "")
    assert (load_settings().home, load_settings().port) == (tmp_path / "var", 8000)


@pytest.mark.parametrize("name", ["a b", "q?mode=ro", "#1", "100%41", "中"])
def test_a_home_may_hold_what_an_address_may_not(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("SELLERSCORE_HOME", str(tmp_path / name))
    settings = load_settings()
    open_database(settings.database_url).dispose()
    assert (tmp_path / name / "sellerscore.db").is_file()
    assert make_url(settings.mlflow_uri).database == str(tmp_path / name / "mlflow.db")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "many"),
        ("PORT", "70000"),
        ("PUBLIC_URL", "score.example"),
        ("RATE_LIMIT_CALLS", "0"),
        ("FAILED_LOGINS", "-1"),
        ("SCORE_VALIDITY_DAYS", "0"),
        ("CHECKPOINT_URL", "https://notary:hunter2@notary.example/checkpoints"),
        ("CHECKPOINT_URL", "https://hunter2@notary.example"),
        ("DATABASE_URL", "mysql://user:hunter2@db/scores"),
    ],
)
def test_what_is_not_allowed_is_named_and_not_repeated(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"SELLERSCORE_{name}", value)
    with pytest.raises(SettingsError, match=f"SELLERSCORE_{name}") as caught:
        load_settings()
    assert value not in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_checkpoints_address_may_hold_its_secret_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    address = "https://notary.example:8443/a@b/hunter2?key=x@y"
    monkeypatch.setenv("SELLERSCORE_CHECKPOINT_URL", address)
    assert load_settings().checkpoint_url == address
    monkeypatch.setenv("SELLERSCORE_CHECKPOINT_URL", "https://notary:hunter2@notary.example")
    with pytest.raises(
        SettingsError, match=r"user or password before the host. Put the secret of the receiver into the path"
    ):
        load_settings()
