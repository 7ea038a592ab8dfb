"""The scores that were given, and a challenger's beside them, as flat rows for whoever watches the models at work.

What a row holds is what monitoring asks for (`training.monitor.score_log`); `sellerscore.py` hands it over. No score is
written or changed; where there is no database yet there are no rows, and none is made.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection
from sqlalchemy.engine import make_url

from api.database import transaction
from api.ledger.opening import open_ledger
from api.ledger.service import Ledger
from api.scores.stored import StoredScore, every
from api.self_view.service import PURPOSE as SELF_VIEW
from api.settings import Settings
from api.shadow import repository as shadow


@dataclass(frozen=True)
class GivenScore:
    """One answer: what was said of whom as of when, by which bundle, from what values.

    Times are in UTC without a zone; `valid_days` is the time from scoring to expiry; `values` are the features in the
    order of the bundle's sheet, NaN where missing.
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


@dataclass(frozen=True)
class Beside:
    """What a challenger's bundle says to the request that made a score."""

    score_id: str
    model: str
    outcome: str
    score: int | None
    probability_of_default: float | None


def given_scores(settings: Settings) -> Iterator[GivenScore]:
    """Yield every score that a bank was given and that can be read, oldest first; those of erased sellers cannot.

    Example: `pandas.DataFrame(vars(score) for score in given_scores(load_settings()))`.

    Raises:
        DatabaseSetupError: the database is there and cannot be opened.
        DatabaseUnavailable: it does not answer.
    """
    with _reading(settings) as opened:
        yield from () if opened is None else (_flat(each) for each in every(*opened) if each.purpose != SELF_VIEW)


def shadow_scores(settings: Settings) -> Iterator[Beside]:
    """Yield what challengers said to the same requests, in the order of the scores.

    Raises:
        DatabaseSetupError: the database is there and cannot be opened.
        DatabaseUnavailable: it does not answer.
    """
    with _reading(settings) as opened:
        for each in () if opened is None else shadow.every(opened[0]):
            numbers = each.numbers
            yield Beside(each.score_id, each.bundle, numbers.outcome, numbers.score, numbers.probability_of_default)


@contextmanager
def _reading(settings: Settings) -> Iterator[tuple[Connection, Ledger] | None]:
    """Yield a connection for one transaction and the ledger, None where there is no database."""
    address = make_url(settings.database_url)
    file = address.database if address.get_backend_name() == "sqlite" else None
    # by os.path, since a folder that may not be read holds no scores either
    if file is not None and not os.path.isfile(file):  # noqa: PTH113
        yield None
        return
    engine, ledger = open_ledger(settings)
    try:
        with transaction(engine) as connection:
            yield connection, ledger
    finally:
        engine.dispose()


def _flat(stored: StoredScore) -> GivenScore:
    envelope, inputs = json.loads(stored.body), json.loads(stored.inputs)
    assessment: dict[str, Any] = envelope["assessment"]
    made, expires = (datetime.fromisoformat(envelope[name]) for name in ("scored_at", "expires_at"))
    return GivenScore(
        score_id=stored.id,
        model=stored.bundle,
        seller_id=stored.seller_id,
        as_of=datetime.fromisoformat(assessment["as_of"]),
        scored_at=made.replace(tzinfo=None),
        valid_days=(expires - made).total_seconds() / 86_400,
        outcome=assessment["outcome"],
        score=assessment["score"],
        probability_of_default=assessment["probability_of_default"],
        values=np.array([np.nan if value is None else value for value in inputs["values"]], dtype=np.float64),
    )
