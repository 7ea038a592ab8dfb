"""A person who can only write to the database cannot log in: rows that the service did not write count as absent."""

from __future__ import annotations

import hashlib
import logging
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Table, insert, select, update

from api.auth.credentials import ClientSecrets
from api.auth.sessions import IDLE, LINK_LIFETIME, ActiveSession, Sessions, UserKind, links, sessions
from api.errors import LinkUsedUp, NotSignedIn
from api.kit.database import transaction
from tests.api.conftest import SELLERS
from tests.api.web.conftest import Browser, create_operator

pytestmark = pytest.mark.databases

NOW = datetime(2026, 2, 1, 9, 30, tzinfo=UTC)
SELLER, VICTIM = SELLERS[1:3]
TOKEN = "t" * 43
DIGEST = hashlib.sha256(TOKEN.encode()).hexdigest()


def use_session(browser: Browser, secret: str, now: datetime = NOW) -> ActiveSession:
    with transaction(browser.services.engine) as connection:
        return browser.sessions.find_session(connection, secret, now)


def change(browser: Browser, table: Table, digest: str, **values: object) -> None:
    """Change a row as a person with access to the database can."""
    with transaction(browser.services.engine, writes=True) as connection:
        connection.execute(update(table).where(table.c.digest == digest).values(**values))


def forge(browser: Browser, table: Table, kind: UserKind, subject: str, mac: str) -> None:
    """Insert a row for the token of the forger."""
    now = datetime.now(UTC)
    end = {"expires_at": now + LINK_LIFETIME} if table is links else {"last_used_at": now}
    values = {"digest": DIGEST, "kind": kind, "subject": subject, "created_at": now, "created_by": "oidc", "mac": mac}
    with transaction(browser.services.engine, writes=True) as connection:
        connection.execute(table.delete().where(table.c.digest == DIGEST))
        connection.execute(insert(table).values(values | end))


def macs_in(browser: Browser, table: Table) -> list[str]:
    with transaction(browser.services.engine) as connection:
        return list(connection.scalars(select(table.c.mac)))


@pytest.mark.parametrize("kind", UserKind)
def test_an_inserted_row_logs_nobody_in(browser: Browser, caplog: pytest.LogCaptureFixture, kind: UserKind) -> None:
    subject = VICTIM if kind is UserKind.SELLER else create_operator(browser)
    link = browser.sessions.make_link(kind, subject, by="tests", now=datetime.now(UTC))
    active = browser.sessions.start_session(kind, subject, by="tests", now=datetime.now(UTC))
    copied = [mac for table in (links, sessions) for mac in macs_in(browser, table)]
    assert len(copied) == 2
    for mac in ("", "é", "0" * 64, DIGEST, *copied):
        forge(browser, links, kind, subject, mac)
        forge(browser, sessions, kind, subject, mac)
        browser.cookie = TOKEN
        assert browser.get(f"/{kind}").status_code == 401
        assert browser.get(f"/seller/login/{TOKEN}").status_code == 410
        assert browser.post("/seller/login", link_token=TOKEN).status_code == 410
    warnings = [record.getMessage() for record in caplog.records if "is ignored" in record.getMessage()]
    assert len(warnings) == 2, "one for each row, however often it is used"
    assert all(DIGEST[:12] in warning for warning in warnings)
    assert subject not in caplog.text
    # the genuine rows work
    browser.cookie = active.secret
    assert browser.get(f"/{kind}").status_code == 200
    assert browser.use(link.token).get(f"/{kind}").status_code == 200


CHANGES: tuple[tuple[str, object], ...] = (
    ("kind", "operator"),
    ("kind", "admin"),
    ("subject", VICTIM),
    ("created_at", NOW + timedelta(microseconds=1)),
    ("created_by", "oidc"),
    ("mac", "0" * 64),
)


def test_a_changed_link_logs_nobody_in(browser: Browser) -> None:
    for column, value in (*CHANGES, ("expires_at", NOW + timedelta(days=1))):
        token = browser.sessions.make_link(UserKind.SELLER, SELLER, by="tests", now=NOW).token
        change(browser, links, hashlib.sha256(token.encode()).hexdigest(), **{column: value})
        for use in (browser.sessions.peek_link, browser.sessions.redeem_link):
            with pytest.raises(LinkUsedUp):
                use(token, NOW)


def test_a_changed_session_has_ended(browser: Browser) -> None:
    for column, value in (*CHANGES, ("last_used_at", NOW + timedelta(minutes=1))):
        active = browser.sessions.start_session(UserKind.SELLER, SELLER, by="tests", now=NOW)
        change(browser, sessions, active.session.digest, **{column: value})
        with pytest.raises(NotSignedIn):
            use_session(browser, active.secret)
        # a change after the session was checked counts too
        with pytest.raises(NotSignedIn), browser.sessions.session_transaction(active):
            pass


def test_the_row_of_another_user_cannot_be_moved_to_a_known_token(browser: Browser) -> None:
    browser.sessions.make_link(UserKind.SELLER, VICTIM, by="tests", now=NOW)
    victim = browser.sessions.start_session(UserKind.SELLER, VICTIM, by="tests", now=NOW)
    with transaction(browser.services.engine, writes=True) as connection:
        for table in (links, sessions):
            connection.execute(update(table).values(digest=DIGEST))
    with pytest.raises(LinkUsedUp):
        browser.sessions.redeem_link(TOKEN, NOW)
    for secret in (TOKEN, victim.secret):
        with pytest.raises(NotSignedIn):
            use_session(browser, secret)


def test_a_link_cannot_be_moved_to_the_sessions(browser: Browser) -> None:
    token = browser.sessions.make_link(UserKind.SELLER, SELLER, by="tests", now=NOW).token
    with transaction(browser.services.engine, writes=True) as connection:
        row = dict(connection.execute(select(links)).mappings().one())
        row["last_used_at"] = row.pop("expires_at")
        connection.execute(insert(sessions).values(row))
    with pytest.raises(NotSignedIn):
        use_session(browser, token)
    assert browser.sessions.redeem_link(token, NOW).session.subject == SELLER


def test_a_real_session_works_after_its_use_and_a_change_of_language(browser: Browser) -> None:
    secret = browser.sessions.start_session(UserKind.SELLER, SELLER, by="tests", now=NOW).secret
    first = use_session(browser, secret)
    browser.sessions.set_language(first, "zh")
    browser.sessions.touch(first, NOW + IDLE / 2)
    later = use_session(browser, secret, NOW + IDLE).session
    assert (later.subject, later.language, later.last_used_at) == (SELLER, "zh", NOW + IDLE / 2)
    with browser.sessions.session_transaction(first):
        pass


def test_another_key_ends_all_sessions_and_links(browser: Browser, caplog: pytest.LogCaptureFixture) -> None:
    token = browser.sessions.make_link(UserKind.SELLER, SELLER, by="tests", now=NOW).token
    secret = browser.sessions.start_session(UserKind.SELLER, SELLER, by="tests", now=NOW).secret
    others = Sessions(browser.services.engine, ClientSecrets(bytes(32)))
    with pytest.raises(LinkUsedUp):
        others.peek_link(token, NOW)
    with transaction(browser.services.engine) as connection, pytest.raises(NotSignedIn):
        others.find_session(connection, secret, NOW)
    warnings = [record for record in caplog.records if "keys/client-secrets was replaced" in record.getMessage()]
    assert [record.levelno for record in warnings] == [logging.WARNING] * 2
    # under its own key, each still works
    assert use_session(browser, secret).session.subject == SELLER
    assert browser.sessions.peek_link(token, NOW).subject == SELLER
