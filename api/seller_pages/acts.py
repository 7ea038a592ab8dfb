"""What everyone who is logged in may do: change the language, and log out."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Form, Response

from api.seller_pages.rendering import Viewer, page, to, without_cookie
from api.seller_pages.routes import Here, OperatorIn, SessionFirst, SignedIn
from api.seller_sessions import service as sessions
from api.services import Services, Wired
from scoring.formatting import Language

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
def log_seller_out(seller: SignedIn, services: Wired) -> Response:
    """End the session."""
    return _ended(seller, services)


@router.post("/operator/logout")
def log_operator_out(operator: OperatorIn, services: Wired) -> Response:
    """End the session."""
    return _ended(operator, services)


def _spoken(here: Here, services: Services, language: Language, back: str) -> Response:
    sessions.speak(services.engine, here.signed_in, language)
    home = f"/{here.signed_in.session.kind}"
    # to a page of ours, never to another host, nor to what no address holds
    return to(back if re.fullmatch(rf"{home}(/[a-z0-9-]+)*", back) else home)


def _ended(here: Here, services: Services) -> Response:
    sessions.end(services.engine, here.signed_in)
    return without_cookie(page("farewell.html", Viewer(here.viewer.words)))
