"""The client credentials grant: authenticates the client, counts failures, and issues a token."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from api.auth import clients
from api.auth.clients import Client
from api.auth.credentials import is_outdated, public_key, secret_name, subject_of, verify_assertion
from api.auth.rate_limits import Proof, RateLimitStatus
from api.auth.scopes import ClientKind, Scope, format_scopes, scopes_of
from api.auth.signing_keys import TOKEN_LIFETIME
from api.auth.token_request import AssertionProof, InvalidClientError, InvalidScopeError, SecretProof, TokenResponse
from api.auth.tokens import TOKEN_PATH, Auth
from api.errors import TooManyRequests
from api.kit.database import transaction

logger = logging.getLogger(__name__)

_CLIENT_ID: Final = re.compile(r"[a-z]{1,20}-[0-9a-f]{16}")
_UNKNOWN_CLIENT: Final = "nobody-0000000000000000"
_OUTDATED: Final = (
    "This secret was issued by a former version of the service and is no longer accepted. Ask the operator for a new "
    "one: sellerscore bank rotate, or platform or operator rotate."
)


@dataclass(frozen=True)
class AuthenticatedClient:
    """An authenticated client and its rate limit after this call."""

    client: Client
    limit: RateLimitStatus


def authenticate_client(
    auth: Auth, proof: SecretProof | AssertionProof, *, address: str, now: datetime
) -> AuthenticatedClient:
    """Verify the credentials of a client, and count the call or the failure.

    Raises:
        InvalidClientError: The credentials are invalid. The message is the same for every fault of a secret.
        TooManyRequests: Too many failures of this client at this address, or of this address.
        DatabaseUnavailable: The client cannot be looked up.
    """
    claimed = _claimed_client_id(proof)
    failures = auth.limits.failures.peek((claimed, address))
    if not failures.allowed:
        raise TooManyRequests(headers=failures.headers)
    try:
        if isinstance(proof, SecretProof):
            client = _authenticate_by_secret(auth, proof.secret, claimed, now)
        else:
            client = _authenticate_by_assertion(auth, proof.assertion, claimed, now)
    except InvalidClientError:
        auth.limits.failures.consume((claimed, address))
        # never text of the request, only an ID of the right form
        logger.warning("failed authentication of the client %s", claimed)
        auth.limits.count_failure(Proof.CLIENT, address)
        raise
    return AuthenticatedClient(client, auth.limits.calls.consume(client.id))


def issue_token(auth: Auth, authenticated: AuthenticatedClient, scope: str | None, now: datetime) -> TokenResponse:
    """Issue a token to an authenticated client.

    Raises:
        TooManyRequests: The client exceeds its rate limit.
        InvalidScopeError: It requests a scope that its kind does not have.
    """
    if not authenticated.limit.allowed:
        raise TooManyRequests(headers=authenticated.limit.headers)
    client = authenticated.client
    scopes = _requested_scopes(client.kind, scope)
    return TokenResponse(
        access_token=auth.tokens.issue(client.id, client.kind, scopes, now),
        token_type="Bearer",  # noqa: S106 - the word of the RFC
        expires_in=int(TOKEN_LIFETIME.total_seconds()),
        scope=format_scopes(scopes),
    )


def _claimed_client_id(proof: SecretProof | AssertionProof) -> str:
    claimed = proof.client_id
    if isinstance(proof, AssertionProof) and claimed is None:
        try:
            claimed = subject_of(proof.assertion)
        except InvalidClientError:
            claimed = None  # rejected and counted below, like all others
    # everything that is not one of our IDs counts as one unknown client
    return claimed if claimed is not None and _CLIENT_ID.fullmatch(claimed) else _UNKNOWN_CLIENT


def _authenticate_by_secret(auth: Auth, secret: str, client_id: str, now: datetime) -> Client:
    with transaction(auth.engine) as connection:
        client = auth.clients.find_active(connection, [client_id]).get(client_id)
        stored = clients.find_secret_hash(connection, client_id, secret_name(secret) or "", now)
    if is_outdated(stored):
        logger.warning("the client %s has a secret of a former version. Issue a new one with rotate.", client_id)
        raise InvalidClientError(_OUTDATED)
    # always, so that the time reveals nothing
    valid = auth.secrets.verify(secret, stored) and auth.clients.has_credential(client_id, stored or "", now)
    if client is None or not valid:
        raise InvalidClientError
    return client


def _authenticate_by_assertion(auth: Auth, assertion: str, client_id: str, now: datetime) -> Client:
    issuer = auth.tokens.issuer
    with transaction(auth.engine) as connection:
        client = auth.clients.find_active(connection, [client_id]).get(client_id)
        stored = clients.public_keys(connection, client_id, now)
    keys = [public_key(json.loads(jwk)) for jwk in stored if auth.clients.has_credential(client_id, jwk, now)]
    used = verify_assertion(assertion, keys, client_id=client_id, audiences=(issuer, issuer + TOKEN_PATH), now=now)
    if client is None:
        raise InvalidClientError
    with transaction(auth.engine, writes=True) as connection:
        first_use = clients.use_assertion(connection, client_id, used.jti_digest, until=used.until, now=now)
    if not first_use:
        raise InvalidClientError("The assertion was already used. Sign a new one with another jti for each request.")
    return client


def _requested_scopes(kind: ClientKind, requested: str | None) -> frozenset[Scope]:
    if requested is None:
        return scopes_of(kind)
    allowed = {str(scope): scope for scope in scopes_of(kind)}
    names = requested.split(" ")
    if not all(name in allowed for name in names):
        raise InvalidScopeError
    return frozenset(allowed[name] for name in names)
