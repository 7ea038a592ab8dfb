"""`/v1/products`: replace and list a bank's products; `/v1/scores/{id}/eligibility`: evaluate them for a score."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Query, Response

from api import errors
from api.auth.callers import AuthenticatedRoute, Bank, require_scope
from api.auth.scopes import Scope
from api.kit.database import transaction
from api.kit.etags import ETAG_HEADER, IfMatch, etag_of, require_match
from api.kit.fields import Moment, ScoreId
from api.kit.openapi import BODY_PROBLEMS, responses
from api.products import repository, service
from api.products.eligibility import eligibility_inputs, evaluate_products
from api.products.repository import ProductVersion
from api.products.schemas import EligibilityResponse, ProductList, ProductResponse, ProductsResponse
from api.scores.repository import find_score
from api.services import Services, ServicesDep
from features.errors import StoreError

router = APIRouter(tags=["products"], route_class=AuthenticatedRoute)
logger = logging.getLogger(__name__)

_DOLLAR: Final = "USD"
At = Annotated[
    Moment | None,
    Query(
        description="A past time with a time zone, to get the products of that time. The current time if left out.",
        examples=["2026-02-01T09:30:00Z"],
    ),
]


@router.put(
    "/v1/products",
    operation_id="replaceProducts",
    summary="Replace the bank's products",
    responses=responses(
        200,
        "The current products.",
        *BODY_PROBLEMS,
        errors.PreconditionFailed,
        errors.InvalidRequest,
        errors.VectorsUnavailable,
        headers=ETAG_HEADER,
    ),
)
def replace_products(
    bank: Annotated[Bank, require_scope(Scope.PRODUCTS_WRITE)],
    services: ServicesDep,
    products: ProductList,
    response: Response,
    if_match: IfMatch = None,
) -> ProductsResponse:
    """Replace all products of the bank: new ones are added, changed ones get a new version, others are withdrawn.

    All changes are made together or not at all. Earlier versions are stored with their times. Sending the same list
    again changes nothing. With the ETag of the list in If-Match, a change that someone else made in the meantime is not
    overwritten.
    """
    valid = service.validate_products(products.products, services.champion.bundle.policy.bands, _convertible(services))
    with transaction(services.engine, writes=True) as connection:
        # under the lock, the list that the ETag describes is the one that is replaced
        services.ledger.lock_chain(connection, bank.id)
        require_match(if_match, _etag(_response(repository.list_products(connection, bank.id))))
        service.replace_products(connection, services.receipts, bank.id, valid)
        versions = repository.list_products(connection, bank.id)
    listed = _response(versions)
    response.headers["ETag"] = _etag(listed)
    return listed


@router.get(
    "/v1/products",
    operation_id="listProducts",
    summary="List the bank's products",
    responses=responses(200, "The bank's products.", errors.InvalidRequest, headers=ETAG_HEADER),
)
def list_products(
    bank: Annotated[Bank, require_scope(Scope.PRODUCTS_READ)], services: ServicesDep, response: Response, at: At = None
) -> ProductsResponse:
    """Return the bank's own products, current or at a past time. Send the ETag of the current list to replace it."""
    moment = _parse_at(at, None)
    with transaction(services.engine) as connection:
        versions = repository.list_products(connection, bank.id, moment)
    listed = _response(versions)
    response.headers["ETag"] = _etag(listed)
    return listed


@router.get(
    "/v1/scores/{score_id}/eligibility",
    operation_id="getEligibility",
    summary="Evaluate the bank's products for a score",
    responses=responses(
        200,
        "Each product with limit and price, or with its unmet criteria.",
        errors.InvalidRequest,
        errors.ScoreUnknown,
        errors.BundleNotKept,
        errors.ScoreErased,
        errors.ScorePastRetention,
        errors.LedgerDamaged,
    ),
)
def get_eligibility(
    bank: Annotated[Bank, require_scope(Scope.PRODUCTS_READ)],
    services: ServicesDep,
    score_id: ScoreId,
    at: At = None,
) -> EligibilityResponse:
    """Return for which of the bank's products the seller of a score qualifies, and the unmet criteria of the others.

    The result depends only on data that are stored with the score, so it can be reproduced. Limits are indicative.
    Doubted sales do not count towards a limit; if a check was not possible, there is no limit. A score that has
    expired, or whose data are too old, qualifies for no product.
    """
    with transaction(services.engine) as connection:
        score = find_score(connection, services.ledger, bank.id, str(score_id))
        if score is None:
            raise errors.ScoreUnknown
        moment = _parse_at(at, score.scored_at)
        versions = repository.list_products(connection, bank.id, moment)
    facts, offers = evaluate_products(services, score, [(bank.name, version) for version in versions], moment)
    return EligibilityResponse.of(facts, eligibility_inputs(facts, _DOLLAR, moment), offers, moment)


def _response(versions: Sequence[ProductVersion]) -> ProductsResponse:
    return ProductsResponse(products=[ProductResponse.of(version) for version in versions])


def _etag(products: ProductsResponse) -> str:
    return etag_of(products.model_dump_json().encode())


def _parse_at(at: datetime | None, since: datetime | None) -> datetime:
    now = datetime.now(UTC)
    if at is None:
        return now
    if at > now:
        raise _invalid_time("The time is in the future, when products may differ. Send a past time, or leave it out")
    if since is not None and at < since:
        raise _invalid_time("The time is before the score. Send a time after scored_at, or leave it out")
    return at.astimezone(UTC)


def _invalid_time(message: str) -> errors.InvalidRequest:
    return errors.InvalidRequest([{"where": "query/at", "rule": "moment", "message": message}])


def _convertible(services: Services) -> frozenset[str]:
    try:
        return frozenset({_DOLLAR, *services.vectors.usd_per_unit()})
    except StoreError as error:
        logger.warning("exchange rates cannot be read: %s", error)
        raise errors.VectorsUnavailable from error
