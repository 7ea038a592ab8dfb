"""The table of stored scores. A row is written once and never changed."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Column, Connection, LargeBinary, String, Table, insert, select

from api.database import UtcDateTime, metadata

scores = Table(
    "scores",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("bank_id", String(60), nullable=False),
    Column("seller_id", String(200), nullable=False),
    Column("purpose", String(40), nullable=False),
    Column("scored_at", UtcDateTime(), nullable=False),
    Column("bundle", String(71), nullable=False),
    Column("inputs", LargeBinary(), nullable=False),
    Column("body", LargeBinary(), nullable=False),
)


_READ_AT_ONCE: Final = 500
"""Scores of twenty kilobytes each are read in portions."""


@dataclass(frozen=True)
class StoredScore:
    """One score: `body` is the answer as it was sent, `inputs` and `bundle` are what it can be made from again."""

    id: str
    bank_id: str
    seller_id: str
    purpose: str
    scored_at: datetime
    bundle: str
    inputs: bytes
    body: bytes


def add(connection: Connection, score: StoredScore) -> None:
    """Store a score under its id, which is new."""
    connection.execute(insert(scores).values(**vars(score)))


def find(connection: Connection, bank_id: str, score_id: str) -> StoredScore | None:
    """Return the bank's score stored under the id, or None; another bank's is none."""
    wanted = select(scores).where(scores.c.id == score_id, scores.c.bank_id == bank_id)
    found = connection.execute(wanted).one_or_none()
    return None if found is None else StoredScore(*found)


def every(connection: Connection) -> Iterator[StoredScore]:
    """Yield every stored score, oldest first, without holding them all."""
    wanted = select(scores).order_by(scores.c.scored_at, scores.c.id)
    for found in connection.execution_options(yield_per=_READ_AT_ONCE).execute(wanted):
        yield StoredScore(*found)
