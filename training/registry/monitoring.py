"""Monitoring in MLflow: which version has a bundle, and a run for each model that was monitored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from training.registry.connection import MODEL_NAME, MONITORING, Registry, connected
from training.registry.run_lifecycle import start_run
from training.registry.runs import shown_name
from training.registry.versions import Version, find_version

if TYPE_CHECKING:
    from training.registry.connection import Client

_ABOUT: Final = (
    "Each run is one model on one day: the scores that it gave, held against its training population and against the "
    "outcomes known by then. Figures are gathered by study; the report, and the same in JSON, are its artifacts. The "
    "tag `version` names the registered model, `alarms` how many figures lay surely beyond their limit."
)


@dataclass(frozen=True)
class MonitoringRun:
    """What a run says: its name, tags, note and figures by study (`drift.score_psi`)."""

    name: str
    tags: Mapping[str, str]
    note: str
    figures: Mapping[str, float]


def registered(registry: Registry, bundles: Iterable[str]) -> dict[str, Version]:
    """Return the version of each bundle that is registered, the latest where it was registered twice.

    Example: `registered(registry, ["sha256:9b02..."])["sha256:9b02..."].number` is 3.

    Raises:
        RegistryError: the registry cannot be reached.
    """
    wanted = set(bundles)
    with connected(registry) as client:
        found = client.search_model_versions(f"name='{MODEL_NAME}'")
        numbers = {each.tags.get("bundle"): int(each.version) for each in sorted(found, key=lambda v: int(v.version))}
    return {digest: find_version(registry, str(numbers[digest])) for digest in sorted(wanted & numbers.keys())}


def log_monitoring(registry: Registry, runs: Iterable[MonitoringRun], files: Mapping[str, str]) -> tuple[str, ...]:
    """Log a run for each model that was monitored, each with the same files, and return their ids.

    Args:
        registry: where to.
        runs: what each says.
        files: texts by the name under which a run keeps them, such as `report.html`.

    Raises:
        RegistryError: the registry cannot be reached.
    """
    import mlflow

    made = []
    with connected(registry) as client:
        experiment = _experiment(client, registry)
        for run in runs:
            with start_run(experiment, run.name) as run_id:
                mlflow.set_tags({**run.tags, "mlflow.note.content": run.note})
                mlflow.log_metrics({shown_name(name): value for name, value in run.figures.items()})
                for name, text in files.items():
                    mlflow.log_text(text, name)
            made.append(run_id)
    return tuple(made)


def _experiment(client: Client, registry: Registry) -> str:
    found = client.get_experiment_by_name(MONITORING)
    if found is not None:
        return str(found.experiment_id)
    location = registry.artifacts.as_uri() if registry.uri.startswith("sqlite:") else None
    return str(client.create_experiment(MONITORING, location, {"mlflow.note.content": _ABOUT}))
