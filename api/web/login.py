"""Login by link or OIDC, logout, language, and static files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from api import errors
from api.auth.oidc import CALLBACK_PATH, LoginAttempt, OidcLogins
from api.auth.rate_limits import Proof, address_of
from api.auth.sessions import LOGIN_PATH, UserKind
from api.services import Services, ServicesDep
from api.web.rendering import (
    COOKIE,
    STATIC,
    Viewer,
    assets,
    clear_session_cookie,
    page,
    redirect,
    set_session_cookie,
    viewer_of,
)
from api.web.routing import PageRoute, SessionRoute, UserPage
from scoring.formatting import Language

router = APIRouter(route_class=PageRoute, include_in_schema=False)
HOME: Final = {UserKind.SELLER: "/seller", UserKind.OPERATOR: "/operator"}
_OIDC_COOKIE: Final = "__Host-sellerscore-login"
_OIDC_COOKIE_SECONDS: Final = 600
_ONE_YEAR: Final = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}


@router.get(LOGIN_PATH + "/{token}")
def show_login(request: Request, services: ServicesDep, token: str) -> Response:
    """Show a button that uses the link. Opening the page does not use it, because mail and chat programs open links."""
    with _limit_failures(services, request):
        link = services.auth.sessions.peek_link(token, datetime.now(UTC))
    return page(
        "login.html",
        viewer_of(request, link_language=link.language),
        link_token=token,
        operator=link.kind is UserKind.OPERATOR,
    )


@router.post(LOGIN_PATH)
def log_in(request: Request, services: ServicesDep, link_token: Annotated[str, Form(max_length=100)]) -> Response:
    """Use the link and start a session, which replaces the one that the browser has."""
    former = request.cookies.get(COOKIE, "")
    with _limit_failures(services, request):
        signed_in = services.auth.sessions.redeem_link(link_token, datetime.now(UTC), former=former)
    return set_session_cookie(redirect(HOME[signed_in.session.kind]), signed_in.secret)


@router.get(STATIC + "/{digest}/{name}")
async def get_asset(digest: str, name: str) -> Response:
    """Return a static file."""
    asset = assets().get(name)
    if asset is None or asset.address != f"{STATIC}/{digest}/{name}":
        raise errors.RouteUnknown
    return Response(asset.content, headers=_ONE_YEAR, media_type=asset.media_type)


@router.get("/seller/oidc")
async def start_oidc(services: ServicesDep) -> Response:
    """Redirect the browser to the configured OIDC provider."""
    attempt = LoginAttempt.new()
    response = redirect(await _oidc(services).authorization_url(attempt))
    response.set_cookie(
        _OIDC_COOKIE, attempt.cookie, max_age=_OIDC_COOKIE_SECONDS, secure=True, httponly=True, samesite="lax"
    )
    return response


@router.get(CALLBACK_PATH)
async def complete_oidc(
    request: Request,
    services: ServicesDep,
    state: Annotated[str, Query(max_length=200)] = "",
    code: Annotated[str, Query(max_length=2_000)] = "",
) -> Response:
    """Start a session of the seller that the provider has authenticated."""
    now = datetime.now(UTC)
    with _limit_failures(services, request):
        logins, cookie = _oidc(services), request.cookies.get(_OIDC_COOKIE, "")
        seller_id = await logins.complete_login(LoginAttempt.read(cookie), state, code, now)
    former = request.cookies.get(COOKIE, "")
    signed_in = await run_in_threadpool(
        services.auth.sessions.start_session, UserKind.SELLER, seller_id, by="oidc", now=now, former=former
    )
    response = set_session_cookie(redirect(HOME[UserKind.SELLER]), signed_in.secret)
    response.delete_cookie(_OIDC_COOKIE, secure=True, httponly=True, samesite="lax")
    return response


def _oidc(services: Services) -> OidcLogins:
    if services.oidc is None:
        raise errors.RouteUnknown
    return services.oidc


@contextmanager
def _limit_failures(services: Services, request: Request) -> Iterator[None]:
    """Count the failed logins of an address; after too many, the response to a failed one is 429."""
    try:
        yield
    except (errors.LinkUsedUp, errors.LoginFailed):
        services.auth.limits.count_failure(Proof.LOGIN, address_of(request))
        raise


session_router = APIRouter(route_class=SessionRoute, include_in_schema=False)


@session_router.post("/seller/language")
@session_router.post("/operator/language")
def set_language(
    user: UserPage,
    services: ServicesDep,
    language: Annotated[Language, Form()],
    back: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Change the language and go back to the page."""
    services.auth.sessions.set_language(user.signed_in, language)
    home = HOME[user.signed_in.session.kind]
    # only to a page of this service, never to another host
    return redirect(back if re.fullmatch(rf"{home}(/[a-z0-9-]+)*", back) else home)


@session_router.post("/seller/logout")
@session_router.post("/operator/logout")
def log_out(user: UserPage, services: ServicesDep) -> Response:
    """End the session."""
    services.auth.sessions.end_session(user.signed_in)
    return clear_session_cookie(page("logged_out.html", Viewer(user.viewer.translator)))
