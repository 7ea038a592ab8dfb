"""Routes of pages: sessions, form tokens, error pages, and the router of all pages.

An endpoint states in its signature who can open the page: `SellerPage` or `OperatorPage`. The session is checked before
a form is read, and the form token before the endpoint runs. Every error is a page in the language of the session.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial, wraps
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Scope

from api import errors
from api.auth.sessions import ActiveSession, UserKind
from api.kit.database import transaction
from api.kit.problems import problem_of, request_id_of
from api.services import Services
from api.web.error_pages import error_page, error_response
from api.web.rendering import Viewer, load_session

FORM_TOKEN: Final = "token"  # noqa: S105 - the name of a field
_FORM: Final = "application/x-www-form-urlencoded"
_SAME_ORIGIN: Final = frozenset({"same-origin", "none"})
logger = logging.getLogger(__name__)
_PageRenderer = Callable[[Connection], Response]
"""Renders a page from what it reads."""


@dataclass(frozen=True)
class PageContext:
    """The seller or operator of a page request.

    `reading` opens a reading transaction; a page without a form gets the transaction that checked the session.
    """

    subject: str
    viewer: Viewer
    reading: Callable[[], AbstractContextManager[Connection]]

    @property
    def signed_in(self) -> ActiveSession:
        """The session."""
        assert self.viewer.signed_in is not None  # noqa: S101 - created from a session
        return self.viewer.signed_in


class _LoggedInPage:
    """The dependency of a page: its context, or the request if the context is created in the worker thread."""

    def __init__(self, user_kind: UserKind | None) -> None:
        self.user_kind = user_kind

    async def __call__(self, request: Request) -> PageContext | Request:
        """Return the context if the session was already checked, else the request."""
        context: PageContext | None = getattr(request.state, "context", None)
        return context or request


SellerPage = Annotated[PageContext, Depends(_LoggedInPage(UserKind.SELLER))]
"""The parameter type of a seller page; `subject` is the seller's ID, the only seller whose data the page reads."""


OperatorPage = Annotated[PageContext, Depends(_LoggedInPage(UserKind.OPERATOR))]
"""The parameter type of an operator page; `subject` is the ID of the operator's client."""


UserPage = Annotated[PageContext, Depends(_LoggedInPage(None))]
"""The parameter type of a page that both kinds of users have; the first part of its path states the kind."""


class PageRoute(APIRoute):
    """A page without a session. Errors are pages too."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the framework's handler with error pages."""
        handler = super().get_route_handler()

        async def handle_page(request: Request) -> Response:
            try:
                await self.admit(request)
                return await handler(request)
            except errors.Problem as problem:
                return error_page(request, problem)
            except HTTPException as error:
                return error_page(request, problem_of(request, error))
            except RequestValidationError as error:
                if request.method == "POST":
                    fields = [{"where": str(item["loc"][-1])} for item in error.errors()]
                    return error_page(request, errors.InvalidRequest(fields))
                # without a form, an invalid parameter means an unknown address
                return await error_response(request, errors.RouteUnknown())
            except Exception as error:  # noqa: BLE001 - a page request always gets a page
                logger.error("request %s failed with %s", request_id_of(request), type(error).__name__)
                return error_page(request, errors.InternalError())

        return handle_page

    async def admit(self, request: Request) -> None:
        """Reject forms of another site."""
        if request.method == "POST":
            _require_same_origin(request)


class SessionRoute(PageRoute):
    """A page that needs a session; the parameter type of the endpoint states the kind of user.

    Raises:
        TypeError: an endpoint has no such parameter; the service does not start.
    """

    def __init__(self, path: str, endpoint: Callable[..., Response], **kwargs: Any) -> None:
        is_form = "POST" in kwargs["methods"]
        super().__init__(path, endpoint if is_form else self._batched(endpoint), **kwargs)
        pages = [item.call for item in self.dependant.dependencies if isinstance(item.call, _LoggedInPage)]
        if len(pages) != 1:
            raise TypeError(f"The page {self.path} must have one SellerPage, OperatorPage or UserPage parameter.")
        self.user_kind = pages[0].user_kind or UserKind(path.split("/")[1])

    async def admit(self, request: Request) -> None:
        """Reject forms without a session of this kind, and forms of another session."""
        # other pages check the session in the worker thread
        if request.method != "POST":
            return
        context = request.state.context = await run_in_threadpool(_form_context, request, self.user_kind)
        _require_same_origin(request)
        form = await request.form()
        if not context.signed_in.allows(form.get(FORM_TOKEN)):
            raise errors.FormRefused

    def _batched(self, show: Callable[..., Response]) -> Callable[..., Coroutine[Any, Any, Response]]:
        """Return an endpoint that renders the page in a batch with concurrent page requests.

        Python renders one page at a time, whatever the number of threads, so one thread renders all.
        """

        @wraps(show)
        async def endpoint(**parameters: Any) -> Response:
            ((name, request),) = [item for item in parameters.items() if isinstance(item[1], Request)]

            def render(connection: Connection) -> Response:
                context = _context(request, self.user_kind, connection, lambda: nullcontext(connection))
                return show(**{**parameters, name: context})

            services: Services = request.app.state.services
            return await services.batcher.submit(_render_pages, (services.engine, render))

        return endpoint


def _render_pages(pages: Sequence[tuple[Engine, _PageRenderer]]) -> list[Response | Exception]:
    with transaction(pages[0][0]) as connection:
        return [_render_page(render, connection) for _, render in pages]


def _render_page(render: _PageRenderer, connection: Connection) -> Response | Exception:
    try:
        return render(connection)
    except DBAPIError:
        # it ends the transaction of all pages
        raise
    except Exception as error:  # noqa: BLE001 - raised in its own request; the other pages are rendered
        return error


def _form_context(request: Request, user_kind: UserKind) -> PageContext:
    services: Services = request.app.state.services
    with transaction(services.engine) as connection:
        return _context(request, user_kind, connection, partial(transaction, services.engine))


def _context(
    request: Request,
    user_kind: UserKind,
    connection: Connection,
    reading: Callable[[], AbstractContextManager[Connection]],
) -> PageContext:
    signed_in = load_session(request, connection)
    if signed_in.session.kind is not user_kind:
        raise errors.NotSignedIn
    return PageContext(signed_in.session.subject, request.state.viewer, reading)


def _require_same_origin(request: Request) -> None:
    # browsers send these headers; other clients cannot be made to send a form of another site
    site = request.headers.get("sec-fetch-site", "none")
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if site not in _SAME_ORIGIN or media_type != _FORM or not _is_own_origin(request):
        raise errors.FormRefused


def _is_own_origin(request: Request) -> bool:
    origin = request.headers.get("origin")
    if origin is None:
        return True
    services: Services = request.app.state.services
    parts = urlsplit(services.settings.issuer)
    # by the host, because a proxy may end TLS; by the setting, because a proxy may replace the host
    return origin == f"{parts.scheme}://{parts.netloc}" or origin.partition("://")[2] == request.headers.get("host")


_PREFIXES: Final = ("/seller", "/operator")


class PageRouter(APIRouter):
    """The routes of all pages; one comparison skips it for other requests."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return whether the request is for a page."""
        return super().matches(scope) if scope["path"].startswith(_PREFIXES) else (Match.NONE, {})
