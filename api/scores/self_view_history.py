"""History of a seller's own score: the latest stored self views and what changed between two of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection

from api.kit.cache import TtlCache
from api.ledger.chain import SELF_CHAIN
from api.scores import repository as scores
from api.scores.repository import ScoreQuery, ScoreRow, StoredScore, open_score
from api.scores.self_view import SelfView
from api.services import Services
from scoring import Outcome
from scoring.canonical import canonical_json

LONGEST: Final = 12
"""Number of scores in a history."""


class Change(StrEnum):
    """Why a score was issued again."""

    FIRST = "first"
    DATA = "data"
    MODEL = "model"
    DATA_AND_MODEL = "data_and_model"
    CORRECTION = "correction"
    AGE = "age"
    RENEWAL = "renewal"


@dataclass(frozen=True)
class PastScore:
    """One self view: its date, its result, and what changed since the self view before it."""

    scored_at: datetime
    outcome: str
    score: int | None
    band: str | None
    change: Change


@dataclass(frozen=True)
class Facts:
    """The parts of a stored self view that a history compares; `period` and `values` are digests of the inputs."""

    scored_at: datetime
    outcome: str
    score: int | None
    band: str | None
    bundle: str
    catalogue: str
    period: str
    values: str
    corrects: bool


_FACTS: Final[TtlCache[Facts]] = TtlCache(5_000)
"""Facts by score ID. A stored score never changes."""


def history_of(services: Services, connection: Connection, view: SelfView) -> list[PastScore]:
    """Return the seller's latest self views, at most 12, oldest first; the last one is the current view.

    The current view is included even if it was stored after the connection's snapshot began. Scores whose content
    was dropped after its retention period are left out.

    Raises:
        LedgerDamaged: a stored score does not open or does not match its commitment.
    """
    rows = scores.newest(connection, ScoreQuery(SELF_CHAIN, view.score.seller_id, None, LONGEST + 1))
    current = [score for score in (view.previous, view.score) if score is not None]
    current_ids = {score.id for score in current}
    older = [row for row in reversed(rows) if row.index.id not in current_ids and not row.row.is_dropped]
    facts = [_FACTS.get(row.index.id, partial(_open_facts, services, row)) for row in older]
    facts += [_FACTS.get(score.id, partial(facts_of, score)) for score in current]
    return past_scores(facts)[-LONGEST:]


def _open_facts(services: Services, row: ScoreRow) -> Facts:
    return facts_of(open_score(services.ledger, row))


def facts_of(stored: StoredScore) -> Facts:
    """Return the facts of a stored self view."""
    inputs, assessment = json.loads(stored.inputs), stored.fields["assessment"]
    return Facts(
        scored_at=stored.scored_at,
        outcome=assessment["outcome"],
        score=assessment["score"],
        band=assessment["band"],
        bundle=stored.bundle,
        catalogue=inputs["catalogue"],
        # the date of the request is an input too and is no new data, so the whole of the inputs is not compared
        period=_digest([inputs["as_of"], inputs["covers_through"]]),
        values=_digest(inputs["values"]),
        corrects="replaces" in stored.fields,
    )


def past_scores(facts: Sequence[Facts]) -> list[PastScore]:
    """Return a history from facts in order of time, oldest first."""
    befores: list[Facts | None] = [None, *facts]
    return [
        PastScore(after.scored_at, after.outcome, after.score, after.band, change_between(before, after))
        for before, after in zip(befores, facts, strict=False)
    ]


def change_between(before: Facts | None, after: Facts) -> Change:
    """Return what changed from one self view to the next.

    Values are compared only within one feature catalogue: another catalogue computes other values from the same data.
    """
    if before is None:
        return Change.FIRST
    model = before.bundle != after.bundle
    data = before.period != after.period or (before.catalogue == after.catalogue and before.values != after.values)
    if after.corrects and not model:
        return Change.CORRECTION
    if data:
        return Change.DATA_AND_MODEL if model else Change.DATA
    if model:
        return Change.MODEL
    stale = after.outcome == Outcome.STALE_DATA and before.outcome != after.outcome
    return Change.AGE if stale else Change.RENEWAL


def _digest(value: Any) -> str:
    return hashlib.sha256(canonical_json(value)).hexdigest()
