"""Who looks at a page: it stands in the endpoint's signature, as `SignedIn` or `OperatorIn`.

A session is looked at before a form is, and a form's token before anything of it is done. Whatever is refused is a page
in the language of who looks.

All pages as one room, which the application asks first: a page is found without a look at the whole API.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial, wraps
from typing import Annotated, Any, Final

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


_MadePage = Callable[[Connection], Response]
"""Makes a page of what it reads."""


@dataclass(frozen=True)
class PageContext:
    """Somebody who is logged in and looks at a page.

    `reading` gives a transaction that reads: for a page that only shows, the one in which the session was looked at.
    """

    subject: str
    viewer: Viewer
    reading: Callable[[], AbstractContextManager[Connection]]

    @property
    def signed_in(self) -> ActiveSession:
        """The session."""
        assert self.viewer.signed_in is not None  # noqa: S101 - made of one
        return self.viewer.signed_in


class _LoggedInPage:
    """What a page asks for: who looks, or the request of one that is looked at in the thread that answers."""

    def __init__(self, person: UserKind) -> None:
        self.person = person

    async def __call__(self, request: Request) -> PageContext | Request:
        """Return who looks, if that is known by now."""
        found: PageContext | None = getattr(request.state, "here", None)
        return found or request


SellerPage = Annotated[PageContext, Depends(_LoggedInPage(UserKind.SELLER))]
"""The type by which a page asks for a seller; `subject` is the platform's id, and nobody else's data are looked at."""


OperatorPage = Annotated[PageContext, Depends(_LoggedInPage(UserKind.OPERATOR))]
"""The type by which a page asks for an operator; `subject` is the id of its client."""


class PageRoute(APIRoute):
    """A page that anyone may open; what is refused is a page too."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the framework's handler, refusals told as pages."""
        answer = super().get_route_handler()

        async def answer_as_page(request: Request) -> Response:
            try:
                await self.admit(request)
                return await answer(request)
            except errors.Problem as problem:
                return error_page(request, problem)
            except HTTPException as error:
                return error_page(request, problem_of(request, error))
            except RequestValidationError:
                if request.method == "POST":
                    return error_page(request, errors.InvalidRequest())
                # no form is wrong here: an address that cannot be is one that there is not
                return await error_response(request, errors.RouteUnknown())
            except Exception as error:  # noqa: BLE001 - whatever it is, who looks at a page gets a page
                logger.error("request %s failed with %s", request_id_of(request), type(error).__name__)
                return error_page(request, errors.InternalError())

        return answer_as_page

    async def admit(self, request: Request) -> None:
        """Refuse forms that another site sent."""
        if request.method == "POST":
            _require_same_origin(request)


class SessionRoute(PageRoute):
    """A page for those who are logged in; each endpoint says with its parameter's type who that is.

    Raises:
        TypeError: an endpoint says nothing of who looks; the service does not begin.
    """

    def __init__(self, path: str, endpoint: Callable[..., Response], **kwargs: Any) -> None:
        shows = "POST" not in kwargs["methods"]
        super().__init__(path, self._with_others(endpoint) if shows else endpoint, **kwargs)
        found = [each.call for each in self.dependant.dependencies if isinstance(each.call, _LoggedInPage)]
        if len(found) != 1:
            raise TypeError(f"The page {self.path} must have one parameter that says who may look.")
        self.person = found[0].person

    async def admit(self, request: Request) -> None:
        """Refuse forms of who has no session of this kind, and forms that were not made for it."""
        # a page that only shows is admitted in the thread that makes it
        if request.method != "POST":
            return
        here = request.state.here = await run_in_threadpool(_act, request, self.person)
        _require_same_origin(request)
        form = await request.form()
        if not here.signed_in.allows(form.get(FORM_TOKEN)):
            raise errors.FormRefused

    def _with_others(self, show: Callable[..., Response]) -> Callable[..., Coroutine[Any, Any, Response]]:
        """Return an endpoint that shows a page to whoever is logged in, made with those that others look at meanwhile.

        Python makes one page at a time whatever the number of threads; one thread for all is not torn between them.
        """

        @wraps(show)
        async def shown(**given: Any) -> Response:
            ((name, request),) = [each for each in given.items() if isinstance(each[1], Request)]

            def made(connection: Connection) -> Response:
                here = _context(request, self.person, connection, lambda: nullcontext(connection))
                return show(**{**given, name: here})

            services: Services = request.app.state.services
            return await services.batcher.submit(_make_each, (services.engine, made))

        return shown


def _make_each(pages: Sequence[tuple[Engine, _MadePage]]) -> list[Response | Exception]:
    with transaction(pages[0][0]) as connection:
        return [_make_page(page, connection) for _, page in pages]


def _make_page(page: _MadePage, connection: Connection) -> Response | Exception:
    try:
        return page(connection)
    except DBAPIError:
        # the transaction is over for all of them
        raise
    except Exception as error:  # noqa: BLE001 - raised where it belongs, the others are made
        return error


def _act(request: Request, person: UserKind) -> PageContext:
    engine = _engine(request)
    with transaction(engine) as connection:
        return _context(request, person, connection, partial(transaction, engine))


def _context(
    request: Request,
    person: UserKind,
    connection: Connection,
    reading: Callable[[], AbstractContextManager[Connection]],
) -> PageContext:
    signed_in = load_session(request, connection)
    if signed_in.session.kind is not person:
        raise errors.NotSignedIn
    return PageContext(signed_in.session.subject, request.state.viewer, reading)


def _engine(request: Request) -> Engine:
    services: Services = request.app.state.services
    return services.engine


def _require_same_origin(request: Request) -> None:
    # browsers say whose page sent a form; what says nothing is no browser, and nobody can make it send anything
    said = request.headers.get("sec-fetch-site", "none")
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if said not in _SAME_ORIGIN or media_type != _FORM:
        raise errors.FormRefused


_PLACES: Final = ("/seller", "/operator")


class PageRouter(APIRouter):
    """The routes of all pages; what is no page passes it by at the cost of a comparison."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return whether a page is asked for."""
        return super().matches(scope) if scope["path"].startswith(_PLACES) else (Match.NONE, {})
