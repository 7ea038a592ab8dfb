"""Every endpoint, called as every kind of caller in every state: each is let in to its own, and nobody else is."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from api.auth.scopes import ClientKind, Scope, scopes_of
from api.auth.signing_keys import KeyRing
from api.auth.tokens import TYPE, AccessTokens
from api.ledger.receipts import verify_receipt
from tests.api.auth.conftest import Known, Running
from tests.api.conftest import SELLERS
from tests.api.started import consent

if TYPE_CHECKING:
    from httpx import Response

SOME_ID = "0b8f3f0e-2f0c-4e0b-9d3c-8a2b6a1f7c55"
OPEN = {
    ("POST", "/oauth/token"),
    ("GET", "/.well-known/jwks.json"),
    ("GET", "/health/live"),
    ("GET", "/health/ready"),
}
"""What anyone may call."""


@dataclass(frozen=True)
class Call:
    """An endpoint, whom it is for, and what it answers to them here."""

    method: str
    path: str
    kinds: frozenset[ClientKind]
    scope: Scope
    status: int
    body: object = None

    def made(self, running: Running, authorization: str | None) -> Response:
        headers = {} if authorization is None else {"Authorization": authorization}
        return running.client.request(
            self.method, re.sub(r"{\w+}", SOME_ID, self.path), json=self.body, headers=headers
        )


BANKS = frozenset({ClientKind.BANK})
PLATFORM = frozenset({ClientKind.PLATFORM})
OPERATORS = frozenset({ClientKind.OPERATOR})
DECIDED = {"outcome": "confirmed", "reason": "It is right."}
GOOD = {"seller_id": SELLERS[0], "purpose": "credit_application"}
AGREED = {**GOOD, "bank_id": "bank-nobody", "days": 90}
CALLS = (
    Call("POST", "/v1/scores", BANKS, Scope.SCORES_WRITE, 201, GOOD),
    Call("GET", "/v1/scores/{score_id}", BANKS, Scope.SCORES_READ, 404),
    Call("POST", "/v1/scores/{score_id}/replay", BANKS, Scope.SCORES_READ, 404),
    Call("GET", "/v1/sellers/{seller_id}/profile", BANKS, Scope.PROFILES_READ, 403),
    Call("GET", "/v1/sellers/{seller_id}/profile.html", BANKS, Scope.PROFILES_READ, 403),
    Call("POST", "/v1/consents", PLATFORM, Scope.CONSENTS_WRITE, 404, AGREED),
    Call("GET", "/v1/consents", BANKS | PLATFORM, Scope.CONSENTS_READ, 200),
    Call("GET", "/v1/consents/{consent_id}", BANKS | PLATFORM, Scope.CONSENTS_READ, 404),
    Call("DELETE", "/v1/consents/{consent_id}", PLATFORM, Scope.CONSENTS_WRITE, 404),
    Call("POST", "/v1/consent-requests", BANKS, Scope.CONSENT_REQUESTS_WRITE, 202, GOOD),
    Call("GET", "/v1/consent-requests", BANKS | PLATFORM, Scope.CONSENTS_READ, 200),
    Call("GET", "/v1/consent-requests/{request_id}", BANKS | PLATFORM, Scope.CONSENTS_READ, 404),
    Call("POST", "/v1/consent-requests/{request_id}/decline", PLATFORM, Scope.CONSENTS_WRITE, 404),
    Call("GET", "/metrics", OPERATORS, Scope.METRICS_READ, 200),
    Call("GET", "/v1/scores", BANKS, Scope.SCORES_READ, 200),
    Call("GET", "/v1/scores/{score_id}/changes", BANKS, Scope.SCORES_READ, 422),
    Call("GET", "/v1/scores/{score_id}/report", BANKS, Scope.SCORES_READ, 404),
    Call("GET", "/v1/model", BANKS | {ClientKind.OPERATOR}, Scope.MODEL_READ, 200),
    Call("GET", "/v1/reasons", BANKS | {ClientKind.OPERATOR}, Scope.MODEL_READ, 200),
    Call("POST", "/v1/seller-sessions", PLATFORM, Scope.SELLER_SESSIONS_WRITE, 201, {"seller_id": SELLERS[0]}),
    Call("GET", "/v1/reviews", OPERATORS, Scope.REVIEWS_READ, 200),
    Call("GET", "/v1/reviews/{review_id}", OPERATORS, Scope.REVIEWS_READ, 404),
    Call("POST", "/v1/reviews/{review_id}/take", OPERATORS, Scope.REVIEWS_WRITE, 404),
    Call("POST", "/v1/reviews/{review_id}/decision", OPERATORS, Scope.REVIEWS_WRITE, 404, DECIDED),
    Call("PUT", "/v1/products", BANKS, Scope.PRODUCTS_WRITE, 200, {"products": []}),
    Call("GET", "/v1/products", BANKS, Scope.PRODUCTS_READ, 200),
    Call("GET", "/v1/scores/{score_id}/eligibility", BANKS, Scope.PRODUCTS_READ, 404),
)
BROKEN: dict[str, Callable[[Running, Known, Path], str | None]] = {}


def broken(make: Callable[[Running, Known, Path], str | None]) -> Callable[[Running, Known, Path], str | None]:
    BROKEN[make.__name__] = make
    return make


def issued(
    running: Running,
    known: Known,
    ago: timedelta = timedelta(0),
    ring: KeyRing | None = None,
    scopes: frozenset[Scope] = frozenset(Scope),
) -> str:
    tokens = running.services.auth.tokens
    by = AccessTokens(ring or tokens.ring, tokens.issuer)
    return by.issue(known.id, known.kind, scopes, datetime.now(UTC) - ago)


def resigned(running: Running, token: str, kind: str = TYPE, **claims: object) -> str:
    payload = token.split(".")[1]
    said = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return running.services.auth.tokens.ring.sign(json.dumps({**said, **claims}).encode(), kind)


@broken
def no_token(*_: object) -> None:
    return None


@broken
def another_scheme(running: Running, known: Known, _: Path) -> str:
    return f"Basic {issued(running, known)}"


@broken
def expired(running: Running, known: Known, _: Path) -> str:
    return f"Bearer {issued(running, known, timedelta(minutes=10, seconds=1))}"


@broken
def foreign_key(running: Running, known: Known, folder: Path) -> str:
    return f"Bearer {issued(running, known, ring=KeyRing.open(folder))}"


@broken
def altered(running: Running, known: Known, _: Path) -> str:
    head, payload, signature = issued(running, known).split(".")
    said = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    said["exp"] += 3600
    longer = base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")
    return f"Bearer {head}.{longer}.{signature}"


@broken
def unsigned(running: Running, known: Known, _: Path) -> str:
    head = base64.urlsafe_b64encode(b'{"alg":"none","typ":"at+jwt"}').decode().rstrip("=")
    return f"Bearer {head}.{issued(running, known).split('.')[1]}."


@broken
def another_use(running: Running, known: Known, _: Path) -> str:
    return f"Bearer {resigned(running, issued(running, known), 'receipt+jws')}"


@broken
def another_issuer(running: Running, known: Known, _: Path) -> str:
    return f"Bearer {resigned(running, issued(running, known), iss='https://elsewhere.example')}"


@broken
def another_audience(running: Running, known: Known, _: Path) -> str:
    return f"Bearer {resigned(running, issued(running, known), aud='https://elsewhere.example')}"


@broken
def a_client_that_never_was(running: Running, known: Known, _: Path) -> str:
    return f"Bearer {issued(running, Known('bank-0000000000000000', '', known.kind))}"


@broken
def revoked(running: Running, known: Known, _: Path) -> str:
    other = running.new(known.kind)
    token = running.token(other)
    running.revoke(other)
    return f"Bearer {token}"


@pytest.fixture(scope="module")
def clients(running: Running) -> dict[ClientKind, Known]:
    found = {kind: running.new(kind) for kind in ClientKind}
    consent(running.services, found[ClientKind.BANK].id, SELLERS[0])
    return found


def test_every_endpoint_is_in_the_matrix(running: Running) -> None:
    paths = running.client.get("/openapi.json").json()["paths"]
    found = {(method.upper(), path) for path, item in paths.items() for method in item}
    assert found == OPEN | {(call.method, call.path) for call in CALLS}


@pytest.mark.parametrize("kind", ClientKind)
@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.method} {call.path}")
@pytest.mark.parametrize("state", BROKEN)
def test_a_token_that_is_none_is_refused_whoever_brings_it(
    running: Running, clients: dict[ClientKind, Known], tmp_path: Path, *, call: Call, kind: ClientKind, state: str
) -> None:
    response = call.made(running, BROKEN[state](running, clients[kind], tmp_path))
    missing = state in {"no_token", "another_scheme"}
    assert response.status_code == 401
    assert response.json()["type"] == ("/problems/not-authenticated" if missing else "/problems/invalid-token")
    assert response.headers["WWW-Authenticate"].startswith("Bearer ")
    assert ('error="invalid_token"' in response.headers["WWW-Authenticate"]) is not missing


@pytest.mark.parametrize("kind", ClientKind)
@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.method} {call.path}")
def test_each_kind_is_let_in_to_its_own_and_told_where_not(
    running: Running, clients: dict[ClientKind, Known], call: Call, kind: ClientKind
) -> None:
    # with every scope there is, so that the kind alone decides
    response = call.made(running, f"Bearer {issued(running, clients[kind])}")
    if kind in call.kinds:
        assert response.status_code == call.status, response.text
    else:
        assert (response.status_code, response.json()["type"]) == (403, "/problems/wrong-caller")


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.method} {call.path}")
def test_a_token_without_the_scope_is_told_which(
    running: Running, clients: dict[ClientKind, Known], call: Call
) -> None:
    for kind in call.kinds:
        # not asked for: where nothing is left, asking for nothing would give all
        others = issued(running, clients[kind], scopes=scopes_of(kind) - {call.scope})
        response = call.made(running, f"Bearer {others}")
        assert (response.status_code, response.json()["type"]) == (403, "/problems/insufficient-scope")
        said = response.headers["WWW-Authenticate"]
        assert 'error="insufficient_scope"' in said
        assert f'scope="{call.scope}"' in said


def test_a_second_bank_reads_another_banks_score_as_one_that_is_not(
    running: Running, clients: dict[ClientKind, Known]
) -> None:
    bank, second = clients[ClientKind.BANK], running.new()
    made = running.client.post("/v1/scores", json=GOOD, headers={"Authorization": f"Bearer {running.token(bank)}"})
    assert made.json()["bank_id"] == bank.id

    def answered(known: Known, method: str, path: str) -> Response:
        headers = {"Authorization": f"Bearer {running.token(known)}", "X-Request-Id": "same"}
        return running.client.request(method, path, headers=headers)

    assert answered(bank, "GET", made.headers["Location"]).content == made.content
    assert answered(bank, "POST", f"{made.headers['Location']}/replay").json()["matches"] is True
    for method, after in (
        ("GET", ""),
        ("POST", "/replay"),
        ("GET", "/eligibility"),
        ("GET", "/report"),
        ("GET", f"/changes?since={SOME_ID}"),
    ):
        anothers = answered(second, method, made.headers["Location"] + after)
        unknown = answered(second, method, f"/v1/scores/{SOME_ID}{after}")
        assert (anothers.status_code, anothers.content) == (404, unknown.content)


def test_each_bank_has_a_chain_of_its_own(running: Running) -> None:
    banks = [running.new(), running.new()]
    for bank in banks:
        consent(running.services, bank.id, SELLERS[0])
    # behind the consents for two purposes
    for position in (3, 4):
        for bank in banks:
            headers = {"Authorization": f"Bearer {running.token(bank)}"}
            answer = running.client.post("/v1/scores", json=GOOD, headers=headers).json()
            place = answer["ledger"]
            assert (answer["bank_id"], place["chain"], place["position"]) == (bank.id, bank.id, position)
            assert verify_receipt(json.dumps(answer).encode(), running.services.receipts.jwks).chain == bank.id


def test_a_client_is_refused_at_once_when_it_is_revoked_though_its_token_was_good(running: Running) -> None:
    bank = running.new()
    headers = {"Authorization": f"Bearer {running.token(bank)}"}
    assert running.client.get(f"/v1/scores/{SOME_ID}", headers=headers).status_code == 404
    running.revoke(bank)
    assert running.client.get(f"/v1/scores/{SOME_ID}", headers=headers).status_code == 401
    assert running.asked(bank).status_code == 401


@pytest.mark.parametrize("body", [b"{", b"[" * 20_000, b'{"seller_id": 7}'])
def test_who_is_refused_learns_nothing_of_the_body(
    running: Running, clients: dict[ClientKind, Known], body: bytes
) -> None:
    for token, status in (
        (running.token(clients[ClientKind.PLATFORM]), 403),
        (running.token(clients[ClientKind.BANK], scope="scores:read"), 403),
    ):
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        assert running.client.post("/v1/scores", content=body, headers=headers).status_code == status
