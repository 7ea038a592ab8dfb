"""The tables of one-time links and of sessions; both are kept by the digest of what their holder shows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import (
    Column,
    Connection,
    Index,
    Row,
    String,
    Table,
    bindparam,
    delete,
    insert,
    select,
    update,
)

from api.database import UtcDateTime, metadata

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


class Person(StrEnum):
    """Who is logged in: a seller by the platform's id, or an operator by the id of its client."""

    SELLER = "seller"
    OPERATOR = "operator"


@dataclass(frozen=True)
class Link:
    """A one-time login link; `created_by` is the client or command that created it."""

    digest: str
    kind: Person
    subject: str
    language: str | None
    created_at: datetime
    expires_at: datetime
    created_by: str


@dataclass(frozen=True)
class Session:
    """A session; `created_by` is the client or command that created its login link, or `oidc`."""

    digest: str
    kind: Person
    subject: str
    language: str | None
    created_at: datetime
    last_used_at: datetime
    created_by: str


# built once: making a statement takes longer than running it
_FIND: Final = select(sessions).where(sessions.c.digest == bindparam("wanted"))
_HELD: Final = (
    select(sessions.c.digest).where(sessions.c.digest == bindparam("wanted")).with_for_update(read=True, key_share=True)
)
_SEEN: Final = update(sessions).where(sessions.c.digest == bindparam("wanted")).values(last_used_at=bindparam("now"))


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


def begin(connection: Connection, session: Session, over: datetime) -> None:
    """Store a session, and delete the sessions that were last used before a moment."""
    connection.execute(delete(sessions).where(sessions.c.last_used_at <= over))
    connection.execute(insert(sessions).values(**vars(session)))


def find(connection: Connection, digest: str) -> Session | None:
    """Return the session of that digest."""
    found = connection.execute(_FIND, {"wanted": digest}).one_or_none()
    return None if found is None else _read(found)


def hold(connection: Connection, digest: str) -> bool:
    """Return whether there still is a session, and let whoever ends it wait until the transaction ends."""
    return connection.execute(_HELD, {"wanted": digest}).one_or_none() is not None


def seen(connection: Connection, digest: str, now: datetime) -> None:
    """Remember that a session was used."""
    connection.execute(_SEEN, {"wanted": digest, "now": now})


def speak(connection: Connection, digest: str, language: str) -> None:
    """Remember the language of a session."""
    connection.execute(update(sessions).where(sessions.c.digest == digest).values(language=language))


def end(connection: Connection, digest: str) -> None:
    """End a session, for good."""
    connection.execute(delete(sessions).where(sessions.c.digest == digest))


def end_all(connection: Connection, kind: Person, subject: str) -> int:
    """End all sessions of a person, remove their links, and return how many sessions there were."""
    connection.execute(delete(links).where(links.c.kind == kind, links.c.subject == subject))
    ended = connection.execute(delete(sessions).where(sessions.c.kind == kind, sessions.c.subject == subject))
    return ended.rowcount


def _link(found: Row[Any]) -> Link:
    values = list(found)
    return Link(values[0], Person(values[1]), *values[2:])


def _read(found: Row[Any]) -> Session:
    values = list(found)
    return Session(values[0], Person(values[1]), *values[2:])
