"""What is refused below the addresses of pages, said on a page: what it is, what to do, and a way back."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool

from api import errors
from api.auth.oidc import Provider
from api.auth.sessions import UserKind
from api.kit.database import transaction
from api.kit.problems import request_id_of, respond
from api.services import Services
from api.web.rendering import Viewer, load_session, page, viewer_of
from api.web.translations import N_

_LOG_IN_STATUS: Final = 401
_RETRY_STATUS: Final = (429, 500, 503)
"""What may go better another time, so that there is something to try again."""


_ABOVE: Final = {"HX-Retarget": "#said", "HX-Reselect": "#refused", "HX-Reswap": "innerHTML show:top"}


async def error_response(request: Request, problem: errors.Problem) -> Response:
    """Answer what no endpoint took: a page below the addresses of pages, problem details elsewhere."""
    if _section_of(request) is None:
        return respond(problem, request_id_of(request))
    return await run_in_threadpool(_not_found, request, problem)


def error_page(request: Request, problem: errors.Problem) -> Response:
    """Say on a page what is refused and what to do."""
    viewer: Viewer = getattr(request.state, "viewer", None) or viewer_of(request)
    said, advice = _TEXTS.get(type(problem), _FAILED)
    place = viewer.kind or _section_of(request) or UserKind.SELLER
    if place is UserKind.OPERATOR:
        advice = _TO_OPERATORS.get(advice, advice)
    services: Services = request.app.state.services
    # who is not logged in is shown where to, if there is such a place
    by_oidc = problem.status == _LOG_IN_STATUS and Provider.of(services.settings) is not None
    back = place if viewer.signed_in or problem.status in _RETRY_STATUS else None
    answer = page("error.html", viewer, problem.status, said=said, advice=advice, by_oidc=by_oidc, back=back)
    answer.headers.update(problem.headers)
    if "hx-request" in request.headers:
        # who is logged in keeps the page and what was typed, and reads above it why nothing came of it
        answer.headers.update(_ABOVE if viewer.signed_in else {"HX-Refresh": "true"})
    return answer


def _not_found(request: Request, problem: errors.Problem) -> Response:
    # who is logged in reads it in their language and goes back from it; who is not, or cannot be asked, reads it too
    services: Services = request.app.state.services
    with (
        suppress(errors.NotSignedIn, errors.TooManyRequests, errors.DatabaseUnavailable),
        transaction(services.engine) as connection,
    ):
        load_session(request, connection)
    return error_page(request, problem)


def _section_of(request: Request) -> UserKind | None:
    first = request.url.path.split("/")[1:2]
    return next((each for each in UserKind if first == [each]), None)


_LOG_IN: Final = N_("Open your score again from your marketplace, which logs you in.")
_RETRY: Final = N_("Try again in a few minutes. If the problem persists, contact your marketplace.")
_TRY_LATER: Final = N_("Start again. If the problem persists, contact your marketplace.")
_FAILED: Final = (N_("Something went wrong on our side"), _RETRY)
_TEXTS: Final[dict[type[errors.Problem], tuple[str, str]]] = {
    errors.NotSignedIn: (N_("You are not logged in"), _LOG_IN),
    errors.LoginFailed: (N_("The login failed"), _TRY_LATER),
    errors.LinkUsedUp: (
        N_("This link has expired or was already used"),
        N_("A link works once, within ten minutes. Open your score again from your marketplace."),
    ),
    errors.FormRefused: (
        N_("Nothing was changed"),
        N_("The form belongs to another session. Open the page again and send the form again."),
    ),
    errors.InvalidRequest: (
        N_("Nothing was changed"),
        N_("A field of the form is missing or not allowed. Go back, correct it and send the form again."),
    ),
    errors.MalformedJson: (
        N_("Nothing was changed"),
        N_("A field of the form is missing or not allowed. Go back, correct it and send the form again."),
    ),
    errors.TooManyRequests: (N_("Too many attempts"), N_("Wait a minute, then try again.")),
    errors.TooManyReviews: (
        N_("Nothing was changed"),
        N_("You have reached the limit of open reviews. Wait until one of them is decided."),
    ),
    errors.ReviewDecided: (N_("Nothing was changed"), N_("This review is already decided. A decision is final.")),
    errors.SellerUnknown: (
        N_("Nothing was changed"),
        N_("There are no data of this seller to correct. Confirm without changes, or decide later."),
    ),
    errors.RouteUnknown: (
        N_("Page not found"),
        N_("The address is mistyped, or the page no longer exists."),
    ),
    errors.MethodNotAllowed: (
        N_("Page not found"),
        N_("This address only accepts a form. Open the page with the form again."),
    ),
    errors.ReviewUnknown: (N_("Review not found"), N_("It may have been removed. Go back to the list.")),
    errors.ConsentUnknown: (N_("Nothing was changed"), N_("This consent does not exist. Check the list again.")),
    errors.ConsentRequestUnknown: (N_("Nothing was changed"), N_("This request does not exist. Check the list again.")),
    errors.ConsentRequestClosed: (N_("Nothing was changed"), N_("This request is already answered or has expired.")),
    errors.BankUnknown: (N_("Nothing was changed"), N_("The bank no longer uses this service.")),
    errors.BodyTooLarge: (N_("Nothing was changed"), N_("Your text is too long. Shorten it and send it again.")),
    errors.VectorsUnavailable: (N_("Your figures are not available right now"), _RETRY),
    errors.VectorsDoNotFitModel: (N_("Your figures are not available right now"), _RETRY),
    errors.DatabaseUnavailable: (
        N_("The service is not available right now"),
        N_("Nothing was changed. Try again in a few seconds."),
    ),
}
_TO_OPERATORS: Final = {
    _LOG_IN: N_("Ask the administrator of the service for a new login link."),
    _RETRY: N_("Try again in a few minutes. If the problem persists, contact the administrator of the service."),
}
"""What operators, who come from no marketplace, are advised instead."""
