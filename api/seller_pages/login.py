"""Pages for everyone: logging in by a link, and the files that pages load."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Form, Query, Request, Response

from api import errors
from api.seller_pages.rendering import STATIC, assets, page, to, viewer_of, with_cookie
from api.seller_pages.routes import Page
from api.seller_sessions import service
from api.seller_sessions.endpoints import LOGIN_PATH
from api.seller_sessions.oidc import CALLBACK_PATH, Begun, Provider
from api.seller_sessions.repository import Person
from api.services import Services, Wired

router = APIRouter(route_class=Page, include_in_schema=False)

HOME: Final = {Person.SELLER: "/seller", Person.OPERATOR: "/operator"}
_BEGUN: Final = "__Host-sellerscore-login"
_BEGUN_SECONDS: Final = 600
_FOR_EVER: Final = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}


@router.get(LOGIN_PATH + "/{token}")
def show_login(request: Request, services: Wired, token: str) -> Response:
    """Show a button that uses the link up; looking at the page does not, since mail and chat programs look too."""
    _require_few_failures(services, request)
    try:
        link = service.look(services.engine, token, datetime.now(UTC))
    except errors.LinkUsedUp:
        _count_failure(services, request)
        raise
    return page(
        "login.html",
        viewer_of(request, begun_in=link.language),
        link_token=token,
        operator=link.kind is Person.OPERATOR,
    )


@router.post(LOGIN_PATH)
def log_in(request: Request, services: Wired, link_token: Annotated[str, Form(max_length=100)]) -> Response:
    """Use the link up and begin a session."""
    _require_few_failures(services, request)
    try:
        signed_in = service.redeem(services.engine, link_token, datetime.now(UTC))
    except errors.LinkUsedUp:
        _count_failure(services, request)
        raise
    return with_cookie(to(HOME[signed_in.session.kind]), signed_in.secret)


@router.get(STATIC + "/{digest}/{name}")
async def get_asset(digest: str, name: str) -> Response:
    """Return a file that pages load."""
    found = assets().get(name)
    if found is None or found.address != f"{STATIC}/{digest}/{name}":
        raise errors.RouteUnknown
    return Response(found.content, headers=_FOR_EVER, media_type=found.media_type)


@router.get("/seller/oidc")
def begin_oidc(services: Wired) -> Response:
    """Send the browser to the provider of logins that is set."""
    begun = Begun.new()
    answer = to(_provider(services).address(begun))
    answer.set_cookie(_BEGUN, begun.cookie, max_age=_BEGUN_SECONDS, secure=True, httponly=True, samesite="lax")
    return answer


@router.get(CALLBACK_PATH)
def end_oidc(
    request: Request,
    services: Wired,
    state: Annotated[str, Query(max_length=200)] = "",
    code: Annotated[str, Query(max_length=2_000)] = "",
) -> Response:
    """Begin a session of the seller whom the provider names."""
    _require_few_failures(services, request)
    now, provider = datetime.now(UTC), _provider(services)
    try:
        seller_id = provider.seller_of(Begun.read(request.cookies.get(_BEGUN, "")), state, code, now)
    except errors.LoginFailed:
        _count_failure(services, request)
        raise
    signed_in = service.begin(services.engine, Person.SELLER, seller_id, by="oidc", now=now)
    answer = with_cookie(to(HOME[Person.SELLER]), signed_in.secret)
    answer.delete_cookie(_BEGUN, secure=True, httponly=True, samesite="lax")
    return answer


def _provider(services: Services) -> Provider:
    found = Provider.of(services.settings)
    if found is None:
        raise errors.RouteUnknown
    return found


def _require_few_failures(services: Services, request: Request) -> None:
    standing = services.access.limits.failures_of_address.look(_address(request))
    if not standing.allowed:
        raise errors.TooManyRequests(headers=standing.headers)


def _count_failure(services: Services, request: Request) -> None:
    services.access.limits.failures_of_address.spend(_address(request))


def _address(request: Request) -> str:
    return request.client.host if request.client else ""
