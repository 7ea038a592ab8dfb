"""`GET /.well-known/jwks.json`: the public keys that verify receipts and checkpoints.

Those of tokens are not among them: this service alone reads tokens, and whoever steals such a key must not be able to
sign a receipt that anybody takes.
"""

from typing import Any, Final

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from api import errors
from api.problems import problem_responses
from api.services import Wired

router = APIRouter(tags=["receipts"])

_CACHED: Final = {"Cache-Control": "public, max-age=300"}


class PublicKey(BaseModel):
    """One public key (RFC 8037)."""

    model_config = ConfigDict(extra="forbid")

    kty: str = Field(description="Kind of key.", examples=["OKP"])
    crv: str = Field(description="Curve.", examples=["Ed25519"])
    x: str = Field(description="The public key, base64url.", examples=["11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"])
    kid: str = Field(
        description="Its thumbprint, which signatures name.", examples=["kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxH"]
    )
    alg: str = Field(description="What it signs with.", examples=["Ed25519"])
    use: str = Field(description="What it is for.", examples=["sig"])


class KeySet(BaseModel):
    """Public keys of receipts: the one that signs, older ones that still verify, and those that are to sign soon."""

    model_config = ConfigDict(extra="forbid")

    keys: list[PublicKey] = Field(description="The keys.")


@router.get(
    "/.well-known/jwks.json",
    operation_id="getKeys",
    summary="The service's public keys",
    response_model=KeySet,
    responses=problem_responses(errors.InternalError),
)
async def get_keys(services: Wired, response: Response) -> dict[str, Any]:
    """Return the keys that verify receipts and checkpoints, as a JWK set (RFC 7517).

    A new key stands here minutes before it signs. Keep the set with receipts, so that they can be checked for ever.
    """
    response.headers.update(_CACHED)
    return services.receipts.jwks
