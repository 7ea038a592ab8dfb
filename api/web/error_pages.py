"""Error pages: what is wrong, what to do, and a link back."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool

from api import errors
from api.auth.sessions import UserKind
from api.kit.database import transaction
from api.kit.problems import request_id_of, respond
from api.services import Services
from api.web.labels import FIELDS
from api.web.rendering import Viewer, load_session, page, viewer_of
from api.web.translations import N_

_LOG_IN_STATUS: Final = 401
_RETRY_STATUS: Final = (429, 500, 503)
"""Statuses of errors that a retry can solve."""


_ABOVE_FORM: Final = {"HX-Retarget": "#said", "HX-Reselect": "#refused", "HX-Reswap": "innerHTML show:top"}


async def error_response(request: Request, problem: errors.Problem) -> Response:
    """Return the response of an error outside of endpoints: a page for page addresses, else problem details."""
    if _section_of(request) is None:
        return respond(problem, request_id_of(request))
    return await run_in_threadpool(_not_found, request, problem)


def error_page(request: Request, problem: errors.Problem) -> Response:
    """Return the page of a problem."""
    viewer: Viewer = getattr(request.state, "viewer", None) or viewer_of(request)
    title, advice = _TEXTS.get(type(problem), _FAILED)
    section = viewer.kind or _section_of(request) or UserKind.SELLER
    if section is UserKind.OPERATOR:
        advice = _OPERATOR_ADVICE.get(advice, advice)
    services: Services = request.app.state.services
    # without a session, the page links to the OIDC login if one is configured
    by_oidc = problem.status == _LOG_IN_STATUS and services.oidc is not None
    back = section if viewer.signed_in or problem.status in _RETRY_STATUS else None
    fields, path = _invalid_fields(problem), request.url.path
    values = {
        "said": title,
        "advice": advice,
        "fields": fields,
        "hint": _NUMBER if FIELDS["value"] in fields else None,
        "form": path.rpartition("/")[0] if fields and path.startswith("/operator/reviews/") else None,
        "by_oidc": by_oidc,
        "back": back,
    }
    response = page("error.html", viewer, problem.status, **values)
    response.headers.update(problem.headers)
    if "hx-request" in request.headers:
        # with a session, the page and the typed text stay, and the error appears above them
        response.headers.update(_ABOVE_FORM if viewer.signed_in else {"HX-Refresh": "true"})
    return response


def _invalid_fields(problem: errors.Problem) -> list[str]:
    """Return the labels of the form fields that are not allowed."""
    invalid = problem.invalid if isinstance(problem, errors.InvalidRequest) else ()
    names = {each["where"].rpartition("/")[2] for each in invalid}
    return [label for name, label in FIELDS.items() if name in names]


def _not_found(request: Request, problem: errors.Problem) -> Response:
    # with a session, the page has its language and a link back
    services: Services = request.app.state.services
    with (
        suppress(errors.NotSignedIn, errors.TooManyRequests, errors.DatabaseUnavailable),
        transaction(services.engine) as connection,
    ):
        load_session(request, connection)
    return error_page(request, problem)


def _section_of(request: Request) -> UserKind | None:
    first = request.url.path.split("/")[1:2]
    return next((kind for kind in UserKind if first == [kind]), None)


_LOG_IN: Final = N_("Open your score again from your marketplace, which logs you in.")
_RETRY: Final = N_("Try again in a few minutes. If the problem persists, contact your marketplace.")
_START_AGAIN: Final = N_("Start again. If the problem persists, contact your marketplace.")
_UNCHANGED: Final = N_("Nothing was changed")
_NOT_FOUND: Final = N_("Page not found")
_INVALID: Final = (
    _UNCHANGED,
    N_("A field of the form is missing or not allowed. Go back, correct it and send the form again."),
)
_NUMBER: Final = N_(
    "Enter the correct value as a number such as 0.04, with a point as decimal separator and without a % sign."
)
_UNAVAILABLE: Final = (N_("Your figures are not available right now"), _RETRY)
_FAILED: Final = (N_("Something went wrong on our side"), _RETRY)
_TEXTS: Final[dict[type[errors.Problem], tuple[str, str]]] = {
    errors.NotSignedIn: (N_("You are not logged in"), _LOG_IN),
    errors.LoginFailed: (N_("The login failed"), _START_AGAIN),
    errors.LoginUnavailable: (
        N_("The login is not available right now"),
        N_("Wait a minute and try again, or open your score from your marketplace."),
    ),
    errors.LinkUsedUp: (
        N_("This link has expired or was already used"),
        N_("A link works once, within ten minutes. Open your score again from your marketplace."),
    ),
    errors.FormRefused: (
        _UNCHANGED,
        N_("The form belongs to another session. Open the page again and send the form again."),
    ),
    errors.InvalidRequest: _INVALID,
    errors.MalformedJson: _INVALID,
    errors.TooManyRequests: (N_("Too many attempts"), N_("Wait a minute, then try again.")),
    errors.TooManyReviews: (
        _UNCHANGED,
        N_("You have reached the limit of open reviews. Wait until one of them is decided."),
    ),
    errors.ReviewDecided: (_UNCHANGED, N_("This review is already decided. A decision cannot be changed.")),
    errors.CorrectionUnconfirmed: (
        _UNCHANGED,
        N_("The correction must be confirmed. Go back, check its effect, and confirm the band or the unusual value."),
    ),
    errors.CorrectionNotActive: (
        _UNCHANGED,
        N_("There is no correction to reverse. Newer data or a later correction may have replaced it."),
    ),
    errors.SellerUnknown: (
        _UNCHANGED,
        N_("There are no data of this seller to correct. Confirm without changes, or decide later."),
    ),
    errors.RouteUnknown: (_NOT_FOUND, N_("The address is mistyped, or the page no longer exists.")),
    errors.MethodNotAllowed: (
        _NOT_FOUND,
        N_("This address only accepts a form. Open the page with the form again."),
    ),
    errors.ReviewUnknown: (N_("Review not found"), N_("It may have been removed. Go back to the list.")),
    errors.ConsentUnknown: (_UNCHANGED, N_("This consent does not exist. Check the list again.")),
    errors.ConsentRequestUnknown: (_UNCHANGED, N_("This request does not exist. Check the list again.")),
    errors.ConsentRequestClosed: (_UNCHANGED, N_("This request is already answered or has expired.")),
    errors.BankUnknown: (_UNCHANGED, N_("The bank no longer uses this service.")),
    errors.BodyTooLarge: (_UNCHANGED, N_("Your text is too long. Shorten it and send it again.")),
    errors.VectorsUnavailable: _UNAVAILABLE,
    errors.VectorsDoNotFitModel: _UNAVAILABLE,
    errors.DatabaseUnavailable: (
        N_("The service is not available right now"),
        N_("Nothing was changed. Try again in a few seconds."),
    ),
}
_OPERATOR_ADVICE: Final = {
    _LOG_IN: N_("Ask the administrator of the service for a new login link."),
    _RETRY: N_("Try again in a few minutes. If the problem persists, contact the administrator of the service."),
}
"""Advice for operators, who have no marketplace."""
