"""Exports of issued scores and shadow scores as flat rows for monitoring.

Monitoring reads the rows of `training.monitor.score_log`; `sellerscore.py` connects both. Without a database there are
no rows, and none is created.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection
from sqlalchemy.engine import make_url

from api.kit.database import transaction
from api.ledger.store import Ledger, open_ledger
from api.scores.repository import StoredScore, iterate_scores
from api.scores.self_view import PURPOSE as SELF_VIEW
from api.scores.shadow import ShadowScore, iterate_shadow_scores
from api.settings import Settings


@dataclass(frozen=True)
class ExportedScore:
    """An issued score with its model and feature values.

    Times are in UTC without a zone. `valid_days` is the time from issuance to expiry. `values` are in the order of the
    bundle's feature sheet, NaN if missing.
    """

    score_id: str
    model: str
    seller_id: str
    as_of: datetime
    scored_at: datetime
    valid_days: float
    outcome: str
    score: int | None
    probability_of_default: float | None
    values: NDArray[np.float64]


def export_scores(settings: Settings) -> Iterator[ExportedScore]:
    """Yield the readable scores of all banks, oldest first; scores of erased sellers are not readable.

    Example: `pandas.DataFrame(vars(score) for score in export_scores(load_settings()))`.

    Raises:
        DatabaseSetupError: the database exists and cannot be opened.
        DatabaseUnavailable: the database is not available.
    """
    with _reading(settings) as opened:
        yield from (
            () if opened is None else (_flat(score) for score in iterate_scores(*opened) if score.purpose != SELF_VIEW)
        )


def export_shadow_scores(settings: Settings) -> Iterator[ShadowScore]:
    """Yield the shadow scores in the order of their scores.

    Raises:
        DatabaseSetupError: the database exists and cannot be opened.
        DatabaseUnavailable: the database is not available.
    """
    with _reading(settings) as opened:
        yield from () if opened is None else iterate_shadow_scores(opened[0])


@contextmanager
def _reading(settings: Settings) -> Iterator[tuple[Connection, Ledger] | None]:
    """Yield a connection in a transaction and the ledger; None without a database."""
    address = make_url(settings.database_url)
    file = address.database if address.get_backend_name() == "sqlite" else None
    # os.path, because it returns False for a folder that cannot be read
    if file is not None and not os.path.isfile(file):  # noqa: PTH113
        yield None
        return
    engine, ledger = open_ledger(settings)
    try:
        with transaction(engine) as connection:
            yield connection, ledger
    finally:
        engine.dispose()


def _flat(stored: StoredScore) -> ExportedScore:
    inputs, assessment = json.loads(stored.inputs), stored.fields["assessment"]
    scored_at = datetime.fromisoformat(stored.fields["scored_at"])
    return ExportedScore(
        score_id=stored.id,
        model=stored.bundle,
        seller_id=stored.seller_id,
        as_of=datetime.fromisoformat(assessment["as_of"]),
        scored_at=scored_at.replace(tzinfo=None),
        valid_days=(stored.expires_at - scored_at).total_seconds() / 86_400,
        outcome=assessment["outcome"],
        score=assessment["score"],
        probability_of_default=assessment["probability_of_default"],
        values=np.array([np.nan if value is None else value for value in inputs["values"]], dtype=np.float64),
    )
