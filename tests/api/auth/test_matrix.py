"""Every endpoint, called by each kind of client with every kind of token: only the intended callers pass."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

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
OPEN = {("POST", "/oauth/token"), ("GET", "/.well-known/jwks.json"), ("GET", "/health/live"), ("GET", "/health/ready")}
"""The calls that need no token."""


@dataclass(frozen=True)
class Call:
    """An endpoint, the kinds of client and the scope that it requires, and its status for them here."""

    method: str
    path: str
    kinds: frozenset[ClientKind]
    scope: Scope
    status: int
    body: object = None

    def send(self, running: Running, authorization: str | None) -> Response:
        headers = {} if authorization is None else {"Authorization": authorization}
        path = re.sub(r"{\w+}", SOME_ID, self.path)
        return running.client.request(self.method, path, json=self.body, headers=headers)


BANKS = frozenset({ClientKind.BANK})
PLATFORM = frozenset({ClientKind.PLATFORM})
OPERATORS = frozenset({ClientKind.OPERATOR})
DECISION = {"outcome": "confirmed", "reason": "It is right."}
GOOD = {"seller_id": SELLERS[0], "purpose": "credit_application"}
CONSENT = {**GOOD, "bank_id": "bank-nobody", "days": 90}
CALLS = (
    Call("POST", "/v1/scores", BANKS, Scope.SCORES_WRITE, 201, GOOD),
    Call("GET", "/v1/scores/{score_id}", BANKS, Scope.SCORES_READ, 404),
    Call("POST", "/v1/scores/{score_id}/replay", BANKS, Scope.SCORES_READ, 404),
    Call("GET", "/v1/sellers/{seller_id}/profile", BANKS, Scope.PROFILES_READ, 403),
    Call("GET", "/v1/sellers/{seller_id}/profile.html", BANKS, Scope.PROFILES_READ, 403),
    Call("POST", "/v1/consents", PLATFORM, Scope.CONSENTS_WRITE, 404, CONSENT),
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
    Call("POST", "/v1/reviews/{review_id}/preview", OPERATORS, Scope.REVIEWS_WRITE, 404, {"value": 0.1}),
    Call("POST", "/v1/reviews/{review_id}/reversal", OPERATORS, Scope.REVIEWS_WRITE, 404, {"reason": "It was right."}),
    Call("POST", "/v1/reviews/{review_id}/decision", OPERATORS, Scope.REVIEWS_WRITE, 404, DECISION),
    Call("PUT", "/v1/products", BANKS, Scope.PRODUCTS_WRITE, 200, {"products": []}),
    Call("GET", "/v1/products", BANKS, Scope.PRODUCTS_READ, 200),
    Call("GET", "/v1/scores/{score_id}/eligibility", BANKS, Scope.PRODUCTS_READ, 404),
)
each_call = pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.method} {call.path}")
each_kind = pytest.mark.parametrize("kind", ClientKind)


def issue(tokens: AccessTokens, known: Known, scopes: frozenset[Scope] = frozenset(Scope), age: float = 0) -> str:
    return tokens.issue(known.id, known.kind, scopes, datetime.now(UTC) - timedelta(seconds=age))


def decode(part: str) -> dict[str, Any]:
    return dict(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))))


def encode(content: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


@pytest.fixture(scope="module")
def clients(running: Running) -> dict[ClientKind, Known]:
    clients = {kind: running.new(kind) for kind in ClientKind}
    consent(running.services, clients[ClientKind.BANK].id, SELLERS[0])
    return clients


@pytest.fixture(scope="module")
def invalid_tokens(
    running: Running, clients: dict[ClientKind, Known], tmp_path_factory: pytest.TempPathFactory
) -> dict[ClientKind, dict[str, str]]:
    """Tokens that no endpoint accepts, by kind of client and by fault."""
    tokens = running.services.auth.tokens
    foreign = AccessTokens(KeyRing.open(tmp_path_factory.mktemp("keys")), tokens.issuer)
    found = {}
    for kind, known in clients.items():
        head, payload, signature = issue(tokens, known).split(".")
        claims, revoked = decode(payload), running.new(kind)
        found[kind] = {
            "expired": issue(tokens, known, age=601),
            "foreign key": issue(foreign, known),
            "altered": f"{head}.{encode({**claims, 'exp': claims['exp'] + 3600})}.{signature}",
            "unsigned": f"{encode({'alg': 'none', 'typ': TYPE})}.{payload}.",
            "another use": tokens.ring.sign(json.dumps(claims).encode(), "receipt+jws"),
            "another issuer": tokens.ring.sign(json.dumps({**claims, "iss": "https://other.example"}).encode(), TYPE),
            "another audience": tokens.ring.sign(json.dumps({**claims, "aud": "https://other.example"}).encode(), TYPE),
            "unknown client": issue(tokens, Known("bank-0000000000000000", "", kind)),
            "revoked client": running.token(revoked),
        }
        running.revoke(revoked)
    return found


def test_the_matrix_has_every_endpoint_with_its_scope(running: Running) -> None:
    paths = running.client.get("/openapi.json").json()["paths"]
    described = {
        (method.upper(), path): item[method].get("security") for path, item in paths.items() for method in item
    }
    assert described.pop(("POST", "/oauth/token")) == [{"client": []}, {}]
    assert described == {(call.method, call.path): [{"oauth2": [str(call.scope)]}] for call in CALLS} | dict.fromkeys(
        OPEN - {("POST", "/oauth/token")}
    )


@each_kind
@each_call
def test_an_invalid_token_is_rejected(
    running: Running, invalid_tokens: dict[ClientKind, dict[str, str]], call: Call, kind: ClientKind
) -> None:
    faults = {fault: f"Bearer {token}" for fault, token in invalid_tokens[kind].items()}
    missing = {"no token": None, "another scheme": f"Basic {invalid_tokens[kind]['expired']}"}
    for fault, authorization in (faults | missing).items():
        response = call.send(running, authorization)
        slug = "not-authenticated" if fault in missing else "invalid-token"
        assert (response.status_code, response.json()["type"]) == (401, f"/problems/{slug}"), fault
        challenge = response.headers["WWW-Authenticate"]
        assert challenge.startswith("Bearer ")
        assert ('error="invalid_token"' in challenge) is (fault not in missing)


@each_kind
@each_call
def test_only_the_intended_kinds_pass(
    running: Running, clients: dict[ClientKind, Known], call: Call, kind: ClientKind
) -> None:
    # with every scope, so that the kind alone decides
    response = call.send(running, f"Bearer {issue(running.services.auth.tokens, clients[kind])}")
    if kind in call.kinds:
        assert response.status_code == call.status, response.text
    else:
        assert (response.status_code, response.json()["type"]) == (403, "/problems/wrong-caller")


@each_call
def test_a_token_without_the_scope_is_rejected_with_its_name(
    running: Running, clients: dict[ClientKind, Known], call: Call
) -> None:
    for kind in call.kinds:
        others = issue(running.services.auth.tokens, clients[kind], scopes_of(kind) - {call.scope})
        response = call.send(running, f"Bearer {others}")
        assert (response.status_code, response.json()["type"]) == (403, "/problems/insufficient-scope")
        assert f'error="insufficient_scope", scope="{call.scope}"' in response.headers["WWW-Authenticate"]


def test_a_score_of_another_bank_looks_like_an_unknown_score(
    running: Running, clients: dict[ClientKind, Known]
) -> None:
    bank, second = (
        {"Authorization": f"Bearer {running.token(each)}", "X-Request-Id": "same"}
        for each in (clients[ClientKind.BANK], running.new())
    )
    created = running.client.post("/v1/scores", json=GOOD, headers=bank)
    location = created.headers["Location"]
    assert running.client.get(location, headers=bank).content == created.content
    assert running.client.post(f"{location}/replay", headers=bank).json()["matches"] is True
    for method, suffix in (
        ("GET", ""),
        ("POST", "/replay"),
        ("GET", "/eligibility"),
        ("GET", "/report"),
        ("GET", f"/changes?since={SOME_ID}"),
    ):
        other = running.client.request(method, location + suffix, headers=second)
        unknown = running.client.request(method, f"/v1/scores/{SOME_ID}{suffix}", headers=second)
        assert (other.status_code, other.content) == (404, unknown.content)


def test_each_bank_has_its_own_chain(running: Running) -> None:
    banks = [running.new(), running.new()]
    for bank in banks:
        consent(running.services, bank.id, SELLERS[0])
    # positions 1 and 2 are the consents for two purposes
    for position in (3, 4):
        for bank in banks:
            headers = {"Authorization": f"Bearer {running.token(bank)}"}
            score = running.client.post("/v1/scores", json=GOOD, headers=headers).json()
            entry = score["ledger"]
            assert (score["bank_id"], entry["chain"], entry["position"]) == (bank.id, bank.id, position)
            assert verify_receipt(json.dumps(score).encode(), running.services.receipts.jwks).chain == bank.id


def test_a_client_is_rejected_from_its_revocation_on(running: Running) -> None:
    bank = running.new()
    headers = {"Authorization": f"Bearer {running.token(bank)}"}
    assert running.client.get(f"/v1/scores/{SOME_ID}", headers=headers).status_code == 404
    running.revoke(bank)
    assert running.client.get(f"/v1/scores/{SOME_ID}", headers=headers).status_code == 401
    assert running.request_token(bank).status_code == 401


@pytest.mark.parametrize("body", [b"{", b"[" * 20_000, b'{"seller_id": 7}'])
def test_a_caller_without_access_learns_nothing_about_the_body(
    running: Running, clients: dict[ClientKind, Known], body: bytes
) -> None:
    for token in (
        running.token(clients[ClientKind.PLATFORM]),
        running.token(clients[ClientKind.BANK], scope="scores:read"),
    ):
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        assert running.client.post("/v1/scores", content=body, headers=headers).status_code == 403
