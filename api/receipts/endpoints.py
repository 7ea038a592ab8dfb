"""`GET /.well-known/jwks.json`: the public keys that verify what the service signed."""

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
    """Public keys of receipts, then of tokens, each newest first; the older ones still verify what they signed."""

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
    """Return the keys that verify receipts, and then those of tokens, as a JWK set (RFC 7517).

    Keep them with receipts; for tokens keep them for minutes, since keys rotate.
    """
    response.headers.update(_CACHED)
    return {"keys": [*services.receipts.jwks["keys"], *services.access.tokens.ring.jwks["keys"]]}
