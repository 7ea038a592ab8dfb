"""Runs, models and aliases in MLflow: the one module of training that names it (the file that MLflow serves aside)."""

from __future__ import annotations

import logging
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

from training.errors import RegistryError

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

    from training.evidence.finding import Finding
    from training.run import Run

MODEL_NAME: Final = "sellerscore"
CHAMPION: Final = "champion"
EXPERIMENT: Final = "sellerscore"

_QUIET: Final = {
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
}
"""Defaults of ours for MLflow: no bars, no calls home, and no minutes of retries when its server is away."""

_ADDRESSES: Final = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
"""MLflow writes the address in use into these; left there, they would name a server to whom nobody pointed."""

_SERVED: Final = Path(__file__).with_name("served_model.py")
_SCORING: Final = Path(__file__).parent.parent / "scoring"


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


@dataclass(frozen=True)
class Registered:
    """A registered model version and the run that made it."""

    version: int
    run_id: str


def require(registry: Registry) -> None:
    """Reach the registry once, so that a long training does not find it away at its end.

    Raises:
        RegistryError: the registry cannot be reached.
    """
    with _connected(registry) as client:
        _experiment(client, registry)


def register(registry: Registry, run: Run, example: pd.DataFrame) -> Registered:
    """Log a run with parameters, figures, plots and digests, and register its bundle as a new version.

    Args:
        registry: where to.
        run: what training produced.
        example: one or more input rows as the served model takes them.

    Raises:
        RegistryError: the registry cannot be reached.
    """
    import mlflow

    with _connected(registry) as client:
        with mlflow.start_run(experiment_id=_experiment(client, registry)) as started:
            mlflow.log_params(run.facts)
            mlflow.set_tags(
                {name: str(run.facts[name]) for name in ("dataset", "data_version", "catalogue", "evidence")}
            )
            mlflow.set_tag("bundle", run.bundle.digest)
            for prefix, figures in (("", run.figures), ("logistic_", run.logistic_figures)):
                for name, estimate in figures.items():
                    mlflow.log_metric(prefix + name, estimate.value)
                    mlflow.log_metric(f"{prefix}{name}_low", estimate.low)
                    mlflow.log_metric(f"{prefix}{name}_high", estimate.high)
            for name, figure in run.plots.items():
                mlflow.log_figure(figure, f"plots/{name}.png")
            for finding in run.findings:
                _log_finding(finding)
            with redirect_stderr(StringIO()):  # MLflow speaks there of every version that it makes
                version = _log_model(run, example)
        return Registered(version, started.info.run_id)


def promote(registry: Registry, version: int | None = None) -> int:
    """Make a version the champion, the latest one unless said otherwise; return it.

    Raises:
        RegistryError: there is no such version, or the registry cannot be reached.
    """
    with _connected(registry) as client:
        versions = sorted(int(found.version) for found in client.search_model_versions(f"name='{MODEL_NAME}'"))
        if not versions:
            raise RegistryError("No model is registered yet; run `sellerscore train` first.")
        chosen = versions[-1] if version is None else version
        if chosen not in versions:
            raise RegistryError(
                f"There is no version {chosen} of {MODEL_NAME}; registered are {', '.join(map(str, versions))}."
            )
        client.set_registered_model_alias(MODEL_NAME, CHAMPION, str(chosen))
        return chosen


def _log_finding(finding: Finding) -> None:
    import mlflow

    mlflow.log_metrics({f"{finding.name}.{figure}": value for figure, value in finding.figures.items()})
    for title, table in finding.tables.items():
        mlflow.log_text(table.to_csv(index=False), f"evidence/{finding.name}/{_file_name(title)}.csv")
    for name, figure in finding.plots.items():
        mlflow.log_figure(figure, f"evidence/{finding.name}/{name}.png")
    if finding.alarms:
        mlflow.set_tag(f"alarm.{finding.name}", " ".join(finding.alarms))


def _file_name(title: str) -> str:
    """Return a title as a file's name: `By country` is `by_country`."""
    return re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_")


def _log_model(run: Run, example: pd.DataFrame) -> int:
    import mlflow
    from mlflow.models import infer_signature

    with tempfile.TemporaryDirectory(prefix="sellerscore-") as folder:
        bundle = Path(folder) / "bundle"
        bundle.mkdir()
        for name, content in run.files.items():
            (bundle / name).write_bytes(content)
        output = example[["seller_id"]].assign(assessment="{}")
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(_SERVED),
            artifacts={"bundle": str(bundle)},
            code_paths=[str(_SCORING)],
            signature=infer_signature(example, output),
            input_example=example,
            registered_model_name=MODEL_NAME,
            pip_requirements=[f"lightgbm=={run.bundle.reference.libraries['lightgbm']}", "numpy", "pandas"],
        )
    return int(info.registered_model_version)


def _experiment(client: MlflowClient, registry: Registry) -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return str(found.experiment_id)
    location = registry.artifacts.as_uri() if registry.uri.startswith("sqlite:") else None
    return str(client.create_experiment(EXPERIMENT, artifact_location=location))


@contextmanager
def _connected(registry: Registry) -> Iterator[MlflowClient]:
    """Yield a client of the registry; MLflow's chatter is held back and its failures become one sentence."""
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
        yield mlflow.MlflowClient()
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise RegistryError(f"The MLflow registry at {registry.uri} failed: {str(error).splitlines()[0]}") from error
    finally:
        for name in _ADDRESSES:
            os.environ.pop(name, None)
        os.environ.update(before)
