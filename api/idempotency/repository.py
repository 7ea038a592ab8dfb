"""The table of used idempotency keys, each with the ID of the created resource. Expired keys are deleted in time."""

from __future__ import annotations

from collections.abc import Sequence
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
    Column("resource_id", String(60), nullable=False),
    Column("expires_at", UtcDateTime(), nullable=False),
    Index("idempotency_keys_expired", "owner", "expires_at"),
)

_AT_A_TIME: Final = 20
"""Expired keys that a new one takes along: far more than come, and too few to keep anyone waiting."""

_TABLE = idempotency_keys.c
_FIND = select(_TABLE.name, _TABLE.operation, _TABLE.request, _TABLE.resource_id, _TABLE.expires_at).where(
    _TABLE.name.in_(bindparam("names", expanding=True))
)
# the one form that both databases take; an expired key is as good as none
_USE = text(
    "INSERT INTO idempotency_keys (name, owner, operation, request, resource_id, expires_at) "
    "VALUES (:name, :owner, :operation, :request, :resource_id, :expires_at) "
    "ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, operation = excluded.operation, "
    "request = excluded.request, resource_id = excluded.resource_id, "
    "expires_at = excluded.expires_at"
).bindparams(bindparam("expires_at", type_=UtcDateTime()))
_EXPIRED = (
    select(_TABLE.name)
    .where(_TABLE.owner == bindparam("of"), _TABLE.expires_at <= bindparam("now", type_=UtcDateTime()))
    .order_by(_TABLE.expires_at)
    .limit(_AT_A_TIME)
)
_PRUNE = delete(idempotency_keys).where(_TABLE.name.in_(_EXPIRED.scalar_subquery()))


@dataclass(frozen=True)
class Used:
    """A used key: the operation, the MAC of its request, the ID of the created resource, and when the key expires."""

    operation: str
    mac: str
    resource_id: str
    expires_at: datetime


def find(connection: Connection, names: Sequence[str]) -> dict[str, Used]:
    """Return what keys stand for, or stood for; those that were never used are left out."""
    return {name: Used(*found) for name, *found in connection.execute(_FIND, {"names": names})} if names else {}


def use(connection: Connection, used: Sequence[tuple[Named, Used]]) -> None:
    """Let keys, free or expired, stand for what is made in this transaction; whoever else uses them must be waiting."""
    values = [
        {
            "name": named.name,
            "owner": named.owner,
            "operation": each.operation,
            "request": each.mac,
            "resource_id": each.resource_id,
            "expires_at": each.expires_at,
        }
        for named, each in used
    ]
    if values:
        connection.execute(_USE, values)


def prune(connection: Connection, owner: str, now: datetime) -> None:
    """Forget some of an owner's expired keys; where others of the owner wait, so that no two wait for each other."""
    connection.execute(_PRUNE, {"of": owner, "now": now})
