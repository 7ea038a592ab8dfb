"""Access tokens: claims, lifetime, key rotation, the cache of verified tokens, and scopes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fastapi import APIRouter
from joserfc import jwt
from joserfc.jwk import OKPKey

import api.auth.tokens
from api.auth.callers import AuthenticatedRoute
from api.auth.scopes import ClientKind, Scope, format_scopes, scopes_of
from api.auth.signing_keys import KeyRing
from api.auth.tokens import AccessTokens, Claims
from api.errors import InvalidToken

NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
ISSUER = "https://score.example"


@pytest.fixture
def tokens(tmp_path: Path) -> AccessTokens:
    return AccessTokens(KeyRing.open(tmp_path / "keys"), ISSUER)


def issue(tokens: AccessTokens) -> str:
    return tokens.issue("bank-1", ClientKind.BANK, frozenset({Scope.SCORES_READ}), NOW)


def test_another_library_reads_a_token_with_the_published_key(tokens: AccessTokens) -> None:
    public = tokens.ring.jwks["keys"][0]
    token = jwt.decode(issue(tokens), OKPKey.import_key(public), algorithms=["Ed25519"])
    assert token.header == {"alg": "Ed25519", "kid": public["kid"], "typ": "at+jwt"}
    assert len(token.claims.pop("jti")) >= 16
    assert token.claims == {
        "iss": ISSUER,
        "aud": ISSUER,
        "sub": "bank-1",
        "client_id": "bank-1",
        "client_kind": "bank",
        "scope": "scores:read",
        "iat": int(NOW.timestamp()),
        "exp": int(NOW.timestamp()) + 600,
    }
    assert len({issue(tokens) for _ in range(50)}) == 50


def test_a_token_is_valid_for_ten_minutes_also_if_it_is_cached(tokens: AccessTokens) -> None:
    token = issue(tokens)
    claims = Claims("bank-1", ClientKind.BANK, frozenset({Scope.SCORES_READ}), NOW.timestamp() + 600)
    for seconds in (0, 599):
        assert tokens.read(token, NOW + timedelta(seconds=seconds)) == claims
    with pytest.raises(InvalidToken):
        tokens.read(token, NOW + timedelta(seconds=600))


def test_a_token_survives_the_rotation_of_its_key(tokens: AccessTokens, tmp_path: Path) -> None:
    rotated = AccessTokens(KeyRing.rotate(tmp_path / "keys", NOW), ISSUER)
    assert rotated.read(issue(tokens), NOW).client_id == "bank-1"
    with pytest.raises(InvalidToken):
        tokens.read(issue(rotated), NOW)


def test_the_cache_of_verified_tokens_is_bounded(tokens: AccessTokens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.auth.tokens, "_CACHE_SIZE", 3)
    tokens = AccessTokens(tokens.ring, tokens.issuer)
    issued = [issue(tokens) for _ in range(5)]
    for token in issued:
        tokens.read(token, NOW)
    verified: list[str] = []
    verify = tokens._verify
    monkeypatch.setattr(tokens, "_verify", lambda token: (verified.append(token), verify(token))[1])
    for token in reversed(issued):
        tokens.read(token, NOW)
    assert verified == issued[1::-1]


@pytest.mark.parametrize(
    "claims",
    [{"iss": None}, {"scope": 7}, {"scope": "everything"}, {"client_kind": "king"}, {"exp": None}, {"exp": "soon"}],
)
def test_a_signed_token_with_invalid_claims_is_rejected(tokens: AccessTokens, claims: dict[str, object]) -> None:
    valid = {"iss": ISSUER, "aud": ISSUER, "sub": "b", "client_kind": "bank", "scope": "", "exp": 9e9}
    assert tokens.read(tokens.ring.sign(json.dumps(valid).encode(), "at+jwt"), NOW).client_id == "b"
    for content in ({**valid, **claims}, {}, []):
        with pytest.raises(InvalidToken):
            tokens.read(tokens.ring.sign(json.dumps(content).encode(), "at+jwt"), NOW)


@pytest.mark.parametrize("token", ["", "x", "é.é.é", "a" * 5_000, "\ud800"])
def test_other_text_is_rejected(tokens: AccessTokens, token: str) -> None:
    with pytest.raises(InvalidToken):
        tokens.read(token, NOW)


def test_each_kind_of_client_has_these_scopes() -> None:
    assert {kind: format_scopes(scopes_of(kind)) for kind in ClientKind} == {
        "bank": "consent-requests:write consents:read model:read products:read products:write profiles:read "
        "scores:read scores:write",
        "platform": "consents:read consents:write seller-sessions:write",
        "operator": "metrics:read model:read reviews:read reviews:write",
    }


def test_an_endpoint_without_a_required_scope_cannot_be_defined() -> None:
    router = APIRouter(route_class=AuthenticatedRoute)
    with pytest.raises(TypeError, match="require_scope"):
        router.get("/open")(lambda: None)
