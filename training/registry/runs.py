"""MLflow runs: a training with all its evidence and the registered version, and a run for each monitored model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from training.evidence.metrics import Estimate
from training.evidence.model_card import write_card
from training.evidence.rounds import NAME as ROUNDS
from training.evidence.rounds import TABLE as LOSSES
from training.registry.artifacts import PREDICTIONS, TEST, log_files, write_files
from training.registry.connection import EXPERIMENT, MODEL_NAME, MONITORING, TABLES, Registry, connected, locked
from training.registry.provenance import Provenance, login_name, provenance_tags
from training.registry.run_lifecycle import end_abandoned_runs, start_run
from training.registry.summaries import EVIDENCE, describe_run, evidence_summary
from training.registry.versions import TESTED, TESTED_FOLDER

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.models.model import ModelInfo

    from training.evidence.study import Finding
    from training.registry.connection import Client
    from training.run import Run

TRAINED_BY: Final = "trained_by"
"""The tag with the name of the trainer. The trainer may not approve the version."""

ALARM: Final = "alarm."
"""Prefix of the tags with the alarms of a study."""

NOT_MEASURED: Final = "not_measured."
"""Prefix of the tags with the reason why a study had nothing to measure."""

DECLINED: Final = "declined."
"""Prefix of the tags with the reason why the settings skipped a study."""

_NOTE: Final = "mlflow.note.content"
_TRAINING: Final = {"mlflow.experimentKind": "custom_model_development"}
"""Without this tag MLflow shows an experiment as one about language models."""

_EXPERIMENTS: Final[Mapping[str, Mapping[str, str]]] = {
    EXPERIMENT: _TRAINING
    | {
        _NOTE: "Each run is one training. Its description summarizes the findings; metrics are grouped by study; model "
        "card, plots, tables and bundle are its artifacts. `sellerscore compare` compares two versions of the model."
    },
    TABLES: _TRAINING
    | {
        _NOTE: "Each run is one training on a table with `sellerscore train-table`: evidence about the table. Its "
        "models are not registered, and the service cannot score with them."
    },
    MONITORING: {
        _NOTE: "Each run is one model on one day: its scores, compared with its training population and with the "
        "outcomes known so far. Metrics are grouped by study; the report and the result as JSON are its artifacts. The "
        "tag `version` is the registered version, `alarms` the number of metrics that exceed their threshold."
    },
}
_ABOUT_MODEL: Final = (
    "The service scores with the version that has the alias `champion`. `previous` is the target of a rollback. The "
    "service stores the scores of `challenger` for comparison; banks never see them. `sellerscore promote`, `rollback` "
    "and `challenge` move the aliases."
)

_SERVED: Final = Path(__file__).parent.parent / "served_model.py"
_SCORING: Final = Path(__file__).parent.parent.parent / "scoring"
_DIGESTS: Final = ("dataset", "data_version", "catalogue", "evidence")


@dataclass(frozen=True)
class RegisteredVersion:
    """A registered model version and its run."""

    version: int
    run_id: str


@dataclass(frozen=True)
class MonitoringRun:
    """The content of a monitoring run: name, tags, description, and figures by study, such as `drift.score_psi`."""

    name: str
    tags: Mapping[str, str]
    note: str
    figures: Mapping[str, float]


def require(registry: Registry) -> tuple[str, ...]:
    """Check that the registry can be reached before a long training, and end abandoned runs.

    Returns:
        The names of the runs that killed processes of this host left, and that are now KILLED.

    Raises:
        RegistryError: the registry cannot be reached.
    """
    with connected(registry) as client, locked(registry, "experiment"):
        _experiment(client, registry, EXPERIMENT)
        return end_abandoned_runs(client, EXPERIMENT, MONITORING, TABLES)


def register(
    registry: Registry,
    run: Run,
    example: pd.DataFrame,
    trained_by: str | None = None,
    provenance: Provenance = Provenance(),  # noqa: B008 - frozen
) -> RegisteredVersion:
    """Log a run with all its evidence, and then register its bundle as a new version.

    The version is created last, with all its tags in one call: a failure leaves a failed run and no version.

    Args:
        registry: the MLflow registry.
        run: the result of training.
        example: one or more input rows of the served model.
        trained_by: name of the trainer; the login name by default.
        provenance: the label table, and when training began.

    Raises:
        RegistryError: the registry cannot be reached.
    """
    tags = _tags(run, trained_by, provenance)
    with connected(registry) as client:
        experiment = _experiment(client, registry, EXPERIMENT)
        with start_run(experiment, f"train {run.bundle.digest[7:15]}", provenance.started_at) as run_id:
            description = _log_run(client, run_id, run, tags, provenance)
            model = _log_model(run, example)
            if not client.search_registered_models(f"name='{MODEL_NAME}'"):
                client.create_registered_model(MODEL_NAME, description=_ABOUT_MODEL)
            version_tags = {**tags, EVIDENCE: evidence_summary(run, datetime.now(UTC))}
            version = client.create_model_version(
                MODEL_NAME, model.model_uri, run_id, version_tags, description=description, model_id=model.model_id
            )
        return RegisteredVersion(int(version.version), run_id)


def log_table_run(
    registry: Registry, run: Run, trained_by: str | None = None, provenance: Provenance | None = None
) -> str:
    """Log a run on a table with all its evidence in its own experiment, and return its ID.

    No version is registered, so its model can never become the champion. The bundle is an artifact of the run.
    Arguments are those of `register`.

    Raises:
        RegistryError: the registry cannot be reached.
    """
    provenance = provenance or Provenance()
    with connected(registry) as client:
        experiment = _experiment(client, registry, TABLES)
        with start_run(experiment, f"table {run.bundle.digest[7:15]}", provenance.started_at) as run_id:
            _log_run(client, run_id, run, _tags(run, trained_by, provenance), provenance)
            log_files("bundle", run.files)
    return run_id


def log_monitoring(registry: Registry, runs: Iterable[MonitoringRun], files: Mapping[str, str]) -> tuple[str, ...]:
    """Log a run for each monitored model, each with the same text files, and return their IDs.

    Raises:
        RegistryError: the registry cannot be reached.
    """
    import mlflow

    ids = []
    with connected(registry) as client:
        experiment = _experiment(client, registry, MONITORING)
        for run in runs:
            with start_run(experiment, run.name) as run_id:
                mlflow.set_tags({**run.tags, _NOTE: run.note})
                mlflow.log_metrics({metric_name(name): value for name, value in run.figures.items()})
                for name, text in files.items():
                    mlflow.log_text(text, name)
            ids.append(run_id)
    return tuple(ids)


def _log_run(client: Client, run_id: str, run: Run, tags: Mapping[str, str], provenance: Provenance) -> str:
    """Log parameters, metrics, plots, findings, predictions and the model card; return the description."""
    import mlflow

    description = describe_run(run, tags)
    mlflow.log_params(run.facts)
    mlflow.set_tags({**tags, _NOTE: description})
    mlflow.log_metrics({**_metrics("model", run.figures), **_metrics("benchmark", run.logistic_figures)})
    for name, figure in run.plots.items():
        mlflow.log_figure(figure, f"plots/{name}.png")
    if run.predictions is not None:
        log_files(PREDICTIONS, {TEST: run.predictions.to_parquet(index=False)})
    if provenance.labels is not None:
        log_files("labels", {provenance.labels.name: provenance.labels.content})
    if run.tested_files != run.files:
        log_files(TESTED_FOLDER, run.tested_files)
    for finding in run.findings:
        _log_finding(finding)
        if finding.name == ROUNDS:
            _log_losses(client, run_id, finding)
    for name, text in write_card(run).items():
        mlflow.log_text(text, name)
    return description


def metric_name(figure: str) -> str:
    """Return the name of a figure in MLflow, which groups metrics by slash: `drift.score_psi` is `drift/score_psi`."""
    return figure.replace(".", "/", 1)


def _tags(run: Run, trained_by: str | None, provenance: Provenance) -> dict[str, str]:
    return {
        **{name: str(run.facts[name]) for name in _DIGESTS},
        "bundle": run.bundle.digest,
        TESTED: run.tested.digest,
        TRAINED_BY: (trained_by or "").strip() or login_name(),
        **provenance_tags(provenance),
    }


def _metrics(model: str, metrics: Mapping[str, Estimate]) -> dict[str, float]:
    named = (estimate.figures(metric_name(f"{model}.{name}")) for name, estimate in metrics.items())
    return {name: value for figures in named for name, value in figures.items()}


def _log_finding(finding: Finding) -> None:
    import mlflow

    mlflow.log_metrics({metric_name(f"{finding.name}.{figure}"): value for figure, value in finding.figures.items()})
    for title, table in finding.tables.items():
        file = re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_")
        mlflow.log_text(table.to_csv(index=False), f"evidence/{finding.name}/{file}.csv")
    for name, figure in finding.plots.items():
        mlflow.log_figure(figure, f"evidence/{finding.name}/{name}.png")
    mlflow.set_tags(finding_tags(finding))


def finding_tags(finding: Finding) -> dict[str, str]:
    """Return the tags about a finding: its alarms, and the reason if it has no result."""
    tags = {}
    if finding.alarms:
        tags[ALARM + finding.name] = " ".join(finding.alarms)
    if not (finding.figures or finding.tables or finding.plots):
        tags[(DECLINED if finding.declined else NOT_MEASURED) + finding.name] = finding.summary
    return tags


def _log_losses(client: Client, run_id: str, finding: Finding) -> None:
    """Log the loss of each listed boosting round as a metric with the round as its step, drawn as a curve."""
    from mlflow.entities import Metric

    table = finding.tables[LOSSES]
    now = int(datetime.now(UTC).timestamp() * 1000)
    metrics = [
        Metric(f"loss/{name}", loss, now, number)
        for name in table.columns[1:]
        for number, loss in zip(table["round"].tolist(), table[name].tolist(), strict=True)
    ]
    client.log_batch(run_id, metrics=metrics)


def _log_model(run: Run, example: pd.DataFrame) -> ModelInfo:
    """Log the bundle as a model that MLflow can serve."""
    import mlflow
    from mlflow.models import infer_signature

    output = example[["seller_id"]].assign(assessment="{}")
    with write_files("bundle", run.files) as bundle:
        return mlflow.pyfunc.log_model(
            name="model",
            python_model=str(_SERVED),
            artifacts={"bundle": str(bundle)},
            code_paths=[str(_SCORING)],
            signature=infer_signature(example, output),
            input_example=example,
            pip_requirements=[f"lightgbm=={run.bundle.reference.libraries['lightgbm']}", "numba", "numpy", "pandas"],
        )


def _experiment(client: Client, registry: Registry, name: str) -> str:
    """Return the ID of an experiment, which is created if it does not exist."""
    experiment = client.get_experiment_by_name(name)
    if experiment is not None:
        return str(experiment.experiment_id)
    location = registry.artifacts.as_uri() if registry.uri.startswith("sqlite:") else None
    return str(client.create_experiment(name, location, dict(_EXPERIMENTS[name])))
