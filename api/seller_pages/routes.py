"""Who looks at a page: it stands in the endpoint's signature, as `SignedIn` or `OperatorIn`.

A session is looked at before a form is, and a form's token before anything of it is done. Whatever is refused is a page
in the language of who looks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from typing import Annotated, Any, Final

from fastapi import Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from api import errors
from api.problems import request_id_of
from api.seller_pages.rendering import COOKIE, Viewer, page, viewer_of
from api.seller_pages.words import N_
from api.seller_sessions import service as sessions
from api.seller_sessions.oidc import Provider
from api.seller_sessions.repository import Person
from api.seller_sessions.service import SignedInAs
from api.services import Services

FORM_TOKEN: Final = "token"  # noqa: S105 - the name of a field
_FORM: Final = "application/x-www-form-urlencoded"
_OURS: Final = frozenset({"same-origin", "none"})

_LOG_IN_STATUS: Final = 401

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Here:
    """Somebody who is logged in and looks at a page."""

    subject: str
    viewer: Viewer

    @property
    def signed_in(self) -> SignedInAs:
        """The session."""
        assert self.viewer.signed_in is not None  # noqa: S101 - made of one
        return self.viewer.signed_in


class _LoggedIn:
    """What a page asks for: who looks, or the request of one that is looked at in the thread that answers."""

    def __init__(self, person: Person) -> None:
        self.person = person

    async def __call__(self, request: Request) -> Here | Request:
        """Return who looks, if that is known by now."""
        found: Here | None = getattr(request.state, "here", None)
        return found or request


SignedIn = Annotated[Here, Depends(_LoggedIn(Person.SELLER))]
"""The type by which a page asks for a seller; `subject` is the platform's id, and nobody else's data are looked at."""

OperatorIn = Annotated[Here, Depends(_LoggedIn(Person.OPERATOR))]
"""The type by which a page asks for an operator; `subject` is the id of its client."""


class Page(APIRoute):
    """A page that anyone may open; what is refused is a page too."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the framework's handler, refusals told as pages."""
        answer = super().get_route_handler()

        async def answer_as_page(request: Request) -> Response:
            try:
                await self.admit(request)
                return await answer(request)
            except errors.Problem as problem:
                return refused(request, problem)
            except RequestValidationError:
                return refused(request, errors.InvalidRequest())
            except Exception as error:  # noqa: BLE001 - whatever it is, who looks at a page gets a page
                logger.error("request %s failed with %s", request_id_of(request), type(error).__name__)
                return refused(request, errors.InternalError())

        return answer_as_page

    async def admit(self, request: Request) -> None:
        """Refuse forms that another site sent."""
        if request.method == "POST":
            _require_ours(request)


class SessionFirst(Page):
    """A page for those who are logged in; each endpoint says with its parameter's type who that is.

    Raises:
        TypeError: an endpoint says nothing of who looks; the service does not begin.
    """

    def __init__(self, path: str, endpoint: Callable[..., Response], **kwargs: Any) -> None:
        super().__init__(path, _admitting(endpoint, lambda request: _here(request, self.person)), **kwargs)
        found = [each.call for each in self.dependant.dependencies if isinstance(each.call, _LoggedIn)]
        if len(found) != 1:
            raise TypeError(f"The page {self.path} must have one parameter that says who may look.")
        self.person = found[0].person

    async def admit(self, request: Request) -> None:
        """Refuse forms of who has no session of this kind, and forms that were not made for it."""
        # a page that only shows is admitted in the thread that makes it, since changing threads takes as long
        if request.method != "POST":
            return
        here = request.state.here = await run_in_threadpool(_here, request, self.person)
        _require_ours(request)
        form = await request.form()
        if not here.signed_in.allows(form.get(FORM_TOKEN)):
            raise errors.FormRefused


def refused(request: Request, problem: errors.Problem) -> Response:
    """Say on a page what is refused and what to do."""
    viewer: Viewer = getattr(request.state, "viewer", None) or viewer_of(request)
    said, advice = _SAID.get(type(problem), _FAILED)
    services: Services = request.app.state.services
    # who is not logged in is shown where to, if there is such a place
    by_oidc = problem.status == _LOG_IN_STATUS and Provider.of(services.settings) is not None
    answer = page("refused.html", viewer, problem.status, said=said, advice=advice, by_oidc=by_oidc)
    answer.headers.update(problem.headers)
    if "hx-request" in request.headers:
        # what came in place of a part of the page is shown as a page of its own
        answer.headers["HX-Refresh"] = "true"
    return answer


def _admitting(endpoint: Callable[..., Response], here: Callable[[Request], Here]) -> Callable[..., Response]:
    """Return the endpoint behind a look at the session, where that was not looked at before."""

    @wraps(endpoint)
    def admitted(**given: Any) -> Response:
        return endpoint(**{name: _looked(value, here) for name, value in given.items()})

    return admitted


def _looked(value: Any, here: Callable[[Request], Here]) -> Any:
    return here(value) if isinstance(value, Request) else value


def _here(request: Request, person: Person) -> Here:
    signed_in = _session(request)
    # known from here on, so that a refusal is in the session's language
    request.state.viewer = viewer_of(request, signed_in)
    if signed_in.session.kind is not person:
        raise errors.NotSignedIn
    return Here(signed_in.session.subject, request.state.viewer)


def _session(request: Request) -> SignedInAs:
    services: Services = request.app.state.services
    limits = services.access.limits
    address = request.client.host if request.client else ""
    try:
        signed_in = sessions.find(services.engine, request.cookies.get(COOKIE, ""), datetime.now(UTC))
    except errors.NotSignedIn:
        failed = limits.failures_of_address.spend(address)
        if not failed.allowed:
            raise errors.TooManyRequests(headers=failed.headers) from None
        raise
    standing = limits.calls.spend((signed_in.session.kind, signed_in.session.subject))
    if not standing.allowed:
        raise errors.TooManyRequests(headers=standing.headers)
    return signed_in


def _require_ours(request: Request) -> None:
    # browsers say whose page sent a form; what says nothing is no browser, and nobody can make it send anything
    said = request.headers.get("sec-fetch-site", "none")
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if said not in _OURS or media_type != _FORM:
        raise errors.FormRefused


_LOG_IN: Final = N_("Open your score again from your marketplace, which logs you in.")
_RETRY: Final = N_("Try again in a little while. If it stays like this, tell your marketplace.")
_AGAIN: Final = N_("Begin again. If it stays like this, tell your marketplace.")
_FAILED: Final = (N_("Something went wrong on our side"), _RETRY)
_SAID: Final[dict[type[errors.Problem], tuple[str, str]]] = {
    errors.NotSignedIn: (N_("You are not logged in"), _LOG_IN),
    errors.LoginFailed: (N_("The login did not work"), _AGAIN),
    errors.LinkUsedUp: (
        N_("This link works no more"),
        N_("It works once, within ten minutes. Open your score again from your marketplace."),
    ),
    errors.FormRefused: (
        N_("Nothing was changed"),
        N_("The form was not made for this session. Open the page again and retry."),
    ),
    errors.InvalidRequest: (
        N_("Nothing was changed"),
        N_("Something in the form is missing or not allowed. Go back, look at it and send it again."),
    ),
    errors.TooManyRequests: (N_("Too many tries"), N_("Wait a minute, then try again.")),
    errors.TooManyReviews: (
        N_("Nothing was changed"),
        N_("As many questions as may be are open at once. Wait until one of them is answered."),
    ),
    errors.ReviewDecided: (N_("Nothing was changed"), N_("It was decided already, and a decision stands.")),
    errors.RouteUnknown: (N_("There is nothing like that"), N_("It may have been removed. Go back to the list.")),
    errors.ReviewUnknown: (N_("There is nothing like that"), N_("It may have been removed. Go back to the list.")),
    errors.ConsentUnknown: (N_("Nothing was changed"), N_("There is no such consent. Look at the list again.")),
    errors.ConsentRequestUnknown: (N_("Nothing was changed"), N_("There is no such request. Look at the list again.")),
    errors.ConsentRequestClosed: (N_("Nothing was changed"), N_("The request was answered already or has expired.")),
    errors.BankUnknown: (N_("Nothing was changed"), N_("The bank does not use this service any more.")),
    errors.BodyTooLarge: (N_("Nothing was changed"), N_("What you sent is too long. Shorten it and send it again.")),
    errors.VectorsUnavailable: (N_("Your figures cannot be read right now"), _RETRY),
    errors.VectorsDoNotFitModel: (N_("Your figures cannot be read right now"), _RETRY),
    errors.DatabaseUnavailable: (
        N_("The service does not answer right now"),
        N_("Nothing was changed. Try again in a few seconds."),
    ),
}
