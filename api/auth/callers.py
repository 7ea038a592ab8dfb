"""Who calls, and what they may: the right that an endpoint needs stands in its signature, as a parameter's type.

A token is looked at before the body, so that a stranger learns nothing of what is accepted; and the client is looked up
at every request, so that one who was revoked is refused at once, whatever tokens it holds.
"""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Final, get_args, get_type_hints

from fastapi import Depends, Request, Response, Security
from fastapi.openapi.models import OAuthFlowClientCredentials, OAuthFlows
from fastapi.routing import APIRoute
from fastapi.security import OAuth2
from sqlalchemy import Engine

from api import errors
from api.auth import clients
from api.auth.clients import Client
from api.auth.scopes import SCOPE_DESCRIPTIONS, ClientKind, Scope
from api.auth.tokens import TOKEN_PATH, Claims
from api.kit.database import transaction
from api.services import Services

REFUSALS: Final = (
    errors.NotAuthenticated,
    errors.InvalidToken,
    errors.WrongCaller,
    errors.InsufficientScope,
    errors.TooManyRequests,
)
"""What every endpoint that needs a caller may answer."""

RATE_HEADERS: Final[dict[str, dict[str, Any]]] = {
    "RateLimit-Policy": {"description": "How often this client may call.", "schema": {"type": "string"}},
    "RateLimit": {
        "description": "Calls that are left, and the seconds until all are there again; on every answer to a client.",
        "schema": {"type": "string"},
    },
}
"""Headers of every answer to a known client, for OpenAPI."""

_oauth2 = OAuth2(
    flows=OAuthFlows(
        clientCredentials=OAuthFlowClientCredentials(
            tokenUrl=TOKEN_PATH, scopes={str(scope): meaning for scope, meaning in SCOPE_DESCRIPTIONS.items()}
        )
    ),
    scheme_name="oauth2",
    description=f"Client credentials: `POST {TOKEN_PATH}` gives a token of ten minutes. `sellerscore bank create` "
    "makes a client.",
    auto_error=False,
)


@dataclass(frozen=True)
class Caller:
    """A client that proved itself with a token and is not revoked."""

    kind: ClassVar[ClientKind]

    id: str
    name: str


class Bank(Caller):
    """A bank; it sees its own records alone."""

    kind = ClientKind.BANK


class Platform(Caller):
    """The marketplace or data partner."""

    kind = ClientKind.PLATFORM


class Operator(Caller):
    """Whoever runs the service."""

    kind = ClientKind.OPERATOR


_CALLERS: Final[dict[ClientKind, type[Caller]]] = {each.kind: each for each in (Bank, Platform, Operator)}


class _Needed:
    """What `needs` asks for; the route has looked at it before this is called."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    async def __call__(self, request: Request, _: Annotated[str | None, Depends(_oauth2)]) -> Caller:
        """Return the caller that the route found."""
        caller: Caller = request.state.caller
        return caller


def require_scope(scope: Scope) -> Any:
    """Ask, in an endpoint's signature, for a caller whose token has a scope; the annotated type is the kind.

    Example: `bank: Annotated[Bank, needs(Scope.SCORES_WRITE)]`, on a router with `route_class=CallerFirst`;
    `Bank | Operator` lets both in.
    """
    return Security(_Needed(scope), scopes=[str(scope)])


class AuthenticatedRoute(APIRoute):
    """A route that looks at the token before it reads a body; each endpoint says with `needs` whom it answers.

    Example: `APIRouter(route_class=CallerFirst)`.

    Raises:
        TypeError: an endpoint says nothing of its caller; the service does not begin.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the framework's handler behind the look at the token."""
        answer = super().get_route_handler()
        kinds, scope = self._needed()

        async def answer_caller(request: Request) -> Response:
            request.state.caller = await _permitted(request, kinds, scope)
            return await answer(request)

        return answer_caller

    def _needed(self) -> tuple[frozenset[ClientKind], Scope]:
        found = [each for each in self.dependant.dependencies if isinstance(each.call, _Needed)]
        if len(found) != 1 or not isinstance(found[0].call, _Needed) or found[0].name is None:
            raise TypeError(f"The endpoint {self.path} must have one parameter with `needs`, which says who may call.")
        asked = get_type_hints(self.endpoint)[found[0].name]
        return frozenset(each.kind for each in get_args(asked) or (asked,)), found[0].call.scope


async def _permitted(request: Request, kinds: frozenset[ClientKind], scope: Scope) -> Caller:
    services: Services = request.app.state.services
    claims = _claims(request, services, await _oauth2(request))
    standing = services.access.limits.calls.spend(claims.client_id)
    # said on every answer from here on, by the middleware
    request.state.answer_headers = standing.headers
    if not standing.allowed:
        raise errors.TooManyRequests(headers=standing.headers)
    client = await services.batches.ask(_in_force, (services.engine, claims.client_id))
    if client.kind not in kinds:
        raise errors.WrongCaller
    if scope not in claims.scopes:
        raise errors.InsufficientScope(str(scope))
    return _CALLERS[client.kind](client.id, client.name)


def _claims(request: Request, services: Services, authorization: str | None) -> Claims:
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise errors.NotAuthenticated
    try:
        return services.access.tokens.read(token.strip(), datetime.now(UTC))
    except errors.InvalidToken:
        address = request.client.host if request.client else ""
        failed = services.access.limits.failures_of_address.spend(address)
        if not failed.allowed:
            raise errors.TooManyRequests(headers=failed.headers) from None
        raise


def _in_force(asked: Sequence[tuple[Engine, str]]) -> list[Client | Exception]:
    """Look up at once all clients whose requests have come; a client who was revoked is none."""
    with transaction(asked[0][0]) as connection:
        found = clients.find_active(connection, {client_id for _, client_id in asked})
    return [found.get(client_id) or errors.InvalidToken() for _, client_id in asked]
