"""What is refused below the addresses of pages, said on a page: what it is, what to do, and a way back."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool

from api import errors
from api.database import transaction
from api.problems import request_id_of, respond
from api.seller_pages.admission import admitted
from api.seller_pages.rendering import Viewer, page, viewer_of
from api.seller_pages.words import N_
from api.seller_sessions.oidc import Provider
from api.seller_sessions.repository import Person
from api.services import Services

_LOG_IN_STATUS: Final = 401
_RETRY_STATUS: Final = (429, 500, 503)
"""What may go better another time, so that there is something to try again."""


_ABOVE: Final = {"HX-Retarget": "#said", "HX-Reselect": "#refused", "HX-Reswap": "innerHTML show:top"}


async def told(request: Request, problem: errors.Problem) -> Response:
    """Answer what no endpoint took: a page below the addresses of pages, problem details elsewhere."""
    if _place_of(request) is None:
        return respond(problem, request_id_of(request))
    return await run_in_threadpool(_astray, request, problem)


def refused(request: Request, problem: errors.Problem) -> Response:
    """Say on a page what is refused and what to do."""
    viewer: Viewer = getattr(request.state, "viewer", None) or viewer_of(request)
    said, advice = _SAID.get(type(problem), _FAILED)
    place = viewer.kind or _place_of(request) or Person.SELLER
    if place is Person.OPERATOR:
        advice = _TO_OPERATORS.get(advice, advice)
    services: Services = request.app.state.services
    # who is not logged in is shown where to, if there is such a place
    by_oidc = problem.status == _LOG_IN_STATUS and Provider.of(services.settings) is not None
    back = place if viewer.signed_in or problem.status in _RETRY_STATUS else None
    answer = page("refused.html", viewer, problem.status, said=said, advice=advice, by_oidc=by_oidc, back=back)
    answer.headers.update(problem.headers)
    if "hx-request" in request.headers:
        # who is logged in keeps the page and what was typed, and reads above it why nothing came of it
        answer.headers.update(_ABOVE if viewer.signed_in else {"HX-Refresh": "true"})
    return answer


def _astray(request: Request, problem: errors.Problem) -> Response:
    # who is logged in reads it in their language and goes back from it; who is not, or cannot be asked, reads it too
    services: Services = request.app.state.services
    with (
        suppress(errors.NotSignedIn, errors.TooManyRequests, errors.DatabaseUnavailable),
        transaction(services.engine) as connection,
    ):
        admitted(request, connection)
    return refused(request, problem)


def _place_of(request: Request) -> Person | None:
    first = request.url.path.split("/")[1:2]
    return next((each for each in Person if first == [each]), None)


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
    errors.MalformedJson: (
        N_("Nothing was changed"),
        N_("Something in the form is missing or not allowed. Go back, look at it and send it again."),
    ),
    errors.TooManyRequests: (N_("Too many tries"), N_("Wait a minute, then try again.")),
    errors.TooManyReviews: (
        N_("Nothing was changed"),
        N_("As many questions as may be are open at once. Wait until one of them is answered."),
    ),
    errors.ReviewDecided: (N_("Nothing was changed"), N_("It was decided already, and a decision stands.")),
    errors.SellerUnknown: (
        N_("Nothing was changed"),
        N_("There are no figures of this seller that could be corrected. Confirm what there is, or decide later."),
    ),
    errors.RouteUnknown: (
        N_("There is no such page"),
        N_("The address is mistyped, or what was there is gone."),
    ),
    errors.MethodNotAllowed: (
        N_("There is no such page"),
        N_("This address only takes what a form sends. Open the page with the form again."),
    ),
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
_TO_OPERATORS: Final = {
    _LOG_IN: N_("Have a new link made for you by whoever runs the service, and open it."),
    _RETRY: N_("Try again in a little while. If it stays like this, tell whoever runs the service."),
}
"""What operators, who come from no marketplace, are advised instead."""
