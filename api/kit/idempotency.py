"""Idempotency keys: the request header, the table of used keys, and the keys of requests in progress.

A key is stored in the same transaction as the resource that its request creates: if the process is killed, both are
stored or neither. A failed request leaves the key unused. Neither keys nor requests are stored in clear, because a bank
may put a seller ID into a key. The key is a MAC under a secret of the state folder. The request is a MAC under a key
that the caller chooses, which is the key of the seller; after an erasure it reveals nothing.
"""

from __future__ import annotations

import hmac
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

from fastapi import Depends, Header, Request
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError
from sqlalchemy import Column, Connection, Index, String, Table, bindparam, delete, select, text

from api.errors import IdempotencyKeyInFlight, KeyRingError
from api.kit.database import UtcDateTime, metadata, write_rows
from api.kit.fields import format_timestamp
from api.kit.files import AccessibleToOthersError, create_private, read_private
from scoring.canonical import canonical_json

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotency-Replayed"
"""The header of an idempotent replay."""
MAX_LENGTH: Final = 255

_RULE: Final = f"Must be one value of 1 to {MAX_LENGTH} printable ASCII characters"
_PRUNE_LIMIT: Final = 20
"""Expired keys that are deleted per new key: far more than expire, and few enough to delay no request."""


@dataclass(frozen=True, slots=True)
class RequestKey:
    """The key of a request, as it is stored. `kept_for` is the time until it expires."""

    name: str
    owner: str
    operation: str
    request: bytes = field(repr=False)
    kept_for: timedelta

    def mac(self, secret: bytes) -> str:
        """Return a MAC of the request, which only a holder of the secret can compare with other requests."""
        return hmac.digest(secret, self.request, "sha256").hex()

    def use(self, secret: bytes, resource_id: str, now: datetime) -> UsedKey:
        """Return the row of the key for the resource that its request creates; see `mac` for the secret."""
        return UsedKey(self.name, self.owner, self.operation, self.mac(secret), resource_id, now + self.kept_for)


@dataclass(frozen=True)
class UsedKey:
    """A used key, as the table stores it. `request` is the MAC of the request, `resource_id` the created resource."""

    name: str
    owner: str
    operation: str
    request: str
    resource_id: str
    expires_at: datetime

    @property
    def recorded(self) -> dict[str, str]:
        """The fields that the ledger row of the resource records, besides those that the row itself has."""
        expires_at = format_timestamp(self.expires_at)
        return {"name": self.name, "operation": self.operation, "request": self.request, "expires_at": expires_at}


class IdempotencyKeys:
    """Derives the stored names of keys, and tracks the keys of requests in progress in this process.

    Example:
        >>> keys = IdempotencyKeys(bytes(32), timedelta(days=7))
        >>> with keys.in_progress(keys.key_for("bank-1", "order 17", ("createScore", b"{}"))):  # doctest: +SKIP
        ...     ...  # a concurrent request with the same key fails
    """

    def __init__(self, secret: bytes, kept_for: timedelta) -> None:
        self._secret = secret
        self._kept_for = kept_for
        self._in_progress: set[str] = set()
        self._lock = threading.Lock()

    def key_for(self, owner: str, key: str, request: tuple[str, bytes]) -> RequestKey:
        """Return the stored form of a key. `request` is the operation and the canonical JSON of the request."""
        name = hmac.digest(self._secret, canonical_json([owner, key]), "sha256").hex()
        return RequestKey(name, owner, *request, self._kept_for)

    @contextmanager
    def in_progress(self, key: RequestKey) -> Iterator[None]:
        """Reserve a key while its request is processed. Between processes, the database serializes the requests.

        Raises:
            IdempotencyKeyInFlight: Another request with the key is in progress.
        """
        with self._lock:
            if key.name in self._in_progress:
                raise IdempotencyKeyInFlight
            self._in_progress.add(key.name)
        try:
            yield
        finally:
            with self._lock:
                self._in_progress.remove(key.name)


def open_idempotency_keys(folder: Path, master: bytes, kept_for: timedelta) -> IdempotencyKeys:
    """Return the idempotency keys under the secret of a folder of keys.

    The secret is derived from the first master key and then stored, so that the names of keys outlive its rotation.

    Raises:
        KeyRingError: The file of the secret cannot be used.
    """
    path = folder / "idempotency"
    try:
        create_private(path, hmac.digest(master, b"idempotency keys", "sha256").hex().encode("ascii"))
        secret = bytes.fromhex(read_private(path))
    except AccessibleToOthersError as error:
        raise KeyRingError(f"The secret {path} {error}") from error
    except OSError as error:
        raise KeyRingError(
            f"The secret {path} cannot be used ({error.strerror}). Give this user read and write access."
        ) from error
    except ValueError as error:
        raise KeyRingError(f"The secret {path} is damaged. Restore it from a backup.") from error
    return IdempotencyKeys(secret, kept_for)


def is_valid_key(key: str) -> bool:
    """Return whether the value of the header is 1 to 255 printable ASCII characters."""
    return 0 < len(key) <= MAX_LENGTH and key.isascii() and key.isprintable()


def _validate(key: str | None) -> str | None:
    if key is not None and not is_valid_key(key):
        raise PydanticCustomError("idempotency_key", _RULE)
    return key


async def _header(
    request: Request,
    key: Annotated[
        str | None,
        AfterValidator(_validate),
        Header(
            alias=HEADER,
            description=f"Your name for this request: 1 to {MAX_LENGTH} printable ASCII characters, different for "
            "each request. If you repeat a request with its key, you get the stored response. Without a key, each call "
            "creates a new resource.",
            examples=["application-4711"],
        ),
    ] = None,
) -> str | None:
    # if the header is repeated, the framework would use either value
    if len(request.headers.getlist(HEADER)) > 1:
        raise RequestValidationError([{"type": "idempotency_key", "loc": ("header", HEADER), "msg": _RULE}])
    return key


IdempotencyKey = Annotated[str | None, Depends(_header)]
"""The type of the header parameter of an endpoint."""

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

_TABLE = idempotency_keys.c

_FIND = select(idempotency_keys).where(_TABLE.name.in_(bindparam("names", expanding=True)))

# the upsert that both databases support; an expired key counts as unused
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
    .limit(_PRUNE_LIMIT)
)
_PRUNE = delete(idempotency_keys).where(_TABLE.name.in_(_EXPIRED.scalar_subquery()))


def find_used_keys(connection: Connection, names: Sequence[str]) -> dict[str, UsedKey]:
    """Return the used keys by name, expired ones included."""
    return {row.name: UsedKey(*row) for row in connection.execute(_FIND, {"names": names})} if names else {}


def store_used_keys(connection: Connection, used: Sequence[UsedKey]) -> None:
    """Store unused or expired keys. The caller must hold a lock that other requests with the keys wait for."""
    if used:
        write_rows(connection, _USE, [vars(each) for each in used], rows=len(used))


def prune_used_keys(connection: Connection, owner: str, now: datetime) -> None:
    """Delete some expired keys of an owner. Hold a lock of the owner, so that two calls cannot deadlock."""
    connection.execute(_PRUNE, {"of": owner, "now": now})
