"""`private_key_jwt`: assertions that a client signs with its registered key, valid once and for minutes."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from sqlalchemy import text

from api.auth.credentials import PublicKey, public_key
from api.auth.scopes import ClientKind
from api.auth.token_request import ASSERTION_TYPE
from api.errors import AccessError
from api.kit.database import transaction
from tests.api.auth.conftest import FORM, Running
from tests.api.started import register_of

if TYPE_CHECKING:
    from httpx import Response

    Key = OKPKey | ECKey | RSAKey

KEYS: dict[str, Callable[[], Key]] = {
    "Ed25519": lambda: OKPKey.generate_key("Ed25519"),
    "ES256": lambda: ECKey.generate_key("P-256"),
    "PS256": lambda: RSAKey.generate_key(2048),
}


def public(key: Key) -> PublicKey:
    return public_key(key.as_dict(private=False))


@dataclass(frozen=True)
class Signer:
    """A client and its private key."""

    running: Running
    id: str
    key: Key
    algorithm: str = "Ed25519"
    header: dict[str, Any] = field(default_factory=dict)

    def sign(self, **claims: object) -> str:
        """Return an assertion with valid claims, some of them replaced, or left out with None."""
        now = datetime.now(UTC).timestamp()
        valid = {"iss": self.id, "sub": self.id, "aud": self.running.services.auth.tokens.issuer + "/oauth/token"}
        merged = {**valid, "exp": now + 240, "iat": now, "jti": str(uuid.uuid4()), **claims}
        payload = json.dumps({name: value for name, value in merged.items() if value is not None})
        header = {"alg": self.algorithm, **self.header}
        return jws.serialize_compact(header, payload, self.key, algorithms=[self.algorithm])

    def post(self, assertion: str, **form: str) -> Response:
        data = {**FORM, "client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion, **form}
        return self.running.client.post("/oauth/token", data=data)

    def status(self, **claims: object) -> int:
        """Return the status of a request with a new assertion."""
        return self.post(self.sign(**claims)).status_code


def register(running: Running, algorithm: str = "Ed25519") -> Signer:
    key = KEYS[algorithm]()
    created = register_of(running.services).create(
        ClientKind.BANK, "With a key", credential=public(key), now=datetime.now(UTC)
    )
    assert created.secret is None
    return Signer(running, created.client.id, key, algorithm)


@pytest.fixture(scope="module")
def signer(running: Running) -> Signer:
    return register(running)


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_signed_assertion_gets_a_token(running: Running, algorithm: str) -> None:
    signer = register(running, algorithm)
    response = signer.post(signer.sign())
    assert response.status_code == 200, response.text
    headers = {"Authorization": f"Bearer {response.json()['access_token']}"}
    assert running.client.get(f"/v1/scores/{uuid.uuid4()}", headers=headers).status_code == 404
    assert signer.post(signer.sign(), client_id=signer.id, scope="scores:read").json()["scope"] == "scores:read"


def test_the_former_name_of_ed25519_is_accepted(signer: Signer) -> None:
    former = Signer(signer.running, signer.id, signer.key, "EdDSA", {"kid": "any", "x5t": "any"})
    with pytest.warns(match="EdDSA is deprecated"):
        assertion = former.sign()
    # the service itself does not warn, which would fail this test
    assert signer.post(assertion).status_code == 200


@pytest.mark.databases
def test_an_assertion_works_once(signer: Signer) -> None:
    assertion, issuer = signer.sign(), signer.running.services.auth.tokens.issuer
    with ThreadPoolExecutor(12) as pool:
        responses = list(pool.map(lambda _: signer.post(assertion), range(12)))
    assert sorted(response.status_code for response in responses) == [200] + [401] * 11
    replay = signer.post(assertion).json()
    assert (replay["error"], "already used" in replay["error_description"]) == ("invalid_client", True)
    assert [signer.status(jti="once", aud=issuer), signer.status(jti="once")] == [200, 401]
    assert register(signer.running).status(jti="once") == 200


@pytest.mark.databases
def test_expired_uses_are_deleted(signer: Signer) -> None:
    assert signer.status() == 200
    with transaction(signer.running.services.engine) as connection:
        connection.execute(text("UPDATE used_assertions SET expires_at = '2020-01-01 00:00:00.000000'"))
    assert signer.status() == 200
    with transaction(signer.running.services.engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM used_assertions")).scalar_one() == 1


@pytest.mark.parametrize(
    ("claims", "named"),
    [
        ({"iss": "bank-0000000000000000"}, "iss and sub"),
        ({"iss": None}, "iss and sub"),
        ({"aud": "https://elsewhere.example/oauth/token"}, "aud"),
        ({"aud": None}, "http://127.0.0.1:8000 or http://127.0.0.1:8000/oauth/token"),
        ({"aud": []}, "aud"),
        ({"aud": {"a": 1}}, "aud"),
        ({"exp": None}, "exp"),
        ({"exp": 0}, "exp"),
        ({"exp": "soon"}, "exp"),
        ({"exp": 1e300}, "exp"),
        ({"exp": float("nan")}, "exp"),
        ({"exp": True}, "exp"),
        ({"jti": None}, "jti"),
        ({"jti": ""}, "jti"),
        ({"jti": "x" * 201}, "jti"),
        ({"jti": 7}, "jti"),
        ({"nbf": 4e9}, "nbf"),
        ({"iat": 4e9}, "iat"),
    ],
)
def test_an_invalid_claim_is_named(signer: Signer, claims: dict[str, Any], named: str) -> None:
    response = signer.post(signer.sign(**claims))
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")
    assert named in response.json()["error_description"]


@pytest.mark.parametrize(("seconds", "status"), [(-1, 401), (30, 200), (299, 200), (310, 401)])
def test_an_assertion_expires_within_five_minutes(signer: Signer, seconds: float, status: int) -> None:
    assert signer.status(exp=datetime.now(UTC).timestamp() + seconds) == status


def test_the_audience_is_the_token_endpoint_or_the_issuer(signer: Signer) -> None:
    issuer = signer.running.services.auth.tokens.issuer
    for audience in (issuer, f"{issuer}/oauth/token", ["https://elsewhere.example", issuer]):
        assert signer.status(aud=audience) == 200


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    claims=st.dictionaries(
        st.sampled_from(["iss", "sub", "aud", "exp", "nbf", "iat", "jti"]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.just([1]),
        min_size=1,
    )
)
def test_no_claims_make_the_service_fail(signer: Signer, claims: dict[str, Any]) -> None:
    assert signer.status(**claims) in {200, 401}


def encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def test_a_signature_of_another_key_gets_the_response_of_an_unknown_client(running: Running, signer: Signer) -> None:
    unknown = running.client.post("/oauth/token", data=FORM).json()
    symmetric = OctKey.import_key(json.dumps(signer.key.as_dict(private=False)) + " " * 40)
    claims = json.dumps({"sub": signer.id})
    for assertion in (
        Signer(running, signer.id, OKPKey.generate_key("Ed25519")).sign(),
        Signer(running, signer.id, ECKey.generate_key("P-256"), "ES256").sign(),
        Signer(running, "bank-0000000000000000", signer.key).sign(),
        jws.serialize_compact({"alg": "HS256"}, claims, symmetric, algorithms=["HS256"]),
        ".".join((encode(b'{"alg":"none"}'), signer.sign().split(".")[1], "")),
        "a.b.c",
        "é",
    ):
        response = signer.post(assertion)
        assert (response.status_code, response.json()) == (401, unknown), assertion
    assert signer.post("", client_id=signer.id).json() == unknown


def test_the_form_and_the_assertion_name_one_client(signer: Signer) -> None:
    assert signer.post(signer.sign(), client_id=register(signer.running).id).status_code == 401
    for form in ({"client_secret": "x"}, {"client_assertion_type": "urn:other"}):
        assert signer.post(signer.sign(), **form).json()["error"] == "invalid_request"


def test_a_bank_moves_from_a_secret_to_a_key_and_to_another_key(running: Running) -> None:
    known, register, now = running.new(), register_of(running.services), datetime.now(UTC)

    def rotate(key: Key, hours: float) -> Signer:
        overlap = timedelta(hours=hours)
        register.rotate(ClientKind.BANK, known.id, credential=public(key), overlap=overlap, now=now)
        return Signer(running, known.id, key)

    first = rotate(OKPKey.generate_key("Ed25519"), 1)
    assert (running.request_token(known).status_code, first.status()) == (200, 200)
    second = rotate(OKPKey.generate_key("Ed25519"), 0)
    assert (running.request_token(known).status_code, first.status(), second.status()) == (401, 401, 200)
    # a former key can be registered again
    assert (rotate(first.key, 0).status(), second.status()) == (200, 401)
    running.revoke(known)
    assert first.status() == 401


@pytest.mark.parametrize(
    ("jwk", "message"),
    [
        (lambda: OKPKey.generate_key("Ed25519").as_dict(private=True), "private"),
        (lambda: RSAKey.generate_key(2048).as_dict(private=True), "private"),
        (lambda: {"kty": "oct", "k": "AAAA"}, "private"),
        (lambda: {"kty": "RSA", "n": encode(b"\xff" * 128), "e": "AQAB"}, "2048"),
        (lambda: ECKey.generate_key("P-521").as_dict(private=False), "P-256"),
        (lambda: OKPKey.generate_key("X25519").as_dict(private=False), "Ed25519"),
        (lambda: {"kty": "OKP", "crv": "Ed25519", "x": "!"}, "not a valid key"),
        (lambda: {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}, "not a valid key"),
        (lambda: {"kty": "OKP"}, "kty"),
        (lambda: {"kty": ["OKP"]}, "kty"),
        (list, "kty"),
    ],
)
def test_a_key_that_is_not_allowed_is_rejected(jwk: Callable[[], Any], message: str) -> None:
    with pytest.raises(AccessError, match=message):
        public_key(jwk())
