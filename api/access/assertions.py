"""`private_key_jwt` (RFC 7523): a client signs who it is, for this service, for minutes, and never twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwa import JWSAlgModel

from api.access.public_keys import PublicKey
from api.access.refusals import InvalidClient

LONGEST: Final = timedelta(minutes=5)
_CLOCKS_DIFFER: Final = timedelta(seconds=10)
_LONGEST_JTI: Final = 200


@dataclass(frozen=True)
class Used:
    """What is remembered of an assertion, so that it counts once."""

    jti_digest: str
    until: datetime


class _Registry(jws.JWSRegistry):
    """Takes `EdDSA` for `Ed25519`, which RFC 9864 calls it now; the library would warn of the old name."""

    def get_alg(self, name: str) -> JWSAlgModel:
        return super().get_alg("Ed25519" if name == "EdDSA" else name)


def subject_of(assertion: str) -> str:
    """Return the client that an assertion names; nothing of it is proved yet.

    Raises:
        InvalidClient: it is no JWT.
    """
    try:
        subject = json.loads(jws.extract_compact(assertion.encode()).payload)["sub"]
    except (JoseError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InvalidClient from error
    if not isinstance(subject, str):
        raise InvalidClient
    return subject


def verified(
    assertion: str, keys: Sequence[PublicKey], *, client_id: str, audiences: Collection[str], now: datetime
) -> Used:
    """Check an assertion of a client against its keys.

    Example: with `aud` the token endpoint, `iss` and `sub` the client, `jti` new and `exp` in four minutes it is good.

    Raises:
        InvalidClient: none of the keys signed it, in the usual words; or a claim is not as it must be, and which.
    """
    claims = next((found for key in keys if (found := _signed(assertion, key)) is not None), None)
    if claims is None:
        raise InvalidClient
    if claims.get("iss") != client_id or claims.get("sub") != client_id:
        raise InvalidClient("In the assertion iss and sub must both be the client_id.")
    said = claims.get("aud")
    if not any(each in audiences for each in (said if isinstance(said, list) else [said]) if isinstance(each, str)):
        raise InvalidClient(f"The aud of the assertion must be {' or '.join(sorted(audiences))}.")
    if _moment(claims, "nbf", now) > now + _CLOCKS_DIFFER or _moment(claims, "iat", now) > now + _CLOCKS_DIFFER:
        raise InvalidClient("The nbf or iat of the assertion lies ahead.")
    return Used(_jti(claims), _expiry(claims, now))


def _signed(assertion: str, key: PublicKey) -> dict[str, Any] | None:
    try:
        signed = jws.deserialize_compact(assertion.encode(), key.imported, registry=_registry_of(key))
        claims = json.loads(signed.payload)
    except (JoseError, ValueError, TypeError, KeyError, RecursionError):
        return None
    return claims if isinstance(claims, dict) else None


def _registry_of(key: PublicKey) -> _Registry:
    # other members of the header, as x5t, are no reason to refuse
    return _Registry(algorithms=list(key.algorithms), strict_check_header=False)


def _expiry(claims: Mapping[str, Any], now: datetime) -> datetime:
    if "exp" not in claims:
        raise InvalidClient("The assertion has no exp.")
    expires = _moment(claims, "exp", now)
    if expires <= now:
        raise InvalidClient("The assertion has expired.")
    if expires > now + LONGEST:
        raise InvalidClient("The exp of the assertion is more than 5 minutes ahead.")
    return expires


def _moment(claims: Mapping[str, Any], name: str, default: datetime) -> datetime:
    value = claims.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidClient(f"The {name} of the assertion must be a number of seconds.")
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise InvalidClient(f"The {name} of the assertion is no moment.") from error


def _jti(claims: Mapping[str, Any]) -> str:
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 1 <= len(jti) <= _LONGEST_JTI:
        raise InvalidClient(f"The jti of the assertion must be a text of 1 to {_LONGEST_JTI} characters, used once.")
    return hashlib.sha256(jti.encode("utf-8", "surrogatepass")).hexdigest()
