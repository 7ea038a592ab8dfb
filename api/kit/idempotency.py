"""The keys by which callers name their requests: how one is given, what is stored of it, and which are at work now.

A key is stored with what it made, in the same transaction, so that a process that is killed leaves both or neither;
what fails leaves nothing, and the key stays free. Neither a key nor a request is stored as it was given: a bank may
write a seller's id into a key, so it is a MAC under the ledger's master key; the MAC of a request is made under a key
of the caller's choice, a seller's where the request is about one, and says nothing once that key is destroyed.

The table of used idempotency keys, each with the ID of the created resource. Expired keys are deleted in time.
"""

from __future__ import annotations

import hmac
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Final

from fastapi import Depends, Header, Request
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError
from sqlalchemy import Column, Connection, Index, String, Table, bindparam, delete, select, text

from api.errors import IdempotencyKeyInFlight
from api.kit.database import UtcDateTime, metadata
from scoring.canonical import canonical_json

HEADER: Final = "Idempotency-Key"


REPLAYED: Final = "Idempotency-Replayed"
"""The header of an answer that was given before."""


LONGEST: Final = 255


_MESSAGE: Final = f"1 to {LONGEST} printable ASCII characters are allowed, once"


@dataclass(frozen=True, slots=True)
class RequestKey:
    """A request under its caller's key, as it is stored: `kept_for` is for how long the key stands for it."""

    name: str
    owner: str
    operation: str
    request: bytes = field(repr=False)
    kept_for: timedelta

    def mac(self, secret: bytes) -> str:
        """Return what tells this request from another to whoever has the secret, and nothing to anyone else."""
        return hmac.digest(secret, self.request, "sha256").hex()


class IdempotencyKeys:
    """Names the keys of callers, and knows which are at work in this process.

    Example:
        >>> keys = Keys(bytes(32), timedelta(days=7))
        >>> with keys.at_work(keys.named("bank-1", "order 17", ("createScore", b"{}"))):  # doctest: +SKIP
        ...     ...  # of two at once the second is told to come again
    """

    def __init__(self, master: bytes, kept_for: timedelta) -> None:
        self._secret = hmac.digest(master, b"idempotency keys", "sha256")
        self._kept_for = kept_for
        self._at_work: set[str] = set()
        self._lock = threading.Lock()

    def named(self, owner: str, key: str, asked: tuple[str, bytes]) -> RequestKey:
        """Return what is stored of a caller's key; `asked` is the operation and the canonical JSON of the request."""
        name = hmac.digest(self._secret, canonical_json([owner, key]), "sha256").hex()
        return RequestKey(name, owner, *asked, self._kept_for)

    @contextmanager
    def at_work(self, named: RequestKey) -> Iterator[None]:
        """Hold a key while its request is worked on.

        Two processes that work on the same key at once meet in the database, where one of them waits for the other.

        Raises:
            IdempotencyKeyInFlight: another request with it is being worked on.
        """
        with self._lock:
            if named.name in self._at_work:
                raise IdempotencyKeyInFlight
            self._at_work.add(named.name)
        try:
            yield
        finally:
            with self._lock:
                self._at_work.remove(named.name)


def _allowed(key: str) -> str:
    if not (0 < len(key) <= LONGEST and key.isascii() and key.isprintable()):
        raise PydanticCustomError("idempotency_key", _MESSAGE)
    return key


async def _given(
    request: Request,
    key: Annotated[
        str | None,
        AfterValidator(lambda key: key if key is None else _allowed(key)),
        Header(
            alias=HEADER,
            description=f"Your name for this request: 1 to {LONGEST} printable ASCII characters, another for each "
            "request. Sent again, it is answered as it was, and nothing is done twice. Without it, each call counts.",
            examples=["application-4711"],
        ),
    ] = None,
) -> str | None:
    # of two the framework would take either; neither is what a careful caller means
    if len(request.headers.getlist(HEADER)) > 1:
        raise RequestValidationError([{"type": "idempotency_key", "loc": ("header", HEADER), "msg": _MESSAGE}])
    return key


IdempotencyKey = Annotated[str | None, Depends(_given)]
"""The type by which an endpoint takes the header."""


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
class UsedKey:
    """A used key: the operation, the MAC of its request, the ID of the created resource, and when the key expires."""

    operation: str
    mac: str
    resource_id: str
    expires_at: datetime


def find_used_key(connection: Connection, names: Sequence[str]) -> dict[str, UsedKey]:
    """Return what keys stand for, or stood for; those that were never used are left out."""
    return {name: UsedKey(*found) for name, *found in connection.execute(_FIND, {"names": names})} if names else {}


def store_used_key(connection: Connection, used: Sequence[tuple[RequestKey, UsedKey]]) -> None:
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


def prune_used_keys(connection: Connection, owner: str, now: datetime) -> None:
    """Forget some of an owner's expired keys; where others of the owner wait, so that no two wait for each other."""
    connection.execute(_PRUNE, {"of": owner, "now": now})
