"""Retention: what scores were is dropped after its time; that they were given stays provable, row by row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import Engine

from api import durability
from api.database import transaction
from api.ledger import repository
from api.ledger.repository import Due
from api.ledger.service import Ledger
from api.scores import answer
from api.scores import repository as scores
from api.shadow import repository as shadow

KINDS: Final = frozenset({answer.SCORE})
"""Kinds of rows whose contents are dropped; records of the ledger itself are kept."""

_TABLES: Final = ("ledger", "scores", "shadow_scores")


def due(engine: Engine, before: datetime) -> Mapping[str, int]:
    """Return by chain how many contents would be dropped, in order of name; nothing is changed.

    Example: `{"bank-3f9c": 4812}`.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    with transaction(engine) as connection:
        return repository.counted_past(connection, Due(KINDS, before))


def retain(
    engine: Engine, ledger: Ledger, *, before: datetime, now: datetime, advance: Callable[[int], None] | None = None
) -> Mapping[str, int]:
    """Drop the contents of all scores recorded before a moment, with their receipts and what challengers said of them.

    It goes by some hundreds of rows, each with its record in one transaction: stopped in between, it has done a part
    and recorded it, and the next time goes on.

    Returns by chain how many contents were dropped.

    Raises:
        DatabaseUnavailable: the database does not answer; what was dropped until then is recorded.
    """
    wanted, dropped = Due(KINDS, before), dict[str, int]()
    for chain in due(engine, before):
        after = 0
        while True:
            with transaction(engine, writes=True) as connection:
                positions = ledger.drop(connection, chain, wanted, after, now)
                shadow.forget_at(connection, chain, positions)
                scores.forget_receipts(connection, chain, positions)
            if not positions:
                break
            after = positions[-1]
            dropped[chain] = dropped.get(chain, 0) + len(positions)
            if advance is not None:
                advance(sum(dropped.values()))
    durability.scrub(engine, *_TABLES)
    return dropped
