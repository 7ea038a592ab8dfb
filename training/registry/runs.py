"""A run as a reviewer finds it in MLflow: a model card, figures, plots, evidence, a note, and the model it made."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from training.evidence.metrics import Estimate
from training.evidence.model_card import write_card
from training.evidence.model_card_evidence import CardInput
from training.evidence.rounds import NAME as ROUNDS
from training.evidence.rounds import TABLE as LOSSES
from training.registry.connection import EXPERIMENT, MODEL_NAME, MONITORING, TABLES, Registry, connected, locked
from training.registry.predictions import log_bundle, log_file, log_predictions
from training.registry.provenance import Provenance, provenance_tags
from training.registry.published import EVIDENCE, evidence_summary
from training.registry.run_lifecycle import end_abandoned_runs, start_run
from training.registry.run_notes import note
from training.registry.versions import TESTED, TESTED_FOLDER

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.models.model import ModelInfo

    from training.evidence.study import Finding
    from training.registry.connection import Client
    from training.run import Run

TRAINED_BY: Final = "trained_by"
"""The tag that says who trained: whoever promotes must be another."""

ALARM: Final = "alarm."
"""A tag of this beginning, and the name of a study, holds what the study would not have go unseen."""

NOT_MEASURED: Final = "not_measured."
"""A tag of this beginning, and the name of a study, holds why the study had nothing to measure."""

DECLINED: Final = "declined."
"""A tag of this beginning, and the name of a study, holds why the study was not made though it could have been."""

_ABOUT: Final = (
    "Each run is one training. Its description says what was found; figures are gathered by study; the model card, "
    "plots, tables and the bundle are its artifacts. `sellerscore compare` holds two versions of the model against "
    "each other."
)
_ABOUT_TABLES: Final = (
    "Each run is one training on a table with `sellerscore train-table`: evidence about the table. Its models are not "
    "registered, and the service cannot score with them."
)
_ABOUT_MODEL: Final = (
    "The service scores with the version that has the alias `champion`; `previous` is where a rollback leads, and "
    "`challenger` one whose scores are kept beside and shown to nobody. `sellerscore promote` and `rollback` move them."
)

_KIND: Final = {"mlflow.experimentKind": "custom_model_development"}
"""So that MLflow shows it as the training of a model; by itself it takes an experiment for one of language models."""

_SERVED: Final = Path(__file__).parent.parent / "served_model.py"
_SCORING: Final = Path(__file__).parent.parent.parent / "scoring"
_DIGESTS: Final = ("dataset", "data_version", "catalogue", "evidence")


@dataclass(frozen=True)
class RegisteredVersion:
    """A registered model version and the run that made it."""

    version: int
    run_id: str


def require(registry: Registry) -> tuple[str, ...]:
    """Reach the registry once, so that a long training does not find it away at its end, and tidy up after the killed.

    Returns:
        The names of runs that processes of this host left as running when they were killed, and that are now KILLED.

    Raises:
        RegistryError: the registry cannot be reached.
    """
    with connected(registry) as client, locked(registry, "experiment"):
        _experiment(client, registry)
        return end_abandoned_runs(client, EXPERIMENT, MONITORING, TABLES)


def register(
    registry: Registry,
    run: Run,
    example: pd.DataFrame,
    trained_by: str | None = None,
    provenance: Provenance = Provenance(),  # noqa: B008 - frozen
) -> RegisteredVersion:
    """Log a run with all its evidence, and then register its bundle as a new version.

    The version comes last, with all its tags in one step: where anything fails before, there is a failed run and no
    version that somebody could promote.

    Args:
        registry: where to.
        run: what training produced.
        example: one or more input rows as the served model takes them.
        trained_by: who trained; the login name unless said otherwise.
        provenance: the label table, and when training began.

    Raises:
        RegistryError: the registry cannot be reached.
    """
    tags = {**_tags(run, (trained_by or "").strip() or login_name()), **provenance_tags(provenance)}
    with connected(registry) as client:
        experiment = _experiment(client, registry)
        with start_run(experiment, f"train {run.bundle.digest[7:15]}", provenance.started_at) as run_id:
            told = _log_run(client, run_id, run, tags, provenance)
            made = _log_model(run, example)
            if not client.search_registered_models(f"name='{MODEL_NAME}'"):
                client.create_registered_model(MODEL_NAME, description=_ABOUT_MODEL)
            version_tags = {**tags, EVIDENCE: evidence_summary(run, datetime.now(UTC))}
            version = client.create_model_version(
                MODEL_NAME, made.model_uri, run_id, version_tags, description=told, model_id=made.model_id
            )
        return RegisteredVersion(int(version.version), run_id)


def log_table_run(
    registry: Registry, run: Run, trained_by: str | None = None, provenance: Provenance | None = None
) -> str:
    """Log a run on a table with all its evidence, and return its id.

    It has an experiment of its own and registers no version, so that its model can never become the champion. The
    files of its bundle are artifacts of the run.

    Args:
        registry: where to.
        run: what training produced.
        trained_by: who trained; the login name unless given.
        provenance: when training began.

    Raises:
        RegistryError: the registry cannot be reached.
    """
    provenance = provenance or Provenance()
    tags = {**_tags(run, (trained_by or "").strip() or login_name()), **provenance_tags(provenance)}
    with connected(registry) as client:
        experiment = _experiment(client, registry, TABLES, _ABOUT_TABLES)
        with start_run(experiment, f"table {run.bundle.digest[7:15]}", provenance.started_at) as run_id:
            _log_run(client, run_id, run, tags, provenance)
            log_bundle(run.files, "bundle")
    return run_id


def _log_run(client: Client, run_id: str, run: Run, tags: Mapping[str, str], provenance: Provenance) -> str:
    """Log facts, figures, plots, findings, predictions and the model card; return the description of the run."""
    import mlflow

    mlflow.log_params(run.facts)
    told = note(run, tags)
    mlflow.set_tags({**tags, "mlflow.note.content": told})
    mlflow.log_metrics({**_metrics("model", run.figures), **_metrics("benchmark", run.logistic_figures)})
    for name, figure in run.plots.items():
        mlflow.log_figure(figure, f"plots/{name}.png")
    if run.predictions is not None:
        log_predictions(run.predictions)
    if provenance.labels is not None:
        log_file(f"labels/{provenance.labels.name}", provenance.labels.content)
    if run.tested_files != run.files:
        log_bundle(run.tested_files, TESTED_FOLDER)
    for finding in run.findings:
        _log_finding(finding)
        if finding.name == ROUNDS:
            _log_losses(client, run_id, finding)
    for name, text in write_card(_card_input(run)).items():
        mlflow.log_text(text, name)
    return told


def shown_name(figure: str) -> str:
    """Return the name of a figure in MLflow, whose pages gather by slash: `drift.score_psi` is `drift/score_psi`."""
    return figure.replace(".", "/", 1)


def login_name() -> str:
    """Return the name under which this process runs, or its number where the system knows no name."""
    import getpass
    import os

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def _tags(run: Run, trained_by: str) -> dict[str, str]:
    return {
        **{name: str(run.facts[name]) for name in _DIGESTS},
        "bundle": run.bundle.digest,
        TESTED: run.tested.digest,
        TRAINED_BY: trained_by,
    }


def _metrics(model: str, figures: Mapping[str, Estimate]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, estimate in figures.items():
        place = shown_name(f"{model}.{name}")
        found |= {place: estimate.value, f"{place}_low": estimate.low, f"{place}_high": estimate.high}
    return found


def _log_finding(finding: Finding) -> None:
    import mlflow

    mlflow.log_metrics({shown_name(f"{finding.name}.{figure}"): value for figure, value in finding.figures.items()})
    for title, table in finding.tables.items():
        mlflow.log_text(table.to_csv(index=False), f"evidence/{finding.name}/{_file_name(title)}.csv")
    for name, figure in finding.plots.items():
        mlflow.log_figure(figure, f"evidence/{finding.name}/{name}.png")
    if finding.alarms:
        mlflow.set_tag(ALARM + finding.name, " ".join(finding.alarms))
    if not (finding.figures or finding.tables or finding.plots):
        mlflow.set_tag((DECLINED if finding.declined else NOT_MEASURED) + finding.name, finding.summary)


def _log_losses(client: Client, run_id: str, finding: Finding) -> None:
    """Log the loss of each listed round as a metric with the round as its step, which MLflow draws as a curve."""
    from mlflow.entities import Metric

    table = finding.tables[LOSSES]
    now = int(datetime.now(UTC).timestamp() * 1000)
    metrics = [
        Metric(f"loss/{name}", loss, now, number)
        for name in table.columns[1:]
        for number, loss in zip(table["round"].tolist(), table[name].tolist(), strict=True)
    ]
    client.log_batch(run_id, metrics=metrics)


def _card_input(run: Run) -> CardInput:
    return CardInput(run.bundle, run.figures, run.logistic_figures, run.findings, run.plots, run.facts)


def _file_name(title: str) -> str:
    """Return a title as a file's name: `By country` is `by_country`."""
    return re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_")


def _log_model(run: Run, example: pd.DataFrame) -> ModelInfo:
    """Log the bundle as a model that MLflow can serve."""
    import mlflow
    from mlflow.models import infer_signature

    with tempfile.TemporaryDirectory(prefix="sellerscore-") as folder:
        bundle = Path(folder) / "bundle"
        bundle.mkdir()
        for name, content in run.files.items():
            (bundle / name).write_bytes(content)
        output = example[["seller_id"]].assign(assessment="{}")
        return mlflow.pyfunc.log_model(
            name="model",
            python_model=str(_SERVED),
            artifacts={"bundle": str(bundle)},
            code_paths=[str(_SCORING)],
            signature=infer_signature(example, output),
            input_example=example,
            pip_requirements=[f"lightgbm=={run.bundle.reference.libraries['lightgbm']}", "numba", "numpy", "pandas"],
        )


def _experiment(client: Client, registry: Registry, name: str = EXPERIMENT, about: str = _ABOUT) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    location = registry.artifacts.as_uri() if registry.uri.startswith("sqlite:") else None
    return str(client.create_experiment(name, location, {"mlflow.note.content": about, **_KIND}))
