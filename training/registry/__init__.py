"""Runs, models and aliases in MLflow. Only this package and `served_model` of training import mlflow."""

from training.registry.aliases import (
    CHALLENGER,
    CHAMPION,
    INTENDED,
    PREVIOUS,
    REPLACED,
    WITHDRAWN,
    aliases,
    recover_aliases,
    set_challenger,
    set_champion,
)
from training.registry.artifacts import load_predictions, locate_card, write_approval
from training.registry.connection import EXPERIMENT, MODEL_NAME, TABLES, Registry, locked
from training.registry.provenance import LabelFile, Provenance, login_name
from training.registry.runs import (
    ALARM,
    DECLINED,
    NOT_MEASURED,
    TRAINED_BY,
    MonitoringRun,
    RegisteredVersion,
    finding_tags,
    log_monitoring,
    log_table_run,
    register,
    require,
)
from training.registry.summaries import EVIDENCE
from training.registry.versions import LATEST, Version, find_by_bundle, find_version, load_bundle, load_tested

__all__ = [
    "ALARM",
    "CHALLENGER",
    "CHAMPION",
    "DECLINED",
    "EVIDENCE",
    "EXPERIMENT",
    "INTENDED",
    "LATEST",
    "MODEL_NAME",
    "NOT_MEASURED",
    "PREVIOUS",
    "REPLACED",
    "TABLES",
    "TRAINED_BY",
    "WITHDRAWN",
    "LabelFile",
    "MonitoringRun",
    "Provenance",
    "RegisteredVersion",
    "Registry",
    "Version",
    "aliases",
    "find_by_bundle",
    "find_version",
    "finding_tags",
    "load_bundle",
    "load_predictions",
    "load_tested",
    "locate_card",
    "locked",
    "log_monitoring",
    "log_table_run",
    "login_name",
    "recover_aliases",
    "register",
    "require",
    "set_challenger",
    "set_champion",
    "write_approval",
]
