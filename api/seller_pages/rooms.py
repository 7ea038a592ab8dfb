"""All pages as one room, which the application asks first: a page is found without a look at the whole API."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, FastAPI
from starlette.routing import Match
from starlette.types import Scope

import api.review_pages.endpoints
from api.seller_pages import acts, consenting, download, login, pages, reviewing

_PLACES: Final = ("/seller", "/operator")


class Pages(APIRouter):
    """The routes of all pages; what is no page passes it by at the cost of a comparison."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return whether a page is asked for."""
        return super().matches(scope) if scope["path"].startswith(_PLACES) else (Match.NONE, {})


def install_pages(app: FastAPI) -> None:
    """Put the pages before every other room."""
    app.include_router(_ROUTER)


_ROUTER: Final = Pages(
    include_in_schema=False,
    # in one row, since a router within a router looks for the route once more
    routes=[
        route
        for room in (pages, consenting, reviewing, acts, download, login, api.review_pages.endpoints)
        for route in room.router.routes
    ],
)
