"""Client credentials to a token: the proof is checked, failures are counted, the token says who and what for."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sqlalchemy import Engine

from api.auth import clients
from api.auth.clients import Client
from api.auth.credentials import client_id_in, public_key, subject_of, verify_assertion, verify_secret
from api.auth.rate_limits import RateLimits, RateLimitStatus
from api.auth.scopes import ClientKind, Scope, scopes_of
from api.auth.token_request import AssertionProof, InvalidClientError, InvalidScopeError, SecretProof
from api.auth.tokens import TOKEN_PATH, Auth
from api.errors import TooManyRequests
from api.kit.database import transaction

logger = logging.getLogger(__name__)


_CLIENT_ID: Final = re.compile(r"[a-z]{1,20}-[0-9a-f]{16}")


_UNKNOWN_CLIENT: Final = "nobody-0000000000000000"


@dataclass(frozen=True)
class AuthenticatedClient:
    """A client that proved itself, and where it stands after this call."""

    client: Client
    standing: RateLimitStatus


@dataclass(frozen=True)
class IssuedToken:
    """A token and what it allows."""

    token: str = field(repr=False)
    scopes: frozenset[Scope]


def authenticate_client(
    access: Auth, engine: Engine, proof: SecretProof | AssertionProof, *, address: str, now: datetime
) -> AuthenticatedClient:
    """Check a proof and count the call, or the failure.

    Raises:
        InvalidClientError: it proves nothing; the words are the same whatever was wrong with a secret.
        TooManyRequests: this client failed too often at this address, or the address did.
        DatabaseUnavailable: nobody can be looked up.
    """
    claimed = _claimed_client_id(proof)
    _require_few_failures(access.limits, claimed, address)
    try:
        client = _authenticate(access, engine, proof, claimed, now)
    except InvalidClientError:
        access.limits.failures.spend((claimed, address))
        access.limits.failures_of_address.spend(address)
        # an id of ours at most, never what was sent
        logger.warning("failed proof of the client %s", claimed)
        raise
    return AuthenticatedClient(client, access.limits.calls.spend(client.id))


def issue_token(access: Auth, proved: AuthenticatedClient, scope: str | None, now: datetime) -> IssuedToken:
    """Give a token to a client that proved itself.

    Raises:
        TooManyRequests: it calls too often.
        InvalidScopeError: it asks for a right that its kind does not have.
    """
    if not proved.standing.allowed:
        raise TooManyRequests(headers=proved.standing.headers)
    client = proved.client
    scopes = _scopes(client.kind, scope)
    return IssuedToken(access.tokens.issue(client.id, client.kind, scopes, now), scopes)


def _claimed_client_id(proof: SecretProof | AssertionProof) -> str:
    named = proof.client_id
    if isinstance(proof, AssertionProof) and named is None:
        try:
            named = subject_of(proof.assertion)
        except InvalidClientError:
            named = None  # refused where proofs are looked at, and counted with all that fail
    # whatever is no id of ours is one and the same stranger
    return named if named is not None and _CLIENT_ID.fullmatch(named) else _UNKNOWN_CLIENT


def _require_few_failures(limits: RateLimits, claimed: str, address: str) -> None:
    for standing in (limits.failures.look((claimed, address)), limits.failures_of_address.look(address)):
        if not standing.allowed:
            raise TooManyRequests(headers=standing.headers)


def _authenticate(
    access: Auth, engine: Engine, proof: SecretProof | AssertionProof, client_id: str, now: datetime
) -> Client:
    if isinstance(proof, SecretProof):
        return _by_secret(engine, proof.secret, client_id, now)
    return _by_assertion(access, engine, proof.assertion, client_id, now)


def _by_secret(engine: Engine, secret: str, client_id: str, now: datetime) -> Client:
    with transaction(engine) as connection:
        client = clients.find_client(connection, client_id)
        kept = clients.find_secret_hash(connection, client_id, client_id_in(secret) or "", now)
    # outside the transaction, since it takes long; and always, so that time tells nothing
    proved = verify_secret(secret, kept)
    if client is None or client.revoked_at is not None or not proved:
        raise InvalidClientError
    return client


def _by_assertion(access: Auth, engine: Engine, assertion: str, client_id: str, now: datetime) -> Client:
    issuer = access.tokens.issuer
    with transaction(engine) as connection:
        client = clients.find_client(connection, client_id)
        keys = [public_key(jwk) for jwk in clients.public_keys(connection, client_id, now)]
    used = verify_assertion(assertion, keys, client_id=client_id, audiences={issuer, issuer + TOKEN_PATH}, now=now)
    if client is None or client.revoked_at is not None:
        raise InvalidClientError
    with transaction(engine, writes=True) as connection:
        first = clients.use_assertion(connection, client_id, used.jti_digest, until=used.until, now=now)
    if not first:
        raise InvalidClientError("The assertion was used before; sign one with another jti for each request.")
    return client


def _scopes(kind: ClientKind, asked: str | None) -> frozenset[Scope]:
    if asked is None:
        return scopes_of(kind)
    held = {str(scope): scope for scope in scopes_of(kind)}
    names = asked.split(" ")
    if not all(name in held for name in names):
        raise InvalidScopeError
    return frozenset(held[name] for name in names)
