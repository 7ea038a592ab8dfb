"""Who may call: for now, whoever holds the one token. A right stands in an endpoint's signature, as a type."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.errors import NotAuthenticated
from api.services import Wired
from api.token_file import matches

_bearer = HTTPBearer(
    auto_error=False,
    scheme_name="bearer",
    description="The token that the service made at its first run; it stands in the file `token` of the state folder.",
)


@dataclass(frozen=True)
class TokenHolder:
    """A caller who proved to hold the token; it says nothing else of them."""


async def _token_holder(
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)], services: Wired
) -> TokenHolder:
    if credentials is None or not matches(credentials.credentials, services.token_digest):
        raise NotAuthenticated
    return TokenHolder()


Caller = Annotated[TokenHolder, Depends(_token_holder)]
"""The parameter type of an endpoint that only the holder of the token may call."""
