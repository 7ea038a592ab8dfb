"""Client credentials to a token: the proof is checked, failures are counted, the token says who and what for."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sqlalchemy import Engine

from api.access import repository
from api.access.assertions import subject_of, verified
from api.access.client_secrets import matches, name_in
from api.access.limits import Limits, Standing
from api.access.parts import Access
from api.access.presented import AssertionShown, SecretShown
from api.access.public_keys import public_key
from api.access.refusals import InvalidClient, InvalidScope
from api.access.repository import Client
from api.access.rights import Kind, Scope, scopes_of
from api.database import transaction
from api.errors import TooManyRequests

logger = logging.getLogger(__name__)

TOKEN_PATH: Final = "/oauth/token"  # noqa: S105 - a path
_CLIENT_ID: Final = re.compile(r"[a-z]{1,20}-[0-9a-f]{16}")
_NOBODY: Final = "nobody-0000000000000000"


@dataclass(frozen=True)
class Proved:
    """A client that proved itself, and where it stands after this call."""

    client: Client
    standing: Standing


@dataclass(frozen=True)
class Granted:
    """A token and what it allows."""

    token: str = field(repr=False)
    scopes: frozenset[Scope]


def prove(
    access: Access, engine: Engine, proof: SecretShown | AssertionShown, *, address: str, now: datetime
) -> Proved:
    """Check a proof and count the call, or the failure.

    Raises:
        InvalidClient: it proves nothing; the words are the same whatever was wrong with a secret.
        TooManyRequests: this client failed too often at this address, or the address did.
        DatabaseUnavailable: nobody can be looked up.
    """
    claimed = _claimed(proof)
    _require_few_failures(access.limits, claimed, address)
    try:
        client = _proved(access, engine, proof, claimed, now)
    except InvalidClient:
        access.limits.failures.spend((claimed, address))
        access.limits.failures_of_address.spend(address)
        # an id of ours at most, never what was sent
        logger.warning("failed proof of the client %s", claimed)
        raise
    return Proved(client, access.limits.calls.spend(client.id))


def grant(access: Access, proved: Proved, scope: str | None, now: datetime) -> Granted:
    """Give a token to a client that proved itself.

    Raises:
        TooManyRequests: it calls too often.
        InvalidScope: it asks for a right that its kind does not have.
    """
    if not proved.standing.allowed:
        raise TooManyRequests(headers=proved.standing.headers)
    client = proved.client
    scopes = _scopes(client.kind, scope)
    return Granted(access.tokens.issue(client.id, client.kind, scopes, now), scopes)


def _claimed(proof: SecretShown | AssertionShown) -> str:
    named = proof.client_id
    if isinstance(proof, AssertionShown) and named is None:
        try:
            named = subject_of(proof.assertion)
        except InvalidClient:
            named = None  # refused where proofs are looked at, and counted with all that fail
    # whatever is no id of ours is one and the same stranger
    return named if named is not None and _CLIENT_ID.fullmatch(named) else _NOBODY


def _require_few_failures(limits: Limits, claimed: str, address: str) -> None:
    for standing in (limits.failures.look((claimed, address)), limits.failures_of_address.look(address)):
        if not standing.allowed:
            raise TooManyRequests(headers=standing.headers)


def _proved(
    access: Access, engine: Engine, proof: SecretShown | AssertionShown, client_id: str, now: datetime
) -> Client:
    if isinstance(proof, SecretShown):
        return _by_secret(engine, proof.secret, client_id, now)
    return _by_assertion(access, engine, proof.assertion, client_id, now)


def _by_secret(engine: Engine, secret: str, client_id: str, now: datetime) -> Client:
    with transaction(engine) as connection:
        client = repository.find(connection, client_id)
        kept = repository.secret_hash(connection, client_id, name_in(secret) or "", now)
    # outside the transaction, since it takes long; and always, so that time tells nothing
    proved = matches(secret, kept)
    if client is None or client.revoked_at is not None or not proved:
        raise InvalidClient
    return client


def _by_assertion(access: Access, engine: Engine, assertion: str, client_id: str, now: datetime) -> Client:
    issuer = access.tokens.issuer
    with transaction(engine) as connection:
        client = repository.find(connection, client_id)
        keys = [public_key(jwk) for jwk in repository.public_keys(connection, client_id, now)]
    used = verified(assertion, keys, client_id=client_id, audiences={issuer, issuer + TOKEN_PATH}, now=now)
    if client is None or client.revoked_at is not None:
        raise InvalidClient
    with transaction(engine, writes=True) as connection:
        first = repository.use_assertion(connection, client_id, used.jti_digest, until=used.until, now=now)
    if not first:
        raise InvalidClient("The assertion was used before; sign one with another jti for each request.")
    return client


def _scopes(kind: Kind, asked: str | None) -> frozenset[Scope]:
    if asked is None:
        return scopes_of(kind)
    held = {str(scope): scope for scope in scopes_of(kind)}
    names = asked.split(" ")
    if not all(name in held for name in names):
        raise InvalidScope
    return frozenset(held[name] for name in names)
