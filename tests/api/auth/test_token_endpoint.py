"""`POST /oauth/token`: as RFC 6749 has it, to the letter; whatever is sent, an answer and never a failure."""

from __future__ import annotations

import base64
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote_plus, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.auth import clients, credentials, token_grant
from api.auth.scopes import ClientKind, format_scopes, scopes_of
from api.errors import AccessError
from tests.api.auth.conftest import FORM, Known, Running

if TYPE_CHECKING:
    from httpx import Response

FORM_TYPE = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def bank(running: Running) -> Known:
    return running.new()


def post(
    running: Running, form: str | bytes, authorization: str | None = None, media_type: str = FORM_TYPE
) -> Response:
    headers = {"Content-Type": media_type} | ({} if authorization is None else {"Authorization": authorization})
    return running.client.post("/oauth/token", content=form, headers=headers)


def basic(client_id: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


def assert_refused(response: Response, status: int, error: str) -> None:
    assert (response.status_code, response.json()["error"]) == (status, error), response.text
    assert set(response.json()) == {"error", "error_description"}
    assert not set(response.json()["error_description"]) & set('"\\')
    assert response.json()["error_description"].isascii()
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert ("www-authenticate" in response.headers) is (status == 401)


@pytest.mark.parametrize("kind", ClientKind)
def test_each_kind_gets_a_token_by_header_and_by_form(running: Running, kind: ClientKind) -> None:
    known = running.new(kind)
    by_form = running.client.post("/oauth/token", data={**FORM, "client_id": known.id, "client_secret": known.secret})
    for answer in (running.asked(known), by_form):
        assert answer.status_code == 200
        assert set(answer.json()) == {"access_token", "token_type", "expires_in", "scope"}
        assert (answer.json()["token_type"], answer.json()["expires_in"]) == ("Bearer", 600)
        assert answer.json()["scope"] == format_scopes(scopes_of(kind))
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["pragma"] == "no-cache"


def test_a_client_asks_for_what_it_needs_and_gets_no_more(running: Running, bank: Known) -> None:
    assert running.asked(bank, scope="scores:read").json()["scope"] == "scores:read"
    assert running.asked(bank, scope="scores:write scores:read").json()["scope"] == "scores:read scores:write"
    for scope in ("everything", "scores:read everything", "scores:read  scores:write", "SCORES:READ"):
        assert_refused(running.asked(bank, scope=scope), 400, "invalid_scope")
    assert_refused(running.asked(running.new(ClientKind.PLATFORM), scope="scores:read"), 400, "invalid_scope")


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
def test_a_form_that_is_wrong_is_told_how(running: Running, bank: Known, form: str | bytes, error: str) -> None:
    assert_refused(post(running, form, basic(bank.id, bank.secret)), 400, error)


@pytest.mark.parametrize("media_type", ["application/json", "text/plain", "", "multipart/form-data; boundary=x"])
def test_another_body_than_a_form_is_told_so(running: Running, bank: Known, media_type: str) -> None:
    response = post(running, urlencode(FORM), basic(bank.id, bank.secret), media_type)
    assert_refused(response, 400, "invalid_request")


def test_what_is_inside_basic_is_form_encoded_and_a_known_id_beside_it_is_no_harm(
    running: Running, bank: Known
) -> None:
    form = urlencode({**FORM, "client_id": bank.id, "unknown": "is ignored", "scope": ""})
    encoded = "".join(f"%{ord(letter):02x}" for letter in bank.secret)
    assert post(running, form, basic(quote_plus(bank.id), encoded)).status_code == 200
    assert post(running, form, basic(bank.id, bank.secret).replace("Basic", "bASIC")).status_code == 200


def test_whatever_is_wrong_with_a_proof_the_words_are_the_same(running: Running, bank: Known) -> None:
    revoked, rotated = running.new(), running.new()
    running.revoke(revoked)
    clients.rotate_credential(
        running.services.engine, ClientKind.BANK, rotated.id, key=None, overlap=timedelta(0), now=datetime.now(UTC)
    )
    other = running.new()
    proofs = [
        (bank.id, bank.secret[:-1]),
        (bank.id, bank.secret[:-1] + ("A" if bank.secret[-1] != "A" else "B")),
        (bank.id, bank.secret + "A"),
        (bank.id, other.secret),
        (bank.id, ""),
        ("bank-0000000000000000", bank.secret),
        ("someone", "something"),
        ("bank-\x00", "\x00"),
        ("", ""),
        (revoked.id, revoked.secret),
        (rotated.id, rotated.secret),
    ]
    answers = [post(running, urlencode(FORM), basic(*proof)) for proof in proofs]
    answers += [post(running, urlencode(FORM), header) for header in ("Bearer x", "Basic", "Basic ???", "Basic YQ==")]
    answers += [post(running, urlencode(FORM)), post(running, urlencode({**FORM, "client_id": bank.id}))]
    for answer in answers:
        assert_refused(answer, 401, "invalid_client")
        assert answer.headers["www-authenticate"].startswith("Basic ")
    assert len({answer.content for answer in answers}) == 1


def test_an_unknown_client_costs_the_same_comparison(
    running: Running, bank: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[bool] = []

    def matches(text: str, kept: str | None) -> bool:
        compared.append(kept is not None)
        return credentials.verify_secret(text, kept)

    monkeypatch.setattr(token_grant, "verify_secret", matches)
    other = bank.secret[:-1] + ("A" if bank.secret[-1] != "A" else "B")
    attempts = [(bank.id, bank.secret[:-1] + "~"), (bank.id, other), ("bank-0000000000000000", bank.secret), ("no", "")]
    for client_id, secret in attempts:
        assert post(running, urlencode(FORM), basic(client_id, secret)).status_code == 401
    assert len(compared) == len(attempts)


@pytest.mark.databases
def test_after_a_rotation_both_secrets_are_good_until_the_old_one_ends(running: Running) -> None:
    bank, engine, now = running.new(), running.services.engine, datetime.now(UTC)

    def rotate(at: datetime, hours: float) -> Known:
        overlap = timedelta(hours=hours)
        made = clients.rotate_credential(engine, ClientKind.BANK, bank.id, key=None, overlap=overlap, now=at)
        assert made.old_until == at + overlap
        assert made.secret is not None
        return Known(bank.id, made.secret, ClientKind.BANK)

    second = rotate(now, 24)
    assert [running.asked(each).status_code for each in (bank, second)] == [200, 200]
    # a day and a minute ago, as if time had passed
    third = rotate(now - timedelta(hours=24, minutes=1), 24)
    assert [running.asked(each).status_code for each in (bank, second, third)] == [401, 401, 200]
    fourth = rotate(now, 0)
    assert [running.asked(each).status_code for each in (third, fourth)] == [401, 200]


def test_a_later_rotation_does_not_lengthen_an_old_secrets_life(running: Running) -> None:
    bank, engine, now = running.new(), running.services.engine, datetime.now(UTC)
    for hours in (1, 48):
        clients.rotate_credential(engine, ClientKind.BANK, bank.id, key=None, overlap=timedelta(hours=hours), now=now)
    (held,) = (held for client, held in clients.list_clients(engine, ClientKind.BANK).items() if client.id == bank.id)
    ends = sorted((each.expires_at - now) / timedelta(hours=1) for each in held.secrets if each.expires_at is not None)
    assert ends == [1, 48]


def test_who_is_revoked_is_so_for_good_and_its_moment_stays(running: Running) -> None:
    bank, engine, now = running.new(), running.services.engine, datetime.now(UTC)
    first = clients.revoke_client(engine, ClientKind.BANK, bank.id, now)
    assert clients.revoke_client(engine, ClientKind.BANK, bank.id, now + timedelta(days=1)) == first
    with pytest.raises(AccessError, match="cannot be undone"):
        clients.rotate_credential(engine, ClientKind.BANK, bank.id, key=None, overlap=timedelta(0), now=now)


def test_many_at_once_all_get_a_token_and_scores_do_not_wait_for_them(
    running: Running, bank: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered, held = threading.Event(), list[bool]()

    class Slow:
        """Compares secrets only after another request was answered."""

        def verify(self, *secrets: str) -> bool:
            held.append(answered.wait(0 if False in held else 5))
            return hasher.verify(*secrets)

    hasher = credentials._hasher
    monkeypatch.setattr(credentials, "_hasher", Slow())
    with ThreadPoolExecutor(33) as pool:
        asked = [pool.submit(running.asked, bank) for _ in range(64)]
        live = running.client.get("/health/live")
        answered.set()
        answers = [each.result() for each in asked]
    assert live.status_code == 200
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["access_token"] for answer in answers}) == 64
    assert held == [True] * 64


def test_keys_are_published_without_their_private_half(running: Running) -> None:
    answer = running.client.get("/.well-known/jwks.json")
    assert answer.json() == running.services.receipts.jwks
    assert all("d" not in key for key in answer.json()["keys"])
    assert "max-age" in answer.headers["cache-control"]


TEXTS = st.text(max_size=40)
FIELDS = st.sampled_from(
    ["grant_type", "scope", "client_id", "client_secret", "client_assertion", "client_assertion_type", "other"]
)
VALUES = st.sampled_from(["client_credentials", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", ""]) | TEXTS
FORMS = st.lists(st.tuples(FIELDS, VALUES), max_size=6).map(urlencode) | st.binary(max_size=80)
HEADERS = (
    st.none()
    | st.binary(max_size=60)
    | st.tuples(st.sampled_from([b"Basic ", b"basic  ", b"Bearer ", b"Basic"]), st.binary(max_size=40)).map(b"".join)
    | st.binary(max_size=40).map(lambda inner: b"Basic " + base64.b64encode(inner))
)


def _sendable(value: bytes) -> bytes:
    # what no HTTP library would send, or no server let through
    return bytes(byte for byte in value if byte not in b"\r\n\x00").strip()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(form=FORMS, header=HEADERS, media_type=st.sampled_from([FORM_TYPE, FORM_TYPE + "; charset=utf-8", "a/b"]))
def test_nothing_that_is_sent_gets_a_token_or_makes_it_fail(
    running: Running, form: str | bytes, header: bytes | None, media_type: str
) -> None:
    headers: dict[str, str | bytes] = {"Content-Type": media_type}
    if header is not None:
        headers["Authorization"] = _sendable(header)
    response = running.client.post("/oauth/token", content=form, headers=headers)
    assert response.status_code in {400, 401}, response.text
    assert_refused(response, response.status_code, response.json()["error"])


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(header=HEADERS.filter(lambda value: value is not None))
def test_no_header_lets_a_stranger_in(running: Running, header: bytes) -> None:
    response = running.client.get(
        "/v1/scores/0b8f3f0e-2f0c-4e0b-9d3c-8a2b6a1f7c55", headers={"Authorization": _sendable(header)}
    )
    assert response.status_code == 401
    assert response.json()["type"] in {"/problems/not-authenticated", "/problems/invalid-token"}


def test_no_secret_and_no_token_is_in_any_line_of_the_log(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    bank = running.new()
    token = running.token(bank)
    form = urlencode({**FORM, "client_id": bank.id, "client_secret": bank.secret})
    post(running, form)
    post(running, form + "%zz", basic(bank.id, bank.secret))
    post(running, urlencode(FORM), basic(bank.id, bank.secret[:-1]))
    running.client.get("/v1/scores/x", headers={"Authorization": f"Bearer {token}x"})
    running.client.get("/v1/scores/x", headers={"Authorization": f"Bearer {token}"})
    made = clients.create_client(running.services.engine, ClientKind.BANK, "One more", now=datetime.now(UTC))
    written = caplog.text + repr(made)
    assert f"failed authentication of the client {bank.id}" in written
    assert "POST /oauth/token 200" in written
    hidden = [bank.secret, bank.secret[-43:-1], quote_plus(bank.secret), token, token.split(".")[2], str(made.secret)]
    hidden.append(base64.b64encode(f"{bank.id}:{bank.secret}".encode()).decode())
    assert not [each for each in hidden if each in written]
