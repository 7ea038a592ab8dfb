"""`GET /v1/sellers/{id}/profile` and `GET /v1/sellers/{id}/profile.html`."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Response

from api import errors
from api.auth.callers import AuthenticatedRoute, Bank, require_scope
from api.auth.scopes import Scope
from api.kit.fields import SellerId
from api.kit.openapi import CALLER_PROBLEMS, RATE_HEADERS, problem_responses
from api.sellers import service
from api.sellers.schemas import Profile
from api.services import ServicesDep
from api.web import documents

router = APIRouter(prefix="/v1/sellers", tags=["sellers"], route_class=AuthenticatedRoute)

_PRIVATE: Final = {"Cache-Control": "no-store"}
_REFUSED: Final = problem_responses(
    *CALLER_PROBLEMS,
    errors.ConsentRequired,
    errors.SellerUnknown,
    errors.InvalidRequest,
    errors.InternalError,
    errors.VectorsUnavailable,
    errors.DatabaseUnavailable,
)
_SHOWN: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The picture.", "model": Profile, "headers": RATE_HEADERS}
}
_PAGE: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The picture as one HTML document that loads nothing else.",
        "content": {"text/html": {"schema": {"type": "string"}, "example": "<!doctype html>..."}},
        "headers": RATE_HEADERS,
    }
}
_OfSeller = Annotated[
    SellerId, Path(description="The platform's id of the seller, percent-encoded.", examples=["S-000001"])
]


@router.get(
    "/{seller_id:path}/profile",
    operation_id="getProfile",
    summary="Read the picture of a seller",
    response_class=Response,
    responses=_SHOWN | _REFUSED,
)
def get_profile(
    bank: Annotated[Bank, require_scope(Scope.PROFILES_READ)], services: ServicesDep, seller_id: _OfSeller
) -> Response:
    """Return what the platform knows of a seller who consented to this bank, whatever the consent is for.

    It is as of the midnight through which data had landed. That the bank looked is recorded on its chain of the
    ledger, and shown to the seller.
    """
    return service.view_profile(services, bank.id, seller_id, _as_json)


@router.get(
    "/{seller_id:path}/profile.html",
    operation_id="getProfilePage",
    summary="Read the picture of a seller as a page to print",
    response_class=Response,
    responses=_PAGE | _REFUSED,
)
def get_profile_page(
    bank: Annotated[Bank, require_scope(Scope.PROFILES_READ)], services: ServicesDep, seller_id: _OfSeller
) -> Response:
    """Return the same as a page: one file, to be read on a screen or printed. It is recorded as a look, too."""
    now = datetime.now(UTC)
    most = services.champion.bundle.sheet.max_age_days
    return service.view_profile(
        services, bank.id, seller_id, lambda profile: documents.profile_document(profile, now, most)
    )


def _as_json(profile: Profile) -> Response:
    return Response(profile.model_dump_json().encode(), headers=_PRIVATE, media_type="application/json")
