"""`POST /oauth/token` as RFC 6749 defines it: forms, credentials, scopes and errors; no input makes it fail."""

from __future__ import annotations

import base64
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote_plus, urlencode

import pytest
import time_machine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.auth import clients
from api.auth.credentials import ClientSecrets
from api.auth.scopes import ClientKind, format_scopes, scopes_of
from api.errors import AccessError
from tests.api.auth.conftest import FORM, Known, Running
from tests.api.started import register_of

if TYPE_CHECKING:
    from httpx import Response

FORM_TYPE = "application/x-www-form-urlencoded"
UNKNOWN = "bank-0000000000000000"


@pytest.fixture(scope="module")
def bank(running: Running) -> Known:
    return running.new()


def post(
    running: Running, form: str | bytes, authorization: str | bytes | None = None, media_type: str = FORM_TYPE
) -> Response:
    headers: dict[str, str | bytes] = {"Content-Type": media_type}
    if authorization is not None:
        headers["Authorization"] = authorization
    return running.client.post("/oauth/token", content=form, headers=headers)


def basic(client_id: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


def rotate(running: Running, bank: Known, hours: float, now: datetime) -> Known:
    """Give a bank a new secret; the former ones expire after some hours."""
    overlap = timedelta(hours=hours)
    secret = running.services.auth.secrets.new()
    created = register_of(running.services).rotate(
        ClientKind.BANK, bank.id, credential=secret, overlap=overlap, now=now
    )
    assert created.former_until == now + overlap
    return Known(bank.id, created.secret or "", ClientKind.BANK)


def statuses(running: Running, *known: Known) -> list[int]:
    return [running.request_token(each).status_code for each in known]


def assert_rejected(response: Response, status: int, error: str) -> None:
    assert (response.status_code, response.json()["error"]) == (status, error), response.text
    assert set(response.json()) == {"error", "error_description"}
    assert not set(response.json()["error_description"]) & set('"\\')
    assert response.json()["error_description"].isascii()
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers.get("www-authenticate", "").startswith("Basic ") is (status == 401)


@pytest.mark.parametrize("kind", ClientKind)
def test_each_kind_gets_a_token_by_header_and_by_form(running: Running, kind: ClientKind) -> None:
    known = running.new(kind)
    by_form = running.client.post("/oauth/token", data={**FORM, "client_id": known.id, "client_secret": known.secret})
    for response in (running.request_token(known), by_form):
        content = response.json()
        assert (response.status_code, len(content.pop("access_token")) > 100) == (200, True)
        assert content == {"token_type": "Bearer", "expires_in": 600, "scope": format_scopes(scopes_of(kind))}
        assert (response.headers["cache-control"], response.headers["pragma"]) == ("no-store", "no-cache")


def test_a_client_can_request_fewer_scopes_but_no_others(running: Running, bank: Known) -> None:
    assert running.request_token(bank, scope="scores:read").json()["scope"] == "scores:read"
    assert running.request_token(bank, scope="scores:write scores:read").json()["scope"] == "scores:read scores:write"
    for scope in ("everything", "scores:read everything", "scores:read  scores:write", "SCORES:READ", "metrics:read"):
        assert_rejected(running.request_token(bank, scope=scope), 400, "invalid_scope")


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ("", "invalid_request"),
        ("grant_type=", "invalid_request"),
        ("scope=scores:read", "invalid_request"),
        ("grant_type=client_credentials&grant_type=client_credentials", "invalid_request"),
        ("grant_type=client_credentials&x=1&x=2", "invalid_request"),
        ("grant_type=client_credentials&scope=%ff", "invalid_request"),
        (b"grant_type=client_credentials&scope=\xff", "invalid_request"),
        ("grant_type=client_credentials&" + "&".join(f"f{i}=1" for i in range(60)), "invalid_request"),
        ("grant_type=password&username=a&password=b", "unsupported_grant_type"),
        ("grant_type=authorization_code&code=1", "unsupported_grant_type"),
        ("grant_type=client_credentials&client_secret=x", "invalid_request"),
        ("grant_type=client_credentials&client_id=bank-another", "invalid_request"),
        ("grant_type=client_credentials&client_assertion=x", "invalid_request"),
    ],
)
def test_an_invalid_form_is_rejected(running: Running, bank: Known, form: str | bytes, error: str) -> None:
    assert_rejected(post(running, form, basic(bank.id, bank.secret)), 400, error)


@pytest.mark.parametrize("media_type", ["application/json", "text/plain", "", "multipart/form-data; boundary=x"])
def test_a_body_that_is_not_a_form_is_rejected(running: Running, bank: Known, media_type: str) -> None:
    response = post(running, urlencode(FORM), basic(bank.id, bank.secret), media_type)
    assert_rejected(response, 400, "invalid_request")


def test_the_header_is_form_encoded_and_the_form_may_repeat_the_id(running: Running, bank: Known) -> None:
    form = urlencode({**FORM, "client_id": bank.id, "unknown": "is ignored", "scope": ""})
    encoded = "".join(f"%{ord(letter):02x}" for letter in bank.secret)
    assert post(running, form, basic(quote_plus(bank.id), encoded)).status_code == 200
    assert post(running, form, basic(bank.id, bank.secret).replace("Basic", "bASIC")).status_code == 200


def test_all_faults_of_credentials_get_the_same_response_and_cost_one_comparison(
    running: Running, bank: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    revoked, rotated = running.new(), running.new()
    running.revoke(revoked)
    rotate(running, rotated, 0, datetime.now(UTC))
    attempts = [
        (bank.id, bank.secret[:-1]),
        (bank.id, bank.secret[:-1] + ("A" if bank.secret[-1] != "A" else "B")),
        (bank.id, bank.secret + "A"),
        (bank.id, running.new().secret),
        (bank.id, ""),
        (UNKNOWN, bank.secret),
        ("someone", "something"),
        ("bank-\x00", "\x00"),
        ("", ""),
        (revoked.id, revoked.secret),
        (rotated.id, rotated.secret),
    ]
    compared: list[str | None] = []

    def verify(secrets: ClientSecrets, text: str, stored: str | None) -> bool:
        compared.append(stored)
        return original(secrets, text, stored)

    original = ClientSecrets.verify
    monkeypatch.setattr(ClientSecrets, "verify", verify)
    responses = [post(running, urlencode(FORM), basic(*each)) for each in attempts]
    assert len(compared) == len(attempts)
    responses += [post(running, urlencode(FORM), header) for header in ("Bearer x", "Basic", "Basic ???", "Basic YQ==")]
    responses += [post(running, urlencode(FORM)), post(running, urlencode({**FORM, "client_id": bank.id}))]
    for response in responses:
        assert_rejected(response, 401, "invalid_client")
    assert len({response.content for response in responses}) == 1


@pytest.mark.databases
def test_after_a_rotation_both_secrets_are_valid_until_the_old_one_expires(running: Running) -> None:
    bank, now = running.new(), datetime.now(UTC)
    second = rotate(running, bank, 24, now)
    assert statuses(running, bank, second) == [200, 200]
    third = rotate(running, bank, 24, now)
    with time_machine.travel(now + timedelta(hours=24, minutes=1), tick=True):
        assert statuses(running, bank, second, third) == [401, 401, 200]
    fourth = rotate(running, bank, 0, datetime.now(UTC))
    assert statuses(running, third, fourth) == [401, 200]


def test_a_later_rotation_does_not_extend_an_old_secret(running: Running) -> None:
    bank, engine, now = running.new(), running.services.engine, datetime.now(UTC)
    for hours in (1, 48):
        rotate(running, bank, hours, now)
    (owned,) = (each for client, each in clients.list_clients(engine, ClientKind.BANK).items() if client.id == bank.id)
    ends = sorted((each.expires_at - now) / timedelta(hours=1) for each in owned.secrets if each.expires_at is not None)
    assert ends == [1, 48]


def test_a_revocation_is_final_and_keeps_its_time(running: Running) -> None:
    bank, register, now = running.new(), register_of(running.services), datetime.now(UTC)
    first = register.revoke(ClientKind.BANK, bank.id, now)
    assert register.revoke(ClientKind.BANK, bank.id, now + timedelta(days=1)) == first
    with pytest.raises(AccessError, match="cannot be undone"):
        rotate(running, bank, 0, now)


def test_other_requests_do_not_wait_while_clients_are_authenticated(
    running: Running, bank: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    responded, in_time = threading.Event(), list[bool]()

    def verify(secrets: ClientSecrets, text: str, stored: str | None) -> bool:
        # only after another request was handled
        in_time.append(responded.wait(0 if False in in_time else 5))
        return original(secrets, text, stored)

    original = ClientSecrets.verify
    monkeypatch.setattr(ClientSecrets, "verify", verify)
    with ThreadPoolExecutor(33) as pool:
        requests = [pool.submit(running.request_token, bank) for _ in range(64)]
        live = running.client.get("/health/live")
        responded.set()
        responses = [request.result() for request in requests]
    assert live.status_code == 200
    assert {response.status_code for response in responses} == {200}
    assert len({response.json()["access_token"] for response in responses}) == 64
    assert in_time == [True] * 64


def test_the_published_keys_are_those_of_receipts_without_private_parts(running: Running) -> None:
    response = running.client.get("/.well-known/jwks.json")
    assert response.json() == running.services.receipts.jwks
    assert all("d" not in key for key in response.json()["keys"])
    assert "max-age" in response.headers["cache-control"]


FIELDS = st.sampled_from(
    ["grant_type", "scope", "client_id", "client_secret", "client_assertion", "client_assertion_type", "other"]
)
VALUES = st.sampled_from(["client_credentials", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", ""])
FORMS = st.lists(st.tuples(FIELDS, VALUES | st.text(max_size=40)), max_size=6).map(urlencode) | st.binary(max_size=80)
HEADERS = (
    st.binary(max_size=60)
    | st.tuples(st.sampled_from([b"Basic ", b"basic  ", b"Bearer ", b"Basic"]), st.binary(max_size=40)).map(b"".join)
    | st.binary(max_size=40).map(lambda content: b"Basic " + base64.b64encode(content))
).map(lambda value: value.translate(None, b"\r\n\x00").strip())
"""Headers that an HTTP library can send and a server accepts."""


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(form=FORMS, header=st.none() | HEADERS, media_type=st.sampled_from([FORM_TYPE, FORM_TYPE + "; x=y", "a/b"]))
def test_no_input_gets_a_token_or_makes_the_service_fail(
    running: Running, form: str | bytes, header: bytes | None, media_type: str
) -> None:
    response = post(running, form, header, media_type)
    assert response.status_code in {400, 401}, response.text
    assert_rejected(response, response.status_code, response.json()["error"])
    if header is not None:
        response = running.client.get("/v1/scores", headers={"Authorization": header})
        assert response.status_code == 401
        assert response.json()["type"] in {"/problems/not-authenticated", "/problems/invalid-token"}


def test_no_log_line_has_a_secret_or_a_token(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    bank = running.new()
    token = running.token(bank)
    form = urlencode({**FORM, "client_id": bank.id, "client_secret": bank.secret})
    post(running, form)
    post(running, form + "%zz", basic(bank.id, bank.secret))
    post(running, urlencode(FORM), basic(bank.id, bank.secret[:-1]))
    for bearer in (token, f"{token}x"):
        running.client.get("/v1/scores/x", headers={"Authorization": f"Bearer {bearer}"})
    secret = running.services.auth.secrets.new()
    created = register_of(running.services).create(
        ClientKind.BANK, "One more", credential=secret, now=datetime.now(UTC)
    )
    log = caplog.text + repr(created) + repr(secret)
    assert f"failed authentication of the client {bank.id}" in log
    assert "POST /oauth/token 200" in log
    hidden = [
        bank.secret,
        bank.secret[-43:-1],
        quote_plus(bank.secret),
        token,
        token.split(".")[2],
        str(created.secret),
    ]
    hidden.append(base64.b64encode(f"{bank.id}:{bank.secret}".encode()).decode())
    assert not [each for each in hidden if each in log]
