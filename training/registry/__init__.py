"""Runs, models and aliases in MLflow: the one package of training that names it (the file that MLflow serves aside)."""

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
from training.registry.approved_card import write_approval
from training.registry.connection import EXPERIMENT, MODEL_NAME, TABLES, Registry, locked
from training.registry.predictions import load_predictions
from training.registry.provenance import LabelFile, Provenance
from training.registry.published import EVIDENCE
from training.registry.runs import (
    ALARM,
    DECLINED,
    NOT_MEASURED,
    TRAINED_BY,
    RegisteredVersion,
    log_table_run,
    login_name,
    register,
    require,
)
from training.registry.versions import LATEST, Version, find_version, load_bundle, load_tested

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
    "Provenance",
    "RegisteredVersion",
    "Registry",
    "Version",
    "aliases",
    "find_version",
    "load_bundle",
    "load_predictions",
    "load_tested",
    "locked",
    "log_table_run",
    "login_name",
    "recover_aliases",
    "register",
    "require",
    "set_challenger",
    "set_champion",
    "write_approval",
]
