"""Replay: a stored score is made again from its stored inputs by the bundle that made it, and compared.

An assessment is a pure function of the two, so any difference says that something stored was changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

from api.database import transaction
from api.errors import BundleNotKept, LedgerDamaged, ScoreNotReplayable, ScoreUnknown, StartError
from api.kept_bundles import load_bundle
from api.scores import repository
from api.scores.assessed import require_format
from api.scores.stored import open_kept
from api.services import Services
from api.settings import Settings
from scoring import Bundle, ScoringError, Vector, assess, serialize_assessment


@dataclass(frozen=True)
class Difference:
    """One value that is not as stored; `path` is a JSON pointer into the assessment."""

    path: str
    stored: Any
    now: Any


def replay(services: Services, bank_id: str, score_id: str) -> list[Difference]:
    """Make a stored score of a bank again and return where it differs; nothing where it is the same to the byte.

    A content that is not what was committed to is replayed all the same, so that what was changed is named.

    Raises:
        ScoreUnknown: there is none under the id, or it is another bank's.
        ScoreErased: the seller was erased.
        BundleNotKept: the bundle that made it is gone or damaged.
        ScoreOfEarlierFormat: it was stored by an earlier version.
        ScoreNotReplayable: the inputs do not meet the bundle.
        LedgerDamaged: what is stored cannot be opened at all.
        DatabaseUnavailable: the database does not answer.
    """
    with transaction(services.engine) as connection:
        kept = repository.find(connection, bank_id, score_id)
    if kept is None:
        raise ScoreUnknown
    score = open_kept(services.ledger, kept, committed=False)
    try:
        stored = json.loads(score.body)["assessment"]
        # checked first: this version cannot read the bundles of an earlier one
        require_format(stored)
        vector = vector_of(json.loads(score.inputs))
    except (ValueError, KeyError, TypeError) as error:
        raise LedgerDamaged from error
    bundle = bundle_of(services, score.bundle)
    try:
        made = json.loads(serialize_assessment(assess(bundle, [vector])[0]))
    except ScoringError as error:
        raise ScoreNotReplayable from error
    return list(_differences("", stored, made))


def bundle_of(services: Services, digest: str) -> Bundle:
    """Return the bundle that made a score, the one in force or a kept one.

    Raises:
        BundleNotKept: it is gone or damaged.
    """
    if digest == services.champion.bundle.digest:
        return services.champion.bundle
    try:
        return _kept_bundle(services.settings, digest)
    except (StartError, ScoringError) as error:
        raise BundleNotKept from error


@lru_cache(maxsize=4)
def _kept_bundle(settings: Settings, digest: str) -> Bundle:
    return load_bundle(settings, digest)


def vector_of(inputs: Mapping[str, Any]) -> Vector:
    """Return what a score was made from; what is no such thing raises ValueError, KeyError or TypeError."""
    covers = {name: date.fromisoformat(day) for name, day in inputs["covers_through"].items()}
    as_of, requested_on = (date.fromisoformat(inputs[name]) for name in ("as_of", "requested_on"))
    return Vector(inputs["seller_id"], as_of, requested_on, covers, inputs["catalogue"], tuple(inputs["values"]))


def _differences(path: str, stored: Any, now: Any) -> Iterator[Difference]:
    """Yield the leaves that differ, in order."""
    if isinstance(stored, dict) and isinstance(now, dict) and stored.keys() == now.keys():
        for name in stored:
            yield from _differences(f"{path}/{name}", stored[name], now[name])
    elif isinstance(stored, list) and isinstance(now, list) and len(stored) == len(now):
        for place, (one, other) in enumerate(zip(stored, now, strict=True)):
            yield from _differences(f"{path}/{place}", one, other)
    # 1 and 1.0 and true are equal in Python, and not the same bytes
    elif json.dumps(stored, sort_keys=True) != json.dumps(now, sort_keys=True):
        yield Difference(path, stored, now)
