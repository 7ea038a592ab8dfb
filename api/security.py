"""Who may call: for now, whoever holds the one token. A right stands in an endpoint's signature, as a type."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.errors import NotAuthenticated
from api.services import Services, Wired
from api.token_file import matches

_bearer = HTTPBearer(
    auto_error=False,
    scheme_name="bearer",
    description="The token that the service made at its first run; it stands in the file `token` of the state folder.",
)


@dataclass(frozen=True)
class TokenHolder:
    """A caller who proved to hold the token; it says nothing else of them."""


class TokenFirst(APIRoute):
    """A route that looks at the token before it reads a body, so that a stranger learns nothing of what is accepted.

    Example: `APIRouter(route_class=TokenFirst)`; each endpoint still names its `Caller`.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the framework's handler behind the look at the token."""
        answer = super().get_route_handler()

        async def answer_holder(request: Request) -> Response:
            _prove(await _bearer(request), request.app.state.services)
            return await answer(request)

        return answer_holder


def _prove(credentials: HTTPAuthorizationCredentials | None, services: Services) -> TokenHolder:
    if credentials is None or not matches(credentials.credentials, services.token_digest):
        raise NotAuthenticated
    return TokenHolder()


async def _token_holder(
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)], services: Wired
) -> TokenHolder:
    return _prove(credentials, services)


Caller = Annotated[TokenHolder, Depends(_token_holder)]
"""The parameter type of an endpoint that only the holder of the token may call."""
