"""`PUT /v1/products`, `GET /v1/products` and `GET /v1/scores/{id}/eligibility`."""

import logging
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response

from api import errors
from api.auth.callers import AuthenticatedRoute, Bank, require_scope
from api.auth.scopes import Scope
from api.kit.database import transaction
from api.kit.fields import Moment, ScoreId
from api.kit.openapi import CALLER_PROBLEMS, RATE_HEADERS, problem_responses
from api.products import repository, service
from api.products.eligibility import eligibility_inputs
from api.products.schemas import EligibilityResponse, ProductList, ProductResponse, ProductsResponse
from api.products.service import validate_products
from api.scores.repository import find_score
from api.services import Services, ServicesDep
from features.errors import StoreError

router = APIRouter(tags=["products"], route_class=AuthenticatedRoute)
logger = logging.getLogger(__name__)

_PRIVATE: Final = {"Cache-Control": "no-store"}
_COMMON: Final = (*CALLER_PROBLEMS, errors.InternalError, errors.DatabaseUnavailable, errors.InvalidRequest)
_BODY: Final = (errors.MalformedJson, errors.BodyTooLarge, errors.UnsupportedMediaType)
_DOLLAR: Final = "USD"
At = Annotated[
    Moment | None,
    Query(
        description="A moment gone by, with a time zone: what held then. Left out, it is now.",
        examples=["2026-02-01T09:30:00Z"],
    ),
]


def _responses(about: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"description": about, "headers": RATE_HEADERS}}


@router.put(
    "/v1/products",
    operation_id="replaceProducts",
    summary="Replace the bank's products",
    response_model=ProductsResponse,
    responses=_responses("The products as they hold from now on.")
    | problem_responses(*_COMMON, *_BODY, errors.VectorsUnavailable),
)
def replace_products(
    bank: Annotated[Bank, require_scope(Scope.PRODUCTS_WRITE)],
    services: ServicesDep,
    products: ProductList,
    response: Response,
) -> ProductsResponse:
    """Have exactly these products from now on: new ones hold, changed ones get a version, others are withdrawn.

    All at once or none. What held before is kept with its time. The same list again changes nothing.
    """
    given = validate_products(products.products, services.champion.bundle.policy.bands, _convertible(services))
    with transaction(services.engine, writes=True) as connection:
        service.replace_products(connection, bank.id, given)
        held = repository.list_products(connection, bank.id)
    response.headers.update(_PRIVATE)
    return ProductsResponse(products=[ProductResponse.of(each) for each in held])


@router.get(
    "/v1/products",
    operation_id="listProducts",
    summary="List the bank's products",
    response_model=ProductsResponse,
    responses=_responses("The bank's products.") | problem_responses(*_COMMON),
)
def list_products(
    bank: Annotated[Bank, require_scope(Scope.PRODUCTS_READ)], services: ServicesDep, response: Response, at: At = None
) -> ProductsResponse:
    """Return the bank's own products as they hold, or held at a moment."""
    moment = _parse_at(at, None)
    with transaction(services.engine) as connection:
        held = repository.list_products(connection, bank.id, moment)
    response.headers.update(_PRIVATE)
    return ProductsResponse(products=[ProductResponse.of(each) for each in held])


@router.get(
    "/v1/scores/{score_id}/eligibility",
    operation_id="getEligibility",
    summary="Hold the bank's products against a score",
    response_model=EligibilityResponse,
    responses=_responses("Each product: open with limit and price, or what is not met.")
    | problem_responses(
        *_COMMON,
        errors.ScoreUnknown,
        errors.BundleNotKept,
        errors.ScoreOfEarlierFormat,
        errors.ScoreErased,
        errors.ScorePastRetention,
        errors.LedgerDamaged,
    ),
)
def get_eligibility(
    bank: Annotated[Bank, require_scope(Scope.PRODUCTS_READ)],
    services: ServicesDep,
    score_id: ScoreId,
    response: Response,
    at: At = None,
) -> EligibilityResponse:
    """Tell for which of the bank's products the seller of one of its scores qualifies, and what lacks for the others.

    It rests on what was stored with the score, so it can be made again; limits are indicative. Sales that integrity
    features doubt carry no limit, and none do where those could not be looked at. A score opens nothing once
    it has expired or its data are too old for a new one.
    """
    with transaction(services.engine) as connection:
        score = find_score(connection, services.ledger, bank.id, str(score_id))
        if score is None:
            raise errors.ScoreUnknown
        moment = _parse_at(at, score.scored_at)
        known, offers = service.offers_of_bank(connection, services, score, bank.name, moment)
    response.headers.update(_PRIVATE)
    return EligibilityResponse.of(known, eligibility_inputs(known, _DOLLAR, moment), offers, moment)


def _parse_at(at: datetime | None, since: datetime | None) -> datetime:
    now = datetime.now(UTC)
    if at is None:
        return now
    if at > now:
        raise _no_moment("The moment lies ahead, and products may change until then; give one gone by, or none")
    if since is not None and at < since:
        raise _no_moment("The moment lies before the score; give one since scored_at, or none")
    return at.astimezone(UTC)


def _no_moment(message: str) -> errors.InvalidRequest:
    return errors.InvalidRequest([{"where": "query/at", "rule": "moment", "message": message}])


def _convertible(services: Services) -> frozenset[str]:
    try:
        return frozenset({_DOLLAR, *services.vectors.usd_per_unit()})
    except StoreError as error:
        logger.warning("no exchange rates can be read: %s", error)
        raise errors.VectorsUnavailable from error
