"""Login links and sessions of sellers and operators: tables and lifecycle.

A link logs a user in once and becomes a session. Links and sessions are random tokens; only their digests are stored.
Each row has a MAC under a key of the state folder, so that a person who can only write to the database cannot log in.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any, Final, TypeVar

from sqlalchemy import Column, Connection, Engine, Index, Row, String, Table, bindparam, delete, select, update

from api.auth.clients import find_client
from api.auth.credentials import ClientSecrets
from api.auth.scopes import ClientKind
from api.errors import LinkUsedUp, NotSignedIn
from api.kit.database import UtcDateTime, insert_row, metadata, row_to, transaction
from api.kit.fields import format_timestamp
from scoring.canonical import canonical_json

LOGIN_PATH: Final = "/seller/login"

LINK_LIFETIME: Final = timedelta(minutes=10)
IDLE: Final = timedelta(minutes=30)
MAX_LIFETIME: Final = timedelta(hours=8)
"""A session ends when it was not used for the time `IDLE`, and at this age in any case."""

_TOUCH_INTERVAL: Final = timedelta(minutes=1)
_TOKEN_BYTES: Final = 32
_FORMS: Final = b"sellerscore forms"
_NOT_COVERED: Final = frozenset({"language", "mac"})
"""The columns that the MAC of a row does not cover. The language gives no rights, and its user can change it."""

_MAX_WARNINGS: Final = 1_000
"""The largest number of ignored rows that one process logs."""

logger = logging.getLogger(__name__)


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
        Column("mac", String(64), nullable=False, server_default=""),
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
    mac: str = field(default="", kw_only=True, repr=False)


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
_AnyLogin = TypeVar("_AnyLogin", bound=_Login)


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


class Sessions:
    """The login links and sessions in a database.

    A row whose MAC is missing or wrong counts as absent, and the log has one warning for it.

    Example: `Sessions(engine, secrets).make_link(UserKind.SELLER, "S-000001", by="platform-1", now=now).token` logs the
    seller in once.

    Args:
        engine: Engine of the database.
        client_secrets: Holder of the key from which the key of the MACs is derived.
    """

    def __init__(self, engine: Engine, client_secrets: ClientSecrets) -> None:
        self._engine = engine
        self._key = client_secrets.derive_key("sellerscore sessions")
        self._reported: set[tuple[str, str]] = set()

    def make_link(
        self, kind: UserKind, subject: str, *, by: str, now: datetime, language: str | None = None
    ) -> NewLink:
        """Create a link that logs a user in once, within ten minutes. Delete expired links.

        Args:
            kind: Kind of the user.
            subject: The seller, or the client of the operator.
            by: The client or command that creates the link.
            now: Current time.
            language: Initial language of the pages; by default that of the browser.
        """
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        link = self._with_mac(links, Link(_digest(token), kind, subject, language, now, by, now + LINK_LIFETIME))
        with transaction(self._engine, writes=True) as connection:
            connection.execute(delete(links).where(links.c.expires_at <= now))
            insert_row(connection, links, link)
        return NewLink(token, link.expires_at)

    def login_url(self, kind: UserKind, subject: str, address: str, *, by: str) -> str:
        """Create a login link like `make_link` and return its URL at the address of the service."""
        return f"{address}{LOGIN_PATH}/{self.make_link(kind, subject, by=by, now=datetime.now(UTC)).token}"

    def peek_link(self, token: str, now: datetime) -> Link:
        """Return a link without using it.

        Raises:
            LinkUsedUp: It was used, has expired or never existed.
        """
        with transaction(self._engine) as connection:
            row = connection.execute(select(links).where(links.c.digest == _digest(token))).one_or_none()
        return self._valid_link(row, now)

    def redeem_link(self, token: str, now: datetime, *, former: str = "") -> ActiveSession:
        """Use a link and start a session. Of several concurrent calls, one succeeds.

        `former` is the session cookie that the browser has; the login ends that session.

        Raises:
            LinkUsedUp: It was used, has expired or never existed.
        """
        with transaction(self._engine, writes=True) as connection:
            used = delete(links).where(links.c.digest == _digest(token)).returning(*links.c)
            link = self._valid_link(connection.execute(used).one_or_none(), now)
            _delete_session(connection, _digest(former))
            return self._start(connection, link.kind, link.subject, link.language, by=link.created_by, now=now)

    def _valid_link(self, row: Row[Any] | None, now: datetime) -> Link:
        link = _to_link(self._authentic(links, row))
        if link is None or link.expires_at <= now:
            raise LinkUsedUp
        return link

    def start_session(self, kind: UserKind, subject: str, *, by: str, now: datetime, former: str = "") -> ActiveSession:
        """Start a session of a user who was authenticated elsewhere; see `redeem_link` for `former`."""
        with transaction(self._engine, writes=True) as connection:
            _delete_session(connection, _digest(former))
            return self._start(connection, kind, subject, None, by=by, now=now)

    def _start(
        self, connection: Connection, kind: UserKind, subject: str, language: str | None, *, by: str, now: datetime
    ) -> ActiveSession:
        secret = secrets.token_urlsafe(_TOKEN_BYTES)
        session = self._with_mac(sessions, Session(_digest(secret), kind, subject, language, now, by, now))
        connection.execute(delete(sessions).where(sessions.c.last_used_at <= now - IDLE))
        insert_row(connection, sessions, session)
        return ActiveSession(session, secret)

    def find_session(self, connection: Connection, secret: str, now: datetime) -> ActiveSession:
        """Return the session of a cookie.

        Raises:
            NotSignedIn: There is no such session, it has ended, or its operator was revoked.
        """
        row = connection.execute(_FIND, {"wanted": _digest(secret)}).one_or_none()
        session = _to_session(self._authentic(sessions, row))
        if session is None or now >= min(session.last_used_at + IDLE, session.created_at + MAX_LIFETIME):
            raise NotSignedIn
        if session.kind is UserKind.OPERATOR:
            client = find_client(connection, session.subject)
            if client is None or client.kind is not ClientKind.OPERATOR or client.revoked_at is not None:
                raise NotSignedIn
        return ActiveSession(session, secret)

    def touch(self, active: ActiveSession, now: datetime) -> None:
        """Record the use of a session, at most once per minute."""
        if now - active.session.last_used_at >= _TOUCH_INTERVAL:
            used = self._with_mac(sessions, replace(active.session, last_used_at=now))
            self._update(active, last_used_at=now, mac=used.mac)

    @contextmanager
    def session_transaction(self, active: ActiveSession) -> Iterator[Connection]:
        """Run one transaction on behalf of a logged-in user.

        It locks the session before the seller's key and before any chain. An erasure, which ends sessions first, is
        therefore either complete, and nothing is done here, or it waits and includes what is done here.

        Raises:
            NotSignedIn: The session has ended.
            DatabaseUnavailable: The database does not respond; nothing was stored.
        """
        lock = _FIND.with_for_update(read=True, key_share=True)
        with transaction(self._engine, writes=True) as connection:
            row = connection.execute(lock, {"wanted": active.session.digest}).one_or_none()
            if self._authentic(sessions, row) is None:
                raise NotSignedIn
            yield connection

    def set_language(self, active: ActiveSession, language: str) -> None:
        """Change the language of a session."""
        self._update(active, language=language)

    def _update(self, active: ActiveSession, **values: object) -> None:
        with transaction(self._engine, writes=True) as connection:
            connection.execute(update(sessions).where(sessions.c.digest == active.session.digest).values(**values))

    def end_session(self, active: ActiveSession) -> None:
        """End a session. All copies of its cookie become invalid."""
        with transaction(self._engine, writes=True) as connection:
            _delete_session(connection, active.session.digest)

    def _with_mac(self, table: Table, login: _AnyLogin) -> _AnyLogin:
        return replace(login, mac=self._mac(table, vars(login)))

    def _mac(self, table: Table, values: Mapping[str, Any]) -> str:
        covered = {
            name: format_timestamp(value) if isinstance(value, datetime) else str(value)
            for name, value in values.items()
            if name not in _NOT_COVERED
        }
        return hmac.digest(self._key, canonical_json([table.name, covered]), "sha256").hex()

    def _authentic(self, table: Table, row: Row[Any] | None) -> Row[Any] | None:
        """Return a row if this service wrote it, else None. Rows that another program wrote are logged."""
        if row is None or hmac.compare_digest(str(row.mac).encode(), self._mac(table, row._asdict()).encode()):
            return row
        identity = (table.name, row.digest)
        if identity not in self._reported and len(self._reported) < _MAX_WARNINGS:
            self._reported.add(identity)
            logger.warning(
                "the row of %s whose digest begins with %s is ignored, because its MAC is missing or wrong. Another "
                "program wrote to the database, or the file keys/client-secrets was replaced or differs between hosts.",
                table.name,
                row.digest[:12],
            )
        return None


def _delete_session(connection: Connection, digest: str) -> None:
    connection.execute(delete(sessions).where(sessions.c.digest == digest))


def delete_sessions_of(connection: Connection, kind: UserKind, subject: str) -> None:
    """Delete all sessions and links of a user."""
    for table in (links, sessions):
        connection.execute(delete(table).where(table.c.kind == kind, table.c.subject == subject))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
