"""Authorization of API calls: the kind of caller and the scope that an endpoint requires are in its signature.

The token is verified before the body is read, so an unauthorized caller learns nothing about valid bodies. The client
is looked up in the entries of the ledger for each request, so a revoked client is rejected at once, even if its tokens
have not expired.
"""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Final, get_args, get_type_hints

from fastapi import Depends, Request, Response, Security
from fastapi.openapi.models import OAuthFlowClientCredentials, OAuthFlows
from fastapi.routing import APIRoute
from fastapi.security import OAuth2

from api import errors
from api.auth.clients import Client
from api.auth.rate_limits import Proof, address_of
from api.auth.scopes import ClientKind, Scope
from api.auth.tokens import TOKEN_PATH, Auth, Claims
from api.kit.database import transaction
from api.kit.openapi import NO_STORE
from api.kit.query import check_query

_oauth2 = OAuth2(
    flows=OAuthFlows(
        clientCredentials=OAuthFlowClientCredentials(
            tokenUrl=TOKEN_PATH, scopes={str(scope): scope.description for scope in Scope}
        )
    ),
    scheme_name="oauth2",
    description=f"Client credentials: `POST {TOKEN_PATH}` issues a token that is valid for ten minutes. `sellerscore "
    "bank create` creates a client.",
    auto_error=False,
)


@dataclass(frozen=True)
class Caller:
    """An authenticated client that is not revoked."""

    kind: ClassVar[ClientKind]

    id: str
    name: str


class Bank(Caller):
    """A bank. It can see only its own records."""

    kind = ClientKind.BANK


class Platform(Caller):
    """The marketplace or data partner."""

    kind = ClientKind.PLATFORM


class Operator(Caller):
    """The operator of the service."""

    kind = ClientKind.OPERATOR


_CALLERS: Final[dict[ClientKind, type[Caller]]] = {caller.kind: caller for caller in (Bank, Platform, Operator)}


class _RequiredScope:
    """The dependency of `require_scope`. The route has already authorized the caller."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    async def __call__(
        self, request: Request, response: Response, _: Annotated[str | None, Depends(_oauth2)]
    ) -> Caller:
        """Return the caller that the route authorized. The response must not be stored by caches."""
        response.headers.update(NO_STORE)
        caller: Caller = request.state.caller
        return caller


def require_scope(scope: Scope) -> Any:
    """Require a caller whose token has a scope. The annotated type of the parameter is the required kind.

    Example: `bank: Annotated[Bank, require_scope(Scope.SCORES_WRITE)]`, on a router with
    `route_class=AuthenticatedRoute`. `Bank | Operator` allows both kinds.
    """
    return Security(_RequiredScope(scope), scopes=[str(scope)])


RequestHandler = Callable[[Request], Coroutine[Any, Any, Response]]


class AuthenticatedRoute(APIRoute):
    """A route that authorizes the caller and checks the query before it reads a body.

    Each endpoint must use `require_scope`.

    Example: `APIRouter(route_class=AuthenticatedRoute)`.

    Raises:
        TypeError: An endpoint does not use `require_scope`; the service does not start.
    """

    def get_route_handler(self) -> RequestHandler:
        """Return the handler of the framework, preceded by the authorization."""
        handle = self.valid_request_handler(super().get_route_handler())
        kinds, scope = self._requirement()

        async def handle_authorized(request: Request) -> Response:
            request.state.caller = await _authorize(request, kinds, scope)
            check_query(request)
            return await handle(request)

        return handle_authorized

    def valid_request_handler(self, solve: RequestHandler) -> RequestHandler:
        """Return the handler of authorized requests: `solve`, the handler of the framework, unless overridden."""
        return solve

    def _requirement(self) -> tuple[frozenset[ClientKind], Scope]:
        required = [each for each in self.dependant.dependencies if isinstance(each.call, _RequiredScope)]
        if len(required) != 1 or not isinstance(required[0].call, _RequiredScope) or required[0].name is None:
            raise TypeError(f"The endpoint {self.path} must have exactly one parameter with `require_scope`.")
        annotated = get_type_hints(self.endpoint)[required[0].name]
        return frozenset(each.kind for each in get_args(annotated) or (annotated,)), required[0].call.scope


async def _authorize(request: Request, kinds: frozenset[ClientKind], scope: Scope) -> Caller:
    auth: Auth = request.app.state.services.auth
    claims = _read_token(request, auth, await _oauth2(request))
    limit = auth.limits.calls.consume(claims.client_id)
    # the middleware adds these to every response, problems included
    request.state.response_headers = limit.headers
    if not limit.allowed:
        raise errors.TooManyRequests(headers=limit.headers)
    client = await auth.batcher.submit(_find_active_clients, (auth, claims.client_id))
    if client.kind not in kinds:
        raise errors.WrongCaller
    if scope not in claims.scopes:
        raise errors.InsufficientScope(str(scope))
    return _CALLERS[client.kind](client.id, client.name)


def _read_token(request: Request, auth: Auth, authorization: str | None) -> Claims:
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise errors.NotAuthenticated
    try:
        return auth.tokens.read(token.strip(), datetime.now(UTC))
    except errors.InvalidToken:
        auth.limits.count_failure(Proof.TOKEN, address_of(request))
        raise


def _find_active_clients(requests: Sequence[tuple[Auth, str]]) -> list[Client | Exception]:
    # one query for all requests of a batch
    auth = requests[0][0]
    with transaction(auth.engine) as connection:
        active = auth.clients.find_active(connection, {client_id for _, client_id in requests})
    return [active.get(client_id) or errors.InvalidToken() for _, client_id in requests]
