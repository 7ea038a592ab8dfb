"""Runs, models and aliases in MLflow: the one package of training that names it (the file that MLflow serves aside)."""

from training.registry.approved_card import write_approval
from training.registry.champion import (
    CHALLENGER,
    CHAMPION,
    INTENDED,
    PREVIOUS,
    REPLACED,
    WITHDRAWN,
    aliases,
    set_challenger,
    set_champion,
    settle,
)
from training.registry.connection import EXPERIMENT, MODEL_NAME, TABLES, Registry, locked
from training.registry.predictions import load_predictions
from training.registry.provenance import LabelFile, Provenance
from training.registry.published import EVIDENCE
from training.registry.runs import (
    ALARM,
    DECLINED,
    NOT_MEASURED,
    TRAINED_BY,
    Registered,
    log_table_run,
    login_name,
    register,
    require,
)
from training.registry.versions import LATEST, Version, find, load_bundle, load_tested

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
    "Registered",
    "Registry",
    "Version",
    "aliases",
    "find",
    "load_bundle",
    "load_predictions",
    "load_tested",
    "locked",
    "log_table_run",
    "login_name",
    "register",
    "require",
    "set_challenger",
    "set_champion",
    "settle",
    "write_approval",
]
