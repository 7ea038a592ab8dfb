"""What everyone who is logged in may do: change the language, and log out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from api.seller_pages.rendering import page, to, viewer_of, without_cookie
from api.seller_pages.routes import Here, OperatorIn, SessionFirst, SignedIn
from api.seller_sessions import service as sessions
from api.seller_sessions.schemas import Language
from api.services import Services, Wired

router = APIRouter(route_class=SessionFirst, include_in_schema=False)

Back = Annotated[str, Form(max_length=200)]


@router.post("/seller/language")
def speak_to_seller(
    seller: SignedIn, services: Wired, language: Annotated[Language, Form()], back: Back = ""
) -> Response:
    """Change the language and go back to the page."""
    return _spoken(seller, services, language, back)


@router.post("/operator/language")
def speak_to_operator(
    operator: OperatorIn, services: Wired, language: Annotated[Language, Form()], back: Back = ""
) -> Response:
    """Change the language and go back to the page."""
    return _spoken(operator, services, language, back)


@router.post("/seller/logout")
def log_seller_out(request: Request, seller: SignedIn, services: Wired) -> Response:
    """End the session."""
    return _ended(request, seller, services)


@router.post("/operator/logout")
def log_operator_out(request: Request, operator: OperatorIn, services: Wired) -> Response:
    """End the session."""
    return _ended(request, operator, services)


def _spoken(here: Here, services: Services, language: Language, back: str) -> Response:
    sessions.speak(services.engine, here.signed_in, language)
    home = f"/{here.signed_in.session.kind}"
    # to a page of ours, never to another host
    return to(back if back == home or back.startswith(f"{home}/") else home)


def _ended(request: Request, here: Here, services: Services) -> Response:
    sessions.end(services.engine, here.signed_in)
    answer = page("farewell.html", viewer_of(request, begun_in=here.viewer.words.language))
    return without_cookie(answer)
