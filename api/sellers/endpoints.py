"""`GET /v1/sellers/{id}/profile`: the profile of a seller as JSON; `web.documents` serves it as a page."""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Response

from api import errors
from api.auth.callers import AuthenticatedRoute, Bank, require_scope
from api.auth.scopes import Scope
from api.kit.fields import SellerId
from api.kit.openapi import NO_STORE, responses
from api.sellers import service
from api.sellers.schemas import Profile
from api.services import ServicesDep

router = APIRouter(prefix="/v1/sellers", tags=["sellers"], route_class=AuthenticatedRoute)

PROFILE_PROBLEMS: Final = (
    errors.ConsentRequired,
    errors.SellerUnknown,
    errors.InvalidRequest,
    errors.VectorsUnavailable,
)
SellerInPath = Annotated[
    SellerId, Path(description="The platform's ID of the seller, percent-encoded.", examples=["S-000001"])
]


@router.get(
    "/{seller_id:path}/profile",
    operation_id="getProfile",
    summary="Read the profile of a seller",
    response_class=Response,
    responses=responses(200, "The profile.", *PROFILE_PROBLEMS, model=Profile),
)
def get_profile(
    bank: Annotated[Bank, require_scope(Scope.PROFILES_READ)], services: ServicesDep, seller_id: SellerInPath
) -> Response:
    """Return the profile of a seller who has given this bank a consent, whatever its purpose.

    The profile is as of the midnight through which data were delivered. The access is recorded on the bank's chain of
    the ledger and shown to the seller.
    """
    while True:
        view = service.open_profile(services, bank.id, seller_id)
        body = view.profile.model_dump_json().encode()
        if service.record_view(services, view, body):
            return Response(body, headers=dict(NO_STORE), media_type="application/json")
