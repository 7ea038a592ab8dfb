"""A link logs in once; an old, copied or altered link or cookie does not."""

from __future__ import annotations

import string
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as with_settings
from hypothesis import strategies as st
from sqlalchemy import func, select, update

from api.auth import sessions
from api.auth.clients import clients
from api.auth.scopes import ClientKind
from api.auth.sessions import ActiveSession, Sessions, UserKind
from api.errors import LinkUsedUp, NotSignedIn
from api.kit.database import transaction
from api.settings import Settings
from api.web.rendering import COOKIE
from tests.api.conftest import NEWCOMER, SELLERS, Opener
from tests.api.started import register_of
from tests.api.web.conftest import Browser, OpenBrowser, create_operator

NOW = datetime(2026, 2, 1, 9, 30, tzinfo=UTC)
SELLER = SELLERS[1]
URL_SAFE = string.ascii_letters + string.digits + "-_"


def make_link(stored: Sessions, now: datetime = NOW) -> str:
    return stored.make_link(UserKind.SELLER, SELLER, by="tests", now=now).token


def start_session(stored: Sessions, now: datetime = NOW, kind: UserKind = UserKind.SELLER) -> ActiveSession:
    return stored.start_session(kind, SELLER, by="tests", now=now)


def use_session(browser: Browser, secret: str, now: datetime = NOW) -> ActiveSession:
    """Use a session, as a page does."""
    with transaction(browser.services.engine) as connection:
        session = browser.sessions.find_session(connection, secret, now)
    browser.sessions.touch(session, now)
    return session


def test_a_link_logs_in_once_although_it_is_opened_before(browser: Browser) -> None:
    token = make_link(browser.sessions, datetime.now(UTC))
    for _ in range(3):
        assert browser.get(f"/seller/login/{token}").status_code == 200
    cookie = browser.post("/seller/login", link_token=token).headers["set-cookie"]
    attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert cookie.startswith("__Host-")
    assert {"secure", "httponly", "samesite=lax", "path=/"} <= attributes
    assert not any(attribute.startswith(("domain", "expires", "max-age")) for attribute in attributes)
    browser.cookie = cookie.partition("=")[2].partition(";")[0]
    assert browser.get("/seller").status_code == 200
    assert browser.get(f"/seller/login/{token}").status_code == 410
    assert browser.post("/seller/login", link_token=token).status_code == 410


def test_a_login_ends_the_session_that_the_browser_had(browser: Browser, open_browser: OpenBrowser) -> None:
    former, elsewhere = browser.log_in(SELLER).cookie, open_browser().log_in(SELLER)
    browser.log_in(SELLERS[2])
    assert browser.cookie != former
    assert browser.get("/seller").status_code == 200
    browser.cookie = former
    assert browser.get("/seller").status_code == 401
    assert elsewhere.get("/seller").status_code == 200, "the session of another browser stays"


@pytest.mark.parametrize(
    ("origin", "allowed"),
    {
        None: True,
        "https://testserver": True,
        "https://score.example": True,
        "https://elsewhere.example": False,
        "https://score.example.elsewhere.example": False,
        "http://score.example:8443": False,
        "null": False,
    }.items(),
)
def test_a_login_form_of_another_origin_is_refused(
    settings: Settings, open_client: Opener, origin: str | None, *, allowed: bool
) -> None:
    """The public address and the host of the request are the own origins."""
    with open_client(settings.model_copy(update={"public_url": "https://score.example"}), ()) as client:
        browser = Browser(client)
        token = make_link(browser.sessions, datetime.now(UTC))
        headers = {} if origin is None else {"Origin": origin}
        response = browser.post("/seller/login", headers, link_token=token)
        assert (response.status_code, COOKIE in response.cookies) == ((303, True) if allowed else (403, False))
        assert browser.get(f"/seller/login/{token}").status_code == (410 if allowed else 200), "the link is unused"


@pytest.mark.databases
def test_of_twenty_concurrent_uses_of_a_link_one_logs_in(browser: Browser) -> None:
    token = make_link(browser.sessions)

    def use(_: int) -> bool:
        try:
            browser.sessions.redeem_link(token, NOW)
        except LinkUsedUp:
            return False
        return True

    with ThreadPoolExecutor(20) as pool:
        assert sum(pool.map(use, range(20))) == 1


def test_an_old_link_logs_nobody_in(browser: Browser) -> None:
    stored, token = browser.sessions, make_link(browser.sessions)
    assert stored.peek_link(token, NOW + sessions.LINK_LIFETIME - timedelta(seconds=1)).subject == SELLER
    for use in (stored.peek_link, stored.redeem_link):
        with pytest.raises(LinkUsedUp):
            use(token, NOW + sessions.LINK_LIFETIME)


def assert_useless(browser: Browser, secret: str) -> None:
    with pytest.raises(LinkUsedUp):
        browser.sessions.redeem_link(secret, NOW)
    with pytest.raises(NotSignedIn):
        use_session(browser, secret)


@with_settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 42), letter=st.sampled_from(URL_SAFE))
def test_an_altered_link_or_cookie_is_useless(browser: Browser, place: int, letter: str) -> None:
    for secret in (make_link(browser.sessions), start_session(browser.sessions).secret):
        altered = secret[:place] + letter + secret[place + 1 :]
        if altered != secret:
            assert_useless(browser, altered)


@pytest.mark.parametrize("secret", ["", "x", "é" * 43, "a" * 44, "a" * 10_000, "a" * 42 + "\n"])
def test_a_text_in_another_form_is_as_useless_as_an_unknown_secret(browser: Browser, secret: str) -> None:
    assert_useless(browser, secret)


@pytest.mark.databases
def test_a_session_ends_without_use_and_at_the_latest_after_its_lifetime(browser: Browser) -> None:
    now = NOW
    used, idle, left = (start_session(browser.sessions).secret for _ in range(3))
    while now < NOW + sessions.MAX_LIFETIME - timedelta(minutes=20):
        now += timedelta(minutes=20)
        assert use_session(browser, used, now).session.subject == SELLER
    assert use_session(browser, idle, NOW + sessions.IDLE - timedelta(seconds=1)).session.subject == SELLER
    for secret, end in ((used, NOW + sessions.MAX_LIFETIME), (left, NOW + sessions.IDLE)):
        with pytest.raises(NotSignedIn):
            use_session(browser, secret, end)


@pytest.mark.databases
def test_a_copied_cookie_is_useless_after_the_logout(browser: Browser, open_browser: OpenBrowser) -> None:
    browser.log_in(SELLER).get("/seller")
    thief = open_browser()
    thief.cookie = browser.cookie
    assert thief.get("/seller").status_code == 200
    logout = browser.post("/seller/logout")
    assert logout.status_code == 200
    assert f'{COOKIE}=""' in logout.headers["set-cookie"]
    assert thief.get("/seller").status_code == 401


@pytest.mark.databases
def test_stored_rows_log_nobody_in_and_expired_ones_are_removed(browser: Browser) -> None:
    engine, stored = browser.services.engine, browser.sessions
    link, session = make_link(stored), start_session(stored)
    tables = (sessions.links, sessions.sessions)
    with transaction(engine) as connection:
        rows = [str(row) for table in tables for row in connection.execute(select(table))]
    assert len(rows) == 2
    assert not any(secret in row for row in rows for secret in (link, session.secret, session.form_token))
    make_link(stored, NOW + timedelta(days=1))
    start_session(stored, NOW + timedelta(days=1))
    with transaction(engine) as connection:
        counts = [connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables]
    assert counts == [1, 1]


def test_a_session_opens_only_the_pages_of_its_kind(browser: Browser, open_browser: OpenBrowser) -> None:
    browser.log_in(SELLER).get("/seller")
    assert browser.get("/operator").status_code == 401
    assert browser.post("/operator/logout").status_code == 401
    client_id = create_operator(browser)
    operator = open_browser().log_in(client_id, UserKind.OPERATOR)
    assert operator.get("/operator").status_code == 200
    assert operator.get("/seller").status_code == 401
    assert operator.post("/seller/logout").status_code == 401
    back = operator.post("/operator/language", language="zh", back="/seller")
    assert (back.status_code, back.headers["Location"]) == (303, "/operator")
    register_of(browser.services).revoke(ClientKind.OPERATOR, client_id, datetime.now(UTC))
    assert operator.get("/operator").status_code == 401
    # the entry in the ledger counts, not the table
    with transaction(browser.services.engine, writes=True) as connection:
        connection.execute(clients.update().where(clients.c.id == client_id).values(revoked_at=None))
    assert operator.get("/operator").status_code == 401
    # the ID of a seller is no operator
    with pytest.raises(NotSignedIn):
        use_session(browser, start_session(browser.sessions, kind=UserKind.OPERATOR).secret)
    assert browser.log_in(NEWCOMER).get("/seller").status_code == 200


def test_a_session_in_an_unsupported_language_uses_that_of_the_browser(browser: Browser) -> None:
    browser.log_in(SELLER)
    with transaction(browser.services.engine, writes=True) as connection:
        connection.execute(update(sessions.sessions).values(language="xx"))
    assert '<html lang="zh-Hans">' in browser.get("/seller", **{"Accept-Language": "zh-TW"}).text
