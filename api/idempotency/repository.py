"""The table of keys that were used, each with the id of what was made; forgotten some time after they expire."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Column, Connection, Index, String, Table, bindparam, delete, select, text

from api.database import UtcDateTime, metadata
from api.idempotency.keys import Named

idempotency_keys: Final = Table(
    "idempotency_keys",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("owner", String(60), nullable=False),
    Column("operation", String(40), nullable=False),
    Column("request", String(64), nullable=False),
    Column("made", String(60), nullable=False),
    Column("expires_at", UtcDateTime(), nullable=False),
    Index("idempotency_keys_expired", "owner", "expires_at"),
)

_AT_A_TIME: Final = 20
"""Expired keys that a new one takes along: far more than come, and too few to keep anyone waiting."""

_TABLE = idempotency_keys.c
_FIND = select(_TABLE.operation, _TABLE.request, _TABLE.made).where(
    _TABLE.name == bindparam("wanted"), _TABLE.expires_at > bindparam("now", type_=UtcDateTime())
)
# the one form that both databases take; an expired key is as good as none
_USE = text(
    "INSERT INTO idempotency_keys (name, owner, operation, request, made, expires_at) "
    "VALUES (:name, :owner, :operation, :request, :made, :expires_at) "
    "ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, operation = excluded.operation, "
    "request = excluded.request, made = excluded.made, expires_at = excluded.expires_at "
    "WHERE idempotency_keys.expires_at <= :now"
).bindparams(bindparam("expires_at", type_=UtcDateTime()), bindparam("now", type_=UtcDateTime()))
_EXPIRED = (
    select(_TABLE.name)
    .where(_TABLE.owner == bindparam("of"), _TABLE.expires_at <= bindparam("now", type_=UtcDateTime()))
    .order_by(_TABLE.expires_at)
    .limit(_AT_A_TIME)
)
_PRUNE = delete(idempotency_keys).where(_TABLE.name.in_(_EXPIRED.scalar_subquery()))


@dataclass(frozen=True)
class Used:
    """What a key stands for: the operation, the MAC of its request, and the id of what it made."""

    operation: str
    mac: str
    made: str


def find(connection: Connection, name: str, now: datetime) -> Used | None:
    """Return what a key stands for, or None where it was not used or has expired."""
    found = connection.execute(_FIND, {"wanted": name, "now": now}).one_or_none()
    return None if found is None else Used(*found)


def use(connection: Connection, named: Named, used: Used, now: datetime) -> bool:
    """Let a key stand for what is made in this transaction, and tell whether it was free.

    Where another process is using it, this waits until that ends, one way or the other.
    """
    values = {"name": named.name, "owner": named.owner, "operation": used.operation, "request": used.mac}
    moments = {"made": used.made, "expires_at": named.expires_at, "now": now}
    return connection.execute(_USE, {**values, **moments}).rowcount == 1


def prune(connection: Connection, owner: str, now: datetime) -> None:
    """Forget some of an owner's expired keys; where others of the owner wait, so that no two wait for each other."""
    connection.execute(_PRUNE, {"of": owner, "now": now})
