"""`GET /metrics`, for whoever runs the service: an operator's token, which Prometheus fetches by itself (`oauth2`)."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Response
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from api import errors
from api.access.callers import RATE_HEADERS, REFUSALS, CallerFirst, Operator, needs
from api.access.rights import Scope
from api.metrics.service import page
from api.problems import problem_responses
from api.services import Wired

router = APIRouter(tags=["health"], route_class=CallerFirst)

_PAGE: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Counts since the start, and what is measured now.",
        "headers": RATE_HEADERS,
        "content": {"text/plain": {"schema": {"type": "string"}, "example": "sellerscore_ledger_rows 4812.0\n"}},
    }
}


@router.get(
    "/metrics",
    operation_id="getMetrics",
    summary="What the service counts of itself",
    response_class=Response,
    responses=_PAGE | problem_responses(*REFUSALS, errors.InternalError, errors.DatabaseUnavailable),
)
def get_metrics(_: Annotated[Operator, needs(Scope.METRICS_READ)], services: Wired) -> Response:
    """Return requests by route and status, latency, scores by outcome, age of the data, ledger and checkpoints.

    No seller and no client is named, but for the kind of the caller.
    """
    return Response(page(services, datetime.now(UTC)), 200, {"Cache-Control": "no-store"}, CONTENT_TYPE_PLAIN_0_0_4)
