"""Connection to the MLflow registry: its address, a client, error messages, and locks between processes."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from training.errors import RegistryError

if TYPE_CHECKING:
    from mlflow import MlflowClient

    Client: TypeAlias = MlflowClient

MODEL_NAME: Final = "sellerscore"
EXPERIMENT: Final = "sellerscore"

TABLES: Final = "sellerscore-tables"
"""The experiment of trainings on tables; their models are never registered."""

MONITORING: Final = "sellerscore-monitor"
"""The experiment of monitoring runs."""

_DEFAULTS: Final = {
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
}
"""Environment variables for MLflow: no progress bars, no telemetry, and a single retry."""

_ADDRESSES: Final = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
"""Environment variables that MLflow sets on connection; they are restored afterwards."""

_INITIALIZED: Final[set[str]] = set()
"""SQLite registries whose tables this process has created or seen."""


@dataclass(frozen=True)
class Registry:
    """The MLflow registry: `uri` of the tracking server, `artifacts` the folder for artifacts of new experiments.

    Example: `Registry("sqlite:////srv/sellerscore/mlflow.db", Path("/srv/sellerscore/mlartifacts"))`.
    """

    uri: str
    artifacts: Path

    @classmethod
    def in_folder(cls, home: Path) -> Registry:
        """Return the registry of a state folder: SQLite, unless MLFLOW_TRACKING_URI is set.

        Raises:
            RegistryError: the folder cannot be created.
        """
        own = cls.on_sqlite(home)
        return cls(os.environ.get("MLFLOW_TRACKING_URI") or own.uri, own.artifacts)

    @classmethod
    def on_sqlite(cls, home: Path) -> Registry:
        """Return the SQLite registry of a state folder, also if MLFLOW_TRACKING_URI is set.

        Raises:
            RegistryError: the folder cannot be created.
        """
        from sqlalchemy import URL

        try:
            home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RegistryError(f"The state folder {home} cannot be created ({error.strerror}).") from error
        address = URL.create("sqlite", database=str(home / "mlflow.db"))  # escapes the path
        return cls(address.render_as_string(hide_password=False), home / "mlartifacts")

    @property
    def masked_uri(self) -> str:
        """The address with a hidden password, for messages."""
        from sqlalchemy.engine import make_url
        from sqlalchemy.exc import ArgumentError

        try:
            return make_url(self.uri).render_as_string()
        except ArgumentError:
            return self.uri


@contextmanager
def locked(registry: Registry, name: str) -> Iterator[None]:
    """Hold a lock that one process of this machine can have at a time; others wait. A kill releases it.

    Raises:
        RegistryError: the folder of the registry cannot be used.
    """
    from sqlalchemy.engine import make_url

    # several state folders may share a database, so the lock is in its folder
    database = make_url(registry.uri).database if registry.uri.startswith("sqlite:") else None
    folder = Path(database).parent if database else registry.artifacts.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / f"{name}.lock").open("w")
    except OSError as error:
        raise RegistryError(f"The MLflow registry's folder {folder} cannot be used ({error.strerror}).") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def connected(registry: Registry) -> Iterator[Client]:
    """Yield a client of the registry, without MLflow's log messages; its errors become one sentence.

    Raises:
        RegistryError: the registry cannot be reached, or rejects the request.
    """
    _require_address(registry)
    import mlflow
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    before = {name: os.environ[name] for name in _ADDRESSES if name in os.environ}
    try:
        mlflow.set_tracking_uri(registry.uri)
        mlflow.set_registry_uri(registry.uri)
        yield _client(registry)
    except ImportError as error:
        raise RegistryError(
            f"The MLflow registry at {registry.masked_uri} needs the Python package {error.name}, which is not "
            f"installed. Install it, or set MLFLOW_TRACKING_URI to the address of an MLflow server."
        ) from error
    except (MlflowException, SQLAlchemyError, OSError) as error:
        if _is_connection_error(error):
            raise RegistryError(
                f"The MLflow registry at {registry.masked_uri} does not answer. Start it, or set "
                "MLFLOW_TRACKING_URI to its address."
            ) from error
        reason = (str(error).splitlines() or [type(error).__name__])[0].replace(registry.uri, registry.masked_uri)
        raise RegistryError(
            f"The MLflow registry at {registry.masked_uri} failed: {reason}{_advice(reason)}"
        ) from error
    finally:
        for name in _ADDRESSES:
            os.environ.pop(name, None)
        os.environ.update(before)


def _client(registry: Registry) -> Client:
    """Return a client, after one process has created the tables of a SQLite file."""
    import mlflow

    if not registry.uri.startswith("sqlite:") or registry.uri in _INITIALIZED:
        return mlflow.MlflowClient()
    with locked(registry, "registry"):
        client = mlflow.MlflowClient()
        client.search_experiments(max_results=1)
        client.search_registered_models(max_results=1)
    _INITIALIZED.add(registry.uri)
    return client


def _require_address(registry: Registry) -> None:
    """Reject an address that MLflow would create as a folder."""
    scheme, separator, _ = registry.uri.partition(":")
    if not separator or not scheme.strip():
        raise RegistryError(
            f"Invalid registry address {registry.uri!r}. Set MLFLOW_TRACKING_URI to an address such as "
            "http://127.0.0.1:5000 or sqlite:////srv/sellerscore/mlflow.db, or leave it empty to use the state folder."
        )


def _advice(reason: str) -> str:
    """Return advice for a SQLite file that is locked or damaged; else nothing."""
    if "database is locked" in reason:
        return ". Another process is writing to it. Try again in a moment."
    if "malformed" in reason or "not a database" in reason:
        return ". Restore the file from a backup, or move it away to start with an empty registry."
    return ""


def _is_connection_error(error: BaseException) -> bool:
    """Return whether the server could not be reached; MLflow wraps such errors in its own."""
    from requests.exceptions import ConnectionError as NoConnectionError
    from requests.exceptions import Timeout

    causes: BaseException | None = error
    while causes is not None:
        if isinstance(causes, NoConnectionError | Timeout):
            return True
        causes = causes.__cause__ or causes.__context__
    return False
