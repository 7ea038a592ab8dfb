"""The tables of one-time links and of sessions; both are kept by the digest of what their holder shows.

Links that log in once, and the sessions that they become. What is shown is random; its digest alone is stored.

Seller sessions on the wire.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Column, Connection, Engine, Index, Row, String, Table, bindparam, delete, insert, select, update

from api.auth import clients as access
from api.auth.scopes import ClientKind
from api.errors import LinkUsedUp, NotSignedIn
from api.kit.database import UtcDateTime, metadata, transaction
from api.kit.fields import SellerId
from scoring.formatting import Language

links = Table(
    "login_links",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("subject", String(200), nullable=False),
    Column("language", String(10), nullable=True),
    Column("created_at", UtcDateTime(), nullable=False),
    Column("expires_at", UtcDateTime(), nullable=False),
    Column("created_by", String(60), nullable=False),
    Index("login_links_subject", "subject"),
)


sessions = Table(
    "sessions",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("subject", String(200), nullable=False),
    Column("language", String(10), nullable=True),
    Column("created_at", UtcDateTime(), nullable=False),
    Column("last_used_at", UtcDateTime(), nullable=False),
    Column("created_by", String(60), nullable=False),
    Index("sessions_subject", "subject"),
)


class UserKind(StrEnum):
    """Who is logged in: a seller by the platform's id, or an operator by the id of its client."""

    SELLER = "seller"
    OPERATOR = "operator"


@dataclass(frozen=True)
class Link:
    """A one-time login link; `created_by` is the client or command that created it."""

    digest: str
    kind: UserKind
    subject: str
    language: str | None
    created_at: datetime
    expires_at: datetime
    created_by: str


@dataclass(frozen=True)
class Session:
    """A session; `created_by` is the client or command that created its login link, or `oidc`."""

    digest: str
    kind: UserKind
    subject: str
    language: str | None
    created_at: datetime
    last_used_at: datetime
    created_by: str


# built once: making a statement takes longer than running it
_FIND: Final = select(sessions).where(sessions.c.digest == bindparam("wanted"))


_SELECT_ACTIVE: Final = (
    select(sessions.c.digest).where(sessions.c.digest == bindparam("wanted")).with_for_update(read=True, key_share=True)
)


_UPDATE_LAST_USED: Final = (
    update(sessions).where(sessions.c.digest == bindparam("wanted")).values(last_used_at=bindparam("now"))
)


def add_link(connection: Connection, link: Link) -> None:
    """Store a link, and forget those that have expired."""
    connection.execute(delete(links).where(links.c.expires_at <= link.created_at))
    connection.execute(insert(links).values(**vars(link)))


def take_link(connection: Connection, digest: str) -> Link | None:
    """Remove a link and return it; of many who take it at once, one gets it."""
    taken = connection.execute(delete(links).where(links.c.digest == digest).returning(*links.c)).one_or_none()
    return None if taken is None else _link(taken)


def find_link(connection: Connection, digest: str) -> Link | None:
    """Return a link that nobody has taken yet."""
    found = connection.execute(select(links).where(links.c.digest == digest)).one_or_none()
    return None if found is None else _link(found)


def insert_session(connection: Connection, session: Session, over: datetime) -> None:
    """Store a session, and delete the sessions that were last used before a moment."""
    connection.execute(delete(sessions).where(sessions.c.last_used_at <= over))
    connection.execute(insert(sessions).values(**vars(session)))


def select_session(connection: Connection, digest: str) -> Session | None:
    """Return the session of that digest."""
    found = connection.execute(_FIND, {"wanted": digest}).one_or_none()
    return None if found is None else _session(found)


def lock_session(connection: Connection, digest: str) -> bool:
    """Return whether there still is a session, and let whoever ends it wait until the transaction ends."""
    return connection.execute(_SELECT_ACTIVE, {"wanted": digest}).one_or_none() is not None


def update_last_used(connection: Connection, digest: str, now: datetime) -> None:
    """Remember that a session was used."""
    connection.execute(_UPDATE_LAST_USED, {"wanted": digest, "now": now})


def update_language(connection: Connection, digest: str, language: str) -> None:
    """Remember the language of a session."""
    connection.execute(update(sessions).where(sessions.c.digest == digest).values(language=language))


def delete_session(connection: Connection, digest: str) -> None:
    """End a session, for good."""
    connection.execute(delete(sessions).where(sessions.c.digest == digest))


def delete_sessions_of(connection: Connection, kind: UserKind, subject: str) -> int:
    """End all sessions of a person, remove their links, and return how many sessions there were."""
    connection.execute(delete(links).where(links.c.kind == kind, links.c.subject == subject))
    ended = connection.execute(delete(sessions).where(sessions.c.kind == kind, sessions.c.subject == subject))
    return ended.rowcount


def _link(found: Row[Any]) -> Link:
    values = list(found)
    return Link(values[0], UserKind(values[1]), *values[2:])


def _session(found: Row[Any]) -> Session:
    values = list(found)
    return Session(values[0], UserKind(values[1]), *values[2:])


LINK_LIVES: Final = timedelta(minutes=10)


IDLE: Final = timedelta(minutes=30)


LONGEST: Final = timedelta(hours=8)
"""A session ends so long after it was last used, and so long after it began whatever it is used for."""


_SEEN_EVERY: Final = timedelta(minutes=1)


_BYTES: Final = 32


_SHAPE: Final = re.compile(r"[A-Za-z0-9_-]{43}")


_FORMS: Final = b"sellerscore forms"


@dataclass(frozen=True)
class NewLink:
    """A link as its maker hands it over: the token is in nobody's database."""

    token: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True)
class ActiveSession:
    """A session and the secret that its cookie holds."""

    session: Session
    secret: str = field(repr=False)

    @cached_property
    def form_token(self) -> str:
        """What every form of this session carries: made of the cookie, which no other site can read."""
        made = hmac.digest(self.secret.encode("ascii"), _FORMS, "sha256")
        return urlsafe_b64encode(made).rstrip(b"=").decode("ascii")

    def allows(self, form_token: object) -> bool:
        """Return whether a form was made for this session; how long that takes tells nothing."""
        return isinstance(form_token, str) and hmac.compare_digest(form_token.encode(), self.form_token.encode())


def make_link(
    engine: Engine, kind: UserKind, subject: str, *, by: str, now: datetime, language: str | None = None
) -> NewLink:
    """Make a link that logs a person in once, within ten minutes.

    Args:
        engine: of the database.
        kind: who is to be logged in.
        subject: the seller, or the client of the operator.
        by: the client or command that asks.
        now: the moment.
        language: that the pages begin in; the browser's where there is none.
    """
    token = secrets.token_urlsafe(_BYTES)
    link = Link(_digest(token), kind, subject, language, now, now + LINK_LIVES, by)
    with transaction(engine, writes=True) as connection:
        add_link(connection, link)
    return NewLink(token, link.expires_at)


def peek_link(engine: Engine, token: str, now: datetime) -> Link:
    """Return what a link is for without using it up.

    Raises:
        LinkUsedUp: it was used, has expired, or is none.
    """
    with transaction(engine) as connection:
        link = find_link(connection, _digest(token)) if _SHAPE.fullmatch(token) else None
    if link is None or link.expires_at <= now:
        raise LinkUsedUp
    return link


def redeem_link(engine: Engine, token: str, now: datetime) -> ActiveSession:
    """Use a link up and begin a session: of any number at once, one succeeds.

    Raises:
        LinkUsedUp: it was used, has expired, or is none.
    """
    if not _SHAPE.fullmatch(token):
        raise LinkUsedUp
    with transaction(engine, writes=True) as connection:
        link = take_link(connection, _digest(token))
        if link is None or link.expires_at <= now:
            raise LinkUsedUp
        made = _new_token(link.kind, link.subject, link.language, link.created_by, now)
        insert_session(connection, made.session, now - IDLE)
    return made


def start_session(engine: Engine, kind: UserKind, subject: str, *, by: str, now: datetime) -> ActiveSession:
    """Begin a session of a person who proved elsewhere who they are."""
    made = _new_token(kind, subject, None, by, now)
    with transaction(engine, writes=True) as connection:
        insert_session(connection, made.session, now - IDLE)
    return made


def find_session(connection: Connection, secret: str, now: datetime) -> ActiveSession:
    """Return the session that a cookie names.

    Raises:
        NotSignedIn: there is none, it is over, or its operator is revoked.
    """
    if not _SHAPE.fullmatch(secret):
        raise NotSignedIn
    session = select_session(connection, _digest(secret))
    if session is None or not _is_valid(session, now) or not _may_log_in(connection, session):
        raise NotSignedIn
    return ActiveSession(session, secret)


def touch(engine: Engine, signed_in: ActiveSession, now: datetime) -> None:
    """Remember that a session is used, where it was not remembered lately."""
    if now - signed_in.session.last_used_at >= _SEEN_EVERY:
        with transaction(engine, writes=True) as connection:
            update_last_used(connection, signed_in.session.digest, now)


@contextmanager
def session_transaction(engine: Engine, signed_in: ActiveSession) -> Iterator[Connection]:
    """Run one transaction in which somebody who is logged in does something.

    The session is held before the seller's key and before any chain: an erasure, which ends sessions first, is over
    before, and then nothing is done, or it waits and finds what was done.

    Raises:
        NotSignedIn: the session was ended since it was looked at.
        DatabaseUnavailable: the database does not answer; nothing was stored.
    """
    with transaction(engine, writes=True) as connection:
        if not lock_session(connection, signed_in.session.digest):
            raise NotSignedIn
        yield connection


def set_language(engine: Engine, signed_in: ActiveSession, language: str) -> None:
    """Change the language of a session."""
    with transaction(engine, writes=True) as connection:
        update_language(connection, signed_in.session.digest, language)


def end_session(engine: Engine, signed_in: ActiveSession) -> None:
    """Log out: the cookie is worth nothing from now on, wherever it was copied to."""
    with transaction(engine, writes=True) as connection:
        delete_session(connection, signed_in.session.digest)


def _new_token(kind: UserKind, subject: str, language: str | None, by: str, now: datetime) -> ActiveSession:
    secret = secrets.token_urlsafe(_BYTES)
    return ActiveSession(Session(_digest(secret), kind, subject, language, now, now, by), secret)


def _is_valid(session: Session, now: datetime) -> bool:
    return now < session.last_used_at + IDLE and now < session.created_at + LONGEST


def _may_log_in(connection: Connection, session: Session) -> bool:
    if session.kind is UserKind.SELLER:
        return True
    client = access.find_client(connection, session.subject)
    return client is not None and client.kind is ClientKind.OPERATOR and client.revoked_at is None


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("ascii")).hexdigest()


class SessionCreate(BaseModel):
    """Whom to log in."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"seller_id": "S-000001", "language": "zh"}]}
    )

    seller_id: SellerId = Field(description="The platform's id of the seller, whom the platform has logged in.")
    language: Language | None = Field(
        default=None, description="The language that the pages begin in; the browser's where left out."
    )


class SessionLink(BaseModel):
    """A link that logs the seller in once; hand it to the seller's browser and keep no copy."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(
        description="Where to send the seller's browser.",
        examples=["https://score.example/seller/login/aL0pZ3v6Jx2mQ8sT1uW4yB7cD9eF5gH0iK3lN6oR2sU"],
    )
    expires_at: str = Field(description="Until when it can be used, UTC.", examples=["2026-02-01T09:40:00.000000Z"])


LOGIN_PATH: Final = "/seller/login"


def login_url(engine: Engine, kind: UserKind, subject: str, address: str, *, by: str) -> str:
    """Return the address of a page that logs a person in once, for a command to print.

    Args:
        engine: of the database.
        kind: who is to be logged in.
        subject: the seller, or the client of the operator.
        address: where the service is reached.
        by: what asks.
    """
    made = make_link(engine, kind, subject, by=by, now=datetime.now(UTC))
    return f"{address}{LOGIN_PATH}/{made.token}"
