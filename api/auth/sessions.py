"""Login links and sessions of sellers and operators: tables, lifecycle, and the schemas of `POST /v1/seller-sessions`.

A link logs a user in once and becomes a session. Links and sessions are random tokens; only their digests are stored.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Final

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Column, Connection, Engine, Index, String, Table, bindparam, delete, select, update

from api.auth.clients import find_client
from api.auth.scopes import ClientKind
from api.errors import LinkUsedUp, NotSignedIn
from api.kit.database import UtcDateTime, insert_row, metadata, row_to, transaction
from api.kit.fields import SellerId, Timestamp
from scoring.formatting import Language

LOGIN_PATH: Final = "/seller/login"

LINK_LIFETIME: Final = timedelta(minutes=10)
IDLE: Final = timedelta(minutes=30)
MAX_LIFETIME: Final = timedelta(hours=8)
"""A session ends when it was not used for the time `IDLE`, and at this age in any case."""

_TOUCH_INTERVAL: Final = timedelta(minutes=1)
_TOKEN_BYTES: Final = 32
_FORMS: Final = b"sellerscore forms"


def _table(name: str, last_column: str) -> Table:
    return Table(
        name,
        metadata,
        Column("digest", String(64), primary_key=True),
        Column("kind", String(20), nullable=False),
        Column("subject", String(200), nullable=False),
        Column("language", String(10), nullable=True),
        Column("created_at", UtcDateTime(), nullable=False),
        Column(last_column, UtcDateTime(), nullable=False),
        Column("created_by", String(60), nullable=False),
        Index(f"{name}_subject", "subject"),
    )


links = _table("login_links", "expires_at")
sessions = _table("sessions", "last_used_at")

# built once: building a statement takes longer than running it
_FIND: Final = select(sessions).where(sessions.c.digest == bindparam("wanted"))


class UserKind(StrEnum):
    """The kind of a user: a seller (by the platform's ID), or an operator (by the ID of its client)."""

    SELLER = "seller"
    OPERATOR = "operator"


@dataclass(frozen=True)
class _Login:
    digest: str
    kind: UserKind
    subject: str
    language: str | None
    created_at: datetime
    created_by: str


@dataclass(frozen=True)
class Link(_Login):
    """A one-time login link; `created_by` is the client or command that created it."""

    expires_at: datetime


@dataclass(frozen=True)
class Session(_Login):
    """A session; `created_by` is the client or command that created its login link, or `oidc`."""

    last_used_at: datetime


_to_link = row_to(Link)
_to_session = row_to(Session)


@dataclass(frozen=True)
class NewLink:
    """The token of a new link, which is not stored, and its expiry."""

    token: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True)
class ActiveSession:
    """A session and the secret in its cookie."""

    session: Session
    secret: str = field(repr=False)

    @cached_property
    def form_token(self) -> str:
        """The token in every form of this session. It is derived from the cookie, which other sites cannot read."""
        mac = hmac.digest(self.secret.encode("ascii"), _FORMS, "sha256")
        return urlsafe_b64encode(mac).rstrip(b"=").decode("ascii")

    def allows(self, form_token: object) -> bool:
        """Return whether a form belongs to this session, in constant time."""
        return isinstance(form_token, str) and hmac.compare_digest(form_token.encode(), self.form_token.encode())


def make_link(
    engine: Engine, kind: UserKind, subject: str, *, by: str, now: datetime, language: str | None = None
) -> NewLink:
    """Create a link that logs a user in once, within ten minutes. Delete expired links.

    Args:
        engine: Engine of the database.
        kind: Kind of the user.
        subject: The seller, or the client of the operator.
        by: The client or command that creates the link.
        now: Current time.
        language: Initial language of the pages; by default that of the browser.
    """
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    link = Link(_digest(token), kind, subject, language, now, by, now + LINK_LIFETIME)
    with transaction(engine, writes=True) as connection:
        connection.execute(delete(links).where(links.c.expires_at <= now))
        insert_row(connection, links, link)
    return NewLink(token, link.expires_at)


def login_url(engine: Engine, kind: UserKind, subject: str, address: str, *, by: str) -> str:
    """Create a login link like `make_link` and return its URL at the address of the service."""
    return f"{address}{LOGIN_PATH}/{make_link(engine, kind, subject, by=by, now=datetime.now(UTC)).token}"


def peek_link(engine: Engine, token: str, now: datetime) -> Link:
    """Return a link without using it.

    Raises:
        LinkUsedUp: It was used, has expired or never existed.
    """
    with transaction(engine) as connection:
        link = _to_link(connection.execute(select(links).where(links.c.digest == _digest(token))).one_or_none())
    if link is None or link.expires_at <= now:
        raise LinkUsedUp
    return link


def redeem_link(engine: Engine, token: str, now: datetime, *, former: str = "") -> ActiveSession:
    """Use a link and start a session. Of several concurrent calls, one succeeds.

    `former` is the session cookie that the browser has; the login ends that session.

    Raises:
        LinkUsedUp: It was used, has expired or never existed.
    """
    with transaction(engine, writes=True) as connection:
        used = delete(links).where(links.c.digest == _digest(token)).returning(*links.c)
        link = _to_link(connection.execute(used).one_or_none())
        if link is None or link.expires_at <= now:
            raise LinkUsedUp
        _delete_session(connection, _digest(former))
        return _start_session(connection, link.kind, link.subject, link.language, by=link.created_by, now=now)


def start_session(
    engine: Engine, kind: UserKind, subject: str, *, by: str, now: datetime, former: str = ""
) -> ActiveSession:
    """Start a session of a user who was authenticated elsewhere; see `redeem_link` for `former`."""
    with transaction(engine, writes=True) as connection:
        _delete_session(connection, _digest(former))
        return _start_session(connection, kind, subject, None, by=by, now=now)


def _start_session(
    connection: Connection, kind: UserKind, subject: str, language: str | None, *, by: str, now: datetime
) -> ActiveSession:
    secret = secrets.token_urlsafe(_TOKEN_BYTES)
    session = Session(_digest(secret), kind, subject, language, now, by, now)
    connection.execute(delete(sessions).where(sessions.c.last_used_at <= now - IDLE))
    insert_row(connection, sessions, session)
    return ActiveSession(session, secret)


def find_session(connection: Connection, secret: str, now: datetime) -> ActiveSession:
    """Return the session of a cookie.

    Raises:
        NotSignedIn: There is no such session, it has ended, or its operator was revoked.
    """
    session = _to_session(connection.execute(_FIND, {"wanted": _digest(secret)}).one_or_none())
    if session is None or now >= min(session.last_used_at + IDLE, session.created_at + MAX_LIFETIME):
        raise NotSignedIn
    if session.kind is UserKind.OPERATOR:
        client = find_client(connection, session.subject)
        if client is None or client.kind is not ClientKind.OPERATOR or client.revoked_at is not None:
            raise NotSignedIn
    return ActiveSession(session, secret)


def touch(engine: Engine, active: ActiveSession, now: datetime) -> None:
    """Record the use of a session, at most once per minute."""
    if now - active.session.last_used_at >= _TOUCH_INTERVAL:
        _update(engine, active, last_used_at=now)


@contextmanager
def session_transaction(engine: Engine, active: ActiveSession) -> Iterator[Connection]:
    """Run one transaction on behalf of a logged-in user.

    It locks the session before the seller's key and before any chain. An erasure, which ends sessions first, is
    therefore either complete, and nothing is done here, or it waits and includes what is done here.

    Raises:
        NotSignedIn: The session has ended.
        DatabaseUnavailable: The database does not respond; nothing was stored.
    """
    lock = _FIND.with_for_update(read=True, key_share=True)
    with transaction(engine, writes=True) as connection:
        if connection.execute(lock, {"wanted": active.session.digest}).one_or_none() is None:
            raise NotSignedIn
        yield connection


def set_language(engine: Engine, active: ActiveSession, language: str) -> None:
    """Change the language of a session."""
    _update(engine, active, language=language)


def _update(engine: Engine, active: ActiveSession, **values: object) -> None:
    with transaction(engine, writes=True) as connection:
        connection.execute(update(sessions).where(sessions.c.digest == active.session.digest).values(**values))


def end_session(engine: Engine, active: ActiveSession) -> None:
    """End a session. All copies of its cookie become invalid."""
    with transaction(engine, writes=True) as connection:
        _delete_session(connection, active.session.digest)


def _delete_session(connection: Connection, digest: str) -> None:
    connection.execute(delete(sessions).where(sessions.c.digest == digest))


def delete_sessions_of(connection: Connection, kind: UserKind, subject: str) -> None:
    """Delete all sessions and links of a user."""
    for table in (links, sessions):
        connection.execute(delete(table).where(table.c.kind == kind, table.c.subject == subject))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


class SessionCreate(BaseModel):
    """The seller to log in."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"seller_id": "S-000001", "language": "zh"}]}
    )

    seller_id: SellerId = Field(description="The platform's ID of the seller, whom the platform has authenticated.")
    language: Language | None = Field(
        default=None, description="Initial language of the pages; that of the browser if omitted."
    )


class SessionLink(BaseModel):
    """A link that logs the seller in once. Pass it to the seller's browser and keep no copy."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(
        description="URL for the seller's browser.",
        examples=["https://score.example/seller/login/aL0pZ3v6Jx2mQ8sT1uW4yB7cD9eF5gH0iK3lN6oR2sU"],
    )
    expires_at: Timestamp = Field(description="Expiry of the link, UTC.", examples=["2026-02-01T09:40:00.000000Z"])
