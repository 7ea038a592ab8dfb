"""One link logs in once; an old, copied or altered link or cookie does not."""

from __future__ import annotations

import string
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select, text, update

from api.auth import clients as access
from api.auth import sessions
from api.auth.scopes import ClientKind
from api.auth.sessions import ActiveSession, UserKind
from api.errors import LinkUsedUp, NotSignedIn
from api.kit.database import transaction
from api.web.rendering import COOKIE
from tests.api.conftest import NEWCOMER, SELLERS
from tests.api.web.conftest import Browser, OpenBrowser, create_operator

NOW = datetime(2026, 2, 1, 9, 30, tzinfo=UTC)
SELLER = SELLERS[1]
URL_SAFE = string.ascii_letters + string.digits + "-_"


def made(browser: Browser, now: datetime = NOW) -> str:
    return sessions.make_link(browser.services.engine, UserKind.SELLER, SELLER, by="tests", now=now).token


def found(engine: Engine, secret: str, now: datetime) -> ActiveSession:
    """Use a session, as a page does."""
    with transaction(engine) as connection:
        signed_in = sessions.find_session(connection, secret, now)
    sessions.touch(engine, signed_in, now)
    return signed_in


def test_a_link_logs_in_once_though_it_is_looked_at_before(browser: Browser) -> None:
    token = made(browser, datetime.now(UTC))
    for _ in range(3):
        assert browser.get(f"/seller/login/{token}").status_code == 200
    browser.use(token)
    assert browser.get("/seller").status_code == 200
    assert browser.get(f"/seller/login/{token}").status_code == 410
    assert browser.post("/seller/login", link_token=token).status_code == 410


@pytest.mark.databases
def test_of_twenty_who_use_a_link_at_once_one_is_logged_in(browser: Browser) -> None:
    token = made(browser)

    def use(_: int) -> bool:
        try:
            sessions.redeem_link(browser.services.engine, token, NOW)
        except LinkUsedUp:
            return False
        return True

    with ThreadPoolExecutor(20) as pool:
        assert sum(pool.map(use, range(20))) == 1


def test_a_link_that_is_old_logs_nobody_in(browser: Browser) -> None:
    engine, token = browser.services.engine, made(browser)
    assert sessions.peek_link(engine, token, NOW + sessions.LINK_LIFETIME - timedelta(seconds=1)).subject == SELLER
    for act in (sessions.peek_link, sessions.redeem_link):
        with pytest.raises(LinkUsedUp):
            act(engine, token, NOW + sessions.LINK_LIFETIME)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 42), letter=st.sampled_from(URL_SAFE))
def test_an_altered_link_or_cookie_is_none(browser: Browser, place: int, letter: str) -> None:
    now = datetime.now(UTC)
    link = made(browser, now)
    session = sessions.start_session(browser.services.engine, UserKind.SELLER, SELLER, by="tests", now=now)
    for secret in (link, session.secret):
        altered = secret[:place] + letter + secret[place + 1 :]
        if altered == secret:
            continue
        with pytest.raises(LinkUsedUp):
            sessions.redeem_link(browser.services.engine, altered, now)
        with pytest.raises(NotSignedIn):
            found(browser.services.engine, altered, now)


@pytest.mark.parametrize("secret", ["", "x", "é" * 43, "a" * 44, "a" * 10_000, "a" * 42 + "\n"])
def test_what_has_not_the_form_of_a_secret_is_refused_as_one_that_is_unknown(browser: Browser, secret: str) -> None:
    with pytest.raises(LinkUsedUp):
        sessions.redeem_link(browser.services.engine, secret, NOW)
    with pytest.raises(NotSignedIn):
        found(browser.services.engine, secret, NOW)


@pytest.mark.databases
def test_a_session_ends_when_it_is_not_used_and_at_the_latest_after_hours(browser: Browser) -> None:
    engine = browser.services.engine
    secret = sessions.start_session(engine, UserKind.SELLER, SELLER, by="tests", now=NOW).secret
    at = NOW
    while at < NOW + sessions.MAX_LIFETIME - timedelta(minutes=20):
        at += timedelta(minutes=20)
        assert found(engine, secret, at).session.subject == SELLER
    with pytest.raises(NotSignedIn):
        found(engine, secret, NOW + sessions.MAX_LIFETIME)
    idle = sessions.start_session(engine, UserKind.SELLER, SELLER, by="tests", now=NOW).secret
    assert found(engine, idle, NOW + sessions.IDLE - timedelta(seconds=1)).session.subject == SELLER
    again = sessions.start_session(engine, UserKind.SELLER, SELLER, by="tests", now=NOW).secret
    with pytest.raises(NotSignedIn):
        found(engine, again, NOW + sessions.IDLE)


@pytest.mark.databases
def test_a_copied_cookie_is_worth_nothing_after_the_logout(browser: Browser, open_browser: OpenBrowser) -> None:
    browser.log_in(SELLER)
    browser.get("/seller")
    thief = open_browser()
    thief.cookie = browser.cookie
    assert thief.get("/seller").status_code == 200
    farewell = browser.post("/seller/logout")
    assert farewell.status_code == 200
    assert f'{COOKIE}=""' in farewell.headers["set-cookie"]
    assert thief.get("/seller").status_code == 401


def test_the_cookie_is_for_this_host_alone_and_for_no_script(browser: Browser) -> None:
    token = made(browser, datetime.now(UTC))
    cookie = browser.post("/seller/login", link_token=token).headers["set-cookie"]
    parts = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert cookie.startswith("__Host-")
    assert {"secure", "httponly", "samesite=lax", "path=/"} <= parts
    assert not any(part.startswith(("domain", "expires", "max-age")) for part in parts)


def test_nothing_that_is_stored_logs_anyone_in(browser: Browser) -> None:
    link, session = (
        made(browser),
        sessions.start_session(browser.services.engine, UserKind.SELLER, SELLER, by="tests", now=NOW),
    )
    with transaction(browser.services.engine) as connection:
        tables = (sessions.links, sessions.sessions)
        held = [str(row) for table in tables for row in connection.execute(select(table))]
    assert held
    assert not any(secret in row for row in held for secret in (link, session.secret, session.form_token))


def test_one_kind_of_session_does_not_open_the_pages_of_the_other(browser: Browser, open_browser: OpenBrowser) -> None:
    browser.log_in(SELLER)
    assert browser.get("/operator").status_code == 401
    client_id = create_operator(browser)
    operator = open_browser().log_in(client_id, UserKind.OPERATOR)
    assert operator.get("/operator").status_code == 200
    assert operator.get("/seller").status_code == 401
    access.revoke_client(browser.services.engine, ClientKind.OPERATOR, client_id, datetime.now(UTC))
    assert operator.get("/operator").status_code == 401


def test_an_operator_is_one_by_its_client_and_not_by_the_name_of_a_seller(browser: Browser) -> None:
    began = datetime.now(UTC)
    session = sessions.start_session(browser.services.engine, UserKind.OPERATOR, SELLER, by="tests", now=began)
    with pytest.raises(NotSignedIn):
        found(browser.services.engine, session.secret, began)


def test_the_platform_logs_a_seller_in_whom_nobody_knows_yet(browser: Browser) -> None:
    browser.log_in("nobody yet")
    page = browser.get("/seller")
    assert page.status_code == 200
    assert "We have no data about your business yet" in page.text
    for path in ("/seller/reasons", "/seller/improve", "/seller/products", "/seller/data"):
        assert "What you can do" in browser.get(path).text
    assert browser.get("/seller/consents").status_code == 200
    assert browser.log_in(NEWCOMER).get("/seller").status_code == 200


@pytest.mark.databases
def test_expired_links_and_sessions_are_forgotten_on_the_way(browser: Browser) -> None:
    engine = browser.services.engine
    made(browser)
    sessions.start_session(engine, UserKind.SELLER, SELLER, by="tests", now=NOW)
    later = NOW + timedelta(days=1)
    made(browser, later)
    sessions.start_session(engine, UserKind.SELLER, SELLER, by="tests", now=later)
    with transaction(engine) as connection:
        for name in ("login_links", "sessions"):
            assert connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one() == 1


def test_a_session_in_a_language_that_is_none_any_more_speaks_the_browsers(browser: Browser) -> None:
    browser.log_in(SELLER)
    with transaction(browser.services.engine, writes=True) as connection:
        connection.execute(update(sessions.sessions).values(language="xx"))
    assert '<html lang="zh-Hans">' in browser.get("/seller", **{"Accept-Language": "zh-TW"}).text
