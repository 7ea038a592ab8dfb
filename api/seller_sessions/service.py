"""Links that log in once, and the sessions that they become. What is shown is random; its digest alone is stored."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final

from sqlalchemy import Connection, Engine

from api.access import repository as access
from api.access.rights import Kind
from api.database import transaction
from api.errors import LinkUsedUp, NotSignedIn
from api.seller_sessions import repository
from api.seller_sessions.repository import Link, Person, Session

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
class SignedInAs:
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
    engine: Engine, kind: Person, subject: str, *, by: str, now: datetime, language: str | None = None
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
        repository.add_link(connection, link)
    return NewLink(token, link.expires_at)


def look(engine: Engine, token: str, now: datetime) -> Link:
    """Return what a link is for without using it up.

    Raises:
        LinkUsedUp: it was used, has expired, or is none.
    """
    with transaction(engine) as connection:
        link = repository.find_link(connection, _digest(token)) if _SHAPE.fullmatch(token) else None
    if link is None or link.expires_at <= now:
        raise LinkUsedUp
    return link


def redeem(engine: Engine, token: str, now: datetime) -> SignedInAs:
    """Use a link up and begin a session: of any number at once, one succeeds.

    Raises:
        LinkUsedUp: it was used, has expired, or is none.
    """
    if not _SHAPE.fullmatch(token):
        raise LinkUsedUp
    with transaction(engine, writes=True) as connection:
        link = repository.take_link(connection, _digest(token))
        if link is None or link.expires_at <= now:
            raise LinkUsedUp
        made = _new(link.kind, link.subject, link.language, link.created_by, now)
        repository.begin(connection, made.session, now - IDLE)
    return made


def begin(engine: Engine, kind: Person, subject: str, *, by: str, now: datetime) -> SignedInAs:
    """Begin a session of a person who proved elsewhere who they are."""
    made = _new(kind, subject, None, by, now)
    with transaction(engine, writes=True) as connection:
        repository.begin(connection, made.session, now - IDLE)
    return made


def find(connection: Connection, secret: str, now: datetime) -> SignedInAs:
    """Return the session that a cookie names.

    Raises:
        NotSignedIn: there is none, it is over, or its operator is revoked.
    """
    if not _SHAPE.fullmatch(secret):
        raise NotSignedIn
    session = repository.find(connection, _digest(secret))
    if session is None or not _holds(session, now) or not _may(connection, session):
        raise NotSignedIn
    return SignedInAs(session, secret)


def seen(engine: Engine, signed_in: SignedInAs, now: datetime) -> None:
    """Remember that a session is used, where it was not remembered lately."""
    if now - signed_in.session.last_used_at >= _SEEN_EVERY:
        with transaction(engine, writes=True) as connection:
            repository.seen(connection, signed_in.session.digest, now)


@contextmanager
def acting(engine: Engine, signed_in: SignedInAs) -> Iterator[Connection]:
    """Run one transaction in which somebody who is logged in does something.

    The session is held before the seller's key and before any chain: an erasure, which ends sessions first, is over
    before, and then nothing is done, or it waits and finds what was done.

    Raises:
        NotSignedIn: the session was ended since it was looked at.
        DatabaseUnavailable: the database does not answer; nothing was stored.
    """
    with transaction(engine, writes=True) as connection:
        if not repository.hold(connection, signed_in.session.digest):
            raise NotSignedIn
        yield connection


def speak(engine: Engine, signed_in: SignedInAs, language: str) -> None:
    """Change the language of a session."""
    with transaction(engine, writes=True) as connection:
        repository.speak(connection, signed_in.session.digest, language)


def end(engine: Engine, signed_in: SignedInAs) -> None:
    """Log out: the cookie is worth nothing from now on, wherever it was copied to."""
    with transaction(engine, writes=True) as connection:
        repository.end(connection, signed_in.session.digest)


def _new(kind: Person, subject: str, language: str | None, by: str, now: datetime) -> SignedInAs:
    secret = secrets.token_urlsafe(_BYTES)
    return SignedInAs(Session(_digest(secret), kind, subject, language, now, now, by), secret)


def _holds(session: Session, now: datetime) -> bool:
    return now < session.last_used_at + IDLE and now < session.created_at + LONGEST


def _may(connection: Connection, session: Session) -> bool:
    if session.kind is Person.SELLER:
        return True
    client = access.find(connection, session.subject)
    return client is not None and client.kind is Kind.OPERATOR and client.revoked_at is None


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("ascii")).hexdigest()
