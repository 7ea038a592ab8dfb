"""`private_key_jwt`: a client signs with a key that it registered, for this service, for minutes, once."""

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

from api.auth import clients
from api.auth.credentials import public_key
from api.auth.scopes import ClientKind
from api.auth.token_request import ASSERTION_TYPE
from api.errors import AccessError
from api.kit.database import transaction
from tests.api.auth.conftest import FORM, Running

if TYPE_CHECKING:
    from httpx import Response

    Key = OKPKey | ECKey | RSAKey

KEYS: dict[str, Callable[[], Key]] = {
    "Ed25519": lambda: OKPKey.generate_key("Ed25519"),
    "ES256": lambda: ECKey.generate_key("P-256"),
    "PS256": lambda: RSAKey.generate_key(2048),
}


@dataclass(frozen=True)
class Signer:
    """A bank with its own key."""

    running: Running
    id: str
    key: Key
    algorithm: str = "Ed25519"
    header: dict[str, Any] = field(default_factory=dict)

    def signed(self, **claims: object) -> str:
        now = datetime.now(UTC).timestamp()
        usual = {"iss": self.id, "sub": self.id, "aud": self.running.services.auth.tokens.issuer + "/oauth/token"}
        said = {**usual, "exp": now + 240, "iat": now, "jti": str(uuid.uuid4()), **claims}
        payload = json.dumps({name: value for name, value in said.items() if value is not None})
        header = {"alg": self.algorithm, **self.header}
        return jws.serialize_compact(header, payload, self.key, algorithms=[self.algorithm])

    def asked(self, assertion: str, **form: str) -> Response:
        data = {**FORM, "client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion, **form}
        return self.running.client.post("/oauth/token", data=data)


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def registered(running: Running, algorithm: str = "Ed25519") -> Signer:
    key = KEYS[algorithm]()
    public = public_key(key.as_dict(private=False))
    made = clients.create_client(
        running.services.engine, ClientKind.BANK, "With a key", key=public, now=datetime.now(UTC)
    )
    assert made.secret is None
    return Signer(running, made.client.id, key, algorithm)


@pytest.fixture(scope="module")
def signer(running: Running) -> Signer:
    return registered(running)


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_signed_assertion_gets_a_token(running: Running, algorithm: str) -> None:
    signer = registered(running, algorithm)
    answer = signer.asked(signer.signed())
    assert answer.status_code == 200, answer.text
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    assert running.client.get(f"/v1/scores/{uuid.uuid4()}", headers=headers).status_code == 404
    assert signer.asked(signer.signed(), client_id=signer.id, scope="scores:read").json()["scope"] == "scores:read"


def test_the_older_name_of_ed25519_is_taken_too(signer: Signer) -> None:
    older = Signer(signer.running, signer.id, signer.key, "EdDSA", {"kid": "any", "x5t": "any"})
    with pytest.warns(match="EdDSA is deprecated"):
        assertion = older.signed()
    # and the service does not warn, which would fail this test
    assert signer.asked(assertion).status_code == 200


@pytest.mark.parametrize("audience", ["issuer", "endpoint", "list"])
def test_it_is_for_the_token_endpoint_or_the_issuer(signer: Signer, audience: str) -> None:
    issuer = signer.running.services.auth.tokens.issuer
    said = {"issuer": issuer, "endpoint": f"{issuer}/oauth/token", "list": ["https://elsewhere.example", issuer]}
    assert signer.asked(signer.signed(aud=said[audience])).status_code == 200


@pytest.mark.databases
def test_it_is_used_once(signer: Signer) -> None:
    assertion = signer.signed()
    assert signer.asked(assertion).status_code == 200
    again = signer.asked(assertion)
    assert (again.status_code, again.json()["error"]) == (401, "invalid_client")
    assert "already used" in again.json()["error_description"]
    same_jti = signer.signed(jti="once", aud=signer.running.services.auth.tokens.issuer)
    assert signer.asked(same_jti).status_code == 200
    assert signer.asked(signer.signed(jti="once")).status_code == 401
    other = registered(signer.running)
    assert other.asked(other.signed(jti="once")).status_code == 200


@pytest.mark.databases
def test_of_many_at_once_with_one_assertion_one_gets_a_token(signer: Signer) -> None:
    assertion = signer.signed()
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: signer.asked(assertion).status_code, range(12)))
    assert sorted(answers) == [200] + [401] * 11


@pytest.mark.databases
def test_what_has_expired_is_forgotten(signer: Signer) -> None:
    engine = signer.running.services.engine
    assert signer.asked(signer.signed()).status_code == 200
    with transaction(engine) as connection:
        connection.execute(text("UPDATE used_assertions SET expires_at = '2020-01-01 00:00:00.000000'"))
    assert signer.asked(signer.signed()).status_code == 200
    with transaction(engine) as connection:
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
        ({"exp": True}, "exp"),
        ({"jti": None}, "jti"),
        ({"jti": ""}, "jti"),
        ({"jti": "x" * 201}, "jti"),
        ({"jti": 7}, "jti"),
        ({"nbf": 4e9}, "nbf"),
        ({"iat": 4e9}, "iat"),
    ],
)
def test_who_signed_well_is_told_which_claim_is_wrong(signer: Signer, claims: dict[str, Any], named: str) -> None:
    answer = signer.asked(signer.signed(**claims))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert named in answer.json()["error_description"]


@pytest.mark.parametrize(("seconds", "status"), [(-1, 401), (30, 200), (299, 200), (310, 401)])
def test_it_ends_within_five_minutes(signer: Signer, seconds: float, status: int) -> None:
    assert signer.asked(signer.signed(exp=datetime.now(UTC).timestamp() + seconds)).status_code == status


def test_whoever_signed_with_another_key_hears_the_words_of_a_stranger(running: Running, signer: Signer) -> None:
    stranger = running.client.post("/oauth/token", data=FORM).json()
    thief = Signer(running, signer.id, OKPKey.generate_key("Ed25519"))
    elliptic = Signer(running, signer.id, ECKey.generate_key("P-256"), "ES256")
    symmetric = OctKey.import_key(json.dumps(signer.key.as_dict(private=False)) + " " * 40)
    header = {"alg": "HS256"}
    forged = jws.serialize_compact(header, json.dumps({"sub": signer.id}), symmetric, algorithms=["HS256"])
    unsigned = ".".join((_base64(b'{"alg":"none"}'), signer.signed().split(".")[1], ""))
    unknown = Signer(running, "bank-0000000000000000", signer.key)
    for assertion in (thief.signed(), elliptic.signed(), forged, unsigned, unknown.signed(), "a.b.c", "", "é"):
        answer = signer.asked(assertion, client_id=signer.id) if assertion == "" else signer.asked(assertion)
        assert (answer.status_code, answer.json()) == (401, stranger), assertion


def test_the_form_and_the_assertion_name_one_client(signer: Signer) -> None:
    other = registered(signer.running)
    assert signer.asked(signer.signed(), client_id=other.id).status_code == 401
    two_proofs = {"client_secret": "x"}
    assert signer.asked(signer.signed(), **two_proofs).json()["error"] == "invalid_request"
    wrong_type = signer.asked(signer.signed(), client_assertion_type="urn:other")
    assert wrong_type.json()["error"] == "invalid_request"


def test_a_bank_moves_from_a_secret_to_a_key_and_on_to_another_key(running: Running) -> None:
    known, engine, now = running.new(), running.services.engine, datetime.now(UTC)

    def rotated(hours: float) -> Signer:
        key = OKPKey.generate_key("Ed25519")
        public = public_key(key.as_dict(private=False))
        clients.rotate_credential(
            engine, ClientKind.BANK, known.id, key=public, overlap=timedelta(hours=hours), now=now
        )
        return Signer(running, known.id, key)

    first = rotated(1)
    assert running.asked(known).status_code == 200
    assert first.asked(first.signed()).status_code == 200
    second = rotated(0)
    assert running.asked(known).status_code == 401
    assert first.asked(first.signed()).status_code == 401
    assert second.asked(second.signed()).status_code == 200
    running.revoke(known)
    assert second.asked(second.signed()).status_code == 401


def test_a_key_that_comes_back_is_good_again(running: Running) -> None:
    signer, engine, now = registered(running), running.services.engine, datetime.now(UTC)
    public = public_key(signer.key.as_dict(private=False))
    clients.rotate_credential(engine, ClientKind.BANK, signer.id, key=public, overlap=timedelta(0), now=now)
    assert signer.asked(signer.signed()).status_code == 200


@pytest.mark.parametrize(
    ("given_key", "said"),
    [
        (lambda: OKPKey.generate_key("Ed25519").as_dict(private=True), "private"),
        (lambda: RSAKey.generate_key(2048).as_dict(private=True), "private"),
        (lambda: {"kty": "oct", "k": "AAAA"}, "private"),
        (lambda: {"kty": "RSA", "n": _base64(b"\xff" * 128), "e": "AQAB"}, "2048"),
        (lambda: ECKey.generate_key("P-521").as_dict(private=False), "P-256"),
        (lambda: OKPKey.generate_key("X25519").as_dict(private=False), "Ed25519"),
        (lambda: {"kty": "OKP", "crv": "Ed25519", "x": "!"}, "not a valid key"),
        (lambda: {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}, "not a valid key"),
        (lambda: {"kty": "OKP"}, "kty"),
        (lambda: {"kty": ["OKP"]}, "kty"),
        (lambda: {"keys": []}, "kty"),
        (list, "kty"),
        (lambda: 7, "kty"),
    ],
)
def test_a_key_that_may_not_be_registered_is_one_sentence(given_key: Callable[[], Any], said: str) -> None:
    with pytest.raises(AccessError, match=said):
        public_key(given_key())


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    claims=st.dictionaries(
        st.sampled_from(["iss", "sub", "aud", "exp", "nbf", "iat", "jti"]),
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9) | st.just([1]),
        min_size=1,
    )
)
def test_no_claims_make_it_fail(signer: Signer, claims: dict[str, Any]) -> None:
    answer = signer.asked(signer.signed(**claims))
    assert answer.status_code in {200, 401}, answer.text
