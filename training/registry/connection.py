"""Where the registry is, and how it is reached: MLflow pointed there for a while, its failures told in one sentence."""

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
"""The experiment of trainings on tables, whose models are never registered."""

MONITORING: Final = "sellerscore-monitor"
"""The experiment of monitoring, apart from that of training."""

_QUIET: Final = {
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
}
"""Defaults of ours for MLflow: no bars, no calls home, and no minutes of retries when its server is away."""

_ADDRESSES: Final = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
"""MLflow writes the address in use into these; left there, they would name a server to whom nobody pointed."""

_MADE: Final[set[str]] = set()
"""SQLite files that this process has asked for their tables."""


@dataclass(frozen=True)
class Registry:
    """Where runs are tracked and models registered: `uri` of the tracking server, `artifacts` of a new experiment.

    Example: `Registry("sqlite:////srv/sellerscore/mlflow.db", Path("/srv/sellerscore/mlartifacts"))`.
    """

    uri: str
    artifacts: Path

    @classmethod
    def in_folder(cls, home: Path) -> Registry:
        """Return the registry of a state folder: SQLite, unless MLFLOW_TRACKING_URI names a server.

        Raises:
            RegistryError: the folder cannot be made.
        """
        own = cls.on_sqlite(home)
        return cls(os.environ.get("MLFLOW_TRACKING_URI") or own.uri, own.artifacts)

    @classmethod
    def on_sqlite(cls, home: Path) -> Registry:
        """Return the registry that is a SQLite file of a state folder, whatever the environment names.

        Raises:
            RegistryError: the folder cannot be made.
        """
        from sqlalchemy import URL

        try:
            home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RegistryError(f"The state folder {home} cannot be made ({error.strerror}).") from error
        address = URL.create("sqlite", database=str(home / "mlflow.db"))  # escapes what a path may hold
        return cls(address.render_as_string(hide_password=False), home / "mlartifacts")

    @property
    def shown(self) -> str:
        """The address for people to read: a password in it is hidden."""
        from sqlalchemy.engine import make_url
        from sqlalchemy.exc import ArgumentError

        try:
            return make_url(self.uri).render_as_string()
        except ArgumentError:
            return self.uri


@contextmanager
def locked(registry: Registry, name: str) -> Iterator[None]:
    """Let one process of this machine at a time do what `name` says; the next one waits. A kill frees the lock.

    Raises:
        RegistryError: the folder of the registry cannot be used.
    """
    from sqlalchemy.engine import make_url

    # beside the database where there is one, which other state folders may share
    beside = make_url(registry.uri).database if registry.uri.startswith("sqlite:") else None
    folder = Path(beside).parent if beside else registry.artifacts.parent
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
    """Yield a client of the registry; MLflow's chatter is held back and its failures become one sentence.

    Raises:
        RegistryError: the registry cannot be reached, or refuses.
    """
    _require_address(registry)
    import mlflow
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    before = {name: os.environ[name] for name in _ADDRESSES if name in os.environ}
    try:
        mlflow.set_tracking_uri(registry.uri)
        mlflow.set_registry_uri(registry.uri)
        yield _client(registry)
    except ImportError as error:
        raise RegistryError(
            f"The MLflow registry at {registry.shown} needs the Python package {error.name}, which is not installed; "
            f"install it, or set MLFLOW_TRACKING_URI to the address of an MLflow server."
        ) from error
    except (MlflowException, SQLAlchemyError, OSError) as error:
        if _unanswered(error):
            raise RegistryError(
                f"The MLflow registry at {registry.shown} does not answer; start it, or set MLFLOW_TRACKING_URI to "
                "where it is."
            ) from error
        reason = (str(error).splitlines() or [type(error).__name__])[0].replace(registry.uri, registry.shown)
        raise RegistryError(f"The MLflow registry at {registry.shown} failed: {reason}{_advice(reason)}") from error
    finally:
        for name in _ADDRESSES:
            os.environ.pop(name, None)
        os.environ.update(before)


def _client(registry: Registry) -> Client:
    """Return a client; it makes the tables of a SQLite file, one process at a time, for two at once would collide."""
    import mlflow

    if not registry.uri.startswith("sqlite:") or registry.uri in _MADE:
        return mlflow.MlflowClient()
    with locked(registry, "registry"):
        client = mlflow.MlflowClient()
        client.search_experiments(max_results=1)
        client.search_registered_models(max_results=1)
    _MADE.add(registry.uri)
    return client


def _require_address(registry: Registry) -> None:
    """Turn away what MLflow would take for a folder, and make it."""
    scheme, separator, _ = registry.uri.partition(":")
    if not separator or not scheme.strip():
        raise RegistryError(
            f"{registry.uri!r} is no address of an MLflow registry; set MLFLOW_TRACKING_URI to one such as "
            "http://127.0.0.1:5000 or sqlite:////srv/sellerscore/mlflow.db, or to nothing for that of the state folder."
        )


def _advice(reason: str) -> str:
    """Return what to do about a file of SQLite that is in use or damaged, nothing where that is not what failed."""
    if "database is locked" in reason:
        return "; another process writes to it, so try again in a moment."
    if "malformed" in reason or "not a database" in reason:
        return "; restore the file from a backup, or move it away to begin anew."
    return ""


def _unanswered(error: BaseException) -> bool:
    """Return whether nobody answered over the network: MLflow tells it as a failure of its own, for that reason."""
    from requests.exceptions import ConnectionError as NoConnectionError
    from requests.exceptions import Timeout

    causes: BaseException | None = error
    while causes is not None:
        if isinstance(causes, NoConnectionError | Timeout):
            return True
        causes = causes.__cause__ or causes.__context__
    return False
