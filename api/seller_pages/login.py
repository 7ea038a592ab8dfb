"""Pages for everyone: logging in by a link, and the files that pages load."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Form, Request, Response

from api import errors
from api.seller_pages.rendering import STATIC, assets, page, to, viewer_of, with_cookie
from api.seller_pages.routes import Page
from api.seller_sessions import service
from api.seller_sessions.endpoints import LOGIN_PATH
from api.seller_sessions.repository import Person
from api.services import Services, Wired

router = APIRouter(route_class=Page, include_in_schema=False)

HOME: Final = {Person.SELLER: "/seller", Person.OPERATOR: "/operator"}
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


def _require_few_failures(services: Services, request: Request) -> None:
    standing = services.access.limits.failures_of_address.look(_address(request))
    if not standing.allowed:
        raise errors.TooManyRequests(headers=standing.headers)


def _count_failure(services: Services, request: Request) -> None:
    services.access.limits.failures_of_address.spend(_address(request))


def _address(request: Request) -> str:
    return request.client.host if request.client else ""
