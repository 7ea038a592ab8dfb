"""AccessTokens: what they say, for how long, and what is remembered of them."""

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
HERE = "https://score.example"


@pytest.fixture
def tokens(tmp_path: Path) -> AccessTokens:
    return AccessTokens(KeyRing.open(tmp_path / "keys"), HERE)


def issue(tokens: AccessTokens, now: datetime = NOW) -> str:
    return tokens.issue("bank-1", ClientKind.BANK, frozenset({Scope.SCORES_READ}), now)


def test_another_library_reads_a_token_with_the_published_key(tokens: AccessTokens) -> None:
    public = tokens.ring.jwks["keys"][0]
    read = jwt.decode(issue(tokens), OKPKey.import_key(public), algorithms=["Ed25519"])
    assert read.header == {"alg": "Ed25519", "kid": public["kid"], "typ": "at+jwt"}
    assert len(read.claims.pop("jti")) >= 16
    assert read.claims == {
        "iss": HERE,
        "aud": HERE,
        "sub": "bank-1",
        "client_id": "bank-1",
        "client_kind": "bank",
        "scope": "scores:read",
        "iat": int(NOW.timestamp()),
        "exp": int(NOW.timestamp()) + 600,
    }


def test_a_token_is_good_for_ten_minutes_also_once_it_is_remembered(tokens: AccessTokens) -> None:
    token = issue(tokens)
    said = Claims("bank-1", ClientKind.BANK, frozenset({Scope.SCORES_READ}), NOW.timestamp() + 600)
    for seconds in (0, 1, 599):
        assert tokens.read(token, NOW + timedelta(seconds=seconds)) == said
    for seconds in (600, 601):
        with pytest.raises(InvalidToken):
            tokens.read(token, NOW + timedelta(seconds=seconds))


def test_no_two_tokens_are_alike(tokens: AccessTokens) -> None:
    assert len({issue(tokens) for _ in range(50)}) == 50


def test_a_token_of_the_key_before_a_rotation_is_still_good(tokens: AccessTokens, tmp_path: Path) -> None:
    old = issue(tokens)
    rotated = AccessTokens(KeyRing.rotate(tmp_path / "keys", NOW), HERE)
    assert rotated.read(old, NOW).client_id == "bank-1"
    with pytest.raises(InvalidToken):
        tokens.read(issue(rotated), NOW)


def test_what_is_remembered_is_bounded_and_skips_the_signature_alone(
    tokens: AccessTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.auth.tokens, "_CACHE_SIZE", 3)
    tokens = AccessTokens(tokens.ring, tokens.issuer)
    given = [issue(tokens) for _ in range(5)]
    for token in given:
        tokens.read(token, NOW)
    checked: list[str] = []
    really = tokens._verify
    monkeypatch.setattr(tokens, "_verify", lambda token: (checked.append(token), really(token))[1])
    for token in reversed(given):
        tokens.read(token, NOW)
    assert checked == given[1::-1]


@pytest.mark.parametrize("claims", [{}, {"scope": 7}, {"scope": "everything"}, {"client_kind": "king"}, {"exp": None}])
def test_a_token_of_ours_that_says_too_little_is_none(tokens: AccessTokens, claims: dict[str, object]) -> None:
    whole = {"iss": HERE, "aud": HERE, "sub": "b", "client_kind": "bank", "scope": "", "exp": 9e9}
    said = {**whole, **claims} if claims else {}
    with pytest.raises(InvalidToken):
        tokens.read(tokens.ring.sign(json.dumps(said).encode(), "at+jwt"), NOW)
    with pytest.raises(InvalidToken):
        tokens.read(tokens.ring.sign(b"[]", "at+jwt"), NOW)


@pytest.mark.parametrize("token", ["", "x", "é.é.é", "a" * 5_000, "\ud800"])
def test_what_is_no_token_is_refused(tokens: AccessTokens, token: str) -> None:
    with pytest.raises(InvalidToken):
        tokens.read(token, NOW)


def test_scopes_are_those_that_some_kind_may_hold() -> None:
    assert set().union(*(scopes_of(kind) for kind in ClientKind)) == set(Scope)
    assert format_scopes(scopes_of(ClientKind.BANK)) == (
        "consent-requests:write consents:read model:read products:read products:write profiles:read scores:read "
        "scores:write"
    )
    assert format_scopes(scopes_of(ClientKind.PLATFORM)) == "consents:read consents:write seller-sessions:write"
    assert format_scopes(scopes_of(ClientKind.OPERATOR)) == "metrics:read model:read reviews:read reviews:write"


def test_an_endpoint_that_does_not_say_who_may_call_cannot_be_made() -> None:
    router = APIRouter(route_class=AuthenticatedRoute)
    with pytest.raises(TypeError, match="require_scope"):
        router.get("/open")(lambda: None)
